"""Places objects in a segment of 1 GiB from Python, with nothing but ctypes.

python3 segment.py [path of libmc_alloc.so]
"""

from __future__ import annotations

import ctypes
import sys
from ctypes import POINTER, Structure, byref, c_char_p, c_int, c_uint32, c_uint64
from typing import Optional

NO_SPACE = 4


class Offset(Structure):
    """The handle of an allocator, mc_offset."""

    _fields_ = [("id", c_uint64)]


class Options(Structure):
    """mc_offset_options."""

    _fields_ = [
        ("base", c_uint64),
        ("capacity", c_uint64),
        ("granule", c_uint64),
        ("fit", c_uint32),
        ("probes", c_uint32),
        ("max_allocations", c_uint32),
        ("reserved", c_uint32),
    ]


class Token(Structure):
    """One allocation, mc_token."""

    _fields_ = [("offset", c_uint64), ("size", c_uint64), ("serial", c_uint64), ("check", c_uint64)]


def load(path: str) -> ctypes.CDLL:
    """Loads the library and declares what this program calls."""
    library = ctypes.CDLL(path)
    signatures = {
        "mc_version": (c_char_p, []),
        "mc_error_message": (c_char_p, []),
        "mc_offset_options_default": (Options, [c_uint64, c_uint64]),
        "mc_offset_create": (c_int, [POINTER(Options), POINTER(Offset)]),
        "mc_offset_destroy": (c_int, [Offset]),
        "mc_offset_allocate": (c_int, [Offset, c_uint64, POINTER(Token)]),
        "mc_offset_free": (c_int, [Offset, Token]),
        "mc_offset_largest_hole": (c_int, [Offset, POINTER(c_uint64)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class Segment:
    """An offset allocator whose failures are exceptions."""

    def __init__(self, library: ctypes.CDLL, capacity: int) -> None:
        self._library = library
        self._handle = Offset()
        options = library.mc_offset_options_default(0, capacity)
        self._check(library.mc_offset_create(byref(options), byref(self._handle)))

    def allocate(self, size: int) -> Optional[Token]:
        """Returns a token, or None if no hole fits."""
        token = Token()
        status = self._library.mc_offset_allocate(self._handle, size, byref(token))
        if status == NO_SPACE:
            return None
        self._check(status)
        return token

    def free(self, token: Token) -> None:
        self._check(self._library.mc_offset_free(self._handle, token))

    def largest_hole(self) -> int:
        largest = c_uint64()
        self._check(self._library.mc_offset_largest_hole(self._handle, byref(largest)))
        return largest.value

    def close(self) -> None:
        self._check(self._library.mc_offset_destroy(self._handle))

    def _check(self, status: int) -> None:
        if status != 0:
            raise RuntimeError(self._library.mc_error_message().decode())


def main() -> None:
    library = load(sys.argv[1] if len(sys.argv) > 1 else "libmc_alloc.so")
    segment = Segment(library, 1 << 30)
    live = []
    while (token := segment.allocate(3_274_752)) is not None:
        live.append(token)
    assert len(live) == (1 << 30) // 3_274_752
    print(f"mc_alloc {library.mc_version().decode()}: {len(live)} objects,", end=" ")
    print(f"largest hole {segment.largest_hole()} bytes")

    segment.free(live[0])
    try:
        segment.free(live[0])
    except RuntimeError as error:
        print("freed twice:", error)
    else:
        raise AssertionError("a token frees once")
    segment.close()


if __name__ == "__main__":
    main()
