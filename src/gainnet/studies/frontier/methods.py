"""Methods of frontier: what every scheme sends, what the air takes for it, and what comes out."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache, partial
from typing import Any, Final, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs import CorrectionWeights, ResidualCode, TransformSeed, TransformWeights
from gainnet.codecs.content import Content
from gainnet.codecs.correction.weights import CORRECTIONS
from gainnet.codecs.opponents import BestPicture, EncodeCache, cache_folder
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Bits, Spec
from gainnet.core.units import psnr_db_of_mse
from gainnet.core.weights import CONFIG
from gainnet.models.denoised_seed import denoised_seed
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import digests, draft_part
from gainnet.models.loading import load_model
from gainnet.network.hardware import profile
from gainnet.radio import Air, Arq, Radios, Tabulated
from gainnet.studies.frontier.question import (
    ALONE,
    BEST,
    DENOISED,
    DRAFT,
    FAST,
    METHODS,
    PERTURBED,
    TRANSFORM,
    WHOLE,
    FrontierConfig,
)
from gainnet.studies.own import Guarded, OwnCodec, own
from gainnet.studies.pictures import Pictures, drafts_of, drawn_alone, generate, in_batches, of_prompts
from gainnet.studies.seed_coding.unseen import FIRST_RANDOM_SEED
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.study import Case, Method, Row
from gainnet.training.few_steps import captions_of

GREY: Final = 0.5
"""Level of all values of a picture that did not arrive."""
CALIBRATION: Final = ("frontier calibration", 0, 24)
"""Stream, random seed and number of the pictures on which the error of decoded seeds is measured."""
KEPT: Final = 64
"""Coded batches that are remembered: all rates of a scheme over all airs."""


@final
@dataclass(frozen=True, eq=False)
class Coded:
    """Pictures of a scheme at one rate, whatever the air does.

    Args:
        strings: of every item; empty where nothing is sent.
        errors: [n], mean squared error of every picture whose string arrives.
        errors_if_lost: [n], of every picture whose string does not.
        num_passes: of the denoiser on the device.
    """

    strings: tuple[bytes, ...]
    errors: Tensor
    errors_if_lost: Tensor
    num_passes: int


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """Everything that the methods of a run need, made once.

    Args:
        config: settings of the run.
        model: that generates.
        pictures_of: pictures of a random seed.
        encodes: of the opponents, kept on disk.
    """

    config: FrontierConfig
    model: DiffusionModel
    pictures_of: Callable[[int], Pictures]
    encodes: EncodeCache

    @cached_property
    def transform_weights(self) -> TransformWeights:
        """Raises `ModelError` when there are none for the model."""
        return TransformWeights.load(self.model.name, self.model.sha256)

    @cached_property
    def correction_weights(self) -> CorrectionWeights:
        """Raises `ModelError` when there are none for the model."""
        return CorrectionWeights.load(self.model.name, self.model.sha256)

    def decoded(self, latents: Tensor, random: Random) -> Tensor:
        """[n, 3, H, W], pictures of latents [n, ...]."""
        given = {"latent": latents.reshape(-1, *self.model.latent.shape)}
        return in_batches((self.model.decoder,), given, random, ("image",))["image"]

    def errors(self, latents: Tensor, random_seed: int) -> Tensor:
        """[n], mean squared error of pictures of latents [n, ...] against those of the random seed."""
        pictures = self.pictures_of(random_seed)
        return errors_of(self.decoded(latents, pictures.random), pictures.images)

    def drafts(self, name: str, random_seed: int) -> tuple[Tensor, int]:
        """Drafts [n, *latent] of a random seed's pictures, and their passes."""
        pictures = self.pictures_of(random_seed)
        part = draft_part(self.model, name)
        return drafts_of(self.model, part, pictures.prompts, pictures.random), round(part.num_passes)

    @cached_property
    def error_variances(self) -> Callable[[int], float]:
        """Mean squared error per value of decoded seeds by level, measured on pictures of their own."""
        pictures = generate(self.model, *CALIBRATION)

        @cache
        def measured(level: int) -> float:
            _, decoded = seeds_at(self, pictures, level)
            return float((decoded - pictures.latents).square().mean())

        return measured


