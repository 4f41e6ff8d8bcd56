"""Codecs for activations, gradients and weights: half precision, eight bits, the largest few, bytes as they are."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.raw import batch_of, check_length, decode_items, encode_items, finite
from gainnet.core.errors import ConfigError, PayloadError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec

_SCALE_BYTES = 4
_LARGEST_SCALE = 1e30
_SMALLEST_SCALE = 1e-30


@final
@dataclass(frozen=True)
class Float16:
    """Every value in half precision, over the largest magnitude of its item, which goes in front as a float32.

    tensor --> [ / max |x|, float16 ] --> 32 + 16 bits per value

    Without the scale gradients would vanish: half precision ends at 6e-8. An item that did not arrive becomes zeros.

    >>> codec, x = Float16(), torch.tensor([[1e-9, -2e-9]])
    >>> bool(torch.allclose(codec.decode(codec.encode(x, torch.ones(1)), Spec((2,))), x, rtol=1e-3, atol=0))
    True
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * (_SCALE_BYTES + 2 * spec.num_values))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return encode_items(x, reported_snr, _halves)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        def read(string: bytes) -> NDArray[np.float32]:
            check_length(string, _SCALE_BYTES + 2 * spec.num_values, "float16")
            halves = np.frombuffer(string, "<f2", offset=_SCALE_BYTES).astype(np.float32)
            return finite(halves * _scale_in(string, 1), "float16")

        return decode_items(payload, spec, read)


