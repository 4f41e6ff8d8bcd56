"""Rounds of the study trust: with poisoned clients, with privacy, and what each client contributes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

import torch

from gainnet.catalog.learning import open_model, open_session
from gainnet.catalog.records import LearnConfig
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import load_adapter, values_of_adapter
from gainnet.learning.algorithms.algorithm import Aggregation, Open, State, WeightedMean, average
from gainnet.learning.algorithms.fedavg import train_locally
from gainnet.learning.algorithms.fpl import Fpl
from gainnet.learning.clients import Client
from gainnet.learning.runner import cost_of
from gainnet.learning.safeguards.accounting import Guarantee, Level, noise_for
from gainnet.learning.safeguards.contributions import leave_one_out, sampled_shapley, shapley, vcg
from gainnet.learning.safeguards.noise import Seeded
from gainnet.learning.safeguards.poisoning import GaussianUpdate, Hidden, Poisoned, SignFlip, swapped_words
from gainnet.learning.safeguards.privacy import NoisyMean, PrivateMean, PrivateSteps
from gainnet.learning.safeguards.robust import Krum, Median, TrimmedMean
from gainnet.learning.safeguards.secure_aggregation import MaskedMean
from gainnet.learning.session import Session
from gainnet.models.language import END, PAD, UNKNOWN, mean_loss, pack
from gainnet.models.language_text import write_texts
from gainnet.studies.study import Case, Row
from gainnet.studies.trust.config import Clients, TrustConfig

CLIENT_SEED = (1 << 40) + 3
"""Text that values contributions: neither trained on nor the test's."""

UNCLIPPED = 1e9
"""A norm that no gradient of a row reaches."""


def learn_poisoned(config: TrustConfig, case: Case, _: Random) -> Row:
    """Loss before and after rounds in which some clients attack."""
    given, attack = config.clients, case.text("attack")
    settings = _settings(config, case, given.num_clients, given.num_steps, given.batch_size, given.rate)
    session = _session(settings)
    bad = _drawn(session.clients, given.num_poisoned, case.random_seed)
    clients = session.clients if attack != "text" else _with_swapped_text(session.clients, bad, config.model)
    rule = aggregation_of(case.text("rule"), given)
    if attack in ("sign_flip", "gaussian"):
        flips = attack == "sign_flip"
        rule = Poisoned(rule, SignFlip(given.sign_scale) if flips else GaussianUpdate(given.gaussian_scale), bad)
    if attack == "hidden":
        rule = Hidden(rule, bad)
    found = _learned(settings, replace(_fpl(session), aggregation=rule), clients, given.rounds)
    return found | {"num_poisoned": 0 if attack == "none" else given.num_poisoned}


def aggregation_of(rule: str, clients: Clients) -> Aggregation:
    """The aggregation of a name; robust rules know how many clients may be poisoned."""
    bad = clients.num_poisoned
    known: dict[str, Aggregation] = {
        "mean": Open(WeightedMean()),
        "median": Open(Median()),
        "trimmed_mean": Open(TrimmedMean(bad)),
        "krum": Open(Krum(bad)),
        "multi_krum": Open(Krum(bad, clients.num_clients - bad)),
        "masked_mean": MaskedMean(),
        "masked_median": MaskedMean(Median(), clients.num_groups),
    }
    return known[rule]


