// C interface of mc-arena, mc-offset and mc-store. Generated; do not edit. Link with -lmc_alloc.
//
// Handles are numbers: null, destroyed and foreign ones are errors. Functions return a status, and
// `mc_error_message` tells why the last failed call of the thread failed. Every function may be
// called from any thread. References to results (`out`) must not be null, and are written only on
// success unless a function says otherwise.
//
// Functions that are passed to the library must return to it: an exception, `longjmp` or the end of the
// thread would leave locks taken. They may use the library only where their description says so.


#ifndef MC_ALLOC_H
#define MC_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// First number of the version of the header; `mc_version` is that of the library.
#define MC_ALLOC_VERSION_MAJOR 0

// Second number of the version of the header.
#define MC_ALLOC_VERSION_MINOR 2

// Third number of the version of the header.
#define MC_ALLOC_VERSION_PATCH 0

// Something went wrong, and nobody was told by a status.
#define MC_LOG_ERROR 1

// Something is not as it was asked for, such as lesser pages.
#define MC_LOG_WARN 2

// What was set up.
#define MC_LOG_INFO 3

// What helps to find out why.
#define MC_LOG_DEBUG 4

// Reserved huge pages, else transparent ones, else base pages.
#define MC_PAGES_PREFER 0

// Reserved huge pages or an error.
#define MC_PAGES_REQUIRED 1

// Transparent huge pages, else base pages.
#define MC_PAGES_TRANSPARENT 2

// Base pages.
#define MC_PAGES_OFF 3

// All memory is there when the arena is made.
#define MC_POPULATE_EAGER 0

// Each page comes at its first touch.
#define MC_POPULATE_LAZY 1

// Memory comes by itself while the arena is in use already, from its start on.
#define MC_POPULATE_BACKGROUND 2

// Memory may be swapped.
#define MC_LOCK_OFF 0

// Memory stays in main memory.
#define MC_LOCK_ON 1

// Nodes as the policy of the process says.
#define MC_NUMA_SYSTEM 0

// On the listed nodes only.
#define MC_NUMA_BIND 1

// On the one listed node while it has memory, then elsewhere.
#define MC_NUMA_PREFER 2

// Page by page in turn over the listed nodes.
#define MC_NUMA_INTERLEAVE 3

// One contiguous segment per listed node.
#define MC_NUMA_SEGMENTED 4

// Base pages back the arena.
#define MC_TIER_BASE 0

// Base pages that the kernel gathers into huge ones.
#define MC_TIER_TRANSPARENT 1

// Reserved huge pages.
#define MC_TIER_HUGETLB 2

// The default rule of placement: good fit guided by the sizes of recent requests.
#define MC_FIT_ADAPTIVE 0

// Exact sizes and the tightest of a few holes; quicker where sizes are widely spread.
#define MC_FIT_GOOD 1

// The published allocator before its optimization: bins of sizes, exact sizes.
#define MC_FIT_BIN_EXACT 2

// The published allocator after its optimization: every request is charged as a bin size.
#define MC_FIT_BIN_CEIL 3

// Of several orders the one that would have had the most hits of late, as a sample of the keys tells.
#define MC_POLICY_AUTO 0

// The least recently used object leaves first.
#define MC_POLICY_LRU 1

// As the least recently used, but ends of prompts leave before their beginnings.
#define MC_POLICY_TAIL_FIRST 2

// New objects leave soon, unless they are used again.
#define MC_POLICY_S3_FIFO 3

// Uses, cost and bytes are weighed.
#define MC_POLICY_GDSF 4

// The object that is expected to have the fewest uses for its bytes leaves first.
#define MC_POLICY_REUSE_AGE 5

// The oldest where their places make the hole, otherwise the neighbors that are worth least together.
#define MC_EVICT_WINDOW 0

// All in the policy's order until a hole appears.
#define MC_EVICT_IN_ORDER 1

// Of two segments at random, the one with the greater share of free bytes.
#define MC_STRATEGY_CAPACITY_WEIGHTED 0

// Any segment, with equal chances.
#define MC_STRATEGY_RANDOM 1

// Of six at random, the one with the greatest share of free bytes.
#define MC_STRATEGY_FREE_RATIO_FIRST 2

// Those of the writer's host first.
#define MC_STRATEGY_LOCAL_FIRST 3

// The one whose largest hole is the least that fits.
#define MC_STRATEGY_BEST_HOLE 4

// What is written down survives the end of the process.
#define MC_DURABLE_PROCESS 0

// What is written down survives a power failure; every put waits for the disk.
#define MC_DURABLE_POWER 1

// Stands for no limit.
#define MC_NO_LIMIT UINT64_MAX

// Removes nothing if the object is leased or pinned.
#define MC_REMOVE_IF_IDLE 0

// Frees the key at once, and the bytes when the last lease ends; a pinned object stays.
#define MC_REMOVE_DETACH 1

// Removes the object, pinned or not, and in spite of timed leases.
#define MC_REMOVE_NOW 2

// The segment is readable and open to placement.
#define MC_SEGMENT_OK 0

// It is read where nothing else is; nothing new is placed.
#define MC_SEGMENT_SUSPENDED 1

// Its objects are being moved away; nothing new is placed.
#define MC_SEGMENT_DRAINING 2

// It is empty after draining.
#define MC_SEGMENT_DRAINED 3

// It is readable until it is unmounted.
#define MC_SEGMENT_GRACEFULLY_UNMOUNTING 4

// Its objects are gone; its addresses are taken until the unmount is finished.
#define MC_SEGMENT_UNMOUNTING 5

// The segment is new.
#define MC_MOUNTED 0

// It was mounted with the same fields before, and stays as it is.
#define MC_ALREADY_MOUNTED 1

// It took the place of an older epoch, whose objects are lost.
#define MC_REPLACED 2

// An object is readable from now on.
#define MC_EVENT_COMMITTED 0

// An object is gone; `cause` says why.
#define MC_EVENT_LEFT 1

// A replica is in another segment.
#define MC_EVENT_MOVED 2

// A replica is at another place of its segment.
#define MC_EVENT_MOVED_WITHIN 3

// Something that this version has no number for.
#define MC_EVENT_OTHER 4

// The object is there.
#define MC_CAUSE_NONE 0

// A put needed its place.
#define MC_CAUSE_ON_DEMAND 1

// A watermark was passed.
#define MC_CAUSE_WATERMARK 2

// The end of its segment was given up.
#define MC_CAUSE_SHRUNK 3

// Its owner removed it.
#define MC_CAUSE_REMOVED 4

// None of its segments is readable any more.
#define MC_CAUSE_UNREADABLE 5

// Its bytes are not those that were committed.
#define MC_CAUSE_CORRUPT 6

// Something that this version has no number for.
#define MC_CAUSE_OTHER 7

// What came of a call. `mc_error_message` tells more.
typedef enum mc_status {
  // The call did what it says.
  MC_STATUS_OK = 0,
  // An argument that is never accepted: a null pointer, a size of 0, an alignment that is no
  // power of two, an unknown constant. Nothing changed.
  MC_STATUS_INVALID_ARGUMENT = 1,
  // The handle is null, was destroyed, or is of another kind. Nothing changed.
  MC_STATUS_STALE_HANDLE = 2,
  // The token, slot, buffer or block is not live, or not the caller's to free. Nothing changed.
  MC_STATUS_NOT_LIVE = 3,
  // No hole, arena, slot or segment holds the request. Freeing something may help.
  MC_STATUS_NO_SPACE = 4,
  // The request exceeds what could ever be had: the whole capacity, or a limit of the options. Freeing
  // does not help.
  MC_STATUS_TOO_LARGE = 5,
  // As many allocations are live as the options allow.
  MC_STATUS_LIMIT_REACHED = 6,
  // The place asked for is taken.
  MC_STATUS_OCCUPIED = 7,
  // The heap has no room for the library's own tables.
  MC_STATUS_OUT_OF_MEMORY = 8,
  // The caller's array is too short; the call has told how long it must be.
  MC_STATUS_ARRAY_TOO_SHORT = 9,
  // The bytes are no snapshot, or the list describes no allocator.
  MC_STATUS_INVALID_STATE = 10,
  // A variable of the environment has a value that is not accepted.
  MC_STATUS_INVALID_ENVIRONMENT = 11,
  // The environment asks for no arena.
  MC_STATUS_NOT_CONFIGURED = 12,
  // The system refused memory, pages or a policy.
  MC_STATUS_SYSTEM = 13,
  // The library found itself in a state that it should never be in.
  MC_STATUS_INTERNAL = 14,
  // What was asked for belongs to the process that this one was forked from. Nothing changed.
  MC_STATUS_OTHER_PROCESS = 15,
  // No object is stored under the key.
  MC_STATUS_NOT_STORED = 16,
  // An object is stored under the key.
  MC_STATUS_EXISTS = 17,
  // Another put of the key is neither committed nor given back.
  MC_STATUS_IN_FLIGHT = 18,
  // A lease of the object is held or has not ended.
  MC_STATUS_LEASED = 19,
  // The object is pinned.
  MC_STATUS_PINNED = 20,
  // The tenant would have more bytes than it may.
  MC_STATUS_QUOTA_EXCEEDED = 21,
  // The deadline of the put has passed.
  MC_STATUS_EXPIRED = 22,
  // No replica is in memory that this process can read or write.
  MC_STATUS_UNREADABLE = 23,
  // The bytes of the object are not those that were committed.
  MC_STATUS_CORRUPT = 24,
  // What changes cannot be written to the directory of the store; nothing is stored any more.
  MC_STATUS_JOURNAL = 25,
  // No segment of the identity is mounted.
  MC_STATUS_NOT_MOUNTED = 26,
  // The segment is in a state, or of an epoch, that does not allow it. Nothing changed.
  MC_STATUS_WRONG_STATE = 27,
  // Somebody uses the object, the segment, its bytes or the directory. It may be tried again.
  MC_STATUS_BUSY = 28,
  // The caller's function that copies bytes has failed.
  MC_STATUS_COPY_FAILED = 29,
} mc_status;

// The numbers of a refusal; 0 where it has none.
typedef struct mc_figures {
  // Bytes asked for.
  uint64_t asked;
  // Bytes in holes.
  uint64_t free;
  // Bytes of the largest hole, or a few more.
  uint64_t largest_hole;
  // Bytes that the tenant has, where it was refused for its limit.
  uint64_t used;
  // The most bytes that it may have.
  uint64_t most;
} mc_figures;

// A function that is told what the library has to say. It may be called by any thread, by several at
// once; the text is valid during the call. Whoever calls it may hold locks, so it must not use the
// library.
typedef void (*mc_log_callback)(void *context, uint32_t level, const char *message);

