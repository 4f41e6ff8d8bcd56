"""Codecs without compression: float32 bytes, pixels of a few bits, latent entries as symbols."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, final

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike, NDArray
from torch import Tensor

from gainnet.codecs.components import root_mean_square
from gainnet.codecs.content import Content, check_uses
from gainnet.core.errors import ConfigError, PayloadError, check_range
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols

SMALLEST_NOISE = 1e-12
LARGEST_VALUE = 1e18
"""Of a decoded float: its square is still a float32, so that no power or distance overflows. Assumed."""


def rows_of(x: Tensor, batch: tuple[int, ...]) -> NDArray[np.float32]:
    """[num_items, values per item], a batch flattened for coding item by item.

    >>> rows_of(torch.zeros(2, 3, 4), (2, 3)).shape
    (6, 4)
    """
    return x.detach().reshape(math.prod(batch), -1).to(torch.float32).cpu().numpy()


def batch_of(x: Tensor, reported_snr: Tensor) -> tuple[int, ...]:
    """Batch dimensions of `x` [*batch, ...]: as many as `reported_snr` [*batch] has."""
    return tuple(x.shape[: reported_snr.dim()])


def encode_items(x: Tensor, reported_snr: Tensor, write: Callable[[NDArray[np.float32]], bytes | None]) -> Bits:
    """The byte strings of a batch, each made of the values of one item.

    Args:
        x: [*batch, ...].
        reported_snr: [*batch].
        write: the string of an item's values [num_values]; `None` leaves the item out.
    """
    batch = batch_of(x, reported_snr)
    return Bits(tuple(write(row) for row in rows_of(x, batch)), batch)


def decode_items(
    payload: Bits, spec: Spec, read: Callable[[bytes], ArrayLike], lost: float = 0.0, dtype: DTypeLike = np.float32
) -> Tensor:
    """[*batch, *spec.shape], every item read by itself.

    Args:
        payload: byte strings of a batch.
        spec: shape of an item.
        read: the values of a string, as many as the item has.
        lost: value of the entries of items that did not arrive.
        dtype: of the tensor.
    """
    items: NDArray[Any] = np.full((len(payload.strings), *spec.shape), lost, dtype)
    for item, string in zip(items, payload.strings, strict=True):
        if string is not None:
            item[...] = np.reshape(read(string), spec.shape)
    return torch.from_numpy(items).reshape(*payload.batch, *spec.shape)


def picture_shape(spec: Spec, num_channels: int, codec: str, largest: float = math.inf) -> tuple[int, int]:
    """(height, width) of a picture of some channels; raises `ConfigError` for another shape or a longer side.

    >>> picture_shape(Spec((3, 16, 8)), 3, "jpeg")
    (16, 8)
    """
    if len(spec.shape) != 3 or spec.shape[0] != num_channels or max(spec.shape) > largest:
        limit = "" if math.isinf(largest) else f" up to {largest:g} x {largest:g}"
        raise ConfigError(f"{codec}: must be given a shape ({num_channels}, height, width){limit}, not {spec.shape}")
    return spec.shape[1], spec.shape[2]


def check_length(string: bytes, num_bytes: int, codec: str) -> None:
    """Raises `PayloadError` unless a received string has the length that its codec always sends."""
    if len(string) != num_bytes:
        raise PayloadError(f"{codec}: payload has {len(string)} bytes, expected {num_bytes}; it was cut or padded")


def finite(values: NDArray[np.float32], codec: str) -> NDArray[np.float32]:
    """Decoded values [...]; raises `PayloadError` unless all are finite and below `LARGEST_VALUE` in magnitude."""
    # A comparison with NaN is false, so that one test finds it, too.
    if not (np.abs(values) < LARGEST_VALUE).all():
        raise PayloadError(f"{codec}: a value is not finite or above {LARGEST_VALUE:g}; the payload is corrupt")
    return values


def check_budget(max_bits: float | None) -> None:
    """Raises `ConfigError` for a negative number of bits; `None` is no limit."""
    check_range(max_bits is None or max_bits >= 0, "max_bits", max_bits, "0 or more")


@final
@dataclass(frozen=True)
class Float32:
    """Every value as its four float32 bytes, little endian: lossless.

    tensor --> [ 4 bytes per value ] --> bits;  an item that did not arrive becomes zeros

    >>> codec, x = Float32(), torch.tensor([[1.5, -2.0]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((2,)))
    tensor([[ 1.5000, -2.0000]])
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        return Size.fixed(32 * spec.num_values)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return encode_items(x, reported_snr, lambda row: row.astype("<f4").tobytes())

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        def read(string: bytes) -> NDArray[np.float32]:
            check_length(string, 4 * spec.num_values, "float32")
            return finite(np.frombuffer(string, dtype="<f4"), "float32")

        return decode_items(payload, spec, read)


@final
@dataclass(frozen=True)
class RawPixels:
    """Every pixel value in [0, 1] as an integer of a few bits, packed: the uncompressed picture.

    Args:
        bits_per_value: 1 to 16; values outside [0, 1] are clipped.

    >>> RawPixels(8).size(Spec((3, 128, 128))).upper
    393216
    """

    bits_per_value: int = 8
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_range(1 <= self.bits_per_value <= 16, "bits_per_value", self.bits_per_value, "1 to 16")

    def size(self, spec: Spec) -> Size:
        return Size.fixed(8 * self._num_bytes(spec))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        return encode_items(x, reported_snr, self._pack)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        def read(string: bytes) -> NDArray[np.float32]:
            check_length(string, self._num_bytes(spec), "raw_pixels")
            return self._unpack(string, spec.num_values)

        return decode_items(payload, spec, read, lost=0.5)

    @property
    def _peak(self) -> int:
        return (1 << self.bits_per_value) - 1

    def _num_bytes(self, spec: Spec) -> int:
        return -(-spec.num_values * self.bits_per_value // 8)

    def _pack(self, row: NDArray[np.float32]) -> bytes:
        """Levels in binary, the highest bit first, without gaps between values."""
        # uint16 holds the 65,536 levels of 16 bits.
        levels = np.rint(np.clip(row, 0, 1) * self._peak).astype(np.uint16)
        planes = levels[:, None] >> np.arange(self.bits_per_value, dtype=np.uint16)[::-1] & 1
        return np.packbits(planes.astype(np.uint8)).tobytes()

    def _unpack(self, string: bytes, num_values: int) -> NDArray[np.float32]:
        flat = np.unpackbits(np.frombuffer(string, dtype=np.uint8), count=num_values * self.bits_per_value)
        weights = 1 << np.arange(self.bits_per_value, dtype=np.int64)[::-1]
        return ((flat.reshape(num_values, -1) @ weights) / self._peak).astype(np.float32)


@final
@dataclass(frozen=True)
class RawAnalog:
    r"""Two values per complex symbol, sent as they are; differentiable.

    $s = (x_1 + j x_2) / (\sqrt 2\, a)$, received with `Symbols.mmse`

    E|s|^2 = 1 when the values have mean square a^2. A normalisation per item would be side information that the
    receiver does not have, so `scale` is fixed and known to both ends; `SeedBasis.root_mean_square` is that of a model.

    Args:
        num_channel_uses: complex symbols per item; `None` for one per two values. A whole multiple of that repeats the
            symbols, and the receiver combines them by their ratio of gain to noise.
        scale: root mean square $a$ of the values, > 0; when bound that of the model's latents by default, else 1.

    >>> codec, x = RawAnalog(), torch.tensor([[1.0, -1.0, 0.5, 2.0]])
    >>> codec.decode(codec.encode(x, torch.ones(1)), Spec((4,)))
    tensor([[ 1.0000, -1.0000,  0.5000,  2.0000]])
    """

    num_channel_uses: int | None = None
    scale: float | None = None
    emits: ClassVar[type[Payload]] = Symbols

    def __post_init__(self) -> None:
        check_uses(self.num_channel_uses)
        check_range(self.scale is None or 0 < self.scale < math.inf, "scale", self.scale, "a positive number")

    def bound(self, content: Content) -> RawAnalog:
        """The code at unit power for these latents."""
        return RawAnalog(self.num_channel_uses, root_mean_square(content) if self.scale is None else self.scale)

    @property
    def _scale(self) -> float:
        return 1.0 if self.scale is None else self.scale

    def size(self, spec: Spec) -> Size:
        """Symbols per item.

        Raises:
            ConfigError: `num_channel_uses` is no whole multiple of one use per two values.
        """
        return Size.fixed(self._num_repeats(spec.num_values) * _num_pairs(spec.num_values))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        flat = x.reshape(*batch_of(x, reported_snr), -1)
        repeats = self._num_repeats(flat.shape[-1])
        # An odd number of values leaves half a symbol empty.
        even = torch.nn.functional.pad(flat, (0, flat.shape[-1] % 2))
        # Two values of mean square a^2 make |s|^2 = 2 a^2, hence the root of two.
        pairs = torch.view_as_complex(even.unflatten(-1, (-1, 2)).contiguous()) / (math.sqrt(2) * self._scale)
        return Symbols.clean(pairs.repeat(*[1] * (pairs.dim() - 1), repeats), reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        pairs = combine(payload, _num_pairs(spec.num_values)).mmse() * (math.sqrt(2) * self._scale)
        if not bool(torch.view_as_real(pairs.detach()).isfinite().all()):
            raise PayloadError("raw: a symbol, gain or noise is not finite; the payload is corrupt")
        return torch.view_as_real(pairs).flatten(-2)[..., : spec.num_values].reshape(*payload.batch, *spec.shape)

    def _num_repeats(self, num_values: int) -> int:
        pairs = _num_pairs(num_values)
        uses = pairs if self.num_channel_uses is None else self.num_channel_uses
        if uses < pairs or uses % pairs:
            raise ConfigError(
                f"num_channel_uses: the raw codec needs {pairs} uses (or a whole multiple) for {num_values} values, "
                f"not {uses}; give num_channel_uses={pairs} or codec linear, which takes any number"
            )
        return uses // pairs


def _num_pairs(num_values: int) -> int:
    return (num_values + 1) // 2


def combine(symbols: Symbols, num_symbols: int) -> Symbols:
    r"""Maximum-ratio combination of symbols that were sent several times, one round after the other.

    $y = \sum_r w_r h_r^* y_r / h$ with $w_r \propto 1/\sigma_r^2$ and $h = \sqrt{\sum_r w_r |h_r|^2}$: its
    signal-to-noise ratio is the sum of all (Brennan 1959).

    Args:
        symbols: [*batch, num_rounds * num_symbols].
        num_symbols: symbols in one round.

    >>> twice = Symbols.clean(torch.ones(4, dtype=torch.complex64))
    >>> combine(twice, 2).mmse().real
    tensor([1., 1.])
    """
    if symbols.num_symbols == num_symbols:
        return symbols
    values, gain, noise = (
        t.unflatten(-1, (-1, num_symbols)) for t in (symbols.values, symbols.gain, symbols.noise_variance)
    )
    # Maximum-ratio combining: weights are precisions, normalised so that no product overflows without noise.
    precision = 1 / noise.clamp_min(SMALLEST_NOISE)
    weight = precision / precision.sum(-2, keepdim=True)
    amplitude = (weight * gain.abs().square()).sum(-2).sqrt()
    # Divided by the amplitude the combination is again gain times symbol plus noise, which `mmse` expects.
    combined = (weight * gain.conj() * values).sum(-2) / amplitude.clamp_min(SMALLEST_NOISE)
    return Symbols(combined, amplitude + 0j, 1 / precision.sum(-2), symbols.reported_snr)
