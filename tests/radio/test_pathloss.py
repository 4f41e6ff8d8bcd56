"""Path loss in the street, against the standard's own numbers and free space."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.radio.pathloss import along_the_way, line_of_sight_probability, path_loss_db

DISTANCES_M = torch.linspace(10, 2000, 400, dtype=torch.float64)


def loss(distance_m: float, in_sight: bool, carrier_ghz: float) -> float:
    return float(path_loss_db(torch.tensor(distance_m), torch.tensor(in_sight), carrier_ghz, 10.0, 1.5))


@pytest.mark.parametrize(
    ("distance_m", "in_sight", "carrier_ghz"), [(50, True, 3.5), (150, False, 3.5), (90, False, 28)]
)
def test_the_formulas_by_hand(distance_m: float, in_sight: bool, carrier_ghz: float) -> None:
    spatial = math.sqrt(distance_m**2 + 8.5**2)
    sight = 32.4 + 21 * math.log10(spatial) + 20 * math.log10(carrier_ghz)
    if distance_m > 4 * 9 * 0.5 * carrier_ghz * 1e9 / 3e8:
        breaks = 4 * 9 * 0.5 * carrier_ghz * 1e9 / 3e8
        sight = 32.4 + 40 * math.log10(spatial) + 20 * math.log10(carrier_ghz) - 9.5 * math.log10(breaks**2 + 8.5**2)
    blocked = 35.3 * math.log10(spatial) + 22.4 + 21.3 * math.log10(carrier_ghz)
    assert loss(distance_m, in_sight, carrier_ghz) == pytest.approx(
        sight if in_sight else max(sight, blocked), abs=1e-4
    )


@pytest.mark.parametrize("carrier_ghz", [0.7, 3.5, 28.0])
def test_loss_grows_steadily_and_exceeds_free_space(carrier_ghz: float) -> None:
    for in_sight in (True, False):
        found = path_loss_db(DISTANCES_M, torch.tensor(in_sight), carrier_ghz, 10.0, 1.5)
        free = 20 * torch.log10(DISTANCES_M) + 20 * math.log10(carrier_ghz) + 32.4
        assert bool((found.diff() > 0).all())
        assert float(found.diff().max()) < 4.5
        assert bool((found > free - 0.1).all())
    blocked = path_loss_db(DISTANCES_M, torch.tensor(False), carrier_ghz, 10.0, 1.5)
    assert bool((blocked >= path_loss_db(DISTANCES_M, torch.tensor(True), carrier_ghz, 10.0, 1.5)).all())


def test_the_line_of_sight_is_lost_with_distance() -> None:
    probability = line_of_sight_probability(DISTANCES_M)
    assert bool((probability[DISTANCES_M <= 18] == 1).all())
    assert bool((probability.diff() <= 0).all())
    assert 0 < float(probability[-1]) < 0.02


def test_shadowing_forgets_with_distance() -> None:
    generator = torch.Generator().manual_seed(0)
    innovation = torch.randn(40, 500, 4, generator=generator)
    process = along_the_way(innovation, torch.full((40, 500), 5.0), 10.0)
    assert float(process.std()) == pytest.approx(1.0, abs=0.02)
    correlation = float((process[1:] * process[:-1]).mean())
    assert correlation == pytest.approx(math.exp(-0.5), abs=0.02)
    assert torch.equal(along_the_way(innovation, torch.zeros(40, 500), 10.0)[-1], innovation[0])
