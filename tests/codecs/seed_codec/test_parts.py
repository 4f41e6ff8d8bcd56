"""The basis in the metric of the picture, the mixture, and the folder of weights."""

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainnet.codecs.linear import linear_mse
from gainnet.codecs.seed_codec import PictureBasis, SeedCodec, SeedWeights
from gainnet.codecs.seed_codec.mixture import Mixture
from gainnet.codecs.seed_codec.refiner import Convolution, Refiner
from gainnet.codecs.seed_codec.weights import pack_weights, unpack_weights
from gainnet.core.errors import ModelError


def test_squared_error_of_components_is_that_of_the_metric(mean: Tensor, spread: Tensor, seeds: Tensor) -> None:
    root = torch.randn(64, 64, generator=torch.Generator().manual_seed(7)).double()
    metric = root @ root.T / 64 + 0.1 * torch.eye(64)
    basis = PictureBasis.of_moments(mean, spread, metric)
    errors = 0.1 * torch.randn(20, 64, generator=torch.Generator().manual_seed(8))
    truth = seeds[:20].flatten(1)
    ours = (basis.analyse(truth + errors) - basis.analyse(truth)).square().sum(1)
    theirs = ((errors.double() @ metric) * errors).sum(1)
    torch.testing.assert_close(ours / ours.sum(), (theirs / theirs.sum()).float(), atol=2e-4, rtol=5e-3)
    torch.testing.assert_close(basis.synthesise(basis.analyse(truth)), truth, atol=1e-4, rtol=1e-4)
    covariance = basis.analysis.double() @ spread @ basis.analysis.double().T
    torch.testing.assert_close(covariance, torch.diag(basis.variances.double()), atol=2e-3, rtol=2e-3)


def test_best_code_for_the_metric_beats_the_best_code_for_the_latent(mean: Tensor, spread: Tensor) -> None:
    """Both in the metric, in closed form, where a component that hardly shows has the largest variance."""
    values, vectors = torch.linalg.eigh(spread)
    shows = torch.linspace(1.0, 0.01, 64, dtype=torch.float64)
    basis = PictureBasis.of_moments(mean, spread, vectors @ torch.diag(shows) @ vectors.T)
    weighted = (values * shows).flip(0)
    scale = float(weighted.mean())
    assert torch.allclose(basis.variances.double(), weighted.sort(descending=True).values / scale, rtol=5e-3, atol=1e-4)
    ours = linear_mse(basis.variances, 10, torch.tensor(3.0)) * scale
    powers = torch.zeros(64, dtype=torch.float64)
    from gainnet.codecs.linear import linear_powers

    powers[:20] = linear_powers(values.flip(0).float(), 10, torch.tensor(3.0))
    theirs = (weighted / (1 + 6 * powers)).sum()
    assert float(ours) < 0.99 * float(theirs)


def test_mixture_is_the_posterior_mean() -> None:
    """Against integration over a grid, for one component of two kinds."""
    mixture = Mixture(2, 1, 4)
    with torch.no_grad():
        mixture.means.copy_(torch.tensor([[-1.0], [2.0]]))
        mixture.log_variances.copy_(torch.tensor([[0.3], [0.05]]).log())
        mixture.log_weights.copy_(torch.tensor([0.7, 0.3]).log())
    grid = torch.linspace(-8, 8, 40001, dtype=torch.float64)
    kinds = ((0.7, -1.0, 0.3), (0.3, 2.0, 0.05))
    prior = sum(w * (-((grid - m) ** 2) / (2 * s)).exp() / s**0.5 for w, m, s in kinds)
    for q, t in ((0.0, 0.0), (0.5, 0.4), (3.0, 2.0), (40.0, 60.0)):
        posterior = prior * (t * grid - q * grid.square() / 2).exp()
        expected = float((grid * posterior).sum() / posterior.sum())
        found, weights = mixture(torch.tensor([[t]]), torch.tensor([[q]]), torch.zeros(1, 4))
        assert float(found.detach()) == pytest.approx(expected, abs=2e-4)
        assert float(weights.detach().sum()) == pytest.approx(1)


