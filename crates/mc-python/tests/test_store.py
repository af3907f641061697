"""Store: puts, leases, segments, errors with numbers, time, and what a restart finds."""

import gc
import sys
import threading
import time

import mc_alloc
import numpy
import pytest
from mc_alloc import ManualClock, Pool, Store

MIB = 1 << 20


def remote(count=1, size=MIB, **options):
    """Returns a store over segments of other hosts."""
    store = Store(**options)
    for id in range(1, count + 1):
        store.mount(id, size, name=f"node-{id}", host=f"host-{id}", base=id << 32)
    return store


def test_a_put_commits_at_the_end_of_its_block(store):
    with store.put(b"key", 5) as put:
        assert put.write(b"value") == 5
        assert store.get(b"key") is None
        assert store.stats()["in_flight"] == 1
    lease = store.get(b"key")
    assert (lease.read(), lease.key, lease.size) == (b"value", b"key", 5)
    store.check_invariants()


def test_a_put_is_given_back_if_its_block_raises(store):
    with pytest.raises(RuntimeError, match="mine"):
        with store.put(b"key", 5):
            raise RuntimeError("mine")
    assert not store.exists(b"key")
    stats = store.stats()
    assert (stats["abandoned"], stats["in_flight"], stats["placed_bytes"]) == (1, 0, 0)


def test_a_put_that_is_collected_is_given_back(store):
    put = store.put(b"key", 5)
    del put
    gc.collect()
    assert store.stats()["in_flight"] == 0
    store.put(b"key", 5).abort()


def test_a_put_is_over_once(store):
    put = store.put(b"key", 5)
    put.commit()
    put.abort()
    for call in (put.commit, lambda: put.write(b"x"), lambda: put.descriptors):
        with pytest.raises(mc_alloc.Error, match="committed or given back"):
            call()
    with store.put(b"other", 5) as put:
        put.commit()
    assert store.exists(b"other")


def test_bytes_are_written_behind_each_other_or_at_an_offset(store):
    with store.put(b"key", 10) as put:
        assert put.write(b"0123") == 4
        assert put.write(bytearray(b"4567")) == 4
        assert put.write(memoryview(b"89")) == 2
        assert put.write(numpy.array([1, 2], dtype=numpy.uint8), offset=3) == 2
        with pytest.raises(mc_alloc.InvalidArgument, match="not in a buffer of 10"):
            put.write(b"123456", offset=5)
        with pytest.raises(TypeError):
            put.write("text")
    assert store.get(b"key").read() == b"012\x01\x0256789"


def test_descriptors_are_dicts(store):
    with store.put("key", 100, align=64) as put:
        (descriptor,) = put.descriptors
        assert set(descriptor) == {
            "segment",
            "epoch",
            "address",
            "size",
            "protocol",
            "endpoint",
            "extents",
        }
        assert (descriptor["segment"], descriptor["size"], descriptor["epoch"]) == (1, 100, 0)
        assert descriptor["extents"] == [{"address": descriptor["address"], "size": 100}]
    assert store.get("key").descriptors == [descriptor]
    assert store.get(b"key").descriptors == [descriptor]


def test_addresses_count_from_the_base_of_the_segment(pool):
    store = Store()
    store.mount(1 << 100, pool.size, base=pool.address, epoch=3, memory=pool)
    with store.put(b"key", 3) as put:
        put.write(b"abc")
        (descriptor,) = put.descriptors
    assert (descriptor["segment"], descriptor["epoch"]) == (1 << 100, 3)
    at = descriptor["address"] - pool.address
    assert bytes(memoryview(pool)[at : at + 3]) == b"abc"


def test_a_view_of_the_pool_shows_objects_without_a_copy(store, pool):
    array = numpy.asarray(pool)
    with store.put(b"key", 4) as put:
        put.write(b"\x01\x02\x03\x04")
        at = put.descriptors[0]["address"]
    assert array[at : at + 4].tolist() == [1, 2, 3, 4]
    lease = store.get(b"key")
    array[at] = 9
    assert lease.read() == b"\x09\x02\x03\x04"


