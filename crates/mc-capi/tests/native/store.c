/* The store through the C interface: every call, what it refuses, and that a refusal changes nothing. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "mc_alloc.h"

enum { POOL_BYTES = 1 << 20 };

static mc_key key_of(const char *text) {
  const mc_key key = {text, strlen(text)};
  return key;
}

static mc_segment_id segment_id(uint64_t low) {
  const mc_segment_id id = {0, low};
  return id;
}

static mc_pool make_pool(void) {
  mc_pool pool;
  mc_arena_options options = mc_arena_options_default(POOL_BYTES);
  options.pages = MC_PAGES_OFF;
  CHECK(mc_pool_create(&options, NULL, &pool) == MC_STATUS_OK);
  return pool;
}

/* A segment whose descriptors have pointers of this process. */
static mc_segment_options local(uint64_t number, mc_pool pool) {
  mc_pool_report report;
  CHECK(mc_pool_describe(pool, &report) == MC_STATUS_OK);
  mc_segment_options options =
      mc_segment_options_default(segment_id(number), (uintptr_t)report.address, report.bytes);
  options.memory = pool;
  return options;
}

/* Time that stands still until it is turned. */
static uint64_t clock_nanoseconds = 0;

static uint64_t read_clock(void *context) {
  (void)context;
  return clock_nanoseconds;
}

static mc_store make_store(uint64_t segments) {
  mc_store store;
  mc_store_options options = mc_store_options_default();
  options.clock = read_clock;
  CHECK(mc_store_create(&options, &store) == MC_STATUS_OK);
  for (uint64_t number = 1; number <= segments; ++number) {
    uint32_t mounting = 9;
    const mc_pool pool = make_pool();
    const mc_segment_options segment = local(number, pool);
    CHECK(mc_store_mount(store, &segment, &mounting) == MC_STATUS_OK && mounting == MC_MOUNTED);
    CHECK(mc_store_mount(store, &segment, &mounting) == MC_STATUS_OK);
    CHECK(mounting == MC_ALREADY_MOUNTED);
    /* The segment keeps the memory. */
    CHECK(mc_pool_destroy(pool) == MC_STATUS_OK);
    CHECK(mc_pool_destroy(pool) == MC_STATUS_STALE_HANDLE);
  }
  return store;
}

static void put_bytes(mc_store store, const char *key, const char *bytes) {
  mc_put put;
  const mc_put_options options = mc_put_options_default(strlen(bytes));
  CHECK(mc_store_put(store, key_of(key), &options, &put) == MC_STATUS_OK);
  CHECK(mc_put_write(put, 0, bytes, strlen(bytes)) == MC_STATUS_OK);
  CHECK(mc_put_commit(put) == MC_STATUS_OK);
}

