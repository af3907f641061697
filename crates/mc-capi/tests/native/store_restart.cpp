// Stores with a directory: what a process that was killed has left is there again, with its bytes, and
// what cannot be there is told.

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "mc_store.hpp"

namespace {

constexpr std::uint64_t kSegmentBytes = 4 << 20;
constexpr std::size_t kBytes = 5000;
/// Puts of a process that is not killed in time: there is room for all.
constexpr std::uint64_t kPutsMax = 600;

/// A directory of its own, which goes at the end.
struct Place {
  std::string path;

  Place() {
    path = "/tmp/mc-store-" + std::string(6, 'X');
    CHECK(mkdtemp(path.data()) != nullptr);
  }
  Place(const Place &) = delete;
  Place &operator=(const Place &) = delete;
  ~Place() { empty(path); }

  std::string journal() const { return path + "/journal"; }
  std::string memory() const { return path + "/memory"; }

 private:
  static void empty(const std::string &directory) {
    DIR *entries = opendir(directory.c_str());
    if (entries == nullptr) return;
    while (const dirent *entry = readdir(entries)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      const std::string inside = directory + "/" + name;
      if (unlink(inside.c_str()) != 0) empty(inside);
    }
    closedir(entries);
    rmdir(directory.c_str());
  }
};

mc::Pool open_pool(const std::string &file) {
  mc::Pool::Options options;
  options.bytes = kSegmentBytes;
  options.file = file;
  options.pages = MC_PAGES_OFF;
  auto pool = mc::Pool::map(options);
  CHECK(pool);
  return std::move(*pool);
}

/// Opens the store with its one segment; addresses count from 0, as a process may map it elsewhere.
mc::Result<mc::Store> open_store(const Place &place, const mc::Pool &pool) {
  auto segment = mc::SegmentOptions::of(1, pool);
  segment.base = 0;
  segment.name = "kept";
  return mc::Store::open(place.journal(), {segment});
}

std::string key_of(std::uint64_t number) { return "key/" + std::to_string(number); }

std::string bytes_of(std::uint64_t number) {
  std::string bytes(kBytes, static_cast<char>('a' + number % 26));
  bytes.replace(0, 16, std::to_string(number) + std::string(16, '.'), 0, 16);
  return bytes;
}

/// Puts objects, and tells the number of each that is stored, until it is killed.
[[noreturn]] void put_for_ever(const Place &place, int told) {
  const mc::Pool pool = open_pool(place.memory());
  auto store = open_store(place, pool);
  CHECK(store && store->tenant("a", 1000, MC_NO_LIMIT) == MC_STATUS_OK);
  // A put in flight is gone with the process; what is pinned is so afterwards.
  auto lost = store->put("in flight", 100);
  CHECK(lost);
  for (std::uint64_t number = 0;; ++number) {
    const mc_status status = store->put_bytes(key_of(number), bytes_of(number));
    CHECK(status == MC_STATUS_OK);
    // The parent has seen enough by then, and nothing has had to leave.
    if (number == kPutsMax) pause();
    if (number == 0) CHECK(store->pin(key_of(0)) == MC_STATUS_OK);
    if (number == 1) CHECK(store->remove(key_of(1)) == MC_STATUS_OK);
    CHECK(write(told, &number, sizeof number) == sizeof number);
  }
}

std::uint64_t put_and_be_killed(const Place &place) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) put_for_ever(place, ends[1]);
  CHECK(child > 0);
  close(ends[1]);
  std::uint64_t last = 0;
  while (last < 150) CHECK(read(ends[0], &last, sizeof last) == sizeof last);
  CHECK(kill(child, SIGKILL) == 0);
  // What it told before it was killed counts, too.
  while (read(ends[0], &last, sizeof last) == sizeof last) {
  }
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status));
  return last;
}

