// Threads on the classes of mc_store.hpp: readers beside writers, leases and puts that other threads end,
// and a store that goes while all of them use it.

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "check.h"
#include "mc_store.hpp"

namespace {

constexpr int kThreads = 4;
/// Operations of a thread; the program's argument says how many where it is slow.
int operations = 3'000;
constexpr std::size_t kBytes = 1024;

template <typename Work>
void run_threads(Work work) {
  std::vector<std::thread> threads;
  for (int number = 0; number < kThreads; ++number) threads.emplace_back(work, number);
  for (auto &thread : threads) thread.join();
}

mc::Store make_store(std::uint64_t segments, std::uint64_t bytes) {
  auto store = mc::Store::create();
  CHECK(store);
  for (std::uint64_t number = 1; number <= segments; ++number) {
    mc::Pool::Options options;
    options.bytes = bytes;
    options.pages = MC_PAGES_OFF;
    auto pool = mc::Pool::map(options);
    CHECK(pool && store->mount(mc::SegmentOptions::of(number, *pool)));
  }
  return std::move(*store);
}

std::string key_of(int number) { return "key/" + std::to_string(number); }

/// Bytes that tell of which key they are, in every place.
std::string bytes_of(const std::string &key, char mark) {
  std::string bytes;
  while (bytes.size() < kBytes) bytes += key + mark;
  bytes.resize(kBytes);
  return bytes;
}

/// Says whether these are bytes that some thread put under the key.
bool are_of(const std::string &key, const std::string &bytes) {
  return bytes.size() == kBytes && bytes == bytes_of(key, bytes[key.size()]);
}

void readers_see_whole_objects_of_their_keys() {
  mc::Store store = make_store(2, 64 << 10);
  std::atomic<std::uint64_t> hits{0};
  run_threads([&](int number) {
    std::uint64_t random = static_cast<std::uint64_t>(number) * 977 + 1;
    for (int at = 0; at < operations; ++at) {
      random = random * 6364136223846793005 + 1442695040888963407;
      const std::string key = key_of(static_cast<int>(random >> 33) % 200);
      switch ((random >> 20) % 8) {
        case 0: {
          const mc_status status = store.remove(key, static_cast<mc::Removal>((random >> 50) % 3));
          CHECK(status == MC_STATUS_OK || status == MC_STATUS_NOT_STORED ||
                status == MC_STATUS_LEASED || status == MC_STATUS_PINNED);
          break;
        }
        case 1: static_cast<void>(store.pin(key)); static_cast<void>(store.unpin(key)); break;
        case 2: case 3: case 4: {
          auto lease = store.get(key);
          if (!lease) break;
          ++hits;
          const auto bytes = lease->read();
          CHECK(bytes && are_of(key, *bytes) && lease->size() == kBytes);
          CHECK(lease->descriptors().size() == 1);
          break;
        }
        default: {
          const char mark = static_cast<char>('A' + number);
          const mc_status status = store.put_bytes(key, bytes_of(key, mark));
          CHECK(status == MC_STATUS_OK || status == MC_STATUS_EXISTS ||
                status == MC_STATUS_IN_FLIGHT || status == MC_STATUS_NO_SPACE);
        }
      }
    }
  });
  CHECK(hits > 0);
  for (const auto &key : store.keys()) {
    const auto bytes = store.read(key);
    CHECK(bytes && are_of(key, *bytes));
  }
  CHECK(mc_store_check_invariants(store.native_handle()) == MC_STATUS_OK);
  CHECK(store.stats().in_flight == 0);
}

void replicas_come_while_others_read_and_compact() {
  mc::Store store = make_store(3, 64 << 10);
  auto compactor = store.compact_when_idle(1 << 20);
  CHECK(compactor);
  std::atomic<std::uint64_t> added{0};
  run_threads([&](int number) {
    for (int at = 0; at < operations / 4; ++at) {
      const std::string key = key_of((at / 4 * 7 + number) % 40);
      switch ((at + number) % 4) {
        case 0: {
          const mc_status status = store.put_bytes(key, bytes_of(key, 'r'));
          CHECK(status == MC_STATUS_OK || status == MC_STATUS_EXISTS ||
                status == MC_STATUS_IN_FLIGHT || status == MC_STATUS_NO_SPACE);
          break;
        }
        case 1: {
          const mc_status status = store.add_replica(key);
          CHECK(status == MC_STATUS_OK || status == MC_STATUS_BUSY ||
                status == MC_STATUS_NOT_STORED || status == MC_STATUS_TOO_LARGE ||
                status == MC_STATUS_NO_SPACE);
          if (status == MC_STATUS_OK) ++added;
          break;
        }
        case 2: {
          auto lease = store.get(key);
          if (!lease) break;
          const auto bytes = lease->read();
          CHECK(bytes && are_of(key, *bytes));
          for (const auto &place : lease->descriptors()) {
            const auto *start = reinterpret_cast<const char *>(static_cast<std::uintptr_t>(place.address));
            CHECK(std::memcmp(start, bytes->data(), kBytes) == 0);
          }
          break;
        }
        default: {
          if (at % 5 == 0) static_cast<void>(store.remove(key));
          for (const auto &put : store.in_flight()) CHECK(put.replicas.size() <= 1);
          CHECK(store.under_replicated().empty() && store.drop_unreadable().empty());
        }
      }
    }
  });
  CHECK(added > 0);
  compactor->stop();
  CHECK(mc_store_check_invariants(store.native_handle()) == MC_STATUS_OK);
}

void leases_and_puts_are_ended_by_other_threads() {
  mc::Store store = make_store(1, 1 << 20);
  std::mutex mutex;
  std::vector<mc::Lease> leases;
  std::vector<mc::Put> puts;
  std::atomic<std::uint64_t> committed{0};
  run_threads([&](int number) {
    for (int at = 0; at < operations / 4; ++at) {
      const std::string key = key_of(number * operations + at);
      auto put = store.put(key, kBytes);
      if (put) {
        const std::string bytes = bytes_of(key, 'x');
        CHECK(put->write(bytes.data(), bytes.size()) == MC_STATUS_OK);
      }
      mc::Result<mc::Put> other = MC_STATUS_NOT_STORED;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        if (put) puts.push_back(std::move(*put));
        if (puts.size() > 8) {
          other = std::move(puts.front());
          puts.erase(puts.begin());
        }
      }
      if (other) {
        CHECK(other->commit() == MC_STATUS_OK);
        ++committed;
      }
      auto lease = store.get(key);
      const std::lock_guard<std::mutex> lock(mutex);
      if (lease) leases.push_back(std::move(*lease));
      if (leases.size() > 100) leases.erase(leases.begin(), leases.begin() + 50);
    }
  });
  for (const auto &lease : leases) {
    const auto bytes = lease.read();
    CHECK(bytes && bytes->size() == kBytes);
  }
  leases.clear();
  puts.clear();
  const auto stats = store.stats();
  CHECK(stats.in_flight == 0 && stats.committed == committed);
}

