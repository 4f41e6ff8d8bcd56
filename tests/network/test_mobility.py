"""Vehicles stay where they may be and never jump."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.network.mobility import Manhattan, Mobility, RandomWaypoint

TIMES_S = torch.arange(0, 120, 0.5, dtype=torch.float64)
WAYS: list[Mobility] = [RandomWaypoint(500.0, 5.0, 20.0), Manhattan(500.0, 5, 5.0, 20.0)]
ways = pytest.mark.parametrize("mobility", WAYS, ids=lambda way: type(way).__name__)


@ways
def test_nobody_leaves_or_jumps(mobility: Mobility) -> None:
    found = mobility.positions(30, TIMES_S, Random.of([1, 2]))
    assert found.shape == (2, len(TIMES_S), 30, 2)
    assert float(found.min()) >= 0.0
    assert float(found.max()) <= 500.0
    moved = found.diff(dim=1).norm(dim=-1) / 0.5
    assert float(moved.max()) <= 20.0 + 1e-6
    assert 5.0 * 0.8 < float(moved.mean()) < 20.0


@ways
def test_a_scenario_of_a_batch_is_the_scenario_alone(mobility: Mobility) -> None:
    batch = mobility.positions(7, TIMES_S, Random.of([3, 4, 5]))
    assert torch.equal(batch[1], mobility.positions(7, TIMES_S, Random.of(4)))
    assert not torch.equal(batch[0], batch[1])


@ways
def test_where_one_is_does_not_depend_on_when_one_looks(mobility: Mobility) -> None:
    whole = mobility.positions(5, TIMES_S, Random.of(1))
    part = mobility.positions(5, TIMES_S[:40:3], Random.of(1))
    torch.testing.assert_close(whole[:40:3], part)


def test_streets_are_kept_and_all_are_used() -> None:
    found = Manhattan(500.0, 5, 5.0, 20.0).positions(200, TIMES_S, Random.of(1))
    off_street = (found / 100 - (found / 100).round()).abs()
    assert float(off_street.min(-1).values.max()) < 1e-9
    assert len(torch.unique((found / 100).round().long().flatten(0, 1), dim=0)) == 36


def test_half_go_straight_on_where_they_can() -> None:
    way = Manhattan(10_000.0, 100, 10.0, 10.0)
    found = way.positions(400, torch.arange(0, 200, 10.0, dtype=torch.float64), Random.of(2))
    steps = found.diff(dim=0)
    inner = ((found[1:-1] > 1000) & (found[1:-1] < 9000)).all(-1)
    straight = (steps[1:] - steps[:-1]).norm(dim=-1) < 1e-6
    # Sampled once per block, straight at one crossing shows as two equal steps; a turn bends two of them.
    assert float(straight[inner].double().mean()) == pytest.approx(0.25, abs=0.03)


@pytest.mark.parametrize("arguments", [(0.0, 1.0, 2.0), (9.0, 0.0, 2.0), (9.0, 3.0, 2.0)])
def test_absurd_ways_are_refused(arguments: tuple[float, float, float]) -> None:
    with pytest.raises(ConfigError, match="mobility"):
        RandomWaypoint(*arguments)
