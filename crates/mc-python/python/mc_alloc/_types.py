"""What calls return, for type checkers."""

from typing import List, TypedDict


class Extent(TypedDict):
    """One piece of a replica."""

    address: int
    size: int


class Descriptor(TypedDict):
    """Where a replica is, as a transport or another process needs to know it."""

    segment: int
    epoch: int
    address: int
    size: int
    protocol: str
    endpoint: str
    extents: List[Extent]


class Survivor(TypedDict):
    """An object that has fewer replicas than were asked for."""

    key: bytes
    readable: int
    wanted: int


class Unmounted(TypedDict):
    """What an unmount did to the objects of a segment."""

    lost: List[bytes]
    survivors: List[Survivor]


class Moved(TypedDict):
    """What moving the objects of a segment did."""

    replicas: int
    bytes: int
    left: List[bytes]


class Shrunk(TypedDict):
    """What giving up the end of a segment took."""

    moved_replicas: int
    moved_bytes: int
    evicted_objects: int
    evicted_bytes: int
    released_bytes: int
