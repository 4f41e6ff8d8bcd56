"""From values to streams and back, group after group, each with the tables that the groups before it call for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from gainnet.codecs.entropy import IntegerModel, Integers, Run, RunReader, encode_runs
from gainnet.codecs.quantizer import quantise
from gainnet.codecs.tables import ValueModel, value_model
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS, Doubles, ExactModel, Known, limited
from gainnet.codecs.transform_seed.network import NUM_ANCHORS, NUM_QUALITIES

LEVELS_PER_QUALITY = 2
NUM_LEVELS = LEVELS_PER_QUALITY * NUM_QUALITIES
LEVEL_MODEL = IntegerModel.uniform(NUM_LEVELS)
LEVEL_BITS = 7
CHECK_BITS = 16
"""Shorter than in other streams: codewords have check sums of their own, and of 60 bytes half a byte counts."""
HALVES = IntegerModel.uniform(1 << 16)


def anchors_of(level: int) -> Doubles:
    """[NUM_ANCHORS], weights of the anchors at a level, 0 to 127; all are multiples of 1/16.

    >>> anchors_of(4)[:3].tolist()
    [0.75, 0.25, 0.0]
    """
    position = level * (NUM_ANCHORS - 1) / NUM_LEVELS
    weights: Doubles = np.maximum(1 - np.abs(position - np.arange(NUM_ANCHORS)), 0.0)
    return weights


def table(value_class: int) -> ValueModel:
    """The frequencies of a value whose deviation is of this class."""
    return value_model("gaussian", value_class)


class _Information(NamedTuple):
    """Bits of all values of all classes, one class after the other: where its value 0 stands, and its reach."""

    zero: Integers
    reach: Integers
    bits: Doubles


@cache
def _information() -> _Information:
    models = [table(value_class) for value_class in range(LEAST_CLASS, MOST_CLASS + 1)]
    starts = np.cumsum([0, *(len(model.model.bits) for model in models[:-1])])
    reach = np.array([model.reach for model in models], dtype=np.int32)
    return _Information((starts + reach).astype(np.int32), reach, np.concatenate([m.model.bits for m in models]))


def information(values: Integers, classes: NDArray[np.int64]) -> Doubles:
    """[size], bits of values under the tables of their classes; one beyond its table takes the escape and 32 bits."""
    tables, row = _information(), classes - LEAST_CLASS
    reach = tables.reach[row]
    inside = np.clip(values, -reach, reach)
    escaped = tables.bits[tables.zero[row] + reach + 1] + 32
    bits: Doubles = np.where(inside == values, tables.bits[tables.zero[row] + inside], escaped)
    return bits


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

    def write(self) -> bytes:
        """The stream."""
        runs: list[Run] = [(np.array([self.level], dtype=np.int32), LEVEL_MODEL)]
        for integers, classes in self.groups:
            runs += _runs_of(integers, classes)
        return encode_runs(runs, CHECK_BITS)


def quantised(exact: ExactModel, values: Doubles | None, level: int, prompt: Doubles) -> Quantised:
    """An item's values at a level; of `None` the likeliest, which is what stands in for an item that was lost.

    Args:
        exact: the entropy model.
        values: [num_values], as analysed.
        level: quality, 0 to 127.
        prompt: [prompt_width].
    """
    condition, log2_gains = _told(exact, level, prompt)
    received, groups, bits = np.zeros(exact.shape.num_values), [], float(LEVEL_BITS)
    for group, places in enumerate(exact.groups):
        known = exact.known(group, received, condition, log2_gains)
        if values is None:
            integers = np.zeros(len(places), dtype=np.int32)
        else:
            integers = quantise(values[places] * known.gains - known.means)
        bits += float(information(integers, known.classes).sum())
        groups.append((integers, known.classes))
        received[places] = _received(integers, known)
    return Quantised(level, tuple(groups), bits, received)


def read(exact: ExactModel, string: bytes, prompt: Doubles) -> tuple[int, Doubles]:
    """Level and values [num_values] of a stream; raises `PayloadError` when it is corrupt.

    Args:
        exact: the entropy model.
        string: what `Quantised.write` gave.
        prompt: [prompt_width], that of the sender.
    """
    reader = RunReader(string, CHECK_BITS)
    level = int(reader.take(LEVEL_MODEL, 1)[0])
    condition, log2_gains = _told(exact, level, prompt)
    received = np.zeros(exact.shape.num_values)
    for group, places in enumerate(exact.groups):
        known = exact.known(group, received, condition, log2_gains)
        received[places] = _received(_take(reader, known.classes), known)
    reader.close()
    return level, received


def _told(exact: ExactModel, level: int, prompt: Doubles) -> tuple[Doubles, Doubles]:
    """Condition and log2 of the gains at a level."""
    anchors = anchors_of(level)
    return np.concatenate((anchors, prompt)), exact.log2_gains(anchors)


def _received(integers: Integers, known: Known) -> Doubles:
    return limited((integers + known.means) / known.gains)


def _by_class(classes: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.intp], ValueModel]]:
    """Which values share a table, class after class."""
    order = np.argsort(classes, kind="stable")
    starts = np.flatnonzero(np.diff(classes[order], prepend=LEAST_CLASS - 1))
    for places in np.split(order, starts[1:]):
        yield places, table(int(classes[places[0]]))


def _runs_of(integers: Integers, classes: NDArray[np.int64]) -> list[Run]:
    runs: list[Run] = []
    escaped = []
    for places, model in _by_class(classes):
        runs.append((model.symbols(integers[places]), model.model))
        escaped.append(integers[places][np.abs(integers[places].astype(np.int64)) > model.reach])
    halves = np.concatenate(escaped).astype("<i4").view("<u2").astype(np.int32)
    return [*runs, (halves, HALVES)] if len(halves) else runs


def _take(reader: RunReader, classes: NDArray[np.int64]) -> Integers:
    integers, escaped = np.zeros(len(classes), dtype=np.int32), []
    for places, model in _by_class(classes):
        symbols = reader.take(model.model, len(places))
        integers[places] = symbols - np.int32(model.reach)
        escaped.append(places[symbols == model.escape])
    places = np.concatenate(escaped)
    if len(places):
        integers[places] = reader.take(HALVES, 2 * len(places)).astype("<u2").view("<i4")
    return integers
