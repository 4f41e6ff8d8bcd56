"""Draft and correction: the device drafts alone, the edge sends what the draft lacks."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gainnet.codecs import UniformQuantizer
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import NodeId, Tensors
from gainnet.generation.planning import make_plan
from gainnet.models.loading import load_model
from gainnet.models.part import Part
from gainnet.models.renamed import called_by
from gainnet.network import DEVICE
from gainnet.protocols import Compute, Draft, Plan, Transfer, channel_free, estimate, execute, pricing
from gainnet.protocols.plan import Step
from gainnet.protocols.run import spec_of
from gainnet.protocols.task import PROMPT
from gainnet.radio import Air
from plan_desk import NUM_STEPS, RANDOM, Desk, ideal, small_desk

EDGE = NodeId("edge")
FORMS = ("coarse", "prefix")


@pytest.fixture(scope="module")
def desk(small_stable_diffusion) -> Desk:
    return small_desk(small_stable_diffusion, lossless=True)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cut", [1, pytest.param(2, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)])
def test_draft_and_residual_are_the_whole_picture(desk: Desk, form: str, cut: int) -> None:
    with torch.no_grad():
        whole = channel_free(desk.plan("eiug"), desk.inputs(False), RANDOM)[DEVICE, "image"]
        places, report = execute(desk.plan("draft", form=form, cut=cut), desk.inputs(False), ideal(), RANDOM)
    assert torch.allclose(places[DEVICE, "image"], whole, atol=1e-4)
    assert report.drafts_differ == 0


@pytest.mark.parametrize("form", FORMS)
def test_each_node_takes_its_own_passes(desk: Desk, form: str) -> None:
    plan, branches = desk.plan("draft", form=form, cut=2), desk.model.denoiser.num_branches
    passes = {node: _passes(plan, node) for node in (DEVICE, EDGE)}
    # A prefix is the beginning of the edge's own run, a coarse draft is one more.
    assert passes == {DEVICE: 2 * branches, EDGE: (NUM_STEPS + (2 if form == "coarse" else 0)) * branches}


def test_the_device_waits_for_the_later_of_draft_and_correction(desk: Desk) -> None:
    plan, inputs = desk.plan("draft", cut=2), desk.inputs(False)
    given = {place: spec_of(place, x, RANDOM) for place, x in inputs.items()}
    report = estimate(plan, given, ideal(), pricing("sd15"))
    steps = {step.label: step for step in report.steps}
    drafted = next(s for s in report.steps if s.label.startswith("denoiser") and s.label.endswith("device"))
    added = steps["corrected @ device"]
    assert added.start_s == max(drafted.stop_s, steps["correction: edge -> device"].stop_s)
    assert drafted.start_s < steps["residual @ edge"].start_s


@pytest.mark.parametrize("form", FORMS)
def test_a_draft_without_an_edge_goes_on_alone(desk: Desk, form: str) -> None:
    plan, inputs = desk.plan("draft", form=form, cut=2), desk.inputs(False)
    with torch.no_grad():
        draft, _ = execute(plan, inputs, ideal(), RANDOM)
        places, report = execute(plan, inputs, ideal(), RANDOM, failures=[(EDGE, 5)])
    assert report.drafts_differ is None
    latent = draft[DEVICE, "draft"] if form == "coarse" else draft[EDGE, "latent"]
    alone = desk.model.decoder({"latent": latent}, RANDOM)["image"]
    assert torch.allclose(places[DEVICE, "image"], alone, atol=1e-5)


@pytest.mark.slow
def test_other_drafts_are_reported_and_cost_as_much_quality_as_they_differ(desk: Desk) -> None:
    inputs, plan = desk.inputs(False), desk.plan("draft", cut=2)
    with torch.no_grad():
        whole, _ = execute(plan, inputs, ideal(), RANDOM)
        for size in (1e-2, 1e-3):
            places, report = execute(_perturbed(plan, size), inputs, ideal(), RANDOM)
            error = (places[DEVICE, "latent"] - whole[DEVICE, "latent"]).square().mean().sqrt()
            assert float(error) == pytest.approx(size, rel=0.1)
            assert size < 1e-2 or report.drafts_differ


def test_rounded_residuals_correct_any_model(desk: Desk) -> None:
    codec = UniformQuantizer(step=0.25, scale=0.3, shape="laplace")
    with torch.no_grad():
        places, report = execute(desk.plan("draft", cut=1, correction=codec), desk.inputs(False), ideal(), RANDOM)
    error = places[DEVICE, "latent"] - places[EDGE, "latent"]
    assert float(error.abs().max()) <= 0.125 + 1e-4
    assert report.drafts_differ == 0


@pytest.mark.slow
def test_the_shipped_model_drafts_by_fitted_steps_and_needs_few_bytes() -> None:
    model, random = load_model("scenes"), Random.of([11, 12])
    made = make_plan(Air(snr_db=10.0), Draft(), model, ("a red star", "a blue house in fog"))
    with torch.inference_mode():
        places, report = execute(made.plan, {PROMPT: text_to_tensor(["a red star", "a blue house in fog"])},
                                 made.network, random)  # fmt: skip
        whole = model.decoder({"latent": places[EDGE, "latent"]}, random)["image"]
    assert Draft().name_of_draft(model) == "fitted-5"
    assert type(made.codecs["correction"]).__name__ == "ResidualCode"
    assert _passes(made.plan, DEVICE) == 10
    # Ten passes of twenty, and a few bytes.
    assert report.num_bits_of("down") / 2 < 8 * 40
    assert float((places[DEVICE, "image"] - whole).square().mean()) < 2e-3


def test_fitted_steps_are_for_noise_and_for_models_that_have_them(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="form: a fitted draft begins with noise"):
        desk.plan("draft", form="fitted", cut=2, strength=0.9)
    with pytest.raises(ConfigError, match="draft: no steps are fitted"):
        desk.plan("draft", form="fitted", cut=2)
    assert Draft(cut=2).name_of_draft(desk.model) == "coarse-2"


def test_a_cut_out_of_range_is_refused(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="cut: 0"):
        Draft(cut=0)
    with pytest.raises(ConfigError, match="form: "):
        Draft(form="fine")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cut: 4"):
        desk.plan("draft", cut=4)


def _passes(plan: Plan, node: NodeId) -> float:
    parts = [step.part for step in plan.steps if isinstance(step, Compute) and step.node == node]
    return sum(part.num_passes for part in parts if part.role == "denoiser")


def _perturbed(plan: Plan, size: float) -> Plan:
    """The plan with noise of that standard deviation on the device's draft."""

    def call(part: Part, tensors: Tensors, random: Random) -> Tensors:
        made = part(tensors, random)
        return {**made, "draft": made["draft"] + size * torch.randn_like(made["draft"])}

    def other(step: Step) -> Step:
        if isinstance(step, Transfer) or step.node != DEVICE or "draft" not in step.part.writes:
            return step
        return replace(step, part=called_by(call, step.part))

    return replace(plan, steps=tuple(map(other, plan.steps)))
