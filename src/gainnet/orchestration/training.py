"""How policies are learned: many worlds at once, soft actor-critic, checkpoints that go on where they were."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.agents.discrete_sac import DiscreteSac, SacSettings
from gainnet.agents.policy_run import PolicyRun, half_cosine, train_policy
from gainnet.agents.replay import Remembering, Replay
from gainnet.core.errors import unknown_name
from gainnet.core.randomness import Random, seeded
from gainnet.core.ranges import Interval, check_ranges
from gainnet.core.run.loop import Progress
from gainnet.orchestration.association import Greedy, Policy, SequentialGreedy
from gainnet.orchestration.features import NAMES, Observation
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.learned import Learned, learned_from
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.optimum import independent_optimum
from gainnet.orchestration.regime import REGIMES, Contention, Regime
from gainnet.orchestration.rollout import advance, play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.world import World, draw_world

FIRST_WORLD = 1_000_000
"""Worlds of smaller random seeds are never trained on."""
FIRST_VALIDATED = 500_000
"""Random seed of the first world that a finished policy is measured in."""

_AVERAGE = 0.995
_WARMUP = 20
_MOST_SEQUENCES = 1 << 12


@final
@dataclass(frozen=True)
class TrainingConfig:
    """Everything that a training run depends on.

    Args:
        scenario: name or TOML file.
        regime: `independent` or `contention`.
        random_seed: of weights, worlds and draws, in [0, 1000).
        num_iterations: times that worlds are played and networks updated, >= 1.
        worlds_per_iteration: played at once, 1 to 1000.
        updates_per_iteration: >= 1.
        rounds_per_update: rounds of worlds in a batch, with all their clients, >= 1.
        replay_rounds: rounds of worlds that are remembered, >= 1.
        width: of the networks, 1 to 4096.
        least_factor: in (0, 1]; time, bandwidth and compute rate of every iteration are multiplied by factors from here
            to 1, each left alone every other time, so that the policy meets scarcity.
        learning_rate: of actor and critics at its peak > 0; small ones keep closer to what adds most at once.

    Raises:
        ConfigError: a field is out of range.
    """

    scenario: str
    regime: str
    random_seed: int = 0
    num_iterations: int = 150
    worlds_per_iteration: int = 16
    updates_per_iteration: int = 16
    rounds_per_update: int = 8
    replay_rounds: int = 4000
    width: int = 64
    least_factor: float = 0.45
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.regime not in REGIMES:
            raise unknown_name("regime", self.regime, REGIMES)
        ranges = {
            "random_seed": Interval(0, 999),
            "num_iterations": Interval(1, 100_000),
            "worlds_per_iteration": Interval(1, 1000),
            "updates_per_iteration": Interval(1, 10_000),
            "rounds_per_update": Interval(1, 10_000),
            "replay_rounds": Interval(1, 1_000_000),
            "width": Interval(1, 4096),
            "least_factor": Interval(0, 1, above=True),
            "learning_rate": Interval(0, 1, above=True, below=True),
        }
        check_ranges("training", self, ranges)


def train(config: TrainingConfig, folder: Path, progress: Progress, num_validated: int = 8) -> Path:
    """A policy, written to a folder that `load_policy` reads; an interrupted run in the folder goes on.

    Args:
        config: what to train.
        folder: made when missing; must not lie in the package.
        progress: called after every iteration.
        num_validated: worlds from `FIRST_VALIDATED` on, never trained on, that metrics in config.json come from, >= 1.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
        TrainingError: a loss or a weight is not finite.
    """
    run, scenario = training_run(config), load_scenario(config.scenario)

    def describe() -> dict[str, Any]:
        metrics = validate(policy_of(run.average, config.width), scenario, config.regime, num_validated)
        kind = {"kind": "orchestration policy", "features": list(NAMES), "width": config.width}
        return {**kind, "training": asdict(config), "metrics": metrics}

    # The name may be that of a file, whose content may be another tomorrow.
    settings = {**asdict(config), "scenario_fields": scenario.model_dump(mode="json")}
    return train_policy(run, settings, folder, progress, describe)


def training_run(config: TrainingConfig) -> PolicyRun:
    """A run before its first iteration; everything in it follows from its config and the number of iterations made."""
    scenario, rate = load_scenario(config.scenario), config.learning_rate
    with seeded(config.random_seed):
        actor = PairNetwork(len(NAMES), config.width, scale=10.0)
        critic = PairNetwork(len(NAMES), config.width, scale=1.0)
        sac = DiscreteSac(actor, critic, SacSettings(actor_rate=rate, critic_rate=rate))
    replay = Replay(config.replay_rounds)

    def play(iteration: int, after_update: Callable[[], None]) -> dict[str, float]:
        first = FIRST_WORLD + 1_000_000 * config.random_seed + iteration * config.worlds_per_iteration
        scarce = vary(scenario, config.least_factor, first)
        world = draw_world(scarce, Random.of(range(first, first + config.worlds_per_iteration)))
        source = torch.Generator().manual_seed(first)
        gain = play_worlds(world, REGIMES[config.regime].of(scarce), sac, replay, source)
        rise = min(1.0, (iteration + 1) / _WARMUP)
        losses: dict[str, float] = {}
        for _ in range(config.updates_per_iteration):
            batch = replay.draw(config.rounds_per_update, source)
            losses = sac.update(batch, rise * half_cosine(iteration / config.num_iterations, 0.05))
            after_update()
        return losses | {"gain": gain}

    return PolicyRun(Remembering(sac, replay), play, config.num_iterations, lambda iteration: _AVERAGE)


def play_worlds(world: World, regime: Regime, sac: DiscreteSac, replay: Replay, source: torch.Generator) -> float:
    """One episode of every world into the replay memory; the mean gain of a round."""
    state, gains = State.empty(world), []
    rows: list[dict[str, Tensor]] = []
    num_rounds = world.scenario.rounds.num_rounds
    for cr in range(num_rounds):
        graph = graph_of(world, regime, cr, state)
        seen = Observation.of(graph)
        if rows:
            rows[-1]["next_observation"] = seen.features
        model = sac.act(seen.features, source)
        row = {"observation": seen.features, "next_observation": torch.zeros_like(seen.features), "action": model}
        over = torch.full(model.shape, cr + 1 == num_rounds)
        rows.append({**row, "reward": seen.rewards(model).float(), "done": over})
        _, state, gain = advance(world, regime, cr, graph, model)
        gains.append(gain)
    for row in rows:
        replay.add(row)
    return float(torch.stack(gains).mean())


def policy_of(weights: dict[str, Tensor], width: int) -> Learned:
    """The policy of an actor's weights by name."""
    return learned_from(weights, "pair", width, 1)


