"""Interpreters beside the first of a process: they do not get classes and exceptions of another."""

import subprocess
import sys

PROGRAM = """
import mc_alloc

try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters

other = interpreters.create()
try:
    refusal = interpreters.run_string(other, "import mc_alloc")
except Exception as error:
    refusal = error
print(refusal)
assert "ImportError" in str(refusal) and "mc_alloc" in str(refusal), refusal
interpreters.destroy(other)
try:
    mc_alloc.OffsetAllocator(10).allocate(11)
except mc_alloc.NoSpace:
    pass
"""


def test_another_interpreter_is_told_that_it_cannot_have_the_package():
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
