"""Attacks of the study trust: what each recovers, with and without each safeguard, and what a guess recovers."""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gainnet.catalog.learning import open_model
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import PlanError
from gainnet.core.randomness import Random
from gainnet.core.types import NodeId
from gainnet.learning.algorithms.adapters import attach
from gainnet.learning.algorithms.algorithm import Open, Rule, State, WeightedMean
from gainnet.learning.algorithms.fedavg import plain_step
from gainnet.learning.clients import Client, cell_of, devices_of
from gainnet.learning.exchange import PRIVATE, Exchange, Uplink
from gainnet.learning.safeguards.accounting import noise_for, require_opacus, spent_epsilon
from gainnet.learning.safeguards.attack import share_recovered
from gainnet.learning.safeguards.forging import FORGERIES, Watched, chain_holds
from gainnet.learning.safeguards.inversion import members_among, pairs_in_order, read_row
from gainnet.learning.safeguards.masking import agree_secret, join_secret, mask_of
from gainnet.learning.safeguards.member import Member
from gainnet.learning.safeguards.noise import Entropy, Noise, Seeded
from gainnet.learning.safeguards.privacy import NoisyMean, PrivateMean, PrivateSteps, clip
from gainnet.learning.safeguards.record import RECORD, HostedClients, Recorded, receipts_of
from gainnet.learning.safeguards.robust import Krum, Median
from gainnet.learning.safeguards.rows import Apart
from gainnet.learning.safeguards.signing import Keyring
from gainnet.models.language import pack
from gainnet.models.language_text import write_texts
from gainnet.network import EDGE, profile
from gainnet.radio import Ideal
from gainnet.studies.study import Case, Row
from gainnet.studies.trust.config import TrustConfig

TEXT_SEED = (1 << 40) + 21
CALIBRATION = ((0.9, 1.0, 2), (1.5, 1.0, 6), (0.7, 0.2, 5), (1.0, 0.05, 100), (0.8, 0.2, 30), (2.0, 0.5, 20))
"""Noise multipliers, sampling rates and releases whose epsilon is compared."""


def attacked(config: TrustConfig, case: Case, _: Random) -> Row:
    """Share that an attack recovers, and of how much.

    Args:
        config: of the study.
        case: attack, and safeguard as its rule.
    """
    attack, safeguard = case.text("attack"), case.text("rule")
    random = Random.of(case.random_seed).child("attacks", attack)
    if attack in FORGERIES:
        return _forged(config, attack, safeguard, case.random_seed)
    found = _ATTACKS[attack](config, safeguard, random)
    return {"recovered": found[0], "tried": found[1]}


def accounting(config: TrustConfig, case: Case, _: Random) -> Row:
    """Epsilon that is promised over the upper bound of numerical composition in Opacus, at an error of 1e-3."""
    rows = []
    for noise, rate, releases in CALIBRATION:
        other = require_opacus().PRVAccountant()
        other.history = [(noise, rate, releases)]
        with np.errstate(divide="ignore"):
            bound = float(other.get_epsilon(config.privacy.delta, eps_error=1e-3))
        rows.append(spent_epsilon(noise, rate, releases, config.privacy.delta) / bound)
    return {f"epsilon_ratio.{place}": ratio for place, ratio in enumerate(rows)}


def _gradient_inversion(config: TrustConfig, safeguard: str, random: Random) -> tuple[float, int]:
    """Tokens in their place, read off the update by one step on one row of text."""
    domains, seed = LearnConfig().domains, TEXT_SEED + 10 * random.random_seeds[0]
    model, rows = _model(config.model), _text(config, domains[0], config.attacks.num_victims, seed)
    others = _text(config, domains[1], config.attacks.num_clients - 1, seed + 5)
    guesses, shares = _guesses(model, others) if safeguard == "guess" else [], list[float]()
    for place, row in enumerate(rows):
        if safeguard == "guess":
            shares.append(max(share_recovered(blind, row) for blind in guesses))
            continue
        slopes = _seen(config, model, row, others, safeguard, random.child(place))
        shares.append(share_recovered(read_row(model, slopes, len(row)), row))
    return float(np.mean(shares)), rows.numel()


