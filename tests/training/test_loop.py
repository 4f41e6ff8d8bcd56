"""The training loop: averages, spikes, and that a kill changes nothing."""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, TrainingError
from gainnet.training.loop import CHECKPOINT, MOST_SKIPPED, averaged, claim, cosine, cpu_seconds, train
from gainnet.training.muon import Muon, muon_and_adamw, orthogonalised


class Killed(Exception):
    """Stands for the power going off."""


class ToyStage:
    """Fits a small network to a fixed one, with both optimizers."""

    name = "toy"
    num_steps = 30
    ema_decay = 0.9
    peak_rates = (0.02, 0.01)

    def __init__(self, spike_at: int | None = None) -> None:
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 3))
        self.optimizers = muon_and_adamw(self.model, (self.model[-1],))
        self.spike_at = spike_at

    def loss(self, step: int) -> Tensor:
        generator = torch.Generator().manual_seed(step)
        x = torch.randn(16, 6, generator=generator)
        error = (self.model(x) - x[:, :3]).square().mean()
        return error * torch.nan if step == self.spike_at else error


def test_training_lowers_the_loss_and_returns_averages(tmp_path: Path) -> None:
    stage = ToyStage()
    before = float(stage.loss(1000).detach())
    told: list[int] = []
    ema = train(stage, tmp_path, 10, lambda name, step, num_steps, loss: told.append(step))
    assert told == [10, 20, 30]
    last = {name: value.clone() for name, value in stage.model.state_dict().items()}
    assert not torch.equal(ema["0.weight"], last["0.weight"])
    stage.model.load_state_dict(ema)
    assert float(stage.loss(1000).detach()) < 0.7 * before
    assert all(torch.equal(value, ema[name]) for name, value in averaged(tmp_path).items())
    assert cpu_seconds(tmp_path) > 0


@pytest.mark.parametrize("killed_at", [5, 10, 17])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, killed_at: int) -> None:
    whole = train(ToyStage(), tmp_path / "whole", 5)

    class Dying(ToyStage):
        def loss(self, step: int) -> Tensor:
            if step == killed_at:
                raise Killed
            return super().loss(step)

    with pytest.raises(Killed):
        train(Dying(), tmp_path / "killed", 5)
    resumed = train(ToyStage(), tmp_path / "killed", 5)
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    assert [path.name for path in (tmp_path / "killed").iterdir()] == [CHECKPOINT]


def test_a_loss_that_is_not_a_number_is_skipped(tmp_path: Path) -> None:
    ema = train(ToyStage(spike_at=7), tmp_path, 10)
    assert all(bool(torch.isfinite(value).all()) for value in ema.values())


class Offset:
    """Pulls one weight from 0.4 towards 0; the loss has a level of any sign, and outliers push the weight away."""

    name = "offset"
    num_steps = 300
    ema_decay = 0.0
    peak_rates = (0.01,)

    def __init__(self, level: float, outliers: range = range(0)) -> None:
        self.model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.model.weight, 0.4)
        self.optimizers = (torch.optim.SGD(self.model.parameters(), lr=0.01),)
        self.level, self.outliers = level, outliers

    def loss(self, step: int) -> Tensor:
        error = self.model.weight.square().sum()
        return 100.0 - 50.0 * error if step in self.outliers else error + self.level


@pytest.mark.parametrize("level", [-5.0, -0.5, 0.0, 5.0])
def test_losses_of_any_sign_descend_alike(tmp_path: Path, level: float) -> None:
    """Plain descent shrinks the weight by 1 - 2 rate at every step; outliers that pull it away are skipped."""
    outliers = range(150, 240)
    factors = [1 - 2 * 0.01 * cosine(step, 300, 30) for step in range(300) if step not in outliers]
    left = float(train(Offset(level, outliers), tmp_path, 50)["weight"])
    assert left == pytest.approx(0.4 * math.prod(factors), rel=1e-4)


@pytest.mark.parametrize("level", [-5.0, 5.0])
def test_a_training_that_no_longer_descends_is_given_up(tmp_path: Path, level: float) -> None:
    """Its count goes on over an interruption."""
    last = 150 + MOST_SKIPPED - 1
    with pytest.raises(TrainingError, match=f"offset met {MOST_SKIPPED} losses in a row up to step {last}"):
        train(Offset(level, range(150, 300)), tmp_path, 40)
    with pytest.raises(TrainingError, match=f"up to step {last}"):
        train(Offset(level, range(150, 300)), tmp_path, 40)


def test_a_folder_is_claimed_once_and_for_the_same_settings_only(tmp_path: Path) -> None:
    path, settings = tmp_path / "begun" / "training.json", {"random_seed": 1, "widths": (3, 12)}
    claim(path, settings, "out: begun otherwise")
    written = path.read_text()
    claim(path, settings, "out: begun otherwise")
    with pytest.raises(ConfigError, match=r"^out: begun otherwise$"):
        claim(path, settings | {"widths": (3, 13)}, "out: begun otherwise")
    assert path.read_text() == written


def test_the_rate_rises_then_falls() -> None:
    rates = [cosine(step, 100, 10) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == 1.0


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5)])
def test_orthogonalised_keeps_the_singular_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonalised(matrix) @ v.T
    values = inner.diagonal()
    assert bool(((values > 0.4) & (values < 1.4)).all())
    assert float((inner - values.diag()).abs().max()) < 0.1


def test_muon_steps_have_the_size_of_adamw() -> None:
    weight = nn.Parameter(torch.zeros(32, 16, 3, 3))
    weight.grad = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    Muon([weight], lr=0.01).step()
    root_mean_square = float(weight.detach().square().mean().sqrt())
    assert 0.5 * 0.2 * 0.01 < root_mean_square < 1.5 * 0.2 * 0.01


def test_muon_takes_kernels_and_adamw_the_rest() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 3, 3))
    muon, adamw = muon_and_adamw(model, (model[0], model[2]))
    assert [tuple(p.shape) for group in muon.param_groups for p in group["params"]] == [(4, 4, 3, 3)]
    assert sum(len(group["params"]) for group in adamw.param_groups) == 5
