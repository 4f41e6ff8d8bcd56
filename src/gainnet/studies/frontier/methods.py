"""Methods of frontier: what every scheme sends, what the air takes for it, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache, partial
from typing import Any, Final

import torch
from torch import Tensor

from gainnet.codecs import ResidualCode
from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.codecs.opponents import EncodeCache, cache_folder
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.core.weights import CONFIG
from gainnet.models.drafts import digests, draft_part
from gainnet.models.loading import load_model
from gainnet.network.hardware import profile
from gainnet.radio import Air, Arq, Radios, Tabulated
from gainnet.studies.frontier.bench import Bench, Coded, drafted_of, errors_of, pictures_of
from gainnet.studies.frontier.coding import (
    annealed_corrections,
    annealed_latents,
    corrections,
    finished,
    own_seeds,
    pictures_coded,
    seeds,
)
from gainnet.studies.frontier.question import (
    ALONE,
    ANNEALED,
    ANNEALED_DENOISED,
    BEST,
    DENOISED,
    DRAFT,
    DRAFT_ANNEALED,
    FAST,
    METHODS,
    PERTURBED,
    TRANSFORM,
    WHOLE,
    FrontierConfig,
    named_drafts,
)
from gainnet.studies.own import Guarded, OwnCodec, own
from gainnet.studies.pictures import drawn_alone
from gainnet.studies.study import Case, Method, Row
from gainnet.training.few_steps import captions_of

KEPT: Final = 64
"""Coded batches that are remembered: all rates of a scheme over all airs."""


def over_the_air(bench: Bench, coded: Callable[[float, int], Coded], case: Case, random: Random) -> Row:
    """A scheme over the air of a case, every item in codewords of its own."""
    found = coded(case.number("point"), case.random_seed)
    radios = Radios(profile("edge_a100").tx_power_w, profile("phone").rx_power_w)
    link = Tabulated(Air(snr_db=case.number("snr_db")), radios, Arq(harq="free"))
    # All schemes of a random seed meet the same air.
    streams = bench.pictures_of(case.random_seed).random.child("frontier", str(case.number("snr_db")))
    received, usage = link.send(Bits(found.strings, streams.batch), link.observe(streams), streams)
    arrived = torch.tensor([string is not None for string in received.strings])
    errors = torch.where(arrived, found.errors, found.errors_if_lost)
    return {
        **_row(errors, found.num_passes),
        "num_bits": 8.0 * sum(map(len, found.strings)) / len(errors),
        "num_channel_uses_sent": round(usage.num_channel_uses / len(errors), 3),
        "delivered": float(arrived.double().mean()),
    }


def draft(bench: Bench, coded: Callable[[str, Any, int], Coded], case: Case, random: Random) -> Row:
    """Draft and correction over the air of a case; the draft alone where it names none."""
    name = case.text("variant")
    if case.values["snr_db"] is None:
        found = coded(name, None, case.random_seed)
        return {**_row(found.errors, found.num_passes), "num_channel_uses_sent": 0.0}
    return over_the_air(bench, partial(coded, name), case, random)


def alone(bench: Bench, case: Case, random: Random) -> Row:
    """The device generates alone: with fewer passes than the whole run, or with all of them, which is exact."""
    pictures = bench.pictures_of(case.random_seed)
    if case.text("variant") == WHOLE:
        nothing = torch.zeros(len(pictures.prompts), dtype=torch.float64)
        overlap = len(captions_seen(bench.config.model) & set(pictures.prompts))
        return {**_row(nothing, bench.model.denoiser.num_passes), "num_channel_uses_sent": 0.0, "overlap": overlap}
    passes = case.count("point")
    if case.text("variant") == FAST:
        # The draft of the fast model is the whole of its picture.
        drafted = drafted_of(bench, f"{FAST}-{passes}", case.random_seed)
        return {**_row(drafted.errors, passes), "num_channel_uses_sent": 0.0}
    images = drawn_alone(bench.model, pictures.prompts, pictures.random, passes, case.text("variant"))
    return {**_row(errors_of(images, pictures.images), passes), "num_channel_uses_sent": 0.0}


def perturbed(bench: Bench, case: Case, random: Random) -> Row:
    """Corrections of the edge's draft, added to a draft on the device that differs by noise."""
    name, size = case.text("variant"), case.number("point")
    pictures, drafted = bench.pictures_of(case.random_seed), drafted_of(bench, name, case.random_seed)
    code = ResidualCode(level=bench.config.perturbed_level, draft=name, weights=bench.correction_weights)
    payload = code.encode(drafted.sent, torch.ones(len(drafted.sent)))
    values = code.decode(payload, Spec((drafted.sent.shape[1],)))[:, :-1]
    own = drafted.drafts + size * pictures.random.normal(bench.model.latent.shape, "perturbed")
    differ = (digests(own) != digests(drafted.drafts)).double().mean()
    errors = bench.errors(code.corrected(own.flatten(1), values), case.random_seed)
    return {**_row(errors, drafted.num_passes), "drafts_differ": float(differ)}


def open_methods(config: FrontierConfig) -> Mapping[str, Method]:
    """The methods, with everything that they need loaded once."""
    model = load_model(config.model)
    # All of them are kept, since the opponents come last.
    remembered = lru_cache(maxsize=8)(partial(pictures_of, model, config))
    bench = Bench(config, model, remembered, EncodeCache(cache_folder()))
    # Read now, so that what is missing is missed before the first case.
    for name in named_drafts(config):
        draft_part(model, name)
        bench.correction_weights.index(name)
    keep = lru_cache(maxsize=KEPT)
    coded: dict[str, Callable[[float, int], Coded]] = {
        BEST: keep(partial(pictures_coded, bench)),
        TRANSFORM: keep(partial(seeds, bench, finished, False)),
        DENOISED: keep(partial(seeds, bench, finished, True)),
        ANNEALED: keep(partial(seeds, bench, annealed_latents, False)),
        ANNEALED_DENOISED: keep(partial(seeds, bench, annealed_latents, True)),
    }
    return {
        **{name: partial(over_the_air, bench, of) for name, of in coded.items()},
        **{name: _own(bench, keep, name) for name in own(config.methods, METHODS)},
        DRAFT: partial(draft, bench, keep(partial(corrections, bench))),
        DRAFT_ANNEALED: partial(draft, bench, keep(partial(annealed_corrections, bench))),
        ALONE: partial(alone, bench),
        PERTURBED: partial(perturbed, bench),
    }


def _own(bench: Bench, keep: Callable[[Any], Any], name: str) -> Method:
    return Guarded(name, partial(over_the_air, bench, keep(partial(own_seeds, bench, OwnCodec.of_text(name)))))


def captions_seen(model: str) -> set[str]:
    """Captions on which the drafts of a model and the code of their corrections were trained."""
    config = json.loads((CORRECTIONS.find(model) / CONFIG).read_text(encoding="utf-8"))["trained"]
    return {text for shard in range(config["num_shards"]) for text in captions_of(config["random_seed"], shard)}


def _row(errors: Tensor, num_passes: int) -> dict[str, float | int | str | None]:
    psnrs = psnr_db_of_mse(errors.clamp_min(1e-12))
    return {
        "num_passes": num_passes,
        "mse": float(f"{float(errors.mean()):.6g}"),
        "psnr_db": round(float(psnr_db_of_mse(errors.mean().clamp_min(1e-12))), 4),
        "psnr_db_of_images": " ".join(f"{float(x):.2f}" for x in psnrs),
        "num_images": len(errors),
    }
