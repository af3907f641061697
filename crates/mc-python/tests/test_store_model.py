"""Random programs of Store against a dictionary of what was put."""

import gc

import mc_alloc
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

CAPACITY = 1 << 16
KEYS = st.sampled_from([b"%d" % number for number in range(12)])
PARTS = st.one_of(st.integers(1, CAPACITY // 3), st.lists(st.integers(1, CAPACITY // 9), min_size=1, max_size=3))


class Objects(RuleBasedStateMachine):
    """The store may let any object leave that nobody uses; what it has is what was put."""

    def __init__(self):
        super().__init__()
        self.put_bytes = {}
        self.leases = []
        self.pinned = set()
        self.writes = 0

    @initialize(policy=st.sampled_from(["auto", "lru", "tail-first", "s3-fifo", "gdsf", "reuse-age"]))
    def make(self, policy):
        self.clock = mc_alloc.ManualClock()
        self.store = mc_alloc.Store(policy=policy, clock=self.clock)
        self.pool = mc_alloc.Pool(CAPACITY, pages="off")
        self.store.mount(1, CAPACITY, memory=self.pool)

    def in_use(self, key):
        return key in self.pinned or any(lease.key == key for lease in self.leases)

    @rule(key=KEYS, parts=PARTS, ends=st.sampled_from(["commit", "raise"]))
    def put(self, key, parts, ends):
        self.writes += 1
        size = sum(parts) if isinstance(parts, list) else parts
        data = bytes([self.writes % 251]) * size
        try:
            with self.store.put(key, parts) as put:
                put.write(data)
                if ends == "raise":
                    raise KeyboardInterrupt
        except mc_alloc.Exists:
            assert self.store.exists(key)
            return
        except mc_alloc.NoSpace as refusal:
            held = {lease.key for lease in self.leases} | self.pinned
            assert held and refusal.asked == size
            return
        except KeyboardInterrupt:
            assert not self.store.exists(key)
            return
        self.put_bytes[key] = data

    @rule(key=KEYS)
    def get(self, key):
        lease = self.store.get(key)
        assert (lease is not None) == self.store.exists(key)
        if lease is not None:
            assert lease.read() == self.put_bytes[key]
            if len(self.leases) < 2:
                self.leases.append(lease)

    @rule(keys=st.lists(KEYS, max_size=5))
    def get_many(self, keys):
        leases = self.store.get_many(keys)
        assert [lease.key for lease in leases] == keys[: len(leases)]
        if len(leases) < len(keys):
            assert not self.store.exists(keys[len(leases)])
        for lease in leases:
            assert lease.read() == self.put_bytes[lease.key]

    @rule(collects=st.booleans())
    def release(self, collects):
        if self.leases:
            lease = self.leases.pop(0)
            if not collects:
                lease.release()

    @rule(key=KEYS, pins=st.booleans())
    def pin(self, key, pins):
        is_stored = self.store.exists(key)
        if pins and len(self.pinned) < 1:
            assert self.store.pin(key) == is_stored
            self.pinned |= {key} if is_stored else set()
        elif not pins:
            assert self.store.unpin(key) == is_stored
            self.pinned.discard(key)

    @rule(key=KEYS)
    def remove(self, key):
        is_stored = self.store.exists(key)
        try:
            assert self.store.remove(key) == is_stored
        except (mc_alloc.Leased, mc_alloc.Pinned):
            assert self.in_use(key)
        else:
            assert not is_stored or not self.in_use(key)
            assert not self.store.exists(key)

    @rule(seconds=st.floats(0, 100))
    def wait(self, seconds):
        self.clock.advance(seconds)

    @invariant()
    def what_is_used_stays(self):
        for lease in self.leases:
            assert lease.read() == self.put_bytes[lease.key]
        for key in self.pinned:
            assert self.store.exists(key)

    @invariant()
    def sums_agree(self):
        if not hasattr(self, "store"):
            return
        keys = self.store.keys()
        assert set(keys) <= set(self.put_bytes)
        stats = self.store.stats()
        assert stats["objects"] == len(keys)
        assert stats["live_bytes"] == sum(len(self.put_bytes[key]) for key in keys)
        self.store.check_invariants()

    def teardown(self):
        if hasattr(self, "store"):
            self.leases.clear()
            gc.collect()
            for key in self.store.keys():
                assert self.store.remove(key, "now")
            assert self.store.stats()["placed_bytes"] == 0


Objects.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestObjects = Objects.TestCase
