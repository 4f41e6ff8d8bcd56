"""One denoising step as a receiver: it brings a noisy latent nearer to the truth, and the right level is the best."""

import pytest

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.denoised_seed import denoised_seed
from gainnet.models.loading import load_model


@pytest.mark.slow
def test_it_takes_white_noise_off_a_latent() -> None:
    model, random = load_model("scenes", num_steps=3), Random.of(range(2))
    prompts = ["a red star above a blue house at sunset", "a green tree at night"]
    tensors = dict(model.prior({}, random)) | {"prompt": text_to_tensor(prompts)}
    tensors |= model.text_encoder(tensors, random)
    truth = model.denoiser(tensors, random)["latent"]
    noisy = truth + 0.5 * random.normal(truth.shape[1:], "noise")
    errors = {}
    for variance in (0.01, 0.25, 4.0):
        denoised = denoised_seed(model.denoiser, tensors["condition"], noisy, variance)
        errors[variance] = float((denoised - truth).square().mean())
    assert errors[0.25] < 0.5 * 0.25
    assert errors[0.25] == min(errors.values())
    with pytest.raises(ConfigError, match="error_variance"):
        denoised_seed(model.denoiser, tensors["condition"], noisy, 0.0)
