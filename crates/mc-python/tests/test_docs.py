"""What is documented: examples run, every class and call has a docstring, and the README is true."""

import doctest
import importlib
import inspect
import sys
from pathlib import Path

import mc_alloc
import pytest
from session import session

PUBLIC = [getattr(mc_alloc, name) for name in mc_alloc.__all__ if not name.startswith("_")]


@pytest.mark.parametrize("thing", PUBLIC, ids=lambda thing: thing.__name__)
def test_examples_of_docstrings_run(thing):
    finder = doctest.DocTestFinder()
    tests = finder.find(thing, thing.__name__, module=False, globs={"mc_alloc": mc_alloc, **vars(mc_alloc)})
    runner = doctest.DocTestRunner()
    for test in tests:
        runner.run(test)
    assert runner.summarize(verbose=False).failed == 0


def test_the_larger_classes_have_examples():
    for thing in (mc_alloc.Pool, mc_alloc.Arena, mc_alloc.OffsetAllocator, mc_alloc.Store, mc_alloc.Buffer):
        assert ">>> " in thing.__doc__, thing


def test_everything_public_has_a_docstring():
    for thing in PUBLIC:
        assert thing.__doc__, thing
        for name, member in vars(thing).items():
            if not name.startswith("_") and (callable(member) or inspect.isdatadescriptor(member)):
                assert inspect.getdoc(member), f"{thing.__name__}.{name}"


def test_the_session_of_the_readme_runs():
    exec(compile(session(), "README.md", "exec"), {})


def test_the_package_is_typed_and_the_versions_agree():
    root = Path(mc_alloc.__file__).parent
    assert (root / "py.typed").exists() and (root / "_native.pyi").exists()
    if sys.version_info >= (3, 8):
        version = importlib.import_module("importlib.metadata").version("mc-alloc")
        assert mc_alloc.__version__ == version
