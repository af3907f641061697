// Random calls of the C interface in any order: with live, stale, foreign and damaged handles and
// tokens and with null pointers, held against what must be live.
//
// Usage: sequences [seeds [first seed]]. A failure prints its seed.

#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <vector>

#include "check.h"
#include "mc_alloc.h"

namespace {

constexpr int kSteps = 2000;
constexpr std::size_t kAllocators = 4;

/// The numbers of a seed, the same on every machine.
struct Generator {
  std::mt19937_64 numbers;

  std::uint64_t next() { return numbers(); }
  std::uint64_t below(std::uint64_t end) { return next() % end; }
  bool once_in(std::uint64_t times) { return below(times) == 0; }
};

/// A token with the allocator that it is live in, if it is.
struct Known {
  mc_offset allocator;
  mc_token token;
  bool is_live;
};

/// What must be true of one allocator.
struct Shadow {
  mc_offset handle;
  std::uint64_t capacity;
  /// Size by offset, of everything that is live.
  std::map<std::uint64_t, std::uint64_t> live;
  /// Live allocations without an owner.
  std::vector<mc_block> unclaimed;
  std::vector<mc_owned> owned;

  void add(std::uint64_t offset, std::uint64_t size) {
    const auto above = live.lower_bound(offset);
    CHECK(offset + size <= capacity);
    CHECK(above == live.end() || offset + size <= above->first);
    if (above != live.begin()) {
      const auto below = std::prev(above);
      CHECK(below->first + below->second <= offset);
    }
    live.emplace(offset, size);
  }
};

class Program {
 public:
  explicit Program(std::uint64_t seed) : generator_{std::mt19937_64(seed)} {
    for (std::size_t at = 0; at < kAllocators; ++at) shadows_.push_back(make());
  }

  ~Program() {
    for (auto &shadow : shadows_) retire(shadow);
    for (auto &owned : outlived_) CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  }

  void step() {
    Shadow &shadow = shadows_[generator_.below(shadows_.size())];
    switch (generator_.below(12)) {
      case 0: return call_with_nonsense(shadow);
      case 1: return replace(shadow);
      case 2: return restart(shadow);
      case 3: return claim(shadow);
      case 4: case 5: return allocate_owned(shadow);
      case 6: return free_owned(shadow);
      case 7: case 8: return free_some_token();
      default: return allocate(shadow);
    }
  }

  void check() const {
    for (const auto &shadow : shadows_) {
      mc_offset_report report{};
      CHECK(mc_offset_describe(shadow.handle, &report) == MC_STATUS_OK);
      std::uint64_t bytes = 0;
      for (const auto &entry : shadow.live) bytes += entry.second;
      CHECK(report.live_bytes == bytes && report.allocation_count == shadow.live.size());
      CHECK(report.free_bytes + report.charged_bytes == shadow.capacity);
      std::vector<mc_block> blocks(shadow.live.size());
      std::size_t count = 0;
      CHECK(mc_offset_live(shadow.handle, blocks.data(), blocks.size(), &count) == MC_STATUS_OK);
      auto expected = shadow.live.begin();
      for (const auto &block : blocks) {
        CHECK(block.offset == expected->first && block.size == expected->second);
        ++expected;
      }
    }
  }

 private:
  Shadow make() {
    const std::uint64_t capacity = 1 + generator_.below(1 << 16);
    mc_offset_options options = mc_offset_options_default(generator_.next() >> 8, capacity);
    options.fit = static_cast<std::uint32_t>(generator_.below(3));
    options.probes = options.fit == MC_FIT_GOOD ? 4 : 0;
    Shadow shadow{};
    shadow.capacity = capacity;
    CHECK(mc_offset_create(&options, &shadow.handle) == MC_STATUS_OK);
    return shadow;
  }

  std::uint64_t size() { return 1 + (generator_.below(1 << 13) >> generator_.below(13)); }

