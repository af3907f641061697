// Random calls of a store with bytes, held against what must be stored: puts that are committed, dropped
// or overtaken by others, leases held while their objects are evicted, detached and moved, segments that
// come, drain, shrink and go.
//
// Usage: store_model [seeds [first seed]]. A failure prints its seed.

#include <algorithm>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "mc_store.hpp"

namespace {

constexpr int kSteps = 1500;
constexpr std::uint64_t kSegments = 3;
constexpr std::uint64_t kSegmentBytes = 64 << 10;

/// Returns the bytes of an object, which no other has.
std::string bytes_of(std::uint64_t version, std::size_t size) {
  std::string bytes(size, '\0');
  for (std::size_t at = 0; at < size; ++at) {
    bytes[at] = static_cast<char>((version * 0x9E3779B97F4A7C15 + at * 131) >> 17);
  }
  return bytes;
}

struct Held {
  mc::Lease lease;
  std::string key;
  std::string bytes;
};

struct Pending {
  mc::Put put;
  std::string key;
  std::string bytes;
};

class Program {
 public:
  explicit Program(std::uint64_t seed)
      : numbers_(seed), store_(make_store()), events_(std::move(*store_.events(1 << 16))) {
    for (std::uint64_t number = 1; number <= kSegments; ++number) mount(number);
  }

  void step() {
    switch (below(16)) {
      case 0: return segment_step();
      case 1: return remove();
      case 2: return pin();
      case 3: return end_put();
      case 4: return chain();
      case 5: case 6: return lease();
      case 7: return release();
      case 8: return call_with_nonsense();
      case 9: return add_replica();
      default: return put();
    }
  }

  /// Everything that must be there is, with its bytes, and nothing else.
  void check() {
    note_events();
    CHECK(mc_store_check_invariants(store_.native_handle()) == MC_STATUS_OK);
    auto keys = store_.keys();
    std::sort(keys.begin(), keys.end());
    CHECK(keys.size() == stored_.size());
    std::map<std::uint64_t, std::uint64_t> taken;
    auto expected = stored_.begin();
    for (const auto &key : keys) {
      CHECK(key == expected->first);
      const auto bytes = store_.read(key);
      CHECK(bytes && *bytes == expected->second);
      auto lease = store_.get(key);
      const auto places = lease->descriptors();
      add_places(taken, places);
      for (const auto &place : places) CHECK(bytes_at(place) == expected->second);
      ++expected;
    }
    for (const auto &held : leases_) {
      const auto places = held.lease.descriptors();
      if (places.empty()) continue;
      const auto bytes = held.lease.read();
      CHECK(bytes && *bytes == held.bytes);
      // A detached object is there beside the one that has its key now.
      const auto known = taken.find(places[0].address);
      if (known == taken.end()) add_places(taken, places);
    }
    for (const auto &lacking : store_.under_replicated()) {
      CHECK(stored_.count(lacking.key) == 1 && lacking.readable == 1 && lacking.wanted == 2);
      CHECK(store_.get(lacking.key)->descriptors().size() == 1);
    }
    const auto in_flight = store_.in_flight();
    CHECK(in_flight.size() == puts_.size());
    for (const auto &pending : puts_) {
      auto places = pending.put.descriptors();
      const auto told = std::find_if(in_flight.begin(), in_flight.end(),
                                     [&](const auto &put) { return put.key == pending.key; });
      CHECK(told != in_flight.end() && told->replicas.size() == places.size());
      CHECK(told->replicas[0].address == places[0].address);
      // Memory that was unmounted may be another segment's by now.
      const auto is_gone = [&](const mc::Descriptor &place) {
        return place.epoch != epochs_.at(place.segment.low);
      };
      places.erase(std::remove_if(places.begin(), places.end(), is_gone), places.end());
      add_places(taken, places);
    }
    const auto stats = store_.stats();
    CHECK(stats.objects == stored_.size() && stats.in_flight == puts_.size());
  }