@final
@dataclass(frozen=True)
class Int8:
    r"""Every value in eight bits, with one float32 scale per vector of the last dimension.

    $q = \mathrm{round}(127\, x / \max |x|)$: symmetric, so that zero stays zero; the error is at most
    $\max |x| / 254$ per value (Dettmers et al. 2022, vector-wise quantisation).

    An item that did not arrive becomes zeros.

    >>> codec, x = Int8(), torch.tensor([[127.0, -64.0, 0.4]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((3,))).tolist()
    [[127.0, -64.0, 0.0]]
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        num_vectors, width = _vectors(spec.shape)
        return Size.fixed(8 * num_vectors * (_SCALE_BYTES + width))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        _, width = _vectors(tuple(x.shape[reported_snr.dim() :]))

        def write(row: NDArray[np.float32]) -> bytes:
            vectors = row.reshape(-1, width)
            scale = _scale_of(vectors)
            # 127, not 128: the scale is symmetric, so that -max and max both fit in eight signed bits.
            levels = np.rint(vectors * (127 / scale[:, None])).astype(np.int8)
            return scale.astype("<f4").tobytes() + levels.tobytes()

        return encode_items(x, reported_snr, write)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        num_vectors, width = _vectors(spec.shape)

        def read(string: bytes) -> NDArray[np.float32]:
            check_length(string, num_vectors * (_SCALE_BYTES + width), "int8")
            levels = np.frombuffer(string, np.int8, offset=_SCALE_BYTES * num_vectors).reshape(num_vectors, width)
            scales = _scale_in(string, num_vectors)[:, None] / np.float32(127)
            return finite(levels.astype(np.float32) * scales, "int8")

        return decode_items(payload, spec, read)


@final
@dataclass(frozen=True)
class TopK:
    """The values of largest magnitude, in half precision, with their places; all others become zero.

    tensor --> [ the largest share ] --> 32 bits + (16 bits + place) per kept value

    A place takes 16 bits in items of at most 65,536 values and 32 bits else. (Stich et al. 2018; no error feedback)

    Args:
        share: of the values that are kept, in (0, 1]; at least one is.

    Raises:
        ConfigError: the share is out of range.

    >>> codec, x = TopK(share=0.5), torch.tensor([[0.1, -4.0, 2.0, 0.0]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((4,))).tolist()
    [[0.0, -4.0, 2.0, 0.0]]
    """

    share: float = 0.1
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(0.0 < self.share <= 1.0, "share", self.share, "the share of values to keep, in (0, 1]")

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * self._num_bytes(spec.num_values))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        def write(row: NDArray[np.float32]) -> bytes:
            # In order of their places: equal tensors have equal strings, in whatever order topk finds the values.
            places = torch.from_numpy(row).abs().topk(self._kept(len(row))).indices.sort().values.numpy()
            scaled = _halves(row[places])
            return scaled[:_SCALE_BYTES] + places.astype(_place_kind(len(row))).tobytes() + scaled[_SCALE_BYTES:]

        return encode_items(x, reported_snr, write)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        count, kind = self._kept(spec.num_values), _place_kind(spec.num_values)

        def read(string: bytes) -> NDArray[np.float32]:
            check_length(string, self._num_bytes(spec.num_values), "top_k")
            places = np.frombuffer(string, kind, count, offset=_SCALE_BYTES)
            # The string has the right length, yet a flipped bit may point outside of the tensor.
            if places.max(initial=0) >= spec.num_values:
                raise PayloadError("top_k: a place lies outside the tensor; the payload is corrupt")
            values = np.zeros(spec.num_values, dtype=np.float32)
            halves = np.frombuffer(string, "<f2", offset=_SCALE_BYTES + places.nbytes).astype(np.float32)
            values[places] = halves * _scale_in(string, 1)
            return finite(values, "top_k")

        return decode_items(payload, spec, read)

    def _kept(self, num_values: int) -> int:
        return max(1, math.ceil(self.share * num_values))

    def _num_bytes(self, num_values: int) -> int:
        return _SCALE_BYTES + self._kept(num_values) * (2 + _place_kind(num_values).itemsize)


@final
@dataclass(frozen=True)
class Octets:
    """A tensor of bytes as it is: files such as safetensors, which know their own length and shapes.

    An item that did not arrive becomes zeros.

    >>> codec, x = Octets(), torch.tensor([[1, 255]], dtype=torch.uint8)
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((2,)))
    tensor([[  1, 255]], dtype=torch.uint8)
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * spec.num_values)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        if x.dtype != torch.uint8:
            raise ConfigError(f"codec: octets carries bytes (uint8), not {x.dtype}; choose another codec")
        rows = x.detach().reshape(math.prod(batch), -1).cpu().numpy()
        return Bits(tuple(row.tobytes() for row in rows), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        def read(string: bytes) -> NDArray[np.uint8]:
            check_length(string, spec.num_values, "octets")
            return np.frombuffer(string, dtype=np.uint8)

        return decode_items(payload, spec, read, dtype=np.uint8)


def _vectors(shape: tuple[int, ...]) -> tuple[int, int]:
    """How many vectors an item has, and how long they are."""
    width = shape[-1] if shape else 1
    return math.prod(shape[:-1]), width


def _scale_of(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    """[num_rows], largest magnitude, kept away from zero; values that are not finite raise `ConfigError`."""
    largest: NDArray[np.float32] = np.abs(rows).max(axis=1, initial=0.0)
    if not np.isfinite(largest).all():
        raise ConfigError("activations: hold a value that is not finite; lower the learning rate")
    # A vector of zeros would divide by zero; its levels are zero at any scale.
    return np.clip(largest, _SMALLEST_SCALE, None)


def _halves(row: NDArray[np.float32]) -> bytes:
    """The largest magnitude of values as a float32, then the values over it in half precision."""
    scale = _scale_of(row[None])
    return scale.astype("<f4").tobytes() + (row / scale).astype("<f2").tobytes()


def _scale_in(string: bytes, count: int) -> NDArray[np.float32]:
    scale = np.frombuffer(string, "<f4", count)
    # A corrupt scale would make all values infinite; real ones are far below 1e30.
    if not (np.isfinite(scale) & (scale >= 0) & (scale < _LARGEST_SCALE)).all():
        raise PayloadError("activations: a scale is negative or not finite; the payload is corrupt")
    return scale


def _place_kind(num_values: int) -> np.dtype[np.unsignedinteger]:
    return np.dtype("<u2") if num_values <= 1 << 16 else np.dtype("<u4")
