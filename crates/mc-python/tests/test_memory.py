"""Pool, Arena and Buffer: the buffer protocol, lifetimes, and who may have the bytes."""

import ctypes
import gc
import sys

import mc_alloc
import numpy
import pytest
from mc_alloc import Arena, Buffer, Pool

PAGE = 4096


def resident(address):
    """Says whether a page is mapped, as the list of the kernel has it."""
    with open("/proc/self/maps") as maps:
        ranges = (line.split()[0].split("-") for line in maps)
        return any(int(start, 16) <= address < int(end, 16) for start, end in ranges)


def test_pool_has_address_size_and_tier(pool):
    assert pool.size == len(pool) == 1 << 20
    assert pool.address % PAGE == 0
    assert pool.tier == "base pages"
    assert (pool.page_bytes, pool.epoch, pool.is_kept, pool.descriptor) == (PAGE, None, False, None)
    assert isinstance(pool, Buffer)


def test_a_pool_prefers_huge_pages_and_says_what_it_got():
    assert Pool(4 << 20).tier in {
        "transparent huge pages",
        "base pages",
        "reserved huge pages of 2097152 bytes",
    }


def test_views_of_a_pool_show_the_same_bytes(pool):
    view = memoryview(pool)
    assert (view.nbytes, view.itemsize, view.format, view.readonly, view.contiguous) == (
        1 << 20,
        1,
        "B",
        False,
        True,
    )
    array = numpy.asarray(pool)
    assert array.ctypes.data == pool.address
    array[5] = 9
    assert view[5] == 9
    assert (ctypes.c_ubyte * 6).from_buffer(pool)[5] == 9


def test_a_view_keeps_the_bytes(pool):
    address = pool.address
    view = memoryview(pool)
    view[:3] = b"abc"
    del pool
    gc.collect()
    # The fixture has a reference of its own, so a second pool is tried too.
    other = Pool(1 << 20, pages="off")
    array, start = numpy.asarray(other), other.address
    del other
    gc.collect()
    array[:] = 7
    assert array.sum() == 7 << 20
    assert bytes(view[:3]) == b"abc"
    assert resident(address) and resident(start)
    del array
    gc.collect()
    assert not resident(start)


def test_a_pool_without_views_is_unmapped():
    pool = Pool(1 << 20, pages="off")
    address = pool.address
    assert resident(address)
    del pool
    gc.collect()
    assert not resident(address)


def test_buffers_are_zeroed_disjoint_and_aligned():
    arena = Arena(1 << 20, pages="off")
    buffers = [arena.allocate(size, align) for size, align in [(1, 64), (100, 4096), (7, 64)]]
    for buffer, size, align in zip(buffers, [1, 100, 7], [64, 4096, 64]):
        assert (buffer.size, len(buffer), buffer.address % align) == (size, size, 0)
        assert bytes(buffer) == bytes(size)
        numpy.asarray(buffer)[:] = size
    assert [bytes(buffer)[0] for buffer in buffers] == [1, 100, 7]
    stats = arena.stats()
    assert (stats["capacity_bytes"], stats["allocations"], stats["refusals"]) == (1 << 20, 3, 0)


def test_a_buffer_outlives_its_arena():
    buffer = Arena(1 << 20, pages="off").allocate(4096)
    address = buffer.address
    array = numpy.asarray(buffer)
    del buffer
    gc.collect()
    array[:] = 3
    assert array.sum() == 3 * 4096
    del array
    gc.collect()
    assert not resident(address)


def test_a_full_arena_says_what_is_left():
    arena = Arena(1 << 20, pages="off")
    arena.allocate((1 << 20) - 128)
    with pytest.raises(mc_alloc.NoSpace) as refusal:
        arena.allocate(256)
    assert (refusal.value.asked, refusal.value.free, refusal.value.largest_hole) == (256, 128, 128)
    assert arena.allocate(128).size == 128


def test_an_arena_takes_a_pool_over(pool):
    view = memoryview(pool)
    arena = Arena(pool)
    buffer = arena.allocate(4096)
    memoryview(buffer)[:2] = b"hi"
    at = buffer.address - pool.address
    assert bytes(view[at : at + 2]) == b"hi"
    assert (arena.address, arena.size, arena.tier) == (pool.address, pool.size, pool.tier)
    with pytest.raises(mc_alloc.Error, match="belongs to an arena"):
        Arena(pool)
    with pytest.raises(mc_alloc.Error, match="belongs to an arena"):
        mc_alloc.Store().mount(1, pool.size, memory=pool)


def test_an_arena_takes_what_the_documents_name():
    arena = Arena(1 << 20, pages="off", populate="lazy")
    assert arena.allocate(n=100, align=4096).size == 100


def test_an_arena_of_a_pool_has_no_pages_of_its_own(pool):
    for options in ({"pages": "off"}, {"populate": "lazy"}):
        with pytest.raises(mc_alloc.InvalidArgument, match="say them to the Pool"):
            Arena(pool, **options)
    assert Arena(pool).size == pool.size