// How to make an arena. `mc_arena_options_default` fills in all fields.
typedef struct mc_arena_options {
  // Bytes to map, rounded up to whole pages; above 0.
  uint64_t pool_bytes;
  // Alignment of every slice in bytes, a power of two; 64 at least.
  uint64_t align;
  // Bytes of a huge page, a power of two; 0 chooses from what the system offers.
  uint64_t page_bytes;
  // One of the `MC_PAGES_` constants.
  uint32_t pages;
  // One of the `MC_POPULATE_` constants.
  uint32_t population;
  // One of the `MC_LOCK_` constants.
  uint32_t lock;
  // One of the `MC_NUMA_` constants.
  uint32_t numa;
  // `numa_node_count` node numbers; null for `MC_NUMA_SYSTEM`.
  const uint32_t *numa_nodes;
  // Nodes in the list.
  size_t numa_node_count;
} mc_arena_options;

// Names an arena. A value with `id` 0 names none.
//
// Copies name the same arena; `mc_arena_destroy` makes all of them stale.
typedef struct mc_arena {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_arena;

// What an arena is and what it has handed out. While other threads allocate, the numbers may be
// from slightly different moments.
typedef struct mc_arena_report {
  // First byte of the pool.
  const void *pool;
  // Bytes of the pool.
  uint64_t pool_bytes;
  // Bytes of the pages that back it.
  uint64_t page_bytes;
  // One of the `MC_TIER_` constants: the pages obtained.
  uint32_t tier;
  // 0.
  uint32_t reserved;
  // Alignment of every slice in bytes.
  uint64_t align;
  // Bytes that can be handed out in all.
  uint64_t capacity_bytes;
  // Bytes handed out, padding included; never goes back, so it is its own peak.
  uint64_t reserved_bytes;
  // Slices handed out.
  uint64_t allocations;
  // Requests refused.
  uint64_t refusals;
} mc_arena_report;

// What the buffers of the process have done.
typedef struct mc_buffer_report {
  // Bytes of the arena; 0 if there is none.
  uint64_t arena_capacity_bytes;
  // Bytes that the arena has handed out.
  uint64_t arena_reserved_bytes;
  // Requests that found the arena full and got a mapping of their own.
  uint64_t arena_fallbacks;
  // Buffers from the arena that were freed; their memory stays with the arena.
  uint64_t arena_frees;
  // Mappings made.
  uint64_t direct_buffers;
  // Buffers that were not freed yet.
  uint64_t live_buffers;
} mc_buffer_report;

// What an offset allocator manages and how it chooses among holes.
//
// `mc_offset_options_default` fills in all fields.
typedef struct mc_offset_options {
  // Address of the first byte of the range; added to offsets where addresses are returned. The
  // memory is never touched and need not be this machine's.
  uint64_t base;
  // Bytes of the range, a multiple of the granule, above 0.
  uint64_t capacity;
  // Bytes to whose multiples requests are charged and placed; a power of two.
  uint64_t granule;
  // One of the `MC_FIT_` constants.
  uint32_t fit;
  // Holes that `MC_FIT_GOOD` looks at in a bin, at least 1; 0 for the other fits.
  uint32_t probes;
  // The most allocations that may be live at once; 0 for no limit.
  uint32_t max_allocations;
  // Must be 0.
  uint32_t reserved;
} mc_offset_options;

// Names an offset allocator. A value with `id` 0 names none.
//
// Copies name the same allocator; `mc_offset_destroy` makes all of them stale.
typedef struct mc_offset {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_offset;

// One allocation: where it is, how much was asked for, and the proof that it is live.
//
// Plain data that may be copied. Freeing one copy makes all of them stale.
typedef struct mc_token {
  // Offset of the first byte from the base of the allocator.
  uint64_t offset;
  // Bytes asked for.
  uint64_t size;
  // The library's.
  uint64_t serial;
  // The library's.
  uint64_t check;
} mc_token;

// The sums of one moment.
typedef struct mc_offset_report {
  // Address of the first byte, as in the options.
  uint64_t base;
  // Bytes of the range.
  uint64_t capacity;
  // Bytes asked for by the live allocations.
  uint64_t live_bytes;
  // Bytes that the live allocations take, rounding included.
  uint64_t charged_bytes;
  // Bytes in all holes.
  uint64_t free_bytes;
  // Bytes of the largest hole, exactly.
  uint64_t largest_hole;
  // Live allocations.
  uint64_t allocation_count;
  // Holes.
  uint64_t hole_count;
  // Heap bytes of the allocator's tables.
  uint64_t metadata_bytes;
} mc_offset_report;

// Holes of about one size.
typedef struct mc_region {
  // The smallest size counted here, in bytes.
  uint64_t size;
  // Holes from this size up to the next region's.
  uint64_t count;
} mc_region;

// The holes counted by size: eight regions to a doubling, from 0 on.
typedef struct mc_regions {
  // The regions, the smallest size first.
  struct mc_region regions[256];
} mc_regions;

// A live allocation as a report or a list to restore from names it: without proof, so it frees
// nothing.
typedef struct mc_block {
  // Offset of the first byte from the base.
  uint64_t offset;
  // Bytes asked for.
  uint64_t size;
  // A number that no other live allocation of the allocator has; not looked at in a list to
  // restore from.
  uint64_t node;
} mc_block;

// An allocation with one owner, as a class wraps it. Empty iff `size` is 0.
//
// It may be moved to another place as bytes are, but of two copies only one may be used again.
// Set it to zero, or let the library write it, before it is used.
typedef struct mc_owned {
  // Offset of the first byte from the base of the allocator; `mc_owned_address` adds the two.
  uint64_t offset;
  // Bytes asked for.
  uint64_t size;
  // The library's.
  uint64_t handle[2];
} mc_owned;

// Names an allocator of slots. A value with `id` 0 names none.
//
// Copies name the same allocator; `mc_slots_destroy` makes all of them stale.
typedef struct mc_slots {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_slots;

// What an allocator of slots has.
typedef struct mc_slots_report {
  // Bytes of one slot; slot `i` begins at offset `i * slot_bytes`.
  uint64_t slot_bytes;
  // Slots, live and free.
  uint32_t slot_count;
  // Slots that are live, or promised to calls in progress.
  uint32_t live_count;
  // Memory of the allocator itself, in bytes.
  uint64_t metadata_bytes;
} mc_slots_report;

// Names a pool. A value with `id` 0 names none.
//
// Copies name the same pool; `mc_pool_destroy` makes all of them stale.
typedef struct mc_pool {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_pool;

// What a pool is.
typedef struct mc_pool_report {
  // First byte of the pool.
  void *address;
  // Bytes of the pool.
  uint64_t bytes;
  // Bytes of the pages that back it.
  uint64_t page_bytes;
  // The incarnation of the bytes, which rises whenever they are lost; 0 for a pool without a file.
  uint64_t epoch;
  // One of the `MC_TIER_` constants: the pages obtained.
  uint32_t tier;
  // 1 if the bytes are those that an earlier pool has left in the file, 0 otherwise.
  uint32_t is_kept;
} mc_pool_report;

// The identity of a segment, unique among all segments of a store: a number of 128 bits.
typedef struct mc_segment_id {
  // Its upper 64 bits.
  uint64_t high;
  // Its lower 64 bits.
  uint64_t low;
} mc_segment_id;

// What a segment is: a range of memory that objects are placed in.
//
// `mc_segment_options_default` fills in all fields.
typedef struct mc_segment_options {
  // The library's: what `mc_segment_options_default` wrote.
  size_t struct_bytes;
  // The identity.
  struct mc_segment_id id;
  // The name; two replicas of an object are never under the same. Null makes one of the id.
  const char *name;
  // The host whose memory it is; null if that is not known.
  const char *host;
  // Where a transport reaches the segment; address ranges on one endpoint must not overlap. Null makes
  // one of name and id.
  const char *endpoint;
  // How a transport reaches it; null is `tcp`.
  const char *protocol;
  // Address of the first byte, from which descriptors count: that of the memory, if addresses are to
  // be pointers in this process.
  uint64_t base;
  // Bytes.
  uint64_t size;
  // The incarnation of the memory, which its owner counts up when the bytes in it are lost. One above
  // that of a segment mounted under the id replaces it. 0 takes that of the memory's file; memory
  // without one gets, in a store with a directory, that of the segment mounted under the id, or else a
  // new one, as its bytes end with the process.
  uint64_t epoch;
  // The memory that the library reads and writes; with `id` 0, that of another host.
  struct mc_pool memory;
  // Where in the memory the segment begins, in bytes.
  uint64_t memory_start;
  // Bytes to whose multiples objects are charged and placed; a power of two that divides base and
  // size.
  uint64_t granule;
  // One of the `MC_FIT_` constants.
  uint32_t fit;
  // As in `mc_offset_options`.
  uint32_t probes;
  // The most pieces of objects that may be live at once; 0 for no limit.
  uint32_t max_allocations;
  // Must be 0.
  uint32_t reserved;
  // The most bytes that a device registers at once, which no object straddles; 0 for no limit.
  uint64_t registration_bytes_max;
  // Registrations are cut at multiples of this power of two; not looked at without a limit.
  uint64_t registration_align;
} mc_segment_options;

// One piece of a replica.
typedef struct mc_extent {
  // Address of the first byte.
  uint64_t address;
  // Bytes.
  uint64_t size;
} mc_extent;

// Where a replica of an object is, or one part of it.
typedef struct mc_descriptor {
  // The segment.
  struct mc_segment_id segment;
  // The incarnation of the segment's memory that has the bytes.
  uint64_t epoch;
  // Address of the first byte: the base of the segment and what lies before it.
  uint64_t address;
  // Bytes in all pieces.
  uint64_t size;
  // The segment's protocol.
  const char *protocol;
  // The segment's endpoint.
  const char *endpoint;
  // The pieces in the order of the bytes; nearly always one.
  const struct mc_extent *extents;
  // How many pieces there are.
  size_t extent_count;
} mc_descriptor;

// A function that copies `bytes` bytes of a replica, from the byte `offset` of it on, to the same offset
// of another place; `true` once readers of the new place find them there. What the descriptors point to
// is valid during the call.
//
// It is called without a lock. It must not throw.
typedef bool (*mc_copy_callback)(void *context,
                                 const struct mc_descriptor *from,
                                 const struct mc_descriptor *to,
                                 uint64_t offset,
                                 uint64_t bytes);

// A function that tells the time in nanoseconds since some fixed moment, as where a test turns the
// clock by hand. Steps back count for nothing. It must not throw.
typedef uint64_t (*mc_clock_callback)(void *context);

// Limits and rules of a store.
//
// `mc_store_options_default` fills in all fields.
typedef struct mc_store_options {
  // The library's: what `mc_store_options_default` wrote.
  size_t struct_bytes;
  // One of the `MC_POLICY_` constants: who is worth least.
  uint32_t policy;
  // One of the `MC_EVICT_` constants: how the policy's order becomes a hole.
  uint32_t eviction;
  // One of the `MC_STRATEGY_` constants: which segment is given an object.
  uint32_t strategy;
  // One of the `MC_DURABLE_` constants, for stores with a directory.
  uint32_t durability;
  // 1 to take a checksum of each object's bytes at its commit and compare it where they are read, 0
  // not to.
  uint32_t has_checksums;
  // The most pieces of one part of an object, at least 1.
  uint32_t extents_max;
  // When puts make the live bytes exceed this percentage of the memory, objects leave until
  // `low_percent` is reached; 0 in both to wait until there is no room.
  uint32_t high_percent;
  // Below `high_percent`.
  uint32_t low_percent;
  // The most that `keep_until_seconds` of puts keeps, as a percentage of the memory.
  uint32_t keep_percent;
  // Must be 0.
  uint32_t reserved;
  // What the random choices of strategies follow from.
  uint64_t seed;
  // The most bytes of one replica of an object.
  uint64_t object_bytes_max;
  // The most bytes of a key.
  uint64_t key_bytes_max;
  // The most blocks that the search for one hole looks at.
  uint64_t search_blocks_max;
  // Bytes that a put may move for each that it stores, so that less leaves; 0 moves nothing.
  double moved_per_placed;
  // The most bytes that one put may move.
  uint64_t moved_bytes_max;
  // The longest time of a timed lease.
  double lease_max_seconds;
  // The time that a put has until its commit, unless it says so itself.
  double put_deadline_seconds;
  // How long after its deadline the space of a put stays taken, as its writer may not know.
  double put_margin_seconds;
  // Bytes of each file of the journal.
  uint64_t journal_file_bytes;
  // The least bytes of records after which the journal is compacted.
  uint64_t journal_compact_bytes;
  // Copies what moves in memory that this process does not have; null leaves it where it is. Any
  // thread that uses the store may call it, several at once.
  mc_copy_callback copy;
  // The first argument of `copy`.
  void *copy_context;
  // The time that leases and deadlines are counted in; null is that of the system. Any thread that
  // uses the store may call it.
  mc_clock_callback clock;
  // The argument of `clock`.
  void *clock_context;
} mc_store_options;

// Names an object store. A value with `id` 0 names none.
//
// Copies name the same store; `mc_store_destroy` makes all of them stale.
typedef struct mc_store {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_store;

// The bytes that name an object. They are copied where they are kept.
typedef struct mc_key {
  // First byte; may be null if there are none.
  const void *start;
  // How many bytes there are.
  size_t bytes;
} mc_key;

// A function that is told keys, one with each call. They are valid during the call.
//
// It is called by the thread that passed it, without a lock, and may use the library. It must not
// throw.
typedef void (*mc_key_visitor)(void *context, struct mc_key key);

// A function that is told texts, one with each call. They are valid during the call. It must not throw.
typedef void (*mc_text_visitor)(void *context, const char *text);

// A function that is told objects with fewer replicas than their puts asked for, one with each call: how
// many can be read, 0 for an object that an unmount has lost, and how many were asked for, 0 where that is
// not known any more. It is called without a lock, and may use the library. It must not throw.
typedef void (*mc_replica_visitor)(void *context,
                                   struct mc_key key,
                                   uint32_t readable,
                                   uint32_t wanted);

// A mounted segment at a glance.
typedef struct mc_segment_report {
  // The identity.
  struct mc_segment_id id;
  // The incarnation of its memory.
  uint64_t epoch;
  // The name.
  const char *name;
  // The host; empty if it is not known.
  const char *host;
  // Bytes in all.
  uint64_t capacity;
  // Free bytes.
  uint64_t free_bytes;
  // Bytes of the largest hole, or a few more.
  uint64_t largest_hole;
  // Bytes of all objects and puts in it, as they were asked for.
  uint64_t placed_bytes;
  // One of the `MC_SEGMENT_` constants.
  uint32_t state;
  // 0.
  uint32_t reserved;
} mc_segment_report;

// A function that is told segments, one with each call. What `segment` points to is valid during the
// call. It is called without a lock, and may use the library. It must not throw.
typedef void (*mc_segment_visitor)(void *context, const struct mc_segment_report *segment);

// What moving the objects of a segment did.
typedef struct mc_move_report {
  // Replicas that are elsewhere.
  uint64_t replicas;
  // Their bytes.
  uint64_t bytes;
  // Objects that still have a replica in the segment.
  uint64_t left;
} mc_move_report;

// What giving up the end of a segment took.
typedef struct mc_shrink_report {
  // Replicas that lay there and are elsewhere.
  uint64_t moved_replicas;
  // Their bytes.
  uint64_t moved_bytes;
  // Objects that left, wherever they lay.
  uint64_t evicted_objects;
  // Their bytes.
  uint64_t evicted_bytes;
  // Bytes of the pages that the system has back.
  uint64_t released_bytes;
} mc_shrink_report;

// Names a thread that compacts a store. A value with `id` 0 names none.
//
// Copies name the same thread; `mc_idle_compactor_stop` makes all of them stale.
typedef struct mc_idle_compactor {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_idle_compactor;

// What an object needs, for as long as it lives.
//
// `mc_put_options_default` fills in all fields.
typedef struct mc_put_options {
  // The library's: what `mc_put_options_default` wrote.
  size_t struct_bytes;
  // Bytes of each replica, if it is of one part.
  uint64_t size;
  // Bytes of each part, for an object of `part_count` parts that are all stored or none is; null for
  // one of `size` bytes.
  const uint64_t *parts;
  // How many parts there are; 0 for an object of `size` bytes.
  size_t part_count;
  // A power of two, in bytes: all pieces and parts begin at addresses that are multiples of it.
  uint64_t align;
  // Pieces that a replica may be in, at least 1.
  uint32_t extents_max;
  // How many copies.
  uint32_t replicas;
  // How few copies are enough; 0 for all of them.
  uint32_t replicas_least;
  // Objects of a lower one leave before those of a higher one; from -128 to 127.
  int32_t priority;
  // The writer's host; null if it is not known.
  const char *host;
  // The tenant whose object it is; null for none.
  const char *tenant;
  // Key of the object before this one in its prompt, which leaves after it; none if it starts at null.
  struct mc_key parent;
  // Segments to be tried first, in this order.
  const struct mc_segment_id *preferred;
  // How many there are.
  size_t preferred_count;
  // Segments that must not be used, now or later.
  const struct mc_segment_id *excluded;
  // How many there are.
  size_t excluded_count;
  // The time to compute the object again; 0 if it is not known.
  double cost_seconds;
  // A time of `mc_store_now` until which the object leaves only if nothing else can; 0 for none.
  double keep_until_seconds;
  // The time until the commit; 0 for that of the options of the store.
  double deadline_seconds;
} mc_put_options;

// Names a put. A value with `id` 0 names none.
//
// Copies name the same put; `mc_put_commit` and `mc_put_abort` make all of them stale.
typedef struct mc_put {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_put;

// What a put has.
typedef struct mc_put_report {
  // The segment of the first replica.
  struct mc_segment_id segment;
  // The incarnation of its memory.
  uint64_t epoch;
  // Address of the first byte: for an object of one part in one piece, all there is to know.
  uint64_t address;
  // How many replicas there are; 0 once the deadline has passed.
  uint64_t replicas;
  // The time until the deadline.
  double left_seconds;
} mc_put_report;

// A function that is told where replicas are, one of them, or a part of one, with each call. What
// `descriptor` points to is valid during the call.
//
// It is called by the thread that passed it, without a lock, and may use the library. It must not
// throw.
typedef void (*mc_descriptor_visitor)(void *context, const struct mc_descriptor *descriptor);

// A put that is neither committed nor given back.
typedef struct mc_in_flight_report {
  // Its key.
  struct mc_key key;
  // The time since the put.
  double age_seconds;
  // The time until its deadline; 0 if that has passed.
  double left_seconds;
  // Where its replicas are, one descriptor for each with all of its parts.
  const struct mc_descriptor *replicas;
  // How many there are; 0 at a moment when they are written here, or are still looked for.
  size_t replica_count;
} mc_in_flight_report;

// A function that is told puts, one with each call. What `put` points to is valid during the call. It is
// called without a lock, and may use the library. It must not throw.
typedef void (*mc_in_flight_visitor)(void *context, const struct mc_in_flight_report *put);

// Names space without a key. A value with `id` 0 names none.
//
// Copies name the same space; `mc_placement_free` makes all of them stale.
typedef struct mc_placement {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_placement;

// One object of a prompt.
typedef struct mc_chain_item {
  // Its key.
  struct mc_key key;
  // Its bytes.
  uint64_t size;
} mc_chain_item;

// Names the puts of a prompt. A value with `id` 0 names none.
//
// Copies name the same; `mc_chain_commit` and `mc_chain_abort` make all of them stale.
typedef struct mc_chain {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_chain;

// What came of the objects of a prompt.
typedef struct mc_chain_report {
  // Objects from the first on that are stored or have space.
  uint64_t count;
  // Of these, stored before.
  uint64_t found;
} mc_chain_report;

// Names a lease. A value with `id` 0 names none.
//
// Copies name the same lease; `mc_lease_release` makes all of them stale.
typedef struct mc_lease {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_lease;

// What is leased.
typedef struct mc_lease_report {
  // Bytes of the object: those of all its parts.
  uint64_t size;
  // The segment of the first replica that is readable.
  struct mc_segment_id segment;
  // The incarnation of its memory.
  uint64_t epoch;
  // Address of the first byte there: for an object of one part in one piece, all there is to know.
  uint64_t address;
  // How many parts the object has.
  uint64_t parts;
  // How many replicas are readable. If there are none, `address` is 0.
  uint64_t readable;
  // CRC-32 of the bytes, if `has_checksum` is 1.
  uint32_t checksum;
  // 1 if a checksum was taken at the commit or said by the writer, 0 otherwise.
  uint32_t has_checksum;
} mc_lease_report;

// Names a queue of events. A value with `id` 0 names none.
//
// Copies name the same queue; `mc_events_destroy` makes all of them stale.
typedef struct mc_events {
  // A number that names nothing else in this process, ever.
  uint64_t id;
} mc_events;

// Something that happened to an object.
typedef struct mc_event {
  // Its key.
  struct mc_key key;
  // Bytes of all its replicas.
  uint64_t bytes;
  // One of the `MC_EVENT_` constants.
  uint32_t kind;
  // One of the `MC_CAUSE_` constants.
  uint32_t cause;
  // The segment that a replica left by a move.
  struct mc_segment_id from;
  // The segment that it is in.
  struct mc_segment_id to;
} mc_event;

// A function that is told events, one with each call. What `event` points to is valid during the call.
// It is called without a lock, and may use the library. It must not throw.
typedef void (*mc_event_visitor)(void *context, const struct mc_event *event);

// A number of objects or replicas and their bytes.
typedef struct mc_amount {
  // How many.
  uint64_t objects;
  // Bytes of their replicas.
  uint64_t bytes;
} mc_amount;

// Refused puts by cause.
typedef struct mc_refusal_report {
  // The key was stored or being put.
  uint64_t key_taken;
  // The object or its key is larger than the options allow.
  uint64_t too_large;
  // There is no room, and evicting what may go would not make it.
  uint64_t no_space;
  // A tenant would have had more bytes than it may.
  uint64_t quota;
  // No segment that is open could ever take the request, or it makes no sense.
  uint64_t impossible;
  // The journal takes no more records.
  uint64_t journal;
} mc_refusal_report;

// Times by powers of two.
typedef struct mc_times {
  // How many times were below 2^i hundredths of a second and not counted before, for each i.
  uint64_t counts[32];
} mc_times;

// What a store holds and has done so far. The names of fields are those in Rust and Python.
typedef struct mc_store_report {
  // Objects stored at the moment.
  uint64_t objects;
  // Of these, pinned.
  uint64_t pinned;
  // Puts that are neither committed nor given back.
  uint64_t in_flight;
  // Detached or moved objects and late puts whose space is still taken.
  uint64_t lingering;
  // Bytes that all replicas of the objects take.
  uint64_t live_bytes;
  // Of these, without what lies between the parts of objects.
  uint64_t useful_bytes;
  // Reads that found their object.
  uint64_t hits;
  // Reads that did not.
  uint64_t misses;
  // Puts that were committed.
  uint64_t committed;
  // Bytes of their replicas.
  uint64_t committed_bytes;
  // Puts that were given back.
  uint64_t abandoned;
  // Puts whose deadline passed.
  uint64_t expired;
  // Replicas that were moved or added.
  struct mc_amount moved;
  // Moves that were given up.
  struct mc_amount moves_ended;
  // Objects that the owner removed.
  uint64_t removed;
  // Puts that were refused.
  struct mc_refusal_report refused;
  // Evictions to make room for a put.
  struct mc_amount on_demand;
  // Evictions because a watermark was passed.
  struct mc_amount by_watermark;
  // Evictions because a segment shrank.
  struct mc_amount by_shrinking;
  // Objects that were dropped because all of their segments went away.
  struct mc_amount unreadable;
  // Objects that were dropped because of their checksums.
  struct mc_amount corrupt;
  // Bytes placed by the puts that had to let objects go or move them.
  uint64_t placed_bytes_on_demand;
  // From commit to leaving.
  struct mc_times lifetime;
  // From the last use to leaving by eviction.
  struct mc_times idle_before_eviction;
  // From one use of an object to the next.
  struct mc_times reuse_gap;
  // Bytes of all segments.
  uint64_t capacity_bytes;
  // Bytes of all objects and puts in them, as they were asked for.
  uint64_t placed_bytes;
  // Bytes in holes.
  uint64_t free_bytes;
  // Bytes of the largest hole.
  uint64_t largest_hole;
} mc_store_report;

// What a tenant has, and what became of it.
typedef struct mc_tenant_report {
  // Its name.
  const char *name;
  // Bytes that it is sure of.
  uint64_t guaranteed_bytes;
  // The most bytes that it may have, or `MC_NO_LIMIT`.
  uint64_t most_bytes;
  // Bytes that it has, of objects and puts.
  uint64_t used_bytes;
  // Its objects.
  struct mc_amount stored;
  // Its objects that were evicted.
  struct mc_amount evicted;
  // Its puts that were refused because of its limit.
  uint64_t refused;
} mc_tenant_report;

// A function that is told tenants, one with each call. What `tenant` points to is valid during the call.
// It is called without a lock, and may use the library. It must not throw.
typedef void (*mc_tenant_visitor)(void *context, const struct mc_tenant_report *tenant);

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the version of the library, such as `0.2.0`. The text is constant. Any thread may call
// this.
const char *mc_version(void);

// Returns the name of a status, such as `MC_STATUS_NO_SPACE`, or `unknown status` for any other
// number.
//
// The text is constant. Any thread may call this.
const char *mc_status_name(uint32_t status);

// Returns why the last call of this thread that failed did so, or an empty text if none has.
//
// The text belongs to the library and is valid until the next call of this thread fails. Any
// thread may call this; each has a message of its own.
const char *mc_error_message(void);

// Tells the numbers of the refusal of which the message is: how much was asked for and how much there
// is. They are 0 if it has none.
//
// Any thread may call this; each has numbers of its own. Fails with `MC_STATUS_INVALID_ARGUMENT` for
// null.
enum mc_status mc_error_figures(struct mc_figures *out);

// Has `callback` told what the library has to say, up to a level, one of the `MC_LOG_` constants; no
// longer if it is null. Without a callback, warnings about the environment of buffers go to standard
// error and the rest nowhere.
//
// Any thread may call this; calls of the callback before may still be under way when it returns.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for an unknown level.
//
// # Safety
//
// Any thread may call `callback` with `context`, for as long as the process runs or until another one
// was set and its last call has ended.
enum mc_status mc_log_set(mc_log_callback callback,
                          void *context,
                          uint32_t level_max);

// Returns the defaults for a pool of `pool_bytes`: alignment 64, huge pages preferred, populated
// at once, placed by the system.
//
// Any thread may call this.
struct mc_arena_options mc_arena_options_default(uint64_t pool_bytes);

// Maps a pool and makes an arena over it.
//
// The caller owns the handle and ends it with `mc_arena_destroy`. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for options that no arena can have, and
// `MC_STATUS_SYSTEM` if the system refuses, as when the pages required are not there; nothing
// stays mapped then.
//
// # Safety
//
// Unless `numa_nodes` of the options is null, `numa_node_count` numbers begin there, and nobody
// writes them during the call.
enum mc_status mc_arena_create(const struct mc_arena_options *options, struct mc_arena *out);

// Makes the arena that the environment describes.
//
// `MC_MMAP_ARENA_POOL_SIZE` gives its size, `MC_STORE_USE_HUGEPAGE` and `MC_STORE_HUGEPAGE_SIZE`
// its pages, `MC_DISABLE_MMAP_ARENA` switches it off. Otherwise as `mc_arena_create`.
//
// Fails with `MC_STATUS_NOT_CONFIGURED` if no arena is asked for or it is switched off, and with
// `MC_STATUS_INVALID_ENVIRONMENT` for a value that is not accepted.
enum mc_status mc_arena_create_from_environment(struct mc_arena *out);

// Ends an arena and unmaps its memory: whatever it handed out must not be touched any more.
//
// Any thread may call this at any time; calls in progress finish first. Fails with
// `MC_STATUS_STALE_HANDLE`, and with `MC_STATUS_OTHER_PROCESS` in a child for an arena of its parent,
// of which nothing is unmapped then.
enum mc_status mc_arena_destroy(struct mc_arena arena);

// Hands out `size` zeroed bytes at an address that is a multiple of `align`, a power of two, and
// of the arena's alignment; 0 means the arena's.
//
// The bytes belong to the caller until the arena is destroyed; they are not given back one by one.
// Any thread may call this; it takes no lock.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is not a power of two,
// `MC_STATUS_TOO_LARGE`, `MC_STATUS_NO_SPACE` if not so much is left, `MC_STATUS_STALE_HANDLE`, or
// `MC_STATUS_OTHER_PROCESS` in a child of the process that made the arena; `out` is not written then.
enum mc_status mc_arena_allocate(struct mc_arena arena,
                                 size_t size,
                                 size_t align,
                                 void **out);

// Backs a part of the arena's pool with memory now: `size` bytes from `offset` bytes into the pool on,
// in whole pages. What has been written there stays. For arenas that are populated lazily.
//
// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for bytes that are not in the
// pool, `MC_STATUS_SYSTEM` if there is not so much memory, before the system would end a process for
// it, `MC_STATUS_STALE_HANDLE`, or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_arena_populate(struct mc_arena arena,
                                 size_t offset,
                                 size_t size);

// Says whether an address lies in the arena's pool, handed out or not; none does in a child of the
// process that made the arena. Any thread may call this.
bool mc_arena_owns(struct mc_arena arena, const void *address);

// Tells what the arena is and has handed out. Any thread may call this. Fails with
// `MC_STATUS_STALE_HANDLE`, and `MC_STATUS_OTHER_PROCESS` in a child of the process that made it.
enum mc_status mc_arena_describe(struct mc_arena arena, struct mc_arena_report *out);

// Returns `size` zeroed bytes at an address that is a multiple of `align`, a power of two, and of
// 64 at least; 0 means 64.
//
// The first call sets the arena up, as the environment describes it; see
// `mc_arena_create_from_environment`. A set-up that failed is tried again by the next call. The
// caller owns the buffer and ends it with `mc_buffer_free`. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is not a power of two,
// `MC_STATUS_INVALID_ENVIRONMENT`, `MC_STATUS_SYSTEM`, and `MC_STATUS_OTHER_PROCESS` in a child whose
// parent has set the arena up; `out` is not written then.
enum mc_status mc_buffer_allocate(size_t size,
                                  size_t align,
                                  void **out);

// As `mc_buffer_allocate`, for a process that would rather run without its arena than not at all: if
// the environment has a value that is not accepted, or its arena cannot be mapped, each buffer is a
// mapping of its own in ordinary pages.
//
// The first time, the callback of `mc_log_set` is told why, or standard error if there is none. Fails
// as `mc_buffer_allocate`, but not with `MC_STATUS_INVALID_ENVIRONMENT`.
enum mc_status mc_buffer_allocate_or_plain(size_t size,
                                           size_t align,
                                           void **out);

// Returns `size` zeroed bytes in a mapping of their own, one contiguous part on each of the listed
// NUMA nodes, in their order; otherwise as `mc_buffer_allocate`.
//
// No byte is lost where the size does not divide: pages that are left over go to the first nodes.
// Each part has its memory when the call returns.
//
// Fails as `mc_buffer_allocate`, and with `MC_STATUS_INVALID_ARGUMENT` for an empty list or a node
// that the system does not have.
//
// # Safety
//
// `node_count` numbers begin at `nodes`, and nobody writes them during the call.
enum mc_status mc_buffer_allocate_over_nodes(size_t size,
                                             size_t align,
                                             const uint32_t *nodes,
                                             size_t node_count,
                                             void **out);

// Ends a buffer: a mapping of its own is unmapped; what came from the arena stays there. Null is
// left alone.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_LIVE` for an address at which no buffer
// begins, and with `MC_STATUS_OTHER_PROCESS` in a child for a buffer of its parent: it stays the
// parent's, and whatever the child has at that address the child's.
enum mc_status mc_buffer_free(void *address);

// Says whether an address lies in the arena of the process. Any thread may call this.
bool mc_buffer_is_from_arena(const void *address);

// Tells what the buffers of the process have done. Any thread may call this.
enum mc_status mc_buffer_describe(struct mc_buffer_report *out);

// Returns the defaults for `capacity` bytes at `base`: byte granule, adaptive fit, no limit.
//
// Any thread may call this.
struct mc_offset_options mc_offset_options_default(uint64_t base, uint64_t capacity);

// Makes an offset allocator; all of its capacity is one hole.
//
// The caller owns the handle and ends it with `mc_offset_destroy`. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for options that no allocator can have, and
// `MC_STATUS_OUT_OF_MEMORY`.
enum mc_status mc_offset_create(const struct mc_offset_options *options, struct mc_offset *out);

// Ends an allocator; its handle and all tokens are stale from then on.
//
// Any thread may call this at any time: calls in progress finish first, and
// `mc_owned`s that outlive the allocator are harmless.
//
// Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_destroy(struct mc_offset allocator);

// Says whether the handle names an allocator that was not destroyed. Any thread may call this.
bool mc_offset_is_alive(struct mc_offset allocator);

// Finds a place for `size` bytes.
//
// The caller owns the allocation and frees it with `mc_offset_free`. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes, `MC_STATUS_TOO_LARGE`,
// `MC_STATUS_NO_SPACE` if no hole fits, `MC_STATUS_LIMIT_REACHED`, `MC_STATUS_OUT_OF_MEMORY`, or
// `MC_STATUS_STALE_HANDLE`; nothing changed then, `out` included.
enum mc_status mc_offset_allocate(struct mc_offset allocator, uint64_t size, struct mc_token *out);

// Finds a place for `size` bytes whose address, the base included, is a multiple of `align`, a
// power of two.
//
// As `mc_offset_allocate`; fails with `MC_STATUS_INVALID_ARGUMENT` also if the base is not a
// multiple of `align`.
enum mc_status mc_offset_allocate_aligned(struct mc_offset allocator,
                                          uint64_t size,
                                          uint64_t align,
                                          struct mc_token *out);

// Allocates `size` bytes at exactly `offset` from the base.
//
// As `mc_offset_allocate`; fails with `MC_STATUS_OCCUPIED` if an allocation is in the way, and
// with `MC_STATUS_INVALID_ARGUMENT` for a place outside the capacity or off the granule.
enum mc_status mc_offset_allocate_at(struct mc_offset allocator,
                                     uint64_t offset,
                                     uint64_t size,
                                     struct mc_token *out);

// Frees the allocation of a token, which is stale from then on. Any thread may call this.
//
// Fails with `MC_STATUS_NOT_LIVE` for a token that was freed before, is another allocator's, or
// was changed, and with `MC_STATUS_STALE_HANDLE`; nothing changed then.
enum mc_status mc_offset_free(struct mc_offset allocator, struct mc_token token);

// Says whether a token names a live allocation of the allocator; one whose handle is stale has
// none. Any thread may call this. Other threads that use the allocator wait meanwhile.
bool mc_offset_is_live(struct mc_offset allocator, struct mc_token token);

// Tells all sums at once. Other threads that use the allocator wait meanwhile.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_describe(struct mc_offset allocator, struct mc_offset_report *out);

// Tells a number of bytes that no request can exceed and succeed: a request above it need not be
// made.
//
// Takes no lock while no thread keeps freed blocks of `mc_owned`s back; otherwise it
// merges those first. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_largest_hole(struct mc_offset allocator, uint64_t *out);

// Tells the largest hole as the last thread to change the holes left it; freed blocks that threads
// keep back are not in it. Reads one number, never takes a lock: for choosing among allocators.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_recent_largest_hole(struct mc_offset allocator, uint64_t *out);

// Tells how many bytes a request of `size` takes from the holes; 0 if there is no such request,
// because `size` is 0 or exceeds the capacity.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_normalized_size(struct mc_offset allocator, uint64_t size, uint64_t *out);

// Counts the holes by size, in time linear in their number. Other threads that use the allocator
// wait meanwhile.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_regions(struct mc_offset allocator, struct mc_regions *out);

// Writes the live allocations in address order to `blocks`, which has room for `room` of them, and
// their number to `count`.
//
// Nothing is written to `blocks` if they are more than `room`: the call fails with
// `MC_STATUS_ARRAY_TOO_SHORT`, and may be made again with room for `count`. `blocks` may be null
// if `room` is 0. Any thread may call this; other threads that use the allocator wait meanwhile.
// Fails also with `MC_STATUS_STALE_HANDLE`.
//
// # Safety
//
// Room for `room` blocks begins at `blocks`, and nobody else uses it during the call.
enum mc_status mc_offset_live(struct mc_offset allocator,
                              struct mc_block *blocks,
                              size_t room,
                              size_t *count);

// Writes the state of an allocator to `bytes`, which has room for `room` of them, and their number
// to `length`.
//
// The bytes are versioned, checksummed, the same on every machine, and those of `Snapshot` in the
// Rust crate `mc-offset`; the base is not in them. Nothing is written to `bytes` if they are more
// than `room`: the call fails with `MC_STATUS_ARRAY_TOO_SHORT`, and may be made again with room
// for `length`. `bytes` may be null if `room` is 0.
//
// Any thread may call this; others that use the allocator wait meanwhile. Fails also with
// `MC_STATUS_STALE_HANDLE`.
//
// # Safety
//
// Room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
enum mc_status mc_offset_snapshot(struct mc_offset allocator,
                                  uint8_t *bytes,
                                  size_t room,
                                  size_t *length);

// Makes an allocator over `base` in the state that `length` bytes of `mc_offset_snapshot`
// describe.
//
// Its allocations have no owner: `mc_offset_live` lists them and `mc_offset_claim` gives each a
// token. The caller owns the handle. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_STATE` for bytes that are not exactly a snapshot,
// `MC_STATUS_INVALID_ARGUMENT` for a base that is too high, and `MC_STATUS_OUT_OF_MEMORY`.
//
// # Safety
//
// `length` bytes begin at `bytes`, and nobody writes them during the call.
enum mc_status mc_offset_restore(uint64_t base,
                                 const uint8_t *bytes,
                                 size_t length,
                                 struct mc_offset *out);

// Makes an allocator in which the `count` elements of `blocks`, in any order, are live and the
// rest is free.
//
// `tokens` has room for `count` and gets their tokens in the order of the list. If it is null the
// allocations have no owner, as after `mc_offset_restore`. The caller owns the handle. Any thread
// may call this.
//
// Fails with `MC_STATUS_INVALID_STATE` for a list that describes no allocator, whose message names
// the element, and as `mc_offset_create`.
//
// # Safety
//
// `count` blocks begin at `blocks`, which nobody writes during the call; unless `tokens` is null,
// room for `count` tokens begins there, and nobody else uses it during the call.
enum mc_status mc_offset_restore_from(const struct mc_offset_options *options,
                                      const struct mc_block *blocks,
                                      size_t count,
                                      struct mc_offset *out,
                                      struct mc_token *tokens);

// Gives a restored allocation an owner: the token that frees it.
//
// `block` is what `mc_offset_live` lists. Any thread may call this.
//
// Fails with `MC_STATUS_NOT_LIVE` unless an allocation of exactly this node, offset and size was
// restored and has no owner yet, and with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_offset_claim(struct mc_offset allocator,
                               struct mc_block block,
                               struct mc_token *out);

// Finds a place for `size` bytes at an address that is a multiple of `align`, a power of two; 0
// and 1 mean any.
//
// The caller owns `out`, whose contents before are not looked at, and ends it with
// `mc_owned_free`. Any thread may call this; sizes that a thread repeats take no lock.
//
// Fails as `mc_offset_allocate` and `mc_offset_allocate_aligned`; `out` is not written then.
//
// # Safety
//
// No `mc_offset_destroy` of `allocator` runs during the call; one that ended before it is an error
// as elsewhere.
enum mc_status mc_owned_allocate(struct mc_offset allocator,
                                 uint64_t size,
                                 uint64_t align,
                                 struct mc_owned *out);

// Allocates `size` bytes at exactly `offset` from the base.
//
// The caller owns `out` as after `mc_owned_allocate`; otherwise as `mc_offset_allocate_at`.
enum mc_status mc_owned_allocate_at(struct mc_offset allocator,
                                    uint64_t offset,
                                    uint64_t size,
                                    struct mc_owned *out);

// Makes an allocator in which the `count` elements of `blocks`, in any order, are live and the
// rest is free, and writes their owners to `owners`, in the order of the list.
//
// The caller owns the handle and all of `owners`. Any thread may call this. Fails as
// `mc_offset_restore_from`; nothing is written then.
//
// # Safety
//
// `count` blocks begin at `blocks`, which nobody writes during the call; room for `count` owners
// begins at `owners`, and nobody else uses it during the call.
enum mc_status mc_owned_restore_from(const struct mc_offset_options *options,
                                     const struct mc_block *blocks,
                                     size_t count,
                                     struct mc_offset *out,
                                     struct mc_owned *owners);

// Gives the restored allocation at `offset` from the base an owner that frees itself, whatever size
// was recorded for it: it gets `size` bytes, or the recorded ones if that is 0.
//
// Bytes behind a smaller size become free; a larger one takes them from the hole behind it. Any
// thread may call this.
//
// Fails with `MC_STATUS_NOT_LIVE` unless an allocation was restored there that has no owner yet,
// `MC_STATUS_NO_SPACE` if the next allocation is in the way of the size, and with
// `MC_STATUS_STALE_HANDLE`; nothing changed then.
enum mc_status mc_owned_adopt(struct mc_offset allocator,
                              uint64_t offset,
                              uint64_t size,
                              struct mc_owned *out);

// Gives a restored allocation an owner that frees itself; otherwise as `mc_offset_claim`.
enum mc_status mc_owned_claim(struct mc_offset allocator,
                              struct mc_block block,
                              struct mc_owned *out);

// Frees an allocation and empties it; an empty one is left as it is. Harmless if the allocator was
// destroyed before.
//
// Any thread may call this, but not two for one allocation. Fails with
// `MC_STATUS_INVALID_ARGUMENT` for null.
//
// # Safety
//
// `owned` is null, set to zero, or was written by the library, and no copy of it was freed.
enum mc_status mc_owned_free(struct mc_owned *owned);

// Returns the address of the first byte, the allocator's base included; 0 for an empty allocation
// and for null. It does not change when the allocator is destroyed.
//
// Any thread may call this.
//
// # Safety
//
// As `mc_owned_is_valid`.
uint64_t mc_owned_address(const struct mc_owned *owned);

// Says whether there is an allocation whose allocator was not destroyed.
//
// Any thread may call this.
//
// # Safety
//
// `owned` is null, set to zero, or was written by the library, and no copy of it was freed.
bool mc_owned_is_valid(const struct mc_owned *owned);

// Says whether there is an allocation and `allocator` made it. No allocation is a destroyed
// allocator's.
//
// Any thread may call this.
//
// # Safety
//
// As `mc_owned_is_valid`.
bool mc_owned_is_of(const struct mc_owned *owned, struct mc_offset allocator);

// Makes an allocator of `slot_count` free slots of `slot_bytes` bytes each, at offsets from 0 on.
//
// The caller owns the handle and ends it with `mc_slots_destroy`. Any thread may call this.
//
// Fails with `MC_STATUS_INVALID_ARGUMENT` if either is 0 or the range passes 2^64 - 1.
enum mc_status mc_slots_create(uint64_t slot_bytes, uint32_t slot_count, struct mc_slots *out);

// Ends an allocator; its handle is stale from then on. Calls in progress finish first.
//
// Any thread may call this at any time. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_slots_destroy(struct mc_slots slots);

// Hands out a free slot; which one is not specified.
//
// The caller owns the slot and gives it back with `mc_slots_free`. Any thread may call this; no
// call waits for another.
//
// Fails with `MC_STATUS_NO_SPACE` if all slots are live, and with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_slots_allocate(struct mc_slots slots, uint32_t *index);

// Hands out slot `index`, as when live slots written down elsewhere are restored.
//
// As `mc_slots_allocate`; fails with `MC_STATUS_OCCUPIED` if the slot is live, and with
// `MC_STATUS_INVALID_ARGUMENT` if there is none of that index.
enum mc_status mc_slots_allocate_at(struct mc_slots slots, uint32_t index);

// Takes a slot back. Any thread may call this.
//
// Fails with `MC_STATUS_NOT_LIVE` if the slot is free or there is none of that index, and with
// `MC_STATUS_STALE_HANDLE`. A slot has no generation: an index that was freed and handed out again
// is the new owner's.
enum mc_status mc_slots_free(struct mc_slots slots, uint32_t index);

// Says whether a slot is live; one that does not exist is not. Any thread may call this.
bool mc_slots_is_live(struct mc_slots slots, uint32_t index);

// Tells what the allocator has. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`.
enum mc_status mc_slots_describe(struct mc_slots slots, struct mc_slots_report *out);

// Writes the live slots in ascending order to `indices`, which has room for `room` of them, and
// their number to `count`.
//
// Nothing is written to `indices` if they are more than `room`: the call fails with
// `MC_STATUS_ARRAY_TOO_SHORT`. `indices` may be null if `room` is 0. Any thread may call this;
// beside other calls in progress each slot is read at a moment of its own. Fails also with
// `MC_STATUS_STALE_HANDLE`.
//
// # Safety
//
// Room for `room` numbers begins at `indices`, and nobody else uses it during the call.
enum mc_status mc_slots_live(struct mc_slots slots, uint32_t *indices, size_t room, size_t *count);

// Maps memory for segments, as the options of an arena say.
//
// With `file`, a path, the bytes are in that file: they are found again after the end of the process,
// however it ended, until the machine goes down. Null is memory that ends with the process. The caller
// owns the handle and ends it with `mc_pool_destroy`. Any thread may call this.
//
// Fails as `mc_arena_create`, also for an empty path, and with `MC_STATUS_SYSTEM` for a file that cannot be
// opened, for example because another pool has it.
//
// # Safety
//
// As `mc_arena_create`; unless `file` is null, it is a text that ends with a zero byte, and nobody
// writes it during the call.
enum mc_status mc_pool_create(const struct mc_arena_options *options,
                              const char *file,
                              struct mc_pool *out);

// Makes a pool of memory that the caller has: a slice of an arena, pages that a driver has pinned.
//
// It is never unmapped. The caller owns the handle and ends it with `mc_pool_destroy`. Any thread may
// call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes, for null, and for bytes that pass the end
// of the address space.
//
// # Safety
//
// As long as the pool, a segment of it, or a put or lease in such a segment is there, `bytes` bytes from
// `address` on are mapped readable and writable, and hold initialized bytes. Nobody writes what belongs
// to an object that is committed.
enum mc_status mc_pool_over(void *address,
                            size_t bytes,
                            struct mc_pool *out);

// Ends a handle. The memory is unmapped once no segment has it any more.
//
// Any thread may call this at any time. Fails with `MC_STATUS_STALE_HANDLE`, and with
// `MC_STATUS_OTHER_PROCESS` in a child of the process that made the pool.
enum mc_status mc_pool_destroy(struct mc_pool pool);

// Tells what a pool is. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE`, and with
// `MC_STATUS_OTHER_PROCESS` in a child of the process that made it.
enum mc_status mc_pool_describe(struct mc_pool pool, struct mc_pool_report *out);

// Returns the defaults for `size` bytes from `base` on: another host's memory of epoch 0, byte granule,
// adaptive fit, no limits.
//
// Any thread may call this.
struct mc_segment_options mc_segment_options_default(struct mc_segment_id id,
                                                     uint64_t base,
                                                     uint64_t size);

// Returns the defaults, which are those of the Rust crate `mc-store`: the policy that tries several, no
// moves, no watermarks, leases of up to an hour, ten minutes for a put.
//
// Any thread may call this.
struct mc_store_options mc_store_options_default(void);

// Makes a store without objects and without segments, which `mc_store_mount` adds.
//
// The caller owns the handle and ends it with `mc_store_destroy`. Any thread may call this. Fails with
// `MC_STATUS_INVALID_ARGUMENT` for options that no store can have.
//
// # Safety
//
// Any thread may call `copy` and `clock` of the options with their contexts, until the store is
// destroyed and its last put is over.
enum mc_status mc_store_create(const struct mc_store_options *options,
                               struct mc_store *out);

// Opens the store of a directory, or begins one, with `segment_count` segments, which are mounted.
//
// Whatever is put, removed, moved or pinned is written to the directory before it counts. After the end
// of the process, at any instant, opening the directory again brings back every object that was
// committed and has not left, if its segment is among those that are passed, with the epoch that it had:
// a segment of a pool in a file has it by itself. A segment that the directory knows and that is not
// passed is gone; `mc_store_lost` tells the keys of the objects that went with it.
//
// The caller owns the handle and ends it with `mc_store_destroy`. Any thread may call this. Fails with
// `MC_STATUS_BUSY` for a directory that is open, `MC_STATUS_SYSTEM` for one that cannot be read or made,
// `MC_STATUS_INVALID_STATE` for one of another version, and as `mc_store_create` and `mc_store_mount`.
//
// # Safety
//
// As `mc_store_create` and `mc_store_mount`; `directory` is a text that ends with a zero byte, and
// `segment_count` segments begin at `segments`; nobody writes them during the call.
enum mc_status mc_store_open(const struct mc_store_options *options,
                             const char *directory,
                             const struct mc_segment_options *segments,
                             size_t segment_count,
                             struct mc_store *out);

// Ends a store; its handle is stale from then on. What was in a directory stays there, and may be
// opened again once the last put is over.
//
// Any thread may call this at any time: calls in progress finish first. Leases that outlive the store
// keep their objects; puts can be ended. Fails with `MC_STATUS_STALE_HANDLE`, and with
// `MC_STATUS_OTHER_PROCESS` in a child for a store of its parent.
enum mc_status mc_store_destroy(struct mc_store store);

// Tells `visit` the keys of the objects that the directory had and whose bytes are gone.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_lost(struct mc_store store, mc_key_visitor visit, void *context);

// Tells `visit` what of the directory could not be used, in words; nothing if it was as it was left.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_damage(struct mc_store store,
                               mc_text_visitor visit,
                               void *context);

// Returns when all that was written to the directory survives a power failure.
//
// Any thread may call this. Fails with `MC_STATUS_JOURNAL`, from when on nothing is stored, and as
// `mc_store_lost`.
enum mc_status mc_store_sync(struct mc_store store);

// Returns the time of the store in seconds, for `keep_until_seconds`: that of its clock, or since it was
// made; 0 for a stale handle. Any thread may call this.
double mc_store_now(struct mc_store store);

// Sets how many bytes a tenant is guaranteed, and how many it may have, or `MC_NO_LIMIT`.
//
// Objects of others never take what is guaranteed. What the tenant does not use is lent, and comes back
// when it puts. All guarantees together are at most the bytes of the segments, so mount them before.
//
// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for bytes that cannot be granted,
// `MC_STATUS_JOURNAL`, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed
// then.
//
// # Safety
//
// `name` is a text that ends with a zero byte, and nobody writes it during the call.
enum mc_status mc_store_tenant(struct mc_store store,
                               const char *name,
                               uint64_t guaranteed_bytes,
                               uint64_t bytes_max);

// Checks that all tables of the store agree, while no other call runs: an aid for tests, in time linear
// in the objects.
//
// Fails with `MC_STATUS_INTERNAL` if they do not, which no calls can bring about, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_check_invariants(struct mc_store store);

// Says whether an object is stored under a key, without counting as a use. A stale handle has none.
//
// Any thread may call this.
//
// # Safety
//
// `bytes` of `key` begin at its `start`, and nobody writes them during the call.
bool mc_store_exists(struct mc_store store, struct mc_key key);

// Removes an object, as one of the `MC_REMOVE_` constants says.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_LEASED` or `MC_STATUS_PINNED`,
// and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed then.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_remove(struct mc_store store,
                               struct mc_key key,
                               uint32_t mode);

// Removes several objects, as one of the `MC_REMOVE_` constants says, and writes to `results`, which has
// room for `key_count`, what `mc_store_remove` would have returned for each. Objects that are freed together
// cost less than one by one.
//
// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`; nothing changed then, and `results` were not written.
//
// # Safety
//
// `key_count` keys begin at `keys`, as for `mc_store_exists`; room for as many statuses begins at `results`,
// and nobody else uses it during the call.
enum mc_status mc_store_remove_many(struct mc_store store,
                                    const struct mc_key *keys,
                                    size_t key_count,
                                    uint32_t mode,
                                    enum mc_status *results);

// Keeps an object from leaving until it is unpinned.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_pin(struct mc_store store, struct mc_key key);

// Lets a pinned object leave again, as if it was used now; otherwise as `mc_store_pin`.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_unpin(struct mc_store store, struct mc_key key);

// Ends the timed lease of an object, whoever took it; leases that are held stay.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_STORED` if there was none, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_end_lease(struct mc_store store, struct mc_key key);

// Tells `visit` the keys of all objects, in no order, in time linear in their number.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_keys(struct mc_store store, mc_key_visitor visit, void *context);

// Adds a replica to an object, where the options of its put allow and no segment of the same name has one;
// others leave for it as for a put. It may get more than were asked for. That is no use of the object.
//
// `copy` copies the bytes; null copies within memory of this process. No lock is held meanwhile. Takes the
// time of a put and of the copy. Any thread may call this.
//
// Fails with `MC_STATUS_NOT_STORED`, `MC_STATUS_BUSY` if the object is leased, or was moved or removed
// meanwhile, `MC_STATUS_NO_SPACE` if all that may leave would not make room, `MC_STATUS_TOO_LARGE` if no
// segment of another name could ever take it, `MC_STATUS_QUOTA_EXCEEDED`, `MC_STATUS_COPY_FAILED` if
// `copy` does, `MC_STATUS_UNREADABLE` without one for memory of another host, `MC_STATUS_JOURNAL`, and with
// `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; the object is as it
// was then. `mc_error_figures` has the numbers.
//
// # Safety
//
// As `mc_store_exists`; unless it is null, `copy` may be called with `copy_context`.
enum mc_status mc_store_add_replica(struct mc_store store,
                                    struct mc_key key,
                                    mc_copy_callback copy,
                                    void *copy_context);

// Tells `visit` the objects that have fewer readable replicas than their puts asked for, but at least one,
// in no order, in time linear in the objects of the store.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_under_replicated(struct mc_store store,
                                         mc_replica_visitor visit,
                                         void *context);

// Drops the objects none of whose segments is readable any more, and tells `visit`, unless that is null,
// their keys. A get drops the one that it meets; this drops all, in time linear in the objects of the store.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// Unless it is null, `visit` may be called with `context`.
enum mc_status mc_store_drop_unreadable(struct mc_store store,
                                        mc_key_visitor visit,
                                        void *context);

// Adds a segment and opens it to placement; one of the constants `MC_MOUNTED`, `MC_ALREADY_MOUNTED` and
// `MC_REPLACED` is written to `mounting`, unless that is null.
//
// Any thread may call this. Fails with `MC_STATUS_INVALID_ARGUMENT` for numbers that no segment can have
// and for one that is mounted with others, `MC_STATUS_OCCUPIED` if another segment has some of the
// addresses or of the memory, `MC_STATUS_WRONG_STATE` for an older epoch and for a segment that is being
// unmounted, `MC_STATUS_BUSY` if the older epoch is being read or written, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing changed then.
//
// # Safety
//
// Unless they are null, the texts of `segment` end with a zero byte, and nobody writes them during the
// call.
enum mc_status mc_store_mount(struct mc_store store,
                              const struct mc_segment_options *segment,
                              uint32_t *mounting);

// Unmounts a segment, and tells `visit`, unless that is null, which objects that cost a replica.
//
// Leases of its objects stay, and cannot read there any more. Any thread may call this. Fails with
// `MC_STATUS_BUSY` while bytes in it are read or written: its objects are gone then and nobody begins to
// read there; a second call ends the unmount, and visits what this one would have. Fails also with
// `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_WRONG_STATE`, `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`; nothing changed then.
//
// # Safety
//
// Unless it is null, `visit` may be called with `context`.
enum mc_status mc_store_unmount(struct mc_store store,
                                struct mc_segment_id id,
                                mc_replica_visitor visit,
                                void *context);

// Closes a segment to placement while its objects stay, to be read where nothing else is.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_MOUNTED`, with `MC_STATUS_WRONG_STATE` if its
// state does not allow it, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; nothing
// changed then.
enum mc_status mc_store_suspend(struct mc_store store, struct mc_segment_id id);

// Closes a segment to placement so that its objects can be moved out; otherwise as `mc_store_suspend`.
enum mc_status mc_store_drain(struct mc_store store,
                              struct mc_segment_id id);

// States that a draining segment is empty; otherwise as `mc_store_suspend`. Fails with `MC_STATUS_BUSY`
// if it is not.
enum mc_status mc_store_finish_drain(struct mc_store store,
                                     struct mc_segment_id id);

// Opens a suspended, draining or drained segment again; otherwise as `mc_store_suspend`.
enum mc_status mc_store_resume(struct mc_store store, struct mc_segment_id id);

// Closes a segment to placement for good; its objects are readable until it is unmounted. Otherwise as
// `mc_store_suspend`.
enum mc_status mc_store_unmount_gracefully(struct mc_store store,
                                           struct mc_segment_id id);

// Tells `visit` all mounted segments in the order of their ids, whatever their states. The numbers of
// segments in use may be of slightly different moments.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_segments(struct mc_store store,
                                 mc_segment_visitor visit,
                                 void *context);

// Moves the replicas in a segment to others, where objects leave if need be; `visit`, unless that is
// null, is told the keys of the objects that stay, because they are leased or there is no room.
//
// Drain the segment before, so that nothing new is placed in it. `copy` copies the bytes; null copies
// within memory of this process. Any thread may call this; `out` may be null.
//
// Fails with `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_COPY_FAILED` if `copy` does, `MC_STATUS_UNREADABLE` without
// one for memory of another host, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; what has
// moved before stays where it is then.
//
// # Safety
//
// Unless they are null, `copy` may be called with `copy_context`, and `visit` with `context`.
enum mc_status mc_store_move_out(struct mc_store store,
                                 struct mc_segment_id id,
                                 mc_copy_callback copy,
                                 void *copy_context,
                                 mc_key_visitor visit,
                                 void *context,
                                 struct mc_move_report *out);

// Makes larger holes ahead of need by moving at most `budget_bytes`; nobody leaves. The bytes that were
// copied are written to `copied_bytes`, unless that is null.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_compact(struct mc_store store,
                                uint64_t budget_bytes,
                                uint64_t *copied_bytes);

// Leaves a segment `size` bytes: what lies behind moves, and where there is too little room, objects
// leave. The pages of a pool go back to the system. `out` may be null.
//
// Any thread may call this. Fails with `MC_STATUS_NOT_MOUNTED`, `MC_STATUS_INVALID_ARGUMENT` for a size
// that it cannot have, `MC_STATUS_BUSY` if what is there neither moves nor leaves, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_shrink(struct mc_store store,
                               struct mc_segment_id id,
                               uint64_t size,
                               struct mc_shrink_report *out);

// Gives a segment that shrank `size` bytes again, at most those that it was mounted with.
//
// Any thread may call this. Fails as `mc_store_shrink`.
enum mc_status mc_store_grow(struct mc_store store, struct mc_segment_id id, uint64_t size);

// Starts a thread that makes larger holes ahead of need, as `mc_store_compact` does, and copies
// `bytes_per_second` at most.
//
// It works while nothing is put or removed, a twentieth of a second after the last change at the earliest,
// and makes one move at a time; objects larger than what it may copy in a second stay where they are. With
// nothing to do, it looks at a few counts 20 times a second. What is in memory of another host moves by
// `copy` of the options of the store, or stays.
//
// The caller owns the thread and ends it with `mc_idle_compactor_stop`; until then the objects of the store
// stay in memory, and its directory stays open, also when the store has been destroyed. Any thread may call
// this. Fails with `MC_STATUS_SYSTEM` if there is no thread to be had, and with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_compact_when_idle(struct mc_store store,
                                          uint64_t bytes_per_second,
                                          struct mc_idle_compactor *out);

// Ends a thread that compacts, after the move that it is about to make, and waits for that. The handle is
// stale from then on.
//
// Any thread may call this, but for a function that the compacting thread calls: that would wait for
// itself. Fails with `MC_STATUS_STALE_HANDLE`, and with `MC_STATUS_OTHER_PROCESS` in a child, which has no
// such thread.
enum mc_status mc_idle_compactor_stop(struct mc_idle_compactor compactor);

// Returns the defaults for one copy of `size` bytes in one piece anywhere.
//
// Any thread may call this.
struct mc_put_options mc_put_options_default(uint64_t size);

// Finds space for an object, for which others leave if there is no room.
//
// The caller owns the put, which is never evicted, and ends it with `mc_put_commit` or `mc_put_abort`;
// its deadline ends it too. Nobody finds the object before it is committed. Any thread may call this.
//
// Fails with `MC_STATUS_EXISTS` or `MC_STATUS_IN_FLIGHT` for a key that is stored or being put,
// `MC_STATUS_NO_SPACE` if all that may leave would not make room, `MC_STATUS_TOO_LARGE` if no segment
// could ever take it or the options do not allow it, `MC_STATUS_QUOTA_EXCEEDED`,
// `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_JOURNAL`, and with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`; nothing changed then. `mc_error_figures` has the numbers.
//
// # Safety
//
// `bytes` of each key begin at its `start`, texts end with a zero byte, and arrays have as many elements
// as is said; nobody writes any of them during the call.
enum mc_status mc_store_put(struct mc_store store,
                            struct mc_key key,
                            const struct mc_put_options *options,
                            struct mc_put *out);

// Tells where the first replica is, and the time until the deadline.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_put_describe(struct mc_put put, struct mc_put_report *out);

// Tells `visit` where the replicas are, for writers elsewhere: one descriptor for each part of each,
// those of one replica together; nothing if the deadline has passed.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_put_descriptors(struct mc_put put,
                                  mc_descriptor_visitor visit,
                                  void *context);

