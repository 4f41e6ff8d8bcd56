"""An edge that draws several candidates sends a sketch of the one that fits the prompt best, and pays for all."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place
from gainnet.models.attributes import CHECKER, AttributeClassifier
from gainnet.models.loading import load_model
from gainnet.models.scenes import caption_labels, parse
from gainnet.network import DEVICE, EDGE
from gainnet.protocols import channel_free, execute, pricing
from gainnet.protocols.candidates import num_useful_candidates
from gainnet.protocols.plan import Compute
from plan_desk import RANDOM, Desk, ideal, small_desk

PROMPT = "a red star above a blue house at sunset"


@pytest.fixture(scope="module")
def desk(small_stable_diffusion) -> Desk:
    return small_desk(small_stable_diffusion, lossless=True)


def edge_flops(desk: Desk, num_candidates: int) -> float:
    plan = desk.plan("esuc", num_candidates=num_candidates)
    inferred = [s.part for s in plan.steps if isinstance(s, Compute) and s.node == EDGE and "denoiser" in s.part.name]
    return sum(pricing("sd15").flops(part) for part in inferred)


@pytest.mark.slow
def test_every_candidate_is_paid_for(desk: Desk) -> None:
    one = edge_flops(desk, 1)
    assert edge_flops(desk, 3) == pytest.approx(3 * one)
    _, report = execute(desk.plan("esuc", num_candidates=3), desk.inputs(False), ideal(), RANDOM, pricing("sd15"))
    _, alone = execute(desk.plan("esuc", num_candidates=1), desk.inputs(False), ideal(), RANDOM, pricing("sd15"))
    assert report.nodes[EDGE].flops > 3 * alone.nodes[EDGE].flops * 0.95
    assert report.nodes[DEVICE].flops == alone.nodes[DEVICE].flops


@pytest.mark.slow
@pytest.mark.parametrize("with_picture", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_chosen_one_is_one_of_the_candidates(desk: Desk, with_picture: bool) -> None:
    task = {"strength": 0.7} if with_picture else {}
    inputs = desk.inputs(with_picture)
    with torch.no_grad():
        three, one = (channel_free(desk.plan("esuc", num_candidates=n, **task), inputs, RANDOM) for n in (3, 1))
    chosen = three[EDGE, "latent"]
    drawn = torch.stack([one[EDGE, "latent"], three[EDGE, "latent_2"], three[EDGE, "latent_3"]])
    assert not torch.allclose(drawn[0], drawn[1])
    assert bool((drawn == chosen).flatten(2).all(-1).any(0).all())


def test_no_candidate_is_one_line(desk: Desk) -> None:
    with pytest.raises(ConfigError, match="num_candidates"):
        desk.plan("esuc", num_candidates=0)


def test_several_pay_only_where_they_can_be_told_apart(desk: Desk) -> None:
    assert num_useful_candidates(desk.model) == 1
    assert num_useful_candidates(load_model("scenes")) > 1


@pytest.mark.slow
def test_the_shipped_model_sends_the_picture_that_its_checker_likes_best() -> None:
    desk, random = Desk(load_model("scenes", num_steps=2), lossless=True), Random.of([5])
    given: dict[Place, torch.Tensor] = {(DEVICE, "prompt"): text_to_tensor([PROMPT])}
    plan = desk.plan("esuc", num_candidates=2)
    with torch.inference_mode():
        places = channel_free(plan, given, random)
        named = caption_labels([parse(PROMPT)])
        candidates = [places[EDGE, name] for name in ("image of latent", "image of latent_2")]
        fits = [float(AttributeClassifier.from_pretrained(CHECKER).fit(image, named)) for image in candidates]
    assert plan.reference == (EDGE, "image")
    assert torch.equal(places[EDGE, "image"], candidates[fits.index(max(fits))])
