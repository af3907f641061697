"""Memory for KV-cache stores: pools in huge pages, arenas, an offset allocator and an object store."""

from mc_alloc._errors import (
    Error,
    Exists,
    InvalidArgument,
    Leased,
    LimitReached,
    NoSpace,
    Occupied,
    OtherProcess,
    Pinned,
    QuotaExceeded,
    Unreadable,
)
from mc_alloc._native import (
    Allocation,
    Arena,
    Buffer,
    Lease,
    ManualClock,
    OffsetAllocator,
    Put,
    Store,
    __version__,
)
from mc_alloc._pool import Pool, SharedView
from mc_alloc._types import Descriptor, Extent, Moved, Shrunk, Survivor, Unmounted

__all__ = [
    "Allocation",
    "Arena",
    "Buffer",
    "Descriptor",
    "Error",
    "Exists",
    "Extent",
    "InvalidArgument",
    "Lease",
    "Leased",
    "LimitReached",
    "ManualClock",
    "Moved",
    "NoSpace",
    "Occupied",
    "OffsetAllocator",
    "OtherProcess",
    "Pinned",
    "Pool",
    "Put",
    "QuotaExceeded",
    "SharedView",
    "Shrunk",
    "Store",
    "Survivor",
    "Unmounted",
    "Unreadable",
    "__version__",
]