void what_a_killed_process_stored_is_there() {
  const Place place;
  const std::uint64_t last = put_and_be_killed(place);
  const mc::Pool pool = open_pool(place.memory());
  CHECK(pool.isKept() && pool.epoch() != 0);
  auto store = open_store(place, pool);
  CHECK(store && store->lost().empty() && store->damage().empty());
  for (std::uint64_t number = 0; number <= last; ++number) {
    const auto bytes = store->read(key_of(number));
    if (number == 1) {
      CHECK(bytes.status() == MC_STATUS_NOT_STORED);
    } else {
      CHECK(bytes && *bytes == bytes_of(number));
    }
  }
  // At most one that was stored was not told any more.
  const std::size_t count = store->keys().size();
  CHECK(count == last || count == last + 1);
  CHECK(store->remove(key_of(0)) == MC_STATUS_PINNED && !store->exists("in flight"));
  CHECK(store->segments().at(0).name == "kept" && store->segments().at(0).epoch == pool.epoch());

  // Only one process, and one store, has the directory.
  CHECK(mc::Store::open(place.journal(), {}).status() == MC_STATUS_BUSY);
  CHECK(store->sync() == MC_STATUS_OK);
  CHECK(store->put_bytes("after", "the restart") == MC_STATUS_OK);
}

void a_store_is_closed_and_opened_again() {
  const Place place;
  const mc::Pool pool = open_pool(place.memory());
  mc::Result<mc::Put> put = MC_STATUS_NOT_STORED;
  for (std::uint64_t round = 0; round < 3; ++round) {
    auto store = open_store(place, pool);
    CHECK(store && store->keys().size() == round);
    for (std::uint64_t number = 0; number < round; ++number) {
      CHECK(*store->read(key_of(number)) == bytes_of(number));
    }
    CHECK(store->put_bytes(key_of(round), bytes_of(round)) == MC_STATUS_OK);
    if (round == 2) put = store->put("late", 10);
  }
  // A put that is not over keeps the directory.
  CHECK(put && open_store(place, pool).status() == MC_STATUS_BUSY);
  put->abort();
  auto compactor = open_store(place, pool)->compact_when_idle(1);
  CHECK(compactor && open_store(place, pool).status() == MC_STATUS_BUSY);
  compactor->stop();
  CHECK(open_store(place, pool)->keys().size() == 3);
}

void objects_whose_bytes_are_gone_are_told() {
  const Place place;
  {
    const mc::Pool pool = open_pool(place.memory());
    auto store = open_store(place, pool);
    CHECK(store->put_bytes("kept", "in a file") == MC_STATUS_OK);
    CHECK(unlink(place.memory().c_str()) == 0);
  }
  {
    // The file of that name is another one: its epoch is newer.
    const mc::Pool pool = open_pool(place.memory());
    auto store = open_store(place, pool);
    CHECK(store && store->lost() == std::vector<std::string>{"kept"} && store->keys().empty());
    CHECK(store->put_bytes("again", "in a file") == MC_STATUS_OK);
  }
  {
    // A segment that is not passed is gone.
    auto store = mc::Store::open(place.journal(), {});
    CHECK(store && store->lost() == std::vector<std::string>{"again"});
    CHECK(store->segments().empty() && store->keys().empty());
  }
}

void memory_without_a_file_is_forgotten() {
  const Place place;
  mc::Pool::Options options;
  options.bytes = kSegmentBytes;
  options.pages = MC_PAGES_OFF;
  for (int round = 0; round < 2; ++round) {
    auto pool = mc::Pool::map(options);
    auto store = mc::Store::open(place.journal(), {mc::SegmentOptions::of(1, *pool)});
    CHECK(store && store->keys().empty());
    CHECK(store->lost().size() == static_cast<std::size_t>(round));
    CHECK(store->put_bytes("k", "v") == MC_STATUS_OK);
  }
}

void segments_that_share_memory_leave_no_directory() {
  const Place place;
  const mc::Pool pool = open_pool(place.memory());
  auto first = mc::SegmentOptions::of(1, pool);
  auto second = mc::SegmentOptions::of(2, pool);
  // Of other addresses, so that nothing but the memory is shared.
  first.endpoint = "1";
  second.endpoint = "2";
  CHECK(mc::Store::open(place.journal(), {first, second}).status() == MC_STATUS_OCCUPIED);
  CHECK(access(place.journal().c_str(), F_OK) != 0);
}

}  // namespace

int main() {
  what_a_killed_process_stored_is_there();
  a_store_is_closed_and_opened_again();
  objects_whose_bytes_are_gone_are_told();
  memory_without_a_file_is_forgotten();
  segments_that_share_memory_leave_no_directory();
}
