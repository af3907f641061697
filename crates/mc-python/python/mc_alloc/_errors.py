"""Exceptions, each with the numbers that a program needs to decide what to do next."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """What the package raises; its message says what was asked for and what stands in the way."""

    # Programs see the classes in the package.
    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        cls.__module__ = "mc_alloc"


Error.__module__ = "mc_alloc"


class InvalidArgument(Error, ValueError):
    """An argument that makes no sense, whatever the state."""


class NoSpace(Error):
    """No hole takes a request, and nothing that may leave makes one.

    >>> error = NoSpace(4096, 8192, 2048)
    >>> error.asked, error.free, error.largest_hole
    (4096, 8192, 2048)
    """

    def __init__(self, asked: int, free: int, largest_hole: int) -> None:
        super().__init__(asked, free, largest_hole)
        self.asked = asked
        """Bytes asked for."""
        self.free = free
        """Free bytes in all holes."""
        self.largest_hole = largest_hole
        """Bytes of the largest hole."""

    def __str__(self) -> str:
        return (
            f"no room for {self.asked} bytes: {self.free} are free, the largest hole has {self.largest_hole}"
        )


class LimitReached(NoSpace):
    """As many allocations are live as the allocator was made for."""

    def __init__(self, asked: int, free: int, largest_hole: int, limit: int) -> None:
        Exception.__init__(self, asked, free, largest_hole, limit)
        self.asked, self.free, self.largest_hole = asked, free, largest_hole
        self.limit = limit
        """Allocations that may be live at once."""

    def __str__(self) -> str:
        return f"no room for {self.asked} bytes: the limit of {self.limit} live allocations is reached"


class Occupied(NoSpace):
    """Another allocation has the bytes that were asked for by their offset."""

    def __init__(self, asked: int, free: int, largest_hole: int, offset: int, size: int) -> None:
        Exception.__init__(self, asked, free, largest_hole, offset, size)
        self.asked, self.free, self.largest_hole = asked, free, largest_hole
        self.offset = offset
        """Offset of the first allocation in the way."""
        self.size = size
        """Its bytes."""

    def __str__(self) -> str:
        return f"no room for {self.asked} bytes there: {self.size} bytes at offset {self.offset} are taken"


class Exists(Error):
    """The key is stored, or being put."""

    def __init__(self, key: bytes, in_flight: bool = False) -> None:
        super().__init__(key, in_flight)
        self.key = key
        self.in_flight = in_flight
        """Whether it is being put and not stored yet."""

    def __str__(self) -> str:
        return f"the key {self.key!r} is {'being put' if self.in_flight else 'stored'}"


class Leased(Error):
    """The object is leased and not removed."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"the object {self.key!r} is leased; release it, or remove it with detach or now"


class Pinned(Error):
    """The object is pinned and not removed."""

    def __init__(self, key: bytes) -> None:
        super().__init__(key)
        self.key = key

    def __str__(self) -> str:
        return f"the object {self.key!r} is pinned; unpin it, or remove it with now"


class QuotaExceeded(Error):
    """A tenant would have more bytes than it may."""

    def __init__(self, tenant: str, asked: int, used: int, most: int) -> None:
        super().__init__(tenant, asked, used, most)
        self.tenant = tenant
        self.asked = asked
        """Bytes asked for."""
        self.used = used
        """Bytes that the tenant has."""
        self.most = most
        """The most that it may have."""

    def __str__(self) -> str:
        return (
            f"{self.asked} bytes for tenant {self.tenant!r}, which has {self.used} of at most {self.most}"
        )


class Unreadable(Error):
    """The bytes are not in memory that this process reads, or are not those that were written."""

    def __init__(self, message: str, segment: Optional[int] = None) -> None:
        super().__init__(message, segment)
        self.message = message
        self.segment = segment
        """The segment, if it is one alone."""

    def __str__(self) -> str:
        return self.message


class OtherProcess(Error):
    """The object belongs to a process from which this one was forked."""

    def __init__(self, message: str, owner_pid: int, this_pid: int) -> None:
        super().__init__(message, owner_pid, this_pid)
        self.message = message
        self.owner_pid = owner_pid
        self.this_pid = this_pid

    def __str__(self) -> str:
        return self.message
