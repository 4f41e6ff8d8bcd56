"""Study through-channel: what does a decoder gain that was fine-tuned through fading and noise?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import product
from typing import Annotated, Any, Final, final

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field

from gainnet.catalog import parse
from gainnet.codecs.components import Components, load_components
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.units import db_to_linear
from gainnet.models.decoders import decoder_config, decoder_place, with_decoder
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model, weights_sha256
from gainnet.radio import AWGN, Channel, Rayleigh
from gainnet.studies.figures import Panel, draw_panels, short
from gainnet.studies.own import check_fading, one_or_own, own
from gainnet.studies.palette import BLACK, BLUE, MARKER_OF, ORANGE
from gainnet.studies.pictures import Pictures, of_prompts
from gainnet.studies.seed_coding.unseen_list import unseen_captions
from gainnet.studies.settings import NonEmpty, Seeds, SnrDb, one_of
from gainnet.studies.statistics import round_metrics
from gainnet.studies.study import Case, Method, Row, Study, Value
from gainnet.studies.weights import picture_digests
from gainnet.training.through_channel import (
    AIR,
    BLOCK_LENGTH,
    CONTROL,
    captions_trained,
    installed_name,
    received_seeds,
)

FROZEN: Final = "frozen"
METHODS: Final = (FROZEN, CONTROL, AIR)
LABELS: Final = {
    FROZEN: "not fine-tuned", CONTROL: "fine-tuned without a channel", AIR: "fine-tuned through the channel",
}  # fmt: skip
COLOURS: Final = {FROZEN: BLACK, CONTROL: BLUE, AIR: ORANGE}
SNRS: Final = {"m10db": -10.0, "m5db": -5.0, "0db": 0.0, "5db": 5.0, "10db": 10.0, "20db": 20.0}
CHANNELS: Final[Mapping[str, Channel]] = {"rayleigh": Rayleigh(BLOCK_LENGTH), "awgn": AWGN()}
SUFFIXES: Final = {"rayleigh": "", "awgn": "_awgn"}
NUM_CHANNEL_USES: Final = 256
"""Uses at which metrics are read."""
NUM_DRAWS: Final = 2000
FIRST_RANDOM_SEED: Final = 11 << 40
"""Of the noise of held-out pictures; no training draws there."""
BATCH_SIZE: Final = 20


@final
@dataclass(frozen=True)
class ThroughChannelConfig:
    """Settings of the study through-channel.

    Args:
        random_seeds: each draws its own noise and fading.
        num_images: unseen captions.
        arms: decoders: frozen, control, air.
        fadings: rayleigh, awgn, channels of yours.
        snrs_db: mean received Es/N0.
        nums_channel_uses: of the linear code that carries seeds.
        decoder: name under which the fine-tuned decoders were installed.
        weights_sha256: digests of the decoders of control and air that have to be found there; any when empty.
        model: name of the model.
    """

    random_seeds: Seeds
    num_images: Annotated[int, Field(ge=1, le=200)]
    arms: NonEmpty[Annotated[str, one_of(METHODS)]]
    fadings: NonEmpty[Annotated[str, one_or_own(("rayleigh", "awgn"), check_fading)]]
    snrs_db: NonEmpty[SnrDb]
    nums_channel_uses: NonEmpty[Annotated[int, Field(ge=1, le=512)]]
    decoder: str = "through-channel"
    weights_sha256: tuple[str, ...] = ()
    model: str = "scenes"


def cases(config: ThroughChannelConfig) -> Iterator[Case]:
    """One case per picture, so that decoders are compared picture by picture."""
    axes = config.nums_channel_uses, config.fadings, config.snrs_db, config.arms, range(config.num_images)
    for random_seed, uses, fading, snr_db, arm, picture in product(config.random_seeds, *axes):
        values: dict[str, Value] = {"num_channel_uses": uses, "fading": fading, "snr_db": snr_db, "picture": picture}
        yield Case(arm, values, random_seed)


@final
@dataclass(frozen=True, eq=False)
class Bench:
    """A model with a decoder, and pictures whose seeds are sent.

    Args:
        model: whose decoder makes pictures of what arrives.
        pictures: that the model's own decoder makes without a channel.
        basis: of the linear code.
        columns: about the training of the decoder, in every row.
    """

    model: DiffusionModel
    pictures: Pictures
    basis: Components
    columns: Row

    @lru_cache(maxsize=2)  # noqa: B019  # a bench lives as long as its run
    def errors(self, random_seed: int, uses: int, fading: str, snr_db: float) -> list[float]:
        """Mean squared error of every picture, values in [0, 1]; all decoders meet the same noise and fading."""
        found: list[float] = []
        for start in range(0, len(self.pictures.prompts), BATCH_SIZE):
            items = slice(start, start + BATCH_SIZE)
            seeds = self.pictures.random.random_seeds[items]
            streams = Random(seeds, (len(seeds),)).child(
                "through channel study", random_seed, uses, fading, str(snr_db)
            )
            snr = torch.full((len(seeds),), db_to_linear(snr_db))
            sent, channel = self.pictures.latents[items], CHANNELS.get(fading) or parse("fading", fading)
            arrived = received_seeds(sent, self.basis, uses, channel, snr, streams)
            with torch.inference_mode():
                images = self.model.decoder({"latent": arrived}, streams)["image"]
            found += (images - self.pictures.images[items]).double().square().flatten(1).mean(1).tolist()
        return found


def decode(bench: Bench, case: Case, random: Random) -> Row:
    """One picture of a decoder."""
    at = case.count("num_channel_uses"), case.text("fading"), case.number("snr_db")
    mse = bench.errors(case.random_seed, *at)[case.count("picture")]
    return {"mse": mse, **bench.columns}


def open_methods(config: ThroughChannelConfig) -> Mapping[str, Method]:
    """The decoders, and pictures of unseen captions.

    Raises:
        ModelError: a decoder is not installed.
    """
    model, texts = load_model(config.model), unseen_captions()[: config.num_images]
    random = Random.of(range(FIRST_RANDOM_SEED, FIRST_RANDOM_SEED + len(texts)))
    tuned = {arm: installed_name(config.decoder, arm) for arm in config.arms if arm != FROZEN}
    models = {FROZEN: model} | {arm: with_decoder(model, name) for arm, name in tuned.items()}
    columns = {arm: _columns(model, name, texts) for arm, name in tuned.items()}
    found = tuple(_digests(config, model.sha256).values())
    if config.weights_sha256 and found != config.weights_sha256:
        raise ConfigError(
            f"weights_sha256: {config.decoder} stands for other decoders; train them with gainnet train "
            "through-channel, or leave the digests out"
        )
    pictures, basis = of_prompts(model, texts, random), load_components(model.name, model.sha256)
    untrained: Row = {"num_steps": 0, "num_samples": 0, "cpu_s": 0.0, "overlap": 0}
    return {
        arm: partial(decode, Bench(own, pictures, basis, columns.get(arm, untrained))) for arm, own in models.items()
    }


def _columns(model: DiffusionModel, name: str, texts: tuple[str, ...]) -> Row:
    config: dict[str, Any] = decoder_config(decoder_place(model.sha256, name))
    trained = config["trained"]
    overlap = len(captions_trained(trained) & set(texts))
    return {
        "num_steps": trained["steps"]["steps"], "num_samples": trained["num_samples"], "cpu_s": float(trained["cpu_s"]),
        "weights_sha256": config["sha256"][:16], "overlap": overlap,
    }  # fmt: skip


def identity(config: ThroughChannelConfig) -> Mapping[str, str]:
    """sha256 of the model, of the basis, and of every decoder that the settings do not name by its digest."""
    # A published run is found where its decoders are not installed: they are not shipped, and its settings name them.
    tuned = {} if config.weights_sha256 else _digests(config, weights_sha256(find_folder(config.model)))
    return {**picture_digests(config.model, "seed_basis"), **{f"decoder.{arm}": x for arm, x in tuned.items()}}


def _digests(config: ThroughChannelConfig, model_sha256: str) -> dict[str, str]:
    """sha256 of the fine-tuned decoders by arm, in the order of the methods."""
    arms = [arm for arm in METHODS if arm != FROZEN and arm in config.arms]
    places = {arm: decoder_place(model_sha256, installed_name(config.decoder, arm)) for arm in arms}
    return {arm: str(decoder_config(place)["sha256"]) for arm, place in places.items()}


def metric_names() -> tuple[str, ...]:
    """All metrics.

    >>> metric_names()[:2]
    ('gain_db.m10db', 'gain_db.m10db.low')
    """
    parts = ("", ".low", ".high", ".median", ".smallest_effect")
    gains = [f"gain_db{SUFFIXES[f]}.{snr}{part}" for f, snr, part in product(SUFFIXES, SNRS, parts)]
    quality = [f"psnr_db{SUFFIXES[f]}.{arm}.{snr}" for f, arm, snr in product(SUFFIXES, METHODS, SNRS)]
    return (*gains, *quality, "num_pictures", "overlap")


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Gain in dB of the mean error over the better of the frozen decoder and the control, with 95 % intervals.

    Intervals are percentiles of 2,000 bootstrap draws of pictures, which all decoders share. The smallest effect that a
    point could have seen is half the width of its interval.
    """
    found: dict[str, float | None] = {"num_pictures": float(table["picture"].nunique())}
    found["overlap"] = float(table["overlap"].max())
    rows = table[table["num_channel_uses"] == NUM_CHANNEL_USES]
    suffixes = SUFFIXES | {name: f".{name}" for name in own(rows["fading"].unique(), SUFFIXES)}
    for (point, snr_db), (fading, suffix) in product(SNRS.items(), suffixes.items()):
        sent = rows[(rows["fading"] == fading) & (rows["snr_db"] == snr_db)]
        errors = sent.pivot_table(index=["random_seed", "picture"], columns="method", values="mse")
        for arm in errors:
            found[f"psnr_db{suffix}.{arm}.{point}"] = float(-10 * np.log10(errors[arm].mean()))
        if AIR in errors and {FROZEN, CONTROL} & set(errors):
            found |= _gain(f"gain_db{suffix}.{point}", errors)
    return round_metrics(found, 3)


