// The buffers of the process, with an arena that the environment asks for.

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "check.h"
#include "mc_alloc.hpp"

namespace {

mc_buffer_report report() {
  mc_buffer_report report{};
  CHECK(mc_buffer_describe(&report) == MC_STATUS_OK);
  return report;
}

void a_bad_environment_is_an_error_and_can_be_mended() {
  setenv("MC_MMAP_ARENA_POOL_SIZE", "two megabytes", 1);
  void *bytes = nullptr;
  CHECK(mc_buffer_allocate(100, 0, &bytes) == MC_STATUS_INVALID_ENVIRONMENT);
  CHECK(std::strstr(mc_error_message(), "MC_MMAP_ARENA_POOL_SIZE") != nullptr);
  mc_arena arena{};
  CHECK(mc_arena_create_from_environment(&arena) == MC_STATUS_INVALID_ENVIRONMENT);
  unsetenv("MC_MMAP_ARENA_POOL_SIZE");
  CHECK(mc_arena_create_from_environment(&arena) == MC_STATUS_NOT_CONFIGURED);
  setenv("MC_MMAP_ARENA_POOL_SIZE", "2MiB", 1);
  CHECK(mc_arena_create_from_environment(&arena) == MC_STATUS_OK);
  mc_arena_report described{};
  CHECK(mc_arena_describe(arena, &described) == MC_STATUS_OK);
  CHECK(described.pool_bytes >= 2 << 20);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
}

/// What the library said, and how often.
struct Said {
  int count = 0;
  std::uint32_t level = 0;
  std::string text;
};

void hear(void *context, std::uint32_t level, const char *text) {
  auto &said = *static_cast<Said *>(context);
  said = {said.count + 1, level, text};
}

void a_store_may_run_without_the_arena_that_it_asked_for() {
  Said said;
  CHECK(mc_log_set(hear, &said, 0) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_log_set(hear, &said, MC_LOG_DEBUG + 1) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc_log_set(hear, &said, MC_LOG_WARN) == MC_STATUS_OK);
  setenv("MC_MMAP_ARENA_POOL_SIZE", "two megabytes", 1);
  CHECK(mc::allocate_buffer_mmap_memory(100, 64, mc::BadEnvironment::kRefuse) == nullptr);
  CHECK(said.count == 0);
  for (int turn = 0; turn < 2; ++turn) {
    void *buffer = mc::allocate_buffer_mmap_memory(100'000, 4096);
    CHECK(buffer != nullptr && !mc::is_mmap_arena_allocation(buffer));
    CHECK(reinterpret_cast<std::uintptr_t>(buffer) % 4096 == 0);
    std::memset(buffer, 1, 100'000);
    CHECK(report().live_buffers == 1);
    CHECK(mc::free_buffer_mmap_memory(buffer, 100'000));
    // Once is enough.
    CHECK(said.count == 1 && said.level == MC_LOG_WARN);
    CHECK(said.text.find("two megabytes") != std::string::npos);
  }
  CHECK(report().direct_buffers == 2);
  CHECK(mc::allocate_buffer_mmap_memory(0, 64) == nullptr);
  CHECK(mc_log_set(nullptr, nullptr, 0) == MC_STATUS_OK);
  setenv("MC_MMAP_ARENA_POOL_SIZE", "2MiB", 1);
}

void what_happens_is_told_up_to_a_level() {
  Said said;
  CHECK(mc_log_set(hear, &said, MC_LOG_ERROR) == MC_STATUS_OK);
  mc_arena_options options = mc_arena_options_default(2 << 20);
  options.pages = MC_PAGES_OFF;
  mc_arena arena{};
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK && said.count == 0);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
  CHECK(mc_log_set(hear, &said, MC_LOG_INFO) == MC_STATUS_OK);
  CHECK(mc_arena_create(&options, &arena) == MC_STATUS_OK);
  CHECK(said.count >= 1 && said.level == MC_LOG_INFO && said.text.find("2097152") != std::string::npos);
  CHECK(mc_arena_destroy(arena) == MC_STATUS_OK);
  CHECK(mc_log_set(nullptr, nullptr, 0) == MC_STATUS_OK);
}

void a_buffer_lies_on_the_nodes_that_it_is_asked_for() {
  void *buffer = mc::allocate_buffer_numa_segments(1'000'001, {0});
  CHECK(buffer != nullptr);
  std::memset(buffer, 1, 1'000'001);
  CHECK(mc::free_buffer_mmap_memory(buffer, 1'000'001));
  CHECK(mc::allocate_buffer_numa_segments(1'000'001, {}) == nullptr);
  CHECK(mc::allocate_buffer_numa_segments(1'000'001, {-1}) == nullptr);
  CHECK(mc::allocate_buffer_numa_segments(0, {0}) == nullptr);
}

void buffers_come_from_the_arena_while_it_has_room() {
  void *first = mc::allocate_buffer_mmap_memory(1 << 20, 4096);
  CHECK(first != nullptr && reinterpret_cast<std::uintptr_t>(first) % 4096 == 0);
  CHECK(mc::is_mmap_arena_allocation(first));
  void *second = mc::allocate_buffer_mmap_memory(4 << 20, 64);
  CHECK(second != nullptr && !mc::is_mmap_arena_allocation(second));
  std::memset(first, 1, 1 << 20);
  std::memset(second, 2, 4 << 20);
  CHECK(report().live_buffers == 2 && report().direct_buffers == 3);
  CHECK(report().arena_fallbacks == 1 && report().arena_frees == 0);
  CHECK(mc::free_buffer_mmap_memory(first, 1 << 20));
  CHECK(mc::free_buffer_mmap_memory(second, 4 << 20));
  CHECK(report().live_buffers == 0 && report().arena_frees == 1);
  CHECK(report().arena_reserved_bytes >= 1 << 20);
}

void what_is_no_buffer_is_not_freed() {
  int local = 0;
  void *buffer = mc::allocate_buffer_mmap_memory(100, 0);
  CHECK(mc::free_buffer_mmap_memory(nullptr, 0));
  // Better: the published function unmaps whatever it is given.
  CHECK(!mc::free_buffer_mmap_memory(&local, sizeof local));
  CHECK(!mc::free_buffer_mmap_memory(static_cast<char *>(buffer) + 1, 100));
  CHECK(mc::free_buffer_mmap_memory(buffer, 100));
  CHECK(!mc::free_buffer_mmap_memory(buffer, 100));
  CHECK(mc::allocate_buffer_mmap_memory(0, 64) == nullptr);
  CHECK(mc::allocate_buffer_mmap_memory(1, 3) == nullptr);
  CHECK(!mc::is_mmap_arena_allocation(&local) && !mc::is_mmap_arena_allocation(nullptr));
}

}  // namespace

int main() {
  setenv("MC_STORE_USE_HUGEPAGE", "0", 1);
  a_bad_environment_is_an_error_and_can_be_mended();
  a_store_may_run_without_the_arena_that_it_asked_for();
  buffers_come_from_the_arena_while_it_has_room();
  what_is_no_buffer_is_not_freed();
  what_happens_is_told_up_to_a_level();
  a_buffer_lies_on_the_nodes_that_it_is_asked_for();
}
