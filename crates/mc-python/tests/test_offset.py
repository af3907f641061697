"""OffsetAllocator: places, errors with numbers, restoring, and what collecting does."""

import gc
import pickle

import mc_alloc
import pytest
from mc_alloc import OffsetAllocator


def test_arguments_have_names_and_defaults():
    allocator = OffsetAllocator(1000)
    assert (allocator.capacity, allocator.base) == (1000, 0)
    allocator = OffsetAllocator(
        capacity=4096, base=1 << 20, fit="bin-ceil", granule=64, max_allocations=3
    )
    first = allocator.allocate(size=65, align=256)
    assert (first.offset % 256, first.address, first.size) == (0, (1 << 20) + first.offset, 65)
    assert allocator.report()["charged_bytes"] >= 128


@pytest.mark.parametrize("fit", ["adaptive", "good", "good:1", "bin-exact", "bin-ceil"])
def test_every_fit_fills_an_untouched_range_from_its_low_end(fit):
    allocator = OffsetAllocator(1 << 20, fit=fit)
    places = [allocator.allocate(1024) for _ in range(8)]
    assert [place.offset for place in places] == list(range(0, 8192, 1024))


def test_a_refusal_has_numbers():
    allocator = OffsetAllocator(100)
    first, second, third = (allocator.allocate(30) for _ in range(3))
    second.free()
    with pytest.raises(mc_alloc.NoSpace) as refusal:
        allocator.allocate(40)
    error = refusal.value
    assert (error.asked, error.free, error.largest_hole) == (40, 40, 30)
    assert isinstance(error, mc_alloc.Error)
    assert "40" in str(error)
    with pytest.raises(mc_alloc.NoSpace) as refusal:
        allocator.allocate(101)
    assert (refusal.value.asked, refusal.value.free) == (101, 40)


def test_the_limit_on_allocations_is_a_refusal_with_the_limit():
    allocator = OffsetAllocator(100, max_allocations=1)
    kept = allocator.allocate(1)
    with pytest.raises(mc_alloc.LimitReached) as refusal:
        allocator.allocate(1)
    assert (refusal.value.limit, refusal.value.asked, refusal.value.free) == (1, 1, 99)
    assert isinstance(refusal.value, mc_alloc.NoSpace)
    assert kept.offset == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda: OffsetAllocator(0),
        lambda: OffsetAllocator(100, granule=0),
        lambda: OffsetAllocator(100, granule=64),
        lambda: OffsetAllocator(100, fit="first"),
        lambda: OffsetAllocator(100, fit="good:0"),
        lambda: OffsetAllocator(100, base=(1 << 64) - 1),
        lambda: OffsetAllocator(100).allocate(0),
        lambda: OffsetAllocator(100).allocate(1, align=3),
        lambda: OffsetAllocator(100).allocate_at(99, 2),
        lambda: OffsetAllocator(100).allocate_many([1, 0]),
        lambda: OffsetAllocator(100).restore([(0, 0)]),
        lambda: OffsetAllocator(100).restore([(0, 10), (9, 10)]),
    ],
)
def test_what_makes_no_sense_is_a_value_error(call):
    with pytest.raises(mc_alloc.InvalidArgument) as refusal:
        call()
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, mc_alloc.Error)


@pytest.mark.parametrize("size", [-1, 1 << 64])
def test_numbers_that_are_no_sizes_overflow(size):
    with pytest.raises(OverflowError):
        OffsetAllocator(100).allocate(size)


def test_a_number_of_too_many_digits_to_print_overflows_as_any_other(capfd):
    for size in (10**5000, -(10**5000)):
        with pytest.raises(OverflowError, match="is out of range; whole numbers"):
            OffsetAllocator(100).allocate(size)
    assert capfd.readouterr().err == ""


def test_collecting_frees():
    allocator = OffsetAllocator(100)
    place = allocator.allocate(100)
    del place
    gc.collect()
    assert allocator.report()["free_bytes"] == 100


def test_an_allocation_is_freed_once():
    allocator = OffsetAllocator(100)
    place = allocator.allocate(100)
    place.free()
    assert place.is_free
    again = allocator.allocate(100)
    with pytest.raises(mc_alloc.Error, match="freed already"):
        place.free()
    del place
    gc.collect()
    assert allocator.report()["free_bytes"] == 0
    assert again.size == 100


def test_an_allocation_outlives_its_allocator():
    place = OffsetAllocator(100, base=7).allocate(50)
    gc.collect()
    assert (place.offset, place.address, place.size) == (0, 7, 50)
    place.free()


