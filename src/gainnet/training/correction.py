"""Training drafts and the code of their corrections: fitted steps, then an entropy model for what drafts lack."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from gainnet.codecs.correction.codec import ResidualCode
from gainnet.codecs.correction.stream import DEAD_ZONE, NUM_LEVELS
from gainnet.codecs.correction.weights import MOST_DRAFTS, NUM_CLASSES, NUM_HINTS, CorrectionWeights
from gainnet.codecs.transform_seed.annealing import LARGEST_LOG2, NARROWEST_LOG2, SMALLEST_LOG2, gaussian_bits
from gainnet.codecs.transform_seed.network import NUM_QUALITIES, TransformNetwork, anchor_weights
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.errors import ConfigError, check_range
from gainnet.core.precision import half_precision
from gainnet.core.randomness import Random, seeded
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import silent
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.drafts import digests, draft_part
from gainnet.models.fitted import Fitted, FittedDrafts, read_fitted
from gainnet.models.loading import load_model
from gainnet.models.part import Part
from gainnet.training.autoencoder import torch_stream
from gainnet.training.denoiser import adamw, draw_items
from gainnet.training.few_steps import Pairs
from gainnet.training.fitted import fit_all, run_whole
from gainnet.training.loop import Progress, Stage, open_training
from gainnet.training.transform_stage import usual_bits

NAME = "entropy"
RANDOM_SEED = 2028
"""The random seed of the shipped weights, and of the pairs of the few-step student, which are the same."""
NUM_MEASURED = 80
MEASURED_LEVELS = (*range(0, NUM_LEVELS, 6), NUM_LEVELS - 1)


@final
@dataclass(frozen=True)
class CorrectionTraining:
    """How long the code trains, on how much, and for which drafts.

    Args:
        drafts: names, `fitted-K`, `coarse-K` or `prefix-K` with K steps, or `fast-K` with K passes of the fast model.
        fitted: times and, as a text of 1 and 0, which of them are guided, of every fitted draft.
        num_fitted: shards that the coefficients of fitted drafts are fitted to.
        num_shards: pairs of noise and latent, 40 each.
        num_held_out: of them, the last ones, for measuring only.
        num_steps: of training.
        batch_size: residuals per step.
        rate: peak learning rate.
        checkpoint_every: steps between checkpoints.
    """

    drafts: tuple[str, ...] = ("fitted-5", "fitted-4", "fitted-2", "fitted-1", "prefix-5", "coarse-5")
    fitted: tuple[tuple[tuple[int, ...], str], ...] = (
        ((999, 849, 699, 549, 399, 199), "111100"),
        ((999, 849, 699, 549, 299), "11100"),
        ((999, 799, 449), "100"),
        ((999, 699), "00"),
    )
    num_fitted: int = 3
    num_shards: int = 14
    num_held_out: int = 2
    num_steps: int = 600
    batch_size: int = 32
    rate: float = 2e-3
    checkpoint_every: int = 50


PRESETS = {
    "default": CorrectionTraining(),
    "tiny": CorrectionTraining(
        ("fitted-1", "prefix-1"), (((999, 499), "00"),), 1, 2, 1, num_steps=4, batch_size=2, checkpoint_every=2
    ),
}
"""Name -> how much training: `default` made the shipped weights, `tiny` only shows that everything runs."""


def with_fast(training: CorrectionTraining, nums_passes: Sequence[int]) -> CorrectionTraining:
    """A training that also learns to correct drafts of the fast model.

    Args:
        training: of other drafts.
        nums_passes: of the fast model, a draft each; none changes nothing.

    >>> with_fast(PRESETS["tiny"], (1,)).drafts
    ('fitted-1', 'prefix-1', 'fast-1')
    """
    return replace(training, drafts=(*training.drafts, *(f"fast-{passes}" for passes in nums_passes)))


def train_correction(
    model_folder: str,
    out: Path,
    training: CorrectionTraining = PRESETS["default"],
    random_seed: int = RANDOM_SEED,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Trains the code of corrections of a model and writes a weights folder; goes on where it was stopped.

    noise, captions -> teacher's latents, drafts -> transform of seeds -> differences -> entropy model

    Args:
        model_folder: `scenes`, or a folder of a model for which a transform code of seeds was trained.
        out: weights (`config.json`, `weights.safetensors`) and fitted steps (`drafts.json`), with pairs, drafts and
            checkpoints beside them.
        training: how much.
        random_seed: of captions, noise, batches and qualities.
        progress: receives (stage, steps taken, steps in all, mean loss).

    Returns:
        Mean bytes of held-out items by draft, at some levels.

    Raises:
        ConfigError: `out` cannot be written, a number is out of range, or it was begun with other settings.
        ModelError: the model, its transform code or a shard is missing or damaged.
    """
    check_range(0 < len(training.drafts) <= MOST_DRAFTS, "drafts", len(training.drafts), f"1 to {MOST_DRAFTS}")
    if not 0 < training.num_held_out < training.num_shards:
        raise ConfigError(f"num_held_out: {training.num_held_out} must be at least 1 and less than num_shards")
    model = load_model(model_folder)
    seeds = TransformWeights.load(model.name, model.sha256)
    settings = {"model_sha256": model.sha256, "random_seed": random_seed, **asdict(training)}
    with open_training(out, out / "stages", settings, training.checkpoint_every, progress) as stages:
        network = build_network(seeds, random_seed)
        blank = _stored(network, training.drafts, (0.0,) * (NUM_CLASSES - 1), model.sha256)
        pairs = Pairs(model, out / "pairs", random_seed)
        fitted = _fitted(model, out, pairs, training)
        parts = {name: _part(model, name, fitted) for name in training.drafts}
        drafted = [_shard(model, out, k, pairs, parts, stages.settings, progress) for k in range(training.num_shards)]
        values = torch.stack([_values(blank, shard, training.drafts) for shard in drafted])
        kept = values[: -training.num_held_out].transpose(0, 1).flatten(0, 2)
        edges = _edges(blank, kept)
        classes = torch.from_numpy(_classes(replace(blank, edges=edges), kept))
        stage = entropy_stage(network, kept, classes, random_seed, training)
        stages.train(stage, fingerprint({"values": kept}))
        weights = _stored(network, training.drafts, edges, model.sha256)
        held_out = [_corrections(weights, shard, training.drafts) for shard in drafted[-training.num_held_out :]]
        # An item takes some 30 ms at each level.
        bits = _mean_bits(weights, torch.cat(held_out, 1)[:, :NUM_MEASURED])
        cpu_s = {name: round(seconds) for name, seconds in stages.cpu_s.items()}
        metrics = {name: {str(k): round(row[k] / 8, 1) for k in MEASURED_LEVELS} for name, row in bits.items()}
        done = replace(weights, mean_bits=tuple(bits.values()))
        done.save(
            out, {"metrics": metrics, "trained": {"random_seed": random_seed, **asdict(training), "cpu_s": cpu_s}}
        )
        return metrics


