"""From the texts of safeguards to what they do in the rounds of a run: privacy, robust rules, masked updates."""

from __future__ import annotations

import math
from dataclasses import replace

from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.errors import ConfigError
from gainnet.learning.algorithms.algorithm import Aggregation, Open, Rule, WeightedMean
from gainnet.learning.algorithms.methods import Adapter, Lora, Method, SoftPrompt
from gainnet.learning.safeguards.accounting import Guarantee, folder_rate, noise_for
from gainnet.learning.safeguards.noise import Entropy, Noise, Seeded
from gainnet.learning.safeguards.privacy import NoisyMean, PoissonChoice, PrivateMean, PrivateSteps
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean
from gainnet.learning.safeguards.secure_aggregation import MaskedMean, MaskedPrivateMean
from gainnet.learning.safeguards.settings import Safeguards


def safeguards_of(texts: SafeguardsConfig, config: LearnConfig) -> Safeguards:
    """The safeguards that texts name, for the clients and rounds of a configuration.

    Raises:
        ConfigError: a rule cannot bear so many poisoned clients, or groups are too small.
        MissingExtraError: the accountant of privacy is not installed.
    """
    guarantee, noise = guarantee_of(texts, config), noise_of(texts)
    aggregation = aggregation_of(texts, _num_asked(config), guarantee)
    if guarantee is None:
        return Safeguards(aggregation)
    if guarantee.level == "client":
        # Where all take part there is nothing to draw, and nothing to keep.
        choice = PoissonChoice(noise) if config.share < 1.0 else None
        return Safeguards(aggregation, None, guarantee, choice, config.rounds)
    steps = PrivateSteps(guarantee.clip_norm, guarantee.noise_multiplier, guarantee.sample_rate, noise)
    return Safeguards(aggregation, steps, guarantee, None, config.rounds)


def check_hidden(texts: SafeguardsConfig, method: Method) -> None:
    """Raises `ConfigError` where rows are to be hidden and a method trains no adapters or prompts of single rows.

    >>> check_hidden(SafeguardsConfig(privacy="example"), Lora())
    """
    if texts.privacy == "example" and not isinstance(method, Lora | Adapter | SoftPrompt):
        raise ConfigError("privacy: rows are hidden where few values train; choose lora, adapter or soft_prompt")


def noise_of(texts: SafeguardsConfig) -> Noise:
    """Where the noise of privacy is drawn.

    >>> noise_of(SafeguardsConfig(noise="seeded")).private
    False
    """
    return Entropy() if texts.noise == "system" else Seeded()


def guarantee_of(texts: SafeguardsConfig, config: LearnConfig) -> Guarantee | None:
    """The guarantee after all rounds, `None` without privacy; that a round leaves clients out says nothing of rows.

    The noise is made for the larger epsilon, that of whoever reads the folder.

    >>> guarantee_of(SafeguardsConfig(), LearnConfig("lora")) is None
    True
    """
    given = texts
    if given.privacy == "none":
        return None
    whole = given.privacy == "client"
    rate, releases = (config.share, config.rounds) if whole else (given.sample_rate, config.rounds * config.num_steps)
    rate_seen = folder_rate(given.privacy, rate)
    noise = noise_for(given.epsilon, given.delta, rate_seen, releases, given.accountant)
    count = config.share * config.clients if whole else config.clients
    blank = Guarantee(given.privacy, math.inf, given.delta, count, releases, noise, rate, given.clip_norm)
    return replace(blank, accountant=given.accountant, private=noise_of(given).private).after(releases)


def aggregation_of(texts: SafeguardsConfig, num_asked: int, guarantee: Guarantee | None) -> Aggregation:
    """How the edge merges.

    Args:
        texts: rule, and how many clients may be poisoned.
        num_asked: clients per round.
        guarantee: says what noise is added; `None` without privacy of clients.

    Raises:
        ConfigError: the rule cannot bear so many poisoned clients among those of a round.
    """
    if guarantee is not None and guarantee.level == "client":
        noise = noise_of(texts)
        mean = NoisyMean(guarantee.clip_norm, guarantee.noise_multiplier, guarantee.num_clients, noise)
        return MaskedPrivateMean(mean) if texts.num_groups else Open(PrivateMean(mean))
    bad, seen = texts.num_poisoned, texts.num_groups or num_asked
    # The bounds of the papers: Yin et al. 2018 for the trimmed mean, Blanchard et al. 2017 for Krum.
    needed = {"trimmed_mean": 2 * bad + 1, "krum": 2 * bad + 3, "multi_krum": 2 * bad + 3}.get(texts.rule, 0)
    if 2 * texts.num_groups > num_asked:
        groups = f"{texts.num_groups} of {num_asked} clients leave sums of one client, which hide nothing"
        raise ConfigError(f"num_groups: {groups}; give {num_asked // 2} or fewer, or ask more clients")
    if seen < needed:
        lacking = f"{texts.rule} needs {needed} updates for {bad}, not {seen}"
        raise ConfigError(f"num_poisoned: {lacking}; raise --clients or lower --num-poisoned")
    krum = Krum(bad, max(1, seen - bad) if texts.rule == "multi_krum" else 1)
    rules: dict[str, Rule] = {"mean": WeightedMean(), "median": Median(), "trimmed_mean": TrimmedMean(bad)}
    rule = rules.get(texts.rule, krum)
    return MaskedMean(rule, texts.num_groups) if texts.num_groups else Open(rule)


def _num_asked(config: LearnConfig) -> int:
    return max(1, math.ceil(config.share * config.clients))
