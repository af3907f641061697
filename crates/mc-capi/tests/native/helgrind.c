// Tells helgrind what the library's atomics order, so that it looks for races within the library too.
//
// Helgrind knows the locks of pthreads. Those of Rust, and whatever is ordered without a lock, are made of
// atomics, which helgrind takes for plain accesses. In a library that is built without optimization, methods
// of atomics are called by name. They are wrapped here: what is released on a cell happens before what
// acquires it, and the cell itself is no longer looked at.
//
// Not modelled are fences: operations that read and write count as acquire and release, whatever was asked
// for. Functions of the standard library that are made for a type, as `Mutex::lock`, have their atomics
// within; they are wrapped as a whole. A name that changes with the compiler makes races of all that it
// orders, and so is noticed.

#include <stdint.h>

#include <valgrind/helgrind.h>

#ifndef __x86_64__
#error "the calls below are those of x86-64"
#endif

/// What a function returns: one word, or the two of a `Result`.
typedef struct {
  uintptr_t first, second;
} returned;

/// Calls the function behind the wrapper; `CALL_FN_W_5W` of valgrind.h returns the first word only.
static inline returned call(OrigFn original, const uintptr_t *arguments) {
  returned result;
  uintptr_t frame[] = {original.nraddr, arguments[0], arguments[1],
                       arguments[2],    arguments[3], arguments[4]};
  __asm__ volatile(
      "movq %%rsp, %%r14\n\t"
      "subq $128, %%rsp\n\t"
      "andq $0xfffffffffffffff0, %%rsp\n\t"
      "movq 40(%%rax), %%r8\n\t"
      "movq 32(%%rax), %%rcx\n\t"
      "movq 24(%%rax), %%rdx\n\t"
      "movq 16(%%rax), %%rsi\n\t"
      "movq 8(%%rax), %%rdi\n\t"
      "movq (%%rax), %%rax\n\t" VALGRIND_CALL_NOREDIR_RAX "movq %%r14, %%rsp\n\t"
      : "=a"(result.first), "=d"(result.second)
      : "a"(frame)
      : "cc", "memory", "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r14", "xmm0", "xmm1",
        "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7");
  return result;
}

/// `core::sync::atomic::Ordering`.
enum { RELAXED = 0 };

enum { LOADS = 1, STORES = 2 };

/// Calls an operation on a cell of `bytes`; `order` is where its ordering is among the arguments.
static inline returned on_cell(OrigFn original, const uintptr_t *arguments, int access, int order,
                               unsigned bytes) {
  const void *cell = (const void *)arguments[0];
  const int orders = access == (LOADS | STORES) || (uint8_t)arguments[order] != RELAXED;
  VALGRIND_HG_DISABLE_CHECKING(cell, bytes);
  if (orders && (access & STORES)) ANNOTATE_HAPPENS_BEFORE(cell);
  const returned result = call(original, arguments);
  if (orders && (access & LOADS)) ANNOTATE_HAPPENS_AFTER(cell);
  return result;
}

/// Wraps a method of one type, as the compiler writes both in the name of the function. The library of the
/// tests has no SONAME.
#define METHOD(type, method, bytes, access, order)                                     \
  returned I_WRAP_SONAME_FNNAME_ZZ(NONE, _RNvMZa_4core4sync6atomic##type##method##Za)( \
      uintptr_t a, uintptr_t b, uintptr_t c, uintptr_t d, uintptr_t e) {               \
    OrigFn original;                                                                   \
    VALGRIND_GET_ORIG_FN(original);                                                    \
    const uintptr_t arguments[] = {a, b, c, d, e};                                     \
    return on_cell(original, arguments, access, order, bytes);                         \
  }

#define ATOMIC(type, bytes)                                        \
  METHOD(type, 4load, bytes, LOADS, 1)                             \
  METHOD(type, 5store, bytes, STORES, 2)                           \
  METHOD(type, 4swap, bytes, LOADS | STORES, 2)                    \
  METHOD(type, 9fetch_add, bytes, LOADS | STORES, 2)               \
  METHOD(type, 9fetch_sub, bytes, LOADS | STORES, 2)               \
  METHOD(type, 9fetch_and, bytes, LOADS | STORES, 2)               \
  METHOD(type, 8fetch_or, bytes, LOADS | STORES, 2)                \
  METHOD(type, 9fetch_xor, bytes, LOADS | STORES, 2)               \
  METHOD(type, 9fetch_max, bytes, LOADS | STORES, 2)               \
  METHOD(type, 9fetch_min, bytes, LOADS | STORES, 2)               \
  METHOD(type, 16compare_exchange, bytes, LOADS | STORES, 3)       \
  METHOD(type, 21compare_exchange_weak, bytes, LOADS | STORES, 3)