def seeds_at(bench: Bench, pictures: Pictures, level: int) -> tuple[tuple[bytes, ...], Tensor]:
    """Strings of the seeds of pictures at a level of the transform code, and decoded latents [n, *latent]."""
    codec = TransformSeed(level=level, prompts=pictures.prompts, weights=bench.transform_weights)
    payload = codec.encode(pictures.latents, torch.ones(len(pictures.prompts)))
    return _strings(payload), codec.decode(payload, bench.model.latent)


def seeds(bench: Bench, with_step: bool, level: float, random_seed: int) -> Coded:
    """Seeds of the transform code with the prompt as side information, and one pass of the denoiser on request.

    Args:
        bench: of the run.
        with_step: whether the device cleans the decoded seed by one pass with the prompt.
        level: of the transform code.
        random_seed: of the pictures.
    """
    pictures = bench.pictures_of(random_seed)
    strings, decoded = seeds_at(bench, pictures, int(level))
    if with_step:
        random, given = pictures.random, {"prompt": text_to_tensor(list(pictures.prompts))}
        condition = in_batches((bench.model.text_encoder,), given, random, ("condition",))["condition"]
        variance = bench.error_variances(int(level))
        decoded = denoised_seed(bench.model.denoiser, condition, decoded, variance)
    lost = TransformSeed(level=int(level), prompts=pictures.prompts, weights=bench.transform_weights).decode(
        Bits((None,) * len(strings), (len(strings),)), bench.model.latent
    )
    return Coded(strings, bench.errors(decoded, random_seed), bench.errors(lost, random_seed), int(with_step))


def own_seeds(bench: Bench, codec: OwnCodec, num_bytes: float, random_seed: int) -> Coded:
    """Seeds of a codec of the user's, which the device decodes without a pass of the denoiser.

    Args:
        bench: of the run.
        codec: of bits.
        num_bytes: budget of a picture.
        random_seed: of the pictures.
    """
    pictures, model = bench.pictures_of(random_seed), bench.model
    content = Content(model.latent, "seed", bench.config.model, model.sha256, pictures.prompts)
    made, num = codec.bound(content, 0, 8.0 * num_bytes), len(pictures.prompts)
    payload = made.encode(pictures.latents, torch.ones(num))
    arrived, lost = (made.decode(sent, model.latent) for sent in (payload, Bits((None,) * num, (num,))))
    return Coded(_strings(payload), bench.errors(arrived, random_seed), bench.errors(lost, random_seed), 0)


def corrections(bench: Bench, draft: str, level: float | None, random_seed: int) -> Coded:
    """Drafts and corrections; drafts alone without a level.

    Args:
        bench: of the run.
        draft: its name.
        level: of the code of corrections; `None` sends nothing.
        random_seed: of the pictures.
    """
    drafted = drafted_of(bench, draft, random_seed)
    if level is None:
        nothing = (b"",) * len(drafted.drafts)
        return Coded(nothing, drafted.errors, drafted.errors, drafted.num_passes)
    code = ResidualCode(level=int(level), draft=draft, weights=bench.correction_weights)
    items = code.items(drafted.sent)
    values = torch.from_numpy(np.stack([item.values for item in items])).float()
    latents = code.corrected(drafted.drafts.flatten(1), values)
    strings = tuple(item.string for item in items)
    return Coded(strings, bench.errors(latents, random_seed), drafted.errors, drafted.num_passes)


@final
@dataclass(frozen=True, eq=False)
class Drafted:
    """Drafts of a random seed's pictures.

    Args:
        drafts: [n, *latent].
        sent: [n, num_values + 1], what they lack and their digests, as the transform of corrections gives it.
        errors: [n], mean squared error of their pictures.
        num_passes: of the denoiser.
    """

    drafts: Tensor
    sent: Tensor
    errors: Tensor
    num_passes: int


@lru_cache(maxsize=8)
def drafted_of(bench: Bench, draft: str, random_seed: int) -> Drafted:
    """The drafts of a name of a random seed's pictures, remembered."""
    drafts, num_passes = bench.drafts(draft, random_seed)
    code = ResidualCode(draft=draft, weights=bench.correction_weights)
    values = code.residual(bench.pictures_of(random_seed).latents.flatten(1), drafts.flatten(1))
    sent = torch.cat([values, digests(drafts)[:, None].float()], 1)
    return Drafted(drafts, sent, bench.errors(drafts, random_seed), num_passes)