def build_network(seeds: TransformWeights, random_seed: int) -> TransformNetwork:
    """The transform of a code of seeds, and an entropy model that begins as that of the seeds.

    Args:
        seeds: weights of the code of seeds.
        random_seed: of the weights that it has no counterpart for.
    """
    shape = replace(seeds.shape, num_words=1, word_width=1, prompt_width=NUM_HINTS)
    with seeded(random_seed):
        network = TransformNetwork(shape)
    own = network.state_dict()
    for name, tensor in seeds.tensors.items():
        # What reads a prompt has other sizes here; the weights of the anchors come first and are kept.
        if own[name].shape == tensor.shape:
            own[name] = tensor.float()
        elif name.endswith("condition.weight"):
            width = own[name].shape[1] - NUM_HINTS
            own[name] = torch.cat([tensor[:, :width].float(), torch.zeros(len(tensor), NUM_HINTS)], 1)
    network.load_state_dict(own)
    return network


def entropy_stage(
    network: TransformNetwork, values: Tensor, classes: Tensor, random_seed: int, training: CorrectionTraining
) -> Stage:
    """The entropy model learns residuals at all qualities; the transform stays as it is.

    Args:
        network: trained in place.
        values: [num_drafts * n, num_values], draft after draft.
        classes: [num_drafts * n], of the items.
        random_seed: of batches, qualities and noise.
        training: how much.
    """
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.startswith("models."))
    per_draft, groups = len(values) // len(training.drafts), network.shape.groups()

    def loss(step: int) -> Tensor:
        generator = torch_stream(random_seed, NAME, step)
        items = draw_items(len(values), training.batch_size, generator)
        quality = NUM_QUALITIES * torch.rand(len(items), generator=generator)
        hints = torch.zeros(len(items), NUM_HINTS)
        hints[torch.arange(len(items)), classes[items]] = 1.0
        hints[torch.arange(len(items)), NUM_CLASSES + items // per_draft] = 1.0
        condition = torch.cat([anchor_weights(quality), hints], 1)
        gains = network.gains(anchor_weights(quality)).detach()
        own = values[items].float()
        noise = torch.rand(own.shape, generator=generator) - 0.5
        with half_precision(torch.device("cpu")):
            bits = rate(network, groups, own, condition, gains, noise)
        return (bits / usual_bits(quality)).mean()

    return Stage(NAME, training.num_steps, network, adamw([network], [training.rate]), [training.rate], 0.99, loss)


def rate(
    network: TransformNetwork,
    groups: Sequence[Tensor],
    values: Tensor,
    condition: Tensor,
    gains: Tensor,
    noise: Tensor,
) -> Tensor:
    """[n], bits of residuals rounded with the dead zone.

    Deviations learn from rounded values, means from values with noise in the place of rounding.

    Args:
        network: whose entropy model.
        groups: places of the values that are coded together.
        values: [n, num_values].
        condition: [n, condition_width].
        gains: [n, num_values], log2 of steps per unit.
        noise: [n, num_values], uniform in [-0.5, 0.5].
    """
    received, bits = torch.zeros_like(values), torch.zeros(len(values))
    for group, places in enumerate(groups):
        mean, log2_deviation = network.expect(group, places, received, condition)
        gain = torch.exp2(gains[:, places])
        rest = (values[:, places] - mean) * gain
        rounded = (rest.sign() * (rest.abs() + 0.5 - DEAD_ZONE).floor()).detach()
        spread = (log2_deviation + gains[:, places]).clamp(SMALLEST_LOG2, LARGEST_LOG2)
        noisy = gaussian_bits(rest + noise[:, places], spread.detach().clamp_min(NARROWEST_LOG2)).sum(1)
        # `noisy` adds its gradient and no value.
        bits = bits + gaussian_bits(rounded, spread).sum(1) + noisy - noisy.detach()
        received = received.index_copy(1, places, (mean + rounded / gain).detach().to(received.dtype))
    return bits


def _fitted(model: DiffusionModel, out: Path, pairs: Pairs, training: CorrectionTraining) -> FittedDrafts:
    """The fitted steps of the folder; made once."""
    names = [name for name in training.drafts if name.startswith("fitted-")]
    path, denoiser = out / "drafts.json", model.denoiser
    if path.exists():
        return read_fitted(path)
    shards = [pairs.shard(number) for number in range(training.num_fitted)]
    captions = [caption for _, _, own in shards for caption in own]
    with half_precision(torch.device("cpu")):
        runs = run_whole(model, torch.cat([noise.float() for noise, _, _ in shards]), captions)
        steps = fit_all(model, runs, dict(zip(names, training.fitted, strict=True)))
    found = FittedDrafts(model.sha256, denoiser.num_steps, denoiser.guidance_scale, steps)
    found.save(path, {"num_pairs": len(captions)})
    return found


def _part(model: DiffusionModel, name: str, fitted: FittedDrafts) -> Part:
    return Fitted(model.denoiser, fitted.steps[name]) if name in fitted.steps else draft_part(model, name)


def _shard(
    model: DiffusionModel, out: Path, number: int, pairs: Pairs, parts: Mapping[str, Part],
    settings: Mapping[str, Any], progress: Progress,
) -> dict[str, Tensor]:  # fmt: skip
    """`latent` and a tensor per draft [40, *latent] of a shard; made once."""
    shown = {name: settings[name] for name in ("model_sha256", "random_seed", "drafts", "fitted", "num_fitted")}
    checkpoint = Checkpoint(out / "drafts" / f"{number:04d}.safetensors", {**shown, "shard": number})
    if (found := checkpoint.read()) is None:
        noise, latents, captions = pairs.shard(number)
        found = {}, {"latent": latents.half(), **_drafts(model, noise, captions, parts)}
        checkpoint.write(*found)
    progress("drafts", number + 1, settings["num_shards"], 0.0)
    return {name: tensor.float() for name, tensor in found[1].items()}


@torch.no_grad()
def _drafts(
    model: DiffusionModel, noise: Tensor, captions: Sequence[str], parts: Mapping[str, Part]
) -> dict[str, Tensor]:
    random = Random.of([0] * len(captions))
    tensors: dict[str, Tensor] = {"prompt": text_to_tensor(list(captions)), "latent": noise.float()}
    with half_precision(torch.device("cpu")):
        tensors |= model.text_encoder(tensors, random)
        made = {name: part(tensors, random)["draft"] for name, part in parts.items()}
    return {name: draft.half() for name, draft in made.items()}


def _values(weights: CorrectionWeights, shard: dict[str, Tensor], drafts: Sequence[str]) -> Tensor:
    """[num_drafts, 40, num_values], half precision: what the drafts of a shard lack."""
    code = ResidualCode(weights=weights)
    latents = shard["latent"].flatten(1)
    return torch.stack([code.residual(latents, shard[name].flatten(1)).half() for name in drafts])


def _corrections(weights: CorrectionWeights, shard: dict[str, Tensor], drafts: Sequence[str]) -> Tensor:
    """[num_drafts, 40, num_values + 1], residuals with the digests of drafts behind them."""
    values = _values(weights, shard, drafts).float()
    marks = torch.stack([digests(shard[name]) for name in drafts])
    return torch.cat([values, marks[..., None].float()], 2)


def _edges(weights: CorrectionWeights, values: Tensor) -> tuple[float, ...]:
    """Limits between classes: octaves of what is lacking, about where drafts lie."""
    lacks = torch.from_numpy(weights.lacks(values.double().numpy()))
    shares = torch.arange(1, NUM_CLASSES, dtype=torch.float64) / NUM_CLASSES
    return tuple(round(x, 3) for x in torch.quantile(lacks, shares).tolist())


def _classes(weights: CorrectionWeights, values: Tensor) -> Any:
    return weights.classes(values.double().numpy())


def _stored(
    network: TransformNetwork, drafts: tuple[str, ...], edges: tuple[float, ...], model_sha256: str
) -> CorrectionWeights:
    tensors = {name: tensor.detach().half().contiguous() for name, tensor in network.state_dict().items()}
    unknown = ((0.0,) * NUM_LEVELS,) * len(drafts)
    return CorrectionWeights(network.shape, drafts, edges, tensors, unknown, model_sha256)


def _mean_bits(weights: CorrectionWeights, corrections: Tensor) -> dict[str, tuple[float, ...]]:
    """Mean information content by draft at every level, of corrections [num_drafts, n, num_values + 1]."""
    found = {}
    for name, own in zip(weights.drafts, corrections, strict=True):
        codes = [ResidualCode(level=level, draft=name, weights=weights) for level in MEASURED_LEVELS]
        logarithms = [math.log(sum(item.bits for item in code.items(own)) / len(own)) for code in codes]
        # In logarithms, in which lengths are nearly straight over levels.
        every = np.exp(np.interp(np.arange(NUM_LEVELS), MEASURED_LEVELS, logarithms))
        found[name] = tuple(float(bits) for bits in every)
    return found
