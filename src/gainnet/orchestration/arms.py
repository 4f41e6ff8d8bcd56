"""Policies learned over drawn scenarios at once: three algorithms with equal steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, final

import torch
from torch import Tensor

from gainnet.agents.discrete_sac import DiscreteSac, SacSettings
from gainnet.agents.mappo import Mappo, MappoSettings
from gainnet.agents.policy_run import Agent, PolicyRun, half_cosine, train_policy
from gainnet.agents.replay import Remembering, Replay
from gainnet.core.errors import unknown_name
from gainnet.core.randomness import Random, seeded
from gainnet.core.ranges import Interval, check_ranges
from gainnet.core.run.loop import Progress
from gainnet.orchestration.association import Policy
from gainnet.orchestration.drawn import NUM_TRAINING, drawn_scenario
from gainnet.orchestration.features import NAMES, Observation
from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.learned import FEATURES, learned_from
from gainnet.orchestration.lookahead import LookAhead
from gainnet.orchestration.network import PairNetwork
from gainnet.orchestration.paper import IndexNetwork, TeamValue, paper_state
from gainnet.orchestration.regime import REGIMES, Contention, Regime
from gainnet.orchestration.rollout import advance, play
from gainnet.orchestration.scenario import Scenario
from gainnet.orchestration.trained import pooled, trained_gain
from gainnet.orchestration.training import FIRST_VALIDATED, FIRST_WORLD
from gainnet.orchestration.world import World, draw_world

NUM_TUNED = 3
"""The last scenarios of the training half, on which learning rates are compared and which no arm is trained in."""

Arm = Literal["sac_drawn", "sac_paper", "mappo"]
ARMS: tuple[Arm, ...] = ("sac_drawn", "sac_paper", "mappo")

_NETWORK_OF: Mapping[str, str] = {"sac_drawn": "pair", "sac_paper": "index", "mappo": "pair"}
_AVERAGE = 0.995
_WARMUP = 20
_UPDATES = 16
_ROUNDS_PER_UPDATE = 8
_REPLAY_ROUNDS = 4000
_NUM_MODELS = 4


@final
@dataclass(frozen=True)
class ArmConfig:
    """Everything that the training of an arm depends on.

    Args:
        arm: `sac_drawn`, difference rewards and features of pairs, which starts as greedy; `mappo`, the same features,
            a team reward and a central critic; `sac_paper`, the state, action and sum reward of GainNet, from scratch.
        random_seed: of weights, worlds and draws, in [0, 1000).
        num_iterations: times that worlds are played and networks updated 16 times, >= 1.
        worlds_per_iteration: played at once, 1 to 1000.
        width: of the networks, 1 to 4096.
        learning_rate: at its peak > 0.

    Raises:
        ConfigError: a field is out of range.
    """

    arm: str
    random_seed: int = 0
    num_iterations: int = 150
    worlds_per_iteration: int = 16
    width: int = 64
    learning_rate: float = 1e-3

    def __post_init__(self) -> None:
        if self.arm not in ARMS:
            raise unknown_name("arm", self.arm, ARMS)
        ranges = {"random_seed": Interval(0, 999), "num_iterations": Interval(1, 100_000)}
        ranges |= {"worlds_per_iteration": Interval(1, 1000), "width": Interval(1, 4096)}
        check_ranges("arm", self, {**ranges, "learning_rate": Interval(0, 1, above=True, below=True)})


def train_arm(config: ArmConfig, folder: Path, progress: Progress) -> Path:
    """A policy, written to a folder that `load_policy` reads; an interrupted run in the folder goes on.

    Args:
        config: what to train.
        folder: made when missing; must not lie in the package.
        progress: called after every iteration.

    Raises:
        ConfigError: the folder cannot be written, lies in the package or holds another run.
        TrainingError: a loss or a weight is not finite.
    """
    kind = _NETWORK_OF[config.arm]
    names = FEATURES[kind]

    def describe() -> dict[str, Any]:
        about = {"kind": "orchestration policy", "network": kind, "features": list(names), "width": config.width}
        return {**about, "num_models": _NUM_MODELS, "training": asdict(config)}

    return train_policy(arm_run(config), asdict(config), folder, progress, describe)


def arm_run(config: ArmConfig) -> PolicyRun:
    """A run before its first iteration; everything in it follows from its config and the number of iterations made."""
    with seeded(config.random_seed):
        learner = _LEARNERS[config.arm](config)

    def play(iteration: int, after_update: Callable[[], None]) -> dict[str, float]:
        first = FIRST_WORLD + 1_000_000 * config.random_seed + iteration * config.worlds_per_iteration
        source = torch.Generator().manual_seed(first)
        number = int(torch.randint(NUM_TRAINING - NUM_TUNED, (), generator=source))
        scenario = drawn_scenario(number)
        world = draw_world(scenario, Random.of(range(first, first + config.worlds_per_iteration)))
        rise = min(1.0, (iteration + 1) / _WARMUP)
        factor = rise * half_cosine(iteration / config.num_iterations, 0.05)
        return learner.learn(world, objectives(scenario)[iteration % 2], source, factor, after_update)

    return PolicyRun(learner.agent, play, config.num_iterations, lambda iteration: _AVERAGE)


def objectives(scenario: Scenario) -> tuple[Regime, Regime]:
    """The regimes that a drawn scenario is played in: for the published gain, and for the trained one."""
    regime = REGIMES[scenario.name].of(scenario)
    return regime, pooled(scenario, regime)


def team_reward(regime: Regime, left: State, gain: Tensor) -> Tensor:
    """[*batch], of the order of 1: the published gain of independent clients, else the trained gain.

    Args:
        regime: that the round was played in.
        left: [*batch, num_clients], what the next CR consumes.
        gain: [*batch], published gain.
    """
    if not isinstance(regime, Contention):
        return gain / left.model.shape[-1]
    return regime.total(left.worth, left.samples, left.model) / regime.weight.sum()


def own_rewards(seen: Observation, sensed: State, left: State) -> Tensor:
    """[*batch, num_clients], difference rewards, less the worth of a client's own samples that are not trained.

    Args:
        seen: observation of the round.
        sensed: [*batch, num_clients], what was sensed.
        left: [*batch, num_clients], what the next CR consumes.
    """
    regime, rewards = seen.graph.regime, seen.rewards(sensed.model)
    if not isinstance(regime, Contention):
        return rewards
    got = torch.zeros(*sensed.model.shape[:-1], len(regime.weight), dtype=sensed.samples.dtype)
    total = got.scatter_add(-1, sensed.model, sensed.worth * sensed.samples).gather(-1, sensed.model)
    without = total - sensed.worth * (sensed.samples - left.samples)
    lost = regime.weight[sensed.model] * (regime.function(total) - regime.function(without.clamp_min(0.0)))
    # The scale of difference rewards: clients per weight of the models.
    return rewards - lost * (lost.shape[-1] / float(regime.weight.sum()))


Observe = Callable[[Graph], tuple[Tensor, Callable[[State, State, Tensor], Tensor]]]
"""Features of a round, and what its reward is once it is known what was sensed, what is left of it, and the gain."""

Act = Callable[[Tensor, torch.Generator], dict[str, Tensor]]
"""Features and a source of draws to `action` and whatever else is remembered of it."""


def of_pairs(graph: Graph) -> tuple[Tensor, Callable[[State, State, Tensor], Tensor]]:
    """Features of pairs, and every client's own difference reward."""
    seen = Observation.of(graph)
    return seen.features, lambda sensed, left, gain: own_rewards(seen, sensed, left)


