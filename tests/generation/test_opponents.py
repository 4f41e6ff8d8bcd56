"""Opponents that need a model: exact where they must be, and worse with fewer passes."""

from __future__ import annotations

import pytest
import torch

from gainnet.codecs import Float32
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.generation.opponents import DomainPicture, device_only
from gainnet.models.loading import load_model
from gainnet.protocols.transmit import transmit
from gainnet.radio import Air, Digital, Ideal
from gainnet.studies.pictures import generate


@pytest.mark.slow
def test_a_device_alone_with_all_passes_makes_the_picture_and_with_fewer_an_approximation() -> None:
    model = load_model(num_steps=10)
    pictures = generate(model, "opponents", 3, 4)

    def error(num_passes: int, sampler: str) -> float:
        made = device_only(model, pictures.prompts, pictures.random, num_passes, sampler)
        return float((made - pictures.images).square().mean())

    assert error(20, "ddim") < 1e-10
    assert 1e-10 < error(12, "dpm") < error(4, "dpm")
    assert error(12, "ddim") < error(4, "ddim")
    # The model's own sampler is untouched.
    assert error(20, "ddim") < 1e-10
    with pytest.raises(ConfigError, match="num_passes: 3"):
        error(3, "ddim")
    with pytest.raises(ConfigError, match="sampler: 'euler'"):
        error(4, "euler")


@pytest.mark.slow
def test_a_picture_coded_for_the_domain_is_the_autoencoder_over_an_exact_link() -> None:
    model, random = load_model(num_steps=2), Random.of([5])
    picture = generate(model, "opponents", 4, 1).images
    codec = DomainPicture(model, Float32())
    received = transmit(picture, codec, Ideal(), random)
    latent = model.image_encoder({"image": picture}, random)["latent"]
    assert torch.equal(received.values, model.decoder({"latent": latent}, random)["image"])
    assert received.usage.num_bits == codec.size(model.image).upper
    assert transmit(picture, codec, Digital(Air(snr_db=20.0)), random).values.shape == picture.shape
    with pytest.raises(ConfigError, match="domain_picture: the model codes pictures"):
        transmit(picture[..., :64], codec, Ideal(), random)