def test_errors_have_numbers(store):
    store.put(b"stored", 5).commit()
    flying = store.put(b"flying", 5)
    with pytest.raises(mc_alloc.Exists) as refusal:
        store.put(b"stored", 5)
    assert (refusal.value.key, refusal.value.in_flight) == (b"stored", False)
    with pytest.raises(mc_alloc.Exists) as refusal:
        store.put(b"flying", 5)
    assert (refusal.value.key, refusal.value.in_flight) == (b"flying", True)
    with pytest.raises(mc_alloc.NoSpace) as refusal:
        store.put(b"large", 2 * MIB)
    assert (refusal.value.asked, refusal.value.free) == (2 * MIB, MIB - 10)
    assert refusal.value.largest_hole == MIB - 10
    store.pin(b"stored")
    with pytest.raises(mc_alloc.NoSpace) as refusal:
        store.put(b"large", MIB)
    assert (refusal.value.asked, refusal.value.free) == (MIB, MIB - 10)
    flying.abort()
    with pytest.raises(mc_alloc.Pinned) as refusal:
        store.remove(b"stored")
    assert refusal.value.key == b"stored"
    store.unpin(b"stored")
    lease = store.get(b"stored")
    with pytest.raises(mc_alloc.Leased) as refusal:
        store.remove(b"stored")
    assert refusal.value.key == b"stored"
    lease.release()
    assert store.remove(b"stored") is True
    assert store.remove(b"stored") is False
    with pytest.raises(mc_alloc.Unreadable) as refusal:
        other = remote()
        other.put(b"key", 5).commit()
        other.get(b"key").read()
    assert refusal.value.segment == 1
    for error in (mc_alloc.Exists, mc_alloc.NoSpace, mc_alloc.Pinned, mc_alloc.Leased):
        assert issubclass(error, mc_alloc.Error)
    assert issubclass(mc_alloc.QuotaExceeded, mc_alloc.Error)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Store(policy="fifo"),
        lambda: Store(high=0.9),
        lambda: Store(high=0.5, low=0.9),
        lambda: Store(high=101, low=0.9),
        lambda: Store(lease_max=-1.0),
        lambda: Store(lease_max=float("nan")),
        lambda: Store(strategy="best"),
        lambda: remote().put(b"key", 0),
        lambda: remote().put(b"key", 1, align=3),
        lambda: remote().put(b"key", 1, replicas=0),
        lambda: remote().put(b"key", 1, extents=0),
        lambda: remote().put(b"key", 1, deadline=-1),
        lambda: remote().put(bytes(5000), 1),
        lambda: remote().put_many([b"a", b"b"], [1, 2, 3]),
        lambda: remote().put_many([b"a"], 0),
        lambda: remote().get(b"key", lease=float("inf")),
        lambda: remote().remove(b"key", mode="gently"),
        lambda: remote().mount(1, MIB, name="other"),
        lambda: remote().mount(2, MIB, base=(1 << 64) - 1),
        lambda: ManualClock().advance(-1),
    ],
)
def test_what_makes_no_sense_is_a_value_error(call):
    with pytest.raises(mc_alloc.InvalidArgument) as refusal:
        call()
    assert isinstance(refusal.value, ValueError)


def test_objects_leave_for_others_and_those_in_use_stay():
    store = remote(size=10 * 100, policy="lru")
    for number in range(10):
        store.put(b"%d" % number, 100).commit()
    lease = store.get(b"0")
    assert store.pin(b"1") and not store.pin(b"none")
    store.put(b"new", 100).commit()
    assert store.exists(b"0") and store.exists(b"1") and not store.exists(b"2")
    stats = store.stats()
    assert (stats["on_demand_objects"], stats["on_demand_bytes"], stats["pinned"]) == (1, 100, 1)
    assert lease.size == 100
    assert store.unpin(b"1")