def of_pairs_in_team(graph: Graph) -> tuple[Tensor, Callable[[State, State, Tensor], Tensor]]:
    """Features of pairs, and the reward of the team."""
    return Observation.of(graph).features, lambda sensed, left, gain: team_reward(graph.regime, left, gain)


def of_paper(graph: Graph) -> tuple[Tensor, Callable[[State, State, Tensor], Tensor]]:
    """The paper's state, and the reward of the team for every client."""

    def reward(sensed: State, left: State, gain: Tensor) -> Tensor:
        return team_reward(graph.regime, left, gain).unsqueeze(-1).expand(left.model.shape)

    return paper_state(graph), reward


def episode(
    world: World, regime: Regime, observe: Observe, act: Act, source: torch.Generator
) -> list[dict[str, Tensor]]:
    """`observation`, `action`, `reward` and what `act` adds of every round, [*batch, ...]."""
    state, rows = State.empty(world), []
    for cr in range(world.scenario.rounds.num_rounds):
        graph = graph_of(world, regime, cr, state)
        features, reward = observe(graph)
        decided = act(features, source)
        sensed, state, gain = advance(world, regime, cr, graph, decided["action"])
        rows.append({"observation": features, **decided, "reward": reward(sensed, state, gain).float()})
    return rows


class Learner(Protocol):
    """An algorithm between two iterations."""

    @property
    def agent(self) -> Agent:
        """The state that checkpoints hold."""

    def learn(
        self, world: World, regime: Regime, source: torch.Generator, factor: float, after_update: Callable[[], None]
    ) -> dict[str, float]:
        """One episode of every world of a batch, then updates; losses and the mean reward by name."""


