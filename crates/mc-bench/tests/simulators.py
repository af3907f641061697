"""Replays a trace here and in two simulators, and compares the hits.

    simulators.py MC_BENCH TRACE.jsonl

Blocks have one size, so that a store of so many bytes holds so many blocks under any placement.
What the packages count differently is made equal: every request ends with a whole block, and of
requests those of the second half count, as the first ones fill the store.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import libcachesim
from kvcache_sim.plan import build_execution_plan
from kvcache_sim.policies import simulate_policy
from kvcache_sim.trace import parse_trace_file

BLOCK_TOKENS = 512
TOKEN_BYTES = 8
BLOCK_BYTES = BLOCK_TOKENS * TOKEN_BYTES

# Percent of all blocks that the store holds.
CAPACITIES = (2, 5, 10, 20)


def replay(mc_bench, trace, policy, blocks):
    """Returns the blocks that were read and found, prompt by prompt."""
    command = [mc_bench, "replay", "--trace", trace, "--subject", "bin-ceil", "--eviction", "lru"]
    command += ["--policy", policy, "--layout", "blocks", "--bytes-per-token", str(TOKEN_BYTES)]
    command += ["--capacity", str(blocks * BLOCK_BYTES), "--format", "json"]
    (run,) = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["runs"]
    assert run["capacity_bytes"] == blocks * BLOCK_BYTES, run["capacity_bytes"]
    return round(run["object_hit_rate"] * run["ops"])


def of_prompts(directory, mc_bench, requests, blocks):
    """Returns the hits in the second half of the prompts: here, and of kvcache-simulator."""
    whole, first = directory / "whole.jsonl", directory / "first.jsonl"
    for path, some in ((whole, requests), (first, requests[: len(requests) // 2])):
        rows = (
            {
                "timestamp": 0,
                "input_length": BLOCK_TOKENS * len(request),
                "output_length": 1,
                "block_size": BLOCK_TOKENS,
                "hash_ids": request,
            }
            for request in some
        )
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = [replay(mc_bench, path, "tail-first", blocks) for path in (whole, first)]
    plan = build_execution_plan(parse_trace_file(whole), warmup_fraction=0.5)
    theirs = simulate_policy(plan, "lru", blocks)
    assert theirs.measurementMode == "fixed_window", "the first half does not fill the store"
    return own[0] - own[1], theirs.hitTokens // BLOCK_TOKENS


def of_objects(directory, mc_bench, requests, blocks):
    """Returns the hits where each block is got or else put by itself: here, and of libCacheSim."""
    ids = [block for request in requests for block in request]
    path = directory / "blocks.objs"
    path.write_text("".join(f"{block} {BLOCK_BYTES}\n" for block in ids))
    own = replay(mc_bench, path, "lru", blocks)
    cache = libcachesim.LRU(blocks * BLOCK_BYTES)
    hits = 0
    for block in ids:
        request = libcachesim.Request()
        request.obj_id, request.obj_size = block, BLOCK_BYTES
        hits += cache.get(request)
    return own, hits


def main():
    mc_bench, trace = sys.argv[1:]
    lines = Path(trace).read_text().splitlines()
    numbers = {}
    requests = []
    for line in lines:
        ids = json.loads(line)["hash_ids"]
        requests.append([numbers.setdefault(block, len(numbers) + 1) for block in ids])
    longest = max(map(len, requests))
    print(f"{len(requests)} requests for {len(numbers)} blocks, at most {longest} each")
    differ = False
    with tempfile.TemporaryDirectory() as directory:
        for percent in CAPACITIES:
            blocks = len(numbers) * percent // 100
            for compare, theirs in (
                (of_prompts, "kvcache-simulator, its LRU of leaves"),
                (of_objects, "libCacheSim, LRU"),
            ):
                if compare is of_prompts and blocks < longest:
                    print(f"{blocks:8} blocks: too few for the longest prompt")
                    continue
                own, other = compare(Path(directory), mc_bench, requests, blocks)
                differ |= own != other
                verdict = "equal" if own == other else "DIFFERENT"
                print(f"{blocks:8} blocks: {own:8} hits here, {other:8} of {theirs}: {verdict}")
    sys.exit(differ)


if __name__ == "__main__":
    main()
