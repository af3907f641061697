// C interface of mc-arena and mc-offset. Generated; do not edit. Link with -lmc_alloc.
//
// Handles are numbers: null, destroyed and foreign ones are errors. Functions return a status, and
// `mc_error_message` tells why the last failed call of the thread failed. Every function may be
// called from any thread. References to results (`out`) must not be null, and are written only on
// success unless a function says otherwise.


#ifndef MC_ALLOC_H
#define MC_ALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// First number of the version of the header; `mc_version` is that of the library.
#define MC_ALLOC_VERSION_MAJOR 0

// Second number of the version of the header.
#define MC_ALLOC_VERSION_MINOR 1

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
  // No hole, arena or slot holds the request. Freeing something may help.
  MC_STATUS_NO_SPACE = 4,
  // The request exceeds the whole capacity. Freeing does not help.
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
  // The arena or buffer belongs to the process that this one was forked from. Nothing changed.
  MC_STATUS_OTHER_PROCESS = 15,
} mc_status;

// A function that is told what the library has to say. It may be called by any thread, by several at
// once; the text is valid during the call.
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

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// Returns the version of the library, such as `0.1.0`. The text is constant. Any thread may call
// this.
const char *mc_version(void);

// Returns why the last call of this thread that failed did so, or an empty text if none has.
//
// The text belongs to the library and is valid until the next call of this thread fails. Any
// thread may call this; each has a message of its own.
const char *mc_error_message(void);

// Returns the name of a status, such as `MC_STATUS_NO_SPACE`; of a number that is none, `unknown
// status`.
//
// The text is constant. Any thread may call this.
const char *mc_status_name(uint32_t status);

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
// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is no power of two,
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
// Fails with `MC_STATUS_INVALID_ARGUMENT` for no bytes or an alignment that is no power of two,
// `MC_STATUS_INVALID_ENVIRONMENT`, `MC_STATUS_SYSTEM`, and `MC_STATUS_OTHER_PROCESS` in a child whose
// parent has set the arena up; `out` is not written then.
enum mc_status mc_buffer_allocate(size_t size,
                                  size_t align,
                                  void **out);

// As `mc_buffer_allocate`, for a process that would rather run without its arena than not at all: if
// the environment has a value that is not accepted, or its arena cannot be had, buffers are mappings
// of their own in ordinary pages.
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

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* MC_ALLOC_H */