def test_watermarks_keep_room():
    store = remote(size=1000, policy="lru", high=0.8, low=0.5)
    for number in range(9):
        store.put(b"%d" % number, 100).commit()
    assert store.stats()["live_bytes"] <= 500
    assert store.stats()["by_watermark_objects"] >= 4


def test_the_front_of_a_prompt_is_stored_and_found():
    store = remote(size=1000)
    keys = [b"%d" % number for number in range(20)]
    assert store.put_many(keys, 100) == 10
    assert [lease.key for lease in store.get_many(keys)] == keys[:10]
    assert store.put_many(keys[:5], [100] * 5) == 5
    assert store.get_many([b"none", *keys]) == []
    assert store.get_many(key for key in keys[:3])[2].key == b"2"


def test_put_many_writes_what_was_missing(store):
    with store.put(b"1", 3) as put:
        put.write(b"old")
    stored = store.put_many([b"0", b"1", b"2"], 3, data=[b"aaa", b"bbb", numpy.zeros(3, "u1")])
    assert stored == 3
    assert [lease.read() for lease in store.get_many([b"0", b"1", b"2"])] == [
        b"aaa",
        b"old",
        bytes(3),
    ]


def test_bytes_that_have_no_room_in_their_object_make_nobody_leave():
    pool, store = Pool(4096, pages="off"), Store(policy="lru")
    store.mount(1, 4096, memory=pool)
    keys = [b"0", b"1", b"2", b"3"]
    assert store.put_many(keys, 1024) == 4
    with pytest.raises(mc_alloc.InvalidArgument, match="buffer 1 has 1025 bytes"):
        store.put_many([b"a", b"b"], 1024, data=[b"", bytes(1025)])
    assert sorted(store.keys()) == keys


def test_remove_detaches_or_removes_now(store):
    for mode in ("detach", "now"):
        with store.put(b"key", 5) as put:
            put.write(b"value")
        lease = store.get(b"key")
        assert store.remove(b"key", mode)
        assert not store.exists(b"key")
        assert lease.read() == b"value"
        lease.release()
        assert store.stats()["placed_bytes"] == 0


def test_a_lease_is_released_once_and_ends_with_its_block(store):
    store.put(b"key", 5).commit()
    with store.get(b"key") as lease:
        with pytest.raises(mc_alloc.Leased):
            store.remove(b"key")
    lease.release()
    with pytest.raises(mc_alloc.Error, match="released"):
        lease.read()
    assert store.remove(b"key")


def test_read_into_a_buffer(store):
    with store.put(b"key", 4) as put:
        put.write(b"abcd")
    into = numpy.zeros(6, dtype=numpy.uint8)
    lease = store.get(b"key")
    assert lease.readinto(into) == 4
    assert into.tobytes() == b"abcd\0\0"
    with pytest.raises(mc_alloc.InvalidArgument):
        lease.readinto(bytearray(3))
    with pytest.raises((TypeError, BufferError)):
        lease.readinto(b"constant")


def test_timed_leases_and_deadlines_follow_the_clock(clock):
    store = remote(clock=clock, lease_max=10.0)
    store.put(b"key", 5).commit()
    assert store.get(b"key", lease=5.0) is not None
    clock.advance(4.9)
    with pytest.raises(mc_alloc.Leased):
        store.remove(b"key")
    clock.advance(0.2)
    assert store.remove(b"key")
    store.put(b"key", 5).commit()
    store.get(b"key", lease=1000.0)
    clock.advance(10.1)
    assert store.remove(b"key")

    put = store.put(b"late", 5, deadline=2.0)
    clock.advance(2.1)
    with pytest.raises(mc_alloc.Error, match="deadline"):
        put.commit()
    assert store.stats()["expired"] == 1
    store.put(b"late", 5).abort()


