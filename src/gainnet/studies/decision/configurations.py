"""The configurations among which a decision chooses: who computes, how much, and what carries the content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, final

from gainnet.generation.decision.table import DecisionTable
from gainnet.models.drafts import Form
from gainnet.training.few_steps import NUMS_PASSES

Kind = Literal["picture", "transform", "linear", "draft", "alone"]

PICTURE_QUALITIES: Final = (4, 8, 15, 30, 45, 60, 75)
"""Of AVIF."""
TRANSFORM_LEVELS: Final = (16, 32, 44, 52, 60, 72, 90)
LINEAR_USES: Final = (128, 256, 512, 1024)
DRAFTS: Final = {5: (3, 9, 16), 4: (3, 9, 16), 2: (9, 16)}
"""Steps of a fitted draft, and levels of its correction."""
FAST_LEVELS: Final = (3, 9, 16)
"""Levels of a correction of its drafts, where the code of corrections was trained for them."""
FEW_STEPS: Final = (5, 8)
"""Steps of a shorter run on the edge or on the device."""
NUM_STEPS: Final = 10


@final
@dataclass(frozen=True)
class Candidate:
    """One configuration, before it is measured.

    Args:
        name: unique.
        kind: how it is measured.
        settings: options of `gainnet generate`, without `num_steps`.
        point: quality, level or uses, by kind.
        num_steps: of the denoiser.
        cut: steps of a draft on the device, or passes of a fast model alone.
        form: of that draft.
    """

    name: str
    kind: Kind
    settings: tuple[tuple[str, Any], ...]
    point: int = 0
    num_steps: int = NUM_STEPS
    cut: int | None = None
    form: Form = "fitted"

    @property
    def draft(self) -> str:
        """Name of its draft."""
        return f"{self.form}-{self.cut}"


def candidates() -> tuple[Candidate, ...]:
    """All configurations of a model without a fast one, in the order of the table.

    >>> len(candidates()) == len({each.name for each in candidates()})
    True
    """
    return tuple(_all())


def fast_candidates(drafts: Sequence[str]) -> tuple[Candidate, ...]:
    """Configurations of few passes, with a fast model that is installed on the device.

    Args:
        drafts: that the code of corrections was trained for; others are not corrected.

    >>> [each.name for each in fast_candidates(["fast-2"])][2:4]
    ['device_only 4 fast passes', 'draft 2 fast passes, level 3']
    """
    alone = [
        Candidate(f"device_only {_fast(k)}", "alone", _settings(f"device_only(fast={k})"), cut=k, form="fast")
        for k in NUMS_PASSES
    ]
    corrected = [k for k in NUMS_PASSES if f"fast-{k}" in drafts]
    return *alone, *(_draft("fast", k, level) for k in corrected for level in FAST_LEVELS)


def of_table(table: DecisionTable) -> tuple[Candidate, ...]:
    """The configurations that a table was measured with, in its order.

    >>> from gainnet.generation.decision import load_table
    >>> len(of_table(load_table())) == len(load_table().configurations)
    True
    """
    corrected = [f"fast-{k}" for k in NUMS_PASSES]
    known = {each.name: each for each in (*candidates(), *fast_candidates(corrected))}
    return tuple(known[each.name] for each in table.configurations)


def _all() -> Iterator[Candidate]:
    for quality in PICTURE_QUALITIES:
        yield _picture(quality, NUM_STEPS)
    for level in TRANSFORM_LEVELS:
        yield _transform(level, NUM_STEPS)
    for steps in FEW_STEPS:
        yield _picture(45, steps)
        yield _transform(60, steps)
    for uses in LINEAR_USES:
        settings = _settings("eiug", seed=f"linear(num_channel_uses={uses})")
        yield Candidate(f"eiug linear {uses}", "linear", settings, uses)
    for cut, levels in DRAFTS.items():
        for level in levels:
            yield _draft("fitted", cut, level)
    for steps in (*FEW_STEPS, NUM_STEPS):
        yield Candidate(f"device_only {steps} steps", "alone", _settings("device_only"), num_steps=steps)


def _picture(quality: int, steps: int) -> Candidate:
    name, settings = f"centralized avif {quality}", _settings("centralized", image=f"avif(quality={quality})")
    return Candidate(_stepped(name, steps), "picture", settings, quality, steps)


def _transform(level: int, steps: int) -> Candidate:
    name, settings = f"eiug transform {level}", _settings("eiug", seed=f"transform_prompt(level={level})")
    return Candidate(_stepped(name, steps), "transform", settings, level, steps)


def _draft(form: Form, cut: int, level: int) -> Candidate:
    settings = _settings(f"draft(form='{form}', cut={cut})", correction=f"residual(level={level})")
    steps = _fast(cut) if form == "fast" else f"{cut} steps"
    return Candidate(f"draft {steps}, level {level}", "draft", settings, level, cut=cut, form=form)


def _fast(passes: int) -> str:
    return f"{passes} fast pass{'es' if passes > 1 else ''}"


def _stepped(name: str, steps: int) -> str:
    return name if steps == NUM_STEPS else f"{name}, {steps} steps"


def _settings(protocol: str, **codec: str) -> tuple[tuple[str, Any], ...]:
    return (("protocol", protocol), ("codec", tuple(codec.items())))
