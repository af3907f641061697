// C++17 classes over mc_alloc.h; header only. Link with -lmc_alloc.
//
// The classes have the shape that KV-cache stores expect of an offset allocator and of an arena.
// Three macros, defined before the first inclusion and alike in the whole program, adapt them:
//
//   MC_ALLOC_NAMESPACE        where the classes live, such as my_store or my_store::memory; mc if not
//                             set
//   MC_ALLOC_ARENA_NAMESPACE  where the arena and the buffers of the process live, if that is elsewhere
//   MC_ALLOC_FIT              the rule of placement of allocators that are made without one, an MC_FIT_
//                             constant; MC_FIT_ADAPTIVE if not set
//
// Nothing here throws but what the standard library throws when the heap is exhausted. A function
// that fails returns nothing, null or false, and last_error() of the same thread says why.

#ifndef MC_ALLOC_HPP
#define MC_ALLOC_HPP

#include "mc_alloc.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#ifndef MC_ALLOC_NAMESPACE
#define MC_ALLOC_NAMESPACE mc
#endif

#ifndef MC_ALLOC_ARENA_NAMESPACE
#define MC_ALLOC_ARENA_NAMESPACE MC_ALLOC_NAMESPACE
#endif

#ifndef MC_ALLOC_FIT
#define MC_ALLOC_FIT MC_FIT_ADAPTIVE
#endif

namespace MC_ALLOC_NAMESPACE {

/// Returns why the last call of this thread that failed did so.
inline std::string last_error() { return mc_error_message(); }

/// The rule of placement of an OffsetAllocator.
enum class Fit : std::uint32_t {
  /// Good fit guided by the sizes of recent requests.
  kAdaptive = MC_FIT_ADAPTIVE,
  /// Exact sizes and the tightest of a few holes; quicker where sizes are widely spread.
  kGood = MC_FIT_GOOD,
  /// The published allocator before its optimization, for comparison.
  kBinExact = MC_FIT_BIN_EXACT,
  /// The published allocator after its optimization, for comparison.
  kBinCeil = MC_FIT_BIN_CEIL,
};

/// Free bytes and the largest hole, both exact.
struct OffsetAllocStorageReport {
  std::uint64_t totalFreeSpace = 0;
  std::uint64_t largestFreeRegion = 0;
};

/// The holes counted by size, the smallest sizes first.
struct OffsetAllocStorageReportFull {
  struct Region {
    /// The smallest size counted here, in bytes.
    std::uint64_t size = 0;
    /// Holes from this size up to the next region's.
    std::uint64_t count = 0;
  };
  std::array<Region, 256> freeRegions;
};

/// The sums of one moment. Free and allocated bytes add up to the capacity, but for what the
/// granule or MC_FIT_BIN_CEIL round away.
struct OffsetAllocatorMetrics {
  /// Bytes asked for by the live allocations.
  std::uint64_t allocated_size_ = 0;
  /// Live allocations.
  std::uint64_t allocated_num_ = 0;
  /// Bytes of the largest hole, exactly.
  std::uint64_t largest_free_region_ = 0;
  /// Bytes in all holes.
  std::uint64_t total_free_space_ = 0;
  /// Bytes of the range, as asked for.
  std::uint64_t capacity = 0;
};

namespace detail {

/// Returns bytes as a person reads them, such as 1.50 GiB.
inline std::string human_bytes(std::uint64_t bytes) {
  static constexpr const char *kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double scaled = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (scaled >= 1024.0 && unit + 1 < std::size(kUnits)) {
    scaled /= 1024.0;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", scaled, kUnits[unit]);
  return text;
}

inline void put_u64(std::uint8_t *bytes, std::uint64_t number) {
  for (int at = 0; at < 8; ++at) bytes[at] = static_cast<std::uint8_t>(number >> (8 * at));
}

inline std::uint64_t take_u64(const std::uint8_t *bytes) {
  std::uint64_t number = 0;
  for (int at = 0; at < 8; ++at) number |= static_cast<std::uint64_t>(bytes[at]) << (8 * at);
  return number;
}

}  // namespace detail

/// Writes the sums in one line, with the utilization in percent.
inline std::ostream &operator<<(std::ostream &out, const OffsetAllocatorMetrics &metrics) {
  const double capacity = static_cast<double>(metrics.capacity);
  const double percent =
      metrics.capacity == 0 ? 0.0 : 100.0 * static_cast<double>(metrics.allocated_size_) / capacity;
  char utilization[32];
  std::snprintf(utilization, sizeof utilization, "%.1f%%", percent);
  return out << "allocated " << detail::human_bytes(metrics.allocated_size_) << " in "
             << metrics.allocated_num_ << " allocations, free "
             << detail::human_bytes(metrics.total_free_space_) << ", largest free region "
             << detail::human_bytes(metrics.largest_free_region_) << ", capacity "
             << detail::human_bytes(metrics.capacity) << ", utilization " << utilization;
}

class OffsetAllocator;

/// One allocation of an OffsetAllocator, freed when it is destroyed or overwritten, from any thread.
///
/// It may outlive the allocator: then there is nothing to free, and isValid() is false. One that was
/// moved from, or made without an allocator, is empty.
class [[nodiscard]] OffsetAllocationHandle {
 public:
  OffsetAllocationHandle() noexcept : owned_{} {}
  OffsetAllocationHandle(const OffsetAllocationHandle &) = delete;
  OffsetAllocationHandle &operator=(const OffsetAllocationHandle &) = delete;

