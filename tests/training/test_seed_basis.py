"""Training a basis on a small model: folder, digest, random seeds, what it knows of its latents."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tests.conftest import build_small_stable_diffusion
from torch import Tensor

from gainnet.codecs import LinearCode, SeedBasis
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.training.seed_basis import (
    basis_of,
    check_basis,
    cross_fitted_variances,
    generate_latents,
    train_seed_basis,
)
from gainnet.training.seed_sources import Captioned, latents_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    build_small_stable_diffusion(path)
    return path


def small(folder: Path) -> DiffusionModel:
    return load_model(str(folder), num_steps=2)


@pytest.mark.slow
def test_a_trained_basis_is_loaded_for_its_model(folder: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    model = small(folder)
    made = train_seed_basis(Captioned(model), tmp_path, 8, 0, progress=lambda *n: told.append(n))
    loaded = SeedBasis.load(tmp_path, model.sha256)
    assert torch.equal(loaded.basis, made.basis)
    assert told[-1] == (8, 8)
    assert LinearCode(8, loaded).size(model.latent).upper == 8
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["trained"] == {"num_latents": 8, "num_renders": 0, "random_seed": 0}


@pytest.mark.slow
def test_latents_are_those_of_the_denoiser(folder: Path) -> None:
    model = small(folder)
    (latents,) = generate_latents(Captioned(model), 3, random_seed=1)
    (again,) = generate_latents(Captioned(model), 3, random_seed=1)
    (other,) = generate_latents(Captioned(model), 3, random_seed=2)
    assert latents.shape == (3, model.latent.num_values)
    assert torch.equal(latents, again)
    assert not torch.equal(latents, other)
    noise = model.prior({}, Random.of(5))["latent"]
    assert noise.shape == model.latent.shape


def draw(num_samples: int, deviations: Tensor, random_seed: int) -> Tensor:
    return torch.randn(num_samples, len(deviations), generator=torch.Generator().manual_seed(random_seed)) * deviations


def test_cheap_latents_help_where_they_are_of_the_same_law_and_are_left_out_elsewhere() -> None:
    deviations = torch.cat((torch.full((6,), 3.0), torch.full((34,), 0.3)))
    generated, new = draw(60, deviations, 0), draw(4000, deviations, 1)
    alone, same = basis_of(generated, None, ""), basis_of(generated, draw(4000, deviations, 2), "")
    other = basis_of(generated, draw(4000, 2 * deviations.flip(0), 3), "")
    kept = [float((basis.analyse(new, (4000,))[:, :6]).square().mean()) for basis in (alone, same, other)]
    assert kept[1] > kept[0]
    assert kept[2] == pytest.approx(kept[0], rel=0.02)


def test_variances_are_those_of_new_samples() -> None:
    """Where components fit their own 80 samples of 40 equal variances, cross-fitting still says that they are equal."""
    samples = draw(80, torch.ones(40), 0).double()
    own = torch.linalg.eigvalsh(torch.cov(samples.T))
    honest = cross_fitted_variances(samples, torch.zeros(40, 40, dtype=torch.float64), 0.0)
    assert float(own.min()) < 0.15
    assert float(honest.min()) > 0.5
    assert float(honest.mean()) == pytest.approx(1, rel=0.1)


def test_too_few_latents_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="num_latents"):
        check_basis(tmp_path, num_latents=1)


@pytest.mark.slow
def test_a_model_of_somebody_elses_is_drawn_from_prompts_of_the_users(
    folder: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Captions of coloured shapes say nothing of what a Stable Diffusion is asked for."""
    asked: list[str] = []
    monkeypatch.setattr(
        "gainnet.training.seed_sources.latents_of",
        lambda model, prompts, first: asked.extend(prompts) or latents_of(model, prompts, first),
    )
    options = ["train", "seed-basis", "--model", str(folder), "--num-latents", "8", "--out", str(tmp_path / "basis")]
    code, out, err = call(*options)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "prompts: nothing in" in err
    assert "seed-basis --prompts FILE" in err
    assert not (tmp_path / "basis").exists()
    (tmp_path / "prompts.txt").write_text("a lighthouse\nan owl\n")
    assert call(*options, "--prompts", str(tmp_path / "prompts.txt"))[0] == 0
    assert sorted(asked) == ["a lighthouse"] * 4 + ["an owl"] * 4
    assert SeedBasis.load(tmp_path / "basis", small(folder).sha256).num_values == small(folder).latent.num_values