def _guesses(model: Any, others: Tensor) -> list[Tensor]:
    """Rows that somebody would guess who has the model and the others' updates, and nothing of the victim."""
    row = others[:, :1].mode(0).values
    with torch.no_grad():
        while len(row) < others.shape[1]:
            row = torch.cat([row, model(input_ids=row[None]).logits[0, -1:].argmax(-1)])
    # What a sum of others tells of a row that is not in it: words that all texts share.
    slopes = [_slopes(model, other) for other in others]
    total = {name: torch.stack([x[name] for x in slopes]).sum(0) for name in slopes[0]}
    return [row, others.flatten().mode().values.expand(others.shape[1]), read_row(model, total, others.shape[1])]


def _seen(config: TrustConfig, model: Any, row: Tensor, others: Tensor, safeguard: str, random: Random) -> State:
    """The update that the attacker has, up to a factor; `others` are the rows of the other clients."""
    own = _slopes(model, row)
    if safeguard == "none":
        return own
    if safeguard == "private_rows":
        noise = _noise(config, config.privacy.sample_rate)
        steps = PrivateSteps(config.privacy.row_clip_norm, noise, config.privacy.sample_rate, Seeded())
        return steps.noisy_gradient(Apart.of(model), row[None], 1, random)
    parts = [_flat(own), *(_flat(_slopes(model, other)) for other in others)]
    return _unflat(_summed(config, parts, safeguard, random), own)


def _summed(config: TrustConfig, updates: list[Tensor], safeguard: str, random: Random) -> Tensor:
    """The sum that is seen of updates of [num_values] in the place of each."""
    if safeguard == "masked_sum":
        return torch.stack(updates).sum(0)
    clipped = torch.stack([clip(x, config.privacy.client_clip_norm) for x in updates]).sum(0)
    std = _noise(config, 1.0) * config.privacy.client_clip_norm
    return Seeded().noised({"privacy": clipped}, std, random, torch.float64)["privacy"]


def _membership(config: TrustConfig, safeguard: str, random: Random) -> tuple[float, int]:
    """Pairs of a row of the client's and another row, distinguished by the update of a step on all of the client's."""
    model, count = attach(open_model(config.model)[0], "lora_b", 2), config.attacks.num_members
    domains, scores, num_pairs = LearnConfig().domains, list[float](), 0
    for place in range(config.attacks.num_victims):
        seed = TEXT_SEED + 1000 * (1 + random.random_seeds[0]) + place
        rows = _text(config, domains[0], 2 * count, seed)
        gradients = _row_vectors(model, rows)
        draws, given, num_pairs = random.child(place), config.privacy, num_pairs + count * count
        if safeguard == "guess":
            scores.append(0.5)
            continue
        update = -gradients[:count].mean(0)
        if safeguard == "private_rows":
            total = torch.stack([clip(x, given.row_clip_norm) for x in gradients[:count]]).sum(0)
            std = _noise(config, given.sample_rate) * given.row_clip_norm
            update = -Seeded().noised({"a": total}, std, draws, torch.float64)["a"]
        elif safeguard != "none":
            crowd = _text(config, domains[1], count * (config.attacks.num_clients - 1), seed + 500)
            others = _row_vectors(model, crowd).split(count)
            update = _summed(config, [update, *(-x.mean(0) for x in others)], safeguard, draws)
        found = members_among(update, gradients)
        scores.append(pairs_in_order(found[:count], found[count:]))
    return float(np.mean(scores)), num_pairs