// Copies `length` bytes to every replica, from the byte `offset` of the object on. The bytes of parts
// follow one another.
//
// Any thread may call this; of several for one put, each waits for the others. Fails with
// `MC_STATUS_EXPIRED` if the deadline has passed, `MC_STATUS_UNREADABLE` if a replica is not in memory of
// this process, `MC_STATUS_INVALID_ARGUMENT` for bytes that the object does not have, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; some bytes may have been written.
//
// # Safety
//
// `length` bytes begin at `bytes`, and nobody writes them during the call.
enum mc_status mc_put_write(struct mc_put put,
                            uint64_t offset,
                            const void *bytes,
                            size_t length);

// Says what CRC-32 the bytes have, as whoever writes them knows it: readers are told, and it is compared
// where the library reads the object.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_put_set_checksum(struct mc_put put,
                                   uint32_t checksum);

// Makes the object readable under its key. The handle is stale from then on, whatever comes of it.
//
// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_EXPIRED`,
// `MC_STATUS_UNREADABLE` if the segments went away, and `MC_STATUS_JOURNAL`: the object is not stored
// then, and its space is given back. Fails also with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_put_commit(struct mc_put put);

// Gives space and key back. The handle is stale from then on.
//
// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_put_abort(struct mc_put put);

// Tells `visit` the puts, also those of a prompt, that are neither committed nor given back, the one whose
// deadline comes first before others: writers that are late, or lost. Puts whose deadline has passed end
// first. The age shows how long a writer takes; at most time `n log n` in the puts.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_in_flight(struct mc_store store,
                                  mc_in_flight_visitor visit,
                                  void *context);

