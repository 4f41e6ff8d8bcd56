"""`gainnet train` of an orchestrator or of a power policy writes it, or one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gainnet import cli, power_control
from gainnet.core.errors import ModelError
from gainnet.orchestration import scenario
from gainnet.orchestration.learned import load_policy, trained_config

SMALL = ["--num-iterations", "2", "--worlds", "1"]


@pytest.fixture
def few_clients(tmp_path: Path) -> str:
    """The coupled scenario with 4 clients, as a file of one's own."""
    shipped = (Path(str(scenario.__file__)).parent / "coupled.toml").read_text()
    path = tmp_path / "few.toml"
    path.write_text(shipped.replace("num_clients = 50", "num_clients = 4"))
    return str(path)


def call(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["gainnet", "train", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code


@pytest.mark.slow
def test_it_writes_a_policy_and_says_where(
    few_clients: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "policy"
    assert (
        call(monkeypatch, "orchestration", "--scenario", few_clients, "--out", str(out), "--random-seed", "3", *SMALL)
        == 0
    )
    assert capsys.readouterr().out.strip() == str(out)
    assert trained_config(str(out))["training"]["random_seed"] == 3
    assert 0.5 < trained_config(str(out))["metrics"]["of_optimum"] <= 1.0
    assert load_policy(str(out)).network.first.out_features == 64


@pytest.mark.slow
def test_it_writes_a_policy_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "policy"
    few = ("--task", "equal", "--num-iterations", "1", "--num-episodes", "16")
    assert call(monkeypatch, "power-control", "--out", str(out), *few) == 0
    assert power_control.trained_config(str(out))["training"]["task"] == "equal"
    assert power_control.load_policy(str(out)).features == ("received", "snr", "energy", "left", "last")
    weights = out / "actor.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ModelError, match="is not what its config"):
        power_control.load_policy(str(out))


@pytest.mark.parametrize(
    ("command", "arguments", "line"),
    [
        ("orchestration", ["--scenario", "alley"], "scenario: 'alley' is unknown"),
        ("orchestration", ["--regime", "anarchy"], "regime: 'anarchy' is unknown"),
        (
            "orchestration",
            ["--num-iterations", "0"],
            "training.num_iterations: 0 is out of range; must be in [1, 100000]",
        ),
        ("orchestration", ["--random-seed", "-1"], "training.random_seed: -1 is out of range; must be in [0, 999]"),
        (
            "orchestration",
            ["--worlds", "1001"],
            "training.worlds_per_iteration: 1001 is out of range; must be in [1, 1000]",
        ),
        (
            "power-control",
            ["--num-iterations", "0"],
            "training.num_iterations: 0 is out of range; must be in [1, 100000]",
        ),
        ("power-control", ["--task", "nothing"], "task: 'nothing' is unknown"),
        (
            "power-control",
            ["--learning-rate", "0"],
            "training.learning_rate: 0.0 is out of range; must be in [1e-06, 1]",
        ),
        ("power-control", ["--random-seed", "1000"], "training.random_seed: 1000 is out of range; must be in [0, 999]"),
    ],
)
def test_a_mistake_is_one_line(
    command: str,
    arguments: list[str],
    line: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, command, "--out", str(tmp_path / "policy"), *arguments) == 2
    error = capsys.readouterr().err
    assert line in error
    assert error.count("\n") == 1
    assert not (tmp_path / "policy").exists()