def _lying_edge(config: TrustConfig, safeguard: str, random: Random) -> tuple[float, int]:
    """Values of one member's vector, by asking for its shares once as arrived and once as lost."""
    size = 64
    if safeguard == "guess":
        return 2.0**-32, size
    vector = random.generators("vector")[0].integers(1 << 32, size=size, dtype=np.uint32)
    members = {number: Member(number, 2) for number in (1, 2, 3)}
    publics = {number: member.public for number, member in members.items()}
    shares = {number: member.shares(publics) for number, member in members.items()}
    held = {number: {maker: shares[maker][number] for maker in members} for number in members}
    masked = members[1].masked(vector, publics)
    # One that forgets answers anew each time, as members did before they answered one request a round.
    second = {n: copy.copy(m) for n, m in members.items()} if safeguard == "none" else members
    asked = [m.revealed(held[n], publics, (1, 2, 3), ()) for n, m in members.items() if n != 1]
    try:
        again = [second[n].revealed(held[n], publics, (2, 3), (1,)) for n in (2, 3)]
    except PlanError:
        return 0.0, size
    own, key = (join_secret({n: one[1] for n, one in zip((2, 3), given, strict=True)}) for given in (asked, again))
    found = masked - mask_of(own, size)
    for other in (2, 3):
        found = found - mask_of(agree_secret(key, publics[other][:32], "mask"), size)
    return float((found == vector).mean()), size


def _lying_client(config: TrustConfig, safeguard: str, random: Random) -> tuple[float, int]:
    """How near one client of many brings the merged update to one of its own choice."""
    count, size = config.attacks.num_clients, 200
    start: State = {"a": torch.zeros(size, dtype=torch.float64)}
    target = random.normal((size,), "target").double()
    target = target / target.norm()
    arrived = [
        (Client(name, torch.empty(1, 0)), {"a": 0.01 * random.normal((size,), name).double()})
        for name in devices_of(count - 1)
    ]
    arrived.append((Client(NodeId("liar"), torch.empty(1, 0)), {"a": count * target}))
    if safeguard == "guess":
        return 0.0, size
    noisy = NoisyMean(0.01 * math.sqrt(size), _noise(config, 1.0), count, Seeded())
    rules: dict[str, Rule] = {
        "none": WeightedMean(), "median": Median(), "multi_krum": Krum(1, count - 1),
        "private_clients": PrivateMean(noisy),
    }  # fmt: skip
    merged = rules[safeguard](start, arrived, random).state["a"]
    # Along the target: noise across it moves the model, but not to where the liar wants it.
    return float((merged @ target).clamp(0.0, 1.0)), size


def _noise_subtraction(config: TrustConfig, safeguard: str, random: Random) -> tuple[float, int]:
    """Noisy sums whose noise is drawn again from the published random seed, in every way that a run draws."""
    if safeguard == "guess":
        return 0.0, 0
    noise: Noise = Seeded() if safeguard == "none" else Entropy()
    num_found, std = 0, 3.0
    for place in range(config.attacks.num_sums):
        stream = Random.of(place).child("learning", "round", 0)
        total = random.normal((64,), "sum", place).double()
        noisy = noise.noised({"privacy": total}, std, stream, torch.float64)["privacy"]
        guesses = [noisy - std * drawn for drawn in _drawn_again(place, 64)]
        num_found += any(float((guess - total).norm()) < 1e-3 * float(total.norm()) for guess in guesses)
    return num_found / config.attacks.num_sums, config.attacks.num_sums


def _drawn_again(random_seed: int, size: int) -> list[Tensor]:
    """Normal values of the generators that somebody who knows a random seed would try first."""
    paths = [("privacy",), ("learning", "round", 0, "privacy"), ("round", 0, "privacy"), ("learning", "privacy")]
    kinds = [torch.from_numpy(Random.of(random_seed).generators(*path)[0].standard_normal(size)) for path in paths]
    plain = torch.from_numpy(np.random.default_rng(random_seed).standard_normal(size))
    old = torch.from_numpy(np.random.RandomState(random_seed).standard_normal(size))  # tried, too
    torchs = torch.randn(size, dtype=torch.float64, generator=torch.Generator().manual_seed(random_seed))
    return [*kinds, plain, old, torchs]


_ATTACKS: Mapping[str, Callable[[TrustConfig, str, Random], tuple[float, int]]] = {
    "gradient_inversion": _gradient_inversion,
    "membership": _membership,
    "lying_edge": _lying_edge,
    "lying_client": _lying_client,
    "noise_subtraction": _noise_subtraction,
}


