"""Every protocol of the package writes a plan that keeps the contract of plans, over ideal and radio links."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from gainnet.codecs import MatchedSeed
from gainnet.core.randomness import Random
from gainnet.network import Network, cell, profile
from gainnet.protocols import PROTOCOLS, execute, pricing
from gainnet.radio import AWGN, Air, Analog, Digital, Ideal, Rayleigh, Tabulated
from gainnet.radio.fading.channel import Channel
from gainnet.radio.links.link import AnyLink
from gainnet.testing import check_plan
from plan_desk import RANDOM, SEVERAL, Desk, small_desk

BEARERS: Mapping[str, tuple[AnyLink, ...]] = {
    "ideal": (Ideal(), Analog()),
    "radio": (Digital(Air(Rayleigh(), 18.0)), Analog(Air(Rayleigh(), 18.0))),
}
CHANNELS: Mapping[str, Channel] = {"awgn": AWGN(), "rayleigh": Rayleigh()}
SINGLE = [name for name in PROTOCOLS if name not in SEVERAL]
SITUATIONS = [*((name, 1) for name in SINGLE), *((name, k) for name in SEVERAL for k in (1, 2, 3, 4))]
ONE_EACH = [*((name, 1) for name in SINGLE), *((name, 2 + k % 2) for k, name in enumerate(SEVERAL))]
STRENGTH = 0.7
LEVEL = 1.5 / 255
"""A batch may round the last bit of a float otherwise than one item alone, and then an 8-bit pixel by one level."""


@pytest.fixture(scope="module")
def desk(small_stable_diffusion: Path) -> Desk:
    return small_desk(small_stable_diffusion, num_steps=2)


def network(bearers: tuple[AnyLink, ...], num_edges: int) -> Network:
    return cell(profile("edge_a100"), profile("laptop"), bearers, bearers, num_edges)


@pytest.mark.parametrize(
    "name", [n if n in ("eiug", "uidcg") else pytest.param(n, marks=pytest.mark.slow) for n in PROTOCOLS]
)
def test_plan_over_ideal_links(name: str, desk: Desk) -> None:
    num_edges = 2 if name in SEVERAL else 1
    inputs, net = desk.inputs(False), network(BEARERS["ideal"], num_edges)
    check_plan(desk.plan(name, num_edges), net, inputs, RANDOM, pricing("sd15"))


@pytest.mark.slow
@pytest.mark.parametrize("bearers", BEARERS)
def test_a_plan_with_a_matched_hand_over(bearers: str, desk: Desk) -> None:
    plan = desk.plan("ciag", midway=MatchedSeed())
    check_plan(plan, network(BEARERS[bearers], 1), desk.inputs(False), RANDOM, pricing("sd15"))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_edges"), SITUATIONS)
@pytest.mark.parametrize("with_picture", [False, True])
@pytest.mark.parametrize("bearers", BEARERS)
def test_plan_in_every_situation(name: str, num_edges: int, with_picture: bool, bearers: str, desk: Desk) -> None:
    plan = desk.plan(name, num_edges, **({"strength": STRENGTH} if with_picture else {}))
    check_plan(plan, network(BEARERS[bearers], num_edges), desk.inputs(with_picture), RANDOM, pricing("sd15"), LEVEL)


@pytest.mark.parametrize(("name", "num_edges"), ONE_EACH)
def test_all_run_over_the_air(name: str, num_edges: int, desk: Desk) -> None:
    _run(desk, name, num_edges, "awgn", 5.0, with_picture=num_edges % 2 == 0)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "num_edges"), SITUATIONS)
@pytest.mark.parametrize("fading", CHANNELS)
@pytest.mark.parametrize("with_picture", [False, True])
def test_all_run_over_every_air(name: str, num_edges: int, fading: str, with_picture: bool, desk: Desk) -> None:
    for snr_db in (-5.0, 5.0, 20.0):
        _run(desk, name, num_edges, fading, snr_db, with_picture)


def _run(desk: Desk, name: str, num_edges: int, fading: str, snr_db: float, with_picture: bool) -> None:
    channel = CHANNELS[fading]
    bearers = Tabulated(Air(channel, snr_db)), Analog(Air(channel, snr_db))
    plan = desk.plan(name, num_edges, **({"strength": STRENGTH} if with_picture else {}))
    inputs = {place: x[:1] for place, x in desk.inputs(with_picture).items()}
    with torch.inference_mode():
        places, report = execute(plan, inputs, network(bearers, num_edges), Random.of([3]), pricing("sd15"))
    image = places[plan.result]
    assert image.shape == (1, *desk.model.image.shape)
    assert bool(torch.isfinite(image).all())
    assert (report.num_channel_uses("up") > 0) == (name != "device_only")
    assert (report.num_channel_uses("down") > 0) == (name != "device_only")
    assert report.device_flops == report.nodes["device"].flops
