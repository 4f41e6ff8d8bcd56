"""A guided step on two nodes is the guided step."""

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.guidance import branches
from gainnet.models.loading import load_model
from gainnet.protocols import pricing
from gainnet.testing import check_part

RANDOM = Random.of([1, 2])


def before_denoising(model):
    tensors = {"prompt": text_to_tensor(["a red star", "two blue houses in the snow"])}
    return tensors | model.text_encoder(tensors, RANDOM) | model.prior({}, RANDOM)


@pytest.fixture(scope="module", params=["small", pytest.param("scenes", marks=pytest.mark.slow)])
def model(request, small_stable_diffusion):
    return load_model(str(small_stable_diffusion) if request.param == "small" else "scenes", num_steps=4)


def test_branches_step_by_step_are_the_whole_denoiser(model):
    tensors = before_denoising(model)
    whole = model.denoiser(tensors, RANDOM)["latent"]
    for step in range(4):
        for part in branches(model.denoiser, step):
            tensors |= part({key: tensors[key] for key in part.reads}, RANDOM)
    assert float((tensors["latent"] - whole).abs().max()) <= 1e-5 * float(whole.abs().max())


def test_branches_keep_the_contract_of_parts(model):
    tensors = before_denoising(model)
    for part in branches(model.denoiser, 1):
        check_part(part, tensors, RANDOM)
        tensors |= part({key: tensors[key] for key in part.reads}, RANDOM)


def test_each_branch_is_half_of_the_step(model):
    without, with_prompt, combined = branches(model.denoiser[1:], 2)
    step = model.denoiser[3:4]
    assert without.flops == with_prompt.flops == step.flops / 2
    sd15 = pricing("sd15")
    assert sd15.flops(without) + sd15.flops(with_prompt) + sd15.flops(combined) == sd15.flops(step)
    assert without.name == "denoiser[3:4] without prompt"


def test_what_cannot_be_split_is_named(small_stable_diffusion):
    with pytest.raises(ConfigError, match="guidance_scale"):
        branches(load_model(str(small_stable_diffusion), num_steps=4, guidance_scale=1.0).denoiser, 0)
    with pytest.raises(ConfigError, match="step"):
        branches(load_model(str(small_stable_diffusion), num_steps=4).denoiser, 4)
