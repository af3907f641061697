// Every function of mc_alloc.h once as it is meant, and once with each argument that is refused.

#include "mc_alloc.h"

#include <stdint.h>
#include <string.h>

#include "check.h"

static int message_has(const char *part) { return strstr(mc_error_message(), part) != NULL; }

static void version_is_that_of_the_header(void) {
  char version[32];
  snprintf(version, sizeof version, "%d.%d.%d", MC_ALLOC_VERSION_MAJOR, MC_ALLOC_VERSION_MINOR,
           MC_ALLOC_VERSION_PATCH);
  CHECK(strcmp(mc_version(), version) == 0);
}

#define CHECK_NAME(status) CHECK(strcmp(mc_status_name(status), #status) == 0)

static void every_status_has_its_name(void) {
  CHECK_NAME(MC_STATUS_OK);
  CHECK_NAME(MC_STATUS_INVALID_ARGUMENT);
  CHECK_NAME(MC_STATUS_STALE_HANDLE);
  CHECK_NAME(MC_STATUS_NOT_LIVE);
  CHECK_NAME(MC_STATUS_NO_SPACE);
  CHECK_NAME(MC_STATUS_TOO_LARGE);
  CHECK_NAME(MC_STATUS_LIMIT_REACHED);
  CHECK_NAME(MC_STATUS_OCCUPIED);
  CHECK_NAME(MC_STATUS_OUT_OF_MEMORY);
  CHECK_NAME(MC_STATUS_ARRAY_TOO_SHORT);
  CHECK_NAME(MC_STATUS_INVALID_STATE);
  CHECK_NAME(MC_STATUS_INVALID_ENVIRONMENT);
  CHECK_NAME(MC_STATUS_NOT_CONFIGURED);
  CHECK_NAME(MC_STATUS_SYSTEM);
  CHECK_NAME(MC_STATUS_INTERNAL);
  CHECK_NAME(MC_STATUS_OTHER_PROCESS);
  CHECK(strcmp(mc_status_name(MC_STATUS_COPY_FAILED + 1), "unknown status") == 0);
  CHECK(strcmp(mc_status_name(UINT32_MAX), "unknown status") == 0);
}

static mc_offset make_offset(uint64_t base, uint64_t capacity) {
  const mc_offset_options options = mc_offset_options_default(base, capacity);
  mc_offset allocator = {0};
  CHECK(mc_offset_create(&options, &allocator) == MC_STATUS_OK);
  CHECK(allocator.id != 0);
  return allocator;
}

