"""From the texts of an episode to policies and scenarios."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from gainnet.catalog.construct import Constructor
from gainnet.catalog.grammar import Call, read
from gainnet.catalog.records import EpisodeConfig
from gainnet.core.errors import ConfigError
from gainnet.core.plugins import find
from gainnet.orchestration import Episode, Policy, Scenario, load_policy, load_scenario, orchestrate, policies
from gainnet.orchestration.episode import SHARING, regime_for, resize
from gainnet.orchestration.learned import pretrained_names
from gainnet.orchestration.regime import REGIMES

LEARNED: Final = "sac"
"""The policy that multi-agent soft actor-critic learned."""
_ANY_FOLDER: Final = "the path of a folder of weights"
_SLOW: Final = frozenset({"sequential_greedy", "best_response"})
"""Policies that take minutes with many clients."""
_MANY_CLIENTS: Final = 200


def scenario(name: str) -> Scenario:
    """The scenario of that name, or of a TOML file.

    Raises:
        ConfigError: neither a shipped name nor a readable file of exactly those fields.

    >>> scenario("street").name
    'street'
    """
    return load_scenario(name)


def episode_of(config: EpisodeConfig, progress: Callable[[str], None] = lambda step: None) -> Episode:
    """The episode that a text describes, with every other policy beside the one that it names.

    Args:
        config: texts.
        progress: called with the name of every policy before it plays.

    Raises:
        ConfigError: an unknown policy, scenario or regime, or a number out of range.

    >>> episode_of(EpisodeConfig("greedy", num_clients=5, num_rounds=2)).reference.name
    'optimum'
    """
    whole = load_scenario(config.scenario)
    kind = regime_for(whole) if config.regime is None else REGIMES[config.regime]
    played = resize(whole, kind.name, config.num_clients, config.num_rounds)
    policy = policy_of(config.policy, played, kind.name)
    many = played.clients.num_clients > _MANY_CLIENTS
    every = {**policies(played.gain.scale_samples), LEARNED: policy_of(LEARNED, played, kind.name)}
    others = {name: one for name, one in every.items() if name != config.policy and not (many and name in _SLOW)}
    return orchestrate(
        played, policy, regime=kind, random_seed=config.random_seed, others=others, name=config.policy,
        source=config.scenario, progress=progress,
    )  # fmt: skip


def policy_of(text: str, played: Scenario, regime: str) -> Policy:
    """The policy of a name, of shipped weights or a folder of them, or of `module:Name`.

    Args:
        text: `sac` names the shipped weights that were trained for the scenario, or else for the regime.
        played: the scenario, whose latencies some policies compare.
        regime: independent or contention.

    Raises:
        GainnetError: there is none, or its files are damaged.
    """
    known = policies(played.gain.scale_samples)
    is_folder = text not in known and bool(text) and Path(text).expanduser().is_dir()
    if text == LEARNED or text in pretrained_names() or is_folder:
        return load_policy(_trained_for(played, regime) if text == LEARNED else text)
    offered = {**known, **dict.fromkeys((LEARNED, *pretrained_names(), _ANY_FOLDER))}
    term = read(text) if ":" in text or "(" in text else Call(text)
    found: Any = find("policy", term.name if isinstance(term, Call) else text, offered)
    # A function is a policy itself; a class makes one.
    made = Constructor(lambda family, name: found).make("policy", term) if isinstance(found, type) else found
    if not callable(made):
        raise ConfigError(f"policy: {text!r} cannot be called with a graph and random streams")
    return made  # type: ignore[no-any-return]


def _trained_for(played: Scenario, regime: str) -> str:
    """A name of shipped weights without its training seed."""
    # Weights for exactly this scenario, if they were trained in the same regime.
    own = f"{played.name}-0" in pretrained_names() and (played.name in SHARING) == (regime in SHARING)
    return played.name if own else regime