/// Of several threads that end one lease or put, one succeeds, and a reader sees it whole or not at all.
void handles_end_once() {
  mc::Store store = make_store(1, 1 << 20);
  CHECK(store.put_bytes("k", bytes_of("k", 'z')) == MC_STATUS_OK);
  for (int round = 0; round < 200; ++round) {
    mc_lease lease{};
    mc_put put{};
    const mc_put_options options = mc_put_options_default(kBytes);
    const mc_key key{"k", 1}, other{"o", 1};
    CHECK(mc_store_get(store.native_handle(), key, &lease) == MC_STATUS_OK);
    CHECK(mc_store_put(store.native_handle(), other, &options, &put) == MC_STATUS_OK);
    std::atomic<int> released{0}, ended{0};
    run_threads([&](int number) {
      std::string bytes(kBytes, '\0');
      const mc_status read = mc_lease_read(lease, 0, bytes.data(), bytes.size());
      CHECK(read == MC_STATUS_STALE_HANDLE || are_of("k", bytes));
      const mc_status written = mc_put_write(put, 0, bytes.data(), bytes.size());
      CHECK(written == MC_STATUS_OK || written == MC_STATUS_STALE_HANDLE);
      // The others come in here, also where threads take turns.
      std::this_thread::yield();
      if (mc_lease_release(lease) == MC_STATUS_OK) ++released;
      if ((number % 2 == 0 ? mc_put_commit(put) : mc_put_abort(put)) == MC_STATUS_OK) ++ended;
    });
    CHECK(released == 1 && ended == 1);
    const mc_status removed = store.remove("o");
    CHECK(removed == MC_STATUS_OK || removed == MC_STATUS_NOT_STORED);
  }
}