  OffsetAllocationHandle(OffsetAllocationHandle &&other) noexcept : owned_(other.owned_) {
    other.owned_.size = 0;
  }

  OffsetAllocationHandle &operator=(OffsetAllocationHandle &&other) noexcept {
    if (this != &other) {
      release();
      owned_ = other.owned_;
      other.owned_.size = 0;
    }
    return *this;
  }

  ~OffsetAllocationHandle() { release(); }

  /// Returns the address of the first byte, the allocator's base included; 0 if empty.
  std::uint64_t address() const noexcept { return mc_owned_address(&owned_); }

  /// Returns the address as a pointer. It may be followed only if the base is memory of this process.
  void *ptr() const noexcept {
    return reinterpret_cast<void *>(static_cast<std::uintptr_t>(address()));
  }

  /// Returns the bytes asked for; 0 if empty.
  std::uint64_t size() const noexcept { return owned_.size; }

  /// Says whether the handle has an allocation and its allocator still lives.
  bool isValid() const noexcept { return mc_owned_is_valid(&owned_); }

  /// Says whether the handle has an allocation that this allocator made.
  bool belongsTo(const OffsetAllocator &allocator) const noexcept;

 private:
  friend class OffsetAllocator;

  /// Reads word by word, as the library has just written: a wider read would have to wait until all
  /// words have reached the cache, and every store before them.
  explicit OffsetAllocationHandle(const volatile mc_owned &owned) noexcept
      : owned_{owned.offset, owned.size, {owned.handle[0], owned.handle[1]}} {}

  void release() noexcept {
    // Of an allocation that the library wrote, freeing cannot fail.
    if (owned_.size != 0) static_cast<void>(mc_owned_free(&owned_));
  }

  mc_owned owned_;
};

/// Places objects in a range of addresses that it never touches, for any number of threads.
class OffsetAllocator {
  /// Lets make_shared construct, and nobody else.
  struct Key {
    explicit Key() = default;
  };

 public:
  /// A range that is live when restore() returns.
  struct Range {
    std::uint64_t address = 0;
    std::uint64_t size = 0;
  };

  /// An allocator and the owners of what is live in it.
  struct Restored {
    /// Null if the ranges are those of no allocator; last_error() names the one at fault.
    std::shared_ptr<OffsetAllocator> allocator;
    /// In the order of the ranges.
    std::vector<OffsetAllocationHandle> handles;
  };

