// Threads on the C++ classes: handles freed by other threads, allocators that go while handles are
// freed, and reports beside all of it.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "check.h"
#include "mc_alloc.hpp"

namespace {

using mc::OffsetAllocationHandle;
using mc::OffsetAllocator;

constexpr std::uint64_t kCapacity = std::uint64_t{1} << 22;
constexpr int kThreads = 4;
/// Operations of a thread; the program's argument says how many where it is slow.
int operations = 5'000;

template <typename Work>
void run_threads(Work work) {
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) threads.emplace_back(work, number);
  for (auto &thread : threads) thread.join();
}

/// Each page has a mark of the thread that holds it, so that a second holder is noticed.
void blocks_of_threads_never_overlap() {
  const auto allocator = OffsetAllocator::create(0, kCapacity);
  std::vector<std::atomic<int>> holders(kCapacity / 1024);
  run_threads([&](int number) {
    std::vector<OffsetAllocationHandle> live;
    const auto mark = [&](const OffsetAllocationHandle &handle, int from, int to) {
      for (std::uint64_t page = 0; page < handle.size() / 1024; ++page) {
        CHECK(holders[handle.address() / 1024 + page].exchange(to) == from);
      }
    };
    const auto free_all = [&] {
      for (const auto &handle : live) mark(handle, number + 1, 0);
      live.clear();
    };
    for (int at = 0; at < operations; ++at) {
      const auto pages = static_cast<std::uint64_t>(1 + (number + at) % 3);
      auto handle = allocator->allocate(1024 * pages, 1024);
      if (!handle || live.size() == 200) free_all();
      if (!handle) continue;
      mark(*handle, 0, number + 1);
      live.push_back(std::move(*handle));
    }
    free_all();
  });
  const auto metrics = allocator->get_metrics();
  CHECK(metrics.allocated_num_ == 0 && metrics.largest_free_region_ == kCapacity);
}

void handles_are_freed_by_other_threads() {
  const auto allocator = OffsetAllocator::create(0, kCapacity);
  std::mutex mutex;
  std::vector<OffsetAllocationHandle> shared;
  run_threads([&](int number) {
    for (int at = 0; at < operations; ++at) {
      std::optional<OffsetAllocationHandle> taken;
      auto handle = allocator->allocate(static_cast<std::uint64_t>(1 + (at * 7 + number) % 500));
      const std::lock_guard<std::mutex> lock(mutex);
      if (!shared.empty() && (!handle || at % 2 == 0)) {
        taken = std::move(shared.back());
        shared.pop_back();
      }
      if (handle) shared.push_back(std::move(*handle));
    }
  });
  shared.clear();
  CHECK(allocator->storageReport().largestFreeRegion == kCapacity);
}

void reports_beside_changes_are_of_one_moment() {
  const auto allocator = OffsetAllocator::create(0, kCapacity);
  run_threads([&](int number) {
    for (int at = 0; at < operations / 10; ++at) {
      if (number == 0) {
        const auto metrics = allocator->get_metrics();
        CHECK(metrics.allocated_size_ + metrics.total_free_space_ == kCapacity);
        std::uint64_t end = 0;
        allocator->visit_used_nodes([&](std::uint64_t address, std::uint64_t size, std::uint32_t) {
          CHECK(address >= end);
          end = address + size;
        });
        CHECK(OffsetAllocator::deserialize(allocator->serialize()) != nullptr);
      } else {
        const auto first = allocator->allocate(1000), second = allocator->allocate(77);
        CHECK(first && second);
      }
    }
  });
}

void allocators_may_go_while_their_handles_are_freed() {
  for (int round = 0; round < 100; ++round) {
    auto allocator = OffsetAllocator::create(0, kCapacity);
    std::vector<std::vector<OffsetAllocationHandle>> handles(kThreads);
    for (auto &list : handles) {
      for (int at = 0; at < 50; ++at) list.push_back(std::move(*allocator->allocate(100)));
    }
    run_threads([&handles, &allocator](int number) {
      auto &list = handles[static_cast<std::size_t>(number)];
      if (number == 0) allocator.reset();
      for (auto &handle : list) {
        static_cast<void>(handle.isValid());
        handle = OffsetAllocationHandle();
      }
    });
  }
}

void tokens_of_threads_free_once() {
  const mc_offset_options options = mc_offset_options_default(0, kCapacity);
  mc_offset allocator{};
  CHECK(mc_offset_create(&options, &allocator) == MC_STATUS_OK);
  std::vector<mc_token> tokens(1000);
  for (auto &token : tokens) CHECK(mc_offset_allocate(allocator, 100, &token) == MC_STATUS_OK);
  std::atomic<std::size_t> freed{0};
  run_threads([&](int) {
    for (const auto &token : tokens) {
      if (mc_offset_free(allocator, token) == MC_STATUS_OK) ++freed;
    }
  });
  CHECK(freed == tokens.size());
  // Calls in progress keep what they use: whoever comes late is told so.
  run_threads([&](int number) {
    mc_token token{};
    mc_status status = MC_STATUS_OK;
    for (int at = 0; status == MC_STATUS_OK; ++at) {
      if (number == 0 && at == 100) CHECK(mc_offset_destroy(allocator) == MC_STATUS_OK);
      status = mc_offset_allocate(allocator, 1, &token);
      // So that there is room however long the first thread waits for its turn.
      if (status == MC_STATUS_OK) status = mc_offset_free(allocator, token);
    }
    CHECK(status == MC_STATUS_STALE_HANDLE);
  });
}

}  // namespace

int main(int count, char **arguments) {
  if (count > 1) operations = std::atoi(arguments[1]);
  CHECK(operations > 0);
  blocks_of_threads_never_overlap();
  handles_are_freed_by_other_threads();
  reports_beside_changes_are_of_one_moment();
  allocators_may_go_while_their_handles_are_freed();
  tokens_of_threads_free_once();
}
