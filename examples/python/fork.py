"""Shows what a forked child of a Python program may do with buffers of its parent: nothing, and it is told so.

python3 fork.py [path of libmc_alloc.so]

multiprocessing forks by default on Linux before Python 3.14. A child gets buffers of its own; those of its
parent are not there, and freeing one is an error that leaves the child's memory alone.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from ctypes import POINTER, byref, c_char_p, c_int, c_size_t, c_void_p

OTHER_PROCESS = 15
BYTES = 1 << 20
OWN = 0x5A
MAP_FIXED_NOREPLACE = 0x100000


def load(path: str) -> ctypes.CDLL:
    """Loads the library and declares what this program calls."""
    library = ctypes.CDLL(path)
    signatures = {
        "mc_error_message": (c_char_p, []),
        "mc_buffer_allocate": (c_int, [c_size_t, c_size_t, POINTER(c_void_p)]),
        "mc_buffer_free": (c_int, [c_void_p]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


def allocate(library: ctypes.CDLL) -> c_void_p:
    buffer = c_void_p()
    status = library.mc_buffer_allocate(BYTES, 4096, byref(buffer))
    if status != 0:
        raise RuntimeError(library.mc_error_message().decode())
    return buffer


def own_memory_at(address: c_void_p) -> ctypes.Array[ctypes.c_ubyte]:
    """Maps memory of this process at an address that has to be vacant, as an allocator might."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = c_void_p
    libc.mmap.argtypes = [c_void_p, c_size_t, c_int, c_int, c_int, ctypes.c_long]
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
    mapped = libc.mmap(address, BYTES, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
    assert mapped == address.value, os.strerror(ctypes.get_errno())
    ctypes.memset(mapped, OWN, BYTES)
    return (ctypes.c_ubyte * BYTES).from_address(mapped)


def child(library: ctypes.CDLL, buffer: c_void_p) -> None:
    own = own_memory_at(buffer)
    assert library.mc_buffer_free(buffer) == OTHER_PROCESS
    print("in the child:", library.mc_error_message().decode(), flush=True)
    assert bytes(own) == bytes([OWN]) * BYTES, "the child keeps what it has there"

    mine = allocate(library)
    ctypes.memset(mine, 1, BYTES)
    assert library.mc_buffer_free(mine) == 0


def main() -> None:
    library = load(sys.argv[1] if len(sys.argv) > 1 else "libmc_alloc.so")
    buffer = allocate(library)
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            child(library, buffer)
            status = 0
        finally:
            os._exit(status)
    _, status = os.waitpid(pid, 0)
    assert status == 0, f"the child ended with {status}"
    ctypes.memset(buffer, 2, BYTES)
    assert library.mc_buffer_free(buffer) == 0
    print("in the parent: the buffer was there all along, and is freed")


if __name__ == "__main__":
    main()
