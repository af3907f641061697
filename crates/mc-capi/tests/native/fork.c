/* What a parent mapped is neither handed out nor unmapped in a child, which maps memory of its own at the
 * same addresses. */

#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mc_alloc.h"

enum { BYTES = 1 << 20, OWN = 0x5a };

/* Maps the child's own memory where the parent's was, which has to be vacant. */
static unsigned char *own_at(const void *address) {
  const uintptr_t page = (uintptr_t)address & ~(uintptr_t)4095;
  unsigned char *own = mmap((void *)page, BYTES, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  CHECK(own == (unsigned char *)page);
  memset(own, OWN, BYTES);
  return own;
}

static void check_own(const unsigned char *own) {
  unsigned char resident[BYTES / 4096];
  CHECK(mincore((void *)(uintptr_t)own, BYTES, resident) == 0);
  for (size_t i = 0; i < BYTES; ++i) CHECK(own[i] == OWN);
}

static void check_said(mc_status status) {
  CHECK(status == MC_STATUS_OTHER_PROCESS);
  CHECK(strstr(mc_error_message(), "forked") != NULL);
}

static void in_child_of_arena(mc_arena arena, const void *slice) {
  mc_arena_report report;
  void *bytes = NULL;
  unsigned char *own = own_at(slice);
  check_said(mc_arena_allocate(arena, 64, 0, &bytes));
  check_said(mc_arena_allocate(arena, 64, 4096, &bytes));
  CHECK(bytes == NULL);
  check_said(mc_arena_describe(arena, &report));
  check_said(mc_arena_destroy(arena));
  CHECK(!mc_arena_owns(arena, own));
  check_own(own);

  /* The child has arenas of its own. */
  mc_arena mine;
  mc_arena_options options = mc_arena_options_default(BYTES);
  options.pages = MC_PAGES_OFF;
  CHECK(mc_arena_create(&options, &mine) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(mine, 64, 0, &bytes) == MC_STATUS_OK);
  memset(bytes, 1, 64);
  CHECK(mc_arena_destroy(mine) == MC_STATUS_OK);
}

static void in_child_of_buffer(void *buffer) {
  mc_buffer_report report;
  void *mine = NULL;
  unsigned char *own = own_at(buffer);
  check_said(mc_buffer_free(buffer));
  check_own(own);
  CHECK(mc_buffer_describe(&report) == MC_STATUS_OK);
  CHECK(report.live_buffers == 0);

  CHECK(mc_buffer_allocate(BYTES, 0, &mine) == MC_STATUS_OK);
  memset(mine, 1, BYTES);
  CHECK(mc_buffer_free(mine) == MC_STATUS_OK);
  check_said(mc_buffer_free(mine));
}

static void in_child_of_process_arena(void *buffer) {
  void *bytes = NULL;
  unsigned char *own = own_at(buffer);
  check_said(mc_buffer_allocate(64, 0, &bytes));
  check_said(mc_buffer_free(buffer));
  CHECK(bytes == NULL && !mc_buffer_is_from_arena(buffer));
  check_own(own);
}

static void check_child(pid_t child) {
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static int is_over;

static void *make_and_end_handles(void *unused) {
  (void)unused;
  while (!__atomic_load_n(&is_over, __ATOMIC_RELAXED)) {
    mc_slots slots;
    CHECK(mc_slots_create(64, 8, &slots) == MC_STATUS_OK);
    CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
  }
  return NULL;
}

/* A thread that has a lock of the library at the moment of a fork is not in the child, which must not
 * wait for it. */
static void fork_beside_busy_threads(void) {
  pthread_t busy[2];
  mc_slots parents;
  CHECK(mc_slots_create(64, 8, &parents) == MC_STATUS_OK);
  for (int i = 0; i < 2; ++i) CHECK(pthread_create(&busy[i], NULL, make_and_end_handles, NULL) == 0);
  for (int i = 0; i < 100; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      mc_slots slots, others;
      alarm(10); /* A wait for ever is to end. */
      CHECK(mc_slots_create(64, 8, &slots) == MC_STATUS_OK);
      CHECK(mc_slots_create(64, 8, &others) == MC_STATUS_OK);
      CHECK(slots.id != parents.id && slots.id != others.id && others.id != parents.id);
      CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
      CHECK(mc_slots_destroy(slots) == MC_STATUS_STALE_HANDLE);
      _exit(0);
    }
    check_child(child);
  }
  __atomic_store_n(&is_over, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 2; ++i) CHECK(pthread_join(busy[i], NULL) == 0);
  CHECK(mc_slots_destroy(parents) == MC_STATUS_OK);
}

int main(void) {
  fork_beside_busy_threads();
  mc_arena arena;
  void *slice = NULL;
  void *buffer = NULL;
  mc_arena_options options = mc_arena_options_default(BYTES);
  options.pages = MC_PAGES_OFF;
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(arena, 64, 0, &slice) == MC_STATUS_OK);
  pid_t child = fork();
  if (child == 0) {
    in_child_of_arena(arena, slice);
    _exit(0);
  }
  check_child(child);
  memset(slice, 1, 64);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);

  /* Without an arena of the process every buffer has a mapping of its own. The set-up is made once, so
   * that the buffers with an arena are those of a child. */
  child = fork();
  if (child == 0) {
    setenv("MC_MMAP_ARENA_POOL_SIZE", "1MiB", 1);
    setenv("MC_STORE_USE_HUGEPAGE", "0", 1);
    CHECK(mc_buffer_allocate(BYTES / 2, 0, &buffer) == MC_STATUS_OK);
    CHECK(mc_buffer_is_from_arena(buffer));
    child = fork();
    if (child == 0) {
      in_child_of_process_arena(buffer);
      _exit(0);
    }
    check_child(child);
    memset(buffer, 1, BYTES / 2);
    CHECK(mc_buffer_free(buffer) == MC_STATUS_OK);
    _exit(0);
  }
  check_child(child);

  /* A child has no thread of its parent: it neither ends it nor waits for it. */
  mc_store store;
  mc_idle_compactor compactor;
  const mc_store_options chosen = mc_store_options_default();
  CHECK(mc_store_create(&chosen, &store) == MC_STATUS_OK);
  CHECK(mc_store_compact_when_idle(store, 1000, &compactor) == MC_STATUS_OK);
  child = fork();
  if (child == 0) {
    check_said(mc_idle_compactor_stop(compactor));
    _exit(0);
  }
  check_child(child);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
  CHECK(mc_idle_compactor_stop(compactor) == MC_STATUS_OK);
  CHECK(mc_idle_compactor_stop(compactor) == MC_STATUS_STALE_HANDLE);

  CHECK(mc_buffer_allocate(BYTES, 0, &buffer) == MC_STATUS_OK);
  child = fork();
  if (child == 0) {
    in_child_of_buffer(buffer);
    _exit(0);
  }
  check_child(child);
  memset(buffer, 1, BYTES);
  CHECK(mc_buffer_free(buffer) == MC_STATUS_OK);
  return 0;
}
