"""A latent that arrives with noise: edges that share a generation agree on it, a device resumes at its noise level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch

from gainnet.codecs import Codecs, Float32, MatchedSeed, RawAnalog, SeedBasis, TextCodec
from gainnet.codecs.codec import AnyCodec
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place
from gainnet.core.units import psnr_db_of_mse
from gainnet.generation.memory import Memory
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network import DEVICE, Network, cell, edge_names, profile
from gainnet.protocols import Ciag, Plan, Uidcg, channel_free, execute
from gainnet.protocols.plan import Transfer
from gainnet.radio import AWGN, Air, Analog, Ideal
from plan_desk import Desk, ideal, small_desk

PROMPTS = ("a red star above a blue house at sunset", "a green heart", "a large yellow tree at night")
GIVEN: Mapping[Place, torch.Tensor] = {(DEVICE, "prompt"): text_to_tensor(PROMPTS)}
RANDOM = Random.of([11, 12, 13])
TEXT, PICTURES = TextCodec(expected_bytes=30), Float32()


@pytest.fixture(autouse=True)
def _without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return load_model(num_steps=4)


def noisy(snr_db: float, num_edges: int = 1) -> Network:
    bearers = Ideal(), Analog(Air(AWGN(), snr_db))
    return cell(profile("edge_a100"), profile("laptop"), bearers, bearers, num_edges)


def psnr_db(plan: Plan, network: Network, memory: Memory) -> float:
    plan = memory.over(plan)
    received = execute(plan, GIVEN, network, RANDOM)[0][plan.result]
    whole = channel_free(plan, GIVEN, RANDOM)[plan.result]
    return float(psnr_db_of_mse((received - whole).square().mean()))


def at_level(model: DiffusionModel, cut: int) -> float:
    """Root mean square of the latent after some steps."""
    alpha, sigma = model.denoiser.sampler.amplitudes(cut)
    return ((alpha * SeedBasis.load(model.name, model.sha256).root_mean_square) ** 2 + sigma**2) ** 0.5


@pytest.mark.slow
def test_edges_that_share_a_generation_make_the_picture_of_the_edge_that_they_agree_with(model: DiffusionModel) -> None:
    memory, network, codecs = Memory(), noisy(15.0, 2), Codecs(TEXT, RawAnalog(), RawAnalog(), image=PICTURES)
    shared = Uidcg(cooperation="guidance").plan(model, codecs, edge_names(2))
    alone = Uidcg().plan(model, codecs, edge_names(2)[:1])
    kept = tuple(
        s for s in shared.steps if not (isinstance(s, Transfer) and s.source != DEVICE and "latent" in s.tensor)
    )
    assert len(kept) == len(shared.steps) - 1
    one, agreed, disagreed = (
        execute(memory.over(plan), GIVEN, network, RANDOM)[0][plan.result]
        for plan in (alone, shared, replace(shared, steps=kept))
    )
    assert float((agreed - one).abs().max()) <= 1e-4
    assert float((disagreed - one).abs().max()) > 0.1


@pytest.mark.parametrize(
    "name", ["uidg", "uidcg", *(pytest.param(n, marks=pytest.mark.slow) for n in ("diug", "dsuc", "dcsuc"))]
)
def test_only_who_has_to_agree_forwards_the_latent_of_a_picture(name: str, small_stable_diffusion) -> None:
    desk = small_desk(small_stable_diffusion)
    plan = desk.plan(name, 3, strength=0.7)
    forwarded = [s for s in plan.steps if isinstance(s, Transfer) and s.source != DEVICE and s.tensor == "origin"]
    assert len(forwarded) == (0 if name == "diug" else 2)


@pytest.mark.parametrize("cut", [1, *(pytest.param(k, marks=pytest.mark.slow) for k in (0, 2))])
@pytest.mark.parametrize("with_picture", [False, True])
def test_without_noise_a_matched_hand_over_is_the_sampler(cut: int, with_picture: bool, small_stable_diffusion) -> None:
    desk: Desk = small_desk(small_stable_diffusion, lossless=True)
    task = {"strength": 1.0} if with_picture else {}
    plain = desk.plan("ciag", cut=cut, **task)
    matched = desk.plan("ciag", cut=cut, midway=MatchedSeed(), **task)
    inputs, random = desk.inputs(with_picture), Random.of([7, 8])
    whole = channel_free(plain, inputs, random)[plain.result]
    received = execute(matched, inputs, ideal(), random)[0][matched.result]
    assert float((received - whole).abs().max()) <= 1e-4


@pytest.mark.slow
def test_matched_beats_raw_at_0_db(model: DiffusionModel) -> None:
    memory, cut = Memory(), 3
    scale = at_level(model, cut)

    def plan_with(codec: AnyCodec) -> Plan:
        return Ciag(cut).plan(model, Codecs(TEXT, codec, codec), edge_names(1))

    matched, raw = (
        psnr_db(plan_with(codec), noisy(0.0), memory) for codec in (MatchedSeed(scale), RawAnalog(scale=scale))
    )
    assert matched > raw + 1.0
