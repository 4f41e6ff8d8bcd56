"""Layouts and path loss of TR 38.901 against geometry, hand calculation and Sionna's own scenarios."""

from __future__ import annotations

import math

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.network.layout import Layout, hexagonal_sites
from gainnet.radio.macro import SCENARIOS, rma_loss_db, uma_loss_db, uma_sight_probability

DISTANCES_M = torch.linspace(20, 3000, 300, dtype=torch.float64)


@pytest.mark.parametrize("num_rings", [0, 1, 2, 4])
def test_hexagons_have_six_neighbours_at_equal_distance(num_rings: int) -> None:
    sites = hexagonal_sites(num_rings, 200.0)
    assert len(sites) == 1 + 3 * num_rings * (num_rings + 1)
    apart = torch.cdist(sites, sites)
    if num_rings:
        assert float(apart[apart > 1].min()) == pytest.approx(200.0)
        assert int(((apart[0] - 200.0).abs() < 1e-6).sum()) == 6
    assert float(sites[0].abs().max()) == 0.0


@pytest.mark.parametrize("distance_m", [100.0, 400.0, 2500.0])
@pytest.mark.parametrize("in_sight", [True, False])
def test_macro_loss_by_hand(distance_m: float, in_sight: bool) -> None:
    """TR 38.901, Table 7.4.1-1, UMa: the break point is at 4 x 24 x 0.5 x 3.5e9 / 3e8 = 560 m."""
    spatial = math.hypot(distance_m, 23.5)
    sight = 28 + 22 * math.log10(spatial) + 20 * math.log10(3.5)
    if distance_m > 560:
        sight = 28 + 40 * math.log10(spatial) + 20 * math.log10(3.5) - 9 * math.log10(560**2 + 23.5**2)
    blocked = 13.54 + 39.08 * math.log10(spatial) + 20 * math.log10(3.5)
    found = float(uma_loss_db(torch.tensor(distance_m), torch.tensor(in_sight), 3.5, 25.0, 1.5))
    assert found == pytest.approx(sight if in_sight else max(sight, blocked), abs=1e-3)


def test_loss_is_continuous_at_the_break_point_and_grows() -> None:
    for loss, heights in ((uma_loss_db, (25.0, 1.5)), (rma_loss_db, (35.0, 1.5))):
        for in_sight in (True, False):
            found = loss(DISTANCES_M, torch.tensor(in_sight), 2.0, *heights)
            assert bool((found.diff() > 0).all())
            assert float(found.diff().max()) < 8.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["umi", "uma", "rma"])
def test_losses_are_sionnas(name: str) -> None:
    """Sionna's own scenario with terminals on a line, in and out of sight as it drew them."""
    from sionna.phy.channel import tr38901

    one = tr38901.PanelArray(1, 1, "single", "V", "omni", 2e9)
    options = {} if name == "rma" else {"o2i_model": "low"}
    kind = {"umi": tr38901.UMi, "uma": tr38901.UMa, "rma": tr38901.RMa}[name]
    model = kind(
        carrier_frequency=2e9,
        ut_array=one,
        bs_array=one,
        direction="downlink",
        enable_pathloss=True,
        enable_shadow_fading=False,
        **options,
    )
    num, base_m = 60, SCENARIOS[name].base_height_m
    terminals = torch.zeros(1, num, 3)
    terminals[0, :, 0], terminals[0, :, 2] = torch.linspace(20, 2500, num), 1.5
    base = torch.tensor([[[0.0, 0.0, base_m]]])
    still, ahead = torch.zeros(1, num, 3), torch.zeros(1, 1, 3)
    model.set_topology(terminals, base, still, ahead, still, torch.zeros(1, num, dtype=torch.bool))
    scenario = model._scenario
    theirs = scenario.basic_pathloss[0, 0]
    ours = SCENARIOS[name].loss_db(terminals[0, :, 0], scenario.los[0, 0], 2.0, base_m, 1.5)
    torch.testing.assert_close(ours.float(), theirs.float(), atol=0.1, rtol=0)


def test_signal_and_interference_are_what_the_gains_say() -> None:
    layout = Layout(hexagonal_sites(1, 200.0), "uma", tx_power_dbm=40.0)
    random = Random.of([1, 2])
    drop = layout.drop(layout.uniform_points(50, 100.0, random), random)
    noise_dbm = -174 + 70 + 7
    best = drop.gain_db.gather(-1, drop.serving.unsqueeze(-1))[..., 0]
    torch.testing.assert_close(layout.snr_db(drop, 1e7), 40 + best - noise_dbm)
    alone = layout.sinr_db(drop, 1e7, load=0.0)
    torch.testing.assert_close(alone, layout.snr_db(drop, 1e7))
    assert bool((layout.sinr_db(drop, 1e7) < alone).all())


def test_shadowing_and_sight_have_their_statistics() -> None:
    layout = Layout(torch.zeros(1, 2), "uma")
    random, points = Random.of(range(20)), torch.tensor([[150.0, 0.0]]).expand(20, 400, 2)
    drop = layout.drop(points, random)
    assert float(drop.in_sight.double().mean()) == pytest.approx(
        float(uma_sight_probability(torch.tensor(150.0))), abs=0.03
    )
    seen = drop.gain_db[drop.in_sight]
    assert float(seen.std()) == pytest.approx(4.0, rel=0.05)
    assert float(drop.gain_db[~drop.in_sight].std()) == pytest.approx(6.0, rel=0.05)


def test_a_given_layout_is_as_good_as_a_grid() -> None:
    drop = Layout(torch.tensor([[0.0, 0.0], [500.0, 0.0]])).drop(
        torch.tensor([[10.0, 0.0], [490.0, 0.0]]), Random.of(0)
    )
    assert drop.gain_db.shape == (2, 2)


@pytest.mark.parametrize(
    ("field", "value"),
    [("propagation", "mars"), ("carrier_ghz", 300.0), ("terminal_height_m", 50.0), ("sites_m", torch.zeros(3))],
)
def test_impossible_layouts_are_refused(field: str, value: object) -> None:
    named = "scenario" if field == "propagation" else field
    with pytest.raises(ConfigError, match=named):
        Layout(**{"sites_m": torch.zeros(1, 2), field: value})
    with pytest.raises(ConfigError, match="num_rings"):
        hexagonal_sites(-1, 10.0)
