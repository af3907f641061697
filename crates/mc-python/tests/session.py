"""Runs the session of the README, with nothing but the package installed.

python session.py
"""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def session() -> str:
    """Returns the code of the README."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    assert blocks, "the README has no session"
    return "\n".join(blocks)


if __name__ == "__main__":
    exec(compile(session(), str(README), "exec"), {"__name__": "session"})
