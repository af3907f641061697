// The classes of mc_store.hpp: what they return, what they refuse, and what becomes of objects, puts and
// leases that are moved, dropped or outlive their store.

#include "mc_store.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.h"

namespace {

using mc::Pool;
using mc::PutOptions;
using mc::SegmentOptions;
using mc::Store;

constexpr std::uint64_t kPoolBytes = 1 << 20;

static_assert(!std::is_copy_constructible_v<Store> && std::is_nothrow_move_constructible_v<Store>);
static_assert(!std::is_copy_constructible_v<mc::Put> && std::is_move_assignable_v<mc::Put>);
static_assert(!std::is_copy_constructible_v<mc::Lease> && std::is_move_assignable_v<mc::Lease>);
static_assert(!std::is_copy_constructible_v<mc::Chain> && !std::is_copy_constructible_v<Pool>);
static_assert(!std::is_copy_constructible_v<mc::IdleCompactor> &&
              std::is_nothrow_move_constructible_v<mc::IdleCompactor>);

Pool make_pool(std::uint64_t bytes = kPoolBytes) {
  Pool::Options options;
  options.bytes = bytes;
  options.pages = MC_PAGES_OFF;
  auto pool = Pool::map(options);
  CHECK(pool);
  return std::move(*pool);
}

Store make_store(std::uint64_t segments = 1,
                 const mc_store_options &options = mc_store_options_default()) {
  auto store = Store::create(options);
  CHECK(store);
  for (std::uint64_t number = 1; number <= segments; ++number) {
    const auto mounted = store->mount(SegmentOptions::of(number, make_pool()));
    CHECK(mounted && *mounted == MC_MOUNTED);
  }
  return std::move(*store);
}

std::string read(Store &store, std::string_view key) {
  auto bytes = store.read(key);
  CHECK(bytes);
  return *bytes;
}

void objects_are_stored_and_found() {
  Store store = make_store();
  auto put = store.put("k", 5);
  CHECK(put && put->address() != 0 && put->left_seconds() > 0);
  CHECK(put->write("val", 3) == MC_STATUS_OK && put->write("ue", 2, 3) == MC_STATUS_OK);
  CHECK(put->write("too long", 8) == MC_STATUS_INVALID_ARGUMENT);
  const auto places = put->descriptors();
  CHECK(places.size() == 1 && places[0].address == put->address() && places[0].size == 5);
  CHECK(places[0].segment == mc::SegmentId(1) && places[0].protocol == "tcp");
  CHECK(places[0].endpoint == "1" && places[0].extents.size() == 1);
  CHECK(!store.exists("k") && store.get("k").status() == MC_STATUS_NOT_STORED);
  CHECK(put->commit() == MC_STATUS_OK);
  CHECK(put->commit() == MC_STATUS_STALE_HANDLE && put->address() == 0);

  auto lease = store.get("k");
  CHECK(lease && lease->size() == 5 && std::memcmp(lease->data(), "value", 5) == 0);
  CHECK(*lease->read() == "value" && lease->parts() == std::vector<std::uint64_t>{5});
  CHECK(lease->descriptors()[0].address == places[0].address);
  CHECK(store.remove("k") == MC_STATUS_LEASED);
  lease->release();
  CHECK(store.remove("k") == MC_STATUS_OK && !store.exists("k"));
}

void a_put_that_is_dropped_gives_its_space_back() {
  Store store = make_store();
  {
    auto put = store.put("k", kPoolBytes);
    CHECK(put && store.put("other", 1).status() == MC_STATUS_NO_SPACE);
    CHECK(mc::last_figures().asked == 1 && mc::last_figures().free == 0);
    CHECK(mc::last_error().find("1 being put") != std::string::npos);
  }
  auto first = store.put("k", kPoolBytes);
  CHECK(first);
  // Overwritten by another, a put is over too.
  first->abort();
  auto second = store.put("k", 10);
  auto third = store.put("l", 10);
  *second = std::move(*third);
  CHECK(!store.exists("k") && store.put("k", 1));
  CHECK(second->commit() == MC_STATUS_OK && store.exists("l"));
  CHECK(store.stats().in_flight == 0 && store.stats().objects == 1);
}

void space_without_a_key_is_placed_and_given_back() {
  Store store = make_store(2);
  PutOptions options;
  options.size = 5000;
  options.align = 4096;
  options.replicas = 2;
  auto space = store.place(options);
  CHECK(space && space->write("value", 5, 4995) == MC_STATUS_OK);
  CHECK(space->write("value", 5, 4996) == MC_STATUS_INVALID_ARGUMENT);
  const auto places = space->descriptors();
  CHECK(places.size() == 2 && places[0].segment != places[1].segment);
  for (const auto &place : places) {
    CHECK(place.size == 5000 && place.address % 4096 == 0);
    const auto *bytes = reinterpret_cast<const char *>(static_cast<std::uintptr_t>(place.address));
    CHECK(std::memcmp(bytes + 4995, "value", 5) == 0);
  }
  char bytes[3];
  CHECK(store.keys().empty() && store.unmount(places[0].segment));
  CHECK(space->write("x", 1) == MC_STATUS_UNREADABLE);
  CHECK(space->read(bytes, 3, 4996) == MC_STATUS_OK && std::memcmp(bytes, "alu", 3) == 0);

  // Nobody leaves for it, and it leaves for nobody.
  options = {};
  options.size = kPoolBytes / 2;
  CHECK(store.put_bytes("k", std::string(kPoolBytes / 2, 'k')) == MC_STATUS_OK);
  CHECK(store.place(options).status() == MC_STATUS_NO_SPACE);
  CHECK(mc::last_figures().asked == kPoolBytes / 2 && store.exists("k"));
  CHECK(store.put("all", kPoolBytes).status() == MC_STATUS_NO_SPACE);
  space->free();
  CHECK(space->read(bytes, 1) == MC_STATUS_STALE_HANDLE && store.remove("k") == MC_STATUS_OK);
  options.size = kPoolBytes;
  CHECK(store.place(options));
  CHECK(store.segments().at(0).placed_bytes == 0);
  options.size = 2 * kPoolBytes;
  CHECK(store.place(options).status() == MC_STATUS_TOO_LARGE);
  options.parts = {1, 2};
  CHECK(store.place(options).status() == MC_STATUS_INVALID_ARGUMENT);
}

void parts_are_stored_together() {
  Store store = make_store();
  PutOptions options;
  options.parts = {100, 7};
  options.align = 64;
  auto put = store.put("pair", options);
  std::string bytes(107, 'a');
  bytes.replace(100, 7, "indices");
  CHECK(put && put->write(bytes.data(), bytes.size()) == MC_STATUS_OK);
  const auto places = put->descriptors();
  CHECK(places.size() == 2 && places[0].size == 100 && places[1].size == 7);
  CHECK(places[1].address == places[0].address + 128 && put->commit() == MC_STATUS_OK);
  auto lease = store.get("pair");
  CHECK(lease->size() == 107 && lease->parts() == (std::vector<std::uint64_t>{100, 7}));
  CHECK(*lease->read() == bytes);
  char index[7];
  CHECK(lease->read(index, 7, 100) == MC_STATUS_OK && std::memcmp(index, "indices", 7) == 0);
}

void prompts_are_put_and_found_from_their_beginning() {
  Store store = make_store();
  CHECK(store.put_bytes("p/0", "zero") == MC_STATUS_OK);
  std::vector<std::pair<std::string_view, std::uint64_t>> prompt = {
      {"p/0", 4}, {"p/1", 400'000}, {"p/2", 400'000}, {"p/3", 400'000}};
  auto chain = store.put_many(prompt);
  CHECK(chain && chain->size() == 3 && chain->found() == 1);
  CHECK(chain->refusal() == MC_STATUS_NO_SPACE && mc::last_figures().asked == 400'000);
  CHECK(!chain->isMissing(0) && chain->isMissing(1) && chain->isMissing(2) && !chain->isMissing(3));
  CHECK(chain->write(0, "x", 1) == MC_STATUS_EXISTS);
  CHECK(chain->write(3, "x", 1) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(chain->write(1, "one", 3) == MC_STATUS_OK && chain->write(2, "two", 3, 5) == MC_STATUS_OK);
  CHECK(chain->descriptors(2).size() == 1 && chain->descriptors(0).empty());
  CHECK(store.get_many({"p/0", "p/1"})->size() == 1);
  auto stored = chain->commit();
  CHECK(stored && *stored == 3 && chain->commit().status() == MC_STATUS_STALE_HANDLE);

  auto leases = store.get_many({"p/0", "p/1", "p/2", "p/3", "p/0"});
  CHECK(leases && leases->size() == 3 && (*leases)[2].size() == 400'000);
  CHECK(std::memcmp(static_cast<const char *>((*leases)[2].data()) + 5, "two", 3) == 0);
  CHECK(store.get_many({})->empty() && store.get_many({"none"})->empty());
  leases->clear();
  {
    // Dropped, a chain gives back what it found room for.
    CHECK(store.remove("p/2") == MC_STATUS_OK);
    auto dropped = store.put_many({{"p/2", 10}, {"p/4", 10}});
    CHECK(dropped->size() == 2 && store.stats().in_flight == 2);
  }
  CHECK(store.stats().in_flight == 0 && store.keys().size() == 2);
}

void the_oldest_leave_and_leased_and_pinned_objects_stay() {
  Store store = make_store();
  auto events = store.events(100);
  const std::string page(kPoolBytes / 4, 'p');
  for (const char *key : {"a", "b", "c", "d"}) CHECK(store.put_bytes(key, page) == MC_STATUS_OK);
  auto lease = store.get("a");
  CHECK(store.pin("b") == MC_STATUS_OK);
  CHECK(store.put_bytes("e", page) == MC_STATUS_OK && store.put_bytes("f", page) == MC_STATUS_OK);
  CHECK(!store.exists("c") && !store.exists("d") && store.exists("a") && store.exists("b"));
  CHECK(*lease->read() == page);

  std::vector<std::string> left;
  for (const auto &event : events->poll()) {
    if (event.kind == MC_EVENT_COMMITTED) continue;
    CHECK(event.kind == MC_EVENT_LEFT && event.cause == MC_CAUSE_ON_DEMAND);
    CHECK(event.bytes == page.size());
    left.push_back(event.key);
  }
  CHECK((left == std::vector<std::string>{"c", "d"}) && events->poll().empty());
  CHECK(events->missed() == 0);

  const std::vector<mc_status> each = {MC_STATUS_LEASED, MC_STATUS_PINNED, MC_STATUS_NOT_STORED,
                                       MC_STATUS_OK, MC_STATUS_NOT_STORED};
  CHECK(*store.remove_many({"a", "b", "c", "f", "f"}) == each && !store.exists("f"));
  CHECK(store.remove_many({})->empty());

  // What is detached is gone for all but the lease.
  CHECK(store.remove("a", mc::Removal::kDetach) == MC_STATUS_OK && !store.exists("a"));
  CHECK(*lease->read() == page && store.stats().on_demand.objects == 2);
  CHECK(store.remove("b", mc::Removal::kNow) == MC_STATUS_OK);
}

void queues_of_events_drop_their_oldest() {
  Store store = make_store();
  auto events = store.events(2);
  for (const char *key : {"a", "b", "c"}) CHECK(store.put_bytes(key, key) == MC_STATUS_OK);
  CHECK(events->poll(1).at(0).key == "b" && events->missed() == 1);
  CHECK(events->poll().at(0).key == "c");
}

/// Time that stands still until it is turned.
struct HandClock {
  std::atomic<std::uint64_t> nanoseconds{0};

  void advance(double seconds) { nanoseconds += static_cast<std::uint64_t>(seconds * 1e9); }
  static std::uint64_t read(void *clock) { return static_cast<HandClock *>(clock)->nanoseconds; }

  /// Returns the default options of a store, with this clock.
  mc_store_options options() {
    mc_store_options options = mc_store_options_default();
    options.clock = read;
    options.clock_context = this;
    return options;
  }
};

void leases_and_puts_end_by_the_clock() {
  HandClock clock;
  mc_store_options options = clock.options();
  options.lease_max_seconds = 100;
  Store store = make_store(1, options);
  clock.advance(5);
  CHECK(store.now() == 5.0 && store.put_bytes("k", "v") == MC_STATUS_OK);
  CHECK(store.get_for("k", 10));
  CHECK(store.remove("k") == MC_STATUS_LEASED);
  clock.advance(10);
  CHECK(store.get_for("k", 1e6) && store.end_lease("k") == MC_STATUS_OK);
  CHECK(store.end_lease("k") == MC_STATUS_NOT_STORED);
  CHECK(store.get_for("k", 1e6));
  clock.advance(99);
  CHECK(store.remove("k") == MC_STATUS_LEASED);
  clock.advance(2);
  CHECK(store.remove("k") == MC_STATUS_OK);

  PutOptions late;
  late.size = 10;
  late.deadline_seconds = 3;
  auto put = store.put("late", late);
  clock.advance(4);
  CHECK(put->write("x", 1) == MC_STATUS_OK || put->write("x", 1) == MC_STATUS_EXPIRED);
  CHECK(put->commit() == MC_STATUS_EXPIRED && store.put("late", late));
  CHECK(store.stats().expired == 1);
}

void damaged_bytes_are_found_by_their_checksum() {
  mc_store_options options = mc_store_options_default();
  options.has_checksums = 1;
  Store store = make_store(1, options);
  CHECK(store.put_bytes("k", "value") == MC_STATUS_OK && read(store, "k") == "value");
  auto lease = store.get("k");
  CHECK(lease->describe().has_checksum == 1);
  static_cast<char *>(const_cast<void *>(lease->data()))[2] = 'x';
  CHECK(lease->read().status() == MC_STATUS_CORRUPT);
  CHECK(mc::last_error().find("instead of") != std::string::npos);
  lease->release();
  CHECK(store.read("k").status() == MC_STATUS_NOT_STORED && store.stats().corrupt.objects == 1);

  // One that the writer says is compared, too.
  auto put = store.put("said", 5);
  CHECK(put->write("value", 5) == MC_STATUS_OK && put->setChecksum(7) == MC_STATUS_OK);
  CHECK(put->commit() == MC_STATUS_OK && store.get("said")->describe().checksum == 7);
  CHECK(store.read("said").status() == MC_STATUS_NOT_STORED);
}

void a_read_is_one_use() {
  Store store = make_store();
  CHECK(store.put_bytes("k", "value") == MC_STATUS_OK);
  CHECK(read(store, "k") == "value" && store.stats().hits == 1 && store.stats().misses == 0);
  CHECK(store.read("other").status() == MC_STATUS_NOT_STORED);
  CHECK(store.stats().hits == 1 && store.stats().misses == 1);
}

void a_pool_that_was_moved_from_has_no_memory() {
  Pool pool = make_pool();
  const Pool moved = std::move(pool);
  CHECK(moved.size() == kPoolBytes && moved.data() != nullptr);
  CHECK(pool.size() == 0 && pool.data() == nullptr);
  // Not the memory of another host at the same addresses.
  Store store = make_store(0);
  CHECK(store.mount(SegmentOptions::of(1, pool)).status() == MC_STATUS_INVALID_ARGUMENT);
}

void segments_are_drained_moved_out_of_and_unmounted() {
  Store store = make_store(2);
  for (int at = 0; at < 8; ++at) {
    CHECK(store.put_bytes("k" + std::to_string(at), std::string(1000, 'a')) == MC_STATUS_OK);
  }
  CHECK(store.finish_drain(1) == MC_STATUS_WRONG_STATE);
  CHECK(store.drain(1) == MC_STATUS_OK && store.segments().at(0).state == MC_SEGMENT_DRAINING);
  auto first = store.segments().at(0);
  if (first.placed_bytes > 0) CHECK(store.finish_drain(1) == MC_STATUS_BUSY);
  auto moved = store.move_out(1);
  CHECK(moved && moved->bytes == first.placed_bytes && moved->left.empty());
  CHECK(store.finish_drain(1) == MC_STATUS_OK && store.segments().at(1).placed_bytes == 8000);
  CHECK(store.resume(1) == MC_STATUS_OK && store.suspend(1) == MC_STATUS_OK);
  CHECK(store.segments().at(0).state == MC_SEGMENT_SUSPENDED && store.resume(1) == MC_STATUS_OK);

  // With a lease the object stays where it is.
  auto lease = store.get("k0");
  CHECK(store.drain(2) == MC_STATUS_OK);
  moved = store.move_out(2);
  CHECK(moved && moved->left == std::vector<std::string>{"k0"} && moved->replicas == 7);
  auto unmounted = store.unmount(2);
  CHECK(unmounted && unmounted->size() == 1 && unmounted->at(0).key == "k0");
  CHECK(unmounted->at(0).readable == 0 && lease->address() == 0);
  CHECK(lease->read().status() == MC_STATUS_UNREADABLE);
  CHECK(!store.exists("k0") && store.segments().size() == 1 && store.stats().objects == 7);
  CHECK(store.unmount(2).status() == MC_STATUS_NOT_MOUNTED);
  CHECK(store.unmount_gracefully(1) == MC_STATUS_OK && store.resume(1) == MC_STATUS_WRONG_STATE);
}

void replicas_are_in_segments_of_other_names() {
  Store store = make_store(2);
  PutOptions two;
  two.replicas = 2;
  CHECK(store.put_bytes("k", "twice", two) == MC_STATUS_OK);
  auto places = store.get("k")->descriptors();
  CHECK(places.size() == 2 && places[0].segment != places[1].segment);
  two.replicas = 3;
  CHECK(store.put_bytes("l", "thrice", two) == MC_STATUS_TOO_LARGE);
  two.replicas_least = 1;
  CHECK(store.put_bytes("l", "thrice", two) == MC_STATUS_OK);
  auto unmounted = store.unmount(1);
  CHECK(unmounted && unmounted->size() == 2);
  for (const auto &one : *unmounted) {
    CHECK(one.readable == 1 && one.wanted == (one.key == "k" ? 2u : 3u));
  }
  CHECK(read(store, "k") == "twice" && read(store, "l") == "thrice");

  // What was lost is there again in a segment of a third name.
  CHECK(store.under_replicated().size() == 2);
  CHECK(store.mount(SegmentOptions::of(3, make_pool())));
  for (const auto &one : store.under_replicated()) {
    auto lease = store.get(one.key);
    CHECK(store.add_replica(one.key) == MC_STATUS_BUSY && lease->descriptors().size() == 1);
    lease->release();
    CHECK(store.add_replica(one.key) == MC_STATUS_OK);
    places = store.get(one.key)->descriptors();
    CHECK(places.size() == 2 && places[0].segment != places[1].segment);
  }
  const auto lacking = store.under_replicated();
  CHECK(lacking.size() == 1 && lacking[0].key == "l");
  CHECK(lacking[0].readable == 2 && lacking[0].wanted == 3);
  CHECK(store.unmount(2)->size() == 2 && read(store, "k") == "twice" && read(store, "l") == "thrice");
  CHECK(store.add_replica("none") == MC_STATUS_NOT_STORED);

  const Pool pool = make_pool();
  auto newer = SegmentOptions::of(3, pool);
  newer.epoch = 1;
  const auto mounted = store.mount(newer);
  CHECK(mounted && *mounted == MC_REPLACED);
  CHECK(store.drop_unreadable().size() == 2);
  CHECK(store.drop_unreadable().empty() && store.keys().empty());
}

void puts_under_way_have_ages() {
  HandClock clock;
  mc_store_options options = clock.options();
  options.put_deadline_seconds = 60;
  Store store = make_store(2, options);
  PutOptions two;
  two.size = 10;
  two.replicas = 2;
  auto put = store.put("k", two);
  clock.advance(5);
  auto chain = store.put_many({{"p/0", 10}, {"p/1", 10}});
  clock.advance(2);
  const auto puts = store.in_flight();
  CHECK(puts.size() == 3 && puts[0].key == "k");
  CHECK(puts[0].age_seconds == 7 && puts[0].left_seconds == 53 && puts[1].age_seconds == 2);
  const auto places = put->descriptors();
  CHECK(puts[0].replicas.size() == 2 && puts[0].replicas[1].address == places[1].address);
  CHECK(puts[0].replicas[0].segment == places[0].segment);
  CHECK(chain->commit() && store.in_flight().size() == 1);
  clock.advance(60);
  CHECK(store.in_flight().empty() && put->commit() == MC_STATUS_EXPIRED);
}

void policies_choose_who_leaves() {
  const std::string page(kPoolBytes / 4, 'p');
  // Returns who of four is there after two more, all used once but "a", which costs most to compute again.
  const auto left_of = [&](std::uint32_t policy) {
    mc_store_options options = mc_store_options_default();
    options.policy = policy;
    Store store = make_store(1, options);
    for (const char *key : {"a", "b", "c", "d", "e", "f"}) {
      PutOptions put;
      put.cost_seconds = *key == 'a' ? 1000 : 0.001;
      CHECK(store.put_bytes(key, page, put) == MC_STATUS_OK);
      if (*key != 'a') CHECK(store.get(key));
    }
    CHECK(store.stats().on_demand.objects == 2 && store.exists("f"));
    return store;
  };
  for (std::uint32_t policy = MC_POLICY_AUTO; policy <= MC_POLICY_REUSE_AGE; ++policy) {
    const Store store = left_of(policy);
    CHECK(store.exists("a") == (policy == MC_POLICY_GDSF || policy == MC_POLICY_REUSE_AGE));
  }
  mc_store_options unknown = mc_store_options_default();
  unknown.policy = MC_POLICY_REUSE_AGE + 1;
  CHECK(Store::create(unknown).status() == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc::last_error() == "policy is 6; accepted is one of the MC_POLICY_ constants");

  // Eight old objects between young ones leave in their order before a hole for two appears; neighbors make
  // it with fewer.
  const std::string sixteenth(kPoolBytes / 16, 's');
  for (const std::uint32_t eviction : {MC_EVICT_WINDOW, MC_EVICT_IN_ORDER}) {
    mc_store_options options = mc_store_options_default();
    options.policy = MC_POLICY_LRU;
    options.eviction = eviction;
    Store store = make_store(1, options);
    for (int at = 0; at < 16; ++at) {
      CHECK(store.put_bytes(std::to_string(at), sixteenth) == MC_STATUS_OK);
    }
    for (int at = 0; at < 16; at += 2) CHECK(store.get(std::to_string(at)));
    CHECK(store.put("pair", 2 * sixteenth.size()));
    const std::uint64_t left = store.stats().on_demand.objects;
    CHECK(eviction == MC_EVICT_WINDOW ? left < 9 : left == 9);
  }
}

void a_thread_makes_holes_while_the_store_is_idle() {
  mc::Result<mc::IdleCompactor> compactor = MC_STATUS_NOT_STORED;
  {
    Store store = make_store();
    const std::string page(kPoolBytes / 8, 'i');
    for (int at = 0; at < 8; ++at) {
      CHECK(store.put_bytes(std::to_string(at), page) == MC_STATUS_OK);
    }
    for (const char *key : {"1", "3", "5", "7"}) CHECK(store.remove(key) == MC_STATUS_OK);
    const auto before = store.stats();
    CHECK(before.free_bytes == kPoolBytes / 2 && before.largest_hole < kPoolBytes / 2);
    compactor = store.compact_when_idle(1 << 30);
    CHECK(compactor);
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (store.stats().largest_hole < kPoolBytes / 2) {
      CHECK(std::chrono::steady_clock::now() < patience);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(store.stats().moved.bytes > 0 && store.stats().on_demand.objects == 0);
    for (const char *key : {"0", "2", "4", "6"}) CHECK(read(store, key) == page);
    compactor->stop();
    CHECK(mc_idle_compactor_stop(compactor->native_handle()) == MC_STATUS_STALE_HANDLE);
    compactor = store.compact_when_idle(1);
  }
  // It may outlive its store.
  CHECK(compactor);
}

/// Counts what is to be copied.
struct Transport {
  std::uint64_t bytes = 0;
  bool works = true;

  static bool copy(void *self, const mc_descriptor *from, const mc_descriptor *to,
                   std::uint64_t offset, std::uint64_t bytes) {
    auto *transport = static_cast<Transport *>(self);
    CHECK(from->size == to->size && offset + bytes <= from->size);
    transport->bytes += bytes;
    return transport->works;
  }
};

void memory_of_other_hosts_is_placed_in_and_copied_by_the_caller() {
  Transport transport;
  mc_store_options options = mc_store_options_default();
  options.copy = Transport::copy;
  options.copy_context = &transport;
  options.moved_per_placed = 2;
  Store store = make_store(0, options);
  for (const std::uint64_t number : {1, 2}) {
    auto remote = SegmentOptions::remote(number, number << 40, 1000);
    remote.host = "host-" + std::to_string(number);
    remote.endpoint = "10.0.0.1:" + std::to_string(number);
    remote.protocol = "rdma";
    CHECK(store.mount(remote));
  }
  CHECK(store.segments().at(1).host == "host-2");
  CHECK(store.drain(2) == MC_STATUS_OK);
  std::vector<std::string> keys;
  for (int at = 0; at < 10; ++at) {
    keys.push_back("r" + std::to_string(at));
    auto put = store.put(keys.back(), 100);
    CHECK(put && put->write("x", 1) == MC_STATUS_UNREADABLE && put->commit() == MC_STATUS_OK);
  }
  auto lease = store.get("r3");
  CHECK(lease->descriptors()[0].protocol == "rdma" && lease->read().status() == MC_STATUS_UNREADABLE);
  CHECK(lease->descriptors()[0].endpoint == "10.0.0.1:1" && lease->address() >> 40 == 1);
  lease->release();

  // Two holes become one by moving, through the function of the caller.
  CHECK(store.remove("r1") == MC_STATUS_OK && store.remove("r3") == MC_STATUS_OK);
  auto copied = store.compact(1000);
  CHECK(copied && *copied > 0 && transport.bytes == *copied);
  // Sums merge what threads keep back for reuse.
  CHECK(store.stats().free_bytes == 1200 && store.segments().at(0).largest_hole == 200);
  CHECK(store.put("large", 200));

  CHECK(store.resume(2) == MC_STATUS_OK && store.drain(1) == MC_STATUS_OK);
  transport.works = false;
  CHECK(store.move_out(1, Transport::copy, &transport).status() == MC_STATUS_COPY_FAILED);
  CHECK(store.move_out(1).status() == MC_STATUS_UNREADABLE);
  transport.works = true;
  auto moved = store.move_out(1, Transport::copy, &transport);
  CHECK(moved && moved->replicas == 8 && moved->bytes == 800 && moved->left.empty());
}

void segments_shrink_and_grow() {
  Store store = make_store();
  const std::string page(kPoolBytes / 8, 'q');
  for (int at = 0; at < 8; ++at) {
    CHECK(store.put_bytes("k" + std::to_string(at), page) == MC_STATUS_OK);
  }
  auto shrunk = store.shrink(1, kPoolBytes / 2);
  CHECK(shrunk && shrunk->evicted_objects == 4 && store.segments().at(0).capacity == kPoolBytes / 2);
  CHECK(shrunk->released_bytes == kPoolBytes / 2 && store.keys().size() == 4);
  for (const auto &key : store.keys()) CHECK(read(store, key) == page);
  auto lease = store.get(store.keys().at(0));
  CHECK(store.shrink(1, page.size() / 2).status() == MC_STATUS_BUSY);
  CHECK(store.grow(1, kPoolBytes) == MC_STATUS_OK);
  CHECK(store.grow(1, kPoolBytes) == MC_STATUS_INVALID_ARGUMENT);
  CHECK(store.put_bytes("again", page) == MC_STATUS_OK);
}

void tenants_have_their_bytes() {
  Store store = make_store();
  CHECK(store.tenant("a", 1000, 3000) == MC_STATUS_OK);
  PutOptions options;
  options.tenant = "a";
  for (int at = 0; at < 4; ++at) {
    // Beyond its limit, a tenant's own objects leave.
    CHECK(store.put_bytes("a" + std::to_string(at), std::string(1000, 'a'), options) ==
          MC_STATUS_OK);
  }
  options.size = 3001;
  CHECK(store.put("a4", options).status() == MC_STATUS_QUOTA_EXCEEDED);
  CHECK(mc::last_figures().used == 3000 && mc::last_figures().most == 3000);
  const std::string page(kPoolBytes / 8, 'b');
  CHECK(store.remove("a1") == MC_STATUS_OK);
  for (int at = 0; at < 20; ++at) {
    // Others take what is beyond its guarantee, and no more.
    CHECK(store.put_bytes("b" + std::to_string(at), page) == MC_STATUS_OK);
  }
  CHECK(store.exists("a3") && store.stats().refused.quota == 1);
  CHECK(store.put_bytes("a5", std::string(1000, 'a'), options) == MC_STATUS_OK);
  const auto tenants = store.tenants();
  CHECK(tenants.size() == 1 && tenants[0].name == "a" && tenants[0].refused == 1);
  CHECK(tenants[0].guaranteed_bytes == 1000 && tenants[0].most_bytes == 3000);
  CHECK(tenants[0].used_bytes == 2000 && tenants[0].stored.objects == 2);
  CHECK(tenants[0].evicted.objects == 2);
}

void texts_with_a_zero_byte_are_refused_and_not_cut() {
  const std::string cut("cut\0off", 7);
  Store store = make_store();
  PutOptions options;
  options.size = 5;
  options.tenant = cut;
  CHECK(store.put("k", options).status() == MC_STATUS_INVALID_ARGUMENT);
  CHECK(mc::last_error().find("tenant") != std::string::npos);
  CHECK(store.tenant(cut, 0) == MC_STATUS_INVALID_ARGUMENT && store.tenants().empty());
  SegmentOptions segment = SegmentOptions::remote(9, std::uint64_t{9} << 40, 4096);
  segment.name = cut;
  CHECK(store.mount(segment).status() == MC_STATUS_INVALID_ARGUMENT);
  CHECK(Store::open(cut, {}).status() == MC_STATUS_INVALID_ARGUMENT);
  Pool::Options mapped;
  mapped.bytes = kPoolBytes;
  mapped.file = cut;
  CHECK(Pool::map(mapped).status() == MC_STATUS_INVALID_ARGUMENT);
}

void leases_and_puts_may_outlive_their_store() {
  mc::Result<mc::Lease> lease = MC_STATUS_NOT_STORED;
  mc::Result<mc::Put> put = MC_STATUS_NOT_STORED;
  {
    Store store = make_store();
    CHECK(store.put_bytes("k", "value") == MC_STATUS_OK);
    lease = store.get("k");
    put = store.put("late", 3);
    Store other = std::move(store);
    CHECK(other.exists("k") && !store.exists("k"));
    CHECK(store.get("k").status() == MC_STATUS_STALE_HANDLE && store.stats().objects == 0);
  }
  CHECK(*lease->read() == "value" && put->write("abc", 3) == MC_STATUS_OK);
  CHECK(put->commit() == MC_STATUS_OK);
}

void memory_of_an_arena_is_a_pool() {
  mc::MmapArena arena;
  CHECK(arena.initialize(1 << 21));
  auto pool = Pool::over(arena.allocate(4096), 4096);
  CHECK(pool && pool->size() == 4096 && pool->epoch() == 0 && !pool->isKept());
  Store store = make_store(0);
  CHECK(store.mount(SegmentOptions::of(1, *pool)));
  auto overlapping = SegmentOptions::of(2, *pool);
  CHECK(store.mount(overlapping).status() == MC_STATUS_OCCUPIED);
  CHECK(store.put_bytes("k", "v") == MC_STATUS_OK && arena.owns(store.get("k")->data()));
}

}  // namespace

int main() {
  objects_are_stored_and_found();
  a_put_that_is_dropped_gives_its_space_back();
  space_without_a_key_is_placed_and_given_back();
  parts_are_stored_together();
  prompts_are_put_and_found_from_their_beginning();
  the_oldest_leave_and_leased_and_pinned_objects_stay();
  queues_of_events_drop_their_oldest();
  leases_and_puts_end_by_the_clock();
  damaged_bytes_are_found_by_their_checksum();
  a_read_is_one_use();
  a_pool_that_was_moved_from_has_no_memory();
  segments_are_drained_moved_out_of_and_unmounted();
  replicas_are_in_segments_of_other_names();
  puts_under_way_have_ages();
  policies_choose_who_leaves();
  a_thread_makes_holes_while_the_store_is_idle();
  memory_of_other_hosts_is_placed_in_and_copied_by_the_caller();
  segments_shrink_and_grow();
  tenants_have_their_bytes();
  texts_with_a_zero_byte_are_refused_and_not_cut();
  leases_and_puts_may_outlive_their_store();
  memory_of_an_arena_is_a_pool();
}