@final
@dataclass(frozen=True)
class SacLearner:
    """Soft actor-critic with a replay memory.

    Args:
        sac: the algorithm.
        replay: rounds of worlds.
        observe: features and rewards.
    """

    sac: DiscreteSac
    replay: Replay
    observe: Observe

    @property
    def agent(self) -> Remembering:
        """As `Learner.agent`."""
        return Remembering(self.sac, self.replay)

    def learn(
        self, world: World, regime: Regime, source: torch.Generator, factor: float, after_update: Callable[[], None]
    ) -> dict[str, float]:
        """As `Learner.learn`."""
        rows = episode(world, regime, self.observe, lambda x, dice: {"action": self.sac.act(x, dice)}, source)
        for row, following in zip(rows, [*rows[1:], None], strict=True):
            last = following is None
            after = torch.zeros_like(row["observation"]) if following is None else following["observation"]
            self.replay.add({**row, "next_observation": after, "done": torch.full(row["action"].shape, last)})
        losses: dict[str, float] = {}
        for _ in range(_UPDATES):
            losses = self.sac.update(self.replay.draw(_ROUNDS_PER_UPDATE, source), factor)
            after_update()
        return losses | {"gain": float(torch.stack([row["reward"] for row in rows]).mean())}


@final
@dataclass(frozen=True)
class MappoLearner:
    """Multi-agent PPO on fresh episodes, as many updates as soft actor-critic makes.

    Args:
        mappo: the algorithm.
    """

    mappo: Mappo

    @property
    def agent(self) -> Mappo:
        """As `Learner.agent`."""
        return self.mappo

    def learn(
        self, world: World, regime: Regime, source: torch.Generator, factor: float, after_update: Callable[[], None]
    ) -> dict[str, float]:
        """As `Learner.learn`."""

        def act(features: Tensor, dice: torch.Generator) -> dict[str, Tensor]:
            return dict(zip(("action", "log_prob"), self.mappo.act(features, dice), strict=True))

        rows = episode(world, regime, of_pairs_in_team, act, source)
        episodes = {name: torch.stack([row[name] for row in rows], 1) for name in rows[0]}
        losses = self.mappo.update(episodes, source, factor)
        # Its epochs are one call; the average of weights falls as fast as that of the others.
        for _ in range(_UPDATES):
            after_update()
        return losses | {"gain": float(episodes["reward"].mean())}


def _sac_drawn(config: ArmConfig) -> SacLearner:
    networks = [PairNetwork(len(NAMES), config.width, scale) for scale in (10.0, 1.0)]
    rates = SacSettings(actor_rate=config.learning_rate, critic_rate=config.learning_rate)
    return SacLearner(DiscreteSac(networks[0], networks[1], rates), Replay(_REPLAY_ROUNDS), of_pairs)


def _sac_paper(config: ArmConfig) -> SacLearner:
    networks = [IndexNetwork(_NUM_MODELS, config.width) for _ in range(2)]
    rates = SacSettings(actor_rate=config.learning_rate, critic_rate=config.learning_rate)
    return SacLearner(DiscreteSac(networks[0], networks[1], rates), Replay(_REPLAY_ROUNDS), of_paper)


def _mappo(config: ArmConfig) -> MappoLearner:
    actor, critic = PairNetwork(len(NAMES), config.width, 10.0), TeamValue(len(NAMES), config.width)
    return MappoLearner(Mappo(actor, critic, MappoSettings(rate=config.learning_rate)))


_LEARNERS: Mapping[str, Callable[[ArmConfig], Learner]] = {
    "sac_drawn": _sac_drawn, "sac_paper": _sac_paper, "mappo": _mappo,
}  # fmt: skip


def tuned(arm: Arm, rates: Sequence[float], num_iterations: int, progress: Progress) -> dict[float, float]:
    """Mean share of look-ahead's gain that an arm reaches on the tuning scenarios, by learning rate.

    Args:
        arm: which.
        rates: learning rates > 0.
        num_iterations: of each training >= 1.
        progress: called after every iteration.
    """
    found = {}
    for rate in rates:
        config = ArmConfig(arm, random_seed=900, num_iterations=num_iterations, learning_rate=rate)
        run = arm_run(config)
        for step in range(num_iterations):
            progress(step + 1, num_iterations, run.advance())
        policy = learned_from(run.average, _NETWORK_OF[arm], config.width, _NUM_MODELS)
        numbers = range(NUM_TRAINING - NUM_TUNED, NUM_TRAINING)
        found[rate] = sum(_share(policy, number) for number in numbers) / NUM_TUNED
    return found


def _share(policy: Policy, number: int) -> float:
    """Trained gain of a policy over that of looking ahead in 16 worlds of a drawn scenario."""
    scenario, random = drawn_scenario(number), Random.of(range(FIRST_VALIDATED, FIRST_VALIDATED + 16))
    world, (_, regime) = draw_world(scenario, random), objectives(scenario)

    def gain(one: Policy) -> float:
        return float(trained_gain(world, regime, play(world, regime, one, random)).sum())

    return gain(policy) / gain(LookAhead())
