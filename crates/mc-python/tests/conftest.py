"""What several tests share."""

import mc_alloc
import pytest


@pytest.fixture
def clock() -> mc_alloc.ManualClock:
    return mc_alloc.ManualClock()


@pytest.fixture
def pool() -> mc_alloc.Pool:
    return mc_alloc.Pool(1 << 20, pages="off")


@pytest.fixture
def store(pool: mc_alloc.Pool) -> mc_alloc.Store:
    """A store over a pool of this process."""
    store = mc_alloc.Store()
    store.mount(1, pool.size, name="here", memory=pool)
    return store
