"""Settings and cases of the study trust."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Annotated, Literal, final

from pydantic import Field

from gainnet.catalog import parse
from gainnet.codecs import ACTIVATION_CODECS
from gainnet.studies.own import one_or_own
from gainnet.studies.settings import AirField, Count, NonEmpty, Positive, Seeds, one_of
from gainnet.studies.study import Case, Value


def check_activations(text: str) -> None:
    """Raises `ConfigError` unless a text names a codec of activations."""
    parse("codec.activations", text)


Attack = Literal["none", "sign_flip", "gaussian", "text", "hidden"]
RuleName = Literal["mean", "median", "trimmed_mean", "krum", "multi_krum", "masked_mean", "masked_median"]
LevelName = Literal["client", "example"]
CodecName = Annotated[str, one_or_own(tuple(ACTIVATION_CODECS), check_activations)]

METHODS = ("poisoned", "private", "reconstruction", "contributions", "attacks", "accounting")

FORGED = (
    "forged_entry", "forged_signature", "replay", "reordering", "omission", "invented_client", "exchanged_key",
    "cut_record", "split_view",
)  # fmt: skip
"""Attacks on the record."""

SAFEGUARDS: dict[str, tuple[str, ...]] = {
    "gradient_inversion": ("masked_sum", "private_clients", "private_rows"),
    "membership": ("masked_sum", "private_clients", "private_rows"),
    "lying_edge": ("one_answer",),
    "lying_client": ("median", "multi_krum", "private_clients"),
    "noise_subtraction": ("system",),
    **dict.fromkeys(FORGED, ("record",)),
}
"""Safeguards by attack; beside each stand the attack without any, `none`, and a guess, `guess`."""


@final
@dataclass(frozen=True)
class PoisonedCases:
    """One attack against several rules.

    Args:
        attack: what the poisoned clients do.
        rules: how the edge merges.
    """

    attack: Attack
    rules: tuple[RuleName, ...]


@final
@dataclass(frozen=True)
class PrivateCases:
    """One level of privacy for several numbers of clients; beside every one stands the same without noise.

    Args:
        level: whose presence is hidden.
        clients: how many share the text.
    """

    level: LevelName
    clients: tuple[Annotated[int, Field(ge=2)], ...]


@final
@dataclass(frozen=True)
class ReconstructionCases:
    """One cut with several codecs, and with several ratios of noise to signal in float32.

    Args:
        cut: where the model is cut.
        codecs: of the activations, and codecs of yours as `module:Class(args)`.
        noises: standard deviation of the noise over that of the signal.
    """

    cut: str
    codecs: tuple[CodecName, ...]
    noises: tuple[Positive, ...]


@final
@dataclass(frozen=True)
class Clients:
    """Clients some of which are poisoned.

    Args:
        num_clients: in all.
        num_poisoned: of them; known to robust rules.
        num_groups: of secure aggregation.
        rounds: how many.
        num_steps: mini-batches per client and round.
        batch_size: rows per mini-batch.
        rate: learning rate.
        sign_scale: of a flipped update.
        gaussian_scale: norm of noise over that of an update.
    """

    num_clients: Annotated[int, Field(ge=5)]
    num_poisoned: Count
    num_groups: Annotated[int, Field(ge=3)]
    rounds: Count
    num_steps: Count
    batch_size: Count
    rate: Positive
    sign_scale: Positive
    gaussian_scale: Positive


@final
@dataclass(frozen=True)
class Privacy:
    """How private rounds are.

    Args:
        epsilon: after all rounds.
        delta: likewise.
        rounds: with one step of every client each.
        batch_size: rows per step of a client.
        rate: learning rate.
        client_clip_norm: of a client's update.
        sample_rate: of rows, where rows are hidden.
        row_clip_norm: of a row's gradient.
    """

    epsilon: Positive
    delta: Positive
    rounds: Count
    batch_size: Count
    rate: Positive
    client_clip_norm: Positive
    sample_rate: Positive
    row_clip_norm: Positive


@final
@dataclass(frozen=True)
class Inversion:
    """Material of the attacker.

    Args:
        num_public_texts: to train an inverter on.
        num_texts: of every field that it reads.
        num_steps: mini-batches of the inverter.
    """

    num_public_texts: Count
    num_texts: Count
    num_steps: Count


@final
@dataclass(frozen=True)
class Crowd:
    """Clients whose contributions are asked for: their shares of text grow, and the last one's text is poisoned.

    Args:
        num_clients: at most as many as exact Shapley values allow.
        num_steps: mini-batches of every client.
        batch_size: rows per mini-batch.
        rate: learning rate.
        num_orders: drawn for sampled Shapley values.
    """

    num_clients: Annotated[int, Field(ge=2, le=6)]
    num_steps: Count
    batch_size: Count
    rate: Positive
    num_orders: Count


@final
@dataclass(frozen=True)
class Attacks:
    """Material of attacks on updates, sums and records.

    Args:
        num_victims: clients whose text is read, one after the other.
        num_members: rows of a client; as many others stand beside them.
        row_length: tokens per row.
        num_clients: in a sum.
        num_forgeries: tries of every kind.
        num_sums: noisy sums that noise is taken off.
    """

    num_victims: Count
    num_members: Count
    row_length: Annotated[int, Field(ge=4)]
    num_clients: Annotated[int, Field(ge=5)]
    num_forgeries: Count
    num_sums: Count


@final
@dataclass(frozen=True)
class TrustConfig:
    """Settings of the study trust.

    Args:
        random_seeds: each draws texts, clients, mini-batches and noise of its own.
        methods: parts of the study.
        model: shipped, a folder or a hub id.
        form: what is trained: soft_prompt, lora (rank 1) or adapter.
        num_texts: abstracts per field.
        air: of the links.
        poisoned: attacks and rules.
        private: levels and numbers of clients.
        reconstruction: cuts, codecs and noise.
        clients: of the poisoned rounds.
        privacy: of the private ones.
        inverter: of the reconstruction.
        crowd: of the contributions.
        attacks: of those on updates, sums and records.
    """

    random_seeds: Seeds
    methods: NonEmpty[Annotated[str, one_of(METHODS)]]
    model: str
    form: Literal["soft_prompt", "lora", "adapter"]
    num_texts: Annotated[int, Field(ge=10)]
    air: AirField
    poisoned: tuple[PoisonedCases, ...]
    private: tuple[PrivateCases, ...]
    reconstruction: tuple[ReconstructionCases, ...]
    clients: Clients
    privacy: Privacy
    inverter: Inversion
    crowd: Crowd
    attacks: Attacks


def cases(config: TrustConfig) -> Iterator[Case]:
    """All parts for every random seed; a column that a part does not have is empty."""
    parts: dict[str, Callable[[TrustConfig], Iterator[dict[str, Value]]]] = {
        "poisoned": _poisoned, "private": _private, "reconstruction": _reconstruction, "contributions": _crowd,
        "attacks": _attacks, "accounting": _accounting,
    }  # fmt: skip
    blank: dict[str, Value] = dict.fromkeys(("attack", "rule", "level", "num_clients", "cut", "codec", "noise"))
    for random_seed, method in product(config.random_seeds, config.methods):
        for values in parts[method](config):
            yield Case(method, {**blank, **values}, random_seed)


def _poisoned(config: TrustConfig) -> Iterator[dict[str, Value]]:
    for entry in config.poisoned:
        for rule in entry.rules:
            yield {"attack": entry.attack, "rule": rule, "num_clients": config.clients.num_clients}


def _private(config: TrustConfig) -> Iterator[dict[str, Value]]:
    for entry in config.private:
        for count in entry.clients:
            for level in (f"{entry.level}_clean", entry.level):
                yield {"level": level, "num_clients": count}


def _reconstruction(config: TrustConfig) -> Iterator[dict[str, Value]]:
    for entry in config.reconstruction:
        for codec in entry.codecs:
            yield {"cut": entry.cut, "codec": codec, "noise": 0.0}
        for noise in entry.noises:
            yield {"cut": entry.cut, "codec": "float32", "noise": noise}


def _crowd(config: TrustConfig) -> Iterator[dict[str, Value]]:
    yield {"num_clients": config.crowd.num_clients}


def _attacks(config: TrustConfig) -> Iterator[dict[str, Value]]:
    for attack, safeguards in SAFEGUARDS.items():
        for safeguard in ("none", "guess", *safeguards):
            yield {"attack": attack, "rule": safeguard, "num_clients": config.attacks.num_clients}


def _accounting(config: TrustConfig) -> Iterator[dict[str, Value]]:
    yield {"level": "bound"}
