"""Training goes on where it was stopped, stays out of the package, and refuses what does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load, save

import gainnet
from gainnet.agents.policy_folder import WEIGHTS
from gainnet.agents.policy_run import CHECKPOINT
from gainnet.agents.replay import Remembering
from gainnet.core.errors import ConfigError
from gainnet.orchestration.learned import load_policy
from gainnet.orchestration.scenario import load_scenario
from gainnet.orchestration.training import TrainingConfig, train, training_run, vary

TINY = TrainingConfig(
    "coupled",
    "independent",
    random_seed=5,
    num_iterations=12,
    worlds_per_iteration=2,
    updates_per_iteration=1,
    rounds_per_update=2,
    replay_rounds=15,
    width=8,
)


def silent(made: int, total: int, losses: dict[str, float]) -> None:
    pass


@pytest.mark.slow
@pytest.mark.parametrize("regime", ["independent", pytest.param("contention", marks=pytest.mark.slow)])
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path, regime: str) -> None:
    config = replace(TINY, regime=regime, num_iterations=4)
    whole = train(config, tmp_path / "whole", silent, 1)

    def stop(made: int, total: int, losses: dict[str, float]) -> None:
        if made == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "stopped", stop, 1)
    assert not (tmp_path / "stopped" / WEIGHTS).exists()
    stopped = train(config, tmp_path / "stopped", silent, 1)
    assert (whole / WEIGHTS).read_bytes() == (stopped / WEIGHTS).read_bytes()
    assert load_policy(str(whole)).network.first.out_features == 8


def test_learning_moves_the_weights_and_forgets_the_oldest() -> None:
    run = training_run(TINY)
    assert isinstance(run.agent, Remembering)
    before = run.average["last.weight"].clone()
    for _ in range(2):
        run.advance()
    assert run.agent.replay.filled == 15
    assert not torch.equal(run.average["last.weight"], before)


def test_other_numbers_or_damage_are_refused(tmp_path: Path) -> None:
    train(replace(TINY, num_iterations=1), tmp_path, silent, 1)
    with pytest.raises(ConfigError, match="other settings"):
        train(replace(TINY, num_iterations=2), tmp_path, silent, 1)
    whole = (tmp_path / CHECKPOINT).read_bytes()
    tensors = {name: x for name, x in load(whole).items() if not name.startswith("learner.replay.")}
    with safe_open(tmp_path / CHECKPOINT, "pt") as file:
        metadata = file.metadata()
    (tmp_path / CHECKPOINT).write_bytes(save(tensors, metadata))
    with pytest.raises(ConfigError, match="damaged"):
        train(replace(TINY, num_iterations=1), tmp_path, silent, 1)
    (tmp_path / CHECKPOINT).write_bytes(whole[:1000])
    with pytest.raises(ConfigError, match="damaged"):
        train(replace(TINY, num_iterations=1), tmp_path, silent, 1)


def test_nothing_is_written_into_the_package() -> None:
    folder = Path(gainnet.__file__).parent / "orchestration" / "pretrained" / "mine"
    with pytest.raises(ConfigError, match="lies in the package"):
        train(TINY, folder, silent, 1)
    assert not folder.exists()


@pytest.mark.parametrize(
    "fields",
    [
        {"num_iterations": 0},
        {"random_seed": -1},
        {"least_factor": 0.0},
        {"learning_rate": 0.0},
        {"width": 5000},
        {"regime": "anarchy"},
    ],
)
def test_absurd_numbers_are_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        replace(TINY, **fields)


def test_scarcity_is_drawn_and_sometimes_absent() -> None:
    street = load_scenario("street")
    drawn = [vary(street, 0.5, seed) for seed in range(60)]
    times = [scenario.rounds.duration_s / street.rounds.duration_s for scenario in drawn]
    assert all(0.5 <= x <= 1.0 for x in times)
    assert 15 < times.count(1.0) < 45
    for scenario in drawn:
        clients = scenario.clients.bandwidth_hz[0] / street.clients.bandwidth_hz[0]
        edges = scenario.edges[0].bandwidth_hz / street.edges[0].bandwidth_hz
        assert clients == pytest.approx(edges)