static void options_of_an_offset_allocator_are_checked(void) {
  const mc_offset_options good = mc_offset_options_default(0, 4096);
  mc_offset allocator = {0};
  CHECK(mc_offset_create(NULL, &allocator) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(message_has("options is null"));
  CHECK(mc_offset_create(&good, NULL) == MC_STATUS_INVALID_ARGUMENT);
  mc_offset_options bad[8];
  for (int at = 0; at < 8; ++at) bad[at] = good;
  bad[0].capacity = 0;
  bad[1].granule = 3;
  bad[2].granule = 8192;
  bad[3].fit = 4;
  bad[4].probes = 1;
  bad[5].fit = MC_FIT_GOOD;
  bad[6].reserved = 1;
  bad[7].base = UINT64_MAX - 100;
  for (int at = 0; at < 8; ++at) {
    CHECK(mc_offset_create(&bad[at], &allocator) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(strlen(mc_error_message()) > 10);
    CHECK(allocator.id == 0);
  }
}

static void a_token_frees_once(void) {
  const mc_offset allocator = make_offset(0x10000, 1 << 20);
  const mc_offset other = make_offset(0, 1 << 20);
  mc_token token, unwritten = {0};
  CHECK(mc_offset_allocate(allocator, 1000, &token) == MC_STATUS_OK);
  CHECK(token.size == 1000);
  CHECK(mc_offset_is_live(allocator, token));
  CHECK(!mc_offset_is_live(other, token));
  CHECK(mc_offset_free(other, token) == MC_STATUS_NOT_LIVE);
  CHECK(mc_offset_free(allocator, unwritten) == MC_STATUS_NOT_LIVE);
  for (size_t bit = 0; bit < 8 * sizeof token; ++bit) {
    mc_token damaged = token;
    ((unsigned char *)&damaged)[bit / 8] ^= (unsigned char)(1U << bit % 8);
    CHECK(!mc_offset_is_live(allocator, damaged));
    CHECK(mc_offset_free(allocator, damaged) == MC_STATUS_NOT_LIVE);
    CHECK(message_has("changed"));
  }
  CHECK(mc_offset_free(allocator, token) == MC_STATUS_OK);
  CHECK(mc_offset_free(allocator, token) == MC_STATUS_NOT_LIVE);
  CHECK(!mc_offset_is_live(allocator, token));
  CHECK(mc_offset_destroy(other) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

static void refusals_say_why(void) {
  const mc_offset allocator = make_offset(64, 4096);
  mc_token token, rest;
  memset(&token, 7, sizeof token);
  const mc_token before = token;
  CHECK(mc_offset_allocate(allocator, 0, &token) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_allocate(allocator, 4097, &token) == MC_STATUS_TOO_LARGE);
  CHECK(mc_offset_allocate(allocator, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_allocate_aligned(allocator, 1, 3, &token) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_allocate_aligned(allocator, 1, 128, &token) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(message_has("base 0x40"));
  CHECK(mc_offset_allocate_at(allocator, 4000, 97, &token) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(memcmp(&token, &before, sizeof token) == 0);
  CHECK(mc_offset_allocate_at(allocator, 100, 10, &token) == MC_STATUS_OK);
  CHECK(token.offset == 100);
  CHECK(mc_offset_allocate_at(allocator, 109, 10, &rest) == MC_STATUS_OCCUPIED);
  CHECK(mc_offset_allocate(allocator, 4096, &rest) == MC_STATUS_NO_SPACE);
  CHECK(message_has("4086 bytes are free, the largest hole has 3986"));
  CHECK(mc_offset_allocate_aligned(allocator, 64, 64, &rest) == MC_STATUS_OK);
  CHECK(rest.offset % 64 == 0);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

static void a_limit_is_exact(void) {
  mc_offset_options options = mc_offset_options_default(0, 4096);
  options.max_allocations = 2;
  mc_offset allocator;
  mc_token tokens[3];
  CHECK(mc_offset_create(&options, &allocator) == MC_STATUS_OK);
  CHECK(mc_offset_allocate(allocator, 1, &tokens[0]) == MC_STATUS_OK);
  CHECK(mc_offset_allocate(allocator, 1, &tokens[1]) == MC_STATUS_OK);
  CHECK(mc_offset_allocate(allocator, 1, &tokens[2]) == MC_STATUS_LIMIT_REACHED);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

// The part of a handle that tells values of one kind apart.
static uint64_t without_kind(uint64_t id) { return id << 8; }

// Makes slots whose handle differs from that of an allocator in its kind alone.
static mc_slots make_slots_beside(mc_offset allocator) {
  mc_slots slots;
  CHECK(mc_slots_create(8, 8, &slots) == MC_STATUS_OK);
  // The one place in the table is used again, each time under the next number.
  while (without_kind(slots.id) < without_kind(allocator.id)) {
    CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
    CHECK(mc_slots_create(8, 8, &slots) == MC_STATUS_OK);
  }
  CHECK(without_kind(slots.id) == without_kind(allocator.id));
  return slots;
}

static void stale_null_and_foreign_handles_are_errors(void) {
  const mc_offset stale = make_offset(0, 4096);
  CHECK(mc_offset_is_alive(stale));
  CHECK(mc_offset_destroy(stale) == MC_STATUS_OK);
  // A later allocator takes the place of the stale one in the table, under another id.
  const mc_offset later = make_offset(0, 4096);
  const mc_slots slots = make_slots_beside(later);
  const mc_offset handles[] = {stale, {0}, {slots.id}, {UINT64_MAX}, {later.id ^ 1}};
  for (size_t at = 0; at < sizeof handles / sizeof *handles; ++at) {
    const mc_offset handle = handles[at];
    const mc_token token = {0};
    const mc_block block = {0};
    mc_token out;
    mc_owned owned;
    mc_offset_report report;
    mc_regions regions;
    uint64_t number;
    size_t count;
    CHECK(!mc_offset_is_alive(handle));
    CHECK(!mc_offset_is_live(handle, token));
    CHECK(mc_offset_allocate(handle, 1, &out) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_allocate_aligned(handle, 1, 8, &out) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_allocate_at(handle, 0, 1, &out) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_free(handle, token) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_describe(handle, &report) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_regions(handle, &regions) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_largest_hole(handle, &number) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_recent_largest_hole(handle, &number) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_normalized_size(handle, 1, &number) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_live(handle, NULL, 0, &count) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_snapshot(handle, NULL, 0, &count) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_claim(handle, block, &out) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_owned_allocate(handle, 1, 0, &owned) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_owned_claim(handle, block, &owned) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_offset_destroy(handle) == MC_STATUS_STALE_HANDLE);
  }
  const mc_slots no_slots = {later.id};
  const mc_arena no_arena = {later.id};
  uint32_t index;
  void *bytes;
  CHECK(mc_slots_allocate(no_slots, &index) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_slots_free(no_slots, 0) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_arena_allocate(no_arena, 1, 0, &bytes) == MC_STATUS_STALE_HANDLE);
  CHECK(mc_arena_destroy(no_arena) == MC_STATUS_STALE_HANDLE);
  CHECK(!mc_arena_owns(no_arena, &index));
  CHECK(mc_offset_destroy(later) == MC_STATUS_OK);
  CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
}

static void null_results_are_errors_and_allocate_nothing(void) {
  const mc_offset allocator = make_offset(0, 4096);
  const mc_block block = {0};
  mc_slots slots;
  CHECK(mc_slots_create(8, 8, &slots) == MC_STATUS_OK);
  CHECK(mc_offset_allocate(allocator, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_owned_allocate(allocator, 1, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_owned_claim(allocator, block, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_owned_free(NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_allocate_aligned(allocator, 1, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_allocate_at(allocator, 0, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_claim(allocator, block, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_describe(allocator, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_regions(allocator, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_largest_hole(allocator, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_recent_largest_hole(allocator, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_normalized_size(allocator, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_live(allocator, NULL, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_snapshot(allocator, NULL, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  size_t count = 0;
  CHECK(mc_offset_live(allocator, NULL, 1, &count) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_snapshot(allocator, NULL, 1, &count) == MC_STATUS_INVALID_ARGUMENT);
  mc_offset restored;
  CHECK(mc_offset_restore(0, NULL, 8, &restored) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_restore(0, NULL, 0, &restored) == MC_STATUS_INVALID_STATE);
  CHECK(mc_offset_restore(0, NULL, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_restore_from(NULL, NULL, 0, &restored, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_create(8, 8, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_allocate(slots, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_describe(slots, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_live(slots, NULL, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_create(NULL, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_create_from_environment(NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_buffer_allocate(1, 0, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_buffer_describe(NULL) == MC_STATUS_INVALID_ARGUMENT);
  mc_offset_report report;
  CHECK(mc_offset_describe(allocator, &report) == MC_STATUS_OK);
  CHECK(report.allocation_count == 0 && report.free_bytes == 4096);
  mc_slots_report slots_report;
  CHECK(mc_slots_describe(slots, &slots_report) == MC_STATUS_OK);
  CHECK(slots_report.live_count == 0 && slots_report.slot_bytes == 8);
  CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

static void reports_add_up(void) {
  const mc_offset allocator = make_offset(1 << 20, 10000);
  mc_token tokens[8];
  for (int at = 0; at < 8; ++at) {
    CHECK(mc_offset_allocate(allocator, 1000, &tokens[at]) == MC_STATUS_OK);
  }
  CHECK(mc_offset_free(allocator, tokens[1]) == MC_STATUS_OK);
  CHECK(mc_offset_free(allocator, tokens[4]) == MC_STATUS_OK);
  mc_offset_report report;
  CHECK(mc_offset_describe(allocator, &report) == MC_STATUS_OK);
  CHECK(report.base == 1 << 20 && report.capacity == 10000);
  CHECK(report.live_bytes == 6000 && report.charged_bytes == 6000);
  CHECK(report.free_bytes == 4000 && report.largest_hole == 2000);
  CHECK(report.allocation_count == 6 && report.hole_count == 3);
  CHECK(report.metadata_bytes > 0);
  uint64_t largest, recent, normalized;
  CHECK(mc_offset_largest_hole(allocator, &largest) == MC_STATUS_OK && largest == 2000);
  CHECK(mc_offset_recent_largest_hole(allocator, &recent) == MC_STATUS_OK && recent >= 2000);
  CHECK(mc_offset_normalized_size(allocator, 777, &normalized) == MC_STATUS_OK);
  CHECK(normalized == 777);
  mc_regions regions;
  uint64_t holes = 0;
  CHECK(mc_offset_regions(allocator, &regions) == MC_STATUS_OK);
  for (int at = 0; at < 256; ++at) holes += regions.regions[at].count;
  CHECK(holes == 3);
  mc_block blocks[8];
  size_t count = 0;
  CHECK(mc_offset_live(allocator, blocks, 5, &count) == MC_STATUS_ARRAY_TOO_SHORT);
  CHECK(count == 6);
  CHECK(mc_offset_live(allocator, blocks, 8, &count) == MC_STATUS_OK && count == 6);
  for (size_t at = 1; at < count; ++at) CHECK(blocks[at - 1].offset < blocks[at].offset);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

static void a_snapshot_restores_what_waits_for_owners(void) {
  const mc_offset allocator = make_offset(0, 10000);
  mc_token first, second;
  CHECK(mc_offset_allocate(allocator, 1000, &first) == MC_STATUS_OK);
  CHECK(mc_offset_allocate(allocator, 2000, &second) == MC_STATUS_OK);
  uint8_t bytes[256];
  size_t length = 0;
  CHECK(mc_offset_snapshot(allocator, bytes, 10, &length) == MC_STATUS_ARRAY_TOO_SHORT);
  CHECK(length > 10 && length <= sizeof bytes);
  CHECK(mc_offset_snapshot(allocator, bytes, sizeof bytes, &length) == MC_STATUS_OK);
  mc_offset restored = {0};
  for (size_t at = 0; at < length; ++at) {
    bytes[at] ^= 1;
    CHECK(mc_offset_restore(0, bytes, length, &restored) == MC_STATUS_INVALID_STATE);
    bytes[at] ^= 1;
    CHECK(mc_offset_restore(0, bytes, at, &restored) == MC_STATUS_INVALID_STATE);
  }
  CHECK(mc_offset_restore(UINT64_MAX, bytes, length, &restored) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_offset_restore(1 << 20, bytes, length, &restored) == MC_STATUS_OK);
  CHECK(mc_offset_free(restored, first) == MC_STATUS_NOT_LIVE);
  mc_block blocks[2];
  size_t count;
  CHECK(mc_offset_live(restored, blocks, 2, &count) == MC_STATUS_OK && count == 2);
  mc_block wrong = blocks[0];
  wrong.size += 1;
  CHECK(mc_offset_claim(restored, wrong, &first) == MC_STATUS_NOT_LIVE);
  wrong = blocks[0];
  wrong.node = UINT64_MAX;
  CHECK(mc_offset_claim(restored, wrong, &first) == MC_STATUS_NOT_LIVE);
  CHECK(mc_offset_claim(restored, blocks[0], &first) == MC_STATUS_OK);
  CHECK(mc_offset_claim(restored, blocks[0], &second) == MC_STATUS_NOT_LIVE);
  mc_owned owned;
  CHECK(mc_owned_claim(restored, blocks[1], &owned) == MC_STATUS_OK);
  CHECK(owned.offset == blocks[1].offset && owned.size == blocks[1].size);
  CHECK(mc_owned_address(&owned) == (1 << 20) + owned.offset);
  CHECK(mc_offset_free(restored, first) == MC_STATUS_OK);
  CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  uint64_t largest;
  CHECK(mc_offset_largest_hole(restored, &largest) == MC_STATUS_OK && largest == 10000);
  CHECK(mc_offset_destroy(restored) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
}

static void a_list_restores_with_tokens_or_without(void) {
  const mc_offset_options options = mc_offset_options_default(0, 1000);
  const mc_block blocks[] = {{700, 300, 0}, {0, 400, 0}, {400, 200, 0}};
  mc_token tokens[3];
  mc_offset allocator;
  CHECK(mc_offset_restore_from(&options, blocks, 3, &allocator, tokens) == MC_STATUS_OK);
  for (int at = 0; at < 3; ++at) {
    CHECK(tokens[at].offset == blocks[at].offset && tokens[at].size == blocks[at].size);
    CHECK(mc_offset_is_live(allocator, tokens[at]));
  }
  CHECK(mc_offset_free(allocator, tokens[1]) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
  CHECK(mc_offset_restore_from(&options, blocks, 3, &allocator, NULL) == MC_STATUS_OK);
  mc_block live[3];
  size_t count;
  CHECK(mc_offset_live(allocator, live, 3, &count) == MC_STATUS_OK && count == 3);
  CHECK(mc_offset_claim(allocator, live[2], &tokens[0]) == MC_STATUS_OK);
  CHECK(tokens[0].offset == 700);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
  const mc_block overlapping[] = {{0, 400, 0}, {399, 1, 0}};
  mc_offset none = {0};
  CHECK(mc_offset_restore_from(&options, overlapping, 2, &none, NULL) == MC_STATUS_INVALID_STATE);
  CHECK(message_has("entry 1 (1 bytes at offset 399)"));
  CHECK(mc_offset_restore_from(&options, NULL, 2, &none, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(none.id == 0);
  CHECK(mc_offset_restore_from(&options, NULL, 0, &none, NULL) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(none) == MC_STATUS_OK);
}

static void owned_allocations_free_once_and_outlive_the_allocator(void) {
  const mc_offset allocator = make_offset(4096, 4096);
  mc_owned owned = {0}, late;
  CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  CHECK(mc_owned_allocate(allocator, 4097, 0, &owned) == MC_STATUS_TOO_LARGE);
  CHECK(owned.size == 0);
  CHECK(mc_owned_allocate(allocator, 100, 0, &owned) == MC_STATUS_OK);
  CHECK(owned.offset == 0 && owned.size == 100 && mc_owned_address(&owned) == 4096);
  CHECK(mc_owned_allocate(allocator, 100, 1024, &late) == MC_STATUS_OK);
  const uint64_t address = mc_owned_address(&late);
  CHECK(address == 4096 + late.offset && address % 1024 == 0 && mc_owned_is_valid(&late));
  CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  CHECK(owned.size == 0 && !mc_owned_is_valid(&owned) && !mc_owned_is_valid(NULL));
  CHECK(mc_owned_address(&owned) == 0 && mc_owned_address(NULL) == 0);
  CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
  CHECK(late.size == 100 && !mc_owned_is_valid(&late) && mc_owned_address(&late) == address);
  CHECK(mc_owned_free(&late) == MC_STATUS_OK);
}

static void slots_are_handed_out_and_taken_back(void) {
  mc_slots slots;
  CHECK(mc_slots_create(0, 1, &slots) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_create(1, 0, &slots) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_create(UINT64_MAX, 2, &slots) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_slots_create(4096, 100, &slots) == MC_STATUS_OK);
  uint32_t index, live[100];
  size_t count;
  CHECK(mc_slots_allocate_at(slots, 17) == MC_STATUS_OK);
  CHECK(mc_slots_allocate_at(slots, 17) == MC_STATUS_OCCUPIED);
  CHECK(mc_slots_allocate_at(slots, 100) == MC_STATUS_INVALID_ARGUMENT);
  for (int at = 1; at < 100; ++at) CHECK(mc_slots_allocate(slots, &index) == MC_STATUS_OK);
  CHECK(mc_slots_allocate(slots, &index) == MC_STATUS_NO_SPACE);
  CHECK(mc_slots_live(slots, live, 99, &count) == MC_STATUS_ARRAY_TOO_SHORT && count == 100);
  CHECK(mc_slots_live(slots, live, 100, &count) == MC_STATUS_OK && live[99] == 99);
  CHECK(mc_slots_is_live(slots, 42) && !mc_slots_is_live(slots, 100));
  CHECK(mc_slots_free(slots, 42) == MC_STATUS_OK);
  CHECK(mc_slots_free(slots, 42) == MC_STATUS_NOT_LIVE);
  CHECK(mc_slots_free(slots, 100) == MC_STATUS_NOT_LIVE);
  CHECK(mc_slots_allocate(slots, &index) == MC_STATUS_OK && index == 42);
  CHECK(mc_slots_destroy(slots) == MC_STATUS_OK);
  CHECK(mc_slots_destroy(slots) == MC_STATUS_STALE_HANDLE);
}

static void options_of_an_arena_are_checked(void) {
  mc_arena_options bad[8];
  const uint32_t nodes[] = {0, 1};
  mc_arena arena = {0};
  for (int at = 0; at < 8; ++at) bad[at] = mc_arena_options_default(1 << 20);
  bad[0].pool_bytes = 0;
  bad[1].align = 100;
  bad[2].pages = 9;
  bad[3].population = 9;
  bad[4].lock = 9;
  bad[5].numa = 9;
  bad[6].numa_nodes = nodes;
  bad[6].numa_node_count = 2;
  bad[7].numa = MC_NUMA_BIND;
  for (int at = 0; at < 8; ++at) {
    CHECK(mc_arena_create(&bad[at], &arena) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(arena.id == 0);
  }
}

static void an_arena_hands_out_zeroed_bytes(void) {
  mc_arena_options options = mc_arena_options_default(1 << 20);
  options.pages = MC_PAGES_OFF;
  mc_arena arena;
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  void *first, *second;
  CHECK(mc_arena_allocate(arena, 100, 0, &first) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(arena, 100, 4096, &second) == MC_STATUS_OK);
  CHECK((uintptr_t)second % 4096 == 0 && mc_arena_owns(arena, second));
  for (int at = 0; at < 100; ++at) CHECK(((unsigned char *)first)[at] == 0);
  memset(first, 0xa5, 100);
  CHECK(mc_arena_allocate(arena, 0, 0, &first) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_allocate(arena, 1, 3, &first) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_allocate(arena, 2 << 20, 0, &first) == MC_STATUS_NO_SPACE);
  mc_arena_report report;
  CHECK(mc_arena_describe(arena, &report) == MC_STATUS_OK);
  CHECK(report.pool_bytes == 1 << 20 && report.tier == MC_TIER_BASE && report.align == 64);
  CHECK(report.allocations == 2 && report.reserved_bytes >= 200);
  CHECK(mc_arena_describe(arena, NULL) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(arena, 1, 0, &first) == MC_STATUS_STALE_HANDLE);
}

static void arenas_and_buffers_get_their_memory_when_told(void) {
  mc_arena_options options = mc_arena_options_default(1 << 20);
  const uint32_t node = 0, nowhere = 1023;
  mc_arena arena;
  void *first;
  options.pages = MC_PAGES_OFF;
  options.population = MC_POPULATE_LAZY;
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  CHECK(mc_arena_populate(arena, 4096, 10) == MC_STATUS_OK);
  CHECK(mc_arena_populate(arena, 0, 1 << 20) == MC_STATUS_OK);
  CHECK(mc_arena_populate(arena, 1, 1 << 20) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_populate(arena, SIZE_MAX, SIZE_MAX) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
  CHECK(mc_arena_populate(arena, 0, 1) == MC_STATUS_STALE_HANDLE);
  options.population = MC_POPULATE_BACKGROUND;
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  CHECK(mc_arena_allocate(arena, 1 << 20, 0, &first) == MC_STATUS_OK);
  memset(first, 1, 1 << 20);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);

  CHECK(mc_buffer_allocate_over_nodes(10001, 0, &node, 1, &first) == MC_STATUS_OK);
  memset(first, 1, 10001);
  CHECK(mc_buffer_free(first) == MC_STATUS_OK);
  CHECK(mc_buffer_allocate_over_nodes(1, 0, &node, 0, &first) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_buffer_allocate_over_nodes(1, 0, NULL, 1, &first) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_buffer_allocate_over_nodes(1, 0, &nowhere, 1, &first) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_buffer_allocate_over_nodes(1, 0, &node, 1, NULL) == MC_STATUS_INVALID_ARGUMENT);
}

int main(void) {
  version_is_that_of_the_header();
  every_status_has_its_name();
  options_of_an_offset_allocator_are_checked();
  a_token_frees_once();
  refusals_say_why();
  a_limit_is_exact();
  stale_null_and_foreign_handles_are_errors();
  null_results_are_errors_and_allocate_nothing();
  reports_add_up();
  a_snapshot_restores_what_waits_for_owners();
  a_list_restores_with_tokens_or_without();
  owned_allocations_free_once_and_outlive_the_allocator();
  slots_are_handed_out_and_taken_back();
  options_of_an_arena_are_checked();
  an_arena_hands_out_zeroed_bytes();
  arenas_and_buffers_get_their_memory_when_told();
  return 0;
}
