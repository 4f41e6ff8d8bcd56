"""Maps of edges, one bit per pixel, coded by what the pixels around one make likely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, final

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gainnet.codecs.entropy import CRC_BITS, TOTAL, IntegerModel, Run, RunReader, encode_runs
from gainnet.codecs.quantizer import STREAM_BITS
from gainnet.codecs.raw import decode_items, encode_items, picture_shape
from gainnet.core.types import Bits, Payload, Size, Spec

NEIGHBOURS = ((-2, -1), (-2, 0), (-2, 1), (-1, -2), (-1, -1), (-1, 0), (-1, 1), (-1, 2), (0, -2), (0, -1))
"""(row, column) of the ten known pixels around one: the template of JBIG (ITU-T T.82, Figure 11) without its adaptive
pixel."""

LEVELS = 256
LARGEST_COUNT = 255
MARGIN = 2
EXPECTED_BITS_PER_PIXEL = 0.143
"""Mean over the edge maps of 64 x 64 pixels of drawn scenes (tests/codecs/test_sketch.py measures it again)."""
MODE_BITS = 1
FAIR = IntegerModel((TOTAL // 2, TOTAL // 2))
LARGEST_SIDE = 256

Pixels = NDArray[np.uint8]


@final
@dataclass(frozen=True)
class EdgeMap:
    """A map of edges in an adaptive code with ten neighbours as context.

    sketch [1, h, w], 0 or 1 --> [ probability by context, learnt ] --> [ integer tables, check sum ] --> bits

    Both ends count zeros and ones per context in integers and round the probability to 1/256, so that every machine
    has the same tables. A map on which that fails is sent plainly at one bit per pixel. An item that did not arrive has
    no edges.

    >>> import torch
    >>> codec, line = EdgeMap(), torch.eye(16).expand(1, 1, 16, 16)
    >>> bits = codec.encode(line, torch.ones(1))
    >>> bits.num_bits < 256, torch.equal(codec.decode(bits, Spec((1, 16, 16))), line)
    (True, True)
    """

    emits: ClassVar[type[Payload]] = Bits

    def size(self, spec: Spec) -> Size:
        """Bits per item; expects the density of the outlines of scenes."""
        height, width = picture_shape(spec, 1, "edges", LARGEST_SIDE)
        upper = 8 * -(-(height * width + MODE_BITS + STREAM_BITS) // 8)
        return Size(min(EXPECTED_BITS_PER_PIXEL * height * width + CRC_BITS + 5, upper), upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Bits:
        shape = picture_shape(Spec(tuple(x.shape[reported_snr.dim() :])), 1, "edges", LARGEST_SIDE)
        return encode_items(x, reported_snr, lambda row: _code((row > 0.5).astype(np.uint8).reshape(shape)))

    def decode(self, payload: Bits, spec: Spec) -> Tensor:
        shape = picture_shape(spec, 1, "edges", LARGEST_SIDE)
        return decode_items(payload, spec, lambda string: _read(string, shape))


@final
class Counts:
    """How often a pixel was 0 and 1 in every context; the tables follow them."""

    def __init__(self) -> None:
        self._counts = [[0, 0] for _ in range(1 << len(NEIGHBOURS))]

    def model(self, context: int) -> IntegerModel:
        """The table of the next pixel in a context (Krichevsky and Trofimov 1981, rounded to 1/256)."""
        # (ones + 1/2) / (n + 1) in integers, kept away from 0 and 1 so that neither symbol becomes impossible.
        zeros, ones = self._counts[context]
        return two_symbol_model(min(max(LEVELS * (2 * ones + 1) // (2 * (zeros + ones + 1)), 1), LEVELS - 1))

    def add(self, context: int, pixel: int) -> None:
        """One pixel more; old ones lose half their weight when there are many."""
        counts = self._counts[context]
        counts[pixel] += 1
        # Forgetting: outlines at the bottom of a picture differ from those at its top.
        if sum(counts) > LARGEST_COUNT:
            counts[:] = [counts[0] // 2, counts[1] // 2]


@cache
def two_symbol_model(level: int) -> IntegerModel:
    """Probability level / 256 of a 1.

    >>> two_symbol_model(64).bits.round(2).tolist()
    [0.42, 2.0]
    """
    return IntegerModel((TOTAL // LEVELS * (LEVELS - level), TOTAL // LEVELS * level))


def _code(pixels: Pixels) -> bytes:
    """The shorter of the adaptive and the plain code; one symbol in front says which."""
    # Noise has no likely contexts; plain bits bound the length of any map.
    adaptive, plain = _adaptive_runs(pixels), [(pixels.reshape(-1).astype(np.int32), FAIR)]
    is_plain = sum(float(model.bits[symbols[0]]) for symbols, model in adaptive) > pixels.size
    return encode_runs([(np.array([is_plain], dtype=np.int32), FAIR), *(plain if is_plain else adaptive)])


def _adaptive_runs(pixels: Pixels) -> list[Run]:
    runs: list[Run] = []

    def write(model: IntegerModel, row: int, column: int) -> int:
        runs.append((pixels[row, column, None].astype(np.int32), model))
        return int(pixels[row, column])

    _walk(pixels.shape, write)
    return runs


def _read(string: bytes, shape: tuple[int, int]) -> Pixels:
    reader = RunReader(string)
    if reader.take(FAIR, 1)[0]:
        pixels = reader.take(FAIR, shape[0] * shape[1]).reshape(shape).astype(np.uint8)
    else:
        pixels = _walk(shape, lambda model, row, column: int(reader.take(model, 1)[0]))
    reader.close()
    return pixels


def _walk(shape: tuple[int, ...], pixel_of: Callable[[IntegerModel, int, int], int]) -> Pixels:
    """The map of the pixels that `pixel_of` gives row by row, from the table of each and its place.

    Sender and receiver walk alike, so their counts and tables are the same.
    """
    counts = Counts()
    # Zeros with a margin above, left and right, so that neighbours outside of the map read as 0 without a condition;
    # lists, as single entries of arrays are slow.
    padded = [[0] * (shape[1] + 2 * MARGIN) for _ in range(shape[0] + MARGIN)]
    for row, column in np.ndindex(*shape):
        context = 0
        for down, right in NEIGHBOURS:
            context = context << 1 | padded[row + MARGIN + down][column + MARGIN + right]
        pixel = pixel_of(counts.model(context), row, column)
        counts.add(context, pixel)
        padded[row + MARGIN][column + MARGIN] = pixel
    return np.array([row[MARGIN:-MARGIN] for row in padded[MARGIN:]], dtype=np.uint8)
