"""Every protocol of the package writes a plan that keeps the contract of plans, over ideal and radio links."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch

from gainnet.codecs import Float32, RawAnalog, RawPixels, TextCodec, UniformQuantizer
from gainnet.codecs.codec import AnyCodec
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Place
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network import DEVICE, Network, cell, profile
from gainnet.protocols import PROTOCOLS, pricing
from gainnet.protocols.plan import Plan
from gainnet.radio import AnalogLink, DigitalLink, IdealLink, Rayleigh
from gainnet.radio.link import AnyLink
from gainnet.testing import check_plan

BEARERS: Mapping[str, tuple[AnyLink, ...]] = {
    "ideal": (IdealLink(), AnalogLink()),
    "radio": (DigitalLink(Rayleigh(), 18.0), AnalogLink(Rayleigh(), 18.0)),
}
SEED_CODECS: Mapping[str, AnyCodec] = {"float32": Float32(), "raw": RawAnalog(), "uniform": UniformQuantizer()}
PROMPTS = ("a red star", "two trees at night")
INPUTS: Mapping[Place, torch.Tensor] = {(DEVICE, "prompt"): text_to_tensor(PROMPTS)}
RANDOM = Random.of([7, 8])


@pytest.fixture(scope="module")
def model(small_stable_diffusion: Path) -> DiffusionModel:
    return load_model(str(small_stable_diffusion), num_steps=2)


def network(bearers: str) -> Network:
    return cell(profile("edge_a100"), profile("phone"), BEARERS[bearers], BEARERS[bearers])


def plan_of(name: str, model: DiffusionModel, seed_codec: AnyCodec) -> Plan:
    codecs = {
        "prompt_codec": TextCodec(expected_bytes=sum(map(len, PROMPTS)) / 2),
        "image_codec": RawPixels(),
        "seed_codec": seed_codec,
        "midway_codec": seed_codec,
        "sketch_codec": RawPixels(),
    }
    protocol = PROTOCOLS[name]
    return protocol(model, **{key: codecs[key] for key in inspect.signature(protocol).parameters if key in codecs})


@pytest.mark.parametrize("name", PROTOCOLS)
@pytest.mark.parametrize("seed_codec", SEED_CODECS)
def test_plan_over_ideal_links(name: str, seed_codec: str, model: DiffusionModel) -> None:
    check_plan(plan_of(name, model, SEED_CODECS[seed_codec]), network("ideal"), INPUTS, RANDOM)


@pytest.mark.parametrize("name", PROTOCOLS)
def test_plan_over_the_air(name: str, model: DiffusionModel) -> None:
    check_plan(plan_of(name, model, RawAnalog()), network("radio"), INPUTS, RANDOM, pricing("sd15"))
