"""Of several candidates the device takes the one that shows what the prompt says."""

import numpy as np
import pytest
import torch

from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.attributes import CHECKER, AttributeClassifier
from gainnet.models.choice import attribute_choice, denoiser_choice
from gainnet.models.loading import load_model
from gainnet.models.scenes import draw_scenes, render, write_captions
from gainnet.testing import check_part

NUM_SCENES = 4
RANDOM = Random.of(list(range(NUM_SCENES)))


@pytest.fixture(scope="module")
def drawn():
    """Drawn scenes, their captions, and for every item another scene's picture as the wrong candidate."""
    rng = np.random.default_rng(3)
    scenes = draw_scenes(NUM_SCENES, rng)
    pictures = render(scenes)
    return text_to_tensor(write_captions(scenes, rng)), pictures, pictures.roll(1, 0)


def test_the_picture_of_the_prompt_is_chosen_wherever_it_stands(drawn):
    prompt, right, wrong = drawn
    choice = attribute_choice(("image_1", "image_2"), AttributeClassifier.from_pretrained(CHECKER))
    for first, second in ((right, wrong), (wrong, right)):
        tensors = {"prompt": prompt, "image_1": first, "image_2": second}
        torch.testing.assert_close(choice(tensors, RANDOM)["image"], right, rtol=0, atol=0)
    check_part(choice, tensors, RANDOM)


def test_a_prompt_out_of_the_grammar_takes_the_first(drawn):
    _, right, wrong = drawn
    choice = attribute_choice(("image_1", "image_2"), AttributeClassifier.from_pretrained(CHECKER))
    tensors = {"prompt": text_to_tensor(["lorem ipsum"] * NUM_SCENES), "image_1": wrong, "image_2": right}
    torch.testing.assert_close(choice(tensors, RANDOM)["image"], wrong, rtol=0, atol=0)


@pytest.mark.slow
def test_the_denoiser_itself_tells_the_right_latent(drawn):
    model = load_model("scenes")
    prompt, right, wrong = drawn
    tensors = {"prompt": prompt}
    tensors |= model.text_encoder(tensors, RANDOM)
    for key, pictures in (("latent_1", wrong), ("latent_2", right)):
        tensors[key] = model.image_encoder({"image": pictures}, RANDOM)["latent"].detach()
    chosen = denoiser_choice(model.denoiser, ("latent_1", "latent_2"))(tensors, RANDOM)["latent"]
    is_right = (chosen == tensors["latent_2"]).flatten(1).all(1)
    assert int(is_right.sum()) >= NUM_SCENES - 1


@pytest.mark.parametrize("guidance_scale", [pytest.param(x, marks=pytest.mark.slow) for x in (1.0, 3.0)])
def test_the_denoiser_choice_keeps_the_contract(small_stable_diffusion, guidance_scale):
    model, random = (
        load_model(str(small_stable_diffusion), num_steps=4, guidance_scale=guidance_scale),
        Random.of([1, 2]),
    )
    tensors = {"prompt": text_to_tensor(["a red star", "a house"])}
    tensors |= model.text_encoder(tensors, random)
    tensors |= {f"latent_{k}": random.normal(model.latent.shape, "x", k) for k in (1, 2)}
    check_part(denoiser_choice(model.denoiser, ("latent_1", "latent_2")), tensors, random)
