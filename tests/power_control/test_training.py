"""Training of power policies: an interrupted run ends as an uninterrupted one; mistakes are one line."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

from gainnet.agents.policy_run import CHECKPOINT, train_policy
from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.run.checkpoint import Checkpoint
from gainnet.core.run.loop import resume
from gainnet.power_control.training import TrainingConfig, train, training_run

SMALL = TrainingConfig("ppo", "equal", 3, num_iterations=4, episodes_per_iteration=32, width=8)


def silent(made: int, total: int, losses: dict[str, float]) -> None:
    pass


@pytest.mark.parametrize(
    "algorithm", ["ppo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sac", "pathwise"))]
)
@pytest.mark.slow
def test_a_run_goes_on_where_it_was(algorithm: str, tmp_path: Path) -> None:
    config = replace(SMALL, algorithm=algorithm)
    whole, begun, resumed = (training_run(config) for _ in range(3))
    for _ in range(3):
        whole.advance()
    for _ in range(2):
        begun.advance()
    checkpoint = Checkpoint(tmp_path / CHECKPOINT, asdict(config))
    checkpoint.write(*begun.state())
    resume(resumed, checkpoint)
    resumed.advance()
    for name, x in whole.average.items():
        torch.testing.assert_close(resumed.average[name], x, atol=0.0, rtol=0.0)
    assert resumed.curve == whole.curve


@pytest.mark.slow
def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    train(replace(SMALL, num_iterations=1), tmp_path, silent)
    with pytest.raises(ConfigError, match="other settings"):
        train(replace(SMALL, num_iterations=1, random_seed=4), tmp_path, silent)


def test_a_training_that_diverges_ends_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = training_run(SMALL)
    monkeypatch.setattr(run, "play", lambda iteration, after_update: {"loss_actor": float("nan")})
    with pytest.raises(TrainingError, match=r"^training: loss_actor is nan in step 1 of 4; lower the learning rate$"):
        train_policy(run, {}, tmp_path, silent, dict)
    assert not (tmp_path / CHECKPOINT).exists()
