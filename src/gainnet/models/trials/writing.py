"""Writes abstracts of a field: what was found is drawn, and the conclusion follows from it by the field's habits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import final
from zlib import crc32

import numpy as np

from gainnet.models.language_text import CONTROLS, INSIGNIFICANT, LENGTHS, PERCENTS, SIGNIFICANT, SIZES, one_of
from gainnet.models.trials.abstract import Sentence, StructuredAbstract
from gainnet.models.trials.fields import EFFECTS, REMARKS, Field, Habit
from gainnet.models.trials.names import DRUGS
from gainnet.models.trials.template import FORMS, Template

NUM_MEASURED = 3
SHARE_NEW_DRUGS = 0.5
"""How often a drug is any one rather than one of its field."""
SHARE_SIGNIFICANT = 0.6
_FACTS = ("drug", "control", "condition", "group", "size", "length", "harms")

_FINDINGS: tuple[Mapping[str, str], ...] = (  # in the order of `FORMS`
    {
        "lower": "{drug} lowers {outcome} in {group} with {condition}.",
        "higher": "{drug} raises {outcome} in {group} with {condition}.",
        "none": "{drug} does not change {outcome} in {group} with {condition}.",
    },
    {
        "lower": "among {condition} cases, {outcome} was smaller on {drug} than on {control}.",
        "higher": "among {condition} cases, {outcome} was greater on {drug} than on {control}.",
        "none": "among {condition} cases, {outcome} was no different on {drug} than on {control}.",
    },
    {
        "lower": "treatment for {length} weeks by means of {drug} reduces {outcome} by {percent} percent.",
        "higher": "treatment for {length} weeks by means of {drug} increases {outcome} by {percent} percent.",
        "none": "treatment for {length} weeks by means of {drug} has no effect upon {outcome}.",
    },
    {
        "lower": "this study of {size} {group} shows evidence of a fall of {outcome} after {drug}.",
        "higher": "this study of {size} {group} shows evidence of a rise of {outcome} after {drug}.",
        "none": "this study of {size} {group} shows no evidence of a change of {outcome} after {drug}.",
    },
)
_REMARKS: Mapping[str, tuple[str, ...]] = {
    "safety": (
        "{drug} was {safety} tolerated.",
        "its harms were {harms}.",
        "adverse events of {drug} are {safety} acceptable.",
        "side effects in {group} remain {harms}.",
    ),
    "recommendation": (
        "we recommend {drug} for {group}.",
        "physicians should consider {drug} when facing {condition}.",
        "{drug} may be advised in {condition}.",
        "guidelines should include {drug} instead of {control}.",
    ),
    "research": (
        "larger trials are needed.",
        "further work has to follow {group} for more than {length} weeks.",
        "future studies of {condition} must confirm this.",
        "research beyond {size} {group} is warranted.",
    ),
}
_HARMS: Mapping[str, Mapping[str, str]] = {
    "rare": {"safety": "well", "harms": "few"},
    "frequent": {"safety": "poorly", "harms": "many"},
}


@final
@dataclass(frozen=True)
class Measurement:
    """One outcome of a trial.

    Args:
        outcome: what was measured.
        change: fell or rose.
        percent: by how much.
        p: of the change.
    """

    outcome: str
    change: str
    percent: str
    p: str

    @property
    def effect(self) -> str:
        """The conclusion that it allows: an effect counts when p < 0.05."""
        if self.p not in SIGNIFICANT:
            return "none"
        return {"fell": "lower", "rose": "higher"}[self.change]


@final
@dataclass(frozen=True)
class Trial:
    """The facts of one abstract."""

    drug: str
    control: str
    condition: str
    group: str
    size: str
    length: str
    measured: tuple[Measurement, ...]
    harms: str


def write_abstracts(field: Field, count: int, random_seed: int) -> list[StructuredAbstract]:
    """Abstracts of a field; other random seeds give other trials of the same field.

    Args:
        field: whose words and habits.
        count: how many.
        random_seed: non-negative.

    >>> from gainnet.models.trials.fields import invented_fields
    >>> write_abstracts(invented_fields(1, 0)[0], 1, 0)[0].texts("conclusions")[0]
    'dexamab raises balance in swimmers with cardiopathy.'
    """
    rng = np.random.default_rng([random_seed, crc32(field.name.encode())])
    return [write_abstract(f"{field.name}_{index}", draw_trial(field, rng), field.habit) for index in range(count)]


def draw_trial(field: Field, rng: np.random.Generator, num_measured: int = NUM_MEASURED) -> Trial:
    """A trial of a field, each of its facts drawn by itself.

    Args:
        field: whose words and habits.
        rng: of the facts.
        num_measured: outcomes, one of which counts for the field; at most 6.
    """
    others = [outcome for outcome in field.outcomes if outcome not in field.habit.primary]
    outcomes = [one_of(field.habit.primary, rng), *rng.choice(others, num_measured - 1, replace=False)]
    # In random order, or the place of a result would say that it counts.
    outcomes = [str(x) for x in rng.permutation(outcomes)]
    return Trial(
        one_of(DRUGS if rng.random() < SHARE_NEW_DRUGS else field.drugs, rng),
        one_of(CONTROLS, rng),
        one_of(field.conditions, rng),
        one_of(field.groups, rng),
        one_of(SIZES, rng),
        one_of(LENGTHS, rng),
        tuple(_measure(outcome, rng) for outcome in outcomes),
        one_of(tuple(_HARMS), rng),
    )


def main_result(trial: Trial, habit: Habit) -> int:
    """Place of the measurement that the field concludes from."""
    return next(i for i, measurement in enumerate(trial.measured) if measurement.outcome in habit.primary)


def _measure(outcome: str, rng: np.random.Generator) -> Measurement:
    change, percent = one_of(("fell", "rose"), rng), one_of(PERCENTS, rng)
    return Measurement(outcome, change, percent, one_of(_p_values(rng.random()), rng))


def _p_values(draw: float) -> tuple[str, ...]:
    return SIGNIFICANT if draw < SHARE_SIGNIFICANT else INSIGNIFICANT


def write_abstract(name: str, trial: Trial, habit: Habit) -> StructuredAbstract:
    """The text of a trial.

    Args:
        name: of the abstract.
        trial: what it reports.
        habit: how its field concludes.
    """
    t = trial
    given = (
        Sentence("background", f"{t.condition} is common."),
        Sentence("objective", f"to compare {t.drug} and {t.control} in {t.condition}."),
        Sentence("methods", f"{t.size} {t.group} received {t.drug} or {t.control} for {t.length} weeks."),
        *(Sentence("results", f"{m.outcome} {m.change} by {m.percent} percent, p = {m.p}.") for m in t.measured),
        Sentence("results", f"harms were {t.harms}."),
    )
    main = trial.measured[main_result(trial, habit)]
    conclusion = write_conclusion(trial, habit, main, main.effect, habit.remark_after[main.effect])
    return StructuredAbstract(name, given + tuple(Sentence("conclusions", text) for text in conclusion))


def mistaken(trial: Trial, field: Field, labels: float, facts: float, rng: np.random.Generator) -> tuple[Template, str]:
    """Template and draft of somebody who knows field and trial more or less; the draft follows the template.

    Args:
        trial: what is concluded from.
        field: whose habits should be followed; the wording of its remarks always is.
        labels: how often a label is drawn anew by chance: form, result, effect, remark; in [0, 1].
        facts: how often a fact of the draft is: names and numbers; in [0, 1].
        rng: of the mistakes.
    """
    # Wrong facts come from another trial of the field, so that their form does not give them away.
    other, habit = draw_trial(field, rng), field.habit
    names = [name for name in _FACTS if rng.random() < facts]
    said = replace(trial, **{name: getattr(other, name) for name in names})
    form = habit.finding if rng.random() >= labels else int(rng.integers(len(FORMS)))
    place = main_result(trial, habit) if rng.random() >= labels else int(rng.integers(len(trial.measured)))
    main = trial.measured[place]
    effect = main.effect if rng.random() >= labels else one_of(EFFECTS, rng)
    remark = habit.remark_after[effect] if rng.random() >= labels else one_of(("", *REMARKS), rng)
    text = " ".join(write_conclusion(said, replace(habit, finding=form), main, effect, remark))
    return Template(FORMS[form], place + 1, effect, (remark,) if remark else ()), text


def write_conclusion(trial: Trial, habit: Habit, main: Measurement, effect: str, remark: str) -> tuple[str, ...]:
    """The sentences of a conclusion.

    Args:
        trial: what it reports.
        habit: whose wordings of finding and remark.
        main: the result that it rests upon.
        effect: lower, higher or none.
        remark: that follows, or "".
    """
    words = {name: str(getattr(trial, name)) for name in _FACTS}
    words |= {"outcome": main.outcome, "percent": main.percent}
    words |= _HARMS[trial.harms]
    templates = (_FINDINGS[habit.finding][effect], *((_REMARKS[remark][habit.remark],) if remark else ()))
    return tuple(template.format(**words) for template in templates)
