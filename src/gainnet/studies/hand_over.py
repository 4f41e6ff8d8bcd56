"""Study hand-over: what should a device do with the noise on a latent that it is to finish?"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Annotated, final

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import Field
from torch import Tensor

from gainnet.codecs import MatchedSeed, SeedBasis
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.hand_over import hand_down, hand_over
from gainnet.models.loading import find_folder, load_model
from gainnet.models.part import Part
from gainnet.protocols.transmit import transmit
from gainnet.radio import AWGN, Air
from gainnet.studies.figures import Panel, draw_panels, error_bars
from gainnet.studies.palette import BLUE, GREEN, GREY, ORANGE
from gainnet.studies.pictures import in_batches
from gainnet.studies.settings import Count, NonEmpty
from gainnet.studies.statistics import at, round_metrics
from gainnet.studies.study import Case, Method, Row, Study, grid
from gainnet.studies.weights import picture_digests
from gainnet.training.scenes_evaluation import unseen_captions

METHODS = ("matched", "ignored", "scalar_mmse", "lmmse")
LABELS = {
    "matched": "steps matched to the noise", "ignored": "noise ignored", "scalar_mmse": "one MMSE gain for all",
    "lmmse": "LMMSE",
}  # fmt: skip
COLOURS = {"matched": BLUE, "ignored": ORANGE, "scalar_mmse": GREY, "lmmse": GREEN}
SNRS_DB = {"m10db": -10.0, "m5db": -5.0, "0db": 0.0}
OPPONENTS = ("ignored", "lmmse")
METRIC_NAMES = tuple(f"matched_minus_{opponent}_db.{point}" for opponent in OPPONENTS for point in SNRS_DB)
RANDOM_SEEDS_APART = 100_000
TRAINING_SEED = 77
"""Of the captions on which variances are measured; no case has it."""


@final
@dataclass(frozen=True)
class HandOverConfig:
    """Settings of the study hand-over.

    Args:
        random_seeds: each draws its own captions, initial noise and noise of the air; below 77.
        num_captions: unseen captions per random seed.
        cuts: steps that the edge runs before it hands over; the metrics are the worst over the cuts.
        snrs_db: of the air.
        num_training: generated latents on which the LMMSE receiver's mean and variances are measured.
        model: name or folder of the model.
    """

    random_seeds: NonEmpty[Annotated[int, Field(ge=0, lt=TRAINING_SEED)]]
    num_captions: Annotated[int, Field(ge=1, le=10_000)]
    cuts: NonEmpty[Count]
    snrs_db: NonEmpty[Annotated[float, Field(ge=-30, le=30)]]
    num_training: Annotated[int, Field(ge=2, le=10_000)]
    model: str = "scenes"


@final
@dataclass(frozen=True)
class Halfway:
    """Tensors of an edge when it hands over.

    Args:
        random: streams of the items.
        condition: [n, branches, tokens, width], of the prompts.
        latents: [n, *latent], by cut: before the step of that index.
        images: [n, 3, 128, 128], what is generated when nothing is lost.
    """

    random: Random
    condition: Tensor
    latents: Mapping[int, Tensor]
    images: Tensor


def halfway(model: DiffusionModel, prompts: list[str], random_seed: int, cuts: tuple[int, ...]) -> Halfway:
    """Generates pictures and keeps the latents at every cut."""
    random = Random.of([RANDOM_SEEDS_APART * random_seed + item for item in range(len(prompts))])
    tensors = in_batches(
        (model.text_encoder, model.prior), {"prompt": text_to_tensor(prompts)}, random, ("condition", "latent")
    )
    condition, latents, done = tensors["condition"], {}, 0
    # From cut to cut instead of anew for each, because a sampler in pieces is the whole sampler.
    for cut in sorted({*cuts, model.denoiser.num_steps}):
        given = {"condition": condition, "latent": tensors["latent"]}
        tensors = in_batches((model.denoiser[done:cut],), given, random, ("latent",))
        latents[cut], done = tensors["latent"], cut
    images = in_batches((model.decoder,), {"latent": tensors["latent"]}, random, ("image",))["image"]
    return Halfway(random, condition, latents, images)


@final
@dataclass(frozen=True)
class Covariance:
    r"""Linear MMSE of latents in white noise: eigenvectors V of the finished latents, variances measured at a cut.

    $\hat z = m + V \mathrm{diag}(\lambda / (\lambda + \nu)) V^T (y - m)$   (Kay 1993, eq. 12.26)

    Args:
        mean: [num_values], m of the latents at the cut.
        basis: [num_values, num_values], V; exact for $z_t = \alpha z_0 + \sigma \epsilon$, as noise has every basis.
        variances: [num_values], $\lambda$ of the latents at the cut.
    """

    mean: Tensor
    basis: Tensor
    variances: Tensor

    @staticmethod
    def measured(latents: Tensor, basis: Tensor) -> Covariance:
        """Mean and variances of latents [n, ...] along the columns of a basis."""
        flat = latents.flatten(1)
        return Covariance(flat.mean(0), basis, ((flat - flat.mean(0)) @ basis).var(0))

    def estimate(self, received: Tensor, noise_variance: Tensor) -> Tensor:
        """[n, num_values], of received values [n, num_values] with noise [n, 1]."""
        shrunk = (received - self.mean) @ self.basis * (self.variances / (self.variances + noise_variance))
        return self.mean + shrunk @ self.basis.T


def cases(config: HandOverConfig) -> Iterator[Case]:
    """Every receiver at every cut and SNR; all of one random seed see the same noise."""
    points = grid({"cut": config.cuts, "snr_db": config.snrs_db, "num_captions": (config.num_captions,)})
    for random_seed, values, method in product(config.random_seeds, list(points), METHODS):
        yield Case(method, values, random_seed)


@final
@dataclass(frozen=True)
class Receivers:
    """Everything that the receivers of one run need, made once.

    Args:
        model: whose sampler is cut.
        basis: [num_values, num_values], eigenvectors of its finished latents.
        halfway_of: latents of a random seed; remembers those of the last ones.
    """

    model: DiffusionModel
    basis: Tensor
    halfway_of: Callable[[int], Halfway]

    def matched(self, case: Case, random: Random) -> Row:
        return self._finished(case, "handed", self._received(case))

    def ignored(self, case: Case, random: Random) -> Row:
        return self._finished(case, "latent", self._received(case)[:, :-1])

    def scalar_mmse(self, case: Case, random: Random) -> Row:
        received, power = self._received(case), self._power(case)
        return self._finished(case, "latent", received[:, :-1] * power / (power + received[:, -1:]))

    def lmmse(self, case: Case, random: Random) -> Row:
        received = self._received(case)
        covariance = Covariance.measured(self.halfway_of(TRAINING_SEED).latents[case.count("cut")], self.basis)
        return self._finished(case, "latent", covariance.estimate(received[:, :-1], received[:, -1:]))

    def _power(self, case: Case) -> float:
        """Mean square of latents at the cut, on the training latents."""
        return float(self.halfway_of(TRAINING_SEED).latents[case.count("cut")].square().mean())

    def _received(self, case: Case) -> Tensor:
        """[n, num_values + 1], the latents as they arrive, and the variance of their noise."""
        sent, down = self.halfway_of(case.random_seed), hand_down(self.model.latent)
        snr_db, codec = case.number("snr_db"), MatchedSeed(scale=math.sqrt(self._power(case)))
        handed = down({"latent": sent.latents[case.count("cut")]}, sent.random)["handed"]
        # No method in the key: all receivers see the same noise, so it cancels in their differences.
        streams = sent.random.child("air", case.count("cut"), str(snr_db))
        return transmit(handed, codec, Air(AWGN(), snr_db), streams).values

    def _finished(self, case: Case, name: str, values: Tensor) -> Row:
        """The rest of the sampler from `handed` or `latent`, against what is generated without a channel."""
        sent, rest = self.halfway_of(case.random_seed), self.model.denoiser[case.count("cut") :]
        part: Part = hand_over(rest) if name == "handed" else rest
        tensor = values if name == "handed" else values.reshape(-1, *self.model.latent.shape)
        given = {"condition": sent.condition, name: tensor}
        images = in_batches((part, self.model.decoder), given, sent.random, ("image",))["image"]
        mse = (images - sent.images).double().square().mean()
        num_uses = int(MatchedSeed().size(hand_down(self.model.latent).writes["handed"]).upper)
        return {"psnr_db": float(psnr_db_of_mse(mse)), "num_channel_uses": num_uses, "num_steps": rest.num_steps}


def open_methods(config: HandOverConfig) -> Mapping[str, Method]:
    """The model and its basis, loaded once; latents of a random seed and of the training, made once."""
    folder, model = find_folder(config.model), load_model(config.model)

    @lru_cache(maxsize=2)
    def halfway_of(random_seed: int) -> Halfway:
        # Measured on captions of their own: a receiver must not know the latents it is judged by.
        num_captions = config.num_training if random_seed == TRAINING_SEED else config.num_captions
        return halfway(model, unseen_captions(folder, num_captions, random_seed), random_seed, config.cuts)

    receivers = Receivers(model, SeedBasis.load(config.model, model.sha256).basis, halfway_of)
    return {name: getattr(receivers, name) for name in METHODS}


def identity(config: HandOverConfig) -> Mapping[str, str]:
    """sha256 of the model and of the basis of its latents."""
    found = picture_digests(config.model, "seed_basis")
    return {"model": found["model"], "basis": found["seed_basis"]}


def summarise(table: pd.DataFrame) -> Mapping[str, float | None]:
    """Gain of matching over each opponent: mean over the random seeds, at the cut where it is least."""
    means = table.pivot_table(index=["snr_db", "cut"], columns="method", values="psnr_db")
    worst = {opponent: (means["matched"] - means[opponent]).groupby("snr_db").min() for opponent in OPPONENTS}
    gains = {
        f"matched_minus_{opponent}_db.{point}": worst[opponent].get(snr_db)
        for opponent, (point, snr_db) in product(OPPONENTS, SNRS_DB.items())
    }
    return round_metrics(gains, 6)


def draw(table: pd.DataFrame) -> Iterator[tuple[str, Figure]]:
    """PSNR over SNR, one panel per cut."""
    note = (
        f"{int(table['num_captions'].max())} unseen captions x {table['random_seed'].nunique()} random seeds, AWGN, "
        f"{int(table['num_channel_uses'].max())} channel uses; bars: 95 % Student intervals.\n"
        "PSNR against the generation without a channel; every receiver runs the same number of steps."
    )
    cuts = table.groupby("cut")
    parts = [Panel(own, f"handed over after {cut} steps", "SNR in dB", "PSNR in dB") for cut, own in cuts]
    title = "A latent handed over through noise, and finished"
    yield "hand_over", draw_panels(title, note, parts, _curves, len(parts))


def _curves(ax: Axes, rows: pd.DataFrame) -> None:
    for method in METHODS:
        snrs_db, groups = zip(*at(rows, method=method).groupby("snr_db")["psnr_db"], strict=True)
        error_bars(ax, snrs_db, groups, COLOURS[method], LABELS[method])


HAND_OVER = Study("hand-over", HandOverConfig, METHODS, METRIC_NAMES, cases, open_methods, identity, summarise, draw)
