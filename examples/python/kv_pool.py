"""A host KV pool: a page table over one mapping, as the second tier of a prefix cache keeps one.

python3 kv_pool.py

SGLang's HiCache keeps the keys and values that leave the device in such a pool: all memory is mapped
once, so that a device or a network card registers it once; tokens have slots, slots are handed out in
whole pages, and a page is copied to and from the device, or sent by its address. Here the pages come
from an OffsetAllocator over a Pool, and NumPy or PyTorch see them without a copy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Tuple

import mc_alloc
import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Shape:
    """What the keys and values of a token look like."""

    layers: int
    heads: int
    head_dim: int
    dtype: str = "float16"

    @property
    def token_bytes(self) -> int:
        return 2 * self.layers * self.heads * self.head_dim * np.dtype(self.dtype).itemsize


class HostKvPool:
    """Slots for `tokens` tokens in pages of `page_tokens`.

    A page has the keys and values of all layers next to each other, so that it is one transfer:
    (keys or values, layer, token, head, element).
    """

    def __init__(self, tokens: int, page_tokens: int, shape: Shape, pages: str = "prefer") -> None:
        if tokens <= 0 or tokens % page_tokens:
            raise ValueError(f"{tokens} tokens are no whole pages of {page_tokens}")
        self.shape = shape
        self.page_tokens = page_tokens
        self.page_bytes = page_tokens * shape.token_bytes
        self.page_count = tokens // page_tokens
        self.pool = mc_alloc.Pool(self.page_count * self.page_bytes, pages=pages)
        self._clear()

    def _clear(self) -> None:
        # A page is the granule, so that a place is a page's number times its bytes.
        self._places = mc_alloc.OffsetAllocator(
            self.page_count * self.page_bytes, base=self.pool.address, granule=self.page_bytes
        )
        self._table: Dict[int, mc_alloc.Allocation] = {}

    def clear(self) -> None:
        """Takes all slots back."""
        self._clear()

    def available_size(self) -> int:
        """Returns the tokens that still have room."""
        return (self.page_count - len(self._table)) * self.page_tokens

    def alloc(self, tokens: int) -> Optional[NDArray[Any]]:
        """Returns slots for tokens, a multiple of a page, or None if there is no room for all."""
        if tokens < 0 or tokens % self.page_tokens:
            raise ValueError(f"{tokens} tokens are no whole pages of {self.page_tokens}")
        try:
            places = self._places.allocate_many([self.page_bytes] * (tokens // self.page_tokens))
        except mc_alloc.NoSpace:
            return None
        numbers = [place.offset // self.page_bytes for place in places]
        self._table.update(zip(numbers, places))
        first_slots = np.array(numbers, dtype=np.int64) * self.page_tokens
        return (first_slots[:, None] + np.arange(self.page_tokens)).reshape(-1)

    def free(self, slots: NDArray[Any]) -> int:
        """Takes slots back, in whole pages; returns how many there were."""
        numbers = self._page_numbers(slots)
        unknown = [number for number in numbers if number not in self._table]
        if unknown:
            raise ValueError(f"pages {unknown} are not in use")
        if len(set(numbers)) < len(numbers):
            twice = sorted({number for number in numbers if numbers.count(number) > 1})
            raise ValueError(f"pages {twice} are named twice")
        self._places.free_many([self._table.pop(number) for number in numbers])
        return len(slots)

    def page(self, number: int) -> NDArray[Any]:
        """Returns the keys and values of a page: a view of the pool."""
        flat = np.frombuffer(
            memoryview(self.pool),
            dtype=self.shape.dtype,
            count=self.page_bytes // np.dtype(self.shape.dtype).itemsize,
            offset=number * self.page_bytes,
        )
        return flat.reshape(self._page_shape())

    def tensor(self) -> Any:
        """Returns all pages as a tensor of PyTorch: a view of the pool, with a page in each row."""
        import torch

        dtype = getattr(torch, self.shape.dtype)
        whole = torch.frombuffer(self.pool, dtype=dtype)[: self.page_count * self._page_elements()]
        return whole.reshape(self.page_count, *self._page_shape())

    def write(self, slots: NDArray[Any], keys_and_values: NDArray[Any]) -> None:
        """Copies what left the device into its pages: (keys or values, layer, token, head, element)."""
        for place, number in enumerate(self._page_numbers(slots)):
            tokens = slice(place * self.page_tokens, (place + 1) * self.page_tokens)
            self.page(number)[:] = keys_and_values[:, :, tokens]

    def read(self, slots: NDArray[Any]) -> NDArray[Any]:
        """Returns what the device wants back, in the order of the slots."""
        return np.concatenate([self.page(number) for number in self._page_numbers(slots)], axis=2)

    def addresses(self, slots: NDArray[Any]) -> List[int]:
        """Returns the address of each page, for a network card that reads the pool itself."""
        return [self.pool.address + number * self.page_bytes for number in self._page_numbers(slots)]

    def _page_numbers(self, slots: NDArray[Any]) -> List[int]:
        pages = np.asarray(slots).reshape(-1, self.page_tokens)
        numbers = pages[:, 0] // self.page_tokens
        expected = numbers[:, None] * self.page_tokens + np.arange(self.page_tokens)
        if not np.array_equal(pages, expected):
            raise ValueError("the slots are not those of whole pages")
        return [int(number) for number in numbers]

    def _page_shape(self) -> Tuple[int, ...]:
        shape = self.shape
        return (2, shape.layers, self.page_tokens, shape.heads, shape.head_dim)

    def _page_elements(self) -> int:
        return self.page_bytes // np.dtype(self.shape.dtype).itemsize


def main() -> None:
    pool = HostKvPool(tokens=4096, page_tokens=64, shape=Shape(layers=4, heads=2, head_dim=64))
    slots = pool.alloc(256)
    assert slots is not None
    left = np.random.default_rng(1).standard_normal((2, 4, 256, 2, 64)).astype("float16")
    pool.write(slots, left)
    assert np.array_equal(pool.read(slots), left)
    print(f"{pool.pool}: {pool.available_size()} of 4096 tokens left, pages at {pool.addresses(slots)}")
    assert pool.alloc(4096) is None
    pool.free(slots)
    assert pool.available_size() == 4096


if __name__ == "__main__":
    main()