static void objects_are_put_read_and_removed(void) {
  const mc_store store = make_store(1);
  const mc_key key = key_of("prefix/1");
  mc_put put;
  mc_put_report space;
  mc_lease lease;
  mc_lease_report report;
  char bytes[8] = {0};
  size_t length = 99;
  mc_put_options options = mc_put_options_default(5);
  options.align = 4096;
  CHECK(mc_store_put(store, key, &options, &put) == MC_STATUS_OK);
  CHECK(mc_put_describe(put, &space) == MC_STATUS_OK);
  CHECK(space.replicas == 1 && space.segment.low == 1 && space.address % 4096 == 0);
  CHECK(space.left_seconds > 500 && space.left_seconds <= 600);
  CHECK(mc_put_write(put, 0, "va", 2) == MC_STATUS_OK);
  /* What is at the address is the object's. */
  memcpy((char *)(uintptr_t)space.address + 2, "lue", 3);

  CHECK(!mc_store_exists(store, key));
  CHECK(mc_store_get(store, key, &lease) == MC_STATUS_NOT_STORED);
  CHECK(mc_store_put(store, key, &options, &put) == MC_STATUS_IN_FLIGHT);
  CHECK(mc_put_commit(put) == MC_STATUS_OK);
  CHECK(mc_put_commit(put) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_put_abort(put) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_put_write(put, 0, "x", 1) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_put(store, key, &options, &put) == MC_STATUS_EXISTS);
  CHECK(mc_store_exists(store, key));

  CHECK(mc_store_get(store, key, &lease) == MC_STATUS_OK);
  CHECK(mc_lease_describe(lease, &report) == MC_STATUS_OK);
  CHECK(report.size == 5 && report.parts == 1 && report.readable == 1 && report.has_checksum == 0);
  CHECK(report.address == space.address && report.segment.low == 1);
  CHECK(memcmp((const void *)(uintptr_t)report.address, "value", 5) == 0);
  CHECK(mc_lease_read(lease, 1, bytes, 3) == MC_STATUS_OK && strcmp(bytes, "alu") == 0);
  CHECK(mc_lease_read(lease, 3, bytes, 3) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_lease_read_all(lease, NULL, 0, &length) == MC_STATUS_ARRAY_TOO_SHORT && length == 5);
  CHECK(mc_lease_read_all(lease, bytes, 5, &length) == MC_STATUS_OK && length == 5);
  CHECK(memcmp(bytes, "value", 5) == 0);
  CHECK(mc_store_remove(store, key, MC_REMOVE_IF_IDLE) == MC_STATUS_LEASED);
  CHECK(mc_lease_release(lease) == MC_STATUS_OK);
  CHECK(mc_lease_release(lease) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_lease_read(lease, 0, bytes, 1) == MC_STATUS_STALE_HANDLE);

  CHECK(mc_store_read(store, key, NULL, 0, &length) == MC_STATUS_ARRAY_TOO_SHORT && length == 5);
  CHECK(mc_store_read(store, key, bytes, sizeof bytes, &length) == MC_STATUS_OK && length == 5);
  CHECK(memcmp(bytes, "value", 5) == 0);

  CHECK(mc_store_pin(store, key) == MC_STATUS_OK);
  CHECK(mc_store_remove(store, key, MC_REMOVE_DETACH) == MC_STATUS_PINNED);
  CHECK(mc_store_unpin(store, key) == MC_STATUS_OK);
  CHECK(mc_store_remove(store, key, 3) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_exists(store, key));
  CHECK(mc_store_remove(store, key, MC_REMOVE_IF_IDLE) == MC_STATUS_OK);
  CHECK(mc_store_remove(store, key, MC_REMOVE_IF_IDLE) == MC_STATUS_NOT_STORED);
  CHECK(mc_store_pin(store, key) == MC_STATUS_NOT_STORED);
  CHECK(mc_store_end_lease(store, key) == MC_STATUS_NOT_STORED);

  /* A put that is given back leaves nothing. */
  CHECK(mc_store_put(store, key, &options, &put) == MC_STATUS_OK);
  CHECK(mc_put_abort(put) == MC_STATUS_OK);
  mc_store_report stats;
  CHECK(mc_store_describe(store, &stats) == MC_STATUS_OK);
  CHECK(stats.objects == 0 && stats.in_flight == 0 && stats.abandoned == 1 && stats.removed == 1);
  CHECK(stats.committed == 1 && stats.free_bytes == POOL_BYTES && stats.refused.key_taken == 2);
  CHECK(mc_store_check_invariants(store) == MC_STATUS_OK);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
  CHECK(mc_store_destroy(store) == MC_STATUS_STALE_HANDLE);
}

