"""The methods of power-control: a policy plays the episodes of a condition, or sends seeds of pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor

from gainnet.core.randomness import Random
from gainnet.power_control import PowerPolicy, load_policy, trained_config
from gainnet.power_control.env import Episodes, static_errors
from gainnet.radio.fading.trace import SnrTrace
from gainnet.radio.power import PEAK, Outlook, block_error, spend
from gainnet.studies.own import Guarded, own
from gainnet.studies.power_control.arena import NUM_BLOCKS, episodes_of, program, rule
from gainnet.studies.power_control.pictures import Gallery, open_gallery, sent_statically
from gainnet.studies.power_control.question import LEARNED, METHODS, PowerControlConfig, parts, policies_of
from gainnet.studies.study import Case, Method, Row

PolicyOf = Callable[[Case, float, Episodes], PowerPolicy]
"""The policy of a case at an SNR in dB; who knows the future is given its episodes."""


def methods(config: PowerControlConfig) -> Mapping[str, Method]:
    """Every method by name; weights and pictures are loaded here."""
    loaded = {name: load_policy(name) for name in config.learned}
    curves = {name: trained_config(name) for name in config.learned}
    if config.trace:  # what is wrong with it is said before anything is written
        _trace_snr_db(config.trace)
    gallery = open_gallery() if "decoder" in config.conditions else None

    def name_of(case: Case, condition: str) -> str:
        wanted = case.method, case.values["training_seed"]
        return next(name for name in policies_of(config, condition) if parts(name)[::2] == wanted)

    def policy_of(case: Case, snr_db: float, episodes: Episodes) -> PowerPolicy:
        condition = case.text("condition")
        if case.method in LEARNED:
            return loaded[name_of(case, condition)]
        return rule(case.method, condition, snr_db, episodes, config.trace)

    def method(case: Case, random: Random) -> Row:
        condition = case.text("condition")
        if condition == "curve":
            return _point(case, curves[name_of(case, "equal")])
        if condition == "map":
            optimum = program("", case.number("snr_db"), (1.0,) * NUM_BLOCKS)
            return _power(case, loaded[name_of(case, "equal")] if case.method in LEARNED else optimum)
        if condition == "decoder":
            assert gallery is not None
            return _decoded(case, gallery, config.num_pictures, policy_of)
        snr_db = _trace_snr_db(config.trace) if condition == "traces" else case.number("snr_db")
        episodes = _episodes(condition, snr_db, config.num_episodes, case.random_seed, config.trace)
        return _played(policy_of(case, snr_db, episodes), episodes) | {"mean_snr_db": snr_db}

    users: dict[str, Method] = {name: Guarded(name, method) for name in own(config.rules, METHODS)}
    return {**dict.fromkeys(METHODS, method), **users}


@lru_cache(maxsize=2)
def _episodes(condition: str, snr_db: float, num: int, random_seed: int, trace: str) -> Episodes:
    return episodes_of(condition, snr_db, num, random_seed, trace)


@lru_cache(maxsize=2)
def _trace_snr_db(trace: str) -> float:
    return SnrTrace.read(Path(trace)).mean_snr_db


def _played(policy: PowerPolicy, episodes: Episodes) -> dict[str, float]:
    # The ledger of energy stands between policy and air, so that no policy can spend more than there is.
    powers = spend(policy, episodes.gains, episodes.snr, episodes.importance, PEAK)
    errors = episodes.importance * block_error(powers, episodes.gains, episodes.snr.unsqueeze(-1))
    static, mse = float(static_errors(episodes).double().mean()), float(errors.double().mean())
    gain_db, quality_db = 10 * math.log10(static / mse), -10 * math.log10(mse)
    return {"mse": mse, "gain_over_static_db": gain_db, "quality_db": quality_db, **_spent(powers)}


def _spent(powers: Tensor) -> dict[str, float]:
    spent = powers.double().sum(-1) / powers.shape[-1]
    return {"energy_mean": float(spent.mean()), "energy_most": float(spent.max())}


def _decoded(case: Case, gallery: Gallery, num_pictures: int, policy_of: PolicyOf) -> dict[str, float]:
    snr_db = case.number("snr_db")
    episodes = gallery.episodes(snr_db, num_pictures, case.random_seed)
    policy = policy_of(case, snr_db, episodes)
    psnrs_db, mse = gallery.sent(policy, snr_db, num_pictures, case.random_seed)
    static_db, _ = sent_statically(gallery, snr_db, num_pictures, case.random_seed)
    powers = spend(policy, episodes.gains, episodes.snr, episodes.importance, PEAK)
    return {
        "mse": mse,
        "psnr_db": -10 * math.log10(mse),
        "quality_db": float(psnrs_db.mean()),
        "gain_over_static_db": float((psnrs_db - static_db).mean()),
        **_spent(powers),
    }


def _point(case: Case, config: Mapping[str, object]) -> dict[str, float | None]:
    """A point of the learning curve that the training run wrote down."""
    curve, columns = config["curve"], config["curve_columns"]
    assert isinstance(curve, list)
    assert isinstance(columns, list)
    index = case.count("point")
    if index >= len(curve):
        return {"num_episodes": None, "gain_over_static_db": None}
    column = columns.index(f"gain_over_static_db.{case.number('snr_db'):g}db")
    return {"num_episodes": curve[index][0], "gain_over_static_db": curve[index][column]}


def _power(case: Case, policy: PowerPolicy) -> dict[str, float]:
    """Power of a block in the middle of an episode."""
    gain = torch.tensor([[10 ** (case.number("gain_db") / 10)]])
    left = NUM_BLOCKS // 2
    gains = torch.cat([torch.ones(1, NUM_BLOCKS - left), gain], -1)
    energy = torch.tensor([case.number("energy_left") * left])
    snr = torch.tensor([10 ** (case.number("snr_db") / 10)])
    outlook = Outlook(gains, snr, energy, torch.ones(1, left), torch.zeros(1), PEAK)
    return {"power": float(torch.minimum(policy(outlook).clamp(0, PEAK), energy))}
