"""How policies are learned: many worlds at once, soft actor-critic, checkpoints that go on where they were."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.agents.checkpoint import below, read_checkpoint
from gainnet.agents.discrete_sac import DiscreteSac, SacSettings
from gainnet.agents.replay import Replay
from gainnet.agents.run import CHECKPOINT, Progress, run_to_end
from gainnet.core.errors import ConfigError, unknown_name
from gainnet.core.files import write_whole
from gainnet.core.randomness import Random
from gainnet.orchestration.association import Greedy, Policy, SequentialGreedy
from gainnet.orchestration.features import NAMES, Sight
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.learned import CONFIG, WEIGHTS, Learned
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.optimum import independent_optimum
from gainnet.orchestration.regime import Contention, Independent, Regime
from gainnet.orchestration.rollout import advance, play
from gainnet.orchestration.scenario import Scenario, load_scenario, scenario_of
from gainnet.orchestration.world import World, draw_world

FIRST_WORLD = 1_000_000
"""Worlds of smaller random seeds are never trained on."""
FIRST_VALIDATED = 500_000
"""Random seed of the first world that a finished policy is measured in."""
REGIMES: dict[str, type[Independent] | type[Contention]] = {"independent": Independent, "contention": Contention}
"""Regimes by name."""

_AVERAGE = 0.995
_WARMUP = 20
_MOST_SEQUENCES = 1 << 12


@final
@dataclass(frozen=True)
class TrainingConfig:
    """What a training run depends on.

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
            "random_seed": (0, 999),
            "num_iterations": (1, 100_000),
            "worlds_per_iteration": (1, 1000),
            "updates_per_iteration": (1, 10_000),
            "rounds_per_update": (1, 10_000),
            "replay_rounds": (1, 1_000_000),
            "width": (1, 4096),
        }
        for name, (least, most) in ranges.items():
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"training.{name}: {getattr(self, name)} is outside {least} to {most}")
        if not 0 < self.least_factor <= 1:
            raise ConfigError(f"training.least_factor: {self.least_factor} is outside (0, 1]")
        if not 0 < self.learning_rate < 1:
            raise ConfigError(f"training.learning_rate: {self.learning_rate} is outside (0, 1)")


def train(config: TrainingConfig, folder: Path, progress: Progress, num_validated: int = 8) -> Path:
    """A policy, written to a folder that `load_policy` reads; an interrupted run in the folder goes on.

    Args:
        config: what to train.
        folder: made when missing; must not lie in the package.
        progress: told after every iteration.
        num_validated: worlds from `FIRST_VALIDATED` on, never trained on, that metrics in config.json come from, >= 1.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
    """
    run = TrainingRun(config)
    run_to_end(run, folder, progress)
    return run.export(folder, run.validate(num_validated))