static void a_refusal_has_a_message_and_figures(void) {
  const mc_store store = make_store(1);
  mc_put put = {0};
  mc_figures figures;
  mc_put_options options = mc_put_options_default(POOL_BYTES);
  put_bytes(store, "pinned", "x");
  CHECK(mc_store_pin(store, key_of("pinned")) == MC_STATUS_OK);
  CHECK(mc_store_put(store, key_of("all"), &options, &put) == MC_STATUS_NO_SPACE);
  CHECK(strstr(mc_error_message(), "1 objects are pinned") != NULL);
  CHECK(mc_error_figures(&figures) == MC_STATUS_OK);
  CHECK(figures.asked == POOL_BYTES && figures.free == POOL_BYTES - 1);
  CHECK(figures.largest_hole == POOL_BYTES - 1 && figures.used == 0 && figures.most == 0);

  options.size = POOL_BYTES + 1;
  CHECK(mc_store_put(store, key_of("more"), &options, &put) == MC_STATUS_TOO_LARGE);
  CHECK(mc_error_figures(&figures) == MC_STATUS_OK && figures.asked == POOL_BYTES + 1);

  CHECK(mc_store_tenant(store, "a", 100, 50) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_tenant(store, "a", 2 * POOL_BYTES, MC_NO_LIMIT) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_tenant(store, "a", 0, 1000) == MC_STATUS_OK);
  options.size = 1001;
  options.tenant = "a";
  CHECK(mc_store_put(store, key_of("a/1"), &options, &put) == MC_STATUS_QUOTA_EXCEEDED);
  CHECK(mc_error_figures(&figures) == MC_STATUS_OK);
  CHECK(figures.asked == 1001 && figures.used == 0 && figures.most == 1000);
  CHECK(put.id == 0);

  /* Another failure takes the place of the figures. */
  CHECK(mc_put_abort(put) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_error_figures(&figures) == MC_STATUS_OK && figures.asked == 0);
  CHECK(mc_error_figures(NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
}

/* Objects that lack replicas, and the numbers of the last one. */
struct lacking {
  size_t objects;
  uint32_t readable;
  uint32_t wanted;
};

static void note_lacking(void *context, mc_key key, uint32_t readable, uint32_t wanted) {
  struct lacking *lacking = context;
  CHECK(key.bytes == 1 && memcmp(key.start, "k", 1) == 0);
  ++lacking->objects;
  lacking->readable = readable;
  lacking->wanted = wanted;
}

static struct lacking lacking_of(mc_store store) {
  struct lacking lacking = {0, 0, 0};
  CHECK(mc_store_under_replicated(store, note_lacking, &lacking) == MC_STATUS_OK);
  return lacking;
}

static bool fail_to_copy(void *context, const mc_descriptor *from, const mc_descriptor *to,
                         uint64_t offset, uint64_t bytes) {
  CHECK(from->segment.low != to->segment.low && offset == 0 && bytes == 5 && to->size == 5);
  ++*(size_t *)context;
  return false;
}

static void note_dropped(void *context, mc_key key) {
  CHECK(key.bytes == 1 && memcmp(key.start, "k", 1) == 0);
  ++*(size_t *)context;
}

static void replicas_are_added_missed_and_dropped(void) {
  const mc_store store = make_store(2);
  const mc_key key = key_of("k");
  mc_put put;
  mc_lease lease;
  mc_lease_report report;
  mc_figures figures;
  uint32_t mounting = 9;
  size_t calls = 0;
  mc_put_options options = mc_put_options_default(5);
  options.replicas = 2;
  options.replicas_least = 1;
  CHECK(mc_store_suspend(store, segment_id(2)) == MC_STATUS_OK);
  CHECK(mc_store_put(store, key, &options, &put) == MC_STATUS_OK);
  CHECK(mc_put_write(put, 0, "value", 5) == MC_STATUS_OK && mc_put_commit(put) == MC_STATUS_OK);
  put_bytes(store, "once", "needs no other");
  struct lacking lacking = lacking_of(store);
  CHECK(lacking.objects == 1 && lacking.readable == 1 && lacking.wanted == 2);
  CHECK(mc_store_add_replica(store, key, NULL, NULL) == MC_STATUS_TOO_LARGE);
  CHECK(mc_error_figures(&figures) == MC_STATUS_OK && figures.asked == 5);

  /* What is leased stays as it is, and so does what is not copied. */
  CHECK(mc_store_resume(store, segment_id(2)) == MC_STATUS_OK);
  CHECK(mc_store_get(store, key, &lease) == MC_STATUS_OK);
  CHECK(mc_store_add_replica(store, key, NULL, NULL) == MC_STATUS_BUSY);
  CHECK(strstr(mc_error_message(), "leased") != NULL);
  CHECK(mc_lease_release(lease) == MC_STATUS_OK);
  CHECK(mc_store_add_replica(store, key, fail_to_copy, &calls) == MC_STATUS_COPY_FAILED);
  CHECK(calls == 1 && lacking_of(store).objects == 1);

  CHECK(mc_store_add_replica(store, key, NULL, NULL) == MC_STATUS_OK);
  CHECK(lacking_of(store).objects == 0);
  CHECK(mc_store_add_replica(store, key, NULL, NULL) == MC_STATUS_TOO_LARGE);
  CHECK(mc_store_get(store, key, &lease) == MC_STATUS_OK);
  CHECK(mc_lease_describe(lease, &report) == MC_STATUS_OK && report.readable == 2);
  CHECK(mc_lease_release(lease) == MC_STATUS_OK);
  CHECK(mc_store_unmount(store, segment_id(1), NULL, NULL) == MC_STATUS_OK);
  lacking = lacking_of(store);
  CHECK(lacking.objects == 1 && lacking.readable == 1 && lacking.wanted == 2);
  char bytes[5];
  size_t length = 0;
  CHECK(mc_store_read(store, key, bytes, sizeof bytes, &length) == MC_STATUS_OK);
  CHECK(length == 5 && memcmp(bytes, "value", 5) == 0);

  /* The memory of a newer epoch has none of the older one's bytes. */
  const mc_pool pool = make_pool();
  mc_segment_options newer = local(2, pool);
  newer.epoch = 1;
  CHECK(mc_store_mount(store, &newer, &mounting) == MC_STATUS_OK && mounting == MC_REPLACED);
  calls = 0;
  CHECK(mc_store_drop_unreadable(store, note_dropped, &calls) == MC_STATUS_OK && calls == 1);
  CHECK(mc_store_drop_unreadable(store, NULL, NULL) == MC_STATUS_OK);
  CHECK(mc_store_add_replica(store, key, NULL, NULL) == MC_STATUS_NOT_STORED);
  CHECK(mc_pool_destroy(pool) == MC_STATUS_OK && mc_store_destroy(store) == MC_STATUS_OK);
}

/* Puts under way that are told, and what they have to be. */
struct under_way {
  size_t told;
  const char *keys[2];
  double ages[2];
  double left[2];
  uint64_t addresses[2];
};

static void compare_in_flight(void *context, const mc_in_flight_report *put) {
  struct under_way *expected = context;
  const size_t at = expected->told++;
  CHECK(at < 2 && put->key.bytes == strlen(expected->keys[at]));
  CHECK(memcmp(put->key.start, expected->keys[at], put->key.bytes) == 0);
  CHECK(put->age_seconds == expected->ages[at] && put->left_seconds == expected->left[at]);
  CHECK(put->replica_count == 1 && put->replicas[0].address == expected->addresses[at]);
  CHECK(put->replicas[0].size == 10 && put->replicas[0].extent_count == 1);
  CHECK(strcmp(put->replicas[0].protocol, "tcp") == 0);
}

static void puts_under_way_are_told(void) {
  const mc_store store = make_store(1);
  mc_put early, late;
  mc_put_report report;
  mc_put_options options = mc_put_options_default(10);
  CHECK(mc_store_put(store, key_of("early"), &options, &early) == MC_STATUS_OK);
  CHECK(mc_put_describe(early, &report) == MC_STATUS_OK);
  const uint64_t early_address = report.address;
  clock_nanoseconds += 1500000000;
  options.deadline_seconds = 5;
  CHECK(mc_store_put(store, key_of("late"), &options, &late) == MC_STATUS_OK);
  CHECK(mc_put_describe(late, &report) == MC_STATUS_OK);
  clock_nanoseconds += 2000000000;
  struct under_way both = {
      0, {"late", "early"}, {2, 3.5}, {3, 596.5}, {report.address, early_address}};
  CHECK(mc_store_in_flight(store, compare_in_flight, &both) == MC_STATUS_OK && both.told == 2);

  /* A deadline ends a put; what was committed is under way no more. */
  clock_nanoseconds += 3000000000;
  struct under_way one = {0, {"early", ""}, {6.5, 0}, {593.5, 0}, {early_address, 0}};
  CHECK(mc_store_in_flight(store, compare_in_flight, &one) == MC_STATUS_OK && one.told == 1);
  CHECK(mc_put_commit(late) == MC_STATUS_EXPIRED && mc_put_commit(early) == MC_STATUS_OK);
  one.told = 0;
  CHECK(mc_store_in_flight(store, compare_in_flight, &one) == MC_STATUS_OK && one.told == 0);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
}

static void count_key(void *context, mc_key key) {
  CHECK(key.bytes > 0);
  ++*(size_t *)context;
}

static void count_segment(void *context, const mc_segment_report *segment) {
  CHECK(segment->capacity == POOL_BYTES && segment->state == MC_SEGMENT_OK);
  CHECK(strcmp(segment->name, segment->id.low == 1 ? "1" : "2") == 0 && segment->host[0] == 0);
  ++*(size_t *)context;
}

static void ignore_event(void *context, const mc_event *event) {
  (void)event;
  ++*(size_t *)context;
}

static void ignore_descriptor(void *context, const mc_descriptor *descriptor) {
  CHECK(descriptor->extent_count == 1 && strcmp(descriptor->protocol, "tcp") == 0);
  ++*(size_t *)context;
}

/* Null pointers, handles of other kinds and numbers out of range, for every function. */
static void nonsense_is_refused_and_changes_nothing(void) {
  const mc_store store = make_store(2);
  const mc_store stale = {store.id ^ (uint64_t)1 << 60};
  const mc_key key = key_of("k"), null_key = {NULL, 3};
  const mc_put_options one = mc_put_options_default(1);
  size_t count = 0;
  mc_put put = {0};
  mc_lease lease = {0};
  mc_chain chain = {0};
  mc_events events = {0};
  mc_pool pool = {0};
  mc_store other = {0};
  put_bytes(store, "k", "v");

  mc_store_options options = mc_store_options_default();
  CHECK(mc_store_create(NULL, &other) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_create(&options, NULL) == MC_STATUS_INVALID_ARGUMENT);
  for (int at = 0; at < 13; ++at) {
    options = mc_store_options_default();
    switch (at) {
      case 0: options.struct_bytes = 8; break;
      case 1: options.policy = 6; break;
      case 2: options.eviction = 2; break;
      case 3: options.strategy = 5; break;
      case 4: options.durability = 2; break;
      case 5: options.has_checksums = 2; break;
      case 6: options.extents_max = 0; break;
      case 7: options.high_percent = 50; options.low_percent = 60; break;
      case 8: options.high_percent = 300; break;
      case 9: options.keep_percent = 101; break;
      case 10: options.moved_per_placed = -1; break;
      case 11: options.lease_max_seconds = -0.5; break;
      default: options.reserved = 1;
    }
    CHECK(mc_store_create(&options, &other) == MC_STATUS_INVALID_ARGUMENT && other.id == 0);
    CHECK(mc_error_message()[0] != 0);
  }
  options = mc_store_options_default();
  CHECK(mc_store_open(&options, NULL, NULL, 0, &other) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_open(&options, "", NULL, 1, &other) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_open(&options, "/proc/none", NULL, 0, &other) == MC_STATUS_SYSTEM);

  CHECK(mc_pool_create(NULL, NULL, &pool) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_pool_over(NULL, 10, &pool) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_pool_over(&count, 0, &pool) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_pool_over(&count, SIZE_MAX, &pool) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_pool_over((void *)(UINTPTR_MAX - 4095), 8192, &pool) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_pool_describe(pool, NULL) == MC_STATUS_INVALID_ARGUMENT);

  mc_segment_options segment = mc_segment_options_default(segment_id(9), 0, 1 << 20);
  CHECK(mc_store_mount(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_mount(stale, &segment, NULL) == MC_STATUS_STALE_HANDLE);
  for (int at = 0; at < 8; ++at) {
    segment = mc_segment_options_default(segment_id(9), 0, 1 << 20);
    switch (at) {
      case 0: segment.size = 0; break;
      case 1: segment.granule = 3; break;
      case 2: segment.fit = 4; break;
      case 3: segment.probes = 4; break;
      case 4: segment.memory_start = 1; break;
      case 5: segment.base = UINT64_MAX; break;
      case 6: segment.reserved = 1; break;
      default: segment.name = "\xff"; break;
    }
    CHECK(mc_store_mount(store, &segment, NULL) == MC_STATUS_INVALID_ARGUMENT);
  }
  segment = mc_segment_options_default(segment_id(9), 0, 1 << 20);
  segment.memory.id = store.id;
  CHECK(mc_store_mount(store, &segment, NULL) == MC_STATUS_STALE_HANDLE);
  segment.memory.id = 0;
  segment.id = segment_id(1);
  CHECK(mc_store_mount(store, &segment, NULL) == MC_STATUS_INVALID_ARGUMENT);

  CHECK(mc_store_put(stale, key, &one, &put) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_put(store, null_key, &one, &put) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_put(store, key, NULL, &put) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_put(store, key_of("new"), &one, NULL) == MC_STATUS_INVALID_ARGUMENT);
  for (int at = 0; at < 14; ++at) {
    static const uint64_t empty_part[] = {1, 0};
    mc_put_options wrong = one;
    switch (at) {
      case 0: wrong.struct_bytes = 0; break;
      case 1: wrong.size = 0; break;
      case 2: wrong.align = 3; break;
      case 3: wrong.extents_max = 0; break;
      case 4: wrong.replicas = 0; break;
      case 5: wrong.replicas_least = 2; break;
      case 6: wrong.priority = 128; break;
      case 7: wrong.part_count = 1; break;
      case 8: wrong.parts = empty_part; wrong.part_count = 2; break;
      case 9: wrong.parent = null_key; break;
      case 10: wrong.preferred_count = 1; break;
      case 11: wrong.cost_seconds = -1; break;
      case 12: wrong.deadline_seconds = 1e30; break;
      default: wrong.tenant = "\xff"; break;
    }
    CHECK(mc_store_put(store, key_of("new"), &wrong, &put) == MC_STATUS_INVALID_ARGUMENT);
  }
  CHECK(put.id == 0);
  CHECK(mc_put_describe(put, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_put_descriptors(put, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_put_descriptors(put, ignore_descriptor, &count) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_put_set_checksum(put, 1) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_put_write(put, 0, NULL, 1) == MC_STATUS_INVALID_ARGUMENT);
  put.id = store.id;
  CHECK(mc_put_commit(put) == MC_STATUS_STALE_HANDLE);

  mc_placement placement = {0};
  CHECK(mc_store_place(stale, &one, &placement) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_place(store, NULL, &placement) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_place(store, &one, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_placement_descriptors(placement, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_placement_write(placement, 0, NULL, 1) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_placement_read(placement, 0, NULL, 1) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_placement_free(placement) == MC_STATUS_STALE_HANDLE);

  CHECK(mc_store_put_many(store, NULL, 1, &one, &chain) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_put_many(store, NULL, 0, NULL, &chain) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_chain_describe(chain, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_chain_refusal(chain) == MC_STATUS_STALE_HANDLE);
  CHECK(!mc_chain_is_missing(chain, 0));
  CHECK(mc_chain_write(chain, 0, 0, "x", 1) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_chain_descriptors(chain, 0, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_chain_commit(chain, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_chain_abort(chain) == MC_STATUS_STALE_HANDLE);

  CHECK(mc_store_get(stale, key, &lease) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_get(store, null_key, &lease) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get(store, key, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get_for(store, key, -1, &lease) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get_many(store, NULL, 1, &lease, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get_many(store, &key, 1, NULL, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get_many(store, &null_key, 1, &lease, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_get_many(store, &key, 1, &lease, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(lease.id == 0 && count == 0);
  CHECK(mc_lease_describe(lease, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_lease_descriptors(lease, ignore_descriptor, &count) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_lease_parts(lease, NULL, 1, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_lease_read(lease, 0, NULL, 1) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_lease_read_all(lease, NULL, 1, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_lease_read_all(lease, NULL, 0, &count) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_read(store, key, NULL, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_read(store, key, NULL, 9, &count) == MC_STATUS_INVALID_ARGUMENT);

  CHECK(!mc_store_exists(stale, key) && !mc_store_exists(store, null_key));
  CHECK(mc_store_remove(stale, key, 0) == MC_STATUS_STALE_HANDLE);
  const mc_key keys[] = {key, null_key};
  mc_status removed[] = {MC_STATUS_BUSY, MC_STATUS_BUSY};
  CHECK(mc_store_remove_many(stale, keys, 1, 0, removed) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_remove_many(store, keys, 1, 3, removed) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_remove_many(store, keys, 2, 0, removed) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_remove_many(store, keys, 1, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_remove_many(store, NULL, 1, 0, removed) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_remove_many(store, NULL, 0, 0, NULL) == MC_STATUS_OK);
  CHECK(removed[0] == MC_STATUS_BUSY && mc_store_exists(store, key));
  CHECK(mc_store_pin(store, null_key) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_unpin(stale, key) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_tenant(store, NULL, 0, 0) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_keys(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_lost(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_damage(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_segments(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_tenants(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_describe(store, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_sync(stale) == MC_STATUS_STALE_HANDLE && mc_store_now(stale) == 0);

  mc_idle_compactor compactor = {0};
  CHECK(mc_store_add_replica(stale, key, NULL, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_add_replica(store, null_key, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_under_replicated(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_under_replicated(stale, note_lacking, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_drop_unreadable(stale, NULL, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_in_flight(store, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_in_flight(stale, compare_in_flight, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_compact_when_idle(store, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_compact_when_idle(stale, 1, &compactor) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_idle_compactor_stop(compactor) == MC_STATUS_STALE_HANDLE);

  const mc_segment_id nowhere = segment_id(77);
  CHECK(mc_store_suspend(store, nowhere) == MC_STATUS_NOT_MOUNTED);
  CHECK(mc_store_drain(stale, segment_id(1)) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_store_finish_drain(store, segment_id(1)) == MC_STATUS_WRONG_STATE);
  CHECK(mc_store_unmount(store, nowhere, NULL, NULL) == MC_STATUS_NOT_MOUNTED);
  CHECK(mc_store_shrink(store, nowhere, 1, NULL) == MC_STATUS_NOT_MOUNTED);
  CHECK(mc_store_shrink(store, segment_id(1), 2 * POOL_BYTES, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_store_grow(store, segment_id(1), 2 * POOL_BYTES) == MC_STATUS_INVALID_ARGUMENT);

  CHECK(mc_store_events(store, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_events_poll(events, 1, NULL, NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_events_poll(events, 1, ignore_event, &count, NULL) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_events_destroy(events) == MC_STATUS_STALE_HANDLE);

  count = 0;
  CHECK(mc_store_keys(store, count_key, &count) == MC_STATUS_OK && count == 1);
  count = 0;
  CHECK(mc_store_segments(store, count_segment, &count) == MC_STATUS_OK && count == 2);
  mc_store_report stats;
  CHECK(mc_store_describe(store, &stats) == MC_STATUS_OK);
  CHECK(stats.objects == 1 && stats.in_flight == 0 && stats.capacity_bytes == 2 * POOL_BYTES);
  CHECK(mc_store_check_invariants(store) == MC_STATUS_OK);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
}

static void memory_of_an_arena_serves_as_a_segment(void) {
  mc_arena arena;
  void *slice = NULL;
  mc_arena_options options = mc_arena_options_default(POOL_BYTES);
  options.pages = MC_PAGES_OFF;
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(arena, 4096, 4096, &slice) == MC_STATUS_OK);
  mc_pool pool;
  CHECK(mc_pool_over(slice, 4096, &pool) == MC_STATUS_OK);
  const mc_store store = make_store(0);
  const mc_segment_options segment = local(5, pool);
  CHECK(mc_store_mount(store, &segment, NULL) == MC_STATUS_OK);
  put_bytes(store, "here", "in the arena");
  CHECK(memcmp(slice, "in the arena", 12) == 0);
  CHECK(mc_pool_destroy(pool) == MC_STATUS_OK);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
}

/* A caller whose functions use the store that they are told of. */
struct user {
  mc_store store;
  mc_events events;
  size_t calls;
};

/* Every function that says so may use the library, also on what it is told of. */
static void replace_key(void *context, mc_key key) {
  struct user *user = context;
  char name[32];
  mc_lease lease;
  snprintf(name, sizeof name, "new/%zu", user->calls++);
  CHECK(mc_store_get(user->store, key, &lease) == MC_STATUS_OK);
  CHECK(mc_lease_release(lease) == MC_STATUS_OK);
  CHECK(mc_store_remove(user->store, key, MC_REMOVE_IF_IDLE) == MC_STATUS_OK);
  put_bytes(user->store, name, "new");
}

static void add_what_lacks(void *context, mc_key key, uint32_t readable, uint32_t wanted) {
  struct user *user = context;
  ++user->calls;
  CHECK(readable == 1 && wanted == 2);
  CHECK(mc_store_add_replica(user->store, key, NULL, NULL) == MC_STATUS_OK);
}

/* Is told one event with each poll, so that the next poll is within this one. */
static void poll_next(void *context, const mc_event *event) {
  struct user *user = context;
  size_t count = 0;
  (void)event;
  ++user->calls;
  CHECK(mc_store_keys(user->store, count_key, &count) == MC_STATUS_OK && count == 3);
  CHECK(mc_events_poll(user->events, 1, poll_next, user, NULL) == MC_STATUS_OK);
}

static void functions_of_the_caller_use_the_library(void) {
  struct user user = {make_store(2), {0}, 0};
  mc_put_options options = mc_put_options_default(5);
  mc_put put;
  CHECK(mc_store_events(user.store, 16, &user.events) == MC_STATUS_OK);
  put_bytes(user.store, "old/1", "1");
  put_bytes(user.store, "old/2", "2");
  CHECK(mc_store_keys(user.store, replace_key, &user) == MC_STATUS_OK && user.calls == 2);

  options.replicas = 2;
  options.replicas_least = 1;
  CHECK(mc_store_suspend(user.store, segment_id(2)) == MC_STATUS_OK);
  CHECK(mc_store_put(user.store, key_of("twice"), &options, &put) == MC_STATUS_OK);
  CHECK(mc_put_write(put, 0, "value", 5) == MC_STATUS_OK && mc_put_commit(put) == MC_STATUS_OK);
  CHECK(mc_store_resume(user.store, segment_id(2)) == MC_STATUS_OK);
  user.calls = 0;
  CHECK(mc_store_under_replicated(user.store, add_what_lacks, &user) == MC_STATUS_OK);
  CHECK(user.calls == 1 && lacking_of(user.store).objects == 0);

  user.calls = 0;
  CHECK(mc_events_poll(user.events, 1, poll_next, &user, NULL) == MC_STATUS_OK);
  CHECK(user.calls > 2);
  CHECK(mc_events_destroy(user.events) == MC_STATUS_OK);
  CHECK(mc_store_destroy(user.store) == MC_STATUS_OK);
}

/* A child has nothing of its parent's store, and may have one of its own. */
static void a_child_has_stores_of_its_own(void) {
  const mc_store store = make_store(1);
  const mc_put_options options = mc_put_options_default(1);
  mc_put put;
  mc_lease lease;
  mc_events events;
  put_bytes(store, "k", "v");
  CHECK(mc_store_put(store, key_of("open"), &options, &put) == MC_STATUS_OK);
  CHECK(mc_store_get(store, key_of("k"), &lease) == MC_STATUS_OK);
  CHECK(mc_store_events(store, 8, &events) == MC_STATUS_OK);
  const pid_t child = fork();
  if (child == 0) {
    mc_lease other;
    mc_lease_report report;
    CHECK(mc_store_get(store, key_of("k"), &other) == MC_STATUS_OTHER_PROCESS);
    CHECK(strstr(mc_error_message(), "forked") != NULL);
    CHECK(mc_store_destroy(store) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_put_write(put, 0, "x", 1) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_put_commit(put) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_lease_describe(lease, &report) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_lease_release(lease) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_events_destroy(events) == MC_STATUS_OTHER_PROCESS);
    CHECK(mc_store_add_replica(store, key_of("k"), NULL, NULL) == MC_STATUS_OTHER_PROCESS);
    const mc_store own = make_store(1);
    put_bytes(own, "k", "mine");
    CHECK(mc_store_get(own, key_of("k"), &other) == MC_STATUS_OK && other.id != lease.id);
    CHECK(mc_lease_release(other) == MC_STATUS_OK);
    CHECK(mc_store_destroy(own) == MC_STATUS_OK);
    _exit(0);
  }
  int status = 0;
  CHECK(child > 0 && waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  CHECK(mc_put_commit(put) == MC_STATUS_OK && mc_lease_release(lease) == MC_STATUS_OK);
  CHECK(mc_events_destroy(events) == MC_STATUS_OK);
  CHECK(mc_store_destroy(store) == MC_STATUS_OK);
}

int main(void) {
  objects_are_put_read_and_removed();
  a_refusal_has_a_message_and_figures();
  replicas_are_added_missed_and_dropped();
  puts_under_way_are_told();
  nonsense_is_refused_and_changes_nothing();
  memory_of_an_arena_serves_as_a_segment();
  functions_of_the_caller_use_the_library();
  a_child_has_stores_of_its_own();
  return 0;
}
