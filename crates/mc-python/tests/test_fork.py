"""Children: what a fork may do, and what is handed to a child that was spawned."""

import gc
import multiprocessing
import os
import threading

import mc_alloc
import pytest
from mc_alloc import Arena, OffsetAllocator, Pool, SharedView, Store


def in_child(function):
    """Runs a function in a forked child; returns how the child ended."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            function()
            status = 0
        except BaseException as error:
            os.write(2, repr(error).encode() + b"\n")
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    return status


def everything(directory):
    pool, shared = Pool(1 << 20, pages="off"), Pool(1 << 20, pages="off", shared=True)
    arena = Arena(1 << 20, pages="off")
    store = Store()
    store.mount(1, pool.size, memory=pool)
    with store.put(b"key", 5) as put:
        put.write(b"value")
    kept = Store(directory=directory)
    kept.mount(1, 1 << 20)
    kept.put(b"key", 5).commit()
    allocator = OffsetAllocator(1 << 20)
    return {
        "pool": pool,
        "shared": shared,
        "arena": arena,
        "buffer": arena.allocate(4096),
        "store": store,
        "kept": kept,
        "put": store.put(b"other", 5),
        "lease": store.get(b"key"),
        "allocator": allocator,
        "allocation": allocator.allocate(100),
    }


CALLS = [
    lambda has: memoryview(has["pool"]),
    lambda has: memoryview(has["buffer"]),
    lambda has: bytes(has["buffer"]),
    lambda has: has["shared"].descriptor,
    lambda has: has["arena"].allocate(10),
    lambda has: Arena(has["shared"]),
    lambda has: Store().mount(1, 1 << 20, memory=has["pool"]),
    lambda has: has["store"].get(b"key"),
    lambda has: has["store"].put(b"new", 5),
    lambda has: has["store"].get_many([b"key"]),
    lambda has: has["store"].keys(),
    lambda has: has["store"].stats(),
    lambda has: has["store"].mount(2, 1 << 20),
    lambda has: has["kept"].exists(b"key"),
    lambda has: has["put"].write(b"value"),
    lambda has: has["put"].commit(),
    lambda has: has["put"].abort(),
    lambda has: has["lease"].read(),
    lambda has: has["lease"].release(),
    lambda has: has["lease"].descriptors,
    lambda has: has["allocator"].allocate(10),
    lambda has: has["allocator"].allocate_many([10]),
    lambda has: has["allocator"].report(),
    lambda has: has["allocator"].free_many([has["allocation"]]),
    lambda has: has["allocation"].free(),
]


def test_in_a_forked_child_every_call_is_an_error_and_its_own_memory_is_its_own(tmp_path):
    has = everything(tmp_path)
    owner = os.getpid()

    def child():
        for call in CALLS:
            with pytest.raises(mc_alloc.OtherProcess) as refusal:
                call(has)
            assert (refusal.value.owner_pid, refusal.value.this_pid) == (owner, os.getpid())
        has.clear()
        gc.collect()
        own = Pool(1 << 20, pages="off")
        memoryview(own)[:] = bytes([7]) * own.size
        store = Store()
        store.mount(1, own.size, memory=own)
        with store.put(b"key", 3) as put:
            put.write(b"own")
        assert store.get(b"key").read() == b"own"
        assert OffsetAllocator(100).allocate(100).offset == 0

    assert in_child(child) == 0
    # The parent has all that it had.
    assert has["lease"].read() == b"value"
    has["put"].write(b"value")
    has["put"].commit()
    assert sorted(has["store"].keys()) == [b"key", b"other"]
    has["allocation"].free()
    assert has["kept"].exists(b"key")


def test_a_child_of_a_busy_parent_does_not_hang():
    """Locks that threads of the parent hold at the fork are never waited for in the child."""
    allocator, store = OffsetAllocator(1 << 20), Store()
    store.mount(1, 1 << 20)
    is_over = threading.Event()

    def churn(number):
        kept, turn = [], 0
        while not is_over.is_set():
            turn += 1
            kept.append(allocator.allocate(64))
            store.put(f"{number}/{turn}", 64).commit()
            if len(kept) == 100:
                kept.clear()
                for key in store.keys():
                    store.exists(key)

    threads = [threading.Thread(target=churn, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):

            def child():
                for call in (lambda: allocator.allocate(1), lambda: store.get(b"key")):
                    with pytest.raises(mc_alloc.OtherProcess):
                        call()
                gc.collect()
                OffsetAllocator(100).allocate(10).free()

            assert in_child(child) == 0
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def use_in_forked_worker(results):
    try:
        WORKER_BUFFER.__len__()
        memoryview(WORKER_BUFFER)
    except mc_alloc.OtherProcess as error:
        results.put(("refused", error.owner_pid))


def test_multiprocessing_by_fork_gets_an_error():
    global WORKER_BUFFER
    WORKER_BUFFER = Arena(1 << 20, pages="off").allocate(4096)
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    worker = context.Process(target=use_in_forked_worker, args=(results,))
    worker.start()
    assert results.get(timeout=60) == ("refused", os.getpid())
    worker.join()
    assert worker.exitcode == 0


def read_in_spawned_worker(view, results):
    results.put((type(view).__name__, view.size, view.read(100, 5)))


def test_a_shared_pool_is_handed_to_a_spawned_child_by_its_descriptor():
    pool = Pool(1 << 20, pages="off", shared=True)
    memoryview(pool)[100:105] = b"bytes"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    worker = context.Process(target=read_in_spawned_worker, args=(pool, results))
    worker.start()
    assert results.get(timeout=60) == ("SharedView", 1 << 20, b"bytes")
    worker.join()
    assert worker.exitcode == 0


def read_by_path(path, results):
    view = SharedView(path)
    results.put(view.read(0, 5))
    try:
        view.read(view.size - 1, 2)
    except mc_alloc.InvalidArgument as error:
        results.put(str(error))


def test_a_shared_pool_is_found_by_its_name_in_proc():
    pool = Pool(1 << 20, pages="off", shared=True)
    memoryview(pool)[:5] = b"bytes"
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    path = f"/proc/{os.getpid()}/fd/{pool.descriptor}"
    worker = context.Process(target=read_by_path, args=(path, results))
    worker.start()
    assert results.get(timeout=60) == b"bytes"
    assert "not in a view" in results.get(timeout=60)
    worker.join()


def test_other_pools_stay_in_their_process(pool):
    with pytest.raises(mc_alloc.Error, match="shared=True"):
        multiprocessing.get_context("spawn").Process(target=print, args=(pool,)).start()
    shared = Pool(1 << 20, pages="off", shared=True)
    with pytest.raises(mc_alloc.Error, match="belongs to this process"):
        SharedView(shared.descriptor)
    with pytest.raises(OSError):
        SharedView(10_000)


def fill_file(path):
    pool = Pool(1 << 20, pages="off", file=path)
    memoryview(pool)[:5] = b"child"


def test_a_pool_in_a_file_is_handed_on_by_name(tmp_path):
    path = tmp_path / "pool"
    context = multiprocessing.get_context("spawn")
    worker = context.Process(target=fill_file, args=(path,))
    worker.start()
    worker.join()
    assert worker.exitcode == 0
    pool = Pool(1 << 20, pages="off", file=path)
    assert pool.is_kept
    assert bytes(memoryview(pool)[:5]) == b"child"