 private:
  static mc::Store make_store() {
    mc_store_options options = mc_store_options_default();
    options.moved_per_placed = 1;
    options.has_checksums = 1;
    auto store = mc::Store::create(options);
    CHECK(store);
    return std::move(*store);
  }

  std::uint64_t below(std::uint64_t end) { return numbers_() % end; }

  std::string any_key() { return "key/" + std::to_string(below(60)); }

  static void add_places(std::map<std::uint64_t, std::uint64_t> &taken,
                         const std::vector<mc::Descriptor> &places) {
    for (const auto &place : places) {
      for (const auto &extent : place.extents) {
        const auto above = taken.lower_bound(extent.address);
        CHECK(above == taken.end() || extent.address + extent.size <= above->first);
        if (above != taken.begin()) {
          const auto below = std::prev(above);
          CHECK(below->first + below->second <= extent.address);
        }
        taken.emplace(extent.address, extent.size);
      }
    }
  }

  /// Returns the bytes of a replica, whose addresses are pointers here.
  static std::string bytes_at(const mc::Descriptor &place) {
    std::string bytes;
    for (const auto &extent : place.extents) {
      bytes.append(reinterpret_cast<const char *>(static_cast<std::uintptr_t>(extent.address)),
                   static_cast<std::size_t>(extent.size));
    }
    return bytes;
  }

  /// Forgets what the store says has left; only what may leave does.
  void note_events() {
    for (const auto &event : events_.poll()) {
      if (event.kind != MC_EVENT_LEFT) continue;
      if (event.cause == MC_CAUSE_ON_DEMAND || event.cause == MC_CAUSE_SHRUNK) {
        CHECK(pinned_.count(event.key) == 0);
        for (const auto &held : leases_) CHECK(held.key != event.key || detached(held));
      }
      CHECK(event.cause != MC_CAUSE_CORRUPT && event.cause != MC_CAUSE_OTHER);
      CHECK(stored_.erase(event.key) == 1);
      pinned_.erase(event.key);
    }
    CHECK(events_.missed() == 0);
  }

  /// Says whether a lease holds an object whose key was another's or nobody's when it was last looked at.
  bool detached(const Held &held) const {
    const auto stored = stored_.find(held.key);
    return stored == stored_.end() || stored->second != held.bytes;
  }

  bool is_pending(const std::string &key) const {
    for (const auto &pending : puts_) {
      if (pending.key == key) return true;
    }
    return false;
  }