def _forged(config: TrustConfig, kind: str, safeguard: str, random_seed: int) -> Row:
    """Share of forgeries of a kind that pass: the edge's signature alone, or all checks of the record."""
    if safeguard == "guess":
        return {"recovered": 0.0, "tried": 0}
    watched, generator = watched_record(3, 2), np.random.default_rng((random_seed, sorted(FORGERIES).index(kind)))
    num_accepted, key = 0, watched.edge.public(EDGE)
    for _ in range(config.attacks.num_forgeries):
        lines = watched.forged(kind, generator)
        num_accepted += watched.accepts(lines) if safeguard == "record" else chain_holds(lines, key)
    return {"recovered": num_accepted / config.attacks.num_forgeries, "tried": config.attacks.num_forgeries}


@lru_cache(maxsize=1)
def watched_record(num_clients: int, num_rounds: int) -> Watched:
    """A record of rounds of the plain mean, with what clients hold of it."""
    names, state = devices_of(num_clients), dict[str, Tensor](a=torch.zeros(3))
    keys = Keyring({name: Random.of(7).generators("keys", name)[0].bytes(32) for name in (EDGE, *names)})
    cell = cell_of(names, profile("edge_l4"), profile("phone"), (Ideal(),), (Ideal(),))
    with tempfile.TemporaryDirectory() as folder:
        hosted = HostedClients(keys, names, Path(folder) / "nodes")
        recorded = Recorded(Open(WeightedMean()), Path(folder) / RECORD, keys, hosted)
        for number in range(num_rounds):
            random = Random.of(number)
            sent = [
                (0.0, Client(name, torch.zeros(3, 2)), {"a": state["a"] + random.normal((3,), name)}) for name in names
            ]
            uplink = Uplink(Exchange(cell, random, PRIVATE), "adapters")
            state = dict(recorded.gather(uplink, state, sent, random).state)
        lines = tuple(recorded.path.read_text(encoding="utf-8").splitlines())
        kept = [(Path(folder) / "nodes" / receipts_of(name)).read_text(encoding="utf-8") for name in names]
    receipts = tuple(line for text in kept for line in text.splitlines())
    pinned = {str(name): keys.public(name) for name in names}
    return Watched(lines, Keyring({EDGE: keys.seeds[EDGE]}), pinned, receipts, state)


def _noise(config: TrustConfig, rate: float) -> float:
    """Noise multiplier of the study's epsilon, as its private rounds have it."""
    return noise_for(config.privacy.epsilon, config.privacy.delta, rate, config.privacy.rounds, "rdp")


def _model(name: str) -> Any:
    model, _ = open_model(name)
    model.requires_grad_(True)
    return model.eval()


def _text(config: TrustConfig, domain: str, count: int, seed: int) -> Tensor:
    """[count, length] tokens, every row from a text of its own."""
    _, tokenizer = open_model(config.model)
    return torch.cat(
        [pack([text], tokenizer, config.attacks.row_length)[:1] for text in write_texts(domain, count, seed)]
    )


def _slopes(model: Any, row: Tensor) -> dict[str, Tensor]:
    """Gradient of a row's loss in all weights, by name."""
    model.zero_grad(set_to_none=True)
    plain_step(model, row[None])
    return {name: p.grad.detach().clone() for name, p in model.named_parameters() if p.grad is not None}


def _row_vectors(model: Any, rows: Tensor) -> Tensor:
    """[num_rows, num_values] float64, gradients of single rows."""
    found = Apart.of(model).gradients(rows)
    return torch.cat([found[name].flatten(1) for name in sorted(found)], dim=1).double()


def _flat(slopes: State) -> Tensor:
    return torch.cat([slopes[name].reshape(-1) for name in sorted(slopes)]).double()


def _unflat(flat: Tensor, like: State) -> dict[str, Tensor]:
    names = sorted(like)
    parts = flat.split([like[name].numel() for name in names])
    return {name: part.reshape(like[name].shape) for name, part in zip(names, parts, strict=True)}