  /// Makes an allocator of `size` bytes from address `base` on; null if there is no such range.
  ///
  /// The two capacities are hints for allocators whose tables do not grow; here they do, so neither
  /// is reserved and neither is a limit. No more than `max_allocations` can be live at once, unless it
  /// is 0.
  [[nodiscard]] static std::shared_ptr<OffsetAllocator> create(
      std::uint64_t base, std::uint64_t size, std::uint32_t init_capacity = 128 * 1024,
      std::uint32_t max_capacity = 1 << 20, Fit fit = static_cast<Fit>(MC_ALLOC_FIT),
      std::uint32_t max_allocations = 0) {
    static_cast<void>(init_capacity);
    static_cast<void>(max_capacity);
    return create(options(base, size, fit, max_allocations));
  }

  /// Makes an allocator from all options that there are.
  [[nodiscard]] static std::shared_ptr<OffsetAllocator> create(const mc_offset_options &options) {
    mc_offset allocator{};
    if (mc_offset_create(&options, &allocator) != MC_STATUS_OK) return nullptr;
    return own(allocator, options.base);
  }

  /// Makes an allocator of `size` bytes from address `base` on in which the ranges, in any order, are
  /// live and the rest is free, as when a store comes back that wrote down where its objects are.
  ///
  /// A range is whatever takes apart into an address and a size: a Range, a pair, an entry of a map.
  template <typename Ranges>
  [[nodiscard]] static Restored restore(std::uint64_t base, std::uint64_t size, const Ranges &ranges,
                                        Fit fit = static_cast<Fit>(MC_ALLOC_FIT),
                                        std::uint32_t max_allocations = 0) {
    std::vector<mc_block> blocks;
    for (const auto &[address, bytes] : ranges) {
      const auto first = static_cast<std::uint64_t>(address);
      blocks.push_back({first - base, static_cast<std::uint64_t>(bytes), 0});
    }
    std::vector<mc_owned> owners(blocks.size());
    const mc_offset_options chosen = options(base, size, fit, max_allocations);
    mc_offset allocator{};
    Restored restored;
    restored.handles.reserve(owners.size());
    const mc_status status =
        mc_owned_restore_from(&chosen, blocks.data(), blocks.size(), &allocator, owners.data());
    if (status != MC_STATUS_OK) return restored;
    for (const mc_owned &owned : owners) {
      restored.handles.push_back(OffsetAllocationHandle(owned));
    }
    restored.allocator = own(allocator, base);
    return restored;
  }

  [[nodiscard]] static Restored restore(std::uint64_t base, std::uint64_t size,
                                        std::initializer_list<Range> ranges,
                                        Fit fit = static_cast<Fit>(MC_ALLOC_FIT),
                                        std::uint32_t max_allocations = 0) {
    return restore(base, size, std::vector<Range>(ranges), fit, max_allocations);
  }

  /// Makes an allocator in the state of serialize(), at the base that is written there; null for
  /// bytes that are not exactly such a state. Every allocation of it waits for its owner, see
  /// createHandleAtNode().
  [[nodiscard]] static std::shared_ptr<OffsetAllocator> deserialize(const std::uint8_t *bytes,
                                                                    std::size_t length) {
    if (length < kBaseBytes) return from_snapshot(0, bytes, length);
    const std::uint64_t base = detail::take_u64(bytes);
    // What follows has a checksum of its own; the base is written a second time, inverted.
    if (base != ~detail::take_u64(bytes + 8)) return from_snapshot(0, bytes, 0);
    return from_snapshot(base, bytes + kBaseBytes, length - kBaseBytes);
  }

  [[nodiscard]] static std::shared_ptr<OffsetAllocator> deserialize(
      const std::vector<std::uint8_t> &bytes) {
    return deserialize(bytes.data(), bytes.size());
  }

  OffsetAllocator(Key, mc_offset allocator, std::uint64_t base) noexcept
      : allocator_(allocator), base_(base) {}
  OffsetAllocator(const OffsetAllocator &) = delete;
  OffsetAllocator &operator=(const OffsetAllocator &) = delete;
  ~OffsetAllocator() { static_cast<void>(mc_offset_destroy(allocator_)); }

