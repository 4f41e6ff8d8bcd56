"""A basis is found, saved, loaded, and refused where it does not fit."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.types import Spec


def test_components_are_uncorrelated_with_the_stated_variances(basis: SeedBasis, latents: Tensor) -> None:
    components = basis.analyse(latents, (len(latents),))
    measured = torch.cov(components.T)
    expected = torch.diag(basis.variances)
    assert float((measured - expected).abs().max()) < 0.15 * float(basis.variances.max())
    back = basis.synthesise(components, Spec((2, 12)))
    torch.testing.assert_close(back, latents, rtol=0, atol=1e-2)


def test_basis_of_samples_is_that_of_their_covariance(latents: Tensor) -> None:
    flat = latents.flatten(1)
    basis = SeedBasis.of_samples(flat, "")
    values = torch.linalg.eigvalsh(torch.cov(flat.double().T)).flip(0)
    torch.testing.assert_close(basis.variances.double(), values, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(basis.basis.T @ basis.basis, torch.eye(24), rtol=0, atol=2e-3)


def test_saved_and_loaded_it_is_the_same(basis: SeedBasis, tmp_path: Path) -> None:
    basis.save(tmp_path / "b", {"trained": {"by": "test"}})
    loaded = SeedBasis.load(tmp_path / "b", "a" * 64)
    for name in ("mean", "basis", "variances"):
        assert torch.equal(getattr(loaded, name), getattr(basis, name))
    assert loaded.scale_classes == basis.scale_classes
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["basis.safetensors", "config.json"]


def test_a_name_is_looked_up_in_the_users_folder(
    basis: SeedBasis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    basis.save(tmp_path / "gainnet" / "codecs" / "mine", {})
    assert SeedBasis.load("mine").model_sha256 == "a" * 64
    assert SeedBasis.load("/models/mine").model_sha256 == "a" * 64
    with pytest.raises(ModelError, match="none for model 'yours'"):
        SeedBasis.load("yours")


def test_a_basis_of_1024_values_takes_at_most_2_2_megabytes(tmp_path: Path) -> None:
    big = SeedBasis(torch.zeros(1024), torch.eye(1024), torch.ones(1024), (0,) * 1024, "")
    big.save(tmp_path, {})
    assert (tmp_path / "basis.safetensors").stat().st_size <= 2.2e6


def test_eigenvectors_of_a_large_latent_take_a_byte_an_entry_and_stay_orthonormal(tmp_path: Path) -> None:
    num_values = 1100
    turned = torch.linalg.qr(torch.randn(num_values, num_values, generator=torch.Generator().manual_seed(0))).Q
    variances = torch.linspace(2.0, 0.1, num_values)
    SeedBasis(torch.zeros(num_values), turned, variances, (0,) * num_values, "m").save(tmp_path, {})
    loaded = SeedBasis.load(tmp_path)
    assert (tmp_path / "basis.safetensors").stat().st_size < 1.02 * num_values**2
    assert float((loaded.basis - turned).square().sum(0).mean()) < 5e-4
    loaded.save(tmp_path / "again", {})
    assert torch.equal(SeedBasis.load(tmp_path / "again").basis, loaded.basis)


def test_another_model_is_refused(basis: SeedBasis, tmp_path: Path) -> None:
    basis.save(tmp_path, {})
    with pytest.raises(ModelError, match="fits another model"):
        SeedBasis.load(tmp_path, "b" * 64)
    with pytest.raises(ConfigError, match="24 values"):
        basis.check(Spec((4, 16, 16)), "linear")


@pytest.mark.parametrize("damage", ["cut", "no_tensors", "no_json", "other_kind", "other_shape"])
def test_a_damaged_folder_is_refused_in_one_line(basis: SeedBasis, tmp_path: Path, damage: str) -> None:
    basis.save(tmp_path, {})
    config, tensors = tmp_path / "config.json", tmp_path / "basis.safetensors"
    if damage == "cut":
        tensors.write_bytes(tensors.read_bytes()[:-40])
    elif damage == "no_tensors":
        tensors.unlink()
    elif damage == "no_json":
        config.write_text("{")
    elif damage == "other_kind":
        config.write_text(json.dumps({"kind": "policy"}))
    else:
        SeedBasis(basis.mean[:3], basis.basis, basis.variances, basis.scale_classes, "").save(tmp_path, {})
    with pytest.raises(ModelError, match=r"^seed basis: [^\n]*$"):
        SeedBasis.load(tmp_path)
