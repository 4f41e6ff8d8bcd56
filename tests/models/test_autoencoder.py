"""The autoencoder: shapes, and that diffusers takes it for its own."""

from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scene_layers import Downsample, Upsample
from gainnet.models.scenes import build_tokenizer
from gainnet.training.denoiser import build_denoiser, build_scheduler
from gainnet.training.export import GENERATION, write_pipeline
from gainnet.training.text_encoder import build_text_encoder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    autoencoder = SceneAutoencoder(block_out_channels=(3, 12, 8, 16))
    return write_pipeline(
        autoencoder,
        build_text_encoder(build_tokenizer(), 0, 32, 1),
        build_tokenizer(),
        build_denoiser(0, (16, 16), 32),
        "scenes",
        GENERATION,
        {"random_seed": 0},
        tmp_path_factory.mktemp("m") / "model",
    )


def test_forward_is_encode_then_decode() -> None:
    torch.manual_seed(0)
    model = SceneAutoencoder(block_out_channels=(3, 12, 8, 16))
    pictures = torch.rand(2, 3, 128, 128) * 2 - 1
    latents = model.encode(pictures).latents
    assert latents.shape == (2, 4, 16, 16)
    both = model(pictures)
    assert torch.equal(both.latents, latents)
    assert torch.equal(both.sample, model.decode(latents).sample)
    assert torch.equal(model.decode(latents, return_dict=False)[0], model.decode(latents).sample)


def test_shortcuts_alone_turn_scale_and_back() -> None:
    down, up = Downsample(8, 32), Upsample(32, 8)
    for layer in (down, up):
        torch.nn.init.zeros_(layer.conv.weight)
        torch.nn.init.zeros_(layer.conv.bias)
    x = torch.randn(1, 8, 6, 6)
    assert torch.allclose(up(down(x)), x)


@pytest.mark.parametrize("name", ["StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"])
def test_diffusers_loads_and_runs_the_folder(folder: Path, name: str) -> None:
    import diffusers

    pipeline: Any = getattr(diffusers, name).from_pretrained(folder, local_files_only=True, dtype=torch.float32)
    pipeline.set_progress_bar_config(disable=True)
    assert type(pipeline.vae) is SceneAutoencoder
    assert pipeline.vae_scale_factor == 8
    more = {"image": torch.rand(1, 3, 128, 128)} if "Img2Img" in name else {}
    images = pipeline("a red star at night", num_inference_steps=2, output_type="pt", **more).images
    assert images.shape == (1, 3, 128, 128)
    assert bool(torch.isfinite(images).all())


def test_weights_are_halved_and_survive(folder: Path) -> None:
    torch.manual_seed(0)
    original = SceneAutoencoder(block_out_channels=(3, 12, 8, 16))
    loaded = SceneAutoencoder.from_pretrained(folder / "vae", local_files_only=True, dtype=torch.float32)
    for name, value in original.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())


def test_the_schedule_ends_in_pure_noise() -> None:
    scheduler: Any = build_scheduler()
    scheduler.set_timesteps(10)
    assert scheduler.timesteps.tolist() == list(range(999, 0, -100))
    assert float(scheduler.alphas_cumprod[-1]) < 1e-6
