"""The programs in examples/python that use the package; skipped where only the package is."""

import json
import sys
from pathlib import Path

import numpy
import pytest

EXAMPLES = Path(__file__).parents[3] / "examples" / "python"
if not (EXAMPLES / "kv_pool.py").exists():
    pytest.skip("the examples are not beside these tests", allow_module_level=True)
sys.path.insert(0, str(EXAMPLES))

import kv_pool  # noqa: E402
import memory_objects  # noqa: E402
import replay  # noqa: E402

SHAPE = kv_pool.Shape(layers=2, heads=2, head_dim=8)


@pytest.mark.parametrize("example", [kv_pool, memory_objects])
def test_programs_run(example, capsys):
    example.main()
    assert capsys.readouterr().out


def test_pages_of_the_pool_keep_what_was_written():
    pool = kv_pool.HostKvPool(64, 8, SHAPE, pages="off")
    draw = numpy.random.default_rng(1)
    written = {}
    for number in range(200):
        tokens = 8 * int(draw.integers(1, 4))
        slots = pool.alloc(tokens)
        if slots is None:
            assert pool.available_size() < tokens
            old = next(iter(written))
            pool.free(written.pop(old)[0])
            continue
        assert len(set(slots.tolist())) == tokens
        data = draw.standard_normal((2, 2, tokens, 2, 8)).astype("float16")
        pool.write(slots, data)
        written[number] = (slots, data)
        for slots, data in written.values():
            assert numpy.array_equal(pool.read(slots), data)
    for slots, _ in written.values():
        pool.free(slots)
    assert pool.available_size() == 64
    with pytest.raises(ValueError, match="not in use"):
        pool.free(numpy.arange(8))
    with pytest.raises(ValueError, match="whole pages"):
        pool.free(numpy.arange(1, 9))


def test_no_tokens_take_no_slots():
    pool = kv_pool.HostKvPool(64, 8, SHAPE, pages="off")
    slots = pool.alloc(0)
    assert slots.dtype == numpy.int64 and len(slots) == pool.free(slots) == 0
    assert pool.available_size() == 64
    with pytest.raises(ValueError, match="-8 tokens"):
        pool.alloc(-8)


def test_slots_that_are_named_twice_are_refused_and_nothing_is_freed():
    pool = kv_pool.HostKvPool(64, 8, SHAPE, pages="off")
    slots = pool.alloc(16)
    with pytest.raises(ValueError, match=r"pages \[0\] are named twice"):
        pool.free(numpy.concatenate([slots, slots[:8]]))
    assert pool.available_size() == 48
    assert pool.free(slots) == 16


