"""Runs tests of LMCache on the allocator in examples/python.

python adopters.py ARCHIVE DIRECTORY

ARCHIVE is the source archive of LMCache that PyPI has. The functions that are named below are taken out of
its test file with their checks, written to the directory, and given the class of the example; the
rest of that file is of the engine's own classes, needs a device, or reserves huge pages.
It needs mc_alloc, PyTorch and pytest.
"""

from __future__ import annotations

import ast
import sys
import tarfile
from pathlib import Path
from typing import Any, List

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "examples" / "python"))

import memory_objects  # noqa: E402

TEST_FILE = "tests/v1/test_memory_management.py"

# What is taken out of it.
HELPERS = ["check_allocator", "check_paged_allocator"]
TESTS = ["test_device_allocators", "test_inplace_modification", "test_boundary_alloc", "test_batched_alloc"]
CLASS = "TestLazyMemoryAllocator"

# Of the class: the fixture whose place is taken below, and tests of an argument that the example has not.
FIXTURE = "lazy_allocator_cls"
NOT_OFFERED = ["test_buffer_base_is_aligned", "test_rejects_align_bytes_that_is_not_a_power_of_two"]

# The class of the engine that the example stands for; tests take it from lists of several.
STOOD_FOR = "HostMemoryAllocator"

HEAD = f"""
import threading
import time

import pytest
import torch

from adopters import Adapter, MemoryFormat

{STOOD_FOR} = Adapter


@pytest.fixture
def {FIXTURE}():
    return Adapter
"""


class Adapter(memory_objects.MemoryAllocator):
    """The allocator with the arguments of the engine's: its pages and its growth are not needed."""

    def __init__(self, size: int = 0, final_size: int = 0, **_: Any) -> None:
        super().__init__(size or final_size, pages="off")


class Names:
    """An enumeration whose values are asked for and given back, and say nothing here."""

    def __getattr__(self, name: str) -> str:
        return name


MemoryFormat = Names()


class StandIn(ast.NodeTransformer):
    """Leaves one class in the lists of those that a test is run with."""

    def visit_List(self, node: ast.List) -> ast.List:
        kept = [one for one in node.elts if isinstance(one, ast.Name) and one.id == STOOD_FOR]
        return ast.List(kept, node.ctx) if kept else node


def named(nodes: List[ast.stmt], name: str) -> Any:
    found = [node for node in nodes if getattr(node, "name", None) == name]
    if len(found) != 1:
        sys.exit(f"{TEST_FILE} has {len(found)} of {name}, and this needs 1: is it another release?")
    return found[0]


def extract(source: str) -> str:
    """Returns a test file of what is taken out of another."""
    nodes = ast.parse(source).body
    tests = [StandIn().visit(named(nodes, name)) for name in HELPERS + TESTS]
    lazy = named(nodes, CLASS)
    left_out = [named(lazy.body, name) for name in [FIXTURE, *NOT_OFFERED]]
    lazy.body = [node for node in lazy.body if node not in left_out]
    # They say that a device is needed, which the example does not.
    lazy.decorator_list = []
    module = ast.Module([*tests, lazy], type_ignores=[])
    return HEAD + ast.unparse(ast.fix_missing_locations(module)) + "\n"


def main(archive: str, directory: str) -> int:
    with tarfile.open(archive) as files:
        members = [name for name in files.getnames() if name.split("/", 1)[-1] == TEST_FILE]
        file = files.extractfile(members[0]) if members else None
        if file is None:
            sys.exit(f"{archive} has no {TEST_FILE}")
        source = file.read().decode()
    tests = Path(directory) / "test_lmcache.py"
    tests.write_text(extract(source))
    for name in NOT_OFFERED:
        print(f"not run: {name}, as the example has no such argument")
    sys.path.insert(0, str(Path(__file__).parent))
    return int(pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", directory, str(tests)]))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
