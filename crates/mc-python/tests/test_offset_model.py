"""Random programs of OffsetAllocator against a map of what must be live."""

import gc

import mc_alloc
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

CAPACITY = 4096


class Offsets(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.allocator = mc_alloc.OffsetAllocator(CAPACITY)
        self.live = {}

    def has_hole(self, size, align=1):
        """Says whether some gap of the map takes a request."""
        ends = sorted((place.offset, place.offset + place.size) for place in self.live.values())
        start = 0
        for begin, end in [*ends, (CAPACITY, CAPACITY)]:
            aligned = -(-start // align) * align
            if aligned + size <= begin:
                return True
            start = end
        return False

    def enter(self, place):
        for other in self.live.values():
            assert place.offset + place.size <= other.offset or other.offset + other.size <= place.offset
        assert place.offset + place.size <= CAPACITY
        self.live[id(place)] = place

    @rule(size=st.integers(1, 1500), align=st.sampled_from([1, 1, 8, 64]))
    def allocate(self, size, align):
        try:
            place = self.allocator.allocate(size, align)
        except mc_alloc.NoSpace as refusal:
            assert not self.has_hole(size, align)
            assert refusal.asked == size
            assert refusal.free == CAPACITY - sum(place.size for place in self.live.values())
            return
        assert (place.size, place.offset % align) == (size, 0)
        self.enter(place)

    @rule(offset=st.integers(0, CAPACITY - 1), size=st.integers(1, 600))
    def allocate_at(self, offset, size):
        overlaps = any(
            offset < place.offset + place.size and place.offset < offset + size
            for place in self.live.values()
        )
        try:
            place = self.allocator.allocate_at(offset, size)
        except mc_alloc.Occupied as refusal:
            assert overlaps
            assert any(place.offset == refusal.offset for place in self.live.values())
        except mc_alloc.InvalidArgument:
            assert offset + size > CAPACITY
        else:
            assert not overlaps
            assert (place.offset, place.size) == (offset, size)
            self.enter(place)

    @rule(sizes=st.lists(st.integers(1, 500), max_size=6))
    def allocate_many(self, sizes):
        before = self.allocator.report()["live_bytes"]
        try:
            places = self.allocator.allocate_many(sizes)
        except mc_alloc.NoSpace:
            assert self.allocator.report()["live_bytes"] == before
            return
        assert [place.size for place in places] == sizes
        for place in places:
            self.enter(place)

    @precondition(lambda self: self.live)
    @rule(data=st.data(), way=st.sampled_from(["free", "collect", "many"]))
    def free(self, data, way):
        key = data.draw(st.sampled_from(sorted(self.live, key=lambda key: self.live[key].offset)))
        place = self.live.pop(key)
        if way == "free":
            place.free()
        elif way == "many":
            self.allocator.free_many([place])
        del place

    @precondition(lambda self: self.live)
    @rule()
    def restore(self):
        entries = [(place.offset, place.size) for place in self.live.values()]
        self.allocator = mc_alloc.OffsetAllocator(CAPACITY)
        places = self.allocator.restore(entries)
        assert [(place.offset, place.size) for place in places] == entries
        self.live = {id(place): place for place in places}

    @invariant()
    def sums_agree(self):
        report = self.allocator.report()
        assert report["live_bytes"] == sum(place.size for place in self.live.values())
        assert report["allocation_count"] == len(self.live)
        self.allocator.check_invariants()

    def teardown(self):
        self.live.clear()
        gc.collect()
        assert self.allocator.report()["free_bytes"] == CAPACITY


Offsets.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestOffsets = Offsets.TestCase