// Finds space for replicas in the segments of a store, without a key: it is neither found nor evicted nor
// moved, and nobody leaves for it.
//
// Of the options, size, alignment, pieces, replicas, host and the two lists of segments count. The caller
// owns the space and ends it with `mc_placement_free`. Any thread may call this. Fails with
// `MC_STATUS_NO_SPACE` if too few segments have a hole, `MC_STATUS_TOO_LARGE` if none could ever take it,
// `MC_STATUS_INVALID_ARGUMENT`, also for parts, and with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`; nothing changed then.
//
// # Safety
//
// As `mc_store_put`.
enum mc_status mc_store_place(struct mc_store store,
                              const struct mc_put_options *options,
                              struct mc_placement *out);

// Tells `visit` where the replicas are, one descriptor for each.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_placement_descriptors(struct mc_placement placement,
                                        mc_descriptor_visitor visit,
                                        void *context);

// Copies `length` bytes to every replica, from the byte `offset` of it on.
//
// Any thread may call this; of several for one placement, each waits for the others. Fails with
// `MC_STATUS_UNREADABLE` if a replica is not in memory of this process or its segment went away,
// `MC_STATUS_INVALID_ARGUMENT` for bytes that it does not have, and with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`; some bytes may have been written.
//
// # Safety
//
// `length` bytes begin at `bytes`, and nobody writes them during the call.
enum mc_status mc_placement_write(struct mc_placement placement,
                                  uint64_t offset,
                                  const void *bytes,
                                  size_t length);

