"""Replays a trace of prompts through stores of several sizes and plots what was found again.

python3 replay.py [--trace FILE] [--out FILE.svg]

A trace is JSON lines with `hash_ids`: the blocks of a prompt from its first on, equal numbers for equal
prefixes. Without one, conversations are made up, the same every time. The plot needs matplotlib.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Dict, Iterable, Iterator, List, Sequence

import mc_alloc

BLOCK_BYTES = 512 << 10
SHARES = (0.02, 0.05, 0.10, 0.20)
POLICIES = ("lru", "s3-fifo", "auto")

Prompt = List[int]


def made_up(prompts: int, seed: int = 1) -> Iterator[Prompt]:
    """Yields the prompts of conversations, each of which goes on from what was said before."""
    draw = random.Random(seed)
    open_ones: List[Prompt] = []
    fresh = 0
    for _ in range(prompts):
        if open_ones and draw.random() < 0.7:
            at = min(int(draw.expovariate(0.1)), len(open_ones) - 1)
            prompt = open_ones.pop(-1 - at)
        else:
            # Everybody begins with one of a few system prompts.
            prompt = [-1 - draw.randrange(4)]
        turn = draw.randint(1, 6)
        prompt = prompt + list(range(fresh, fresh + turn))
        fresh += turn
        yield prompt
        if len(prompt) < 60:
            open_ones.append(prompt)


def read(path: Path) -> Iterator[Prompt]:
    """Yields the prompts of a trace; a bad line is an error with its number."""
    with path.open() as lines:
        for number, line in enumerate(lines, 1):
            try:
                ids = json.loads(line)["hash_ids"]
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(f"{path}:{number}: {error!r}; hash_ids are needed") from error
            yield [int(id) for id in ids]


def replay(trace: Iterable[Prompt], capacity: int, policy: str = "auto") -> Dict[str, float]:
    """Returns the share of blocks that were found, and what was evicted for each byte stored."""
    store = mc_alloc.Store(policy=policy, clock=mc_alloc.ManualClock())
    store.mount(1, capacity)
    asked = found = 0
    for prompt in trace:
        keys = [b"%d" % block for block in prompt]
        leases = store.get_many(keys)
        asked += len(keys)
        found += len(leases)
        del leases
        store.put_many(keys, BLOCK_BYTES)
    stats = store.stats()
    return {
        "hit_rate": found / asked if asked else 0.0,
        "evicted_per_stored": stats["on_demand_bytes"] / max(stats["committed_bytes"], 1),
    }


def sweep(
    trace: Sequence[Prompt], shares: Sequence[float] = SHARES, policies: Sequence[str] = POLICIES
) -> Dict[str, List[float]]:
    """Returns the hit rates of each policy, for stores of shares of all distinct bytes."""
    distinct = len({block for prompt in trace for block in prompt})
    rates: Dict[str, List[float]] = {}
    for policy in policies:
        capacities = (max(int(distinct * share), 1) * BLOCK_BYTES for share in shares)
        rates[policy] = [replay(trace, capacity, policy)["hit_rate"] for capacity in capacities]
    return rates


def plot(rates: Dict[str, List[float]], shares: Sequence[float], out: Path) -> None:
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6, 4))
    for policy, values in rates.items():
        axes.plot([100 * share for share in shares], values, marker="o", label=policy)
    axes.set_xlabel("capacity, % of distinct bytes")
    axes.set_ylabel("blocks found")
    axes.set_ylim(bottom=0)
    axes.legend()
    figure.savefig(out)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trace", type=Path, help="JSON lines with hash_ids")
    parser.add_argument("--prompts", type=int, default=3000, help="prompts that are made up")
    parser.add_argument("--out", type=Path, help="where the plot goes")
    arguments = parser.parse_args()
    trace = list(read(arguments.trace) if arguments.trace else made_up(arguments.prompts))
    rates = sweep(trace)
    print("capacity  " + "".join(f"{share:>8.0%}" for share in SHARES))
    for policy, values in rates.items():
        print(f"{policy:<10}" + "".join(f"{value:>8.3f}" for value in values))
    if arguments.out:
        plot(rates, SHARES, arguments.out)


if __name__ == "__main__":
    main()
