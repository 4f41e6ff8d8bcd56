"""From the texts of an episode to policies and scenarios."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import FunctionType
from typing import Any, Final

from gainnet.catalog.construct import Constructor
from gainnet.catalog.families import parse
from gainnet.catalog.grammar import Call, read
from gainnet.catalog.records import EpisodeConfig
from gainnet.core.plugins import find
from gainnet.core.randomness import Random
from gainnet.orchestration import Episode, Policy, Scenario, load_policy, load_scenario, orchestrate, policies
from gainnet.orchestration.episode import SHARING, regime_for, resize
from gainnet.orchestration.joint import Measured, together
from gainnet.orchestration.learned import pretrained_names
from gainnet.orchestration.regime import REGIMES
from gainnet.orchestration.registry import POLICIES
from gainnet.orchestration.roads import on_roads
from gainnet.orchestration.scenario import scenario_names

LEARNED: Final = "sac"
"""The policy that multi-agent soft actor-critic learned."""
_ANY_FOLDER: Final = "the path of a folder of weights"
_SLOW: Final = frozenset({"sequential_greedy", "best_response", "lagrangian"})
"""Policies that take minutes with many clients."""
_MANY_CLIENTS: Final = 200


def scenario(name: str) -> Scenario:
    """The scenario of that name, with arguments as in street(num_clients=5), or of a TOML file.

    Raises:
        ConfigError: neither a shipped name nor a readable file of exactly those fields, or a number is out of range.

    >>> scenario("street").name, scenario("street(num_clients=5)").clients.num_clients
    ('street', 5)
    """
    found: Scenario = parse("scenario", name) if "(" in name and name not in scenario_names() else load_scenario(name)
    return found


def _sized(name: str, num_clients: int | None = None, num_rounds: int | None = None) -> Scenario:
    whole = load_scenario(name)
    return resize(whole, regime_for(whole).name, num_clients, num_rounds)


SCENARIOS: Final[Mapping[str, Callable[..., Scenario]]] = {name: partial(_sized, name) for name in scenario_names()}
"""Shipped scenarios by name; with another number of clients or rounds as an argument."""


def episode_of(
    config: EpisodeConfig,
    progress: Callable[[str], None] = lambda step: None,
    measured: Measured | None = None,
) -> Episode:
    """The episode that a text describes, with every other policy beside the one that it names.

    Args:
        config: texts.
        progress: called with the name of every policy before it plays.
        measured: of a running edge server, whose rates are planned for; those of the config or the scenario if `None`.

    Raises:
        ConfigError: an unknown policy, scenario or regime, or a number out of range.

    >>> episode_of(EpisodeConfig("greedy", num_clients=5, num_rounds=2)).reference.name
    'optimum'
    """
    whole = scenario(config.scenario)
    kind = regime_for(whole) if config.regime is None else REGIMES[config.regime]
    if config.mobility is None:
        played = resize(whole, kind.name, config.num_clients, config.num_rounds)
    else:
        sized = resize(whole, kind.name, None, config.num_rounds)
        played = on_roads(sized, Path(config.mobility), config.num_clients, config.mobility_start_s)
    policy = policy_of(config.policy, played, kind.name)
    many = played.clients.num_clients > _MANY_CLIENTS
    every = {**policies(played.gain.scale_samples), LEARNED: policy_of(LEARNED, played, kind.name)}
    others = {name: one for name, one in every.items() if name != config.policy and not (many and name in _SLOW)}
    episode = orchestrate(
        played, policy, regime=kind, random_seed=config.random_seed, others=others, name=config.policy,
        source=config.scenario, progress=progress,
    )  # fmt: skip
    per_s = config.requests_per_s or (measured.requests_per_s if measured else None)
    if per_s is None and played.requests:
        per_s = math.fsum(one.per_s for one in played.requests)
    if per_s is None:
        return episode
    users = Random.of(config.random_seed).child("users")
    return replace(episode, together=together(episode.world, per_s, users, measured, progress=progress))


def policy_of(text: str, played: Scenario, regime: str) -> Policy:
    """The policy of a name, of shipped weights or a folder of them, or of `module:Name`.

    Args:
        text: `sac` names the shipped weights that were trained for the scenario, or else for the regime.
        played: the scenario, whose latencies some policies compare.
        regime: independent or contention.

    Raises:
        GainnetError: there is none, or its files are damaged.
    """
    is_folder = text not in POLICIES and bool(text) and Path(text).expanduser().is_dir()
    shipped = pretrained_names()
    # A name without its training seed is that of the first one, as in mappo.
    if text == LEARNED or text in shipped or f"{text}-0" in shipped or is_folder:
        return load_policy(_trained_for(played, regime) if text == LEARNED else text)
    offered = {**POLICIES, **dict.fromkeys((LEARNED, *shipped, _ANY_FOLDER))}
    # A path that is no folder gets the list of names rather than an error about its characters.
    term = read(text, "policy") if ":" in text or "(" in text else Call(text)
    found: Any = find("policy", term.name if isinstance(term, Call) else text, offered)
    if isinstance(found, FunctionType):  # a policy itself, where a class makes one
        return found
    needed = {"num_samples": played.gain.scale_samples}
    made: Policy = Constructor(lambda family, name: found, offered=needed).make("policy", term)
    return made


def _trained_for(played: Scenario, regime: str) -> str:
    """A name of shipped weights without its training seed."""
    # Weights for exactly this scenario, if they were trained in the same regime.
    own = f"{played.name}-0" in pretrained_names() and (played.name in SHARING) == (regime in SHARING)
    return played.name if own else regime
