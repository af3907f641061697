"""The stubs: checkers accept a program that uses them, refuse one that misuses them, and they agree with
what is there."""

import subprocess
import sys
from pathlib import Path

import mc_alloc
import pytest
from typed import run

HERE = Path(__file__).parent
PACKAGE = Path(mc_alloc.__file__).parent
EXAMPLES = Path(__file__).parents[3] / "examples" / "python"

pytest.importorskip("mypy", reason="mypy is not installed")


def checker(*arguments, cwd):
    command = [sys.executable, "-m", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True)


def test_a_typed_program_runs_and_is_accepted(tmp_path):
    assert run() == 1 + 3 + 10 + 8
    checked = checker("mypy", "--strict", str(HERE / "typed.py"), cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


def test_the_package_itself_is_accepted(tmp_path):
    checked = checker("mypy", "--strict", "--package", "mc_alloc", cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are not beside these tests")
def test_the_examples_are_accepted(tmp_path):
    examples = sorted(str(path) for path in EXAMPLES.glob("*.py"))
    assert examples
    # Few machines have PyTorch.
    checked = checker("mypy", "--strict", "--ignore-missing-imports", *examples, cwd=tmp_path)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    "line",
    [
        "mc_alloc.Store().remove(b'k', mode='gently')",
        "mc_alloc.Store().get(5)",
        "mc_alloc.Store().get(b'k').read()",
        "mc_alloc.OffsetAllocator('many')",
        "mc_alloc.Pool(1 << 20).tier = 'x'",
    ],
)
def test_misuse_is_refused(tmp_path, line):
    (tmp_path / "misuse.py").write_text(f"import mc_alloc\n\n{line}\n")
    checked = checker("mypy", "--strict", "misuse.py", cwd=tmp_path)
    assert checked.returncode == 1, checked.stdout


def test_stubs_agree_with_what_is_there(tmp_path):
    checked = checker(
        "mypy.stubtest",
        "mc_alloc",
        "--allowlist",
        str(HERE / "stubtest.txt"),
        "--ignore-unused-allowlist",
        cwd=tmp_path,
    )
    assert checked.returncode == 0, checked.stdout
