"""Prompts as UTF-8 bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs.content import Content
from gainnet.codecs.raw import batch_of
from gainnet.core.errors import PayloadError
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Payload, Size, Spec

CAPTION_BYTES = 50.7


@final
@dataclass(frozen=True)
class TextCodec:
    """A prompt as its UTF-8 bytes, without the padding; a prompt that did not arrive is empty.

    Args:
        expected_bytes: mean length of a prompt, for estimates; when bound that of the prompts by default, else the mean
            over 2,000 captions of the scenes data set.

    >>> from gainnet.core.text import tensor_to_text
    >>> codec, prompts = TextCodec(), text_to_tensor(["a red star", "a house"])
    >>> payload = codec.encode(prompts, torch.ones(2))
    >>> payload.num_bits, tensor_to_text(codec.decode(payload, Spec((10,))))
    (136, ['a red star', 'a house'])
    """

    expected_bytes: float | None = None
    emits: ClassVar[type[Payload]] = Bits

    def bound(self, content: Content) -> TextCodec:
        """The code of these prompts."""
        if self.expected_bytes is not None or not content.prompts:
            return self
        return TextCodec(sum(len(prompt.encode()) for prompt in content.prompts) / len(content.prompts))

    def size(self, spec: Spec) -> Size:
        expected_bytes = CAPTION_BYTES if self.expected_bytes is None else self.expected_bytes
        return Size(8 * min(expected_bytes, spec.num_values), 8 * spec.num_values)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        rows = x.to(torch.uint8).reshape(-1, x.shape[-1])
        return Bits(tuple(_unpadded(row) for row in rows), batch_of(x, reported_snr))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        texts = ["" if s is None else _text_of(s, spec.num_values) for s in payload.strings]
        # A last row of full length makes all others as long as the receiver expects, and is dropped again.
        rows = text_to_tensor([*texts, "\0" * spec.num_values])[:-1]
        return rows.reshape(*payload.batch, *spec.shape)


def _unpadded(row: Tensor) -> bytes:
    return row.cpu().numpy().tobytes().rstrip(b"\0")


def _text_of(string: bytes, num_bytes: int) -> str:
    # Zeros are padding in a tensor of text, so a real prompt has none.
    if len(string) > num_bytes or 0 in string:
        raise PayloadError(f"text: payload of {len(string)} bytes holds a zero or is longer than {num_bytes}")
    try:
        return string.decode()
    except UnicodeDecodeError as error:
        raise PayloadError(f"text: payload is not UTF-8 at byte {error.start}") from None