@lru_cache(maxsize=8)
def encodes_of(bench: Bench, random_seed: int) -> list[list[tuple[float, bytes]]]:
    """Per picture of a random seed: mean squared error, of values in [0, 1], and string of its best encode in every
    budget."""
    images, strings = bench.pictures_of(random_seed).images, []
    for num_bytes in bench.config.nums_bytes:
        codec = BestPicture(8.0 * num_bytes, tuple(bench.config.encoders), bench.encodes)
        strings.append(codec.encode(images, torch.ones(len(images))))
    found: list[list[tuple[float, bytes]]] = [[] for _ in images]
    for payload in strings:
        errors = errors_of(codec.decode(payload, bench.model.image), images).tolist()
        for tried, error, string in zip(found, errors, _strings(payload), strict=True):
            tried.append((error, string))
    return found


def pictures_coded(bench: Bench, slope: float, random_seed: int) -> Coded:
    """Finished pictures, each by the encoder, resolution and quantiser of least error plus slope times bits.

    With one slope for all pictures those that need more bits get them, as a correction at one level does.

    Args:
        bench: of the run.
        slope: mean squared error per bit.
        random_seed: of the pictures.
    """
    images = bench.pictures_of(random_seed).images
    chosen = [min(own, key=lambda pair: pair[0] + slope * 8 * len(pair[1])) for own in encodes_of(bench, random_seed)]
    errors = torch.tensor([error for error, _ in chosen], dtype=torch.float64)
    lost = errors_of(torch.full_like(images, GREY), images)
    return Coded(tuple(string for _, string in chosen), errors, lost, 0)


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


def draft(bench: Bench, coded: Callable[[str, float | None, int], Coded], case: Case, random: Random) -> Row:
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
    for name in config.drafts if DRAFT in config.methods else ():
        draft_part(model, name)
        bench.correction_weights.index(name)
    keep = lru_cache(maxsize=KEPT)
    coded: dict[str, Callable[[float, int], Coded]] = {
        BEST: keep(partial(pictures_coded, bench)),
        TRANSFORM: keep(partial(seeds, bench, False)),
        DENOISED: keep(partial(seeds, bench, True)),
    }
    return {
        **{name: partial(over_the_air, bench, of) for name, of in coded.items()},
        **{name: _own(bench, keep, name) for name in own(config.methods, METHODS)},
        DRAFT: partial(draft, bench, keep(partial(corrections, bench))),
        ALONE: partial(alone, bench),
        PERTURBED: partial(perturbed, bench),
    }


def _own(bench: Bench, keep: Callable[[Any], Any], name: str) -> Method:
    return Guarded(name, partial(over_the_air, bench, keep(partial(own_seeds, bench, OwnCodec.of_text(name)))))


def pictures_of(model: DiffusionModel, config: FrontierConfig, random_seed: int) -> Pictures:
    """Pictures of a random seed: those on which seed-coding compares, so that encodes of the opponents serve both."""
    first = config.random_seeds.index(random_seed) * config.num_images
    items = range(first, first + config.num_images)
    random = Random.of([FIRST_RANDOM_SEED + item for item in items])
    return of_prompts(model, unseen_captions()[items.start : items.stop], random)


def captions_seen(model: str) -> set[str]:
    """Captions on which the drafts of a model and the code of their corrections were trained."""
    config = json.loads((CORRECTIONS.find(model) / CONFIG).read_text(encoding="utf-8"))["trained"]
    return {text for shard in range(config["num_shards"]) for text in captions_of(config["random_seed"], shard)}


def errors_of(images: Tensor, references: Tensor) -> Tensor:
    """[n] float64, mean squared errors of pictures [n, 3, H, W]."""
    return (images - references).double().square().flatten(1).mean(1)


def _row(errors: Tensor, num_passes: int) -> dict[str, float | int | str | None]:
    psnrs = psnr_db_of_mse(errors.clamp_min(1e-12))
    return {
        "num_passes": num_passes,
        "mse": float(f"{float(errors.mean()):.6g}"),
        "psnr_db": round(float(psnr_db_of_mse(errors.mean().clamp_min(1e-12))), 4),
        "psnr_db_of_images": " ".join(f"{float(x):.2f}" for x in psnrs),
        "num_images": len(errors),
    }


def _strings(payload: Bits) -> tuple[bytes, ...]:
    return tuple(string or b"" for string in payload.strings)