  void put() {
    mc::PutOptions options;
    options.size = 1 + (below(12'000) >> below(6));
    options.align = std::uint64_t{1} << below(7);
    options.extents_max = 1 + static_cast<std::uint32_t>(below(3));
    options.replicas = below(4) == 0 ? 2 : 1;
    options.replicas_least = 1;
    options.parent = any_key();
    if (below(5) == 0) options.tenant = "tenant";
    const std::string key = any_key();
    const bool is_stored = stored_.count(key) != 0, is_put = is_pending(key);
    auto put = store_.put(key, options);
    note_events();
    CHECK(!is_stored || put.status() == MC_STATUS_EXISTS || stored_.count(key) == 0);
    CHECK(!is_put || put.status() == MC_STATUS_IN_FLIGHT);
    if (!put) return;
    auto bytes = bytes_of(++version_, options.size);
    const std::size_t half = bytes.size() / 2;
    CHECK(put->write(bytes.data() + half, bytes.size() - half, half) == MC_STATUS_OK);
    CHECK(put->write(bytes.data(), half) == MC_STATUS_OK);
    puts_.push_back({std::move(*put), key, std::move(bytes)});
    if (puts_.size() > 4 || below(4) != 0) commit(puts_.size() - 1);
  }

  void commit(std::size_t at) {
    Pending pending = std::move(puts_[at]);
    puts_.erase(puts_.begin() + static_cast<std::ptrdiff_t>(at));
    const mc_status status = pending.put.commit();
    CHECK(status == MC_STATUS_OK || status == MC_STATUS_UNREADABLE);
    if (status == MC_STATUS_OK) stored_[pending.key] = pending.bytes;
    note_events();
  }

  void end_put() {
    if (puts_.empty()) return;
    const std::size_t at = below(puts_.size());
    if (below(2) == 0) return commit(at);
    puts_.erase(puts_.begin() + static_cast<std::ptrdiff_t>(at));
  }

  void chain() {
    std::vector<std::string> keys;
    for (int at = 0; at < 4; ++at) keys.push_back(any_key());
    std::vector<std::pair<std::string_view, std::uint64_t>> prompt;
    for (const auto &key : keys) prompt.emplace_back(key, 3000);
    auto chain = store_.put_many(prompt);
    CHECK(chain);
    note_events();
    std::map<std::string, std::string> written;
    for (std::size_t at = 0; at < chain->size(); ++at) {
      CHECK(chain->isMissing(at) == (stored_.count(keys[at]) == 0));
      if (!chain->isMissing(at)) continue;
      const auto bytes = bytes_of(++version_, 3000);
      CHECK(chain->write(at, bytes.data(), bytes.size()) == MC_STATUS_OK);
      written.emplace(keys[at], bytes);
    }
    if (below(3) == 0) return;
    const auto stored = chain->commit();
    CHECK(stored && *stored >= written.size());
    stored_.merge(written);
    note_events();
  }

  void lease() {
    if (leases_.size() > 6) return release();
    const std::string key = any_key();
    auto lease = below(2) == 0 ? store_.get(key) : store_.get_for(key, 0);
    note_events();
    CHECK(bool(lease) == (stored_.count(key) != 0));
    if (!lease) return;
    leases_.push_back({std::move(*lease), key, stored_[key]});
  }

  void release() {
    if (leases_.empty()) return;
    leases_.erase(leases_.begin() + static_cast<std::ptrdiff_t>(below(leases_.size())));
  }

  void remove() {
    const std::string key = any_key();
    const auto mode = static_cast<mc::Removal>(below(3));
    const bool is_stored = stored_.count(key) != 0, is_pinned = pinned_.count(key) != 0;
    bool is_leased = false;
    for (const auto &held : leases_) is_leased |= held.key == key && !detached(held);
    const mc_status status = store_.remove(key, mode);
    if (!is_stored) {
      CHECK(status == MC_STATUS_NOT_STORED);
    } else if (mode == mc::Removal::kNow) {
      CHECK(status == MC_STATUS_OK);
    } else if (is_pinned) {
      CHECK(status == MC_STATUS_PINNED || (is_leased && status == MC_STATUS_LEASED));
    } else if (is_leased && mode == mc::Removal::kIfIdle) {
      CHECK(status == MC_STATUS_LEASED);
    } else {
      CHECK(status == MC_STATUS_OK);
    }
    note_events();
    CHECK((status == MC_STATUS_OK) == (is_stored && stored_.count(key) == 0));
  }

  void add_replica() {
    const std::string key = any_key();
    const bool is_stored = stored_.count(key) != 0;
    bool is_leased = false;
    for (const auto &held : leases_) is_leased |= held.key == key && !detached(held);
    std::size_t before = is_stored ? store_.get(key)->descriptors().size() : 0;
    const mc_status status = store_.add_replica(key);
    note_events();
    CHECK(is_stored == (status != MC_STATUS_NOT_STORED));
    if (!is_stored) return;
    // It may have left itself for its replica.
    if (status == MC_STATUS_BUSY) CHECK(is_leased || stored_.count(key) == 0);
    if (status == MC_STATUS_OK) CHECK(!is_leased);
    if (status == MC_STATUS_OK) ++before;
    CHECK(status == MC_STATUS_OK || status == MC_STATUS_BUSY || status == MC_STATUS_NO_SPACE ||
          status == MC_STATUS_TOO_LARGE);
    if (stored_.count(key) == 0) return;
    CHECK(store_.get(key)->descriptors().size() == before);
  }

  void pin() {
    const std::string key = any_key();
    const mc_status expected = stored_.count(key) != 0 ? MC_STATUS_OK : MC_STATUS_NOT_STORED;
    if (pinned_.size() > 3) {
      const std::string pinned = *pinned_.begin();
      CHECK(store_.unpin(pinned) == MC_STATUS_OK);
      pinned_.erase(pinned);
    }
    CHECK(store_.pin(key) == expected);
    if (expected == MC_STATUS_OK) pinned_.insert(key);
  }

  void mount(std::uint64_t number) {
    mc::Pool::Options options;
    options.bytes = kSegmentBytes;
    options.pages = MC_PAGES_OFF;
    auto pool = mc::Pool::map(options);
    CHECK(pool);
    auto segment = mc::SegmentOptions::of(number, *pool);
    segment.epoch = ++epochs_[number];
    CHECK(store_.mount(segment));
  }

  void segment_step() {
    const std::uint64_t number = 1 + below(kSegments);
    switch (below(6)) {
      case 0: {
        CHECK(store_.drain(number) == MC_STATUS_OK);
        const auto moved = store_.move_out(number);
        CHECK(moved);
        note_events();
        for (const auto &key : moved->left) CHECK(stored_.count(key) != 0);
        CHECK(store_.resume(number) == MC_STATUS_OK);
        return;
      }
      case 1: {
        const auto unmounted = store_.unmount(number);
        CHECK(unmounted);
        note_events();
        for (const auto &one : *unmounted) {
          CHECK((one.readable == 0) == (stored_.count(one.key) == 0));
        }
        mount(number);
        return;
      }
      case 2: {
        const auto shrunk = store_.shrink(number, kSegmentBytes / 2);
        CHECK(shrunk || shrunk.status() == MC_STATUS_BUSY);
        note_events();
        if (shrunk) CHECK(store_.grow(number, kSegmentBytes) == MC_STATUS_OK);
        return;
      }
      default: {
        const auto copied = store_.compact(below(1 << 16));
        CHECK(copied);
      }
    }
  }

  /// Calls what has to fail whatever the state.
  void call_with_nonsense() {
    const std::uint64_t any = numbers_() >> below(64);
    const mc_key key{"key/1", 5};
    mc_lease lease{};
    mc_lease_report report{};
    bool is_held = false;
    for (const auto &held : leases_) is_held |= held.lease.native_handle().id == any;
    if (!is_held) {
      CHECK(mc_lease_describe({any}, &report) == MC_STATUS_STALE_HANDLE);
      CHECK(mc_lease_release({any}) == MC_STATUS_STALE_HANDLE);
    }
    CHECK(mc_put_commit({any}) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_chain_abort({any}) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_events_destroy({any >> 1}) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_store_get({any >> 1}, key, &lease) == MC_STATUS_STALE_HANDLE);
    CHECK(mc_lease_release({store_.native_handle().id}) == MC_STATUS_STALE_HANDLE);
    CHECK(lease.id == 0);
  }

  std::mt19937_64 numbers_;
  mc::Store store_;
  mc::Events events_;
  /// Bytes of every object that is stored, by key.
  std::map<std::string, std::string> stored_;
  std::set<std::string> pinned_;
  std::vector<Held> leases_;
  std::vector<Pending> puts_;
  std::uint64_t version_ = 0;
  /// How often each segment was mounted.
  std::map<std::uint64_t, std::uint64_t> epochs_;
};

}  // namespace

int main(int argc, char **argv) {
  const std::uint64_t seeds = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 10;
  const std::uint64_t first = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 1;
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    std::fprintf(stderr, "seed %" PRIu64 "\n", seed);
    Program program(seed);
    for (int at = 0; at < kSteps; ++at) {
      program.step();
      if (at % 8 == 0) program.check();
    }
    program.check();
  }
}
