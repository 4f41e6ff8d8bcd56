"""A reader of invented trials that knows their grammar and has seen examples of a field: what examples allow."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gainnet.models.trials.abstract import CONCLUSION, StructuredAbstract
from gainnet.models.trials.fields import EFFECTS, NUM_WORDINGS, REMARKS, Habit
from gainnet.models.trials.writing import Measurement, Trial, write_conclusion

_OBJECTIVE = re.compile(r"to compare (?P<drug>\S+) and (?P<control>\S+) in (?P<condition>\S+)\.")
_METHODS = re.compile(r"(?P<size>\S+) (?P<group>\S+) received \S+ or \S+ for (?P<length>\S+) weeks\.")
_RESULT = re.compile(r"(?P<outcome>\S+) (?P<change>fell|rose) by (?P<percent>\S+) percent, p = (?P<p>\S+)\.")
_HARMS = re.compile(r"harms were (?P<harms>\S+)\.")


class _Seen(NamedTuple):
    """How an example concludes: wording of the finding, place of the result, remark and its wording."""

    finding: int
    result: int
    remark: str
    wording: int


def read_trial(abstract: StructuredAbstract) -> Trial:
    """The facts of an invented trial, out of its text.

    Args:
        abstract: as `write_abstract` writes it.

    Raises:
        ValueError: it is none of those.
    """
    text = " ".join(sentence.text for sentence in abstract.sentences if sentence.role != CONCLUSION)
    facts: dict[str, str] = {}
    for pattern in (_OBJECTIVE, _METHODS, _HARMS):
        found = pattern.search(text)
        if found is None:
            raise ValueError(f"abstract: {abstract.name} is no invented trial; give one that write_abstract wrote")
        facts |= found.groupdict()
    return Trial(measured=tuple(Measurement(**m.groupdict()) for m in _RESULT.finditer(text)), **facts)


def conclude_as(examples: Sequence[StructuredAbstract], asked: StructuredAbstract) -> str:
    """The conclusion of a trial as the examples of its field conclude; what they do not show is left to chance.

    An outcome counts where an example concluded from it, and does not where an example passed it over. Where no example
    has a result of the same effect, no remark follows.

    Args:
        examples: trials of the field with their conclusions.
        asked: a trial of the field; its own conclusion is not read.
    """
    trials = [read_trial(example) for example in examples]
    seen = [_seen(trial, example) for trial, example in zip(trials, examples, strict=True)]
    counts = {trial.measured[one.result].outcome for trial, one in zip(trials, seen, strict=True)}
    passed_over = {m.outcome for trial in trials for m in trial.measured} - counts
    trial = read_trial(asked)
    outcomes = [m.outcome for m in trial.measured]
    # Best first: known to count, not known, known not to count.
    main = min(range(len(outcomes)), key=lambda i: (outcomes[i] not in counts, outcomes[i] in passed_over))
    effect = trial.measured[main].effect
    after = {t.measured[one.result].effect: one.remark for t, one in zip(trials, seen, strict=True)}
    wordings = [one.wording for one in seen if one.remark]
    habit = Habit(tuple(counts), seen[0].finding, wordings[0] if wordings else 0, after)
    return " ".join(write_conclusion(trial, habit, trial.measured[main], effect, after.get(effect, "")))


def _seen(trial: Trial, example: StructuredAbstract) -> _Seen:
    """The habit that gives the conclusion of an example word by word."""
    nobody: Mapping[str, str] = dict.fromkeys(EFFECTS, "")
    for result, measured in enumerate(trial.measured):
        for finding in range(NUM_WORDINGS):
            for remark in ("", *REMARKS):
                for wording in range(NUM_WORDINGS if remark else 1):
                    habit = Habit((), finding, wording, nobody)
                    said = write_conclusion(trial, habit, measured, measured.effect, remark)
                    if " ".join(said) == example.conclusion:
                        return _Seen(finding, result, remark, wording)
    raise ValueError(f"examples: {example.name} does not conclude as an invented field does")