def test_mixture_finds_the_kinds_of_its_samples() -> None:
    generator = torch.Generator().manual_seed(0)
    kinds = torch.randint(2, (4000,), generator=generator)
    means = torch.tensor([[0.9, -0.9], [-0.9, 0.9]])
    samples = means[kinds] + 0.3 * torch.randn(4000, 2, generator=generator)
    mixture = Mixture(2, 2, 4)
    mixture.fit(samples, torch.ones(2), random_seed=0)
    order = mixture.means[:, 0].argsort(descending=True)
    torch.testing.assert_close(mixture.means[order].detach(), means, atol=0.03, rtol=0)
    torch.testing.assert_close(mixture.log_variances.exp().detach(), torch.full((2, 2), 0.09), atol=0.02, rtol=0)


def test_convolution_is_the_sliding_kernel() -> None:
    """Against torch's own, over a grid that is not square."""
    convolution, x = Convolution(5, (3, 4)), torch.randn(2, 12, 5, generator=torch.Generator().manual_seed(9))
    kernel = convolution.kernel.reshape(5, 1, 5, 7)
    maps = x.transpose(1, 2).unflatten(2, (3, 4))
    expected = torch.nn.functional.conv2d(maps, kernel, padding=(2, 3), groups=5).flatten(2).transpose(1, 2)
    torch.testing.assert_close(convolution(x).detach(), expected.detach(), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_refiner_knows_where_patches_are() -> None:
    """A change of one entry is answered first of all in its own patch, and a new refiner says nothing."""
    torch.manual_seed(5)
    refiner = Refiner((2, 6, 4), 16, 1, 3, 4, 8)
    latents, features, prompt = torch.zeros(1, 48), torch.zeros(1, 3), torch.zeros(1, 4)
    assert float(refiner(torch.randn(1, 48), features, prompt).abs().max()) == 0
    torch.nn.init.eye_(refiner.last.weight)
    touched = latents.clone()
    touched.view(2, 6, 4)[1, 3, 2] = 0.1
    change = (refiner(touched, features, prompt) - refiner(latents, features, prompt)).view(2, 3, 2, 2, 2)
    answer = change.square().sum((0, 2, 4))
    assert int(answer.argmax()) == 1 * 2 + 1


def test_packed_weights_are_near_the_true_ones() -> None:
    wide = torch.randn(80, 64, generator=torch.Generator().manual_seed(6)) * torch.logspace(-3, 2, 80)[:, None]
    state = {"a.weight": wide, "b.weight": wide[:3], "c.bias": wide[:, 0]}
    again = unpack_weights(pack_weights(state))
    assert pack_weights(state)["a.weight"].dtype == torch.int8
    assert bool(((again["a.weight"] - wide).abs() <= wide.abs().amax(1, keepdim=True) / 254 * 1.001).all())
    torch.testing.assert_close(again["b.weight"], wide[:3], atol=1e-6, rtol=1e-3)
    torch.testing.assert_close(unpack_weights(pack_weights(again)), again, atol=0, rtol=1e-3)


def test_weights_come_back_and_damage_is_named(stirred: SeedWeights, seeds: Tensor, tmp_path: Path) -> None:
    stirred.save(tmp_path, {"metrics": {}})
    again = SeedWeights.load(tmp_path, "a" * 64)
    snr = torch.ones(4)
    sent = [SeedCodec(32, ("a red moon",), weights=w).encode(seeds[:4], snr).values for w in (stirred, again)]
    torch.testing.assert_close(*sent, atol=5e-3, rtol=5e-3)
    with pytest.raises(ModelError, match="another model"):
        SeedWeights.load(tmp_path, "b" * 64)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"kind": "seed_basis"}))
    with pytest.raises(ModelError, match="describes no seed codec"):
        SeedWeights.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    whole = (tmp_path / "seed_codec.safetensors").read_bytes()
    (tmp_path / "seed_codec.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="damaged"):
        SeedWeights.load(tmp_path)
    with pytest.raises(ModelError, match="gainnet train seed-codec"):
        SeedWeights.load("no such model")
