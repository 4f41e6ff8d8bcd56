"""Training the learned seed codec: latents, the decoder's metric, the network over the air, its power."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.optim import AdamW, Optimizer

from gainnet.codecs.seed_codec import Architecture, PictureBasis, SeedNetwork, SeedWeights, Vocabulary
from gainnet.codecs.seed_codec.network import power_of
from gainnet.codecs.seed_codec.weights import grid_levels_db, grid_sizes
from gainnet.core.errors import ConfigError
from gainnet.core.files import check_writable, write_whole
from gainnet.models.loading import load_model
from gainnet.models.scenes import stream
from gainnet.training.loop import Progress, cpu_seconds, silent, train
from gainnet.training.seed_air import Air, Cases, draw_cases
from gainnet.training.seed_latents import SHARD_SIZE, SeedLatents, make_seed_latents
from gainnet.training.seed_metric import picture_metric


@final
@dataclass(frozen=True)
class SeedTraining:
    """How long the codec trains, on how much, and how large it is.

    Args:
        num_shards: of 40 latents each.
        num_held_out: of them, the last ones, for measuring only.
        latents_random_seed: of captions and noise of the latents.
        first_probe: latent at which the probes of the metric begin.
        num_probes: latents with one probe each.
        num_steps: of training.
        groups: groups of a step, items of a group.
        rate: peak learning rate.
        checkpoint_every: steps between checkpoints.
        architecture: of the network.
    """

    num_shards: int = 240
    num_held_out: int = 10
    latents_random_seed: int = 7
    first_probe: int = 400
    num_probes: int = 4000
    num_steps: int = 14000
    groups: tuple[int, int] = (8, 8)
    rate: float = 1e-3
    checkpoint_every: int = 500
    architecture: Architecture = field(default_factory=Architecture)


PRESETS = {
    "default": SeedTraining(),
    "tiny": SeedTraining(
        num_shards=2,
        num_held_out=1,
        first_probe=0,
        num_probes=40,
        num_steps=20,
        groups=(2, 4),
        checkpoint_every=10,
        architecture=Architecture(32, 16, 32, 1, 32, 1, 16, 4, 32),
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""

TEMPER = 0.18
"""Exponent of the metric. Picture errors of 17 to 30 dB, regressed on errors of bands of components of training
latents, cost about 5e-5 per unit in the strongest and 5e-4 in the weakest, over 5.5 decades of variance."""

CALIBRATION_SIZE = 800
"""Latents over which the power of every size and level is set to 1."""


@final
class SeedCodecStage:
    """The network over the air; every case counts alike, in decibels.

    The loss is the geometric mean over groups of the mean squared error of components, which is that of the picture to
    first order; a group shares size, report and prompt or not.

    Args:
        network: what is trained.
        components: [num_latents, num_values].
        indices: [num_latents, num_words], words of their prompts.
        absent: [1, num_words], words of no prompt.
        training: steps, groups and rate.
        random_seed: of batches, cases and noise.
    """

    name = "latent"
    ema_decay = 0.998

    def __init__(
        self,
        network: SeedNetwork,
        components: Tensor,
        indices: Tensor,
        absent: Tensor,
        training: SeedTraining,
        random_seed: int,
    ) -> None:
        self.air, self.model = Air(network), network
        self.components, self.indices, self.absent = components, indices, absent
        self.num_steps, self.groups, self.random_seed = training.num_steps, training.groups, random_seed
        self.peak_rates: Sequence[float] = (training.rate,)
        weights = network.parameters()
        self.optimizers: Sequence[Optimizer] = (
            AdamW(weights, lr=training.rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
        )

    def loss(self, step: int) -> Tensor:
        """Geometric mean over groups of their error, relative to what LMMSE alone would leave."""
        num_groups, num_items = self.groups
        rng = stream(self.random_seed, f"{self.name} batches", step)
        rows = torch.from_numpy(rng.integers(0, len(self.components), num_groups * num_items))
        cases = draw_cases(num_groups, num_items, self.components.shape[1], self.random_seed, step)
        prompted = cases.with_prompt.repeat_interleave(num_items)[:, None]
        indices = torch.where(prompted, self.indices[rows], self.absent)
        components = self.components[rows]
        noise = torch.from_numpy(rng.standard_normal((len(rows), 2, components.shape[1]), dtype="float32"))
        decoded, left = self.air(components, indices, cases, noise)
        errors = (decoded - components).square().mean(1) / left.detach()
        relative: Tensor = errors.unflatten(0, (-1, num_items)).mean(1).log().mean().exp()
        return relative


def train_seed_codec(
    model_folder: str,
    out: Path,
    training: SeedTraining = PRESETS["default"],
    random_seed: int = 0,
    progress: Progress = silent,
) -> dict[str, float]:
    """Trains the codec for the latents of a model and writes a weights folder; goes on where it was stopped.

        captions -> denoiser -> latents -> covariance \\
                                                       > basis -> components -> network over the air -> power -> folder
        latents -> decoder -> Jacobian -> metric      /

    Args:
        model_folder: `scenes`, or a folder in diffusers' format.
        out: weights (`config.json`, `seed_codec.safetensors`), with `latents/` and `stages/` beside them.
        training: how much.
        random_seed: of weights, batches, cases and noise.
        progress: told (stage, steps taken, steps in all, mean loss).

    Returns:
        Decibels over plain LMMSE on held-out latents, in the metric of the decoder, by `uses@SNR`.

    Raises:
        ConfigError: `out` cannot be written, a number out of range, or it was begun with other settings.
        ModelError: the model folder or a shard is missing or damaged.
    """
    check_writable(out)
    if random_seed < 0 or not 0 < training.num_held_out < training.num_shards:
        raise ConfigError("random_seed: give 0 or more; num_held_out: give at least 1 and fewer than num_shards")
    model = load_model(model_folder, None)
    _claim(out, {"model_sha256": model.sha256, "random_seed": random_seed, **asdict(training)})
    seeds = make_seed_latents(
        model, out / "latents", training.num_shards, training.latents_random_seed,
        lambda made, total: progress("latents", made, total, 0.0),
    )  # fmt: skip
    num_held_out = training.num_held_out * SHARD_SIZE
    seen, unseen = seeds[:-num_held_out], seeds[-num_held_out:]
    probed = seen.latents[training.first_probe : training.first_probe + training.num_probes]
    metric = picture_metric(model, probed, random_seed, lambda made, total: progress("metric", made, total, 0.0))
    basis = basis_of(seen.latents, metric)
    vocabulary = Vocabulary.of(seen.prompts)
    network = build_network(basis, training.architecture, vocabulary, random_seed)
    fit_mixture(network, basis, seen.latents, random_seed)
    stage = stage_of(network, basis, vocabulary, seen, training, random_seed)
    network.load_state_dict(train(stage, out / "stages" / stage.name, training.checkpoint_every, progress))
    weights = finished(network, basis, vocabulary, seen, model.latent.shape, model.sha256)
    metrics = measure(weights, unseen)
    how = {"random_seed": random_seed, **asdict(training), "cpu_s": round(cpu_seconds(out / "stages" / stage.name))}
    weights.save(out, {"metrics": {"over_lmmse_db": metrics}, "trained": how})
    return metrics


def basis_of(latents: Tensor, metric: Tensor) -> PictureBasis:
    """Components of latents [n, num_values] in a metric, tempered by `TEMPER`."""
    wide = latents.double()
    covariance = torch.cov(wide.T)
    return PictureBasis.of_moments(wide.mean(0), covariance, metric).tempered(TEMPER, covariance)


def build_network(
    basis: PictureBasis, architecture: Architecture, vocabulary: Vocabulary, random_seed: int
) -> SeedNetwork:
    """A network with fresh weights, which codes as the linear optimum does."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
        return SeedNetwork(basis.variances, architecture, (vocabulary.num_indices, vocabulary.max_words))


