"""Learning with safeguards by a few settings: rules, masked sums, privacy and a record."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, final

from gainnet.core.errors import ConfigError, check_name, check_range
from gainnet.learning.algorithms.algorithm import Aggregation, Open, Rule, WeightedMean
from gainnet.learning.algorithms.fedavg import FedAvg
from gainnet.learning.algorithms.fpl import Fpl, as_averaging
from gainnet.learning.config import LearnConfig, Session, open_session, run_session, settings_of
from gainnet.learning.runner import Progress, Run, silent
from gainnet.learning.safeguards.privacy import Guarantee, PrivateMean, PrivateSteps, noise_for
from gainnet.learning.safeguards.record import RECORD, Keyring, Recorded
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean

RULES = ("mean", "median", "trimmed_mean", "krum", "multi_krum")
PRIVACY = ("none", "client", "example")


@final
@dataclass(frozen=True)
class Safeguards:
    """Safeguards of a round of averaging.

    Args:
        rule: mean, median, trimmed_mean, krum or multi_krum.
        num_poisoned: clients that may be poisoned, which trimmed_mean and Krum bear; with masked sums, groups.
        num_groups: of masked sums, of which the edge sees nothing else; 0 where it sees every update.
        privacy: none, client (whether a client takes part) or example (whether a row is in its text).
        epsilon: after all rounds, > 0.
        delta: after all rounds, in (0, 1).
        clip_norm: of a client's update, or of a row's gradient.
        sample_rate: of the rows of a client per step, where rows are hidden.

    Raises:
        ConfigError: a name is unknown, a count is negative, a number of poisoned clients is given to a rule that has no
            use for it, or privacy of clients has another rule than the mean.
    """

    rule: str = "mean"
    num_poisoned: int = 0
    num_groups: int = 0
    privacy: Literal["none", "client", "example"] = "none"
    epsilon: float = 8.0
    delta: float = 1e-5
    clip_norm: float = 1.0
    sample_rate: float = 0.2

    def __post_init__(self) -> None:
        check_name("rule", self.rule, RULES)
        check_name("privacy", self.privacy, PRIVACY)
        check_range(self.num_poisoned >= 0, "num_poisoned", self.num_poisoned, "0 or more")
        if self.num_poisoned and self.rule in ("mean", "median"):
            raise ConfigError(f"num_poisoned: {self.rule} has no use for it; choose trimmed_mean, krum or multi_krum")
        check_range(self.num_groups >= 0, "num_groups", self.num_groups, "0 for updates in the open, or more")
        if self.privacy == "client" and (self.rule != "mean" or self.num_groups > 1):
            raise ConfigError("privacy: of clients it is noise on one mean; leave rule and groups, or give one group")


def learn_safely(
    config: LearnConfig, safeguards: Safeguards, out: Path | None = None, progress: Progress = silent
) -> tuple[Run, Guarantee | None]:
    """Runs all rounds with safeguards, or goes on where they were stopped; with a record where there is a folder.

    What privacy promises stands in the settings of `run.json`: its noise depends on the number of rounds, so a run
    with another number is another run.

    Args:
        config: who learns what.
        safeguards: how it is kept safe.
        out: folder for checkpoint, records of the rounds, and the signed record.
        progress: called after every round.

    Raises:
        ConfigError: the settings do not fit each other, or the folder holds another run.
        ModelError: as `open_session`.
        MissingExtraError: a library is not installed.
    """
    session = open_session(config)
    guarantee = guarantee_of(config, safeguards)
    algorithm = _guarded(session, safeguards, guarantee, out)
    settings = settings_of(config) | {"safeguards": asdict(safeguards)}
    settings |= {"privacy": None if guarantee is None else asdict(guarantee)}
    return run_session(config, replace(session, algorithm=algorithm), out, settings, progress), guarantee


def guarantee_of(config: LearnConfig, safeguards: Safeguards) -> Guarantee | None:
    """The guarantee after all rounds, `None` without privacy; that a round may leave out some clients is not counted.

    >>> guarantee_of(LearnConfig("lora"), Safeguards()) is None
    True
    """
    given, asked = safeguards, max(1, math.ceil(config.share * config.clients))
    if given.privacy == "client":
        noise = noise_for(given.epsilon, given.delta, 1.0, config.rounds)
        return PrivateMean(given.clip_norm, noise, asked).guarantee(config.rounds, given.delta)
    if given.privacy == "example":
        num_steps = config.rounds * config.num_steps
        noise = noise_for(given.epsilon, given.delta, given.sample_rate, num_steps)
        return PrivateSteps(given.clip_norm, noise, given.sample_rate).guarantee(config.clients, num_steps, given.delta)
    return None


def aggregation_of(safeguards: Safeguards, num_asked: int, guarantee: Guarantee | None) -> Aggregation:
    """How the edge merges.

    Args:
        safeguards: of the run.
        num_asked: clients per round.
        guarantee: says what noise is added; `None` without privacy of clients.

    Raises:
        ConfigError: the rule cannot bear so many poisoned clients among those of a round.
    """
    if guarantee is not None and guarantee.level == "client":
        noise = (guarantee.clip_norm, guarantee.noise_multiplier, num_asked)
        return MaskedPrivateMean(*noise) if safeguards.num_groups else Open(PrivateMean(*noise))
    bad, seen = safeguards.num_poisoned, safeguards.num_groups or num_asked
    # The bounds of the papers: Yin et al. 2018 for the trimmed mean, Blanchard et al. 2017 for Krum.
    needed = {"trimmed_mean": 2 * bad + 1, "krum": 2 * bad + 3, "multi_krum": 2 * bad + 3}.get(safeguards.rule, 0)
    if 2 * safeguards.num_groups > num_asked:
        groups = f"{safeguards.num_groups} of {num_asked} clients leave sums of one client, which hide nothing"
        raise ConfigError(f"num_groups: {groups}; give {num_asked // 2} or fewer, or ask more clients")
    if seen < needed:
        lacking = f"{safeguards.rule} needs {needed} updates for {bad}, not {seen}"
        raise ConfigError(f"num_poisoned: {lacking}; raise --clients or lower --num-poisoned")
    krum = Krum(bad, max(1, seen - bad) if safeguards.rule == "multi_krum" else 1)
    rules: dict[str, Rule] = {"mean": WeightedMean(), "median": Median(), "trimmed_mean": TrimmedMean(bad)}
    rule = rules.get(safeguards.rule, krum)
    return MaskedMean(rule, safeguards.num_groups) if safeguards.num_groups else Open(rule)


def _guarded(session: Session, safeguards: Safeguards, guarantee: Guarantee | None, out: Path | None) -> FedAvg | Fpl:
    algorithm = as_averaging(session.algorithm)
    asked = max(1, math.ceil(algorithm.participation.share * len(session.clients)))
    aggregation = aggregation_of(safeguards, asked, guarantee)
    if guarantee is not None and guarantee.level == "example":
        if not isinstance(algorithm, Fpl):
            raise ConfigError("privacy: rows are hidden where few values train; choose lora, adapter or soft_prompt")
        steps = PrivateSteps(guarantee.clip_norm, guarantee.noise_multiplier, guarantee.sample_rate)
        algorithm = replace(algorithm, steps=steps)
    if out is not None:
        names = tuple(client.name for client in session.clients)
        aggregation = Recorded(aggregation, out / RECORD, Keyring.of(out), names)
    return replace(algorithm, aggregation=aggregation)