  void allocate(Shadow &shadow) {
    mc_token token{};
    mc_status status;
    switch (generator_.below(3)) {
      case 0: status = mc_offset_allocate(shadow.handle, size(), &token); break;
      case 1: {
        const std::uint64_t align = std::uint64_t{1} << generator_.below(4);
        status = mc_offset_allocate_aligned(shadow.handle, size(), align, &token);
        break;
      }
      default: {
        const std::uint64_t offset = generator_.below(shadow.capacity);
        status = mc_offset_allocate_at(shadow.handle, offset, size(), &token);
        CHECK(status != MC_STATUS_OK || token.offset == offset);
      }
    }
    if (status != MC_STATUS_OK) return;
    shadow.add(token.offset, token.size);
    known_.push_back({shadow.handle, token, true});
  }

  void allocate_owned(Shadow &shadow) {
    mc_owned owned;
    const mc_status status = mc_owned_allocate(shadow.handle, 64 * (size() % 8), 0, &owned);
    if (status != MC_STATUS_OK) return;
    shadow.add(owned.offset, owned.size);
    shadow.owned.push_back(owned);
  }

  void free_owned(Shadow &shadow) {
    if (!outlived_.empty()) {
      CHECK(mc_owned_free(&outlived_.back()) == MC_STATUS_OK);
      outlived_.pop_back();
    }
    if (shadow.owned.empty()) return;
    mc_owned owned = shadow.owned.back();
    shadow.owned.pop_back();
    CHECK(shadow.live.erase(owned.offset) == 1);
    CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
    CHECK(mc_owned_free(&owned) == MC_STATUS_OK);
  }

  /// Frees any token in any allocator, live or not.
  void free_some_token() {
    if (known_.empty()) return;
    Known &known = known_[generator_.below(known_.size())];
    Shadow &shadow = shadows_[generator_.below(shadows_.size())];
    mc_token token = known.token;
    if (generator_.once_in(8)) {
      std::uint64_t *words[] = {&token.offset, &token.size, &token.serial, &token.check};
      *words[generator_.below(4)] ^= std::uint64_t{1} << generator_.below(64);
      CHECK(mc_offset_free(known.allocator, token) != MC_STATUS_OK);
      return;
    }
    const bool is_own = shadow.handle.id == known.allocator.id;
    const mc_status status = mc_offset_free(shadow.handle, token);
    CHECK(status == (is_own && known.is_live ? MC_STATUS_OK : MC_STATUS_NOT_LIVE));
    if (status != MC_STATUS_OK) return;
    known.is_live = false;
    CHECK(shadow.live.erase(token.offset) == 1);
  }

  /// Makes a handle and all its tokens stale and puts another allocator in its place.
  void replace(Shadow &shadow) {
    if (!generator_.once_in(8)) return;
    retire(shadow);
    shadow = make();
  }

  /// Restores an allocator from its snapshot.
  void restart(Shadow &shadow) {
    std::vector<std::uint8_t> bytes(1 << 16);
    std::size_t length = 0;
    CHECK(mc_offset_snapshot(shadow.handle, nullptr, 0, &length) == MC_STATUS_ARRAY_TOO_SHORT);
    CHECK(mc_offset_snapshot(shadow.handle, bytes.data(), bytes.size(), &length) == MC_STATUS_OK);
    mc_offset restored{};
    bytes[generator_.below(length)] ^= 1;
    CHECK(mc_offset_restore(0, bytes.data(), length, &restored) == MC_STATUS_INVALID_STATE);
    CHECK(mc_offset_snapshot(shadow.handle, bytes.data(), bytes.size(), &length) == MC_STATUS_OK);
    CHECK(mc_offset_restore(0, bytes.data(), length, &restored) == MC_STATUS_OK);
    Shadow next{};
    next.handle = restored;
    next.capacity = shadow.capacity;
    next.live = shadow.live;
    next.unclaimed.resize(next.live.size());
    std::size_t count = 0;
    CHECK(mc_offset_live(restored, next.unclaimed.data(), next.unclaimed.size(), &count) ==
          MC_STATUS_OK);
    retire(shadow);
    shadow = std::move(next);
  }

