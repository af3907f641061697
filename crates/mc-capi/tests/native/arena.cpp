// MmapArena: each behaviour that a store knows of an arena of this shape. Where this one does better
// than the published arena the test says so.

#include <array>
#include <cstdio>
#include <cstdint>
#include <cstring>
#include <limits>
#include <thread>
#include <type_traits>
#include <vector>

#include "check.h"
#include "mc_alloc.hpp"

namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

bool is_multiple(const void *address, std::size_t align) {
  return reinterpret_cast<std::uintptr_t>(address) % align == 0;
}

void is_empty_until_initialized() {
  mc::MmapArena arena;
  CHECK(!arena.isInitialized());
  CHECK(arena.getPoolBase() == nullptr && arena.getPoolSize() == 0);
  CHECK(arena.allocate(64) == nullptr);
  CHECK(!arena.owns(&arena) && !arena.owns(nullptr));
  const auto stats = arena.getStats();
  CHECK(stats.pool_size == 0 && stats.num_allocations == 0);
  // A request before the arena is initialized is not one that it failed.
  CHECK(stats.num_failed_allocs == 0);
}

void is_neither_copied_nor_moved() {
  static_assert(!std::is_copy_constructible_v<mc::MmapArena>);
  static_assert(!std::is_move_constructible_v<mc::MmapArena>);
  static_assert(!std::is_copy_assignable_v<mc::MmapArena>);
}

void refuses_bad_sizes_and_alignments_and_can_be_tried_again() {
  mc::MmapArena arena;
  CHECK(!arena.initialize(0));
  CHECK(!arena.initialize(kMiB, 100));
  CHECK(!arena.initialize(kMiB, 3));
  CHECK(mc::last_error().find("power of two") != std::string::npos);
  CHECK(!arena.initialize(std::numeric_limits<std::size_t>::max()));
  CHECK(!arena.initialize(std::numeric_limits<std::size_t>::max() - 4 * kMiB));
  CHECK(!arena.isInitialized());
  // Better: a failure is not for ever.
  CHECK(arena.initialize(kMiB));
  CHECK(arena.isInitialized());
}

void initializes_once_and_the_first_mapping_stays() {
  mc::MmapArena arena;
  CHECK(arena.initialize(2 * kMiB));
  void *base = arena.getPoolBase();
  CHECK(!arena.initialize(4 * kMiB));
  CHECK(arena.getPoolBase() == base && arena.getPoolSize() == 2 * kMiB);
  CHECK(arena.allocate(64) == base);
}

void rounds_the_pool_to_two_mebibytes_and_the_alignment_to_64() {
  mc::MmapArena arena;
  CHECK(arena.initialize(2 * kMiB + 1, 8));
  CHECK(arena.getPoolSize() == 4 * kMiB);
  CHECK(arena.getStats().pool_size == 4 * kMiB);
  for (int at = 0; at < 10; ++at) CHECK(is_multiple(arena.allocate(1), 64));
  mc::MmapArena zero;
  CHECK(zero.initialize(kMiB, 0));
  CHECK(is_multiple(zero.allocate(1), 64));
}

void aligns_the_address_whatever_the_pages() {
  // Better: the published arena aligns the offset, so that more than a page is luck.
  mc::MmapArena arena;
  CHECK(arena.initialize(16 * kMiB, 256));
  for (const std::size_t align :
       {std::size_t{64}, std::size_t{4096}, std::size_t{65536}, kMiB, 2 * kMiB}) {
    CHECK(is_multiple(arena.allocate(100, align), align < 256 ? 256 : align));
  }
  mc::MmapArena coarse;
  CHECK(coarse.initialize(8 * kMiB, 2 * kMiB));
  CHECK(is_multiple(coarse.allocate(1), 2 * kMiB));
  CHECK(is_multiple(coarse.allocate(1), 2 * kMiB));
}

void hands_out_disjoint_zeroed_bytes_until_it_is_full() {
  mc::MmapArena arena;
  CHECK(arena.initialize(2 * kMiB));
  std::vector<unsigned char *> slices;
  while (void *slice = arena.allocate(1000)) slices.push_back(static_cast<unsigned char *>(slice));
  CHECK(slices.size() == 2 * kMiB / 1024);
  for (std::size_t at = 0; at < slices.size(); ++at) {
    for (int byte = 0; byte < 1000; ++byte) CHECK(slices[at][byte] == 0);
    std::memset(slices[at], static_cast<int>(at % 255 + 1), 1000);
  }
  for (std::size_t at = 0; at < slices.size(); ++at) {
    CHECK(slices[at][0] == at % 255 + 1 && slices[at][999] == at % 255 + 1);
  }
}

