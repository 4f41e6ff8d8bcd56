"""Training an autoencoder of pictures: first whole, then its decoder alone."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.core.precision import half_precision
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import draw_scenes, render, stream
from gainnet.training.loop import Stage
from gainnet.training.muon import muon_and_adamw

Draw = Callable[[str, int, int], Tensor]
"""Gives (stage, step, batch size) pictures [batch size, 3, height, width] in [-1, 1], the same at every call."""

LATENT_NOISE = 0.25
WINDOW = 8


def torch_stream(random_seed: int, name: str, step: int) -> torch.Generator:
    """Torch's generator of (random seed, name, step), always on the processor so that devices agree."""
    return torch.Generator().manual_seed(int(stream(random_seed, name, step).integers(2**62)))


def local_ssim(x: Tensor, y: Tensor) -> Tensor:
    """Mean structural similarity over square windows of 8 pixels, every fourth one (Wang et al. 2004, eq. 13).

    Args:
        x: [batch, channels, height, width], pixels in [-1, 1].
        y: likewise.

    >>> float(local_ssim(torch.eye(16).view(1, 1, 16, 16), torch.eye(16).view(1, 1, 16, 16)))
    1.0
    """
    # All five moments in one pooling, which costs little more than one of them.
    moments = functional.avg_pool2d(torch.cat((x, y, x * x, y * y, x * y), dim=1), WINDOW, WINDOW // 2)
    mean_x, mean_y, square_x, square_y, product = moments.chunk(5, dim=1)
    c1, c2 = 0.02**2, 0.06**2
    var_x, var_y, covariance = square_x - mean_x**2, square_y - mean_y**2, product - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + c1) / (mean_x**2 + mean_y**2 + c1)
    return (luminance * (2 * covariance + c2) / (var_x + var_y + c2)).mean()


def reconstruction_loss(reconstructions: Tensor, pictures: Tensor) -> Tensor:
    """Half the mean absolute error, twice the mean square error and a tenth of 1 - SSIM of pictures [n, 3, H, W]."""
    error = reconstructions - pictures
    return 0.5 * error.abs().mean() + 2 * error.square().mean() + 0.1 * (1 - local_ssim(reconstructions, pictures))


def unit_variance_penalty(latents: Tensor) -> Tensor:
    """Squared distance of the means of latents [n, c, h, w] per channel from 0, and of their deviations from 1."""
    mean, deviation = latents.mean((0, 2, 3)), latents.std((0, 2, 3))
    return (mean.square() + (deviation - 1).square()).mean()


def scene_pictures(random_seed: int) -> Draw:
    """Fresh scenes for every step of a stage."""

    def draw(stage: str, step: int, batch_size: int) -> Tensor:
        return render(draw_scenes(batch_size, stream(random_seed, stage, step))) * 2 - 1

    return draw


def _noise(latents: Tensor, generator: torch.Generator) -> Tensor:
    """Gaussian noise for half of the batch, its deviation uniform up to 0.25: the latents will cross a noisy link."""
    strength = LATENT_NOISE * (2 * torch.rand(len(latents), 1, 1, 1, generator=generator) - 1).clamp(min=0)
    return (strength * torch.randn(latents.shape, generator=generator)).to(latents.device)


def _ends(network: nn.Sequential) -> list[nn.Module]:
    """First and last layer, which map from or to pixels and latents, whose scales matter; Muon would equalise them."""
    return [layer for layer in network if isinstance(layer, nn.Conv2d)]


def autoencoder_stage(
    model: SceneAutoencoder, draw: Draw, random_seed: int, num_steps: int, batch_size: int, torch_device: torch.device
) -> Stage:
    """Encoder and decoder together.

    Args:
        model: what is trained.
        draw: its pictures.
        random_seed: of the noise on latents.
        num_steps: steps in all.
        batch_size: pictures per step.
        torch_device: where to train.
    """
    nn.Module.to(model, torch_device)

    def loss(step: int) -> Tensor:
        pictures = draw("autoencoder", step, batch_size).to(torch_device)
        generator = torch_stream(random_seed, "autoencoder noise", step)
        with half_precision(torch_device):
            latents = model.encoder(pictures).float()
            reconstructions = model.decoder(latents + _noise(latents, generator)).float()
        return reconstruction_loss(reconstructions, pictures) + 0.02 * unit_variance_penalty(latents)

    optimizers = muon_and_adamw(model, (*_ends(model.encoder), *_ends(model.decoder)))
    return Stage("autoencoder", num_steps, model, optimizers, (2.5e-3, 1e-3), 0.998, loss)


def decoder_stage(
    model: SceneAutoencoder, draw: Draw, random_seed: int, num_steps: int, batch_size: int, torch_device: torch.device
) -> Stage:
    """The decoder alone behind a frozen encoder; arguments as of `autoencoder_stage`."""
    encoder, decoder = model.encoder.to(torch_device).requires_grad_(False), model.decoder.to(torch_device)

    def loss(step: int) -> Tensor:
        pictures = draw("decoder", step, batch_size).to(torch_device)
        generator = torch_stream(random_seed, "decoder noise", step)
        with half_precision(torch_device):
            with torch.no_grad():
                latents = encoder(pictures).float()
            reconstructions = decoder(latents + _noise(latents, generator)).float()
        return reconstruction_loss(reconstructions, pictures)

    optimizers = muon_and_adamw(decoder, _ends(decoder))
    return Stage("decoder", num_steps, decoder, optimizers, (1e-3, 4e-4), 0.998, loss)
