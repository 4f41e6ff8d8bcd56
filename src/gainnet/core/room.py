"""Room for what a large batch makes: in a nameless file, so that memory does not grow with the number of pictures."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from math import prod
from typing import Any, Final, final, overload

import torch
from torch import Tensor

LEAST_BYTES: Final = 2**23
"""Of a tensor, or of strings together, that are given room in a file; what is smaller stays in memory."""


def room_for(shape: Sequence[int], like: Tensor) -> Tensor:
    """[*shape], a tensor to be filled; a large one lies in a file without a name, which goes with the tensor.

    It is used as any other tensor. `pieces` reads it without having all of it in memory. Where the folder for temporary
    files (`TMPDIR`) has no room, and on other systems than Linux, it lies in memory.

    Args:
        shape: of the whole.
        like: has its type and device.

    >>> room_for((2, 3), torch.zeros(1)).shape, in_file(room_for((2, 3), torch.zeros(1)))
    (torch.Size([2, 3]), False)
    """
    num_bytes = prod(shape) * like.element_size()
    if num_bytes < LEAST_BYTES or like.device.type != "cpu" or sys.platform != "linux":
        return like.new_empty(tuple(shape))
    try:
        with tempfile.TemporaryFile(prefix="gainnet-") as file:
            # All of it at once: a disk that is full later would end the process while it writes.
            os.posix_fallocate(file.fileno(), 0, num_bytes)
            place = f"/proc/self/fd/{file.fileno()}"
            return torch.from_file(place, shared=True, size=prod(shape), dtype=like.dtype).reshape(tuple(shape))
    except (OSError, RuntimeError):
        return like.new_empty(tuple(shape))


def room_for_strings(strings: Iterable[bytes | None]) -> Sequence[bytes | None]:
    """Byte strings as they come; many lie in a file without a name, and each is read when it is asked for.

    Where they cannot lie there, as in `room_for`, they are a tuple.

    Args:
        strings: `None` stands for one that is missing.

    >>> room_for_strings([b"a", None])
    (b'a', None)
    """
    source, kept, num_bytes = iter(strings), list[bytes | None](), 0
    for string in source:
        kept.append(string)
        num_bytes += len(string or b"")
        if num_bytes >= LEAST_BYTES and sys.platform == "linux":
            return _filed(chain(kept, source))
    return tuple(kept)


def _filed(strings: Iterator[bytes | None]) -> Sequence[bytes | None]:
    try:
        filed = FiledStrings()
    except OSError:
        return tuple(strings)
    for string in strings:
        try:
            filed.append(string)
        except OSError:
            # The disk is full: what it took so far is read again.
            return (*filed, string, *strings)
    return filed


@final
class FiledStrings(Sequence[bytes | None]):
    """Byte strings one after the other in a file without a name, which goes with them.

    Raises:
        OSError: the folder for temporary files takes no file.

    >>> few = FiledStrings()
    >>> for string in (b"ab", None, b"c"):
    ...     few.append(string)
    >>> few[0], few[1:], few == (b"ab", None, b"c")
    (b'ab', (None, b'c'), True)
    """

    def __init__(self) -> None:
        with tempfile.TemporaryFile(prefix="gainnet-") as file:
            self._file = os.dup(file.fileno())
        weakref.finalize(self, os.close, self._file)
        self._places = list[tuple[int, int] | None]()
        self._num_bytes = 0

    def append(self, string: bytes | None) -> None:
        """Writes a string behind the others; raises `OSError` where there is no room, and leaves them as they were."""
        if string is None:
            return self._places.append(None)
        written = 0
        while written < len(string):
            written += os.pwrite(self._file, memoryview(string)[written:], self._num_bytes + written)
        self._places.append((self._num_bytes, len(string)))
        self._num_bytes += len(string)
        return None

    @overload
    def __getitem__(self, chosen: int) -> bytes | None: ...
    @overload
    def __getitem__(self, chosen: slice) -> tuple[bytes | None, ...]: ...
    def __getitem__(self, chosen: int | slice) -> bytes | tuple[bytes | None, ...] | None:
        if isinstance(chosen, slice):
            return tuple(self._read(place) for place in self._places[chosen])
        return self._read(self._places[chosen])

    def __len__(self) -> int:
        return len(self._places)

    def __eq__(self, other: Any) -> bool:
        if not isinstance(other, FiledStrings | tuple):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    # Strings are compared by their bytes, and a payload is no key.
    __hash__ = None  # type: ignore[assignment]

    def _read(self, place: tuple[int, int] | None) -> bytes | None:
        if place is None:
            return None
        begin, num_bytes = place
        return os.pread(self._file, num_bytes, begin)


def in_file(x: Tensor) -> bool:
    """Whether a tensor [...], or what it is a view of, lies in a file that takes what is written to it."""
    # Of all others, a private mapping included, torch names no file.
    return x.untyped_storage().filename is not None


def give_back(x: Tensor) -> None:
    """Gives the memory of a tensor [...] in a file back, until it is read again; to any other nothing happens."""
    if not in_file(x) or x.numel() == 0 or sys.platform != "linux":
        return
    num_values = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    begin = x.data_ptr() // mmap.PAGESIZE * mmap.PAGESIZE
    num_bytes = x.data_ptr() + num_values * x.element_size() - begin
    # Pages of a shared mapping are still those of the file; of memory without a file the values would be lost.
    ctypes.CDLL(None).madvise(ctypes.c_void_p(begin), ctypes.c_size_t(num_bytes), mmap.MADV_DONTNEED)


def pieces(*batches: Tensor, num_items: int = 8) -> Iterator[tuple[Tensor, ...]]:
    """A few items of some batches at a time; memory that they take from a file is given back before the next come.

    Args:
        batches: [num, ...] each.
        num_items: how many at a time.

    >>> [[x.tolist() for x in some] for some in pieces(torch.arange(3), torch.arange(3), num_items=2)]
    [[[0, 1], [0, 1]], [[2], [2]]]
    """
    for some in zip(*(batch.split(num_items) for batch in batches), strict=True):
        yield some
        for x in some:
            give_back(x)