void counts_what_it_does() {
  mc::MmapArena arena;
  CHECK(arena.initialize(2 * kMiB));
  CHECK(arena.allocate(0) == nullptr);
  CHECK(arena.getStats().num_failed_allocs == 0);
  CHECK(arena.allocate(100) != nullptr);
  CHECK(arena.allocate(100) != nullptr);
  auto stats = arena.getStats();
  CHECK(stats.num_allocations == 2 && stats.reserved_bytes == 256);
  CHECK(stats.peak_reserved_bytes >= stats.reserved_bytes);
  // What is refused leaves the cursor where it was.
  CHECK(arena.allocate(3 * kMiB) == nullptr);
  CHECK(arena.allocate(std::numeric_limits<std::size_t>::max()) == nullptr);
  CHECK(arena.allocate(64, 100) == nullptr);
  stats = arena.getStats();
  CHECK(stats.num_failed_allocs == 3);
  CHECK(stats.num_allocations == 2 && stats.reserved_bytes == 256);
  // A request that fits what is left is served after one that did not.
  CHECK(arena.allocate(2 * kMiB - 256) != nullptr);
  CHECK(arena.allocate(1) == nullptr);
}

void owns_its_pool_handed_out_or_not() {
  mc::MmapArena arena;
  CHECK(arena.initialize(2 * kMiB));
  const auto *base = static_cast<const unsigned char *>(arena.getPoolBase());
  CHECK(arena.owns(base) && arena.owns(base + 2 * kMiB - 1));
  CHECK(!arena.owns(base - 1) && !arena.owns(base + 2 * kMiB));
  CHECK(!arena.owns(nullptr));
}

void takes_ordinary_pages_only_where_it_may() {
  mc::MmapArena permissive;
  CHECK(permissive.initialize(2 * kMiB, 64, true));
  mc::MmapArena strict;
  const bool is_strict = strict.initialize(2 * kMiB, 64, false);
  // Better: which pages the pool has is read back from the kernel.
  CHECK(is_strict == strict.isInitialized());
  CHECK(is_strict == strict.hasHugePages());
  if (!is_strict) CHECK(mc::last_error().find("huge page") != std::string::npos);
}

void threads_get_disjoint_slices() {
  mc::MmapArena arena;
  std::array<std::vector<unsigned char *>, 4> slices;
  std::array<bool, 4> initialized{};
  std::vector<std::thread> threads;
  for (std::size_t at = 0; at < 4; ++at) {
    threads.emplace_back([&, at] {
      initialized[at] = arena.initialize(4 * kMiB);
      while (void *slice = arena.allocate(1024)) {
        std::memset(slice, static_cast<int>(at + 1), 1024);
        slices[at].push_back(static_cast<unsigned char *>(slice));
      }
    });
  }
  for (auto &thread : threads) thread.join();
  std::size_t count = 0, initializers = 0;
  for (std::size_t at = 0; at < 4; ++at) {
    initializers += initialized[at] ? 1 : 0;
    count += slices[at].size();
    for (const auto *slice : slices[at]) CHECK(slice[0] == at + 1 && slice[1023] == at + 1);
  }
  CHECK(initializers == 1);
  CHECK(count == 4 * kMiB / 1024);
}

/// Returns the pages that the process has mapped.
unsigned long mapped_pages() {
  std::FILE *file = std::fopen("/proc/self/statm", "r");
  CHECK(file != nullptr);
  unsigned long pages = 0;
  CHECK(std::fscanf(file, "%lu", &pages) == 1);
  std::fclose(file);
  return pages;
}

void unmaps_its_pool() {
  const auto make = [] {
    mc::MmapArena arena;
    CHECK(arena.initialize(64 * kMiB));
  };
  make();
  const unsigned long before = mapped_pages();
  for (int at = 0; at < 4; ++at) make();
  CHECK(mapped_pages() < before + 64 * kMiB / 4096);
}

}  // namespace

int main() {
  is_empty_until_initialized();
  is_neither_copied_nor_moved();
  refuses_bad_sizes_and_alignments_and_can_be_tried_again();
  initializes_once_and_the_first_mapping_stays();
  rounds_the_pool_to_two_mebibytes_and_the_alignment_to_64();
  aligns_the_address_whatever_the_pages();
  hands_out_disjoint_zeroed_bytes_until_it_is_full();
  counts_what_it_does();
  owns_its_pool_handed_out_or_not();
  takes_ordinary_pages_only_where_it_may();
  threads_get_disjoint_slices();
  unmaps_its_pool();
}