def fit_mixture(network: SeedNetwork, basis: PictureBasis, latents: Tensor, random_seed: int) -> None:
    """Sets the mixture of a network to latents [n, num_values]."""
    variances = basis.variances[: network.architecture.num_mixed]
    whitened = basis.analyse(latents)[:, : len(variances)] / variances.sqrt()
    network.mixture.fit(whitened, variances, random_seed)


def stage_of(
    network: SeedNetwork,
    basis: PictureBasis,
    vocabulary: Vocabulary,
    seeds: SeedLatents,
    training: SeedTraining,
    random_seed: int,
) -> SeedCodecStage:
    """The stage that trains a network on latents."""
    components, indices = basis.analyse(seeds.latents), vocabulary.indices(seeds.prompts)
    return SeedCodecStage(network, components, indices, vocabulary.absent(1), training, random_seed)


def finished(
    network: SeedNetwork,
    basis: PictureBasis,
    vocabulary: Vocabulary,
    seeds: SeedLatents,
    shape: tuple[int, ...],
    model_sha256: str,
) -> SeedWeights:
    """Weights as they are stored: rounded to half precision, then their power measured on latents."""
    rounded = {name: t.half().float() for name, t in network.state_dict().items()}
    network.load_state_dict(rounded)
    network.eval().requires_grad_(False)
    some = seeds[:CALIBRATION_SIZE]
    components, indices = basis.analyse(some.latents), vocabulary.indices(some.prompts)
    tables = [powers(network, components, words) for words in (vocabulary.absent(len(some)), indices)]
    return SeedWeights(network, basis, vocabulary, torch.stack(tables).log(), shape, model_sha256)