  void claim(Shadow &shadow) {
    if (shadow.unclaimed.empty()) return;
    const mc_block block = shadow.unclaimed.back();
    mc_token token{};
    mc_block wrong = block;
    (generator_.once_in(2) ? wrong.offset : wrong.size) ^= 1 + generator_.below(7);
    CHECK(mc_offset_claim(shadow.handle, wrong, &token) == MC_STATUS_NOT_LIVE);
    CHECK(mc_offset_claim(shadow.handle, block, &token) == MC_STATUS_OK);
    CHECK(mc_offset_claim(shadow.handle, block, &token) == MC_STATUS_NOT_LIVE);
    shadow.unclaimed.pop_back();
    known_.push_back({shadow.handle, token, true});
  }

  /// Calls what has to fail whatever the state.
  void call_with_nonsense(Shadow &shadow) {
    mc_offset handle{generator_.next() >> generator_.below(64)};
    if (!stale_.empty() && generator_.once_in(2)) handle = stale_[generator_.below(stale_.size())];
    mc_token token{generator_.next(), generator_.next(), generator_.next(), generator_.next()};
    const mc_block block{generator_.next(), generator_.next(), generator_.next()};
    std::uint64_t number = 0;
    if (!mc_offset_is_alive(handle)) {
      CHECK(mc_offset_free(handle, token) == MC_STATUS_STALE_HANDLE);
      CHECK(mc_offset_allocate(handle, 1, &token) == MC_STATUS_STALE_HANDLE);
      CHECK(mc_offset_destroy(handle) == MC_STATUS_STALE_HANDLE);
      CHECK(mc_offset_largest_hole(handle, &number) == MC_STATUS_STALE_HANDLE);
    }
    CHECK(mc_offset_free(shadow.handle, token) == MC_STATUS_NOT_LIVE);
    CHECK(mc_offset_claim(shadow.handle, block, &token) == MC_STATUS_NOT_LIVE);
    CHECK(mc_offset_allocate(shadow.handle, 1, nullptr) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(mc_offset_allocate(shadow.handle, 0, &token) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(mc_owned_allocate(shadow.handle, 1, 0, nullptr) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(mc_owned_free(nullptr) == MC_STATUS_INVALID_ARGUMENT);
    CHECK(mc_offset_live(shadow.handle, nullptr, 1, nullptr) == MC_STATUS_INVALID_ARGUMENT);
    const mc_slots slots{shadow.handle.id};
    CHECK(mc_slots_free(slots, 0) == MC_STATUS_STALE_HANDLE);
    const mc_arena arena{shadow.handle.id};
    CHECK(mc_arena_destroy(arena) == MC_STATUS_STALE_HANDLE);
  }

  void retire(Shadow &shadow) {
    CHECK(mc_offset_destroy(shadow.handle) == MC_STATUS_OK);
    stale_.push_back(shadow.handle);
    for (auto &known : known_) {
      if (known.allocator.id == shadow.handle.id) known.is_live = false;
    }
    outlived_.insert(outlived_.end(), shadow.owned.begin(), shadow.owned.end());
    shadow.owned.clear();
  }

  Generator generator_;
  std::vector<Shadow> shadows_;
  std::vector<Known> known_;
  std::vector<mc_offset> stale_;
  /// Owned allocations of allocators that are gone.
  std::vector<mc_owned> outlived_;
};

}  // namespace

int main(int argc, char **argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 40;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    std::fprintf(stderr, "seed %" PRIu64 "\n", seed);
    Program program(seed);
    for (int at = 0; at < kSteps; ++at) {
      program.step();
      if (at % 16 == 0) program.check();
    }
  }
}
