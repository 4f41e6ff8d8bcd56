"""Image-to-image in parts is diffusers' own pipeline; a renamed part is the part."""

import pytest
import torch
from diffusers import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion import pipeline_stable_diffusion_img2img as theirs

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.image_to_image import from_picture, start_step
from gainnet.models.loading import load_model
from gainnet.models.renamed import rename
from gainnet.testing import check_part

PROMPTS = ["a red star", "two blue houses in the snow"]
REST = [(0.75, 1.0), (1.0, 1.0), (0.5, 3.0), (0.75, 3.0), (1.0, 3.0)]
SLOW = pytest.mark.slow
RANDOM = Random.of([1, 2])


@pytest.fixture(scope="module", params=["small", "scenes"])
def name(request, small_stable_diffusion):
    return str(small_stable_diffusion) if request.param == "small" else "scenes"


def run(parts, random, **tensors):
    tensors |= {"prompt": text_to_tensor(PROMPTS)}
    for part in parts:
        with torch.no_grad():
            tensors |= part({key: tensors[key] for key in part.reads}, random)
    return tensors


def some_pictures(model):
    side = torch.linspace(0, 1, model.image.shape[-1])
    ramps = torch.stack([side[:, None] * side, *torch.meshgrid(side, 1 - side, indexing="ij")])
    return torch.stack([ramps, ramps.flip(0)])


@pytest.mark.parametrize(("strength", "guidance_scale"), [(0.5, 1.0), *(pytest.param(*x, marks=SLOW) for x in REST)])
def test_image_to_image_is_diffusers_own(name, strength, guidance_scale, monkeypatch):
    model = load_model(name, num_steps=4, guidance_scale=guidance_scale)
    pictures = some_pictures(model)
    encoded = model.image_encoder({"image": pictures}, RANDOM)
    parts = (model.text_encoder, *from_picture(model, strength), model.decoder)
    ours = run(parts, RANDOM, latent=encoded["latent"])["image"]
    pipeline = StableDiffusionImg2ImgPipeline(**model.pipeline.components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    noise = RANDOM.normal(model.latent.shape, "prior")
    monkeypatch.setattr(theirs, "randn_tensor", lambda shape, **options: noise.reshape(shape))
    images = pipeline(
        PROMPTS,
        image=encoded["latent"].detach(),
        strength=strength,
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        output_type="pt",
    ).images
    assert float((ours - images).abs().max()) <= 1e-4


def test_the_encoder_is_the_mode_that_diffusers_would_scale(name):
    model = load_model(name)
    pictures = some_pictures(model)
    vae = model.pipeline.vae
    with torch.no_grad():
        coded = vae.encode(pictures * 2 - 1)
        mode = coded.latents if hasattr(coded, "latents") else coded.latent_dist.mode()
        latent = model.image_encoder({"image": pictures}, RANDOM)["latent"]
    torch.testing.assert_close(latent, mode * vae.config.scaling_factor)


@pytest.mark.slow
def test_the_shipped_autoencoder_gives_a_picture_back():
    model = load_model("scenes", num_steps=5)
    tensors = run((model.text_encoder, model.prior, model.denoiser, model.decoder), RANDOM)
    again = run((model.image_encoder, model.decoder), RANDOM, image=tensors["image"])
    assert float((again["image"] - tensors["image"]).square().mean()) < 10**-3.0


def test_encoder_and_noising_keep_the_contract_of_parts(name):
    model = load_model(name, num_steps=4)
    check_part(model.image_encoder, {"image": some_pictures(model)}, RANDOM)
    latent = model.image_encoder({"image": some_pictures(model)}, RANDOM)["latent"].detach()
    check_part(from_picture(model, 0.5)[0], {"latent": latent}, RANDOM)


def test_full_strength_on_zero_terminal_snr_forgets_the_picture():
    model = load_model("scenes")
    noising, _ = from_picture(model, 1.0)
    noised = noising({"latent": torch.full((2, *model.latent.shape), 3.0)}, RANDOM)["latent"]
    torch.testing.assert_close(noised, model.prior({}, RANDOM)["latent"], atol=1e-3, rtol=0)


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, float("nan"), 0.05])
def test_a_strength_without_a_step_is_named(strength):
    with pytest.raises(ConfigError, match="strength"):
        start_step(10, strength)


def test_a_renamed_part_is_the_part_under_another_name():
    model = load_model("scenes")
    prior = rename(model.prior, writes_as={"latent": "latent_2"}, stream=("candidate", 2))
    drawn = prior({}, RANDOM)["latent_2"]
    assert not torch.equal(drawn, model.prior({}, RANDOM)["latent"])
    torch.testing.assert_close(drawn, model.prior({}, RANDOM.child("candidate", 2))["latent"], rtol=0, atol=0)
    check_part(rename(model.decoder, {"latent": "latent_2"}, {"image": "image_2"}), {"latent_2": drawn}, RANDOM)