@final
class TrainingRun:
    """A run between two iterations; everything in it follows from its config and the number of iterations made."""

    def __init__(self, config: TrainingConfig) -> None:
        self.config, self.iteration = config, 0
        self.scenario = load_scenario(config.scenario)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.random_seed)
            actor = PairNetwork(len(NAMES), config.width, scale=10.0)
            critic = PairNetwork(len(NAMES), config.width, scale=1.0)
            rate = config.learning_rate
            self.agent = DiscreteSac(actor, critic, SacSettings(actor_rate=rate, critic_rate=rate))
        self.replay = Replay(config.replay_rounds)
        self.average = self.agent.actor_tensors()

    @property
    def num_iterations(self) -> int:
        return self.config.num_iterations

    def advance(self) -> dict[str, float]:
        """One iteration: worlds are played with the policy as it is, then the networks learn from what was lived."""
        config = self.config
        first = FIRST_WORLD + 1_000_000 * config.random_seed + self.iteration * config.worlds_per_iteration
        random = Random.of(range(first, first + config.worlds_per_iteration))
        scenario = varied(self.scenario, config.least_factor, first)
        source = torch.Generator().manual_seed(first)
        gain = self._play(draw_world(scenario, random), REGIMES[config.regime].of(scenario), source)
        losses: dict[str, float] = {}
        for _ in range(config.updates_per_iteration):
            batch = self.replay.draw(config.rounds_per_update, source)
            losses = self.agent.update(batch, self._factor())
            for name, x in self.agent.actor_tensors().items():
                self.average[name].lerp_(x, 1 - _AVERAGE)
        self.iteration += 1
        return losses | {"gain": gain}

    def policy(self) -> Learned:
        """The policy of the averaged weights."""
        network = PairNetwork(len(NAMES), self.config.width, scale=1.0)
        network.load_state_dict(self.average)
        return Learned(network.eval().requires_grad_(False))

    def checkpoint(self) -> bytes:
        """Everything that the next iteration depends on, as a safetensors file."""
        from safetensors.torch import save

        tensors = {f"agent.{name}": x for name, x in self.agent.tensors().items()}
        tensors |= {f"average.{name}": x for name, x in self.average.items()}
        tensors |= {f"replay.{name}": x.contiguous() for name, x in self.replay.tensors().items()}
        metadata = {
            "config": json.dumps(asdict(self.config)),
            "iteration": str(self.iteration),
            "next": str(self.replay.next),
        }
        return save(tensors, metadata)

    def resume(self, path: Path) -> None:
        """Goes on from a checkpoint, if there is one; raises `ConfigError` when it is damaged or of another run."""
        if not path.exists():
            return
        metadata, tensors = read_checkpoint(path, asdict(self.config))
        try:
            self.iteration, following = int(metadata["iteration"]), int(metadata["next"])
            self.agent.load(below("agent", tensors))
            self.replay.load(below("replay", tensors), following)
        except (RuntimeError, KeyError, ValueError, StopIteration) as error:
            raise ConfigError(
                f"out: {path} lacks what {CHECKPOINT} holds ({type(error).__name__}); remove it"
            ) from None
        self.average = below("average", tensors)

    def validate(self, num_worlds: int) -> dict[str, float]:
        """The policy's gain over that of greedy ones, and of the optimum's where that can be had."""
        random = Random.of(range(FIRST_VALIDATED, FIRST_VALIDATED + num_worlds))
        world, regime = draw_world(self.scenario, random), REGIMES[self.config.regime].of(self.scenario)

        def gain(policy: Policy) -> Tensor:
            return play(world, regime, policy, random).gain.sum(-1)

        rivals: dict[str, Tensor] = {"over_greedy": gain(Greedy())}
        if isinstance(regime, Contention):
            rivals["over_sequential_greedy"] = gain(SequentialGreedy())
        elif len(self.scenario.models) ** self.scenario.rounds.num_rounds <= _MOST_SEQUENCES:
            rivals["of_optimum"] = independent_optimum(world, regime).gain
        mine = gain(self.policy())
        shares = {name: float(mine.sum() / rival.sum().clamp_min(1e-12)) for name, rival in rivals.items()}
        return shares | {"num_worlds": num_worlds}

    def export(self, folder: Path, metrics: dict[str, float]) -> Path:
        """Weights and config.json of the averaged policy."""
        from safetensors.torch import save

        weights = save({name: x.contiguous() for name, x in self.average.items()})
        config = {
            "kind": "orchestration policy",
            "sha256": hashlib.sha256(weights).hexdigest(),
            "features": list(NAMES),
            "width": self.config.width,
            "training": asdict(self.config),
            "metrics": metrics,
        }
        write_whole(folder / WEIGHTS, weights)
        write_whole(folder / CONFIG, (json.dumps(config, indent=2) + "\n").encode())
        return folder

    def _factor(self) -> float:
        """Of the learning rates: up over the first iterations, then down in half a cosine."""
        rise = min(1.0, (self.iteration + 1) / _WARMUP)
        share = self.iteration / self.config.num_iterations
        return rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * share)))

    def _play(self, world: World, regime: Regime, source: torch.Generator) -> float:
        """One episode of every world into the memory; the mean gain of a round."""
        state, gains = State.empty(world), []
        rows: list[dict[str, Tensor]] = []
        num_rounds = world.scenario.rounds.num_rounds
        for cr in range(num_rounds):
            graph = graph_of(world, regime, cr, state)
            sight = Sight.of(graph)
            if rows:
                rows[-1]["next_observation"] = sight.features
            model = self.agent.act(sight.features, source)
            over = torch.full(model.shape, cr + 1 == num_rounds)
            rows.append(
                {
                    "observation": sight.features,
                    "next_observation": torch.zeros_like(sight.features),
                    "action": model,
                    "reward": sight.rewards(model).float(),
                    "done": over,
                }
            )
            _, state, gain = advance(world, regime, cr, graph, model)
            gains.append(gain)
        for row in rows:
            self.replay.add(row)
        return float(torch.stack(gains).mean())


def varied(scenario: Scenario, least_factor: float, random_seed: int) -> Scenario:
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