def test_allocate_at_says_what_is_in_the_way():
    allocator = OffsetAllocator(100)
    first = allocator.allocate_at(10, 20)
    assert (first.offset, first.size) == (10, 20)
    with pytest.raises(mc_alloc.Occupied) as refusal:
        allocator.allocate_at(25, 10)
    assert (refusal.value.offset, refusal.value.size) == (10, 20)
    assert (refusal.value.asked, refusal.value.free) == (10, 80)


def test_entries_are_tuples_or_lists_and_what_is_none_is_named():
    allocator = OffsetAllocator(100)
    assert [place.offset for place in allocator.restore([[50, 10], (0, 10)])] == [50, 0]
    for entries, error, words in (
        ([(0, 10), (-3, 5)], OverflowError, "-3 is out of range"),
        ([(0, 10), (1 << 64, 5)], OverflowError, "18446744073709551616 is out of range"),
        ([(0, 10), (20, 5, 6)], mc_alloc.InvalidArgument, "entry 1 has 3 elements"),
        ([(0, 10), 20], TypeError, "int"),
        ("ab", TypeError, "a text where a list is needed"),
    ):
        with pytest.raises(error, match=words):
            allocator.restore(entries)
    assert allocator.report()["allocation_count"] == 0


def test_a_list_may_say_that_it_has_more_than_memory_holds():
    allocator = OffsetAllocator(100)
    for call in (allocator.allocate_many, allocator.restore, allocator.free_many):
        for length in (1 << 45, 1 << 62):
            with pytest.raises(MemoryError, match=f"a list of {length} elements"):
                call(range(length))


def test_free_many_frees_nothing_if_one_is_no_allocation():
    allocator = OffsetAllocator(100)
    place = allocator.allocate(10)
    with pytest.raises(TypeError):
        allocator.free_many([place, 5])
    assert not place.is_free and allocator.report()["allocation_count"] == 1


def test_restore_gives_the_entries_back_in_their_order():
    entries = [(60, 10), (0, 5), (30, 20)]
    allocator = OffsetAllocator(100, base=1000)
    places = allocator.restore(entries)
    assert [(place.offset, place.size) for place in places] == entries
    assert [place.address for place in places] == [1060, 1000, 1030]
    assert allocator.report()["live_bytes"] == 35
    allocator.check_invariants()
    with pytest.raises(mc_alloc.Error, match="3 allocations are live"):
        allocator.restore([])
    del places
    assert allocator.report()["free_bytes"] == 100


def test_a_generator_of_entries_may_ask_the_allocator():
    allocator = OffsetAllocator(1000, base=1 << 20)
    addresses = [(1 << 20) + 100, 1 << 20]
    kept = allocator.restore((address - allocator.base, 50) for address in addresses)
    assert [place.address for place in kept] == addresses


def test_a_list_that_does_not_fit_is_refused_by_name_and_changes_nothing():
    allocator = OffsetAllocator(100)
    with pytest.raises(mc_alloc.InvalidArgument, match="entry 1"):
        allocator.restore([(0, 10), (95, 10)])
    assert allocator.report()["free_bytes"] == 100
    assert allocator.allocate(100).offset == 0


def test_many_are_all_or_none():
    allocator = OffsetAllocator(100)
    places = allocator.allocate_many([10, 20, 30])
    assert [place.size for place in places] == [10, 20, 30]
    with pytest.raises(mc_alloc.NoSpace):
        allocator.allocate_many([10, 50])
    assert allocator.report()["live_bytes"] == 60
    with pytest.raises(mc_alloc.NoSpace):
        allocator.allocate_many([8, 8, 64], align=8)
    assert allocator.report()["live_bytes"] == 60
    allocator.free_many(places)
    assert allocator.report()["free_bytes"] == 100
    with pytest.raises(mc_alloc.Error, match="freed already"):
        allocator.free_many(places)
    aligned = allocator.allocate_many([1, 1, 1], align=16)
    assert [place.offset for place in aligned] == [0, 16, 32]


def test_report_is_a_dict_of_numbers():
    report = OffsetAllocator(1000).report()
    assert report["capacity"] == report["free_bytes"] == report["largest_hole"] == 1000
    assert all(isinstance(value, (int, float)) for value in report.values())


def test_errors_travel_between_processes():
    for error in [
        mc_alloc.NoSpace(1, 2, 3),
        mc_alloc.LimitReached(1, 2, 3, 4),
        mc_alloc.Occupied(1, 2, 3, 4, 5),
        mc_alloc.Exists(b"k", True),
        mc_alloc.Leased(b"k"),
        mc_alloc.Pinned(b"k"),
        mc_alloc.QuotaExceeded("t", 1, 2, 3),
        mc_alloc.Unreadable("why", 7),
        mc_alloc.OtherProcess("why", 1, 2),
    ]:
        same = pickle.loads(pickle.dumps(error))
        assert (type(same), same.args, str(same)) == (type(error), error.args, str(error))
        assert vars(same) == vars(error)