def _gain(name: str, errors: pd.DataFrame) -> dict[str, float | None]:
    known = {arm: errors[arm].to_numpy(float) for arm in METHODS if arm in errors}
    mine = known.pop(AIR)
    # The better of the two at this very point, which no fixed choice could know.
    other = min(known.values(), key=lambda own: float(own.mean()))
    drawn = np.random.default_rng(0).integers(len(mine), size=(NUM_DRAWS, len(mine)))
    low, high = np.quantile(10 * np.log10(other[drawn].mean(1) / mine[drawn].mean(1)), (0.025, 0.975))
    return {
        name: float(10 * np.log10(other.mean() / mine.mean())), f"{name}.low": float(low), f"{name}.high": float(high),
        f"{name}.median": float(np.median(10 * np.log10(other / mine))),
        f"{name}.smallest_effect": float(high - low) / 2,
    }  # fmt: skip


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR of the mean error over SNR, one panel per fading."""
    rows = table[table["num_channel_uses"] == table["num_channel_uses"].median()]
    note = f"{table['picture'].nunique()} unseen captions; linear code and LMMSE receiver for all decoders."
    parts = [Panel(rows_, short(str(fading)), "SNR in dB", "PSNR in dB") for fading, rows_ in rows.groupby("fading")]
    yield "through_channel", draw_panels("A decoder trained through the channel", note, parts, _curves, len(parts))


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    for arm, colour in COLOURS.items():
        means = rows[rows["method"] == arm].groupby("snr_db")["mse"].mean()
        if len(means):
            ax.plot(means.index, -10 * np.log10(means), f"{MARKER_OF[colour]}-", color=colour, label=LABELS[arm])


THROUGH_CHANNEL = Study(
    "through-channel", ThroughChannelConfig, METHODS, metric_names(), cases, open_methods, identity, summarise, draw
)