def validate(policy: Policy, scenario: Scenario, regime_name: str, num_worlds: int) -> dict[str, float]:
    """A policy's gain over that of greedy ones, and its share of the optimum's where that can be computed."""
    random = Random.of(range(FIRST_VALIDATED, FIRST_VALIDATED + num_worlds))
    world, regime = draw_world(scenario, random), REGIMES[regime_name].of(scenario)

    def gain(played: Policy) -> Tensor:
        return play(world, regime, played, random).gain.sum(-1)

    rivals: dict[str, Tensor] = {"over_greedy": gain(Greedy())}
    if isinstance(regime, Contention):
        rivals["over_sequential_greedy"] = gain(SequentialGreedy())
    elif len(scenario.models) ** scenario.rounds.num_rounds <= _MOST_SEQUENCES:
        rivals["of_optimum"] = independent_optimum(world, regime).gain
    mine = gain(policy)
    shares = {name: float(mine.sum() / rival.sum().clamp_min(1e-12)) for name, rival in rivals.items()}
    return shares | {"num_worlds": num_worlds}


def vary(scenario: Scenario, least_factor: float, random_seed: int) -> Scenario:
    """The scenario with less time, bandwidth (clients' and edges') and compute rate; each stays every other time.

    Args:
        scenario: to vary.
        least_factor: smallest factor.
        random_seed: of the factors.
    """
    drawn = Random.of(random_seed).uniform((3, 2), "factors").tolist()
    time, band, rate = (1.0 if stay < 0.5 else least_factor**strength for stay, strength in drawn)
    fields = scenario.model_dump()
    fields["rounds"]["duration_s"] *= time
    fields["clients"]["bandwidth_hz"] = [band * x for x in fields["clients"]["bandwidth_hz"]]
    fields["clients"]["cycles_per_s"] = [rate * x for x in fields["clients"]["cycles_per_s"]]
    for edge in fields["edges"]:
        edge["bandwidth_hz"] *= band
    return scenario_of(fields)
