"""A denoiser that is remembered runs once for equal inputs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.memory import Memory
from gainnet.models.loading import load_model
from gainnet.models.renamed import rename
from gainnet.protocols import Compute, Plan


@pytest.mark.slow
def test_a_remembered_part_runs_once():
    model = load_model("scenes", num_steps=2)
    (step,) = Memory().over(Plan((Compute("edge", model.denoiser),), ("edge", "latent"))).steps
    part, tensors = step.part, {"prompt": text_to_tensor(["a red star", "a green heart"])}
    for first in (model.text_encoder, model.prior):
        tensors |= first(tensors, Random.of([1, 2]))
    inputs = {key: tensors[key] for key in part.reads}
    first = part(inputs, Random.of([1, 2]))
    again = part({key: x.clone() for key, x in inputs.items()}, Random.of([1, 2]))
    assert again["latent"] is first["latent"]
    other = part(inputs | {"latent": inputs["latent"] + 1}, Random.of([1, 2]))
    assert other["latent"] is not first["latent"]


@pytest.mark.slow
def test_denoisers_of_one_name_do_not_share_what_they_make():
    model, memory, random = load_model("scenes", num_steps=2), Memory(), Random.of([1])
    tensors = {"prompt": text_to_tensor(["a red star"])}
    for first in (model.text_encoder, model.prior):
        tensors |= first(tensors, random)
    inputs = {key: tensors[key] for key in model.denoiser.reads}
    stronger = replace(model.denoiser, guidance_scale=model.denoiser.guidance_scale + 2.0)
    assert stronger.name == model.denoiser.name
    made = [memory.make(part, inputs, random)["latent"] for part in (model.denoiser, stronger, model.denoiser[:2])]
    assert not made[0].equal(made[1])
    assert made[2] is made[0]
    other = memory.make(rename(model.denoiser, stream=("other",)), inputs, random)["latent"]
    assert other is not made[0]
