"""From values to streams and back, group after group, each with the tables that the groups before it call for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import cast, final

import numpy as np
from numpy.typing import NDArray

from gainnet.codecs.entropy import IntegerModel, Integers, Run, RunReader, encode_runs
from gainnet.codecs.quantizer import quantise
from gainnet.codecs.tables import FlatTables, ValueModel, runs_of_values, value_model
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS, Doubles, ExactModel, Prediction, clip_to_grid
from gainnet.codecs.transform_seed.network import NUM_ANCHORS, NUM_QUALITIES

LEVELS_PER_QUALITY = 2
NUM_LEVELS = LEVELS_PER_QUALITY * NUM_QUALITIES
LEVEL_MODEL = IntegerModel.uniform(NUM_LEVELS)
LEVEL_BITS = 7
CHECK_BITS = 16
"""Shorter than in other streams: codewords have check sums of their own, and of 60 bytes half a byte counts."""
HALVES = IntegerModel.uniform(1 << 16)


def anchors_of(levels: Sequence[int]) -> Doubles:
    """[batch, NUM_ANCHORS], weights of the anchors at levels from 0 to 127; all are multiples of 1/16.

    >>> anchors_of([4])[0, :3].tolist()
    [0.75, 0.25, 0.0]
    """
    # Multiples of 1/16, so that the weights are exact on the grid of the layers.
    positions = np.asarray(levels, dtype=np.float64)[:, None] * ((NUM_ANCHORS - 1) / NUM_LEVELS)
    return cast(Doubles, np.maximum(1 - np.abs(positions - np.arange(NUM_ANCHORS)), 0.0))


def table(value_class: int) -> ValueModel:
    """The frequencies of a value whose deviation is of this class."""
    return value_model("gaussian", value_class)


@cache
def _every_table() -> FlatTables:
    return FlatTables.of([table(value_class) for value_class in range(LEAST_CLASS, MOST_CLASS + 1)])


def information(values: Integers, classes: NDArray[np.int64]) -> Doubles:
    """[..., size], bits of values [..., size] under the tables of their classes [..., size]."""
    return _every_table().take(classes - LEAST_CLASS).information(values)


@final
@dataclass(frozen=True)
class Quantised:
    """An item at a level.

    Args:
        level: quality, 0 to 127.
        groups: integers and classes of every group.
        bits: information content, level included.
        values: [num_values], what the receiver will have.
    """

    level: int
    groups: tuple[tuple[Integers, NDArray[np.int64]], ...]
    bits: float
    values: Doubles

    @cached_property
    def stream(self) -> bytes:
        """The byte string that is sent."""
        runs: list[Run] = [(np.array([self.level], dtype=np.int32), LEVEL_MODEL)]
        for integers, classes in self.groups:
            runs += runs_of_values([(integers[places], model) for places, model in by_class(classes)])
        return encode_runs(runs, CHECK_BITS)


def quantised(exact: ExactModel, values: Doubles | None, levels: Sequence[int], prompts: Doubles) -> list[Quantised]:
    """Items at a level each; of `None` the likeliest values, which stand in for items that were lost.

    Args:
        exact: the entropy model.
        values: [batch, num_values], as analysed.
        levels: [batch], quality, 0 to 127.
        prompts: [batch, prompt_width].
    """
    side = exact.side_information(anchors_of(levels), prompts)
    received, bits = np.zeros((len(levels), exact.shape.num_values)), np.full(len(levels), float(LEVEL_BITS))
    groups: list[tuple[Integers, NDArray[np.int64]]] = []
    for group, places in enumerate(exact.groups):
        expected = exact.predict(group, received, side)
        steps = 0 * expected.means if values is None else values[:, places] * expected.gains - expected.means
        # The mean is subtracted before rounding: likely values become zeros, the cheapest symbols.
        integers = quantise(steps)
        bits += information(integers, expected.classes).sum(1)
        groups.append((integers, expected.classes))
        received[:, places] = _received(integers, expected)
    return [
        Quantised(level, tuple((integers[k], classes[k]) for integers, classes in groups), float(bits[k]), received[k])
        for k, level in enumerate(levels)
    ]


def read(exact: ExactModel, strings: Sequence[bytes], prompts: Doubles) -> tuple[list[int], Doubles]:
    """Levels [batch] and values [batch, num_values] of streams; raises `PayloadError` when one is corrupt.

    Args:
        exact: the entropy model.
        strings: [batch], `Quantised.stream` each.
        prompts: [batch, prompt_width], those of the sender.
    """
    readers = [RunReader(string, CHECK_BITS) for string in strings]
    levels = [int(reader.take(LEVEL_MODEL, 1)[0]) for reader in readers]
    side = exact.side_information(anchors_of(levels), prompts)
    received = np.zeros((len(levels), exact.shape.num_values))
    for group, places in enumerate(exact.groups):
        expected = exact.predict(group, received, side)
        integers = np.stack([take(*one) for one in zip(readers, expected.classes, strict=True)])
        received[:, places] = _received(integers, expected)
    # Only now are all symbols known, and with them the check sums.
    for reader in readers:
        reader.close()
    return levels, received


def level_of(string: bytes) -> int:
    """Level of a stream, 0 to 127, without reading the rest."""
    return int(RunReader(string, CHECK_BITS).take(LEVEL_MODEL, 1)[0])


def _received(integers: Integers, expected: Prediction) -> Doubles:
    return clip_to_grid((integers + expected.means) / expected.gains)


def by_class(classes: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], ValueModel]]:
    """Places of the values that share a table, class after class.

    Args:
        classes: [size], of the deviations.
    """
    # Stable, so that both ends take equal classes in the same order.
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=LEAST_CLASS - 1)).tolist()
    for i, j in pairwise([*starts, len(order)]):
        places = order[i:j]
        yield places, table(int(classes[places[0]]))


def take(reader: RunReader, classes: NDArray[np.int64]) -> Integers:
    """[size], the next integers of a stream, whose deviations are of these classes [size]."""
    integers, escaped = np.zeros(len(classes), dtype=np.int32), []
    for places, model in by_class(classes):
        symbols = reader.take(model.model, len(places))
        integers[places] = symbols - np.int32(model.reach)
        escaped.append(places[symbols == model.escape])
    places = np.concatenate(escaped)
    if len(places):
        integers[places] = reader.take(HALVES, 2 * len(places)).astype("<u2").view("<i4")
    return integers
