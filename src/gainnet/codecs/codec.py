"""A codec turns a tensor into a payload and back."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, TypeVar

from torch import Tensor

from gainnet.core.types import Bits, Payload, Size, Spec, Symbols

P = TypeVar("P", Bits, Symbols)


class Codec(Protocol[P]):
    """A pair of maps between tensors and payloads of one type.

    tensor --encode--> payload --(link)--> payload --decode--> tensor

    A codec may leave a basis, weights or a scale open and have a method `bound` that takes them from its content, see
    `gainnet.codecs.selection.bind`.

    A codec of symbols that states `nested = True` decodes a payload that holds only the first of its symbols, too.
    """

    emits: ClassVar[type[Payload]]

    def size(self, spec: Spec) -> Size:
        """Bits or symbols that one item of this shape takes; encodes nothing.

        Raises:
            ConfigError: the codec cannot carry this shape; names the codec and what would fit.
        """

    def encode(self, x: Tensor, reported_snr: Tensor) -> P:
        """The payload of a batch.

        Args:
            x: [*batch, *spec.shape].
            reported_snr: [*batch], linear SNR that the receiver reported to the sender; `inf` over an ideal link.
        """

    def decode(self, payload: P, spec: Spec) -> Tensor:
        """[*batch, *spec.shape]; items that did not arrive are concealed.

        Raises:
            PayloadError: a byte string is corrupt.
        """


AnyCodec = Codec[Any]
