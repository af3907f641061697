"""Memory that is mapped once: pools of this process, and views of shared pools of another."""

from __future__ import annotations

import os
from multiprocessing import reduction
from typing import Any, Optional, Union

from mc_alloc._errors import Error
from mc_alloc._native import Buffer, MappedPool, MappedView


class Pool(Buffer):
    """One large mapping, in huge pages where they can be had.

    `pages` is prefer, required, both optionally with a page size as in prefer:2Mi, transparent or off.
    `file` keeps the bytes in a file, in tmpfs or hugetlbfs for example, where the next pool of that name
    finds them; one pool has it at a time. `populate` is eager, background or lazy. A `shared` pool is
    pickled to a child that was spawned as a SharedView.

    The pool is a buffer of all of its bytes. It can be given away once: to an Arena, or to the segments
    of stores. A view of it shows what those write; do not write where they do.

    >>> pool = Pool(1 << 20, pages="off")
    >>> pool.size, len(memoryview(pool)), pool.tier
    (1048576, 1048576, 'base pages')
    """

    _mapped: MappedPool

    def __new__(
        cls,
        size: int,
        pages: str = "prefer",
        file: Union[str, "os.PathLike[str]", None] = None,
        *,
        populate: str = "eager",
        shared: bool = False,
    ) -> "Pool":
        mapped = MappedPool(size, pages, file, populate, shared)
        pool = super().__new__(cls, mapped.memory())
        pool._mapped = mapped
        return pool

    @property
    def tier(self) -> str:
        """The pages that were obtained, in words."""
        return self._mapped.tier

    @property
    def page_bytes(self) -> int:
        """Bytes of the pages that the size is a multiple of."""
        return self._mapped.page_bytes

    @property
    def epoch(self) -> Optional[int]:
        """The incarnation of the bytes in a file: the same as long as they are those last written."""
        return self._mapped.epoch

    @property
    def is_kept(self) -> bool:
        """Whether the bytes are those that an earlier pool has left in the file."""
        return self._mapped.is_kept

    @property
    def descriptor(self) -> Optional[int]:
        """The file descriptor of a shared pool, which a SharedView of another process is made of."""
        return self._mapped.descriptor

    def __repr__(self) -> str:
        return f"<mc_alloc.Pool of {self.size} bytes in {self.tier}>"

    def __reduce__(self) -> Any:
        descriptor = self.descriptor
        if descriptor is None:
            raise Error("a private pool stays in its process; make it with shared=True")
        return _view_of_duplicate, (reduction.DupFd(descriptor),)


class SharedView:
    """The shared pool of another process, to be read.

    `descriptor` is a file descriptor of the pool, or a path such as /proc/PID/fd/N. The owner may write
    at any moment, and a copy taken meanwhile mixes old and new bytes: agree on what is complete outside
    the pool.
    """

    def __init__(self, descriptor: Union[int, str, "os.PathLike[str]"]) -> None:
        if isinstance(descriptor, int):
            descriptor = f"/proc/self/fd/{descriptor}"
        self._mapped = MappedView(descriptor)

    @property
    def size(self) -> int:
        """Bytes of the pool."""
        return self._mapped.size

    def read(self, offset: int, size: int) -> bytes:
        """Returns a copy of `size` bytes from `offset` on."""
        return self._mapped.read(offset, size)

    def __repr__(self) -> str:
        return f"<mc_alloc.SharedView of {self.size} bytes>"


def _view_of_duplicate(duplicate: Any) -> SharedView:
    """Opens what a pickled pool has become, in the process that gets it."""
    descriptor = duplicate.detach()
    try:
        return SharedView(descriptor)
    finally:
        os.close(descriptor)
