"""An allocator whose objects have the methods that LMCache calls on its memory objects.

python3 memory_objects.py

LMCache asks an allocator for a shape and a type, one at a time or in batches; gets an object or None;
counts the references to it; and has it freed with the last one. A pinned object is one that somebody
is about to read: it stays until it is unpinned. Here an object is an allocation in a pool, and its array
is a view of the pool. Types are those of NumPy or of PyTorch. An object of several shapes has an array for each,
one behind another.
"""

from __future__ import annotations

from math import prod
from typing import Any, List, Optional, Sequence, Tuple

import mc_alloc
import numpy as np
from numpy.typing import NDArray

ALIGN = 4096


class MemoryObject:
    """Bytes in a pool with shapes, a type for each, and a count of those who hold them: one at first."""

    def __init__(
        self,
        pool: mc_alloc.Pool,
        place: mc_alloc.Allocation,
        shapes: List[Tuple[int, ...]],
        dtypes: List[Any],
        fmt: Any = None,
    ) -> None:
        self._pool = pool
        self._place: Optional[mc_alloc.Allocation] = place
        self._shapes = shapes
        self._dtypes = dtypes
        self._format = fmt
        self._references = 1
        self._pins = 0

    def get_size(self) -> int:
        """Returns the bytes of all arrays."""
        return _bytes_of(self._shapes, self._dtypes)

    def get_physical_size(self) -> int:
        """Returns the bytes that the allocation takes."""
        return self._held().size

    def get_shape(self) -> Tuple[int, ...]:
        return self._shapes[0]

    def get_shapes(self) -> List[Tuple[int, ...]]:
        return self._shapes

    def get_dtype(self) -> Any:
        """Returns the type as it was asked for: of NumPy or of PyTorch."""
        return self._dtypes[0]

    def get_dtypes(self) -> List[Any]:
        return self._dtypes

    def get_memory_format(self) -> Any:
        """Returns what the allocation was said to hold; it changes nothing here."""
        return self._format

    @property
    def data_ptr(self) -> int:
        """The address of the first byte."""
        return self._held().address

    @property
    def array(self) -> NDArray[Any]:
        """The bytes of the first shape as an array."""
        return self.get_array(0)

    @property
    def tensor(self) -> Any:
        """The bytes of the first shape as a tensor of PyTorch; None if the object is freed."""
        return self.get_tensor(0)

    def get_array(self, index: int) -> NDArray[Any]:
        """Returns the bytes of a shape: a view of the pool. NumPy lacks some types of PyTorch."""
        flat = np.frombuffer(self._bytes_at(index), _numpy_type(self._dtypes[index]))
        return flat.reshape(self._shapes[index])

    def get_tensor(self, index: int) -> Any:
        """As `get_array`, a tensor of PyTorch; None if the object is freed."""
        import torch

        if not self.is_valid():
            return None
        dtype = self._dtypes[index]
        if isinstance(dtype, torch.dtype):
            return torch.frombuffer(self._bytes_at(index), dtype=dtype).reshape(self._shapes[index])
        return torch.from_numpy(self.get_array(index))

    @property
    def byte_array(self) -> memoryview:
        """The bytes as they are."""
        offset = self._held().offset
        return memoryview(self._pool)[offset : offset + self.get_size()]

    def ref_count_up(self) -> None:
        self._held()
        self._references += 1

    def ref_count_down(self) -> None:
        """Gives a reference up; with the last one the bytes are free, unless the object is pinned."""
        self._held()
        self._references -= 1
        self._free_if_unused()

    def get_ref_count(self) -> int:
        return self._references

    def pin(self) -> bool:
        self._held()
        self._pins += 1
        return True

    def unpin(self) -> bool:
        """Gives a pin up; with the last one the bytes are free if nobody refers to the object."""
        if self._pins == 0:
            return False
        self._pins -= 1
        self._free_if_unused()
        return True

    @property
    def is_pinned(self) -> bool:
        return self._pins > 0

    @property
    def can_evict(self) -> bool:
        """Whether nobody but the cache holds it."""
        return self.is_valid() and not self.is_pinned and self._references == 1

    def is_valid(self) -> bool:
        return self._place is not None

    def invalidate(self) -> None:
        """Frees the bytes, whoever holds them."""
        place, self._place = self._place, None
        if place is not None:
            place.free()

    def _bytes_at(self, index: int) -> memoryview:
        start = _bytes_of(self._shapes[:index], self._dtypes[:index])
        end = start + _bytes_of([self._shapes[index]], [self._dtypes[index]])
        return self.byte_array[start:end]

    def _free_if_unused(self) -> None:
        if self._references <= 0 and self._pins == 0:
            self.invalidate()

    def _held(self) -> mc_alloc.Allocation:
        if self._place is None:
            raise ValueError("the memory object is freed")
        return self._place


