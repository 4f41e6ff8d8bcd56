"""Codes of seeds for a model of one's own: from prompts and from pictures, of any shape, installed and resumed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image
from safetensors.torch import save_file
from tests.conftest import build_small_stable_diffusion
from torch import Tensor

from gainnet.cli import app
from gainnet.codecs import Content, LinearCode, SeedBasis, SeedCodec, TransformSeed, linear_mse
from gainnet.codecs.spectral_basis import SpectralBasis
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.types import Spec
from gainnet.models.latent_space import LatentSpace, load_latent_space
from gainnet.models.tiny_autoencoder import TinyAutoencoder
from gainnet.training.large_basis import directional_basis, large_basis
from gainnet.training.own_seeds import OwnTraining, train_linear, train_own_seeds
from gainnet.training.range_finder import principal_directions
from gainnet.training.seed_sources import Pictured, open_source, picture_paths
from gainnet.training.spectral_moments import spectral_covariance


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny autoencoder of 32 channels with random weights, as the files of TAEF2 are."""
    folder = tmp_path_factory.mktemp("tae")
    torch.manual_seed(0)
    network = TinyAutoencoder(32, True)
    for half in ("encoder", "decoder"):
        save_file({k: x.half() for k, x in getattr(network, half).state_dict().items()}, folder / f"{half}.safetensors")
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for k, size in enumerate(((80, 70), (64, 64), (130, 64))):
        small = rng.integers(0, 255, (9, 9, 3), dtype=np.uint8)
        Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(folder / f"{k}.png")
    return folder


def flat_space(shape: tuple[int, int, int]) -> LatentSpace:
    """Latents that are pictures themselves: three of the channels, as large as they are."""
    return LatentSpace(
        "flat", "d" * 64, Spec(shape), Spec((3, *shape[1:])), lambda x: x, lambda z: z[:, :3], torch.device("cpu")
    )


