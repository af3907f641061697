"""A program that type checkers accept without a complaint, and that runs."""

from __future__ import annotations

from typing import Optional

import mc_alloc


def longest(store: mc_alloc.Store, keys: list[bytes]) -> int:
    return len(store.get_many(keys))


def first_address(lease: Optional[mc_alloc.Lease]) -> Optional[int]:
    return lease.descriptors[0]["extents"][0]["address"] if lease else None


def run() -> int:
    pool = mc_alloc.Pool(1 << 20, pages="off")
    clock = mc_alloc.ManualClock()
    store = mc_alloc.Store(policy="lru", high=0.9, low=0.8, clock=clock)
    store.mount(1, pool.size, memory=pool)
    with store.put(b"key", 3, parent="before", deadline=1.5) as put:
        written: int = put.write(b"abc")
    place: mc_alloc.Allocation = mc_alloc.OffsetAllocator(100).allocate(10)
    try:
        store.put("key", 3)
    except mc_alloc.Exists as error:
        key: bytes = error.key
        assert key == b"key"
    removed: bool = store.remove(b"other", mode="detach")
    assert not removed and first_address(store.get(b"key")) == 0
    buffer = mc_alloc.Arena(1 << 20, pages="off").allocate(8)
    return longest(store, [b"key"]) + written + place.size + len(memoryview(buffer))


if __name__ == "__main__":
    print(run())