// Copies `length` bytes of the first replica that this process can read to `into`, from the byte `offset`
// of it on. Fails as `mc_placement_write`.
//
// # Safety
//
// Room for `length` bytes begins at `into`, and nobody else uses it during the call.
enum mc_status mc_placement_read(struct mc_placement placement,
                                 uint64_t offset,
                                 void *into,
                                 size_t length);

// Gives space back. The handle is stale from then on.
//
// Any thread may call this; it waits for reads and writes in progress. Fails with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_placement_free(struct mc_placement placement);

// Finds space for the objects of a prompt that are missing, in the order of `items` and as many from
// the front as fit; those that are there are used. Each is the child of the one before it, the first one
// that of `parent` in the options; size and parts of the options count for nothing.
//
// None of them leaves until the caller ends the chain with `mc_chain_commit` or `mc_chain_abort`.
// `mc_chain_refusal` says why the object behind those was refused, if there is one. Any thread may call
// this. Fails with `MC_STATUS_INVALID_ARGUMENT`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`;
// nothing changed then.
//
// # Safety
//
// As `mc_store_put`; `count` items begin at `items`.
enum mc_status mc_store_put_many(struct mc_store store,
                                 const struct mc_chain_item *items,
                                 size_t count,
                                 const struct mc_put_options *options,
                                 struct mc_chain *out);

