"""Methods of the study air about gains and symbols: distributions, bit errors, estimation, peaks, sharing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from scipy import special, stats
from torch import Tensor

from gainnet.codecs import LinearCode, RawAnalog, SeedBasis
from gainnet.core.randomness import Random
from gainnet.core.types import Symbols
from gainnet.core.units import db_to_linear
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network.scheduler import ProportionalFair, RoundRobin, throughput
from gainnet.radio import CHANNELS, Air, Analog, Cdl, Channel, DftSpread, Jakes, Known, LeastSquares, Lmmse, Ofdm, Tdl
from gainnet.radio.coding.ldpc import demodulate, modulate
from gainnet.radio.fading.estimation import Estimator
from gainnet.studies.air.question import AirConfig
from gainnet.studies.air.references import bit_error_rate, mean_q_of
from gainnet.studies.pictures import generate
from gainnet.studies.study import Case, Method, Row

K_OF_FADING: Final = {"awgn": math.inf, "rician": 4.0}
"""Rician factor of the envelope; all others are Rayleigh, marginally."""

NUM_USES = 256
_ITEMS_AT_ONCE = 500
_USES_PER_ITEM = 40


def methods(config: AirConfig) -> Mapping[str, Method]:
    """By name."""
    model = load_model(config.model)
    basis = SeedBasis.load(config.model, model.sha256)
    latents_of = lru_cache(maxsize=1)(lambda seed: generate(model, "air", seed, config.num_images).latents)
    return {
        "bit_errors": lambda case, random: bit_errors(config, case),
        "fading": lambda case, random: fading(config, case),
        "estimation": lambda case, random: estimation(case, model, basis, latents_of(case.random_seed)),
        "power_peaks": lambda case, random: power_peaks(case, basis, latents_of(case.random_seed)),
        "sharing": lambda case, random: sharing(config, case),
    }


def known_channel(name: str) -> Channel:
    """A channel by name, with a receiver that knows it."""
    return _ofdm_of(name, Known()) if name.startswith(("tdl", "cdl")) else CHANNELS[name]()


def _ofdm_of(name: str, estimator: Estimator) -> Ofdm:
    """The OFDM channel of a name such as tdl-a, with an estimator."""
    profile, _, letter = name.upper().partition("-")
    return Ofdm(Cdl(letter) if profile == "CDL" else Tdl(letter), estimator=estimator)


def bit_errors(config: AirConfig, case: Case) -> Row:
    """Uncoded bit error rate with known gains, and the closed form; errors come in groups, so spread is over items."""
    name, order = case.text("fading"), case.count("bits_per_symbol")
    snr, shares = db_to_linear(case.number("snr_db")), []
    channel = known_channel(name)
    num_items = max(2, config.num_symbols // _USES_PER_ITEM)
    for start in range(0, num_items, _ITEMS_AT_ONCE):
        items = range(start, min(start + _ITEMS_AT_ONCE, num_items))
        random = Random.of([10**6 * case.random_seed + i for i in items]).child("bit errors")
        bits = (random.uniform((_USES_PER_ITEM * order,), "bits") < 0.5).float()
        received = _sent(channel, modulate(bits, order), snr, random)
        shares.append(((demodulate(received, order) > 0) != bits.bool()).double().mean(-1))
    wrong = torch.cat(shares)
    expected = bit_error_rate(order, snr, mean_q_of(K_OF_FADING.get(name, 0.0)))
    error = float(wrong.std()) / math.sqrt(len(wrong))
    rates = {"ber": float(wrong.mean()), "ber_closed_form": expected, "ber_standard_error": error}
    return {**rates, "num_touched": int((wrong > 0).sum())}


def _sent(channel: Channel, symbols: Tensor, snr: float, random: Random) -> Symbols:
    return channel.transmit(symbols, torch.full(random.batch, snr), channel.first_gain(random), random)


def fading(config: AirConfig, case: Case) -> Row:
    """Kolmogorov-Smirnov test of the envelope over items, and correlation against Clarke's Bessel function."""
    name = case.text("fading")
    channel = known_channel(name)
    seeds = [10**6 * case.random_seed + i for i in range(config.num_gains)]
    gains = [channel.first_gain(Random.of(seeds[i : i + 500]).child("gains")) for i in range(0, len(seeds), 500)]
    power = torch.cat(gains).abs().square().double().numpy()
    k_factor = K_OF_FADING.get(name, 0.0)
    # The power of a Rician gain is a scaled noncentral chi-square variable with two degrees of freedom.
    law = stats.ncx2(2, 2 * k_factor, scale=0.5 / (k_factor + 1))
    row: dict[str, float] = {"ks_pvalue": float(stats.kstest(power, law.cdf).pvalue), "mean_power": float(power.mean())}
    if name == "jakes":
        jakes = Jakes()
        random = Random.of(seeds[: max(100, len(seeds) // 4)]).child("gains")
        lags = torch.arange(41)
        h = jakes.gains(random, lags.expand(*random.batch, len(lags)))
        # Over items at every lag, not along one item, whose gains depend on each other.
        found = (h * h[:, :1].conj()).mean(0).numpy()
        row["autocorrelation_error"] = float(
            np.abs(found - special.j0(2 * math.pi * jakes.doppler * lags.numpy())).max()
        )
        row["autocorrelation_standard_error"] = 1 / math.sqrt(random.num_items)
    return row


@torch.no_grad()
def estimation(case: Case, model: DiffusionModel, basis: SeedBasis, latents: Tensor) -> Row:
    """Error of pictures whose seeds crossed a channel that was known, or estimated from pilots.

    `linear` is spread over all its uses by a DFT, `plain` is the same code without that, `raw` has no code.
    """
    channel = _ofdm_of(case.text("fading"), Lmmse())
    snr_db = case.number("snr_db")
    receivers: dict[str, Estimator] = {"known": Known(), "lmmse": Lmmse(), "ls": LeastSquares()}
    random = Random.of([1000 * case.random_seed + i for i in range(len(latents))]).child("estimation")
    sent = model.decoder({"latent": latents}, random)["image"]
    row: dict[str, float] = {"num_images": len(latents)}
    spread_code, raw = LinearCode(NUM_USES, basis), RawAnalog(None, scale=basis.root_mean_square)
    for code, codec, is_spread in (("linear", spread_code, True), ("plain", spread_code, False), ("raw", raw, False)):
        for name, estimator in receivers.items():
            known = replace(channel, estimator=estimator)
            link = Analog(Air(DftSpread(known) if is_spread else known, snr_db))
            state = Air(channel, snr_db).observe(random)
            received, _ = link.send(codec.encode(latents, state.reported_snr), state, random)
            images = model.decoder({"latent": codec.decode(received, model.latent)}, random)["image"]
            row[f"mse_{code}_{name}"] = float((images - sent).double().square().mean())
    return row


def power_peaks(case: Case, basis: SeedBasis, latents: Tensor) -> Row:
    """Peak-to-average power, exceeded by 1 in 1,000, of seeds and QAM: of symbols, and of OFDM symbols made of them."""
    random = Random.of([1000 * case.random_seed + i for i in range(len(latents))]).child("power")
    reported_snr = torch.full((len(latents),), 10.0)
    symbols: dict[str, Tensor] = {
        "raw": RawAnalog(None, scale=basis.root_mean_square).encode(latents, reported_snr).values,
        "linear": LinearCode(NUM_USES, basis).encode(latents, reported_snr).values,
        **{f"qam{2**order}": _random_qam(random, order) for order in (2, 4, 6, 8)},
    }
    row: dict[str, float] = {}
    for name, values in symbols.items():
        row[f"symbols_db_{name}"] = _peak_db(values.reshape(-1))
        row[f"ofdm_db_{name}"] = _peak_db(_ofdm(values.reshape(-1)).reshape(-1))
    return row


def _random_qam(random: Random, order: int) -> Tensor:
    return modulate((random.uniform((order * 2048,), "bits", order) < 0.5).float(), order)


def _ofdm(symbols: Tensor, num_subcarriers: int = 64, oversampling: int = 4) -> Tensor:
    """[num_ofdm_symbols, samples], time signal of OFDM symbols, oversampled so that peaks between samples count."""
    num = len(symbols) // num_subcarriers
    carriers = symbols[: num * num_subcarriers].reshape(num, num_subcarriers)
    padded = torch.zeros(num, oversampling * num_subcarriers, dtype=carriers.dtype)
    padded[:, : num_subcarriers // 2] = carriers[:, num_subcarriers // 2 :]
    padded[:, -num_subcarriers // 2 :] = carriers[:, : num_subcarriers // 2]
    samples: Tensor = torch.fft.ifft(padded)
    return samples


def _peak_db(values: Tensor) -> float:
    power = values.abs().square().double()
    # A quantile, because the largest of all grows with the number of symbols.
    return 10 * math.log10(float(power.quantile(0.999) / power.mean()))


def sharing(config: AirConfig, case: Case) -> Row:
    """Mean SNR and throughput of proportional fairness over round robin, for devices of equal statistics."""
    num_devices = case.count("num_devices")
    random = Random.of([1000 * case.random_seed + i for i in range(8)]).child("sharing")
    gains = random.complex_normal((4 * config.num_blocks, num_devices), "gains").abs().square().double()
    rate = torch.log2(1 + 10 * gains)
    fair, turns = ProportionalFair(1000.0).schedule(rate), RoundRobin().schedule(rate)
    # The averages of a fair scheduler begin at nothing; what is measured comes after that.
    settled = slice(config.num_blocks, None)
    served = gains.gather(-1, fair.unsqueeze(-1))[..., settled, 0]
    shares = throughput(rate[:, settled], fair[:, settled]).mean(0)
    return {
        "pf_gain": float(served.mean()),
        "pf_gain_closed_form": math.fsum(1 / k for k in range(1, num_devices + 1)),
        "pf_throughput_gain": float(shares.sum() / throughput(rate[:, settled], turns[:, settled]).sum(-1).mean()),
        "pf_smallest_share": float(shares.min() / shares.mean()),
    }