def fields(num: int, shape: tuple[int, int, int]) -> Tensor:
    """[num, num_values], smooth random fields."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(num, *shape, generator=generator)
    wide = torch.nn.functional.pad(noise, (2, 2, 2, 2), mode="circular")
    return 2 * torch.nn.functional.avg_pool2d(wide, 5, 1).flatten(1)


def test_random_directions_are_the_exact_ones() -> None:
    """Against the eigenvectors of the covariance: as much variance, in the same space."""
    deviations = 1 / torch.arange(1, 301.0)
    turn, _ = torch.linalg.qr(torch.randn(300, 300, generator=torch.Generator().manual_seed(1)))
    x = (torch.randn(500, 300, generator=torch.Generator().manual_seed(2)) * deviations) @ turn.T
    centred = x - x.mean(0)
    _, exact = torch.linalg.eigh(centred.double().T @ centred.double())
    strongest = exact.flip(1)[:, :20]
    found = principal_directions(centred, 20, 0).double()
    torch.testing.assert_close(found.T @ found, torch.eye(20, dtype=torch.float64), rtol=0, atol=1e-4)
    # Directions of equal sign, and of neighbours of nearly equal variance the space that they span.
    torch.testing.assert_close(
        (found * strongest).sum(0).abs()[:12], torch.ones(12, dtype=torch.float64), rtol=0, atol=1e-3
    )
    assert float((strongest.T @ found).square().sum()) > 19.9
    assert float((centred.double() @ found).square().sum() / (centred.double() @ strongest).square().sum()) > 0.9999


def test_a_basis_of_the_strongest_directions_sends_as_the_exact_one() -> None:
    shape = (3, 8, 8)
    latents = fields(400, shape)
    few, exact = directional_basis(flat_space(shape), latents, 0), SeedBasis.of_samples(latents, "")
    assert few.num_components == 192
    loss = [float(linear_mse(b.variances, 16, torch.ones(()))) for b in (few, exact)]
    assert loss[0] == pytest.approx(loss[1], rel=0.15)
    assert few.root_mean_square == pytest.approx(exact.root_mean_square, rel=0.01)
    code = LinearCode(24, few)
    assert code.decode(code.encode(latents[:5].reshape(5, *shape), torch.ones(5)), Spec(shape)).shape == (5, *shape)


def test_fields_without_a_place_of_their_own_are_coded_by_frequency() -> None:
    shape = (3, 12, 8)
    latents = fields(60, shape)
    basis = large_basis(flat_space(shape), latents[:48], latents[48:], 16, 0, lambda made, total: None)
    assert isinstance(basis, SpectralBasis)
    means, covariance = spectral_covariance(latents, shape)
    assert means.shape == (3,)
    assert float(covariance[0].diagonal().mean()) > 10 * float(covariance[-1].diagonal().mean())


def test_latents_with_places_of_their_own_are_coded_by_directions() -> None:
    shape, generator = (3, 12, 8), torch.Generator().manual_seed(3)
    parts = torch.randn(4, 288, generator=generator)
    latents = torch.randn(200, 4, generator=generator) @ parts + 0.02 * torch.randn(200, 288, generator=generator)
    basis = large_basis(flat_space(shape), latents[:150], latents[150:], 16, 0, lambda made, total: None)
    assert isinstance(basis, SeedBasis)


@pytest.mark.slow
def test_tiles_are_of_all_pictures_in_turn_and_too_small_ones_are_named(autoencoder: Path, pictures: Path) -> None:
    source = Pictured(load_latent_space(str(autoencoder), height=64, width=64), picture_paths(pictures))
    assert source.most == 4
    latents, prompts = source.make(0, 40, 0)
    assert latents.shape == (4, 32 * 8 * 8)
    assert prompts == ("",) * 4
    whole = np.array(Image.open(pictures / "1.png"))
    tile = torch.from_numpy(whole).permute(2, 0, 1).float()[None] / 255
    # In half precision where the processor has it.
    torch.testing.assert_close(latents[1], source.space.encode(tile).flatten(), rtol=0, atol=0.05)
    large = Pictured(load_latent_space(str(autoencoder), height=72, width=64), picture_paths(pictures))
    with pytest.raises(ConfigError, match=r"0\.png has 80 x 70 pixels, less than the 64 x 72"):
        _ = large.most
    with pytest.raises(ConfigError, match="multiple of 8"):
        load_latent_space(str(autoencoder), height=60)
    with pytest.raises(ModelError, match="model_index"):
        load_latent_space(str(pictures))


def test_too_little_and_too_much_is_one_line(
    tmp_path: Path, autoencoder: Path, pictures: Path, small_stable_diffusion: Path
) -> None:
    def says(*arguments: str) -> str:
        result = CliRunner().invoke(app, ["train", "seed-codec", "--out", str(tmp_path / "out"), *arguments])
        assert result.exit_code != 0
        assert not (tmp_path / "out").exists()
        return str(result.exception or result.output)

    assert "--prompts FILE" in says("--code", "linear")
    assert "says what it draws" in says("--model", str(small_stable_diffusion))
    assert "one of the two" in says("--pictures", str(pictures), "--prompts", __file__)
    assert "is not a folder" in says("--pictures", str(tmp_path / "none"))
    assert "holds no picture" in says("--pictures", str(autoencoder))
    assert "torch has no 'cuda'" in says("--device", "cuda") or torch.cuda.is_available()
    few = Pictured(load_latent_space(str(autoencoder), height=64, width=64), picture_paths(pictures))
    with pytest.raises(ConfigError, match="they give 4 tiles"):
        train_own_seeds(few, tmp_path / "out", OwnTraining())
    with pytest.raises(ConfigError, match="num_latents"):
        OwnTraining(40)
    with pytest.raises(ConfigError, match="effort"):
        OwnTraining(effort=0.0)


@pytest.mark.slow
def test_a_linear_code_of_prompts_is_found_by_its_model(tmp_path: Path) -> None:
    model, prompts = tmp_path / "sd", tmp_path / "prompts.txt"
    build_small_stable_diffusion(model)
    (model / "gainnet.json").write_text('{"generation": {"num_inference_steps": 2, "guidance_scale": 1.0}}')
    prompts.write_text("an owl\na ship at night\n\nthe sea\n")
    out = tmp_path / "out"
    given = ["--model", str(model), "--prompts", str(prompts), "--num-latents", "80", "--code", "linear"]
    result = CliRunner().invoke(app, ["train", "seed-codec", "--out", str(out), *given])
    assert result.exit_code == 0, result.output
    source = open_source(str(model), ("an owl", "a ship at night", "the sea"))
    assert f"installed in {tmp_path / 'home'}" in result.output.replace("\n", "")
    content = Content(source.space.latent, model=str(model), model_sha256=source.space.sha256)
    assert LinearCode().bound(content).size(source.space.latent).upper > 0
    with pytest.raises(ModelError, match=f"--model {model}"):
        SeedCodec().bound(content)
    # What is there is read, not learned again; other settings are another training.
    stamp = (out / "linear" / "config.json").stat().st_mtime_ns
    training = OwnTraining(80).of_seed(source)
    train_linear(source, out / "linear", training, latents=out / "latents")
    assert (out / "linear" / "config.json").stat().st_mtime_ns == stamp
    with pytest.raises(ConfigError, match="begun with another"):
        train_linear(source, out / "linear", replace(training, num_probes=7), latents=out / "latents")


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(32, 32, 48), (32, 256, 128)])
def test_all_codes_of_pictures_train_install_and_resume(
    tmp_path: Path, autoencoder: Path, shape: tuple[int, int, int]
) -> None:
    """Latents of 32 channels that are not square: 768 values, and 16,384 with components by frequency."""
    folder, rng = tmp_path / "pictures", np.random.default_rng(1)
    folder.mkdir()
    for k in range(42):
        small = rng.integers(0, 255, (8, 8, 3), dtype=np.uint8)
        Image.fromarray(small).resize((shape[2], shape[1]), Image.Resampling.BICUBIC).save(folder / f"{k:02d}.png")
    space = load_latent_space(str(autoencoder), height=shape[1], width=shape[2])
    source, out = Pictured(space, picture_paths(folder)), tmp_path / "out"
    training = OwnTraining(preset="tiny")
    places = train_own_seeds(source, out, training)
    assert {code: place.name for code, place in places.items()} == dict.fromkeys(places, space.sha256)
    content = Content(space.latent, model=str(autoencoder), model_sha256=space.sha256)
    latents, snr = source.make(0, 2, 0)[0].reshape(2, *space.shape), torch.ones(2)
    for codec in (LinearCode(40), SeedCodec(40), TransformSeed(max_bits=4000.0)):
        bound = codec.bound(content)
        assert bound.decode(bound.encode(latents, snr), space.latent).shape == latents.shape
    config = json.loads((out / "linear" / "config.json").read_text())
    assert ("form" in config) == (space.latent.num_values > 4096) or config["num_values"] == space.latent.num_values
    first = (out / "transform" / "weights.safetensors").read_bytes()
    (out / "transform" / "config.json").unlink()
    (out / "transform" / "stages" / "polish" / "checkpoint.safetensors").unlink()
    train_own_seeds(source, out, training, ("transform",))
    assert (out / "transform" / "weights.safetensors").read_bytes() == first
