"""Latents decoded as diffusers' own client asks for it."""

from __future__ import annotations

import numpy as np
import pytest
import requests
import torch
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.remote_utils import remote_decode
from PIL import Image

from gainnet.core.randomness import Random
from gainnet.models.diffusion import DiffusionModel
from service.http.conftest import Served

LATENT = 0.8 * Random.of([3]).normal((4, 16, 16), "latent")


@pytest.fixture(scope="module")
def expected(model: DiffusionModel) -> np.ndarray:
    with torch.inference_mode():
        image = model.decoder({"latent": LATENT}, Random.of([0]))["image"][0]
    return (image * 255.0).round().permute(1, 2, 0).numpy().astype(np.uint8)


def test_every_way_of_the_client_gives_the_picture(served: Served, expected: np.ndarray) -> None:
    url, processor = f"{served.url}/decode", VaeImageProcessor()
    png = remote_decode(url, LATENT, scaling_factor=1.0, image_format="png")
    assert (np.asarray(png) == expected).all()
    jpg = remote_decode(url, LATENT, scaling_factor=1.0)
    assert np.abs(np.asarray(jpg).astype(float) - expected).mean() < 4.0
    bytes_of = remote_decode(url, LATENT, scaling_factor=1.0, output_type="pt", partial_postprocess=True)
    assert (np.asarray(bytes_of) == expected).all()
    raw = remote_decode(url, LATENT, scaling_factor=1.0, output_type="pt", processor=processor)
    assert np.abs(np.asarray(raw).astype(int) - expected).max() <= 1
    tensor = remote_decode(url, LATENT, scaling_factor=1.0, output_type="pt", return_type="pt", processor=processor)
    assert isinstance(tensor, torch.Tensor)
    assert tensor.shape == (1, 3, 128, 128)
    pictures = remote_decode(url, LATENT, scaling_factor=1.0, processor=processor)
    assert isinstance(pictures, list)
    assert isinstance(pictures[0], Image.Image)


def test_half_precision_and_scaling(served: Served, expected: np.ndarray) -> None:
    url = f"{served.url}/decode"
    for dtype, most in ((torch.float16, 2), (torch.bfloat16, 16)):
        picture = remote_decode(url, (LATENT * 2.0).to(dtype), scaling_factor=2.0, image_format="png")
        assert np.abs(np.asarray(picture).astype(int) - expected).max() <= most


@pytest.mark.parametrize(
    ("latent", "field"),
    [(LATENT[:, :2], "shape"), (torch.zeros(17, 4, 16, 16), "shape"), (LATENT * torch.inf, "body")],
)
def test_other_tensors_are_refused(served: Served, latent: torch.Tensor, field: str) -> None:
    with pytest.raises(RuntimeError, match=field):
        remote_decode(f"{served.url}/decode", latent, scaling_factor=1.0)


def test_a_body_of_another_length_is_refused(served: Served) -> None:
    params = {"shape": [1, 4, 16, 16], "dtype": "float32"}
    answer = requests.post(f"{served.url}/decode", params=params, data=b"x" * 100, timeout=10)
    assert answer.status_code == 400
    assert "length" in answer.json()["error"]["message"]
    assert requests.post(f"{served.url}/decode", params={"shape": "a"}, timeout=10).status_code == 422