class MemoryAllocator:
    """Memory objects of any size in one pool."""

    def __init__(self, size: int, pages: str = "prefer") -> None:
        self.pool = mc_alloc.Pool(size, pages=pages)
        self._places = mc_alloc.OffsetAllocator(
            self.pool.size, base=self.pool.address, granule=ALIGN
        )

    def allocate(
        self, shape: Sequence[Any], dtype: Any = "uint8", fmt: Any = None
    ) -> Optional[MemoryObject]:
        """Returns an object, or None if there is no room: then the cache evicts, and asks again.

        A list of shapes makes one object of several; each has a type of its own, or all have one.
        """
        objects = self.batched_allocate(shape, dtype, 1, fmt)
        return objects[0] if objects else None

    def batched_allocate(
        self, shape: Sequence[Any], dtype: Any, batch_size: int, fmt: Any = None
    ) -> Optional[List[MemoryObject]]:
        """Returns `batch_size` objects, or None if there is no room for all."""
        are_several = len(shape) > 0 and isinstance(shape[0], (list, tuple))
        shapes = [tuple(one) for one in shape] if are_several else [tuple(shape)]
        have_each = are_several and isinstance(dtype, (list, tuple))
        types = list(dtype) if have_each else [dtype] * len(shapes)
        if len(types) != len(shapes):
            raise ValueError(f"{len(types)} types for {len(shapes)} shapes: one each, or one for all")
        # A type of PyTorch stays what it is: NumPy has no bfloat16.
        types = [one if _is_of_torch(one) else np.dtype(one) for one in types]
        try:
            places = self._places.allocate_many([_bytes_of(shapes, types)] * batch_size)
        except mc_alloc.NoSpace:
            return None
        return [MemoryObject(self.pool, place, shapes, types, fmt) for place in places]

    def free(self, memory: MemoryObject) -> None:
        memory.invalidate()

    def batched_free(self, objects: Sequence[MemoryObject]) -> None:
        for memory in objects:
            memory.invalidate()

    def used_bytes(self) -> int:
        return int(self._places.report()["live_bytes"])

    def memcheck(self) -> bool:
        """Checks that the tables of the allocator agree."""
        self._places.check_invariants()
        return True

    def close(self) -> None:
        """Does nothing: the pool is unmapped with the last view of it."""


def _is_of_torch(dtype: Any) -> bool:
    return type(dtype).__module__ == "torch"


def _bytes_of(shapes: Sequence[Tuple[int, ...]], dtypes: Sequence[Any]) -> int:
    return sum(prod(shape) * _item_bytes(dtype) for shape, dtype in zip(shapes, dtypes))


def _item_bytes(dtype: Any) -> int:
    if hasattr(dtype, "itemsize"):
        return int(dtype.itemsize)
    # Types of PyTorch have it from 2.1 on.
    import torch

    return int(torch.empty(0, dtype=dtype).element_size())


def _numpy_type(dtype: Any) -> "np.dtype[Any]":
    return np.dtype(str(dtype).split(".")[1]) if _is_of_torch(dtype) else np.dtype(dtype)


def main() -> None:
    allocator = MemoryAllocator(64 << 20)
    chunk = allocator.allocate((2, 4, 256, 1024), "float16")
    assert chunk is not None
    chunk.array[:] = 1.0
    chunk.ref_count_up()
    chunk.ref_count_down()
    assert chunk.can_evict and float(chunk.array.sum(dtype="float64")) == 2 * 4 * 256 * 1024
    batch = allocator.batched_allocate((1 << 20,), "uint8", 8)
    assert batch is not None and allocator.batched_allocate((1 << 20,), "uint8", 60) is None
    print(f"{allocator.used_bytes()} of {allocator.pool.size} bytes in {allocator.pool.tier} in use")
    allocator.batched_free(batch)
    chunk.ref_count_down()
    assert allocator.used_bytes() == 0 and allocator.memcheck()


if __name__ == "__main__":
    main()
