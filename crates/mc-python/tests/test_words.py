"""Words: those of Python are the constants of C."""

import re
from pathlib import Path

import mc_alloc
import pytest
from mc_alloc import OffsetAllocator, Store

HEADER = Path(__file__).parents[2] / "mc-capi" / "include" / "mc_alloc.h"
if not HEADER.exists():
    pytest.skip("the header of mc-capi is not beside these tests", allow_module_level=True)


def constants(prefix):
    """Returns the words of the constants that begin so."""
    names = re.findall(rf"^#define {prefix}(\w+) \d+$", HEADER.read_text(), re.MULTILINE)
    assert names, prefix
    return {name.lower().replace("_", "-") for name in names}


def accepted(call):
    """Returns the words that a refusal names."""
    with pytest.raises(mc_alloc.InvalidArgument) as refusal:
        call("no-such-word")
    _, _, words = str(refusal.value).partition(";")
    return set(re.findall(r"[a-z][a-z0-9-]+", words)) - {"there", "are", "and", "use", "or"}


@pytest.mark.parametrize(
    "prefix, call",
    [
        ("MC_FIT_", lambda word: OffsetAllocator(100, fit=word)),
        ("MC_POLICY_", lambda word: Store(policy=word)),
        ("MC_STRATEGY_", lambda word: Store(strategy=word)),
        ("MC_REMOVE_", lambda word: Store().remove(b"key", word)),
    ],
)
def test_every_constant_has_its_word_and_no_word_is_more(prefix, call):
    words = constants(prefix)
    for word in words:
        call(word)
    assert accepted(call) == words


def test_the_words_of_states_and_mountings_are_those_of_the_constants():
    states, mountings = constants("MC_SEGMENT_"), {"mounted", "already-mounted", "replaced"}
    store = Store()
    assert {store.mount(1, 100, epoch=epoch) for epoch in (1, 1, 2)} == mountings
    assert store.state(1) in states
    store.suspend(1)
    assert store.state(1) in states
    store.drain(1)
    assert store.state(1) in states
    store.finish_drain(1)
    assert store.state(1) in states