def test_replicas_are_under_distinct_names():
    store = Store()
    store.mount(1, MIB, name="same")
    store.mount(2, MIB, name="same")
    with pytest.raises(mc_alloc.NoSpace):
        store.put(b"key", 5, replicas=2)
    store.mount(3, MIB, name="other")
    with store.put(b"key", 5, replicas=2) as put:
        assert len({descriptor["segment"] for descriptor in put.descriptors} & {1, 2}) == 1
        assert 3 in {descriptor["segment"] for descriptor in put.descriptors}


def test_a_newer_epoch_replaces_a_segment():
    store = Store()
    assert store.mount(1, MIB, epoch=1) == "mounted"
    assert store.mount(1, MIB, epoch=1) == "already-mounted"
    store.put(b"key", 5).commit()
    assert store.mount(1, MIB, epoch=2) == "replaced"
    assert store.get(b"key") is None
    with pytest.raises(mc_alloc.Error, match="epoch 1 is refused"):
        store.mount(1, MIB, epoch=1)


def test_a_segment_is_emptied_and_unmounted():
    pools = [Pool(MIB, pages="off") for _ in range(2)]
    store = Store()
    store.mount(1, MIB, name="a", memory=pools[0])
    keys = [b"%d" % number for number in range(10)]
    assert store.put_many(keys, 4, data=[key * 4 for key in keys]) == 10
    store.mount(2, MIB, name="b", memory=pools[1])
    store.drain(1)
    assert store.state(1) == "draining"
    with pytest.raises(mc_alloc.Error, match="still holds"):
        store.finish_drain(1)
    assert store.move_out(1) == {"replicas": 10, "bytes": 40, "left": []}
    store.finish_drain(1)
    assert store.unmount(1) == {"lost": [], "survivors": []}
    assert store.state(1) is None
    assert [lease.read() for lease in store.get_many(keys)] == [key * 4 for key in keys]
    lost = store.unmount(2)["lost"]
    assert sorted(lost) == keys and store.keys() == []
    with pytest.raises(mc_alloc.Error, match="not mounted"):
        store.drain(9)


def test_bytes_elsewhere_are_moved_by_a_function():
    store = remote()
    store.put(b"key", 5).commit()
    store.mount(2, MIB, name="node-2", base=2 << 32)
    store.drain(1)
    with pytest.raises(mc_alloc.Unreadable):
        store.move_out(1)
    calls = []
    with pytest.raises(RuntimeError, match="mine"):
        store.move_out(1, copy=lambda old, new: (_ for _ in ()).throw(RuntimeError("mine")))
    assert store.move_out(1, copy=lambda old, new: calls.append((old, new)))["replicas"] == 1
    ((old, new),) = calls
    assert (old["segment"], new["segment"], new["size"]) == (1, 2, 5)
    assert store.get(b"key").descriptors == [new]


def test_survivors_of_an_unmount_are_named():
    store = remote(count=2)
    store.put(b"both", 5, replicas=2).commit()
    assert store.unmount(1) == {
        "lost": [],
        "survivors": [{"key": b"both", "readable": 1, "wanted": 2}],
    }