  /// Finds a place for `size` bytes, at an address that is a multiple of `alignment`, a power of two,
  /// if one is given. Nothing if `size` is 0 or no hole fits, once all freed bytes are merged.
  [[nodiscard]] std::optional<OffsetAllocationHandle> allocate(std::uint64_t size,
                                                               std::uint64_t alignment = 0) {
    mc_owned owned;
    if (mc_owned_allocate(allocator_, size, alignment, &owned) != MC_STATUS_OK) return std::nullopt;
    return OffsetAllocationHandle(owned);
  }

  /// Allocates `size` bytes at exactly `address`; nothing if an allocation is in the way, or the place
  /// is not in the range.
  [[nodiscard]] std::optional<OffsetAllocationHandle> allocate_at(std::uint64_t address,
                                                                  std::uint64_t size) {
    mc_owned owned;
    const mc_status status = mc_owned_allocate_at(allocator_, address - base_, size, &owned);
    if (status != MC_STATUS_OK) return std::nullopt;
    return OffsetAllocationHandle(owned);
  }

  /// Returns a number of bytes that no request can exceed and succeed; the exact largest hole, or
  /// slightly more. Takes no lock while no thread keeps freed blocks back; otherwise it merges them.
  std::uint64_t getLargestFreeRegion() const noexcept {
    std::uint64_t largest = 0;
    return mc_offset_largest_hole(allocator_, &largest) == MC_STATUS_OK ? largest : 0;
  }

  /// Returns the largest hole as the last thread to change the holes left it, without what threads
  /// keep back. Reads one number, never takes a lock: for choosing among allocators.
  std::uint64_t getRecentLargestFreeRegion() const noexcept {
    std::uint64_t largest = 0;
    return mc_offset_recent_largest_hole(allocator_, &largest) == MC_STATUS_OK ? largest : 0;
  }

  OffsetAllocStorageReport storageReport() const noexcept {
    const mc_offset_report report = describe();
    return {report.free_bytes, report.largest_hole};
  }

  OffsetAllocStorageReportFull storageReportFull() const {
    OffsetAllocStorageReportFull full;
    mc_regions counted{};
    if (mc_offset_regions(allocator_, &counted) != MC_STATUS_OK) return full;
    for (std::size_t at = 0; at < full.freeRegions.size(); ++at) {
      full.freeRegions[at] = {counted.regions[at].size, counted.regions[at].count};
    }
    return full;
  }

  OffsetAllocatorMetrics get_metrics() const noexcept {
    const mc_offset_report report = describe();
    OffsetAllocatorMetrics metrics;
    metrics.allocated_size_ = report.live_bytes;
    metrics.allocated_num_ = report.allocation_count;
    metrics.largest_free_region_ = report.largest_hole;
    metrics.total_free_space_ = report.free_bytes;
    metrics.capacity = report.capacity;
    return metrics;
  }

  /// Returns the bytes that a request of `size` takes from the holes; 0 if there is no such request.
  std::uint64_t normalizedAllocationSize(std::uint64_t size) const noexcept {
    std::uint64_t normalized = 0;
    const mc_status status = mc_offset_normalized_size(allocator_, size, &normalized);
    return status == MC_STATUS_OK ? normalized : 0;
  }

  /// Calls `callback(address, size, node)` for every live allocation, in address order. They are
  /// listed before the first call, so the callback may use the allocator.
  template <typename Callback>
  void visit_used_nodes(Callback &&callback) const {
    for (const mc_block &block : live()) {
      callback(base_ + block.offset, block.size, static_cast<std::uint32_t>(block.node));
    }
  }

  /// Gives an allocation of a deserialized allocator its owner; the three numbers are those of
  /// visit_used_nodes(). Nothing if no allocation is exactly there, or it has an owner.
  [[nodiscard]] std::optional<OffsetAllocationHandle> createHandleAtNode(std::uint32_t node,
                                                                         std::uint64_t address,
                                                                         std::uint64_t size) {
    const mc_block block{address - base_, size, node};
    mc_owned owned;
    if (mc_owned_claim(allocator_, block, &owned) != MC_STATUS_OK) return std::nullopt;
    return OffsetAllocationHandle(owned);
  }

