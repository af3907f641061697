// What the C++ handles cost: the uniform, random and paired workloads through mc_alloc.hpp, and gets
// through mc_store.hpp.
//
// The same program in Rust is boundary.rs beside this file; `cargo xtask boundary` runs both in
// turns. Both draw the same requests and victims, and print the same checksum.
//
// Usage: boundary uniform-SIZE|random|paired|refusal|get [operations]

#include <time.h>

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "mc_alloc.hpp"
#include "mc_store.hpp"

namespace {

/// SplitMix64: the same numbers on both sides of the boundary.
struct Generator {
  std::uint64_t state;

  std::uint64_t next() {
    std::uint64_t mixed = state += 0x9E3779B97F4A7C15;
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9;
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB;
    return mixed ^ mixed >> 31;
  }

  std::uint64_t below(std::uint64_t end) {
    return static_cast<std::uint64_t>(static_cast<unsigned __int128>(next()) * end >> 64);
  }
};

struct Store {
  std::shared_ptr<mc::OffsetAllocator> allocator;
  std::vector<mc::OffsetAllocationHandle> live;
  Generator victims;
  /// 0 evicts one object per refusal.
  std::uint64_t evicted_percent;
  std::uint64_t refusals = 0;

  void put(std::uint64_t size) {
    for (;;) {
      if (auto handle = allocator->allocate(size)) {
        live.push_back(std::move(*handle));
        return;
      }
      ++refusals;
      evict();
    }
  }

  void evict() {
    const std::uint64_t evicted = live.size() * evicted_percent / 100;
    for (std::uint64_t at = 0; at == 0 || at < evicted; ++at) {
      live[victims.below(live.size())] = std::move(live.back());
      live.pop_back();
    }
  }
};

/// Returns the time that this thread has had on a core, in nanoseconds: what others do matters less.
double processor_nanoseconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) * 1e9 + static_cast<double>(time.tv_nsec);
}

void print(const std::string &name, double nanoseconds, std::size_t operations,
           std::uint64_t refusals, std::uint64_t checksum) {
  const double each = static_cast<double>(operations);
  std::printf("%s %.2f %.4f %" PRIx64 "\n", name.c_str(), nanoseconds / each,
              static_cast<double>(refusals) / each, checksum);
}

void run(const std::string &name, std::uint64_t capacity, std::uint64_t evicted_percent,
         const std::vector<std::uint64_t> &sizes, std::size_t warm_up) {
  Store store{mc::OffsetAllocator::create(0, capacity), {}, Generator{42}, evicted_percent};
  store.live.reserve(warm_up + 1);
  for (std::size_t at = 0; at < warm_up; ++at) store.put(sizes[at]);
  store.refusals = 0;
  const double start = processor_nanoseconds();
  for (std::size_t at = warm_up; at < sizes.size(); ++at) store.put(sizes[at]);
  const double elapsed = processor_nanoseconds() - start;
  std::uint64_t checksum = 0;
  for (const auto &handle : store.live) checksum = checksum * 31 + handle.address();
  print(name, elapsed, sizes.size() - warm_up, store.refusals, checksum);
}

void uniform(std::uint64_t size, std::uint64_t operations) {
  const std::uint64_t capacity = std::uint64_t{2} << 30;
  const std::uint64_t warm_up = capacity / size;
  const std::vector<std::uint64_t> sizes(warm_up + operations, size);
  run("uniform-" + std::to_string(size), capacity, 0, sizes, warm_up);
}

void random(std::uint64_t operations) {
  const std::uint64_t warm_up = 1000;
  Generator generator{7};
  std::vector<std::uint64_t> sizes(warm_up + operations);
  for (auto &size : sizes) size = 1024 + generator.below((1 << 26) - 1023);
  run("random", std::uint64_t{2} << 30, 0, sizes, warm_up);
}

void paired(std::uint64_t operations) {
  // Fills 1 TiB once.
  const std::uint64_t warm_up = 640'000;
  Generator generator{7};
  std::vector<std::uint64_t> sizes;
  while (sizes.size() < warm_up + operations) {
    const std::uint64_t pairs = 1 + generator.below(128);
    sizes.insert(sizes.end(), pairs, 3'274'752);
    sizes.insert(sizes.end(), pairs, 658'432);
  }
  run("paired", std::uint64_t{1} << 40, 5, sizes, warm_up);
}

/// What each of the others has per eviction: a request that a full range refuses.
void refusal(std::uint64_t operations) {
  const std::uint64_t capacity = std::uint64_t{1} << 30;
  const auto allocator = mc::OffsetAllocator::create(0, capacity);
  const auto all = allocator->allocate(capacity);
  std::uint64_t served = 0;
  const double start = processor_nanoseconds();
  for (std::uint64_t at = 0; at < operations; ++at) served += allocator->allocate(4096) ? 1 : 0;
  const double elapsed = processor_nanoseconds() - start;
  print("refusal", elapsed, operations, operations - served, all->size());
}

/// A get and its release, of objects that are all stored.
void get(std::uint64_t operations) {
  constexpr std::uint64_t kObjects = 10'000;
  auto store = mc::Store::create();
  if (!store || !store->mount(mc::SegmentOptions::remote(1, 0, kObjects << 12))) std::exit(1);
  std::vector<std::string> keys;
  for (std::uint64_t at = 0; at < kObjects; ++at) {
    char key[32];
    std::snprintf(key, sizeof key, "key/%08" PRIu64, at);
    keys.emplace_back(key);
    auto put = store->put(keys.back(), 4096);
    if (!put || put->commit() != MC_STATUS_OK) std::exit(1);
  }
  Generator generator{7};
  std::uint64_t found = 0;
  const double start = processor_nanoseconds();
  for (std::uint64_t at = 0; at < operations; ++at) {
    found += store->get(keys[generator.below(kObjects)]) ? 1 : 0;
  }
  const double elapsed = processor_nanoseconds() - start;
  print("get", elapsed, operations, 0, found);
}

}  // namespace

int main(int argc, char **argv) {
  const std::string workload = argc > 1 ? argv[1] : "";
  const std::uint64_t operations = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1'000'000;
  std::uint64_t size = 0;
  if (std::sscanf(workload.c_str(), "uniform-%" SCNu64, &size) == 1 && size != 0) {
    uniform(size, operations);
  } else if (workload == "random") {
    random(operations);
  } else if (workload == "paired") {
    paired(operations);
  } else if (workload == "refusal") {
    refusal(operations);
  } else if (workload == "get") {
    get(operations);
  } else {
    std::fprintf(stderr, "there is no workload \"%s\"\n", workload.c_str());
    return 2;
  }
}
