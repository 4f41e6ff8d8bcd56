"""Every edge is killed at every step of every plan with several edges: a picture, and a report that says how."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from gainnet.core.errors import NodeFailedError
from gainnet.core.randomness import Random
from gainnet.core.report import Report
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place
from gainnet.generation.memory import Memory
from gainnet.network import DEVICE
from gainnet.protocols import Plan, channel_free, execute, pricing
from gainnet.protocols.plan import Transfer
from plan_desk import SEVERAL, Desk, ideal, small_desk

ALONE = Random.of(7)
GIVEN: Mapping[Place, torch.Tensor] = {(DEVICE, "prompt"): text_to_tensor(["cat"])[0]}


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def desk(small_stable_diffusion) -> Desk:
    return small_desk(small_stable_diffusion, lossless=True, num_steps=2)


def kill_everywhere(plan: Plan, num_edges: int) -> None:
    plan, network, prices = Memory().over(plan), ideal(num_edges), pricing("sd15")
    whole = channel_free(plan, GIVEN, ALONE)[plan.result]
    for edge in network.edges:
        for step in range(len(plan.steps)):
            places, report = execute(plan, GIVEN, network, ALONE, prices, ((edge, step),))
            image = places[plan.result]
            assert image.shape == whole.shape
            assert bool(torch.isfinite(image).all())
            _check_report(plan, report, network.edges, edge, network.detection_s, torch.equal(image, whole))


def _check_report(
    plan: Plan, report: Report, edges: tuple[str, ...], lost: str, detection_s: float, unharmed: bool
) -> None:
    if not report.recoveries:
        assert unharmed
        return
    recovery = report.recoveries[0]
    assert recovery.lost == (lost,)
    assert not [s for s in report.steps if s.start_s >= recovery.start_s and s.label.endswith(f"@ {lost}")]
    assert report.duration_s >= recovery.start_s >= detection_s
    others = set(edges) - {lost}
    if recovery.ran_on == (DEVICE,) and others:
        assert recovery.reused, "the device went on alone although somebody lives and nothing was reused"


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name if name == "uidcg" else pytest.param(name, marks=pytest.mark.slow) for name in SEVERAL]
)
def test_every_edge_at_every_step_of_two(desk: Desk, name: str) -> None:
    kill_everywhere(desk.plan(name, 2), 2)


@pytest.mark.slow
@pytest.mark.parametrize("num_edges", [1, 3, 4])
@pytest.mark.parametrize("name", SEVERAL)
def test_every_edge_at_every_step(desk: Desk, name: str, num_edges: int) -> None:
    kill_everywhere(desk.plan(name, num_edges), num_edges)


@pytest.mark.slow
@pytest.mark.parametrize("cooperation", ["pipeline", "regions"])
def test_every_edge_at_every_step_of_a_cooperation(desk: Desk, cooperation: str) -> None:
    kill_everywhere(desk.plan("uidcg", 2, cooperation=cooperation), 2)


def test_a_cooperation_goes_on_from_the_furthest_latent_and_makes_the_same_picture(desk: Desk) -> None:
    for cooperation in ("pipeline", "guidance"):
        plan = desk.plan("uidcg", 2, cut=0, cooperation=cooperation)
        whole = channel_free(plan, GIVEN, ALONE)[plan.result]
        labels = [step.label for step in plan.steps]
        late = min(index for index, label in enumerate(labels) if "denoiser[1:2]" in label)
        places, report = execute(plan, GIVEN, ideal(2), ALONE, pricing("sd15"), failures=(("edge_2", late),))
        assert any(reused.startswith("latent[1]") for reused in report.recoveries[0].reused)
        assert float((places[plan.result] - whole).abs().max()) <= 1e-4
        assert sum("text_encoder" in step.label for step in report.steps) == sum("text_encoder" in x for x in labels)


def test_a_candidate_that_did_not_arrive_leaves_fewer(desk: Desk) -> None:
    plan = desk.plan("diug", 3)
    sent = [index for index, step in enumerate(plan.steps) if isinstance(step, Transfer) and step.arrives_as]
    _, report = execute(plan, GIVEN, ideal(3), ALONE, pricing("sd15"), failures=(("edge_2", sent[1]),))
    recovery = report.recoveries[0]
    assert recovery.ran_on == (DEVICE,)
    assert {"latent_1 @ device", "latent_3 @ device"} <= set(recovery.reused)


def test_a_region_is_completed_by_somebody_else(desk: Desk) -> None:
    plan = desk.plan("uidg", 2)
    whole = channel_free(plan, GIVEN, ALONE)[plan.result]
    places, report = execute(plan, GIVEN, ideal(2), ALONE, pricing("sd15"), failures=(("edge_2", 6),))
    recovery = report.recoveries[0]
    assert "edge_1" in recovery.ran_on
    assert "image_1 @ device" in recovery.reused
    assert float((places[plan.result] - whole).abs().max()) <= 1e-4


def test_when_everybody_dies_the_device_goes_on_with_what_it_has(desk: Desk) -> None:
    plan = desk.plan("uidcg", 2)
    places, report = execute(plan, GIVEN, ideal(2), ALONE, pricing("sd15"), failures=(("edge_1", 6), ("edge_2", 8)))
    assert report.recoveries[-1].ran_on == (DEVICE,)
    assert "latent[1] @ device" in report.recoveries[-1].reused
    assert plan.result in places


def test_a_dead_device_is_an_honest_error(desk: Desk) -> None:
    with pytest.raises(NodeFailedError, match="consumer"):
        execute(desk.plan("uidcg", 2), GIVEN, ideal(2), ALONE, pricing("sd15"), failures=((DEVICE, 3),))