def private(config: TrustConfig, case: Case, _: Random) -> Row:
    """Loss before and after private rounds; the same rounds without noise are their reference."""
    given, level = config.privacy, case.text("level")
    count = int(case.values["num_clients"] or 0)
    settings = _settings(config, case, count, 1, given.batch_size, given.rate)
    session = _session(settings)
    algorithm, guarantee = _fpl(session), None
    if level == "client":
        # All clients take part in every round, so sampling hides nobody.
        guarantee = _promised(config, "client", 1.0, given.client_clip_norm, count)
        rule = PrivateMean(NoisyMean(given.client_clip_norm, guarantee.noise_multiplier, count, Seeded()))
        algorithm = replace(algorithm, aggregation=Open(rule))
    if level == "example":
        guarantee = _promised(config, "example", given.sample_rate, given.row_clip_norm, count)
        steps = PrivateSteps(given.row_clip_norm, guarantee.noise_multiplier, given.sample_rate, Seeded())
        algorithm = replace(algorithm, steps=steps)
    if level == "example_clean":
        # The same sampled steps without clipping and noise, so that these two alone are compared.
        algorithm = replace(algorithm, steps=PrivateSteps(UNCLIPPED, 0.0, given.sample_rate, Seeded()))
    found = _learned(settings, algorithm, session.clients, given.rounds)
    rows_each = sum(len(client.rows) for client in session.clients) / count
    return found | {"rows_per_client": rows_each} | _terms(guarantee)


def _promised(config: TrustConfig, level: Level, rate: float, clip_norm: float, count: int) -> Guarantee:
    """By Rényi divergences, as the published rows; the simulation repeats, so that its noise is not secret."""
    epsilon, delta, rounds = config.privacy.epsilon, config.privacy.delta, config.privacy.rounds
    noise = noise_for(epsilon, delta, rate, rounds, "rdp")
    blank = Guarantee(level, epsilon, delta, count, rounds, noise, rate, clip_norm, "rdp", private=False)
    return blank.after(rounds)


def _terms(guarantee: Guarantee | None) -> dict[str, float | None]:
    names = ("epsilon", "delta", "noise_multiplier", "sample_rate", "clip_norm")
    return {name: None if guarantee is None else float(getattr(guarantee, name)) for name in names}


def contributions(config: TrustConfig, case: Case, _: Random) -> Row:
    """Exact and sampled Shapley values, leave-one-out, and an auction over costs that are drawn."""
    given, random = config.crowd, Random.of(case.random_seed).child("crowd")
    settings = _settings(config, case, given.num_clients, given.num_steps, given.batch_size, given.rate)
    session = _session(settings)
    clients = _unequal(session.clients, config.model)
    trained, model = _trained_apart(session, clients, random), _fpl(session).model_of(_fpl(session).init(random))
    start = values_of_adapter(model)
    rows = _valuing_rows(settings)
    untouched = mean_loss(model, rows)

    def worth(members: frozenset[str]) -> float:
        chosen = [client for client in clients if client.name in members]
        merged = average([trained[c.name] for c in chosen], [c.weight for c in chosen]) if chosen else start
        load_adapter(model, merged)
        return untouched - mean_loss(model, rows)

    names, value = [str(client.name) for client in clients], cache(worth)
    exact, alone = shapley(names, value), leave_one_out(names, value)
    drawn = sampled_shapley(names, value, given.num_orders, random)
    # Costs about as large as a contribution, or else all would win, or nobody.
    scale = value(frozenset(names)) / len(names)
    costs = {name: abs(scale) * float(random.generators("cost", name)[0].uniform(0.0, 1.0)) for name in names}
    auction = vcg(costs, value)
    found: dict[str, Any] = {"loss_before": untouched, "fall_of_all": value(frozenset(names))}
    sizes = {name: float(len(client.rows)) for name, client in zip(names, clients, strict=True)}
    wins = {name: float(name in auction.winners) for name in names}
    columns = {"rows": sizes, "shapley": exact, "leave_one_out": alone, "cost": costs, "payment": auction.payments}
    for place, name in enumerate(names):
        found |= {f"{column}.{place}": values[name] for column, values in {**columns, "wins": wins}.items()}
    error = max(abs(exact[name] - drawn[name]) for name in names)
    return found | {"sampled_error": error, "auction_value": auction.value, "auction_budget": auction.budget}


