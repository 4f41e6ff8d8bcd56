"""The closed loop: assignments that train real models, and the best assignment that real training finds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear
from gainnet.orchestration import Rollout, World, follow, independent_optimum, policies
from gainnet.orchestration.graph import Graph, State, graph_of
from gainnet.orchestration.measured import MeasuredGain, domains_seen, lesson_of, load_measured, own_labels
from gainnet.orchestration.regime import Independent
from gainnet.orchestration.resources import of_model, squeeze
from gainnet.orchestration.rollout import advance
from gainnet.orchestration.workload import consumption
from gainnet.studies.gairom.arena import Arena, Learned, arena, scenario_of_regime
from gainnet.studies.gairom.question import LEARNED
from gainnet.studies.gairom_learning.digits import Digits
from gainnet.studies.gairom_learning.fedavg import class_losses
from gainnet.studies.gairom_learning.question import (
    BEST_FOUND,
    LOOP_POLICIES,
    MEASURED,
    NEAREST,
    OPTIMUM,
    LearningConfig,
)
from gainnet.studies.gairom_learning.training import Lessons, own_accuracy
from gainnet.studies.study import Case, Method, Row

_JOULE_PER_CYCLE_HZ2 = 1e-28
"""Effective switched capacitance, energy of a cycle over the square of the clock (assumed; Mao et al. 2016)."""
_MOVED_SHARE = 0.1
_SWEEPS = 2


@final
@dataclass(frozen=True)
class Loop:
    """One world of independent clients in which assignments are judged by training.

    Args:
        here: the world.
        train: images that clients see.
        held_out: images of the edges, on which they know the losses of their models.
        judged: images that accuracies are of.
        config: of the study.
        random: streams of one item, the same for all assignments.
    """

    here: Arena
    train: Digits
    held_out: Digits
    judged: Digits
    config: LearningConfig
    random: Random

    @property
    def world(self) -> World:
        return self.here.world

    @property
    def lessons(self) -> Lessons:
        """How the models are trained."""
        return Lessons(self.world, self.train, self.config, self.random)

    def accuracies(self, rollout: Rollout) -> Tensor:
        """[num_rounds], mean over models of the accuracy after every round, on unseen images of their own domains."""
        lessons, found = self.lessons, []
        models = lessons.start()
        for cr in range(len(rollout.model)):
            models = lessons.after(models, cr, rollout.model[cr], rollout.trained[cr])
            found.append(own_accuracy(self.world, models, self.judged).mean())
        return torch.stack(found)

    def follow(self, model: Tensor) -> Rollout:
        """The rollout of an assignment [num_rounds, num_clients]."""
        return follow(self.world, self.here.regime, model)


def nearest(loop: Loop) -> Rollout:
    """Everybody serves the first model of the nearest edge."""
    edge_of_model = loop.world.edge_of_model
    model_of_edge = torch.tensor(
        [int((edge_of_model == e).long().argmax()) for e in range(int(edge_of_model.max()) + 1)]
    )
    return loop.follow(model_of_edge[loop.world.serving[:-1].clamp_min(0)])


def best_found(loop: Loop, starts: Mapping[str, Rollout]) -> Rollout:
    """The assignment with the largest final accuracy among many that are trained, then among changes of the best.

    It is shown the images that it is judged on: a limit, no policy. The first assignments are those of policies, others
    take every client's choice of every round from one of them at random; a change draws a tenth of the choices anew.

    Args:
        loop: the world.
        starts: rollouts of policies.
    """
    (dice,) = loop.random.generators("best found")
    known = torch.stack([rollout.model for rollout in starts.values()])
    num_models = len(loop.world.scenario.models)

    def mixed() -> Tensor:
        chosen = torch.from_numpy(dice.integers(len(known), size=known.shape[1:]))
        return known.gather(0, chosen[None])[0]

    tried = [*known, *(mixed() for _ in range(max(0, loop.config.num_assignments - len(known))))]
    rollouts = [loop.follow(model) for model in tried]
    values = [float(loop.accuracies(rollout)[-1]) for rollout in rollouts]
    best = max(range(len(values)), key=values.__getitem__)
    rollout, value = rollouts[best], values[best]
    for _ in range(loop.config.num_moves):
        drawn = torch.from_numpy(dice.integers(num_models, size=rollout.model.shape))
        moved = torch.from_numpy(dice.random(rollout.model.shape) < _MOVED_SHARE)
        other = loop.follow(torch.where(moved, torch.where(drawn % 2 == 0, mixed(), drawn), rollout.model))
        if (reached := float(loop.accuracies(other)[-1])) > value:
            rollout, value = other, reached
    return rollout


def measured_rollout(loop: Loop, gain: MeasuredGain) -> Rollout:
    """Clients in turn choose what makes the measured gain of the round largest, on the losses that the models have.

        decide round r <-- losses after round r - 2, and the predicted fall by round r - 1, which this CR trains

    Args:
        loop: the world.
        gain: the regression.
    """
    world, regime, lessons, labels = loop.world, loop.here.regime, loop.lessons, loop.train.label_shares()
    own, state, models, rows = own_labels(world, labels), State.empty(world), loop.lessons.start(), []
    for cr in range(world.scenario.rounds.num_rounds):
        graph = graph_of(world, regime, cr, state)
        loss = class_losses(models, loop.held_out.images, loop.held_out.labels)
        if cr:
            before = lesson_of(state.model, state.samples, domains_seen(world, cr - 1) @ labels, own)
            loss = loss - gain.falls(loss, before)
            models = lessons.after(models, cr - 1, state.model, state.samples)
        model = in_turn(graph, gain, loss, domains_seen(world, cr) @ labels, own)
        sensed, state, total = advance(world, regime, cr, graph, model)
        rows.append((model, sensed.samples, state.samples, total))
    return Rollout(*(torch.stack(column) for column in zip(*rows, strict=True)))


def in_turn(graph: Graph, gain: MeasuredGain, loss: Tensor, shares: Tensor, own: Tensor) -> Tensor:
    """[num_clients], int64, models after clients in turn have moved to where the measured gain is largest.

    Args:
        graph: of the round.
        gain: the regression.
        loss: [num_models, num_classes], of the models when they will be trained.
        shares: [num_clients, num_classes], of the labels that clients sense.
        own: [num_models, num_classes], of the labels that models are for.
    """
    model, weight = graph.gain.argmax(-1), torch.ones(graph.num_models, dtype=torch.float64)
    choices = torch.arange(graph.num_models)
    for _ in range(_SWEEPS):
        for client in range(len(model)):
            tried = model.repeat(graph.num_models, 1)
            tried[choices, client] = choices
            samples = graph.workload.samples.gather(-1, tried.T).T
            lesson = lesson_of(tried, samples, shares.expand(graph.num_models, *shares.shape), own)
            model[client] = gain.gain(loss.expand(graph.num_models, *loss.shape), lesson, weight).argmax()
    return model


def energy_j(world: World, rollout: Rollout) -> float:
    """Energy of all clients for the training and the upload of their models, in J; that of sensing is left out.

    Args:
        world: of clients with their own spectrum, without batch.
        rollout: what was decided and consumed.
    """
    scenario, total = world.scenario, 0.0
    per_cycle = _JOULE_PER_CYCLE_HZ2 * world.cycles_per_s.square()
    power_w = db_to_linear(scenario.clients.tx_power_dbm - 30.0)
    for cr, (model, trained) in enumerate(zip(rollout.model, rollout.trained, strict=True)):
        tasks = squeeze(of_model(world.offers[cr + 1].tasks, model.unsqueeze(-1)))
        spent = consumption(world.pool, tasks, trained)
        total += float((power_w * spent.exchange.duration_up_s + per_cycle * spent.cycles).sum())
    return total


def loop_methods(config: LearningConfig, learned: Learned, train: Digits, test: Digits) -> Mapping[str, Method]:
    """Every method of the closed loop by name."""
    gain = load_measured()

    def loop_of(case: Case, random: Random) -> Loop:
        here = arena(scenario_of_regime("independent"), "independent", case.random_seed)
        parts = test.every_second(0), test.every_second(1)
        return Loop(here, train, *parts, config, random.child("learning"))

    def policy(name: str, case: Case, loop: Loop) -> Rollout:
        if name == LEARNED:
            seed = case.values["training_seed"] if case.method == LEARNED else config.training_seeds[0]
            return loop.here.play(learned.of("independent", seed))[0]
        return loop.here.play(policies(loop.world.scenario.gain.scale_samples)[name])[0]

    def optimum(loop: Loop) -> Rollout:
        assert isinstance(loop.here.regime, Independent)
        return loop.follow(independent_optimum(loop.world, loop.here.regime).model)

    special: dict[str, Callable[[Loop], Rollout]] = {
        NEAREST: nearest, OPTIMUM: optimum, MEASURED: lambda loop: measured_rollout(loop, gain),
    }  # fmt: skip

    def run(case: Case, random: Random) -> Row:
        loop = loop_of(case, random)
        if case.method == BEST_FOUND:
            names = [name for name in LOOP_POLICIES if name != LEARNED or config.training_seeds]
            starts = {name: special[name](loop) if name in special else policy(name, case, loop) for name in names}
            rollout = best_found(loop, starts)
        elif case.method in special:
            rollout = special[case.method](loop)
        else:
            rollout = policy(case.method, case, loop)
        reached, duration_s = loop.accuracies(rollout), loop.world.scenario.rounds.duration_s
        used_j = energy_j(loop.world, rollout)
        return {
            "gain": float(rollout.gain.sum()),
            "accuracy": float(reached[-1]),
            **{f"accuracy_of_round_{r + 1}": float(x) for r, x in enumerate(reached)},
            "num_samples_trained": float(rollout.trained.sum()),
            "energy_j": used_j,
            "duration_s": (len(reached) + 1) * duration_s,
        }

    return dict.fromkeys((*LOOP_POLICIES, BEST_FOUND), run)