def test_replicas_that_are_missed_are_added(clock):
    pools = [mc_alloc.Pool(MIB, pages="off") for _ in range(3)]
    store = Store(clock=clock)
    for id, pool in enumerate(pools[:2], 1):
        store.mount(id, MIB, name=f"node-{id}", memory=pool)
    with store.put(b"both", 5, replicas=2) as put:
        put.write(b"bytes")
    store.put(b"once", 5).commit()
    assert store.under_replicated() == []
    store.unmount(1)
    lacking = [{"key": b"both", "readable": 1, "wanted": 2}]
    assert store.under_replicated() == lacking
    with pytest.raises(mc_alloc.NoSpace) as refused:
        store.add_replica(b"both")
    assert refused.value.asked == 5
    store.mount(3, MIB, name="node-3", memory=pools[2])
    with store.get(b"both"):
        with pytest.raises(mc_alloc.Error, match="leased, or has changed"):
            store.add_replica(b"both")
    with pytest.raises(ZeroDivisionError):
        store.add_replica(b"both", copy=lambda old, new: 1 // 0)
    assert store.under_replicated() == lacking
    assert store.add_replica("both") and not store.add_replica(b"none")
    assert store.under_replicated() == []
    assert [place["segment"] for place in store.get(b"both").descriptors] == [2, 3]
    store.unmount(2)
    assert store.get(b"both").read() == b"bytes"
    store.check_invariants()


def test_objects_of_an_older_epoch_are_dropped():
    store = remote()
    store.put(b"key", 5).commit()
    assert store.drop_unreadable() == []
    assert store.mount(1, MIB, name="node-1", host="host-1", base=1 << 32, epoch=1) == "replaced"
    assert store.drop_unreadable() == [b"key"]
    assert store.drop_unreadable() == [] and store.keys() == []


def test_a_suspended_segment_takes_nothing_new():
    store = remote()
    store.put(b"key", 5).commit()
    store.suspend(1)
    with pytest.raises(mc_alloc.NoSpace):
        store.put(b"other", 5)
    assert store.get(b"key") is not None
    store.resume(1)
    store.put(b"other", 5).commit()


@pytest.mark.parametrize("policy", ["auto", "lru", "tail-first", "s3-fifo", "gdsf", "reuse-age"])
def test_equal_calls_give_equal_decisions(policy):
    def run():
        store = remote(size=64 << 10, policy=policy, clock=ManualClock())
        for number in range(500):
            key = b"%d" % (number * number % 97)
            if store.get(key) is None:
                store.put(key, 500 + number % 700, parent=b"%d" % (number % 7)).commit()
        return sorted(store.keys()), store.stats()["on_demand_objects"]

    assert run() == run()


def test_stats_are_numbers(store):
    store.put(b"key", 5).commit()
    store.get(b"key")
    store.get(b"none")
    stats = store.stats()
    assert all(type(value) in (int, float) for value in stats.values())
    assert (stats["objects"], stats["hits"], stats["misses"], stats["live_bytes"]) == (1, 1, 1, 5)
    assert (stats["capacity_bytes"], stats["free_bytes"]) == (MIB, MIB - 5)


def test_a_store_of_a_directory_is_there_again(tmp_path):
    def opened():
        pool = Pool(MIB, pages="off", file=tmp_path / "pool")
        store = Store(directory=tmp_path / "store")
        store.mount(1, MIB, memory=pool)
        return store

    store = opened()
    assert store.put_many([b"a", b"b"], 5, data=[b"first", b"other"]) == 2
    store.pin(b"a")
    store.sync()
    with pytest.raises(mc_alloc.Error):
        other = Store(directory=tmp_path / "store")
        other.mount(1, MIB)
        other.keys()
    del store
    gc.collect()
    store = opened()
    assert (store.lost, store.damage) == ([], [])
    assert store.get(b"a").read() == b"first"
    assert store.stats()["pinned"] == 1
    store.mount(2, MIB)
    store.put(b"new", MIB).commit()


def test_bytes_that_were_not_kept_are_lost_and_named(tmp_path):
    def opened():
        store = Store(directory=tmp_path)
        store.mount(1, MIB, memory=Pool(MIB, pages="off"))
        return store

    store = opened()
    with store.put(b"key", 5) as put:
        put.write(b"value")
    del store, put
    gc.collect()
    store = opened()
    assert (store.keys(), store.lost) == ([], [b"key"])
    with pytest.raises(mc_alloc.InvalidArgument):
        Store(directory=tmp_path / "other").mount(1, MIB, base=(1 << 64) - 1)


def test_an_older_epoch_is_refused_where_a_directory_is_opened(tmp_path):
    def opened(**segment):
        store = Store(directory=tmp_path / "store")
        store.mount(1, MIB, **segment)
        return store

    store = opened(epoch=1 << 63)
    store.put(b"key", 5).commit()
    del store
    gc.collect()
    for epoch in (0, 5):
        store = opened(epoch=epoch)
        with pytest.raises(mc_alloc.Error, match="is refused"):
            store.keys()
        # With the one that it had, the store is there.
        store.mount(1, MIB, epoch=1 << 63)
        assert (store.keys(), store.lost) == ([b"key"], [])
        del store
        gc.collect()
    # Memory without a file is newer whatever the time is.
    store = opened(memory=Pool(MIB, pages="off"))
    assert (store.keys(), store.lost) == ([], [b"key"])
    store.put(b"key", 5).commit()


def test_a_directory_is_where_it_was_when_the_store_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store(directory="store")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert store.keys() == []
    assert (tmp_path / "store").is_dir() and not (tmp_path / "elsewhere" / "store").exists()
    with pytest.raises(mc_alloc.InvalidArgument):
        Store(directory="")


def test_mounting_a_segment_again_loses_nothing(tmp_path):
    pools = [Pool(MIB, pages="off") for _ in range(2)]
    for options in ({}, {"directory": tmp_path}):
        store, memory = Store(**options), Pool(MIB, pages="off")
        assert store.mount(1, MIB, memory=memory) == "mounted"
        for other in (memory, pools.pop()):
            assert store.mount(1, MIB, memory=other) == "already-mounted"
        with store.put(b"key", 5) as put:
            put.write(b"value")
            assert store.mount(1, MIB, memory=memory) == "already-mounted"
        assert store.get(b"key").read() == b"value"
        at = store.get(b"key").descriptors[0]["address"]
        assert bytes(memoryview(memory)[at : at + 5]) == b"value"


def comb(**options):
    """Returns a store whose free half is in eight holes."""
    store = Store(**options)
    pool = Pool(MIB, pages="off")
    store.mount(1, MIB, memory=pool)
    for number in range(16):
        with store.put(str(number), MIB // 16) as put:
            put.write(bytes([number]) * (MIB // 16))
    for number in range(0, 16, 2):
        store.remove(str(number))
    return store


def odd_objects_are_whole(store):
    return all(store.get(str(n)).read() == bytes([n]) * (MIB // 16) for n in range(1, 16, 2))


def test_objects_move_so_that_none_leaves():
    store = comb(compaction=1.0)
    store.put(b"large", 3 * MIB // 16).commit()
    stats = store.stats()
    assert stats["on_demand_objects"] == 0
    assert 0 < stats["moved_bytes"] <= 3 * MIB // 16
    assert odd_objects_are_whole(store)
    for share in (-0.5, float("inf"), float("nan")):
        with pytest.raises(mc_alloc.InvalidArgument, match="compaction"):
            Store(compaction=share)


def test_holes_are_made_ahead_within_a_budget():
    store = comb()
    assert store.compact(0) == store.compact(1) == 0
    moved = store.compact(3 * MIB // 16)
    assert 0 < moved <= 3 * MIB // 16
    store.compact(1 << 60)
    store.put(b"large", MIB // 2).commit()
    assert store.stats()["on_demand_objects"] == 0
    assert odd_objects_are_whole(store)


def test_a_segment_shrinks_and_grows():
    store = comb()
    shrunk = store.shrink(1, MIB // 2)
    assert shrunk["evicted_objects"] == 0
    assert shrunk["moved_bytes"] == shrunk["moved_replicas"] * (MIB // 16) > 0
    assert shrunk["released_bytes"] == MIB // 2
    assert store.stats()["capacity_bytes"] == MIB // 2
    assert odd_objects_are_whole(store)
    lease = store.get("1")
    with pytest.raises(mc_alloc.Error, match="neither move nor leave"):
        store.shrink(1, 1)
    lease.release()
    store.grow(1, MIB)
    with pytest.raises(mc_alloc.Error, match="mounted with"):
        store.grow(1, 2 * MIB)
    assert store.stats()["capacity_bytes"] == MIB



def test_an_object_of_several_parts_is_there_as_a_whole(store):
    with store.put(b"key", [3, 5], align=64, replicas=1) as put:
        assert put.size == 8
        first, second = put.descriptors
        assert (first["size"], second["size"]) == (3, 5)
        assert second["address"] == first["address"] + 64
        put.write(b"abcd")
        put.write(b"efgh")
    lease = store.get(b"key")
    assert (lease.size, lease.parts, len(lease.descriptors)) == (8, [3, 5], 2)
    assert lease.read() == b"abcdefgh"
    into = bytearray(10)
    assert lease.readinto(into) == 8 and bytes(into) == b"abcdefgh\0\0"
    with pytest.raises(RuntimeError), store.put(b"half", [3, 5]) as put:
        put.write(b"abc")
        raise RuntimeError
    assert not store.exists(b"half")
    store.put(b"one", [5]).commit()
    assert store.get(b"one").parts == [5]
    for parts in ([], [5, 0], [1 << 63, 1 << 63]):
        with pytest.raises(mc_alloc.InvalidArgument):
            store.put(b"other", parts)


def test_tenants_have_what_is_guaranteed_and_no_more_than_their_limit():
    store = remote(size=1000, policy="lru")
    store.tenant("a", guaranteed=300)
    store.tenant("b", most=400)
    for number in range(10):
        store.put(b"lent/%d" % number, 100, tenant="c").commit()
    for number in range(3):
        store.put(b"a/%d" % number, 100, tenant="a").commit()
    for number in range(20):
        store.put(b"b/%d" % number, 100, tenant="b").commit()
        store.check_invariants()
    stats = store.stats()
    assert (stats["tenants_a_stored_bytes"], stats["tenants_b_used_bytes"]) == (300, 400)
    assert stats["tenants_c_evicted_objects"] == 7 and stats["tenants_b_most_bytes"] == 400
    for number in range(16, 20):
        store.pin(b"b/%d" % number)
    with pytest.raises(mc_alloc.QuotaExceeded) as refusal:
        store.put(b"more", 50, tenant="b")
    error = refusal.value
    assert (error.tenant, error.asked, error.used, error.most) == ("b", 50, 400, 400)
    for call in (
        lambda: store.tenant("d", guaranteed=800),
        lambda: store.tenant("d", guaranteed=5, most=4),
    ):
        with pytest.raises(mc_alloc.InvalidArgument):
            call()


def test_hints_say_who_leaves_first():
    clock = ManualClock()
    clock.advance(5)
    store = remote(size=1000, policy="lru", clock=clock)
    assert store.now() == 5.0
    store.put(b"kept", 100, keep_until=100).commit()
    store.put(b"high", 100, priority=1).commit()
    store.put(b"low", 100, priority=-1, cost=2.5).commit()
    for number in range(7):
        store.put(b"%d" % number, 100).commit()
    store.get(b"low").release()
    store.put(b"new", 100).commit()
    assert not store.exists(b"low") and store.exists(b"0")
    for number in range(10, 40):
        store.put(b"%d" % number, 100).commit()
    assert store.exists(b"kept") and store.exists(b"high")
    clock.advance(100)
    for number in range(40, 70):
        store.put(b"%d" % number, 100).commit()
    assert not store.exists(b"kept") and store.exists(b"high")
    with pytest.raises(mc_alloc.InvalidArgument):
        store.put(b"key", 1, keep_until=-1)


def turns_of_another_thread_during(call):
    """Returns how often another thread gets the lock of the interpreter, though never by force."""
    turns, is_over = [0], threading.Event()

    def count():
        while not is_over.is_set():
            turns[0] += 1
            time.sleep(0)

    thread = threading.Thread(target=count)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    try:
        before = turns[0]
        call()
        return turns[0] - before
    finally:
        sys.setswitchinterval(interval)
        is_over.set()
        thread.join()


def test_the_lock_of_the_interpreter_is_released(store):
    size = 512 << 10
    with store.put(b"key", size) as put:
        put.write(bytes(size))
    lease = store.get(b"key")
    assert turns_of_another_thread_during(lambda: [lease.read() for _ in range(300)]) > 0


@pytest.mark.parametrize("kind", ["pool", "arena", "store"])
def test_the_lock_of_the_interpreter_is_released_while_something_is_collected(kind):
    def make():
        if kind == "pool":
            return Pool(8 * MIB, pages="off")
        if kind == "arena":
            return mc_alloc.Arena(8 * MIB, pages="off")
        own, pool = Store(), Pool(8 * MIB, pages="off")
        own.mount(1, pool.size, memory=pool)
        return own

    made = [make() for _ in range(40)]
    assert turns_of_another_thread_during(made.clear) > 0


def test_the_copy_that_is_read_is_made_without_the_lock_of_the_interpreter():
    """The longest time that another thread waits is shorter than that of a copy."""
    pool, store = Pool(64 * MIB, pages="off"), Store()
    store.mount(1, pool.size, memory=pool)
    store.put(b"key", pool.size).commit()
    lease, moments, is_over = store.get(b"key"), [], threading.Event()

    def tick():
        while not is_over.is_set():
            moments.append(time.perf_counter())
            time.sleep(0.0002)

    thread = threading.Thread(target=tick)
    thread.start()
    shares = []
    for _ in range(10):
        begin = time.perf_counter()
        lease.read()
        end = time.perf_counter()
        inside = [begin, *(moment for moment in moments if begin < moment < end), end]
        shares.append(max(b - a for a, b in zip(inside, inside[1:])) / (end - begin))
    is_over.set()
    thread.join()
    # Busy machines make any single one long.
    assert min(shares) < 0.3, shares


def test_lists_are_lists_and_may_say_that_they_have_more_than_memory_holds(store):
    for call in (
        store.get_many,
        lambda keys: store.put_many(keys, 5),
        lambda sizes: store.put(b"key", sizes),
        lambda data: store.put_many([b"key"], 5, data=data),
    ):
        for length in (1 << 45, 1 << 62):
            with pytest.raises(MemoryError, match=f"a list of {length} elements"):
                call(range(length))
        with pytest.raises(TypeError, match="a text where a list is needed"):
            call("key")
        for data in (b"key", bytearray(b"key")):
            with pytest.raises(TypeError, match="bytes where a list is needed"):
                call(data)
    with pytest.raises(mc_alloc.InvalidArgument, match="1 sizes for 2 keys"):
        store.put_many([b"a", b"b"], [5])
    assert store.put_many((key for key in (b"a", b"b")), 5) == 2
    assert store.keys() == [b"a", b"b"] or store.keys() == [b"b", b"a"]


def test_what_cannot_be_moved_out_is_refused_though_nothing_would_move(store):
    with pytest.raises(mc_alloc.Error, match="63 is not mounted"):
        store.move_out(0x63)
    for call in (lambda: store.move_out(1, copy=5), lambda: store.add_replica("key", copy=5)):
        with pytest.raises(TypeError, match="where a function is needed"):
            call()
    assert store.move_out(1, copy=None) == {"replicas": 0, "bytes": 0, "left": []}


def test_a_size_is_any_whole_number(store):
    assert store.put(b"one", numpy.int64(5)).size == 5
    assert store.put(b"parts", numpy.array([5, 6])).size == 11
    assert store.put_many([b"a", b"b"], numpy.uint16(7)) == 2
    for size in (numpy.float32(5), 5.0):
        with pytest.raises(TypeError):
            store.put(b"other", size)

    class Number:
        def __index__(self):
            return 1 << 100

    assert store.mount(Number(), MIB) == "mounted"
    assert (store.state(1 << 100), store.state(numpy.uint8(200))) == ("ok", None)
    for id in (5.0, "5", None):
        with pytest.raises(TypeError):
            store.mount(id, MIB)


def test_threads_share_a_store(store):
    errors = []

    def work(number):
        try:
            for turn in range(200):
                key = b"%d/%d" % (number, turn % 20)
                store.remove(key)
                with store.put(key, 64) as put:
                    put.write(key.ljust(64))
                lease = store.get(key)
                assert lease is None or lease.read() == key.ljust(64)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    store.check_invariants()
