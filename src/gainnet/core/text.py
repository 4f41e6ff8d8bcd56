"""Prompts as tensors: UTF-8 bytes, padded with zeros."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def text_to_tensor(texts: Sequence[str]) -> Tensor:
    """[num_texts, num_bytes] uint8, as long as the longest text.

    >>> text_to_tensor(["ab", "c"]).tolist()
    [[97, 98], [99, 0]]
    """
    # Zero is a safe padding, since a prompt with a NUL character is refused.
    encoded = [text.encode() for text in texts]
    width = max((len(e) for e in encoded), default=0)
    rows = [list(e.ljust(width, b"\0")) for e in encoded]
    return torch.tensor(rows, dtype=torch.uint8).reshape(len(texts), width)


def tensor_to_text(x: Tensor) -> list[str]:
    """The texts of [*batch, num_bytes] uint8, row-major over the batch; bytes that are no UTF-8 are replaced.

    >>> tensor_to_text(text_to_tensor(["ab", "ç"]))
    ['ab', 'ç']
    """
    rows = x.reshape(-1, x.shape[-1]).tolist()
    return [bytes(row).rstrip(b"\0").decode(errors="replace") for row in rows]
