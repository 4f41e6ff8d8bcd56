"""The training loop: averages, spikes, and that a kill changes nothing."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.run.loop import silent
from gainnet.training.loop import CHECKPOINT, MOST_SKIPPED, SETTINGS, Stage, Training, cosine, open_training
from gainnet.training.muon import Muon, muon_and_adamw, orthogonalise


class Killed(Exception):
    """Stands for the power going off."""


def toy(spike_at: int | None = None, killed_at: int | None = None) -> Stage:
    """Fits a small network to a fixed one, with both optimizers."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.SiLU(), nn.Linear(8, 3))

    def loss(step: int) -> Tensor:
        if step == killed_at:
            raise Killed
        x = torch.randn(16, 6, generator=torch.Generator().manual_seed(step))
        error = (model(x) - x[:, :3]).square().mean()
        return error * torch.nan if step == spike_at else error

    return Stage("toy", 30, model, muon_and_adamw(model, (model[-1],)), (0.02, 0.01), 0.9, loss)


def trained(stage: Stage, folder: Path, checkpoint_every: int) -> dict[str, Tensor]:
    Training(folder, {}, checkpoint_every).train(stage)
    return stage.model.state_dict()


def test_training_lowers_the_loss_and_returns_averages(tmp_path: Path) -> None:
    stage = toy()
    before = float(stage.loss(1000).detach())
    seen: list[int] = []
    training = Training(tmp_path, {}, 10, lambda name, step, num_steps, loss: seen.append(step))
    training.train(stage)
    assert seen == [10, 20, 30]
    kept = load_file(tmp_path / "toy" / CHECKPOINT)
    ema = stage.model.state_dict()
    assert not torch.equal(ema["0.weight"], kept["model.0.weight"])
    assert float(stage.loss(1000).detach()) < 0.7 * before
    assert all(torch.equal(kept[f"ema.{name}"], value) for name, value in ema.items())
    assert training.cpu_s["toy"] > 0


@pytest.mark.parametrize("killed_at", [*(pytest.param(x, marks=pytest.mark.slow) for x in (5, 10)), 17])
def test_a_killed_training_ends_with_the_same_weights(tmp_path: Path, killed_at: int) -> None:
    whole = trained(toy(), tmp_path / "whole", 5)
    with pytest.raises(Killed):
        trained(toy(killed_at=killed_at), tmp_path / "killed", 5)
    resumed = trained(toy(), tmp_path / "killed", 5)
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())
    assert [path.name for path in (tmp_path / "killed" / "toy").iterdir()] == [CHECKPOINT]


def test_a_loss_that_is_not_a_number_is_skipped(tmp_path: Path) -> None:
    ema = trained(toy(spike_at=7), tmp_path, 10)
    assert all(bool(torch.isfinite(value).all()) for value in ema.values())


def test_weights_that_are_not_finite_end_a_training(tmp_path: Path) -> None:
    stage = toy()
    nn.init.constant_(stage.model.get_parameter("0.weight"), torch.nan)
    with pytest.raises(TrainingError, match=r"^training: model.0.weight is no longer finite; lower the learning rate$"):
        trained(stage, tmp_path, 10)


def test_a_checkpoint_of_other_data_is_refused(tmp_path: Path) -> None:
    Training(tmp_path, {}, 10).train(toy(), "a" * 64)
    with pytest.raises(ConfigError, match="is of a run with other settings"):
        Training(tmp_path, {}, 10).train(toy(), "b" * 64)


def offset(level: float, outliers: range = range(0)) -> Stage:
    """Pulls one weight from 0.4 towards 0; the loss has a level of any sign, and outliers push the weight away."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 0.4)

    def loss(step: int) -> Tensor:
        error = model.weight.square().sum()
        return 100.0 - 50.0 * error if step in outliers else error + level

    return Stage("offset", 300, model, (torch.optim.SGD(model.parameters(), lr=0.01),), (0.01,), 0.0, loss)


@pytest.mark.parametrize("level", [-5.0, *(pytest.param(x, marks=pytest.mark.slow) for x in (-0.5, 0.0, 5.0))])
def test_losses_of_any_sign_descend_alike(tmp_path: Path, level: float) -> None:
    """Plain descent shrinks the weight by 1 - 2 rate at every step; outliers that pull it away are skipped."""
    outliers = range(150, 240)
    factors = [1 - 2 * 0.01 * cosine(step, 300, 30) for step in range(300) if step not in outliers]
    left = float(trained(offset(level, outliers), tmp_path, 50)["weight"])
    assert left == pytest.approx(0.4 * math.prod(factors), rel=1e-4)


@pytest.mark.parametrize("level", [-5.0, 5.0])
def test_a_training_that_no_longer_descends_is_given_up(tmp_path: Path, level: float) -> None:
    """Its count goes on over an interruption."""
    last = 150 + MOST_SKIPPED - 1
    with pytest.raises(TrainingError, match=f"offset met {MOST_SKIPPED} losses in a row up to step {last}"):
        trained(offset(level, range(150, 300)), tmp_path, 40)
    with pytest.raises(TrainingError, match=f"up to step {last}"):
        trained(offset(level, range(150, 300)), tmp_path, 40)


def begin(out: Path, settings: dict[str, Any]) -> None:
    with open_training(out, out / "stages", settings, 5, silent) as training:
        assert training.settings["widths"] == list(settings["widths"])


def test_a_folder_is_begun_once_and_for_the_same_settings_only(tmp_path: Path) -> None:
    path, settings = tmp_path / "stages" / SETTINGS, {"random_seed": 1, "widths": (3, 12)}
    begin(tmp_path, settings)
    written = path.read_text()
    begin(tmp_path, settings)
    with pytest.raises(ConfigError, match=r"^out: \S+ was begun with another widths; give an empty folder$"):
        begin(tmp_path, settings | {"widths": (3, 13)})
    assert path.read_text() == written
    with pytest.raises(ConfigError, match=r"^random_seed: -1 is negative; give 0 or more$"):
        begin(tmp_path, settings | {"random_seed": -1})


@pytest.mark.parametrize("content", [b"", b'{"random_seed": 1, "wid', b"[" * 100_000, b"[]", b"5", b"\xff\xfe"])
def test_damaged_settings_are_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages" / SETTINGS).write_bytes(content)
    with pytest.raises(ConfigError, match=r"^out: [^\n]* (is damaged; delete|was begun with another)[^\n]*$"):
        begin(tmp_path, {"random_seed": 1, "widths": (3, 12)})


def test_the_rate_rises_then_falls() -> None:
    rates = [cosine(step, 100, 10) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert max(rates) == 1.0


@pytest.mark.parametrize("shape", [(8, 8), (5, 40), (40, 5)])
def test_orthogonalised_keeps_the_singular_vectors(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.T @ orthogonalise(matrix) @ v.T
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