ATOMIC(NtBZa_10AtomicBool, 1)
ATOMIC(NtBZa_8AtomicU8, 1)
ATOMIC(NtBZa_9AtomicU16, 2)
ATOMIC(NtBZa_9AtomicU32, 4)
ATOMIC(NtBZa_9AtomicI32, 4)
ATOMIC(NtBZa_9AtomicU64, 8)
ATOMIC(NtBZa_9AtomicI64, 8)
ATOMIC(NtBZa_11AtomicUsize, 8)
ATOMIC(NtBZa_11AtomicIsize, 8)
ATOMIC(INtBZa_9AtomicPtrZaE, 8)

/// Wraps a function of the standard library, whose own atomics were put into it when it was delivered.
#define STANDARD(name, before, after)                                                  \
  returned I_WRAP_SONAME_FNNAME_ZZ(NONE, name)(uintptr_t a, uintptr_t b, uintptr_t c,  \
                                               uintptr_t d, uintptr_t e) {             \
    OrigFn original;                                                                   \
    VALGRIND_GET_ORIG_FN(original);                                                    \
    const uintptr_t arguments[] = {a, b, c, d, e};                                     \
    before;                                                                            \
    const returned result = call(original, arguments);                                 \
    after;                                                                             \
    return result;                                                                     \
  }

/// What a guard, or a counted pointer, points at.
static inline const void *target(uintptr_t pointer) { return *(const void **)pointer; }

// A lock is the second argument: the first says where to put the guard, which begins with its address.
STANDARD(_RNvMZa_3std4sync6poison5mutexINtBZa_5MutexZaE4lockZa, , ANNOTATE_HAPPENS_AFTER(b))
STANDARD(_RNvMZa_3std4sync6poison5mutexINtBZa_5MutexZaE8try_lockZa, , ANNOTATE_HAPPENS_AFTER(b))
STANDARD(_RNvXZa_3std4sync6poison5mutexINtBZa_10MutexGuardZa4Drop4dropZa,
         ANNOTATE_HAPPENS_BEFORE(target(a)), )
STANDARD(_RNvMZa_3std4sync6poison6rwlockINtBZa_6RwLockZaE4readZa, , ANNOTATE_HAPPENS_AFTER(b))
STANDARD(_RNvMZa_3std4sync6poison6rwlockINtBZa_6RwLockZaE5writeZa, , ANNOTATE_HAPPENS_AFTER(b))
STANDARD(_RNvXZa_3std4sync6poison6rwlockINtBZa_15RwLockReadGuardZa4Drop4dropZa,
         ANNOTATE_HAPPENS_BEFORE(target(a + sizeof(a))), )
STANDARD(_RNvXZa_3std4sync6poison6rwlockINtBZa_16RwLockWriteGuardZa4Drop4dropZa,
         ANNOTATE_HAPPENS_BEFORE(target(a)), )

// Whoever drops the last reference sees what the others did with theirs.
STANDARD(_RNvXZa_5alloc4syncINtBZa_3ArcZa4Drop4dropZa, ANNOTATE_HAPPENS_BEFORE(target(a)), )
STANDARD(_RNvMZa_5alloc4syncINtBZa_3ArcZaE9drop_slowZa, ANNOTATE_HAPPENS_AFTER(target(a)), )

// What is made once is seen by whoever gets it. One cell stands for all, as the cell itself is not at hand
// where the value is made.
static const char once;

STANDARD(_RNCINvMZa_3std4sync9once_lockINtBZa_8OnceLockZaE10initializeZa, ,
         ANNOTATE_HAPPENS_BEFORE(&once))
STANDARD(_RNvMZa_3std4sync9once_lockINtBZa_8OnceLockZaE3getZa, , ANNOTATE_HAPPENS_AFTER(&once))
STANDARD(_RINvMZa_3std4sync9once_lockINtBZa_8OnceLockZaE11get_or_initZa, ,
         ANNOTATE_HAPPENS_AFTER(&once))
STANDARD(_RNCNvMZa_3std4sync9lazy_lockINtBZa_8LazyLockZaE5force0Za, , ANNOTATE_HAPPENS_BEFORE(&once))
STANDARD(_RNvMZa_3std4sync9lazy_lockINtBZa_8LazyLockZaE5forceZa, , ANNOTATE_HAPPENS_AFTER(&once))