void segments_change_beside_puts_and_gets() {
  mc::Store store = make_store(3, 64 << 10);
  std::atomic<int> running{kThreads - 1};
  run_threads([&](int number) {
    if (number > 0) {
      for (int at = 0; at < operations; ++at) {
        const std::string key = key_of((at * 7 + number * 31) % 120);
        const mc_status put = store.put_bytes(key, bytes_of(key, 'm'));
        CHECK(put != MC_STATUS_STALE_HANDLE && put != MC_STATUS_INTERNAL);
        auto lease = store.get(key);
        if (!lease) continue;
        const auto bytes = lease->read();
        CHECK(bytes ? are_of(key, *bytes) : bytes.status() == MC_STATUS_UNREADABLE);
      }
      --running;
      return;
    }
    for (std::uint64_t round = 0; running > 0; ++round) {
      const mc::SegmentId id = 1 + round % 3;
      CHECK(store.drain(id) == MC_STATUS_OK && store.move_out(id) && store.compact(10'000));
      if (round % 4 == 0 && store.shrink(id, 16 << 10)) {
        CHECK(store.grow(id, 64 << 10) == MC_STATUS_OK);
      }
      CHECK(store.resume(id) == MC_STATUS_OK);
    }
  });
  CHECK(mc_store_check_invariants(store.native_handle()) == MC_STATUS_OK);
}

/// Calls in progress keep what they use: whoever comes late is told so.
void a_store_may_go_while_it_is_used() {
  for (int round = 0; round < 20; ++round) {
    mc::Store store = make_store(1, 64 << 10);
    const mc_store handle = store.native_handle();
    const mc_put_options options = mc_put_options_default(kBytes);
    std::atomic<bool> is_gone{false};
    run_threads([&](int number) {
      for (int at = 0;; ++at) {
        if (number == 0 && at == 50) {
          CHECK(mc_store_destroy(handle) == MC_STATUS_OK);
          is_gone = true;
        }
        const std::string name = key_of(at % 40);
        const mc_key key{name.data(), name.size()};
        const bool was_gone = is_gone;
        mc_lease lease{};
        mc_put put{};
        const mc_status got = mc_store_get(handle, key, &lease);
        if (got == MC_STATUS_OK) CHECK(mc_lease_release(lease) == MC_STATUS_OK);
        CHECK(!was_gone || got == MC_STATUS_STALE_HANDLE);
        const mc_status status = mc_store_put(handle, key, &options, &put);
        if (status == MC_STATUS_OK) CHECK(mc_put_commit(put) == MC_STATUS_OK);
        if (status == MC_STATUS_STALE_HANDLE) break;
      }
    });
  }
}

}  // namespace

int main(int count, char **arguments) {
  if (count > 1) operations = std::atoi(arguments[1]);
  CHECK(operations > 0);
  readers_see_whole_objects_of_their_keys();
  replicas_come_while_others_read_and_compact();
  leases_and_puts_are_ended_by_other_threads();
  handles_end_once();
  segments_change_beside_puts_and_gets();
  a_store_may_go_while_it_is_used();
}
