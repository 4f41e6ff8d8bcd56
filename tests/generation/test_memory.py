"""A denoiser that is remembered runs once for equal inputs."""

from __future__ import annotations

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.memory import Memory
from gainnet.models.loading import load_model
from gainnet.protocols import Compute, Plan


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