def _settings(
    config: TrustConfig, case: Case, num_clients: int, num_steps: int, batch_size: int, rate: float
) -> LearnConfig:
    return LearnConfig(
        algorithm=config.form,
        model=config.model,
        num_texts=config.num_texts,
        clients=num_clients,
        num_steps=num_steps,
        batch_size=batch_size,
        rate=rate,
        rank=8 if config.form == "soft_prompt" else 1,
        link="tabulated",
        snr_db=config.air.snr_db,
        random_seed=case.random_seed,
    )


@lru_cache(maxsize=2)
def _session(settings: LearnConfig) -> Session:
    """Opened once for all cases of equal settings, which follow each other; tested on every third row of the test."""
    session = open_session(settings)
    return replace(session, test_rows=session.test_rows[::3])


@lru_cache(maxsize=2)
def _untuned_loss(settings: LearnConfig) -> float:
    """Of the model before the first round; what PEFT starts with changes nothing."""
    session = _session(settings)
    return mean_loss(session.algorithm.model_of(session.algorithm.init(Random.of(0))), session.test_rows)


def _fpl(session: Session) -> Fpl:
    assert isinstance(session.algorithm, Fpl)
    return session.algorithm


def _learned(settings: LearnConfig, algorithm: Fpl, clients: tuple[Client, ...], rounds: int) -> dict[str, Any]:
    """Loss before and after, and what the rounds cost."""
    random = Random.of(settings.random_seed).child("learning")
    state, bits, seconds = algorithm.init(random), 0.0, 0.0
    for index in range(rounds):
        state, report = algorithm.round(state, clients, random.child("round", index))
        cost = cost_of(report)
        bits, seconds = bits + cost["num_bits_up"], seconds + cost["duration_s"]
    return {
        "loss_before": _untuned_loss(settings),
        "loss": mean_loss(algorithm.model_of(state), _session(settings).test_rows),
        "num_values": float(sum(x.numel() for x in state.values())),
        "rounds": rounds,
        "num_bits_up_per_round": bits / rounds,
        "duration_s_per_round": seconds / rounds,
    }


def _drawn(clients: tuple[Client, ...], count: int, random_seed: int) -> tuple[NodeId, ...]:
    order = Random.of(random_seed).generators("poisoned")[0].permutation(len(clients))
    return tuple(clients[int(i)].name for i in order[:count])


def _with_swapped_text(clients: tuple[Client, ...], bad: tuple[NodeId, ...], model: str) -> tuple[Client, ...]:
    """All poisoned clients swap words alike, so that they pull together."""
    return tuple(replace(c, rows=_swapped(c.rows, model)) if c.name in bad else c for c in clients)


def _swapped(rows: torch.Tensor, model: str) -> torch.Tensor:
    _, tokenizer = open_model(model)
    kept = tokenizer.convert_tokens_to_ids([PAD, END, UNKNOWN])
    return swapped_words(rows, [x for x in kept if x is not None], len(tokenizer), Random.of(0))


def _unequal(clients: tuple[Client, ...], model: str) -> tuple[Client, ...]:
    """Client k keeps k+1 parts of its text, the last one all of it, with words swapped."""
    count = len(clients)
    cut = [replace(c, rows=c.rows[: max(1, len(c.rows) * (k + 1) // count)]) for k, c in enumerate(clients)]
    return (*cut[:-1], replace(cut[-1], rows=_swapped(cut[-1].rows, model)))


def _trained_apart(session: Session, clients: tuple[Client, ...], random: Random) -> dict[str, State]:
    """Adapters of every client after training alone."""
    algorithm, found = _fpl(session), dict[str, State]()
    start = algorithm.init(random)
    for client in clients:
        model = algorithm.model_of(start)
        train_locally(model, algorithm.training, client, algorithm.training.num_steps, random)
        found[str(client.name)] = values_of_adapter(model)
    return found


def _valuing_rows(settings: LearnConfig) -> torch.Tensor:
    _, tokenizer = open_model(settings.model)
    texts = [text for domain in settings.domains for text in write_texts(domain, 20, CLIENT_SEED)]
    return pack(texts, tokenizer, settings.row_length)