// Tells how many objects of a prompt are stored or have space.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_chain_describe(struct mc_chain chain, struct mc_chain_report *out);

// Fails as `mc_store_put` would have for the object behind those of the chain; `MC_STATUS_OK` if there
// is none.
//
// Any thread may call this. Fails also with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_chain_refusal(struct mc_chain chain);

// Says whether the object of a place in the prompt, from 0 on, has space that is to be written; one that
// is stored already, or was refused, has none. Any thread may call this.
bool mc_chain_is_missing(struct mc_chain chain,
                         size_t place);

// Tells `visit` where the replicas of the object of a place are; otherwise as `mc_put_descriptors`.
//
// Fails with `MC_STATUS_EXISTS` for an object that was stored already, and with
// `MC_STATUS_INVALID_ARGUMENT` for a place that is not in the chain.
//
// # Safety
//
// As `mc_put_descriptors`.
enum mc_status mc_chain_descriptors(struct mc_chain chain,
                                    size_t place,
                                    mc_descriptor_visitor visit,
                                    void *context);

// Copies bytes to every replica of the object of a place; otherwise as `mc_put_write`, and fails as
// `mc_chain_descriptors`.
//
// # Safety
//
// As `mc_put_write`.
enum mc_status mc_chain_write(struct mc_chain chain,
                              size_t place,
                              uint64_t offset,
                              const void *bytes,
                              size_t length);

