"""Room for the pictures of a large batch: in a nameless file, so that memory does not grow with their number."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from math import prod
from typing import Final

import torch
from torch import Tensor

LEAST_BYTES: Final = 2**23
"""Of a tensor that is given room in a file; what is smaller stays in memory."""


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
