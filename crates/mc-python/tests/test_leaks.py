"""A million objects of each kind leave nothing behind: neither Python's memory nor the process's."""

import gc
import tracemalloc

import mc_alloc
import pytest

OBJECTS = 1_000_000
ROUND = 10_000


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096


def offsets():
    allocator = mc_alloc.OffsetAllocator(1 << 30)

    def make(count):
        places = allocator.allocate_many([64] * (count // 2))
        places += [allocator.allocate(100) for _ in range(count // 2)]
        places[0].free()

    return make


def buffers():
    def make(count):
        for _ in range(count // 1000):
            arena = mc_alloc.Arena(1 << 20, pages="off", populate="lazy")
            views = [memoryview(arena.allocate(64)) for _ in range(1000)]
            views[0][0] = 1

    return make


def objects():
    store = mc_alloc.Store(policy="lru")
    store.mount(1, 1 << 20)
    turn = [0]

    def make(count):
        for _ in range(count // 4):
            turn[0] += 1
            key = b"%d" % turn[0]
            with store.put(key, 1024) as put:
                put.descriptors
            lease = store.get(key)
            lease.descriptors
        store.get_many([key])

    return make


def refusals():
    allocator, store = mc_alloc.OffsetAllocator(100), mc_alloc.Store()

    def make(count):
        for _ in range(count // 2):
            try:
                allocator.allocate(101)
            except mc_alloc.NoSpace:
                pass
            try:
                store.put(b"key", 5)
            except mc_alloc.NoSpace:
                pass

    return make


@pytest.mark.slow
@pytest.mark.parametrize("kind", [offsets, buffers, objects, refusals])
def test_a_million_objects_leave_nothing(kind):
    make = kind()
    for _ in range(5):
        make(ROUND)
    gc.collect()
    resident = resident_bytes()
    for _ in range(OBJECTS // ROUND):
        make(ROUND)
    gc.collect()
    grown = resident_bytes() - resident
    # Less than two bytes an object: what allocators of the system keep, and no leak.
    assert grown < 2 << 20, f"{grown} bytes more are resident"


@pytest.mark.parametrize("kind", [offsets, buffers, objects, refusals])
def test_python_keeps_no_memory_of_what_was_collected(kind):
    make = kind()
    make(ROUND)
    tracemalloc.start()
    try:
        make(ROUND)
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(5):
            make(ROUND)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 10_000, f"{after - before} bytes of Python more"
