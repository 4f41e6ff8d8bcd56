"""Fine-tuning the decoder through fading and noise, and the same without a channel as its control."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final, final

import torch
from torch import Tensor, nn

from gainnet.codecs import LinearCode
from gainnet.codecs.components import Components, load_components
from gainnet.core.precision import half_precision
from gainnet.core.randomness import Random
from gainnet.core.run.loop import silent
from gainnet.core.types import Spec
from gainnet.models.decoders import save_decoder
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.radio import AWGN, Rayleigh
from gainnet.radio.fading.channel import Channel
from gainnet.training.autoencoder import torch_stream
from gainnet.training.denoiser import adamw
from gainnet.training.few_steps import Pairs, captions_of
from gainnet.training.loop import Progress, Stage, Training, open_training

AIR, CONTROL = "air", "control"
ARMS: Final = (AIR, CONTROL)
"""Fine-tuned through the channel, and as long without one."""
RANDOM_SEED: Final = 2028
"""Random seed of the captions and noise of the few-step student, whose pairs serve here, too."""
PEAK_RATE: Final = 4e-4
BLOCK_LENGTH: Final = 32
"""Channel uses of a fading block."""
SMALLEST_ERROR: Final = 0.01
"""Mean squared error per entry of a latent below which pictures are not weighted more."""


@final
@dataclass(frozen=True)
class ChannelSteps:
    """How long a decoder is fine-tuned, on how much, and through what.

    Args:
        steps: of each arm.
        batch_size: pictures per step.
        shards: of 40 pairs of noise and latent each.
        nums_channel_uses: uses of a seed; a step takes one of them.
        snrs_db: lowest and highest mean Es/N0, of which every picture draws its own.
        checkpoint_every: steps between checkpoints.
    """

    steps: int = 1500
    batch_size: int = 16
    shards: int = 64
    nums_channel_uses: tuple[int, ...] = (64, 128, 256, 512)
    snrs_db: tuple[float, float] = (-10.0, 20.0)
    checkpoint_every: int = 100


PRESETS = {"default": ChannelSteps(), "tiny": ChannelSteps(4, 2, 1, (64,), checkpoint_every=2)}
"""Name -> how much training: `default` made the published weights, `tiny` only shows that everything runs."""


def installed_name(name: str, arm: str) -> str:
    """Under what an arm is installed.

    >>> installed_name("fading", "air"), installed_name("fading", "control")
    ('fading', 'fading-control')
    """
    return name if arm == AIR else f"{name}-{arm}"


def received_seeds(
    latents: Tensor, basis: Components, num_channel_uses: int, channel: Channel, snr: Tensor, random: Random
) -> Tensor:
    """[n, *latent], seeds behind the linear code, the channel and its LMMSE receiver; differentiable.

    Args:
        latents: [n, *latent], finished.
        basis: principal components of the code.
        num_channel_uses: complex uses of a seed.
        channel: fading and noise.
        snr: [n], mean Es/N0, linear; `inf` for no noise.
        random: streams of the transmission, [n].
    """
    code = LinearCode(num_channel_uses, basis)
    sent = code.encode(latents, snr)
    received = channel.transmit(sent.values, snr, channel.first_gain(random), random)
    return code.decode(replace(received, reported_snr=snr), Spec(tuple(latents.shape[1:])))


def channel_stage(
    arm: str, network: nn.Module, model: DiffusionModel, pairs: Pairs, random_seed: int, steps: ChannelSteps
) -> Stage:
    r"""A decoder that makes the picture of the finished latent $z$ from the latent $\hat z$ that arrived.

    $\frac1n \sum_i \lVert D_\theta(\hat z_i) - D(z_i) \rVert^2 \,/\, (\lVert \hat z_i - z_i \rVert^2 + c)$, all norms
    mean squares: without the denominator the lowest SNR would be all that is learned. Gradients run from the picture
    through the decoder; code, channel and receiver are linear in the latent and have no weights.

    Args:
        arm: `air`, where seeds fade and meet noise, or `control`, where they lose only what the code leaves out.
        network: the decoder's, trained in place.
        model: whose decoder gives the target.
        pairs: of noise and finished latent.
        random_seed: of pictures, SNRs, fading and noise.
        steps: how much training.
    """
    basis, cpu = load_components(model.name, model.sha256), torch.device("cpu")
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    channels: tuple[Channel, ...] = (AWGN(), Rayleigh(BLOCK_LENGTH)) if arm == AIR else (AWGN(),)
    lowest, highest = steps.snrs_db

    def loss(step: int) -> Tensor:
        # Both arms see the same pictures at the same sizes in the same order.
        generator = torch_stream(random_seed, "through channel", step)
        _, latents, _ = pairs.draw(range(steps.shards), steps.batch_size, generator)
        snr_db = lowest + (highest - lowest) * torch.rand(steps.batch_size, generator=generator)
        snr = 10 ** (snr_db / 10) if arm == AIR else torch.full_like(snr_db, math.inf)
        first = step * steps.batch_size
        random = Random.of(range(first, first + steps.batch_size)).child("through channel", random_seed)
        uses = steps.nums_channel_uses[step // 2 % len(steps.nums_channel_uses)]
        arrived = received_seeds(latents, basis, uses, channels[step % len(channels)], snr, random)
        with half_precision(cpu):
            with torch.no_grad():
                target = frozen(latents).float().clamp(-1, 1)
            errors = (network(arrived).float() - target).square().mean((1, 2, 3))
        weighted: Tensor = errors / ((arrived - latents).square().mean((1, 2, 3)) + SMALLEST_ERROR)
        return weighted.mean()

    return Stage(arm, steps.steps, network, adamw([network], [PEAK_RATE]), [PEAK_RATE], 0.995, loss)


def train_through_channel(
    out: Path,
    model_name: str = "scenes",
    random_seed: int = RANDOM_SEED,
    steps: ChannelSteps = PRESETS["default"],
    progress: Progress = silent,
) -> dict[str, str]:
    """Fine-tunes both arms and writes `out/air` and `out/control`; goes on where it was stopped.

    Args:
        out: where pairs, checkpoints and decoders are written; outside of the package.
        model_name: `scenes`, or a folder of a model with a linear code.
        random_seed: of captions, noise, SNRs and fading.
        steps: how much training, see `PRESETS`.
        progress: receives (stage, steps taken, steps in all, mean loss).

    Returns:
        SHA-256 of the weights by arm.

    Raises:
        ConfigError: `out` lies in the package or holds another run.
        ModelError: the model or its linear code is not there or damaged.
    """
    model = load_model(model_name)
    settings = {"random_seed": random_seed, "steps": asdict(steps), "model_sha256": model.sha256}
    with open_training(out, out / "stages", settings, steps.checkpoint_every, progress) as training:
        pairs = Pairs(model, out / "pairs", random_seed)
        return {arm: _train(training, arm, model, pairs, out, random_seed, steps) for arm in ARMS}


def _train(
    training: Training, arm: str, model: DiffusionModel, pairs: Pairs, out: Path, random_seed: int, steps: ChannelSteps
) -> str:
    network = copy.deepcopy(model.pipeline.vae.decoder).float().requires_grad_(True)
    training.train(channel_stage(arm, network, model, pairs, random_seed, steps))
    how = {**training.settings, "arm": arm, "num_samples": steps.steps * steps.batch_size}
    return save_decoder(out / arm, network, model.sha256, {"trained": {**how, "cpu_s": round(training.cpu_s[arm])}})


def captions_trained(trained: Mapping[str, Any]) -> set[str]:
    """All captions that a decoder was fine-tuned on, from `trained` of its `config.json`."""
    return {text for shard in range(trained["steps"]["shards"]) for text in captions_of(trained["random_seed"], shard)}