  /// Gives the allocation of a deserialized allocator that begins at `address` its owner, whatever size
  /// was recorded for it, as where a store computes sizes again: it gets `size` bytes, or the recorded
  /// ones if that is 0. What lies behind a smaller size becomes free.
  ///
  /// Nothing if no allocation begins there, it has an owner, or the next one is in the way of the size.
  [[nodiscard]] std::optional<OffsetAllocationHandle> adopt(std::uint64_t address,
                                                            std::uint64_t size = 0) {
    mc_owned owned;
    const mc_status status = mc_owned_adopt(allocator_, address - base_, size, &owned);
    if (status != MC_STATUS_OK) return std::nullopt;
    return OffsetAllocationHandle(owned);
  }

  /// Returns base, options and live allocations as bytes, checksummed and the same on every machine;
  /// empty only if the heap is exhausted.
  [[nodiscard]] std::vector<std::uint8_t> serialize() const {
    std::vector<std::uint8_t> bytes;
    std::size_t length = 0;
    mc_status status = MC_STATUS_ARRAY_TOO_SHORT;
    // Other threads may allocate between two calls.
    while (status == MC_STATUS_ARRAY_TOO_SHORT) {
      bytes.resize(kBaseBytes + length);
      status = mc_offset_snapshot(allocator_, bytes.data() + kBaseBytes, length, &length);
    }
    if (status != MC_STATUS_OK) return {};
    bytes.resize(kBaseBytes + length);
    detail::put_u64(bytes.data(), base_);
    detail::put_u64(bytes.data() + 8, ~base_);
    return bytes;
  }

  /// Returns the address of the first byte of the range.
  std::uint64_t base() const noexcept { return base_; }

  /// Returns the handle for functions of mc_alloc.h; it stays this object's.
  mc_offset native_handle() const noexcept { return allocator_; }

 private:
  /// More than four probes add nothing.
  static constexpr std::uint32_t kGoodProbes = 4;
  /// The base and its inverse in front of the library's own bytes.
  static constexpr std::size_t kBaseBytes = 16;

  static std::shared_ptr<OffsetAllocator> own(mc_offset allocator, std::uint64_t base) {
    return std::make_shared<OffsetAllocator>(Key(), allocator, base);
  }

  static std::shared_ptr<OffsetAllocator> from_snapshot(std::uint64_t base,
                                                        const std::uint8_t *bytes,
                                                        std::size_t length) {
    mc_offset allocator{};
    if (mc_offset_restore(base, bytes, length, &allocator) != MC_STATUS_OK) return nullptr;
    return own(allocator, base);
  }

  static mc_offset_options options(std::uint64_t base, std::uint64_t size, Fit fit,
                                   std::uint32_t max_allocations) noexcept {
    mc_offset_options options = mc_offset_options_default(base, size);
    options.fit = static_cast<std::uint32_t>(fit);
    options.probes = fit == Fit::kGood ? kGoodProbes : 0;
    options.max_allocations = max_allocations;
    return options;
  }

  mc_offset_report describe() const noexcept {
    mc_offset_report report{};
    static_cast<void>(mc_offset_describe(allocator_, &report));
    return report;
  }

  std::vector<mc_block> live() const {
    std::vector<mc_block> blocks;
    std::size_t count = 0;
    mc_status status = MC_STATUS_ARRAY_TOO_SHORT;
    while (status == MC_STATUS_ARRAY_TOO_SHORT) {
      blocks.resize(count);
      status = mc_offset_live(allocator_, blocks.data(), blocks.size(), &count);
    }
    blocks.resize(status == MC_STATUS_OK ? count : 0);
    return blocks;
  }

