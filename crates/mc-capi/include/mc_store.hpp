// C++17 classes of an object store over mc_alloc.h; header only. Link with -lmc_alloc.
//
// The classes live in MC_ALLOC_NAMESPACE, as those of mc_alloc.hpp do. A function that fails returns a
// status other than MC_STATUS_OK, or a Result without a value, and last_error() of the same thread says
// why. Nothing here throws but what the standard library throws when the heap is exhausted.

#ifndef MC_STORE_HPP
#define MC_STORE_HPP

#include "mc_alloc.hpp"

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace MC_ALLOC_NAMESPACE {

/// Returns the name of a status, such as MC_STATUS_NO_SPACE.
inline const char *status_name(mc_status status) {
  return mc_status_name(static_cast<std::uint32_t>(status));
}

/// Returns the numbers of the refusal that last_error() tells of; 0 where it has none.
inline mc_figures last_figures() noexcept {
  mc_figures figures{};
  static_cast<void>(mc_error_figures(&figures));
  return figures;
}

/// A value, or the status that says why there is none.
template <typename Value>
class [[nodiscard]] Result {
 public:
  Result(mc_status status) noexcept : status_(status) {}
  Result(Value &&value) : status_(MC_STATUS_OK), value_(std::move(value)) {}

  explicit operator bool() const noexcept { return value_.has_value(); }
  mc_status status() const noexcept { return status_; }

  /// The value; there must be one.
  Value &operator*() & noexcept { return *value_; }
  const Value &operator*() const & noexcept { return *value_; }
  Value &&operator*() && noexcept { return std::move(*value_); }
  Value *operator->() noexcept { return &*value_; }
  const Value *operator->() const noexcept { return &*value_; }

 private:
  mc_status status_;
  std::optional<Value> value_;
};

/// The identity of a segment: a number of 128 bits.
struct SegmentId {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  constexpr SegmentId() noexcept = default;
  constexpr SegmentId(std::uint64_t number) noexcept : low(number) {}
  constexpr SegmentId(std::uint64_t upper, std::uint64_t lower) noexcept : high(upper), low(lower) {}
  constexpr SegmentId(mc_segment_id id) noexcept : high(id.high), low(id.low) {}
  constexpr operator mc_segment_id() const noexcept { return {high, low}; }

  friend constexpr bool operator==(SegmentId a, SegmentId b) noexcept {
    return a.high == b.high && a.low == b.low;
  }
  friend constexpr bool operator!=(SegmentId a, SegmentId b) noexcept { return !(a == b); }
};

/// Where a replica of an object is, or one part of it.
struct Descriptor {
  struct Extent {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };

  SegmentId segment;
  /// The incarnation of the segment's memory that has the bytes.
  std::uint64_t epoch = 0;
  /// Address of the first byte: the base of the segment and what lies before it.
  std::uint64_t address = 0;
  /// Bytes in all pieces.
  std::uint64_t size = 0;
  std::string protocol;
  std::string endpoint;
  /// The pieces in the order of the bytes; nearly always one.
  std::vector<Extent> extents;
};

/// An object with fewer replicas than its put asked for.
struct UnderReplicated {
  std::string key;
  /// Replicas that can be read; 0 for an object that an unmount has lost.
  std::uint32_t readable = 0;
  /// Replicas that were asked for; 0 for an object that is lost.
  std::uint32_t wanted = 0;
};

/// A put that is neither committed nor given back.
struct InFlight {
  std::string key;
  /// The time since the put.
  double age_seconds = 0;
  /// The time until its deadline.
  double left_seconds = 0;
  /// Where its replicas are, one for each; empty at a moment when they are written here.
  std::vector<Descriptor> replicas;
};

/// What a tenant has, and what became of it.
struct Tenant {
  std::string name;
  /// Bytes that it is sure of.
  std::uint64_t guaranteed_bytes = 0;
  /// The most bytes that it may have, or MC_NO_LIMIT.
  std::uint64_t most_bytes = 0;
  /// Bytes that it has, of objects and puts.
  std::uint64_t used_bytes = 0;
  mc_amount stored{};
  mc_amount evicted{};
  /// Its puts that were refused because of its limit.
  std::uint64_t refused = 0;
};

/// What moving the objects of a segment did.
struct Moved {
  /// Replicas that are elsewhere, and their bytes.
  std::uint64_t replicas = 0;
  std::uint64_t bytes = 0;
  /// Keys of the objects that still have a replica in the segment.
  std::vector<std::string> left;
};

/// Something that happened to an object.
struct Event {
  std::string key;
  /// Bytes of all replicas.
  std::uint64_t bytes = 0;
  /// An MC_EVENT_ constant.
  std::uint32_t kind = MC_EVENT_OTHER;
  /// An MC_CAUSE_ constant.
  std::uint32_t cause = MC_CAUSE_NONE;
  SegmentId from;
  SegmentId to;
};

/// A mounted segment at a glance.
struct SegmentView {
  SegmentId id;
  std::uint64_t epoch = 0;
  std::string name;
  std::string host;
  std::uint64_t capacity = 0;
  std::uint64_t free_bytes = 0;
  std::uint64_t largest_hole = 0;
  std::uint64_t placed_bytes = 0;
  /// An MC_SEGMENT_ constant.
  std::uint32_t state = MC_SEGMENT_OK;
};

namespace detail {

inline mc_key key(std::string_view key) noexcept { return {key.data(), key.size()}; }

inline std::vector<mc_key> all(const std::vector<std::string_view> &keys) {
  std::vector<mc_key> passed;
  passed.reserve(keys.size());
  for (const auto each : keys) passed.push_back(key(each));
  return passed;
}

inline std::string text(mc_key key) {
  return std::string(static_cast<const char *>(key.start), key.bytes);
}

/// Returns a text as C takes it. One with a zero byte would be cut there: bytes that are no text stand for
/// it, which the library refuses by the name of the argument.
inline const char *whole_text(const std::string &text) noexcept {
  return text.find('\0') == std::string::npos ? text.c_str() : "\xff";
}

inline const char *text_or_null(const std::string &text) noexcept {
  return text.empty() ? nullptr : whole_text(text);
}

inline Descriptor descriptor(const mc_descriptor &told) {
  Descriptor descriptor;
  descriptor.segment = told.segment;
  descriptor.epoch = told.epoch;
  descriptor.address = told.address;
  descriptor.size = told.size;
  descriptor.protocol = told.protocol;
  descriptor.endpoint = told.endpoint;
  for (std::size_t at = 0; at < told.extent_count; ++at) {
    descriptor.extents.push_back({told.extents[at].address, told.extents[at].size});
  }
  return descriptor;
}

/// Visitors of C that collect what they are told. They do not throw: a heap that is exhausted ends the
/// program, as no exception may pass the library.
inline void collect_descriptor(void *context, const mc_descriptor *told) noexcept {
  static_cast<std::vector<Descriptor> *>(context)->push_back(descriptor(*told));
}

inline void collect_key(void *context, mc_key key) noexcept {
  static_cast<std::vector<std::string> *>(context)->push_back(text(key));
}

inline void collect_text(void *context, const char *text) noexcept {
  static_cast<std::vector<std::string> *>(context)->push_back(text);
}

inline void collect_replicas(void *context, mc_key key, std::uint32_t readable,
                             std::uint32_t wanted) noexcept {
  static_cast<std::vector<UnderReplicated> *>(context)->push_back({text(key), readable, wanted});
}

inline void collect_in_flight(void *context, const mc_in_flight_report *told) noexcept {
  InFlight put{text(told->key), told->age_seconds, told->left_seconds, {}};
  for (std::size_t at = 0; at < told->replica_count; ++at) {
    put.replicas.push_back(descriptor(told->replicas[at]));
  }
  static_cast<std::vector<InFlight> *>(context)->push_back(std::move(put));
}

inline void collect_tenant(void *context, const mc_tenant_report *told) noexcept {
  static_cast<std::vector<Tenant> *>(context)->push_back(
      {told->name, told->guaranteed_bytes, told->most_bytes, told->used_bytes, told->stored,
       told->evicted, told->refused});
}

inline void collect_event(void *context, const mc_event *told) noexcept {
  static_cast<std::vector<Event> *>(context)->push_back(
      {text(told->key), told->bytes, told->kind, told->cause, told->from, told->to});
}

inline void collect_segment(void *context, const mc_segment_report *told) noexcept {
  static_cast<std::vector<SegmentView> *>(context)->push_back(
      {told->id, told->epoch, told->name, told->host, told->capacity, told->free_bytes,
       told->largest_hole, told->placed_bytes, told->state});
}

/// Owns a handle of C, which `End` ends; moved, never copied.
template <typename Handle, mc_status (*End)(Handle)>
class Owned {
 public:
  Owned() noexcept = default;
  explicit Owned(Handle handle) noexcept : handle_(handle) {}
  Owned(const Owned &) = delete;
  Owned &operator=(const Owned &) = delete;
  Owned(Owned &&other) noexcept : handle_(other.release()) {}
  Owned &operator=(Owned &&other) noexcept {
    if (this != &other) {
      end();
      handle_ = other.release();
    }
    return *this;
  }
  ~Owned() { end(); }

  Handle get() const noexcept { return handle_; }

  /// Gives the handle up, without ending it.
  Handle release() noexcept { return std::exchange(handle_, Handle{}); }

 private:
  void end() noexcept {
    if (handle_.id != 0) static_cast<void>(End(release()));
  }

  Handle handle_{};
};

}  // namespace detail

/// Memory of segments that the library reads and writes; mapped until no segment has it any more.
class [[nodiscard]] Pool {
 public:
  /// How a pool is mapped.
  struct Options {
    std::uint64_t bytes = 0;
    /// A file that keeps the bytes when the process ends; empty for memory that ends with it.
    std::string file{};
    /// An MC_PAGES_ constant.
    std::uint32_t pages = MC_PAGES_PREFER;
    /// An MC_POPULATE_ constant.
    std::uint32_t population = MC_POPULATE_EAGER;
  };

  [[nodiscard]] static Result<Pool> map(const Options &options) {
    mc_arena_options chosen = mc_arena_options_default(options.bytes);
    chosen.pages = options.pages;
    chosen.population = options.population;
    mc_pool pool{};
    const mc_status status =
        mc_pool_create(&chosen, detail::text_or_null(options.file), &pool);
    return own(status, pool);
  }

  /// Takes memory that the caller has, as a slice of an arena. It has to stay mapped as long as a segment
  /// in it, or a put or lease there.
  [[nodiscard]] static Result<Pool> over(void *address, std::size_t bytes) {
    mc_pool pool{};
    const mc_status status = mc_pool_over(address, bytes, &pool);
    return own(status, pool);
  }

  /// Where the memory is; null for a pool that was moved from.
  void *data() const noexcept { return describe().address; }
  std::uint64_t size() const noexcept { return describe().bytes; }
  /// The incarnation of the bytes of a pool in a file; 0 for any other.
  std::uint64_t epoch() const noexcept { return describe().epoch; }
  /// Says whether the bytes are those that an earlier pool has left in the file.
  bool isKept() const noexcept { return describe().is_kept != 0; }
  mc_pool native_handle() const noexcept { return pool_.get(); }

 private:
  explicit Pool(mc_pool pool) noexcept : pool_(pool) {}

  static Result<Pool> own(mc_status status, mc_pool handle) {
    if (status != MC_STATUS_OK) return status;
    return Pool(handle);
  }

  mc_pool_report describe() const noexcept {
    mc_pool_report report{};
    static_cast<void>(mc_pool_describe(pool_.get(), &report));
    return report;
  }

  detail::Owned<mc_pool, mc_pool_destroy> pool_;
};

/// What a segment is: a range of memory that objects are placed in.
struct SegmentOptions {
  SegmentId id{};
  /// Address of the first byte, from which descriptors count.
  std::uint64_t base = 0;
  std::uint64_t size = 0;
  /// Two replicas are never in segments of one name; empty makes one of the id.
  std::string name{};
  std::string host{};
  std::string endpoint{};
  std::string protocol{};
  /// 0 takes that of the memory's file.
  std::uint64_t epoch = 0;
  /// The memory that the library reads and writes; that of another host if it has no id.
  mc_pool memory{};
  std::uint64_t memory_start = 0;
  std::uint64_t granule = 1;
  Fit fit = Fit::kAdaptive;
  /// 0 for no limit.
  std::uint32_t max_allocations = 0;
  /// The most bytes that a device registers at once, which no object straddles; 0 for no limit.
  std::uint64_t registration_bytes_max = 0;
  /// Registrations are cut at multiples of this power of two.
  std::uint64_t registration_align = 1;

  /// Returns a segment of another host's memory.
  [[nodiscard]] static SegmentOptions remote(SegmentId id, std::uint64_t base, std::uint64_t size) {
    SegmentOptions options;
    options.id = id;
    options.base = base;
    options.size = size;
    return options;
  }

  /// Returns a segment of all of a pool, whose descriptors have pointers of this process.
  [[nodiscard]] static SegmentOptions of(SegmentId id, const Pool &pool) {
    const auto base = static_cast<std::uint64_t>(reinterpret_cast<std::uintptr_t>(pool.data()));
    SegmentOptions options = remote(id, base, pool.size());
    options.memory = pool.native_handle();
    return options;
  }

  /// Returns the options of C, which point into these.
  mc_segment_options native() const noexcept {
    mc_segment_options options = mc_segment_options_default(id, base, size);
    options.name = detail::text_or_null(name);
    options.host = detail::text_or_null(host);
    options.endpoint = detail::text_or_null(endpoint);
    options.protocol = detail::text_or_null(protocol);
    options.epoch = epoch;
    options.memory = memory;
    options.memory_start = memory_start;
    options.granule = granule;
    options.fit = static_cast<std::uint32_t>(fit);
    options.probes = fit == Fit::kGood ? 4 : 0;
    options.max_allocations = max_allocations;
    options.registration_bytes_max = registration_bytes_max;
    options.registration_align = registration_align;
    return options;
  }
};

/// What an object needs, for as long as it lives.
struct PutOptions {
  /// Bytes of each replica, if it is of one part.
  std::uint64_t size = 0;
  /// Bytes of each part, for an object of several that are all stored or none is.
  std::vector<std::uint64_t> parts{};
  std::uint64_t align = 1;
  std::uint32_t extents_max = 1;
  std::uint32_t replicas = 1;
  /// How many will do; 0 for all of them.
  std::uint32_t replicas_least = 0;
  /// From -128 to 127.
  std::int32_t priority = 0;
  std::string host{};
  std::string tenant{};
  /// Key of the object before this one in its prompt; the empty key stands for none.
  std::string parent{};
  std::vector<mc_segment_id> preferred{};
  std::vector<mc_segment_id> excluded{};
  double cost_seconds = 0;
  /// A time of Store::now(); 0 for none.
  double keep_until_seconds = 0;
  /// 0 for that of the store.
  double deadline_seconds = 0;

  /// Returns the options of C, which point into these.
  mc_put_options native() const noexcept {
    mc_put_options options = mc_put_options_default(size);
    options.parts = parts.data();
    options.part_count = parts.size();
    options.align = align;
    options.extents_max = extents_max;
    options.replicas = replicas;
    options.replicas_least = replicas_least;
    options.priority = priority;
    options.host = detail::text_or_null(host);
    options.tenant = detail::text_or_null(tenant);
    if (!parent.empty()) options.parent = detail::key(parent);
    options.preferred = preferred.data();
    options.preferred_count = preferred.size();
    options.excluded = excluded.data();
    options.excluded_count = excluded.size();
    options.cost_seconds = cost_seconds;
    options.keep_until_seconds = keep_until_seconds;
    options.deadline_seconds = deadline_seconds;
    return options;
  }
};

/// Space for an object that is being written; given back when it is destroyed without a commit.
class [[nodiscard]] Put {
 public:
  /// Where the replicas are, for writers elsewhere: one for each part of each.
  std::vector<Descriptor> descriptors() const {
    std::vector<Descriptor> all;
    static_cast<void>(mc_put_descriptors(put_.get(), detail::collect_descriptor, &all));
    return all;
  }

  /// Returns the address of the first replica; 0 once the put is over.
  std::uint64_t address() const noexcept { return describe().address; }

  /// Returns the time until the deadline.
  double left_seconds() const noexcept { return describe().left_seconds; }

  /// Copies bytes to every replica, from the byte `offset` of the object on.
  [[nodiscard]] mc_status write(const void *bytes, std::size_t length,
                                std::uint64_t offset = 0) noexcept {
    return mc_put_write(put_.get(), offset, bytes, length);
  }

  /// Says what CRC-32 the bytes have, as whoever writes them knows it.
  [[nodiscard]] mc_status setChecksum(std::uint32_t checksum) noexcept {
    return mc_put_set_checksum(put_.get(), checksum);
  }

  /// Makes the object readable; the put is over, whatever comes of it.
  [[nodiscard]] mc_status commit() noexcept { return mc_put_commit(put_.release()); }

  /// Gives space and key back.
  void abort() noexcept { put_ = {}; }

  mc_put native_handle() const noexcept { return put_.get(); }

 private:
  friend class Store;

  explicit Put(mc_put put) noexcept : put_(put) {}

  mc_put_report describe() const noexcept {
    mc_put_report report{};
    static_cast<void>(mc_put_describe(put_.get(), &report));
    return report;
  }

  detail::Owned<mc_put, mc_put_abort> put_;
};

/// Space without a key, for whoever keeps his own; given back when it is destroyed. It is neither found
/// nor evicted nor moved.
class [[nodiscard]] Placement {
 public:
  /// Where the replicas are.
  std::vector<Descriptor> descriptors() const {
    std::vector<Descriptor> all;
    static_cast<void>(mc_placement_descriptors(placement_.get(), detail::collect_descriptor, &all));
    return all;
  }

  /// Copies bytes to every replica, from the byte `offset` of it on.
  [[nodiscard]] mc_status write(const void *bytes, std::size_t length,
                                std::uint64_t offset = 0) noexcept {
    return mc_placement_write(placement_.get(), offset, bytes, length);
  }

  /// Copies bytes out of the first replica that this process can read.
  [[nodiscard]] mc_status read(void *into, std::size_t length,
                               std::uint64_t offset = 0) const noexcept {
    return mc_placement_read(placement_.get(), offset, into, length);
  }

  /// Gives the space back.
  void free() noexcept { placement_ = {}; }

 private:
  friend class Store;

  explicit Placement(mc_placement placement) noexcept : placement_(placement) {}

  detail::Owned<mc_placement, mc_placement_free> placement_;
};

/// The objects of a prompt from its first on: those that are stored, and space for those that were
/// missing, which is given back when this is destroyed without a commit.
class [[nodiscard]] Chain {
 public:
  /// How many objects are stored or have space.
  std::size_t size() const noexcept { return static_cast<std::size_t>(describe().count); }
  /// Of these, stored before.
  std::size_t found() const noexcept { return static_cast<std::size_t>(describe().found); }

  /// Says why the object behind those was refused; MC_STATUS_OK if there is none.
  [[nodiscard]] mc_status refusal() const noexcept { return mc_chain_refusal(chain_.get()); }

  /// Says whether the object of a place in the prompt has space that is to be written.
  bool isMissing(std::size_t place) const noexcept {
    return mc_chain_is_missing(chain_.get(), place);
  }

  /// Where the replicas of the missing object of a place are.
  std::vector<Descriptor> descriptors(std::size_t place) const {
    std::vector<Descriptor> all;
    static_cast<void>(mc_chain_descriptors(chain_.get(), place, detail::collect_descriptor, &all));
    return all;
  }

  [[nodiscard]] mc_status write(std::size_t place, const void *bytes, std::size_t length,
                                std::uint64_t offset = 0) noexcept {
    return mc_chain_write(chain_.get(), place, offset, bytes, length);
  }

  /// Makes the missing objects readable; returns how many of the prompt are stored.
  [[nodiscard]] Result<std::size_t> commit() noexcept {
    std::uint64_t stored = 0;
    const mc_status status = mc_chain_commit(chain_.release(), &stored);
    if (status != MC_STATUS_OK) return status;
    return static_cast<std::size_t>(stored);
  }

 private:
  friend class Store;

  explicit Chain(mc_chain chain) noexcept : chain_(chain) {}

  mc_chain_report describe() const noexcept {
    mc_chain_report report{};
    static_cast<void>(mc_chain_describe(chain_.get(), &report));
    return report;
  }

  detail::Owned<mc_chain, mc_chain_abort> chain_;
};

/// An object that stays where it is until this is destroyed. It may outlive its store.
class [[nodiscard]] Lease {
 public:
  /// Bytes of the object, those of all its parts.
  std::uint64_t size() const noexcept { return describe().size; }

  /// Address of the first replica that can be read; 0 if there is none.
  std::uint64_t address() const noexcept { return describe().address; }

  /// The address as a pointer. It may be followed only if the segment's base is that of memory of this
  /// process.
  const void *data() const noexcept {
    return reinterpret_cast<const void *>(static_cast<std::uintptr_t>(address()));
  }

  mc_lease_report describe() const noexcept {
    mc_lease_report report{};
    static_cast<void>(mc_lease_describe(lease_.get(), &report));
    return report;
  }

  /// Where the readable replicas are, for readers elsewhere: one for each part of each.
  std::vector<Descriptor> descriptors() const {
    std::vector<Descriptor> all;
    static_cast<void>(mc_lease_descriptors(lease_.get(), detail::collect_descriptor, &all));
    return all;
  }

  /// Bytes of each part; nearly always one.
  std::vector<std::uint64_t> parts() const {
    std::vector<std::uint64_t> sizes(static_cast<std::size_t>(describe().parts));
    std::size_t count = 0;
    const mc_status status = mc_lease_parts(lease_.get(), sizes.data(), sizes.size(), &count);
    if (status != MC_STATUS_OK) sizes.clear();
    return sizes;
  }

  /// Copies bytes out, from the byte `offset` of the object on.
  [[nodiscard]] mc_status read(void *into, std::size_t length,
                               std::uint64_t offset = 0) const noexcept {
    return mc_lease_read(lease_.get(), offset, into, length);
  }

  /// Copies all bytes out; if the object has a checksum, it is compared.
  [[nodiscard]] Result<std::string> read() const {
    std::string bytes(static_cast<std::size_t>(size()), '\0');
    std::size_t length = 0;
    const mc_status status =
        mc_lease_read_all(lease_.get(), bytes.data(), bytes.size(), &length);
    if (status != MC_STATUS_OK) return status;
    return bytes;
  }

  /// Ends the lease.
  void release() noexcept { lease_ = {}; }

  mc_lease native_handle() const noexcept { return lease_.get(); }

 private:
  friend class Store;

  explicit Lease(mc_lease lease) noexcept : lease_(lease) {}

  detail::Owned<mc_lease, mc_lease_release> lease_;
};

/// What happens to objects from the moment on that it was made.
class [[nodiscard]] Events {
 public:
  /// Returns the events that were not returned yet, the oldest first.
  std::vector<Event> poll(std::size_t count_max = std::numeric_limits<std::size_t>::max()) {
    std::vector<Event> events;
    static_cast<void>(
        mc_events_poll(events_.get(), count_max, detail::collect_event, &events, &missed_));
    return events;
  }

  /// How many events were dropped up to the last poll because the queue was full.
  std::uint64_t missed() const noexcept { return missed_; }

 private:
  friend class Store;

  explicit Events(mc_events events) noexcept : events_(events) {}

  detail::Owned<mc_events, mc_events_destroy> events_;
  std::uint64_t missed_ = 0;
};

/// A thread that compacts a store while nothing is put or removed. It ends when this is destroyed, after the
/// move that it is about to make; until then it keeps the objects and the directory of its store.
class [[nodiscard]] IdleCompactor {
 public:
  /// Ends the thread, and waits for that.
  void stop() noexcept { compactor_ = {}; }

  mc_idle_compactor native_handle() const noexcept { return compactor_.get(); }

 private:
  friend class Store;

  explicit IdleCompactor(mc_idle_compactor compactor) noexcept : compactor_(compactor) {}

  detail::Owned<mc_idle_compactor, mc_idle_compactor_stop> compactor_;
};

/// Which part of an object in use is removed.
enum class Removal : std::uint32_t {
  /// Nothing.
  kIfIdle = MC_REMOVE_IF_IDLE,
  /// The key at once, the bytes when the last lease ends; a pinned object stays.
  kDetach = MC_REMOVE_DETACH,
  /// All of it.
  kNow = MC_REMOVE_NOW,
};

/// Objects under keys in segments of memory, here or on other hosts, for any number of threads.
///
/// When there is no room, objects that are neither pinned nor leased leave.
class [[nodiscard]] Store {
 public:
  /// Makes a store without segments. The defaults of the options are those of mc_store_options_default().
  [[nodiscard]] static Result<Store> create(
      const mc_store_options &options = mc_store_options_default()) {
    mc_store store{};
    const mc_status status = mc_store_create(&options, &store);
    if (status != MC_STATUS_OK) return status;
    return Store(store);
  }

  /// Opens the store of a directory, or begins one: what was stored there in these segments is there
  /// again, however the last process ended.
  [[nodiscard]] static Result<Store> open(
      const std::string &directory, const std::vector<SegmentOptions> &segments,
      const mc_store_options &options = mc_store_options_default()) {
    std::vector<mc_segment_options> passed;
    passed.reserve(segments.size());
    for (const auto &segment : segments) passed.push_back(segment.native());
    mc_store store{};
    const mc_status status =
        mc_store_open(&options, detail::whole_text(directory), passed.data(), passed.size(), &store);
    if (status != MC_STATUS_OK) return status;
    return Store(store);
  }

  /// Adds a segment; an MC_MOUNTED constant says how.
  [[nodiscard]] Result<std::uint32_t> mount(const SegmentOptions &segment) noexcept {
    const mc_segment_options passed = segment.native();
    std::uint32_t mounting = MC_MOUNTED;
    const mc_status status = mc_store_mount(handle(), &passed, &mounting);
    if (status != MC_STATUS_OK) return status;
    return mounting;
  }

  /// Unmounts a segment; returns the objects that lost a replica.
  [[nodiscard]] Result<std::vector<UnderReplicated>> unmount(SegmentId id) {
    std::vector<UnderReplicated> unmounted;
    const mc_status status = mc_store_unmount(handle(), id, detail::collect_replicas, &unmounted);
    if (status != MC_STATUS_OK) return status;
    return unmounted;
  }

  [[nodiscard]] mc_status suspend(SegmentId id) noexcept { return mc_store_suspend(handle(), id); }
  [[nodiscard]] mc_status drain(SegmentId id) noexcept { return mc_store_drain(handle(), id); }
  [[nodiscard]] mc_status finish_drain(SegmentId id) noexcept {
    return mc_store_finish_drain(handle(), id);
  }
  [[nodiscard]] mc_status resume(SegmentId id) noexcept { return mc_store_resume(handle(), id); }
  [[nodiscard]] mc_status unmount_gracefully(SegmentId id) noexcept {
    return mc_store_unmount_gracefully(handle(), id);
  }

  /// Returns all mounted segments in the order of their ids.
  std::vector<SegmentView> segments() const {
    std::vector<SegmentView> views;
    static_cast<void>(mc_store_segments(handle(), detail::collect_segment, &views));
    return views;
  }

  /// Moves the replicas in a segment to others, copied in this process or by `copy`.
  [[nodiscard]] Result<Moved> move_out(SegmentId id, mc_copy_callback copy = nullptr,
                                       void *copy_context = nullptr) {
    Moved moved;
    mc_move_report report{};
    const mc_status status = mc_store_move_out(handle(), id, copy, copy_context, detail::collect_key,
                                               &moved.left, &report);
    if (status != MC_STATUS_OK) return status;
    moved.replicas = report.replicas;
    moved.bytes = report.bytes;
    return moved;
  }

  /// Adds a replica to an object in a segment of another name, copied in this process or by `copy`;
  /// MC_STATUS_BUSY while the object is leased.
  [[nodiscard]] mc_status add_replica(std::string_view key, mc_copy_callback copy = nullptr,
                                      void *copy_context = nullptr) noexcept {
    return mc_store_add_replica(handle(), detail::key(key), copy, copy_context);
  }

  /// Returns the objects that can be read and have fewer replicas than were asked for.
  std::vector<UnderReplicated> under_replicated() const {
    std::vector<UnderReplicated> objects;
    static_cast<void>(mc_store_under_replicated(handle(), detail::collect_replicas, &objects));
    return objects;
  }

  /// Drops the objects none of whose segments is readable any more; returns their keys.
  std::vector<std::string> drop_unreadable() {
    std::vector<std::string> keys;
    static_cast<void>(mc_store_drop_unreadable(handle(), detail::collect_key, &keys));
    return keys;
  }

  /// Makes larger holes by moving at most so many bytes; returns the bytes that were copied.
  [[nodiscard]] Result<std::uint64_t> compact(std::uint64_t budget_bytes) noexcept {
    std::uint64_t copied = 0;
    const mc_status status = mc_store_compact(handle(), budget_bytes, &copied);
    if (status != MC_STATUS_OK) return status;
    return copied;
  }

  /// Starts a thread that makes larger holes while the store is idle, and copies so many bytes at most.
  [[nodiscard]] Result<IdleCompactor> compact_when_idle(std::uint64_t bytes_per_second) noexcept {
    mc_idle_compactor compactor{};
    const mc_status status = mc_store_compact_when_idle(handle(), bytes_per_second, &compactor);
    if (status != MC_STATUS_OK) return status;
    return IdleCompactor(compactor);
  }

  /// Leaves a segment `size` bytes.
  [[nodiscard]] Result<mc_shrink_report> shrink(SegmentId id, std::uint64_t size) noexcept {
    mc_shrink_report report{};
    const mc_status status = mc_store_shrink(handle(), id, size, &report);
    if (status != MC_STATUS_OK) return status;
    return report;
  }
  /// Gives a segment that shrank `size` bytes again.
  [[nodiscard]] mc_status grow(SegmentId id, std::uint64_t size) noexcept {
    return mc_store_grow(handle(), id, size);
  }

  /// Finds space for an object, for which others leave if there is no room.
  [[nodiscard]] Result<Put> put(std::string_view key, const PutOptions &options) {
    const mc_put_options passed = options.native();
    mc_put put{};
    const mc_status status = mc_store_put(handle(), detail::key(key), &passed, &put);
    if (status != MC_STATUS_OK) return status;
    return Put(put);
  }

  [[nodiscard]] Result<Put> put(std::string_view key, std::uint64_t size) {
    PutOptions options;
    options.size = size;
    return put(key, options);
  }

  /// Returns the puts that are neither committed nor given back, the one that ends first before others.
  std::vector<InFlight> in_flight() const {
    std::vector<InFlight> puts;
    static_cast<void>(mc_store_in_flight(handle(), detail::collect_in_flight, &puts));
    return puts;
  }

  /// Finds space without a key; nobody leaves for it.
  [[nodiscard]] Result<Placement> place(const PutOptions &options) {
    const mc_put_options passed = options.native();
    mc_placement placement{};
    const mc_status status = mc_store_place(handle(), &passed, &placement);
    if (status != MC_STATUS_OK) return status;
    return Placement(placement);
  }

  /// Stores bytes under a key.
  [[nodiscard]] mc_status put_bytes(std::string_view key, std::string_view bytes,
                                    PutOptions options = {}) {
    options.size = bytes.size();
    auto space = put(key, options);
    if (!space) return space.status();
    const mc_status status = space->write(bytes.data(), bytes.size());
    return status == MC_STATUS_OK ? space->commit() : status;
  }

  /// Finds space for the objects of a prompt that are missing, as many from the front as fit.
  [[nodiscard]] Result<Chain> put_many(
      const std::vector<std::pair<std::string_view, std::uint64_t>> &prompt,
      const PutOptions &options = {}) {
    const mc_put_options passed = options.native();
    std::vector<mc_chain_item> items;
    items.reserve(prompt.size());
    for (const auto &[key, size] : prompt) items.push_back({detail::key(key), size});
    mc_chain chain{};
    const mc_status status =
        mc_store_put_many(handle(), items.data(), items.size(), &passed, &chain);
    if (status != MC_STATUS_OK) return status;
    return Chain(chain);
  }

  /// Returns a lease of an object, and notes that it was used.
  [[nodiscard]] Result<Lease> get(std::string_view key) noexcept {
    mc_lease lease{};
    const mc_status status = mc_store_get(handle(), detail::key(key), &lease);
    if (status != MC_STATUS_OK) return status;
    return Lease(lease);
  }

  /// As get(); the object also stays for so many seconds, for readers elsewhere.
  [[nodiscard]] Result<Lease> get_for(std::string_view key, double lease_seconds) noexcept {
    mc_lease lease{};
    const mc_status status = mc_store_get_for(handle(), detail::key(key), lease_seconds, &lease);
    if (status != MC_STATUS_OK) return status;
    return Lease(lease);
  }

  /// Returns leases of the objects of the first keys, up to the first that is not stored.
  [[nodiscard]] Result<std::vector<Lease>> get_many(const std::vector<std::string_view> &keys) {
    const auto passed = detail::all(keys);
    std::vector<mc_lease> found(keys.size());
    std::vector<Lease> leases;
    leases.reserve(keys.size());
    std::size_t count = 0;
    const mc_status status =
        mc_store_get_many(handle(), passed.data(), passed.size(), found.data(), &count);
    if (status != MC_STATUS_OK) return status;
    for (std::size_t at = 0; at < count; ++at) leases.push_back(Lease(found[at]));
    return leases;
  }

  /// Returns the bytes of an object; one whose checksum is another than at its commit is dropped.
  [[nodiscard]] Result<std::string> read(std::string_view key) {
    mc_status status = MC_STATUS_OK;
    do {
      // Of a lease, so that the bytes are copied once and that is one use.
      auto lease = get(key);
      if (!lease) return lease.status();
      auto bytes = lease->read();
      if (bytes.status() != MC_STATUS_CORRUPT) return bytes;
      lease->release();
      // Drops what is damaged. By now another object may be stored under the key.
      std::size_t length = 0;
      status = mc_store_read(handle(), detail::key(key), nullptr, 0, &length);
    } while (status == MC_STATUS_ARRAY_TOO_SHORT);
    return status;
  }

  bool exists(std::string_view key) const noexcept {
    return mc_store_exists(handle(), detail::key(key));
  }
  [[nodiscard]] mc_status remove(std::string_view key, Removal removal = Removal::kIfIdle) noexcept {
    return mc_store_remove(handle(), detail::key(key), static_cast<std::uint32_t>(removal));
  }
  /// Removes several objects; returns what remove() would have returned for each.
  [[nodiscard]] Result<std::vector<mc_status>> remove_many(
      const std::vector<std::string_view> &keys, Removal removal = Removal::kIfIdle) {
    const auto passed = detail::all(keys);
    std::vector<mc_status> results(keys.size());
    const mc_status status =
        mc_store_remove_many(handle(), passed.data(), passed.size(),
                             static_cast<std::uint32_t>(removal), results.data());
    if (status != MC_STATUS_OK) return status;
    return results;
  }
  [[nodiscard]] mc_status pin(std::string_view key) noexcept {
    return mc_store_pin(handle(), detail::key(key));
  }
  [[nodiscard]] mc_status unpin(std::string_view key) noexcept {
    return mc_store_unpin(handle(), detail::key(key));
  }
  /// Ends the timed lease of an object, whoever took it.
  [[nodiscard]] mc_status end_lease(std::string_view key) noexcept {
    return mc_store_end_lease(handle(), detail::key(key));
  }

  /// Says how many bytes a tenant is sure of, and how many it may have.
  [[nodiscard]] mc_status tenant(const std::string &name, std::uint64_t guaranteed_bytes,
                                 std::uint64_t bytes_max = MC_NO_LIMIT) noexcept {
    return mc_store_tenant(handle(), detail::whole_text(name), guaranteed_bytes, bytes_max);
  }

  /// Returns the tenants that were named so far, in the order of their names.
  std::vector<Tenant> tenants() const {
    std::vector<Tenant> tenants;
    static_cast<void>(mc_store_tenants(handle(), detail::collect_tenant, &tenants));
    return tenants;
  }

  /// Returns the keys of all objects, in no order.
  std::vector<std::string> keys() const {
    std::vector<std::string> keys;
    static_cast<void>(mc_store_keys(handle(), detail::collect_key, &keys));
    return keys;
  }

  /// Returns the keys of objects that the directory had and whose bytes are gone.
  std::vector<std::string> lost() const {
    std::vector<std::string> keys;
    static_cast<void>(mc_store_lost(handle(), detail::collect_key, &keys));
    return keys;
  }

  /// Returns what of the directory could not be used, in words.
  std::vector<std::string> damage() const {
    std::vector<std::string> texts;
    static_cast<void>(mc_store_damage(handle(), detail::collect_text, &texts));
    return texts;
  }

  /// Returns what the store holds and has done so far.
  mc_store_report stats() const noexcept {
    mc_store_report report{};
    static_cast<void>(mc_store_describe(handle(), &report));
    return report;
  }

  /// Returns a queue of what happens to objects from now on.
  [[nodiscard]] Result<Events> events(std::size_t capacity) noexcept {
    mc_events events{};
    const mc_status status = mc_store_events(handle(), capacity, &events);
    if (status != MC_STATUS_OK) return status;
    return Events(events);
  }

  /// Returns the time of the store in seconds.
  double now() const noexcept { return mc_store_now(handle()); }

  /// Returns when all that was written to the directory survives a power failure.
  [[nodiscard]] mc_status sync() noexcept { return mc_store_sync(handle()); }

  mc_store native_handle() const noexcept { return handle(); }

 private:
  explicit Store(mc_store store) noexcept : store_(store) {}

  mc_store handle() const noexcept { return store_.get(); }

  detail::Owned<mc_store, mc_store_destroy> store_;
};

}  // namespace MC_ALLOC_NAMESPACE

#endif  // MC_STORE_HPP