// Makes the objects that were missing readable, in their order, and writes how many objects of the
// prompt are stored to `stored`, unless that is null. The handle is stale from then on, whatever comes of
// it.
//
// Any thread may call this; it waits for writes in progress. Fails as `mc_put_commit`: the objects before
// the first that fails are stored then, those behind it are not.
enum mc_status mc_chain_commit(struct mc_chain chain,
                               uint64_t *stored);

// Gives the space of the objects that were missing back. The handle is stale from then on.
//
// Any thread may call this; it waits for writes in progress. Fails with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_chain_abort(struct mc_chain chain);

// Returns the object of a key, and notes that it was used. It stays where it is as long as the lease is
// held.
//
// The caller owns the lease and ends it with `mc_lease_release`. Any thread may call this. Fails with
// `MC_STATUS_NOT_STORED`, `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_get(struct mc_store store,
                            struct mc_key key,
                            struct mc_lease *out);

// As `mc_store_get`; the object also stays for so many seconds from now on, held or not, so that another
// process can read it: at most `lease_max_seconds` of the options. A lease that lasts longer is not
// shortened.
//
// Fails also with `MC_STATUS_INVALID_ARGUMENT` for a time below 0.
//
// # Safety
//
// As `mc_store_exists`.
enum mc_status mc_store_get_for(struct mc_store store,
                                struct mc_key key,
                                double lease_seconds,
                                struct mc_lease *out);