  const mc_offset allocator_;
  const std::uint64_t base_;
};

inline bool OffsetAllocationHandle::belongsTo(const OffsetAllocator &allocator) const noexcept {
  return mc_owned_is_of(&owned_, allocator.native_handle());
}

}  // namespace MC_ALLOC_NAMESPACE

namespace MC_ALLOC_ARENA_NAMESPACE {

/// One large mapping, handed out from its start to its end by an atomic addition; nothing is given
/// back one by one. Allocating takes no lock.
class MmapArena {
 public:
  /// The least alignment of an address that is handed out.
  static constexpr std::size_t kMinAlignment = 64;

  struct Stats {
    /// Bytes mapped.
    std::uint64_t pool_size = 0;
    /// Bytes handed out, padding included.
    std::uint64_t reserved_bytes = 0;
    /// The most that reserved_bytes has been; it never goes back.
    std::uint64_t peak_reserved_bytes = 0;
    std::uint64_t num_allocations = 0;
    /// Requests that the initialized arena refused, but for those of no bytes.
    std::uint64_t num_failed_allocs = 0;
  };

  MmapArena() noexcept = default;
  MmapArena(const MmapArena &) = delete;
  MmapArena &operator=(const MmapArena &) = delete;
  ~MmapArena() {
    if (isInitialized()) static_cast<void>(mc_arena_destroy(handle()));
  }

  /// Maps a pool of `pool_size` bytes, rounded up to 2 MiB, in huge pages; in ordinary ones if there
  /// are no others and `allow_regular_page_fallback` says so. All memory is there when this returns.
  ///
  /// `alignment`, a power of two, is that of every address handed out, and 64 at least. False if
  /// there is no such memory, or the arena is initialized; it can be tried again.
  [[nodiscard]] bool initialize(std::size_t pool_size, std::size_t alignment = kMinAlignment,
                                bool allow_regular_page_fallback = true) {
    const std::lock_guard<std::mutex> lock(initializing_);
    if (isInitialized()) return false;
    mc_arena_options options = mc_arena_options_default(pool_size);
    // What cannot be rounded up cannot be mapped either: the library says so.
    if (pool_size <= std::numeric_limits<std::size_t>::max() - (kPoolUnit - 1)) {
      options.pool_bytes = (pool_size + kPoolUnit - 1) / kPoolUnit * kPoolUnit;
    }
    // The library refuses what is no power of two, and raises the others to its least.
    if (alignment != 0) options.align = alignment;
    options.pages = allow_regular_page_fallback ? MC_PAGES_PREFER : MC_PAGES_REQUIRED;
    mc_arena arena{};
    if (mc_arena_create(&options, &arena) != MC_STATUS_OK) return false;
    if (mc_arena_describe(arena, &report_) != MC_STATUS_OK) return false;
    // Whoever reads the id with acquire reads the report that was written before.
    id_.store(arena.id, std::memory_order_release);
    return true;
  }

  /// Returns `size` zeroed bytes at an address that is a multiple of `alignment`, a power of two, and
  /// of the arena's alignment; null if `size` is 0 or not so much is left.
  [[nodiscard]] void *allocate(std::size_t size, std::size_t alignment = 0) noexcept {
    if (size == 0) return nullptr;
    void *bytes = nullptr;
    const mc_status status = mc_arena_allocate(handle(), size, alignment, &bytes);
    return status == MC_STATUS_OK ? bytes : nullptr;
  }

  /// Has the kernel give memory to `size` bytes from `offset` into the pool on, in whole pages; what was
  /// written there stays. False if that range is not in the pool, or there is no memory.
  bool populate(std::size_t offset, std::size_t size) noexcept {
    return mc_arena_populate(handle(), offset, size) == MC_STATUS_OK;
  }

  /// Returns what has been handed out; all 0 before the arena is initialized.
  Stats getStats() const noexcept {
    mc_arena_report report{};
    Stats stats;
    if (mc_arena_describe(handle(), &report) != MC_STATUS_OK) return stats;
    stats.pool_size = report.pool_bytes;
    stats.reserved_bytes = report.reserved_bytes;
    stats.peak_reserved_bytes = report.reserved_bytes;
    stats.num_allocations = report.allocations;
    stats.num_failed_allocs = report.refusals;
    return stats;
  }

