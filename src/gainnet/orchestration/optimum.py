"""The best that any policy could do: exactly for independent clients, and by trying everything in small worlds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.orchestration.graph import State, graph_of
from gainnet.orchestration.regime import Independent, Regime
from gainnet.orchestration.resources import each, of_model, unsqueeze
from gainnet.orchestration.rollout import advance
from gainnet.orchestration.workload import consumption, workload_up_to
from gainnet.orchestration.world import World

MOST_SEQUENCES = 2**16
_MOST_ASSOCIATIONS = 2**16


@final
@dataclass(frozen=True)
class Optimum:
    """The best sequences of associations.

    Args:
        model: [*batch, num_rounds, num_clients], int64.
        gain: [*batch], total gain over all rounds.
    """

    model: Tensor
    gain: Tensor


def independent_optimum(world: World, regime: Independent) -> Optimum:
    """The largest total gain of independent clients, over all $M^R$ sequences of models of each.

    It is clairvoyant: it knows where everybody will be. Sequences branch round by round, so that what they have in
    common is solved once.

        round 0:  m0        M states
        round 1:  m0 m1     M^2 states, each from the samples that m0 left ...

    Args:
        world: drawn scenarios.
        regime: the gain function; clients share nothing.

    Raises:
        ConfigError: there are more than 65,536 sequences.

    >>> from gainnet.core.randomness import Random
    >>> from gainnet.orchestration import Greedy, draw_world, load_scenario, play
    >>> street = load_scenario("street")
    >>> world, regime = draw_world(street, Random.of(1)), Independent.of(street)
    >>> best = independent_optimum(world, regime)
    >>> share = play(world, regime, Greedy(), Random.of(1)).gain.sum() / best.gain.sum()
    >>> 0.95 < float(share) <= 1.0
    True
    """
    check_sequences(world)
    num_rounds, num_models = world.scenario.rounds.num_rounds, len(world.scenario.models)
    value = torch.zeros_like(world.bandwidth_hz).unsqueeze(-1)
    for offer, (sensed, _) in zip(world.offers, branches(world), strict=False):
        gained = offer.correlation.unsqueeze(-2) * regime.function(sensed)
        value = (value.unsqueeze(-1) + gained).flatten(-2)
    best, number = value.max(-1)
    return Optimum(torch.stack(digits(number, num_models, num_rounds), -2), best.sum(-1))


def check_sequences(world: World) -> None:
    """Raises `ConfigError` where the sequences of a client are more than 65,536 or hand-overs couple its rounds."""
    num_rounds, num_models = world.scenario.rounds.num_rounds, len(world.scenario.models)
    if world.scenario.handover is not None:
        raise ConfigError("optimum: hand-overs couple rounds in ways it does not know; use exhaustive_optimum")
    if num_models**num_rounds > MOST_SEQUENCES:
        raise ConfigError(
            f"optimum: {num_models} models in {num_rounds} rounds are more than {MOST_SEQUENCES} sequences; "
            "give fewer rounds or models"
        )


def digits(number: Tensor, num_models: int, num_rounds: int) -> list[Tensor]:
    """The model of every round, [...] each, of sequences [...] numbered as numbers of base M, the first round highest.

    >>> [x.tolist() for x in digits(torch.tensor([6, 7]), 4, 2)]
    [[1, 1], [2, 3]]
    """
    return [number // num_models ** (num_rounds - 1 - cr) % num_models for cr in range(num_rounds)]


def branches(world: World) -> Iterator[tuple[Tensor, Tensor]]:
    """Samples sensed in every round, and those of them that the next CR can consume, for every past of a client.

    Yields:
        Both [*batch, num_clients, num_models**r, num_models] in round r: a past of r models, and the model served now.
    """
    num_models = len(world.scenario.models)
    model = torch.zeros(*world.bandwidth_hz.shape, 1, dtype=torch.long)
    samples = torch.zeros_like(world.bandwidth_hz).unsqueeze(-1)
    for cr in range(world.scenario.rounds.num_rounds):
        # A state of a client is its last model and the samples left of it: all that the next CR depends on.
        sensed, left = _branch(world, cr, model, samples)
        yield sensed, left
        samples = left.flatten(-2)
        model = (torch.arange(samples.shape[-1]) % num_models).expand_as(samples)


def _branch(world: World, cr: int, model: Tensor, samples: Tensor) -> tuple[Tensor, Tensor]:
    """Samples sensed and samples left to the next CR, [*batch, num_clients, num_states, num_models] each."""

    def for_states(x: Tensor) -> Tensor:
        return x.unsqueeze(-2)

    pool, tasks, sensing = unsqueeze(world.pool), world.offers[cr].tasks, world.offers[cr].sensing
    spent = unsqueeze(consumption(pool, of_model(tasks, model), samples))
    ceiling = world.offers[cr].ceiling
    sensed = workload_up_to(unsqueeze(pool), spent, each(sensing, for_states), each(ceiling, for_states)).samples
    # Clairvoyant: what reception of the next CR cannot train is lost already here.
    left = torch.minimum(sensed, world.offers[cr + 1].most_samples.unsqueeze(-2))
    return sensed, left


def exhaustive_optimum(world: World, regime: Regime) -> Optimum:
    """The largest total gain in any regime, by trying every association of all clients in all rounds.

    Arguments as `independent_optimum`.

    Raises:
        ConfigError: there are more than 65,536 associations.
    """
    num_rounds, num_models = world.scenario.rounds.num_rounds, len(world.scenario.models)
    num_clients = world.bandwidth_hz.shape[-1]
    if num_models ** (num_rounds * num_clients) > _MOST_ASSOCIATIONS:
        raise ConfigError(
            f"optimum: there are more than {_MOST_ASSOCIATIONS} associations; give fewer clients or rounds"
        )
    model, gain = _best_from(world, regime, 0, State.empty(world))
    return Optimum(model, gain)


def _best_from(world: World, regime: Regime, cr: int, state: State) -> tuple[Tensor, Tensor]:
    """Best associations from a state to the end, [*batch, rounds left, num_clients], and their gain."""
    num_models, shape = len(world.scenario.models), state.model.shape
    if cr == world.scenario.rounds.num_rounds:
        return torch.zeros(*shape[:-1], 0, shape[-1], dtype=torch.long), torch.zeros(shape[:-1], dtype=torch.float64)
    graph = graph_of(world, regime, cr, state)
    models, gains = [], []
    # Every association of this round, and the best of what follows each.
    for choice in itertools.product(range(num_models), repeat=shape[-1]):
        model = torch.tensor(choice).expand(shape)
        _, left, gain = advance(world, regime, cr, graph, model)
        later, rest = _best_from(world, regime, cr + 1, left)
        models.append(torch.cat([model.unsqueeze(-2), later], -2))
        gains.append(gain + rest)
    value, best = torch.stack(gains).max(0)
    index = best[None, ..., None, None].expand(1, *models[0].shape)
    return torch.stack(models).gather(0, index)[0], value
