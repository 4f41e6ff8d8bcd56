"""Training the learned seed codec: latents, the decoder's metric, the network over the air in stages, its power."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from gainnet.codecs.seed_codec import Architecture, PictureBasis, SeedNetwork, SeedWeights, Vocabulary
from gainnet.codecs.seed_codec.network import power_of
from gainnet.codecs.seed_codec.picture_basis import CodedBasis, SpectralPictureBasis
from gainnet.codecs.seed_codec.weights import grid_levels_db, grid_sizes, pack_weights, unpack_weights
from gainnet.core.randomness import seeded
from gainnet.core.run.loop import silent
from gainnet.core.units import db_to_linear
from gainnet.models.scenes import stream
from gainnet.training.large_basis import MOST_DENSE, spectral_basis
from gainnet.training.loop import Progress
from gainnet.training.seed_air import Cases, OverAir
from gainnet.training.seed_latents import SeedLatents
from gainnet.training.seed_material import SeedMaterial, description, open_seed_training
from gainnet.training.seed_metric import picture_metric
from gainnet.training.seed_sources import Source
from gainnet.training.seed_stage import (
    Cost,
    PictureCost,
    SeedStageLength,
    component_cost,
    refined_cost,
    seed_codec_stage,
)

STAGES = ("latent", "refined", "pictures")


@final
@dataclass(frozen=True)
class SeedTraining:
    """How long the codec trains, on how much, and how large it is.

    Args:
        num_shards: of 40 latents each.
        num_held_out: of them, the last ones, for measuring only.
        num_renders: encoded renders of scenes, a multiple of 40; for the scenes model alone.
        latents_random_seed: of captions, noise and scenes.
        first_probe: latent at which the probes of the metric begin.
        num_probes: latents with one probe each.
        lengths: of the stages on components, on refined latents, and through the decoder.
        square: side of the square of the latent that is decoded in a step.
        checkpoint_every: steps between checkpoints.
        architecture: of the network.
    """

    num_shards: int = 240
    num_held_out: int = 10
    num_renders: int = 24000
    latents_random_seed: int = 7
    first_probe: int = 400
    num_probes: int = 4000
    lengths: tuple[SeedStageLength, SeedStageLength, SeedStageLength] = (
        SeedStageLength(14000, rate=1e-3, share_generated=1.0),
        SeedStageLength(1000),
        SeedStageLength(950),
    )
    square: int = 8
    checkpoint_every: int = 100
    architecture: Architecture = field(default_factory=Architecture)


PRESETS = {
    "default": SeedTraining(),
    "tiny": SeedTraining(
        num_shards=2,
        num_held_out=1,
        num_renders=40,
        first_probe=0,
        num_probes=40,
        lengths=(SeedStageLength(20, (2, 4)), SeedStageLength(6, (2, 4)), SeedStageLength(4, (2, 4))),
        checkpoint_every=5,
        architecture=Architecture(32, 16, 32, 1, 32, 1, 16, 4, 32, 16, 1),
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""

TEMPER = 0.18
"""Exponent of the metric. Picture errors of 17 to 30 dB, regressed on errors of bands of components of training
latents, cost about 5e-5 per unit in the strongest and 5e-4 in the weakest, over 5.5 decades of variance."""

CALIBRATION_SIZE = 2400
"""Latents over which the power of every size and level is set to 1."""

CALIBRATION_VALUES = 1024 * CALIBRATION_SIZE


def train_seed_codec(
    source: Source,
    out: Path,
    training: SeedTraining = PRESETS["default"],
    random_seed: int = 0,
    progress: Progress = silent,
    latents: Path | None = None,
) -> dict[str, float]:
    """Trains the codec for the latents of a model and writes a weights folder; goes on where it was stopped.

        source -> latents -> covariance          \\
                                                  > basis -> network over the air -> power -> folder
        latents -> decoder -> Jacobian -> metric /

    The network is trained on components of generated latents, then with its refiner on these and on encoded renders,
    then through the decoder.

    Args:
        source: of the latents.
        out: weights (`config.json`, `seed_codec.safetensors`), with `latents/` and `stages/` beside them.
        training: how much.
        random_seed: of weights, batches, cases and noise.
        progress: receives (stage, steps taken, steps in all, mean loss).
        latents: folder of the latents, where several trainings share them.

    Returns:
        Decibels over plain LMMSE on held-out latents, in the metric of the decoder, by `uses@SNR`.

    Raises:
        ConfigError: `out` cannot be written, a number out of range, or it was begun with other settings.
        ModelError: the model folder or a shard is missing or damaged.
    """
    with open_seed_training(source, out, training, random_seed, progress, latents) as (stages, material):
        seen, vocabulary = material.seen, material.vocabulary
        basis = picture_basis(material, training, random_seed, progress)
        network = build_network(basis, material.shape, training.architecture, vocabulary, random_seed)
        fit_mixture(network, seen.latents, random_seed)
        network.to(material.space.device)
        costs: tuple[Cost, ...] = (component_cost, refined_cost, PictureCost(material.picture_error(training.square)))
        for name, cost, length in zip(STAGES, costs, training.lengths, strict=True):
            absent = vocabulary.absent(1)
            stage = seed_codec_stage(name, network, material.examples, absent, cost, length, random_seed)
            stages.train(stage, material.sha256)
        weights = stored_weights(network.cpu(), vocabulary, seen, material.shape, material.space.sha256)
        metrics = measure(weights, material.unseen)
        weights.save(out, description({"over_lmmse_db": metrics}, training, random_seed, stages))
        return metrics


def picture_basis(material: SeedMaterial, training: SeedTraining, random_seed: int, progress: Progress) -> CodedBasis:
    """Components in the metric of the decoder: dense for small latents, by spatial frequency for large ones."""
    seen = material.seen.latents

    def count(made: int, total: int) -> None:
        progress("metric", made, total, 0.0)

    if material.space.latent.num_values > MOST_DENSE:
        return SpectralPictureBasis(spectral_basis(material.space, seen, training.num_probes, random_seed, count))
    probed = seen[training.first_probe : training.first_probe + training.num_probes]
    return basis_of(seen, picture_metric(material.space, probed, random_seed, count))


def basis_of(latents: Tensor, metric: Tensor) -> PictureBasis:
    """Components of latents [n, num_values] in a metric, tempered by `TEMPER`."""
    wide = latents.double()
    covariance = torch.cov(wide.T)
    return PictureBasis.of_moments(wide.mean(0), covariance, metric).tempered(TEMPER, covariance)


def build_network(
    basis: CodedBasis, shape: tuple[int, ...], architecture: Architecture, vocabulary: Vocabulary, random_seed: int
) -> SeedNetwork:
    """A network with fresh weights, which codes as the linear optimum does."""
    with seeded(random_seed):
        return SeedNetwork(basis, shape, architecture, (vocabulary.num_indices, vocabulary.max_words))


def fit_mixture(network: SeedNetwork, latents: Tensor, random_seed: int) -> None:
    """Sets the mixture of a network to latents [n, num_values]."""
    variances = network.variances[: network.architecture.num_mixed]
    whitened = network.basis.analyse(latents)[:, : len(variances)] / variances.sqrt()
    network.mixture.fit(whitened, variances, random_seed)


def stored_weights(
    network: SeedNetwork, vocabulary: Vocabulary, seeds: SeedLatents, shape: tuple[int, ...], model_sha256: str
) -> SeedWeights:
    """Weights as they are stored: rounded, then their power measured on latents."""
    # Rounded first: the power that is measured must be that of the weights that a user loads.
    network.load_state_dict(unpack_weights(pack_weights(network.state_dict())))
    network.eval().requires_grad_(False)
    # Of large latents fewer, which have more components to average over.
    some = seeds[: min(CALIBRATION_SIZE, max(40, CALIBRATION_VALUES // network.basis.num_components))]
    components, indices = (network.basis.analyse(some.latents), vocabulary.indices(some.prompts))
    tables = [powers(network, components, words) for words in (vocabulary.absent(len(some)), indices)]
    return SeedWeights(network, network.basis, vocabulary, torch.stack(tables).log(), shape, model_sha256)


@torch.no_grad()
def powers(network: SeedNetwork, components: Tensor, indices: Tensor) -> Tensor:
    """[num_sizes, num_levels], mean power per use of latents, before it is normalised.

    The linear part has power 1 over the ensemble, and only the rest is measured.
    """
    rows = []
    for uses in grid_sizes(len(network.variances)):
        row = []
        for level_db in grid_levels_db():
            case = (torch.tensor([round(uses)]), torch.tensor([db_to_linear(level_db)], dtype=torch.float64))
            sent, linear = network.send(components, network.side_information(*case).repeated(len(components)), indices)
            row.append(power_of(sent[None], linear[None], case[0]))
        rows.append(torch.cat(row))
    return torch.stack(rows)


MEASURED = tuple((uses, snr_db) for uses in (16, 64, 256, 1024, 4096) for snr_db in (-10, 0, 5, 10, 20))


@torch.no_grad()
def measure(weights: SeedWeights, seeds: SeedLatents) -> dict[str, float]:
    """Decibels that the network gains over LMMSE of the same components, on latents that it has not seen.

    Sizes that the latents are too small for are left out.
    """
    network, most = weights.network, weights.basis.num_components
    components = weights.basis.analyse(seeds.latents)
    count = len(seeds)
    noise = torch.from_numpy(stream(0, "seed codec measure", 0).standard_normal((count, 2, most), dtype="float32"))
    gains = {}
    for with_prompt in (False, True):
        words = weights.vocabulary.indices(seeds.prompts) if with_prompt else weights.vocabulary.absent(count)
        for uses, snr_db in MEASURED:
            if uses > most:
                continue
            snr = db_to_linear(snr_db)
            shape = torch.ones(1, count, most), torch.full((1, count), 1 / snr)
            case = torch.tensor([uses]), torch.tensor([snr], dtype=torch.float64)
            estimate = OverAir(network)(components, words, Cases(*case, torch.tensor([with_prompt]), *shape), noise)
            plain = network.linear_error(*case)
            error = float((weights.basis.analyse(network.latents(estimate)) - components).square().mean())
            gains[f"{uses}@{snr_db}dB{' with prompt' * with_prompt}"] = round(10 * math.log10(float(plain) / error), 3)
    return gains