@torch.no_grad()
def powers(network: SeedNetwork, components: Tensor, indices: Tensor) -> Tensor:
    """[num_sizes, num_levels], mean power per use of latents, before it is normalised.

    The linear part has power 1 over the ensemble, and only the rest is measured.
    """
    rows = []
    for uses in grid_sizes(len(network.variances)):
        row = []
        for level_db in grid_levels_db():
            case = torch.tensor([round(uses)]), torch.tensor([10 ** (level_db / 10)], dtype=torch.float64)
            sent, linear = network.send(components, network.told(*case).repeated(len(components)), indices)
            row.append(power_of(sent[None], linear[None], case[0]))
        rows.append(torch.cat(row))
    return torch.stack(rows)


MEASURED = tuple((uses, snr_db) for uses in (16, 64, 256, 1024) for snr_db in (-10, 0, 5, 10, 20))


@torch.no_grad()
def measure(weights: SeedWeights, seeds: SeedLatents) -> dict[str, float]:
    """Decibels that the network gains over LMMSE of the same components, on latents that it has not seen.

    Sizes that the latents are too small for are left out.
    """
    network, most = weights.network, weights.basis.num_values
    components = weights.basis.analyse(seeds.latents)
    count = len(seeds)
    noise = torch.from_numpy(stream(0, "seed codec measure", 0).standard_normal((count, 2, most), dtype="float32"))
    gains = {}
    for with_prompt in (False, True):
        words = weights.vocabulary.indices(seeds.prompts) if with_prompt else weights.vocabulary.absent(count)
        for uses, snr_db in MEASURED:
            if uses > most:
                continue
            snr = 10 ** (snr_db / 10)
            shape = torch.ones(1, count, most), torch.full((1, count), 1 / snr)
            told = torch.tensor([uses]), torch.tensor([snr], dtype=torch.float64)
            decoded, _ = Air(network)(components, words, Cases(*told, torch.tensor([with_prompt]), *shape), noise)
            plain = network.linear_error(*told)
            error = float((decoded - components).square().mean())
            gains[f"{uses}@{snr_db}dB{' with prompt' * with_prompt}"] = round(10 * math.log10(float(plain) / error), 3)
    return gains


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Writes what the run depends on, or checks that the folder was begun with the same."""
    path, wanted = out / "training.json", json.loads(json.dumps(settings))
    if not path.exists():
        write_whole(path, (json.dumps(wanted, indent=2) + "\n").encode())
    elif json.loads(path.read_text()) != wanted:
        raise ConfigError(f"out: {out} was begun with another model, random seed or preset; give an empty folder")