def test_a_pool_is_of_one_store_at_a_time(pool):
    first, second = mc_alloc.Store(), mc_alloc.Store()
    first.mount(1, pool.size, memory=pool)
    assert first.mount(1, pool.size, memory=pool) == "already-mounted"
    with first.put("key", 5) as put:
        put.write(b"first")
    for store in (second, mc_alloc.Store(directory="unused")):
        with pytest.raises(mc_alloc.Error, match="shares bytes"):
            store.mount(1, pool.size, memory=pool)
    assert first.get("key").read() == b"first"
    first.unmount(1)
    assert second.mount(1, pool.size, memory=pool) == "mounted"
    second.put("key", 5).commit()
    lease = second.get("key")
    del second, store
    gc.collect()
    # What is leased may still be read.
    with pytest.raises(mc_alloc.Error, match="shares bytes"):
        first.mount(1, pool.size, memory=pool)
    lease.release()
    assert first.mount(1, pool.size, memory=pool) == "mounted"


def test_a_pool_of_segments_becomes_no_arena(pool):
    mc_alloc.Store().mount(1, pool.size, memory=pool)
    with pytest.raises(mc_alloc.Error, match="belongs to segments"):
        Arena(pool)


@pytest.mark.parametrize(
    "call",
    [
        lambda: Pool(0),
        lambda: Pool(1 << 63),
        lambda: Pool(PAGE, pages="huge"),
        lambda: Pool(PAGE, populate="soon"),
        lambda: Pool(PAGE, file="x", shared=True),
        lambda: Arena(1 << 20, pages="off").allocate(0),
        lambda: Arena(1 << 20, pages="off").allocate(1, align=3),
    ],
)
def test_what_makes_no_sense_is_a_value_error(call):
    with pytest.raises(mc_alloc.InvalidArgument):
        call()


def test_what_cannot_be_had_is_an_error():
    with pytest.raises(mc_alloc.Error, match="bytes"):
        Pool(1 << 45, pages="off")


def test_a_file_keeps_the_bytes(tmp_path):
    path = tmp_path / "pool"
    first = Pool(1 << 20, pages="off", file=path)
    assert first.is_kept is False
    memoryview(first)[:5] = b"bytes"
    epoch = first.epoch
    with pytest.raises(mc_alloc.Error):
        Pool(1 << 20, pages="off", file=path)
    del first
    gc.collect()
    second = Pool(1 << 20, pages="off", file=str(path))
    assert (second.is_kept, second.epoch) == (True, epoch)
    assert bytes(memoryview(second)[:5]) == b"bytes"
    with pytest.raises(mc_alloc.Error, match="begins with zeros"):
        Arena(second)
    assert bytes(memoryview(second)[:5]) == b"bytes"


@pytest.mark.parametrize("arguments", [(), (1,), (b"x",), (None, None)])
def test_buffers_are_not_made_by_hand(arguments):
    with pytest.raises(TypeError, match="Arena.allocate"):
        Buffer(*arguments)


def test_references_are_counted_right(pool):
    before = sys.getrefcount(pool)
    views = [memoryview(pool) for _ in range(100)]
    assert sys.getrefcount(pool) == before + 100
    del views
    assert sys.getrefcount(pool) == before


def test_torch_sees_the_bytes_without_a_copy():
    torch = pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    buffer = Arena(1 << 20, pages="off").allocate(4096)
    tensor = torch.frombuffer(buffer, dtype=torch.float32)
    assert (tensor.data_ptr(), tensor.numel()) == (buffer.address, 1024)
    tensor.fill_(1.5)
    assert numpy.frombuffer(buffer, dtype=numpy.float32).sum() == 1536.0
    del buffer
    gc.collect()
    assert tensor.sum().item() == 1536.0


@pytest.mark.parametrize("number", [-1, 1 << 128, -(1 << 200)])
def test_numbers_out_of_range_are_told_with_what_is_accepted(number):
    store = mc_alloc.Store()
    pool = mc_alloc.Pool(1 << 20, pages="off")
    store.mount(1, pool.size, memory=pool)
    put = store.put(b"key", 10)
    offsets = mc_alloc.OffsetAllocator(1 << 20)
    arena = mc_alloc.Arena(1 << 20, pages="off")
    for call in [
        lambda: mc_alloc.Pool(number, pages="off"),
        lambda: mc_alloc.OffsetAllocator(number),
        lambda: mc_alloc.OffsetAllocator(1 << 20, max_allocations=number),
        lambda: arena.allocate(number),
        lambda: arena.allocate(64, number),
        lambda: offsets.allocate(number),
        lambda: offsets.allocate_many([1, number]),
        lambda: offsets.allocate_at(number, 64),
        lambda: store.mount(number, 1 << 20),
        lambda: store.mount(2, number),
        lambda: store.state(number),
        lambda: store.put(b"other", number),
        lambda: store.put(b"other", [1, number]),
        lambda: store.put(b"other", 10, replicas=number),
        lambda: store.put(b"other", 10, priority=number * 1000),
        lambda: store.put_many([b"a", b"b"], [1, number]),
        lambda: store.compact(number),
        lambda: put.write(b"bytes", number),
    ]:
        with pytest.raises(OverflowError, match="^-?[0-9]+ is out of range; whole numbers from -?[0-9]+ to") as refused:
            call()
        assert str(number) in str(refused.value)
        assert str(refused.value).endswith("are accepted")
    put.abort()
    assert store.stats()["in_flight"] == 0
    assert store.put(b"key", 10, align=2, extents=3, priority=-128).size == 10
    with pytest.raises(TypeError):
        arena.allocate(1.5)
