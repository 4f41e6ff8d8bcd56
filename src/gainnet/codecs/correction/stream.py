"""Corrections as byte strings: level, class, values group after group, and the digest of the draft."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from gainnet.codecs.correction.weights import NUM_CLASSES, CorrectionWeights
from gainnet.codecs.entropy import IntegerModel, Integers, Run, RunReader, encode_from
from gainnet.codecs.tables import runs_of_values
from gainnet.codecs.transform_seed.exact import Doubles, clip_to_grid
from gainnet.codecs.transform_seed.network import NUM_QUALITIES
from gainnet.codecs.transform_seed.stream import LEVELS_PER_QUALITY, anchors_of, by_class, information, take
from gainnet.core.errors import PayloadError

QUALITIES_PER_LEVEL: Final = 2
NUM_LEVELS: Final = NUM_QUALITIES // QUALITIES_PER_LEVEL
LEVEL_MODEL: Final = IntegerModel.uniform(NUM_LEVELS)
CLASS_MODEL: Final = IntegerModel.uniform(NUM_CLASSES)
HEAD_BITS: Final = 8
DIGEST_BITS: Final = 16
DEAD_ZONE: Final = 0.15
"""Part of a step by which bins of zero are wider on both sides: a small value is seldom worth its bits."""


@final
@dataclass(frozen=True)
class Corrected:
    """An item at a level.

    Args:
        head: level and class.
        digest: of the draft, 16 bits.
        groups: integers and classes of the deviations of every group.
        bits: information content, head and digest included.
        values: [num_values], what the receiver will have.
    """

    head: tuple[int, int]
    digest: int
    groups: tuple[tuple[Integers, NDArray[np.int64]], ...]
    bits: float
    values: Doubles

    @cached_property
    def string(self) -> bytes:
        """The byte string that is sent."""
        level, item_class = (np.array([number], dtype=np.int32) for number in self.head)
        runs: list[Run] = [(level, LEVEL_MODEL), (item_class, CLASS_MODEL)]
        for integers, classes in self.groups:
            runs += runs_of_values([(integers[places], model) for places, model in by_class(classes)])
        # The coder has to start from some number: the digest takes no bits of its own but these, and a string that was
        # damaged ends at another one.
        return encode_from((1 << DIGEST_BITS) | self.digest, runs)


def corrected(weights: CorrectionWeights, draft: str, values: Doubles, digest: int, level: int) -> Corrected:
    """An item at a level.

    Args:
        weights: of the correction.
        draft: its name.
        values: [num_values], as analysed.
        digest: of the draft.
        level: quality, 0 to 31.
    """
    exact, item_class = weights.exact, weights.classes(values[None])
    side = exact.side_information(anchors(level), weights.hints(draft, item_class))
    received, bits, groups = np.zeros((1, len(values))), float(HEAD_BITS + DIGEST_BITS), []
    for group, places in enumerate(exact.groups):
        expected = exact.predict(group, received, side)
        steps = values[places] * expected.gains - expected.means
        integers = (np.sign(steps) * np.floor(np.abs(steps) + 0.5 - DEAD_ZONE)).astype(np.int32)
        bits += float(information(integers, expected.classes).sum())
        groups.append((integers[0], expected.classes[0]))
        received[:, places] = clip_to_grid((integers + expected.means) / expected.gains)
    return Corrected((level, int(item_class[0])), digest, tuple(groups), bits, received[0])


def read(weights: CorrectionWeights, draft: str, string: bytes) -> tuple[Doubles, int]:
    """Values [num_values] and digest of a string; raises `PayloadError` when it is corrupt."""
    reader, exact = RunReader(string), weights.exact
    level, item_class = (int(reader.take(model, 1)[0]) for model in (LEVEL_MODEL, CLASS_MODEL))
    side = exact.side_information(anchors(level), weights.hints(draft, np.array([item_class])))
    received = np.zeros((1, exact.shape.num_values))
    for group, places in enumerate(exact.groups):
        expected = exact.predict(group, received, side)
        integers = take(reader, expected.classes[0])
        received[:, places] = clip_to_grid((integers + expected.means) / expected.gains)
    rest = reader.rest()
    if rest >> DIGEST_BITS != 1:
        raise PayloadError("correction: the payload is corrupt, it does not end at a digest")
    return received[0], rest & ((1 << DIGEST_BITS) - 1)


def anchors(level: int) -> Doubles:
    """[1, NUM_ANCHORS], weights of the anchors at a level from 0 to 31."""
    return anchors_of([LEVELS_PER_QUALITY * QUALITIES_PER_LEVEL * level])


def finest(weights: CorrectionWeights, draft: str, values: Doubles, digest: int, max_bits: float) -> bytes | None:
    """The string of the finest level that fits in some bits; `None` where none does.

    Args:
        weights: as of `corrected`.
        draft: likewise.
        values: likewise.
        digest: likewise.
        max_bits: of the string.
    """
    found, low, high = None, -1, NUM_LEVELS
    # Strings grow as levels get finer, up to small irregularities: bisection.
    while high - low > 1:
        middle = (low + high) // 2
        string = corrected(weights, draft, values, digest, middle).string
        if 8 * len(string) <= max_bits:
            found, low = string, middle
        else:
            high = middle
    return found
