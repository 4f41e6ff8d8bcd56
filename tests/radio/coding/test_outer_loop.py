"""The outer loop keeps its target where reports cannot."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.radio import Air, Jakes, Ofdm, Rayleigh, Reports
from gainnet.radio.coding.outer_loop import OuterLoop, stream

RANDOM = Random.of(range(12))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("late", "error_db"),
    [(4, 0.0), pytest.param(0, 0.0, marks=pytest.mark.slow), pytest.param(0, 3.0, marks=pytest.mark.slow)],
)
def test_outer_loop_rests_at_its_target(late: int, error_db: float) -> None:
    found = stream(Air(Jakes(), 10.0, reports=Reports(error_db, late)), OuterLoop(0.5, 0.1), 800, RANDOM)
    assert float(found.bler.mean()) == pytest.approx(0.1, abs=0.02)


@pytest.mark.slow
def test_without_it_late_and_wrong_reports_fail_and_carry_less() -> None:
    air = Air(Rayleigh(), 10.0, reports=Reports(3.0))
    alone, guided = (stream(air, OuterLoop(step, 0.1), 400, RANDOM) for step in (0.0, 0.5))
    assert float(alone.bler.mean()) > 0.25
    assert float(guided.goodput.mean()) > 1.1 * float(alone.goodput.mean())
    assert float(guided.margin_db.mean()) > 1.0
    assert float(alone.margin_db.abs().max()) == 0.0


def test_steps_balance_at_the_target() -> None:
    """One failure undoes (1 - target) / target successes."""
    loop, margin = OuterLoop(1.0, 0.25), torch.tensor([2.0])
    for acknowledged in (True, True, True, False):
        margin = loop.after(margin, torch.tensor([acknowledged]))
    assert float(margin) == pytest.approx(2.0)


def test_impossible_loops_are_refused() -> None:
    with pytest.raises(ConfigError, match="step_db"):
        OuterLoop(-1.0)
    with pytest.raises(ConfigError, match="target_bler"):
        OuterLoop(0.5, 0.9)
    with pytest.raises(ConfigError, match="blocks"):
        stream(Air(Ofdm(), 10.0), OuterLoop(), 10, RANDOM)