  /// Says whether an address lies in the pool, handed out or not.
  bool owns(const void *address) const noexcept {
    return address != nullptr && mc_arena_owns(handle(), address);
  }

  bool isInitialized() const noexcept { return handle().id != 0; }

  /// Returns the first byte of the pool; null before the arena is initialized.
  void *getPoolBase() const noexcept {
    return isInitialized() ? const_cast<void *>(report_.pool) : nullptr;
  }

  /// Returns the bytes of the pool; 0 before the arena is initialized.
  std::size_t getPoolSize() const noexcept {
    return isInitialized() ? static_cast<std::size_t>(report_.pool_bytes) : 0;
  }

  /// Says whether reserved huge pages back the pool, as read back from the kernel.
  bool hasHugePages() const noexcept { return isInitialized() && report_.tier == MC_TIER_HUGETLB; }

 private:
  static constexpr std::size_t kPoolUnit = std::size_t{2} << 20;

  mc_arena handle() const noexcept { return {id_.load(std::memory_order_acquire)}; }

  std::mutex initializing_;
  /// 0 until the arena is initialized; stored once.
  std::atomic<std::uint64_t> id_{0};
  /// Written before id_, never after.
  mc_arena_report report_{};
};

/// What happens where the environment of the buffers has a value that is not accepted, or asks for an
/// arena that cannot be mapped.
enum class BadEnvironment {
  /// A warning, once, to the callback of mc_log_set() or standard error; and buffers that are mapped one
  /// by one, in ordinary pages.
  kWarn,
  /// No buffer.
  kRefuse,
};

/// Returns `size` zeroed bytes from the buffers of the process, which the environment configures; null
/// if there is no memory. free_buffer_mmap_memory() ends them.
[[nodiscard]] inline void *allocate_buffer_mmap_memory(
    std::size_t size, std::size_t alignment,
    BadEnvironment bad_environment = BadEnvironment::kWarn) noexcept {
  void *bytes = nullptr;
  const mc_status status = bad_environment == BadEnvironment::kWarn
                               ? mc_buffer_allocate_or_plain(size, alignment, &bytes)
                               : mc_buffer_allocate(size, alignment, &bytes);
  return status == MC_STATUS_OK ? bytes : nullptr;
}

/// Returns `size` zeroed bytes in one mapping, a contiguous part of it on each of the NUMA nodes, in
/// their order; null if there is no memory. Pages that are left over where the size does not divide go
/// to the first nodes, so that no byte is lost. free_buffer_mmap_memory() ends it.
///
/// The address is a multiple of `page_size`, a power of two, if one is given.
[[nodiscard]] inline void *allocate_buffer_numa_segments(std::size_t size,
                                                         const std::vector<int> &nodes,
                                                         std::size_t page_size = 0) {
  // A node below 0 becomes one that no system has.
  const std::vector<std::uint32_t> numbers(nodes.begin(), nodes.end());
  void *bytes = nullptr;
  const mc_status status =
      mc_buffer_allocate_over_nodes(size, page_size, numbers.data(), numbers.size(), &bytes);
  return status == MC_STATUS_OK ? bytes : nullptr;
}

/// Ends a buffer. Null is left alone; so is an address at which none begins, which is false. The
/// library remembers the length that was mapped; `size` is not looked at.
inline bool free_buffer_mmap_memory(void *buffer, std::size_t size) noexcept {
  static_cast<void>(size);
  return mc_buffer_free(buffer) == MC_STATUS_OK;
}

/// Says whether an address lies in the arena of the process.
inline bool is_mmap_arena_allocation(const void *address) noexcept {
  return mc_buffer_is_from_arena(address);
}

}  // namespace MC_ALLOC_ARENA_NAMESPACE

#endif  // MC_ALLOC_HPP
