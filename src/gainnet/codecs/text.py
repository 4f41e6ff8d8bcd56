"""Prompts as UTF-8 bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.raw import batch_of
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.core.types import Bits, Payload, Size, Spec


def text_to_tensor(texts: Sequence[str], num_bytes: int | None = None) -> Tensor:
    """[num_texts, num_bytes], uint8: texts as UTF-8, padded with zeros.

    Args:
        texts: at least one text, without NUL characters.
        num_bytes: length of a row; `None` for that of the longest text, at least 1.

    Raises:
        ConfigError: a text is longer than `num_bytes` or holds a NUL character.

    >>> text_to_tensor(["ab", "c"]).tolist()
    [[97, 98], [99, 0]]
    """
    strings = [text.encode() for text in texts]
    length = max([1, *map(len, strings)]) if num_bytes is None else num_bytes
    for text, string in zip(texts, strings, strict=True):
        if len(string) > length or 0 in string:
            raise ConfigError(f"prompt: {text[:40]!r} has to be at most {length} bytes of UTF-8 without NUL")
    return torch.from_numpy(np.array([list(s.ljust(length, b"\0")) for s in strings], dtype=np.uint8))


def tensor_to_text(prompt: Tensor) -> list[str]:
    """The texts of a zero-padded uint8 tensor, row-major over the batch.

    Args:
        prompt: [*batch, num_bytes], uint8.

    Raises:
        PayloadError: the bytes are not UTF-8.

    >>> tensor_to_text(text_to_tensor(["a red star", "ein großes Haus"]))
    ['a red star', 'ein großes Haus']
    """
    return [_text_of(_unpadded(row)) for row in prompt.reshape(-1, prompt.shape[-1])]


@final
@dataclass(frozen=True)
class TextCodec:
    """A prompt as its UTF-8 bytes, without the padding; a prompt that did not arrive is empty.

    Args:
        expected_bytes: mean length of a prompt, for estimates; the default is the mean over 2,000 captions of the scenes
            data set.

    >>> codec = TextCodec()
    >>> payload = codec.encode(text_to_tensor(["a red star"], 32), torch.ones(1))
    >>> payload.num_bits, tensor_to_text(codec.decode(payload, Spec((32,))))
    (80, ['a red star'])
    """

    expected_bytes: float = 50.7
    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size(8 * min(self.expected_bytes, spec.num_values), 8 * spec.num_values)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        rows = x.to(torch.uint8).reshape(-1, x.shape[-1])
        return Bits(tuple(_unpadded(row) for row in rows), batch_of(x, reported_snr))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        texts = ["" if s is None else _text_of(s) for s in payload.strings]
        for text in texts:
            if len(text.encode()) > spec.num_values:
                raise PayloadError(f"text: payload has {len(text.encode())} bytes, at most {spec.num_values} fit")
            if "\0" in text:
                raise PayloadError("text: payload holds a NUL character")
        return text_to_tensor(texts, spec.num_values).reshape(*payload.batch, *spec.shape)


def _unpadded(row: Tensor) -> bytes:
    return row.cpu().numpy().tobytes().rstrip(b"\0")


def _text_of(string: bytes) -> str:
    try:
        return string.decode()
    except UnicodeDecodeError as error:
        raise PayloadError(f"text: payload is not UTF-8 at byte {error.start}") from None
