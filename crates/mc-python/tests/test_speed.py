"""The program that measures speed runs; its figures are for people, as machines differ."""

from speed import measure


def test_everything_that_is_promised_is_measured():
    results = measure(2000)
    assert {"allocate, collected", "get_many, each (auto)", "exists"} <= set(results)
    assert all(microseconds > 0 for microseconds in results.values())