def test_addresses_are_those_of_the_views():
    pool = kv_pool.HostKvPool(64, 8, SHAPE, pages="off")
    slots = pool.alloc(16)
    pages = [pool.page(int(slot) // 8) for slot in slots[::8]]
    assert pool.addresses(slots) == [page.ctypes.data for page in pages]


def test_torch_sees_the_pages():
    pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    pool = kv_pool.HostKvPool(64, 8, SHAPE, pages="off")
    slots = pool.alloc(8)
    tensor = pool.tensor()
    tensor[int(slots[0]) // 8].fill_(2.0)
    assert tensor.shape == (8, 2, 2, 8, 2, 8)
    assert float(pool.read(slots).sum()) == 2.0 * 2 * 2 * 8 * 2 * 8


def test_memory_objects_count_references():
    allocator = memory_objects.MemoryAllocator(1 << 20, pages="off")
    memory = allocator.allocate((4, 1024), "float32")
    assert (memory.get_size(), memory.get_shape(), memory.get_ref_count()) == (16384, (4, 1024), 1)
    assert memory.data_ptr % memory_objects.ALIGN == 0 == memory.data_ptr - memory.array.ctypes.data
    memory.array[:] = 1.0
    assert bytes(memory.byte_array[:4]) == numpy.float32(1.0).tobytes()
    assert memory.can_evict
    memory.ref_count_up()
    assert not memory.can_evict
    memory.ref_count_down()
    assert memory.pin() and memory.is_pinned and not memory.can_evict
    assert memory.unpin() and not memory.unpin()
    memory.ref_count_down()
    assert not memory.is_valid() and allocator.used_bytes() == 0
    for call in (memory.ref_count_up, memory.ref_count_down, lambda: memory.array):
        with pytest.raises(ValueError, match="freed"):
            call()


def test_a_pinned_object_stays_until_it_is_unpinned():
    allocator = memory_objects.MemoryAllocator(1 << 20, pages="off")
    memory = allocator.allocate((4096,))
    memory.array[:] = 7
    assert memory.pin() and memory.pin()
    memory.ref_count_down()
    assert memory.unpin()
    assert memory.is_valid() and int(memory.array.sum()) == 7 * 4096
    assert memory.unpin()
    assert not memory.is_valid() and allocator.used_bytes() == 0
    assert not memory.unpin()


def test_memory_objects_have_the_types_of_torch():
    torch = pytest.importorskip("torch", reason="torch is not installed", exc_type=ImportError)
    allocator = memory_objects.MemoryAllocator(1 << 20, pages="off")
    memory = allocator.allocate(torch.Size([3, 5]), torch.bfloat16, "KV_T2D")
    memory.tensor.fill_(2.0)
    assert (memory.tensor.dtype, memory.tensor.shape) == (torch.bfloat16, (3, 5))
    assert memory.get_size() == 30 and memory.get_memory_format() == "KV_T2D"
    assert memory.tensor.data_ptr() == memory.data_ptr and float(memory.tensor.sum()) == 30.0
    with pytest.raises(TypeError, match="bfloat16"):
        memory.array
    half = allocator.allocate((8,), torch.half)
    half.tensor.fill_(1.5)
    assert half.array.dtype == numpy.float16 and float(half.array.sum()) == 12.0
    allocator.batched_free([memory, half])
    assert memory.tensor is None and half.tensor is None
    allocator.free(memory)
    assert allocator.used_bytes() == 0


def test_a_memory_object_has_several_shapes():
    allocator = memory_objects.MemoryAllocator(1 << 20, pages="off")
    memory = allocator.allocate([(2, 3), [5], ()], ["float32", "uint8", "int16"])
    assert memory.get_shapes() == [(2, 3), (5,), ()] and memory.get_shape() == (2, 3)
    assert memory.get_dtypes() == [numpy.dtype(one) for one in ["float32", "uint8", "int16"]]
    assert memory.get_size() == 24 + 5 + 2
    for index in range(3):
        memory.get_array(index)[...] = index + 1
    expected = numpy.ones(6, "float32").tobytes() + bytes([2] * 5) + numpy.int16(3).tobytes()
    assert bytes(memory.byte_array) == expected
    assert allocator.allocate([(2,), (3,)], "float32").get_size() == 20
    assert allocator.allocate([]).get_shapes() == [()]
    with pytest.raises(ValueError, match="2 types for 1 shapes"):
        allocator.allocate([(2,)], ["uint8", "uint8"])


def test_a_batch_is_all_or_none():
    allocator = memory_objects.MemoryAllocator(1 << 20, pages="off")
    batch = allocator.batched_allocate((64 << 10,), "uint8", 16)
    assert len({memory.data_ptr for memory in batch}) == 16
    assert allocator.allocate((1,)) is None
    allocator.batched_free(batch[:2])
    assert allocator.batched_allocate((64 << 10,), "uint8", 3) is None
    assert len(allocator.batched_allocate((64 << 10,), "uint8", 2)) == 2
    assert allocator.memcheck()


def test_replay_finds_more_in_a_larger_store_and_everything_in_one_that_has_it_all():
    trace = list(replay.made_up(400))
    blocks = sum(len(prompt) for prompt in trace)
    distinct = len({block for prompt in trace for block in prompt})
    small, large = (
        replay.replay(trace, capacity * replay.BLOCK_BYTES)["hit_rate"]
        for capacity in (distinct // 20, distinct)
    )
    assert small < large == 1 - distinct / blocks
    assert replay.sweep(trace, [0.05], ["lru"]) == replay.sweep(trace, [0.05], ["lru"])


def test_replay_reads_traces_and_plots(tmp_path, monkeypatch, capsys):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    trace = tmp_path / "trace.jsonl"
    lines = [json.dumps({"hash_ids": prompt}) for prompt in replay.made_up(100)]
    trace.write_text("\n".join(lines))
    plot = tmp_path / "plot.svg"
    monkeypatch.setattr(sys, "argv", ["replay", "--trace", str(trace), "--out", str(plot)])
    replay.main()
    assert "auto" in capsys.readouterr().out
    assert "<svg" in plot.read_text()
    trace.write_text(lines[0] + "\nnone\n")
    with pytest.raises(ValueError, match="trace.jsonl:2"):
        list(replay.read(trace))