// Writes leases of the objects of the first keys, up to the first that is not stored, to `leases`, which
// has room for `key_count`, and their number to `found`: what is behind it in a prompt is of no use
// without it.
//
// The caller owns the leases. Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or
// `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `key_count` keys begin at `keys`, as for `mc_store_exists`; room for as many leases begins at `leases`,
// and nobody else uses it during the call.
enum mc_status mc_store_get_many(struct mc_store store,
                                 const struct mc_key *keys,
                                 size_t key_count,
                                 struct mc_lease *leases,
                                 size_t *found);

// Copies the bytes of an object to `bytes`, which has room for `room` of them, and writes their number
// to `length`.
//
// An object whose bytes have not the checksum of its commit is dropped and counts as not stored. Nothing
// is written to `bytes` if they are more than `room`: the call fails with `MC_STATUS_ARRAY_TOO_SHORT`.
// `bytes` may be null if `room` is 0. Any thread may call this. Fails also with `MC_STATUS_NOT_STORED`,
// `MC_STATUS_UNREADABLE` if no replica is in memory of this process, and with `MC_STATUS_STALE_HANDLE`
// or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// As `mc_store_exists`; room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
enum mc_status mc_store_read(struct mc_store store,
                             struct mc_key key,
                             void *bytes,
                             size_t room,
                             size_t *length);

// Tells what is leased and where its first replica is.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_lease_describe(struct mc_lease lease, struct mc_lease_report *out);

// Tells `visit` where the readable replicas are, for readers elsewhere: one descriptor for each part of
// each, those of one replica together.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_lease_descriptors(struct mc_lease lease,
                                    mc_descriptor_visitor visit,
                                    void *context);

// Writes the bytes of each part to `sizes`, which has room for `room` of them, and their number to
// `count`.
//
// Nothing is written to `sizes` if they are more than `room`: the call fails with
// `MC_STATUS_ARRAY_TOO_SHORT`. `sizes` may be null if `room` is 0. Any thread may call this. Fails also
// with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// Room for `room` numbers begins at `sizes`, and nobody else uses it during the call.
enum mc_status mc_lease_parts(struct mc_lease lease,
                              uint64_t *sizes,
                              size_t room,
                              size_t *count);

// Copies `length` bytes of the object to `into`, from its byte `offset` on, from the first replica that
// this process can read. The bytes of parts follow one another. No checksum is compared.
//
// Any thread may call this. Fails with `MC_STATUS_UNREADABLE` if no replica is in memory of this
// process, `MC_STATUS_INVALID_ARGUMENT` for bytes that the object does not have, and with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`; some bytes may have been copied.
//
// # Safety
//
// Room for `length` bytes begins at `into`, and nobody else uses it during the call.
enum mc_status mc_lease_read(struct mc_lease lease,
                             uint64_t offset,
                             void *into,
                             size_t length);

// Copies all bytes of the object to `bytes`, which has room for `room` of them, and writes their number
// to `length`. If a checksum was taken at the commit or said by the writer, it is compared.
//
// Nothing is written to `bytes` if they are more than `room`: the call fails with
// `MC_STATUS_ARRAY_TOO_SHORT`. `bytes` may be null if `room` is 0. Any thread may call this. Fails also
// with `MC_STATUS_CORRUPT` if no replica has the bytes of the checksum, `MC_STATUS_UNREADABLE` if none is
// in memory of this process, and with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// Room for `room` bytes begins at `bytes`, and nobody else uses it during the call.
enum mc_status mc_lease_read_all(struct mc_lease lease,
                                 void *bytes,
                                 size_t room,
                                 size_t *length);

// Ends a lease; its handle is stale from then on. A time that was asked for goes on.
//
// Any thread may call this; calls in progress keep the object until they have finished. Fails with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_lease_release(struct mc_lease lease);

// Makes a queue of what happens to objects from now on, which holds `capacity` events, at least 1. One
// that is full drops its oldest event and counts it, so that nothing waits for the reader.
//
// The caller owns the queue and ends it with `mc_events_destroy`. Any thread may call this. Fails with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_events(struct mc_store store,
                               size_t capacity,
                               struct mc_events *out);

// Tells `visit` the events that were not told yet, the oldest first and `count_max` at most, and writes
// to `missed`, unless that is null, how many were dropped so far because the queue was full.
//
// Any thread may call this; each event is told once. It does not wait. Fails with
// `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_events_poll(struct mc_events events,
                              size_t count_max,
                              mc_event_visitor visit,
                              void *context,
                              uint64_t *missed);

// Ends a queue; its handle is stale from then on.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_events_destroy(struct mc_events events);

// Tells what the store holds and has done so far. If segments have changed since, objects that nobody
// can read are dropped first, in time linear in the objects.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
enum mc_status mc_store_describe(struct mc_store store,
                                 struct mc_store_report *out);

// Tells `visit` the tenants that were named so far, in the order of their names.
//
// Any thread may call this. Fails with `MC_STATUS_STALE_HANDLE` or `MC_STATUS_OTHER_PROCESS`.
//
// # Safety
//
// `visit` may be called with `context`.
enum mc_status mc_store_tenants(struct mc_store store, mc_tenant_visitor visit, void *context);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MC_ALLOC_H */
