"""Training of power policies: an interrupted run ends as an uninterrupted one; mistakes are one line."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainnet import cli
from gainnet.core.errors import ConfigError, ModelError
from gainnet.power_control import load_policy, trained_config
from gainnet.power_control.training import CHECKPOINT, TrainingConfig, TrainingRun

SMALL = TrainingConfig("ppo", "equal", 3, num_iterations=4, episodes_per_iteration=32, width=8)


@pytest.mark.parametrize("algorithm", ["ppo", "sac", "pathwise"])
def test_a_run_goes_on_where_it_was(algorithm: str, tmp_path: Path) -> None:
    config = replace(SMALL, algorithm=algorithm)
    whole, begun, resumed = (TrainingRun(config) for _ in range(3))
    for _ in range(3):
        whole.advance()
    for _ in range(2):
        begun.advance()
    (tmp_path / CHECKPOINT).write_bytes(begun.checkpoint())
    resumed.resume(tmp_path / CHECKPOINT)
    resumed.advance()
    for name, x in whole.average.items():
        torch.testing.assert_close(resumed.average[name], x, atol=0.0, rtol=0.0)
    assert resumed.curve == whole.curve


def test_another_run_is_not_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / CHECKPOINT).write_bytes(TrainingRun(SMALL).checkpoint())
    with pytest.raises(ConfigError, match="other numbers"):
        TrainingRun(replace(SMALL, random_seed=4)).resume(tmp_path / CHECKPOINT)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gainnet", "train", "power-control", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


def test_the_command_writes_a_policy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "policy"
    few = ("--task", "equal", "--num-iterations", "1", "--num-episodes", "16")
    assert call(monkeypatch, "--out", str(out), *few) == 0
    assert trained_config(str(out))["training"]["task"] == "equal"
    assert load_policy(str(out)).features == ("received", "snr", "energy", "left", "last")
    weights = out / "actor.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is not what its config"):
        load_policy(str(out))


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--num-iterations", "0"], "--num-iterations': 0 is not in the range 1<=x<=100000"),
        (["--task", "nothing"], "'nothing' is not one of"),
        (["--learning-rate", "0"], "--learning-rate': 0.0 is not in the range"),
        (["--random-seed", "1000"], "--random-seed': 1000 is not in the range 0<=x<=999"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "--out", str(tmp_path / "out"), *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()
