"""Completing keeps to the sketch, shows more than it, and costs what its parts cost."""

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.completing import (
    back_projection,
    clean_prediction,
    completion,
    ddim_step,
    enlargement,
)
from gainnet.models.image_to_image import add_noise
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, render, stream, write_captions
from gainnet.models.sketches import picture_sketch, shrink
from gainnet.protocols import pricing
from gainnet.testing import check_part

PROMPTS = [
    "a red star above a blue house at sunset",
    "a green tree in the snow",
]
RANDOM = Random.of([1, 2])


def run(parts, random, tensors):
    for part in parts:
        with torch.no_grad():
            tensors = tensors | part({key: tensors[key] for key in part.reads}, random)
    return tensors


def psnr_db(image, reference):
    return float(psnr_db_of_mse((image - reference).double().square().mean()))


@pytest.fixture(scope="module")
def model():
    return load_model("scenes")


@pytest.fixture(scope="module")
def sketched(model):
    """The edge's pictures and their sketches."""
    tensors = run(model.parts, RANDOM, {"prompt": text_to_tensor(PROMPTS)})
    return tensors | picture_sketch(model.image)(tensors, RANDOM)


@pytest.fixture(scope="module")
def drawn(model):
    """Pictures that were drawn, which takes a tenth of the time of generating some, and their sketches."""
    tensors = {"image": render(draw_scenes(2, stream(5, "scenes", 0)))}
    return tensors | picture_sketch(model.image)(tensors, RANDOM)


@pytest.mark.slow
def test_completing_is_closer_to_the_edges_picture_than_enlarging(model, sketched):
    given = {"condition": sketched["condition"], "sketch": sketched["sketch"]}
    completed = run(completion(model, picture_sketch(model.image).writes["sketch"]), RANDOM, given)["image"]
    enlarged = enlargement(model_sketch(model), model.image)(given, RANDOM)["image"]
    assert psnr_db(completed, sketched["image"]) > psnr_db(enlarged, sketched["image"]) + 2.0
    assert psnr_db(shrink(completed, 8), sketched["sketch"]) > 30.0


def model_sketch(model):
    return picture_sketch(model.image).writes["sketch"]


def test_the_device_draws_its_own_noise(model, drawn):
    parts = completion(model, picture_sketch(model.image).writes["sketch"])
    noised = run(parts[:3], RANDOM, {"sketch": drawn["sketch"]})["latent"]
    clean = run(parts[:2], RANDOM, {"sketch": drawn["sketch"]})["latent"]
    alpha, sigma = model.denoiser.sampler.amplitudes(5)
    noise = (noised - alpha * clean) / sigma
    edges = RANDOM.normal(model.latent.shape, "prior")
    assert abs(float((noise * edges).mean())) < 0.05
    assert float(noise.square().mean()) == pytest.approx(1.0, abs=0.05)


def test_keeping_to_a_sketch_moves_the_picture_towards_it(model, drawn):
    other = drawn["image"].roll(1, 0)
    moved = back_projection(model.image, 8)({"image": other, "sketch": drawn["sketch"]}, RANDOM)["image"]
    before, after = (psnr_db(shrink(x, 8), drawn["sketch"]) for x in (other, moved))
    assert after > before + 6.0


@pytest.mark.slow
def test_predict_and_advance_are_a_step_of_the_sampler(small_stable_diffusion):
    model, random = load_model(str(small_stable_diffusion), num_steps=4, guidance_scale=2.0), Random.of([1, 2])
    given = run((model.text_encoder, model.prior), random, {"prompt": text_to_tensor(["a star", "a house"])})
    parts = (clean_prediction(model.denoiser[1:2]), ddim_step(model.denoiser.sampler, model.latent, 2))
    ours = run(parts, random, given)["latent"]
    theirs = model.denoiser[1:2](given, random)["latent"]
    assert float((ours - theirs).abs().max()) <= 1e-5 * float(theirs.abs().max())


@pytest.mark.slow
def test_every_part_of_completing_keeps_the_contract(small_stable_diffusion):
    model, random = load_model(str(small_stable_diffusion), num_steps=4), Random.of([1, 2])
    sketcher = picture_sketch(model.image, factor=4)
    tensors = run((model.text_encoder,), random, {"prompt": text_to_tensor(["a star", "a house"])})
    tensors |= {"sketch": random.uniform(sketcher.writes["sketch"].shape, "sketch")}
    for part in completion(model, sketcher.writes["sketch"]):
        check_part(part, tensors, random)
        tensors = run((part,), random, tensors)
    assert tensors["image"].shape == (2, *model.image.shape)


def test_completing_is_priced_by_the_roles_of_its_parts(model):
    sd15, parts = pricing("sd15"), completion(model, picture_sketch(model.image).writes["sketch"])
    paid = sum(sd15.flops(part) for part in parts)
    prices = sd15.price_of_role
    expected = 5 * (prices["denoiser"].flops_per_pass + prices["decoder"].flops_per_pass)
    assert paid == pytest.approx(expected + 5 * prices["image_encoder"].flops_per_pass)


def test_noising_and_predicting_gives_the_latent_back_when_nothing_is_noised(model, drawn):
    prompts = tuple(write_captions(draw_scenes(2, stream(5, "scenes", 0)), stream(5, "captions", 0)))
    given = run((model.text_encoder, model.image_encoder), RANDOM, drawn | {"prompt": text_to_tensor(prompts)})
    noised = add_noise(model.denoiser.sampler, model.latent, 9)({"latent": given["latent"]}, RANDOM)
    clean = clean_prediction(model.denoiser[9:10])(given | noised, RANDOM)["clean"]
    assert float((clean - given["latent"]).square().mean()) < 0.05


def test_a_strength_without_a_step_is_named(model):
    with pytest.raises(ConfigError, match="strength"):
        completion(model, picture_sketch(model.image).writes["sketch"], strength=0.05)
