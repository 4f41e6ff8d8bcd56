"""The best picture in a budget of bits: every picture takes the encoder, resolution and upsampler of least error."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import product
from typing import ClassVar, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.formats import FLAT, Pixels, scaled
from gainnet.codecs.opponents.cache import EncodeCache, Point, errors_of
from gainnet.codecs.opponents.encoder import SCALES, UPSAMPLERS, StillEncoder, enlarge, shrink
from gainnet.codecs.opponents.pillow import AVIFS, JPEGS, JXLS, WEBPS
from gainnet.codecs.opponents.video import HEVCS, VVCS
from gainnet.codecs.raw import batch_of, check_budget, decode_items, picture_shape
from gainnet.core.errors import ConfigError, MissingExtraError, PayloadError
from gainnet.core.types import Bits, Payload, Size, Spec

ENCODERS: Final[Mapping[str, tuple[StillEncoder, ...]]] = {
    "vvc": VVCS,
    "hevc": HEVCS,
    "avif": AVIFS,
    "jpeg_xl": JXLS,
    "webp": WEBPS,
    "jpeg": JPEGS,
}
"""By codec, the strongest first; several for one codec where it can keep chroma whole or not."""

BEST: Final = "best_image_codec"
CHANCE: Final = 0.9
_NAMES: Final = tuple(UPSAMPLERS)


def installed(names: Sequence[str] = tuple(ENCODERS)) -> tuple[str, ...]:
    """Those codecs of some that can encode here.

    >>> "jpeg" in installed()
    True
    """
    return tuple(name for name in names if _can_encode(ENCODERS[name][0]))


def _can_encode(encoder: StillEncoder) -> bool:
    try:
        return encoder.encode(np.zeros((32, 32, 3), np.uint8), encoder.quantisers[0]) is not None
    except MissingExtraError:
        return False


def name_of(names: Sequence[str]) -> str:
    """Name of the best of some codecs: `best_image_codec` only where all of them are there.

    >>> name_of(("webp", "jpeg")), name_of(tuple(ENCODERS))
    ('best_of_webp_jpeg', 'best_image_codec')
    """
    return BEST if set(names) == set(ENCODERS) else "_".join(("best_of", *names))


@final
@dataclass(frozen=True)
class Choice:
    """How a picture is coded; one byte names it.

    Args:
        encoder: codes it.
        scale: at 1/scale of its size.
        upsampler: enlarges it.
    """

    encoder: StillEncoder
    scale: int
    upsampler: str


@final
@dataclass(frozen=True)
class BestPicture:
    """Pictures in a budget by the best of some encoders, at full, half or a quarter of the resolution.

    pictures --> [ encodes from the cache, least error that fits ] --> index | bare stream;  or one colour

    Args:
        max_bits: most bits of one picture, the index included.
        encoders: names of `ENCODERS`.
        cache: of encodes.
        table: encoders by name, the strongest of every codec unless others are given.

    >>> picture = torch.full((1, 3, 16, 16), 0.2)
    >>> codec = BestPicture(64.0, ("jpeg",))
    >>> codec.decode(codec.encode(picture, torch.ones(1)), Spec((3, 16, 16))).unique()
    tensor([0.2000])
    """

    max_bits: float
    encoders: tuple[str, ...] = tuple(ENCODERS)
    cache: EncodeCache = EncodeCache()
    table: Mapping[str, tuple[StillEncoder, ...]] = field(default_factory=lambda: ENCODERS, repr=False)
    emits: ClassVar[type[Payload]] = Bits

    def __post_init__(self) -> None:
        check_budget(self.max_bits)
        if not self.encoders or set(self.encoders) - set(self.table):
            raise ConfigError(f"encoders: {self.encoders} are not all known; choose of {', '.join(self.table)}")

    def size(self, spec: Spec) -> Size:
        """Bits of one picture [3, height, width]; the best picture nearly fills its budget."""
        height, width = picture_shape(spec, 3, BEST)
        # JPEG of the best quality is never longer than plain pixels, so that no budget above them is filled.
        return Size.fixed(8 * int(min(self.max_bits, 8.0 * (1 + 3 * height * width)) // 8))

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        batch = batch_of(x, reported_snr)
        picture_shape(Spec(tuple(x.shape[len(batch) :])), 3, BEST)
        return Bits(tuple(self._string(picture) for picture in pixels_of(x)), batch)

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        shape, choices = picture_shape(spec, 3, BEST), self.choices

        def read(string: bytes) -> NDArray[np.float32]:
            if string[:1] == bytes([FLAT]) and len(string) == 4:
                return np.broadcast_to(np.frombuffer(string[1:], np.uint8).astype(np.float32) / 255, (*shape, 3))
            if not string or string[0] >= len(choices):
                raise PayloadError(f"{BEST}: index of a stream is out of range; the payload is corrupt")
            choice = choices[string[0]]
            levels = choice.encoder.decode(string[1:], scaled(shape, choice.scale))
            return enlarge(levels, shape, choice.upsampler) / np.float32(255)

        # A lost picture is mid grey, as for every picture codec.
        return decode_items(payload, Spec((*shape, 3)), read, lost=0.5).movedim(-1, -3)

    @property
    def choices(self) -> tuple[Choice, ...]:
        """Everything that the first byte of a string can name, in the order of its numbers."""
        return tuple(
            Choice(encoder, scale, upsampler)
            for name in self.encoders
            for encoder in self.table[name]
            for scale in SCALES
            for upsampler in _upsamplers(scale)
        )

    def chosen(self, payload: Bits) -> Mapping[str, int]:
        """How many pictures each encoder coded, by its command and version; one colour as `flat`."""
        choices = self.choices

        def label(string: bytes) -> str:
            if string[0] == FLAT:
                return "flat"
            choice = choices[string[0]]
            return f"{choice.encoder.name} 1/{choice.scale}: {choice.encoder.command} ({choice.encoder.version})"

        return Counter(label(string) for string in payload.strings if string)

    @property
    def _encoders(self) -> tuple[StillEncoder, ...]:
        return tuple(encoder for name in self.encoders for encoder in self.table[name])

    def _string(self, pixels: Pixels) -> bytes | None:
        """The string with the least squared error that keeps the budget; `None` where not even one colour fits."""
        max_bytes = int(self.max_bits // 8)
        least, string = _one_colour(pixels)
        if max_bytes < len(string):
            return None
        limits, place = {scale: _least_error(pixels, scale) for scale in SCALES}, 0
        for encoder in self._encoders:
            for scale in SCALES:
                # Encodes are dear: a resolution that could not do better without any quantiser is not tried.
                tried = self.cache.fitting(encoder, pixels, scale, max_bytes - 1) if limits[scale] < least else ()
                least, string = min([(least, string), *(_named(point, place) for point in tried)])
                place += len(_upsamplers(scale))
        return string

    def candidates(self, pixels: Pixels) -> Iterator[tuple[float, bytes]]:
        """Every string that a picture [height, width, 3] of 8 bits can become, after its squared error in levels."""
        yield _one_colour(pixels)
        place = 0
        for encoder, scale in product(self._encoders, SCALES):
            yield from (_named(point, place) for point in self.cache.encodes(encoder, pixels, scale))
            place += len(_upsamplers(scale))


def _one_colour(pixels: Pixels) -> tuple[float, bytes]:
    """Squared error and string of a picture as its mean colour."""
    colour = np.rint(pixels.reshape(-1, 3).mean(0)).astype(np.uint8)
    return float(np.square(pixels.astype(np.float32) - colour).mean()), bytes([FLAT, *colour.tolist()])


def _named(point: Point, place: int) -> tuple[float, bytes]:
    """Squared error and string of an encode with its best upsampler, whose first is number `place`."""
    best = min(range(len(point.squared_errors)), key=point.squared_errors.__getitem__)
    return point.squared_errors[best], bytes([place + best]) + point.stream


def fill(
    cache: EncodeCache,
    encoders: Sequence[str],
    pictures: Tensor,
    progress: Callable[[str], None] = lambda line: None,
    nums_bytes: Sequence[int] = (),
) -> int:
    """Makes the encodes of some pictures that a cache lacks; returns the number of streams it then holds of them.

    Args:
        cache: on disk.
        encoders: names of `ENCODERS`, each of which fills the budgets alone.
        pictures: [num_pictures, 3, height, width], in [0, 1].
        progress: receives a line per picture and encoder.
        nums_bytes: budgets of a picture; encodes at all quantisers where left out, three times as many.
    """
    every, num_streams = pixels_of(pictures), 0
    for number, pixels in enumerate(every):
        for name in encoders:
            progress(f"picture {number + 1} of {len(every)}, {name}")
            for budget in nums_bytes:
                num_streams += BestPicture(8.0 * budget, (name,), cache)._string(pixels) is not None
            for encoder, scale in product(() if nums_bytes else ENCODERS[name], SCALES):
                num_streams += len(cache.encodes(encoder, pixels, scale))
    return num_streams


# A picture meets dozens of budgets, and the search of one looks at three resolutions.
@lru_cache(maxsize=4096)
def _least_error_of(picture: bytes, shape: tuple[int, int], scale: int) -> float:
    pixels = np.frombuffer(picture, np.uint8).reshape(*shape, 3)
    return CHANCE * min(errors_of(shrink(pixels, scale).astype(np.float32), pixels, shape, scale))


def _least_error(pixels: Pixels, scale: int) -> float:
    """Squared error that resampling leaves alone, less what a quantiser may win back by chance."""
    if scale == 1:
        return 0.0
    return _least_error_of(pixels.tobytes(), (pixels.shape[0], pixels.shape[1]), scale)


def pixels_of(x: Tensor) -> NDArray[np.uint8]:
    """[num_pictures, height, width, 3], 8 bits, of pictures [*batch, 3, height, width] in [0, 1].

    Raises:
        ConfigError: a value is not finite.
    """
    if not bool(torch.isfinite(x).all()):
        raise ConfigError("image: holds a value that is not finite")
    levels = (x.detach().reshape(-1, *x.shape[-3:]).clamp(0, 1) * 255).round().to(torch.uint8)
    return levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()


def _upsamplers(scale: int) -> tuple[str, ...]:
    """A picture of full size is not enlarged."""
    return _NAMES if scale > 1 else _NAMES[:1]
