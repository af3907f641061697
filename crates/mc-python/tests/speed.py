"""Measures what calls cost from Python, in microseconds of processor time: the best of several rounds.

python speed.py [calls per round]
"""

from __future__ import annotations

import sys
import time
import timeit
from typing import Dict

import mc_alloc

ROUNDS = 7
POLICIES = ("tail-first", "s3-fifo", "lru", "gdsf", "reuse-age", "auto")


def best(statement: str, names: Dict[str, object], calls: int, elements: int = 1) -> float:
    """Returns the microseconds of a call, or of each element of a batch."""
    number = max(calls // elements, 1)
    rounds = timeit.repeat(
        statement, timer=time.process_time, globals=names, number=number, repeat=ROUNDS
    )
    return min(rounds) / number / elements * 1e6


def measure(calls: int) -> Dict[str, float]:
    allocator = mc_alloc.OffsetAllocator(1 << 30)
    names: Dict[str, object] = {"allocator": allocator, "sizes": [4096] * 1000}
    results = {
        "an empty call": best("allocator.base", names, calls),
        "allocate, collected": best("allocator.allocate(4096)", names, calls),
        "allocate_many, each": best("allocator.allocate_many(sizes)", names, calls, 1000),
    }
    arena = mc_alloc.Arena(64 << 20, pages="off", populate="lazy")
    in_arena = min(calls, (32 << 20) // 64 // ROUNDS)
    results["Arena.allocate"] = best("arena.allocate(64)", {"arena": arena}, in_arena)
    for policy in POLICIES:
        store = mc_alloc.Store(policy=policy)
        store.mount(1, 1 << 30)
        keys = [b"%032d" % number for number in range(10_000)]
        store.put_many(keys, 4096)
        names = {"store": store, "keys": keys[:1000], "key": keys[0]}
        results[f"get_many, each ({policy})"] = best("store.get_many(keys)", names, calls, 1000)
        results[f"get ({policy})"] = best("store.get(key)", names, calls)
    results["exists"] = best("store.exists(key)", names, calls)
    return results


if __name__ == "__main__":
    for name, microseconds in measure(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000).items():
        print(f"{name:<32}{microseconds:8.3f}")
