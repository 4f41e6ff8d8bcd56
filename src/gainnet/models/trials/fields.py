"""Invented clinical fields: which words are theirs, and their habits of concluding from results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

import numpy as np

from gainnet.models.trials.names import CONDITIONS, DRUGS, GROUPS, OUTCOMES

EFFECTS = ("lower", "higher", "none")
REMARKS = ("safety", "recommendation", "research")
NUM_OUTCOMES, NUM_PRIMARY = 7, 2
NUM_WORDINGS = 4
"""Wordings of a finding; of a remark there are as many."""


@final
@dataclass(frozen=True)
class Habit:
    """How a field concludes.

    Args:
        primary: outcomes that count: a conclusion is about one of these, and a trial measures one of them.
        finding: which wording it uses for a finding.
        remark: which wording it uses for a remark.
        remark_after: remark that follows a finding of this effect, or "" for none.
    """

    primary: tuple[str, ...]
    finding: int
    remark: int
    remark_after: Mapping[str, str]


@final
@dataclass(frozen=True)
class Field:
    """Words and habits of a clinical field.

    Args:
        name: of the field.
        drugs: what is given; a new drug may come up at any time.
        conditions: what it is given for.
        outcomes: what is measured.
        groups: who takes part.
        habit: how it concludes.
    """

    name: str
    drugs: tuple[str, ...]
    conditions: tuple[str, ...]
    outcomes: tuple[str, ...]
    groups: tuple[str, ...]
    habit: Habit


def invented_fields(count: int, random_seed: int) -> tuple[Field, ...]:
    """Fields whose words and habits are drawn; they share words and habits by chance alone.

    Args:
        count: how many.
        random_seed: non-negative; another seed gives other fields.

    >>> invented_fields(2, 0) == invented_fields(3, 0)[:2]
    True
    """
    # A generator per field: its words do not depend on how many fields are drawn.
    return tuple(_draw_field(index, np.random.default_rng([random_seed, index])) for index in range(count))


def _draw_field(index: int, rng: np.random.Generator) -> Field:
    outcomes = _some(OUTCOMES, NUM_OUTCOMES, rng)
    drugs, conditions, groups = _some(DRUGS, 8, rng), _some(CONDITIONS, 5, rng), _some(GROUPS, 4, rng)
    return Field(f"field_{index}", drugs, conditions, outcomes, groups, _draw_habit(outcomes, rng))


def _draw_habit(outcomes: tuple[str, ...], rng: np.random.Generator) -> Habit:
    finding, remark = (int(x) for x in rng.integers(NUM_WORDINGS, size=2))
    after = {effect: str(rng.choice(("", *REMARKS))) for effect in EFFECTS}
    return Habit(_some(outcomes, NUM_PRIMARY, rng), finding, remark, after)


def _some(names: tuple[str, ...], count: int, rng: np.random.Generator) -> tuple[str, ...]:
    """Different ones of them."""
    return tuple(names[int(i)] for i in rng.permutation(len(names))[:count])
