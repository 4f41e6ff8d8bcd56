"""Training of networks that name the attributes of a picture, as it was drawn, decoded or disturbed."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.models.attributes import AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import draw_scenes, render, scene_labels, stream
from gainnet.training.autoencoder import torch_stream
from gainnet.training.loop import Stage
from gainnet.training.muon import muon_and_adamw
from gainnet.training.text_encoder import attribute_loss

MAX_NOISE = 0.08
MAX_LATENT_NOISE = 0.4

Disturb = Callable[[Tensor, torch.Generator], Tensor]
"""Pictures [batch, 3, height, width] in [0, 1] to what is seen of them."""


def attribute_stage(
    name: str,
    network: AttributeClassifier,
    autoencoder: SceneAutoencoder,
    disturb: Disturb,
    max_latent_noise: float,
    random_seed: int,
    num_steps: int,
    batch_size: int,
    torch_device: torch.device,
) -> Stage:
    """A classifier of attributes on fresh scenes at every step.

    A third of a batch goes through the autoencoder with noise on the latents, then all of it is disturbed, so that the
    network judges what was generated or received as well as what was drawn.

    Args:
        name: of the stage and of its random streams.
        network: the judge or the checker.
        autoencoder: of the third.
        disturb: what is done to pictures before they are seen.
        max_latent_noise: largest standard deviation of the noise on latents, which have unit variance.
        random_seed: of scenes, noise and disturbances.
        num_steps: training steps in all.
        batch_size: pictures per step.
        torch_device: where to train.
    """
    model: nn.Module = network.to(torch_device)
    nn.Module.to(autoencoder, torch_device)
    third = max(1, batch_size // 3)

    @torch.no_grad()
    def decoded(pictures: Tensor, generator: torch.Generator) -> Tensor:
        latents = autoencoder.encoder(pictures * 2 - 1).float()
        strength = max_latent_noise * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noise = strength * torch.randn(latents.shape, generator=generator)
        found: Tensor = autoencoder.decoder(latents + noise.to(torch_device)).float() / 2 + 0.5
        return found.clamp(0, 1)

    def loss(step: int) -> Tensor:
        scenes = draw_scenes(batch_size, stream(random_seed, name, step))
        generator = torch_stream(random_seed, f"{name} noise", step)
        pictures = render(scenes).to(torch_device)
        with torch.autocast(torch_device.type, torch.bfloat16):
            pictures[:third] = decoded(pictures[:third], generator)
            logits = model(disturb(pictures, generator))
        return attribute_loss([logit.float() for logit in logits], scene_labels(scenes).to(torch_device))

    optimizers = muon_and_adamw(network, (network.body[1], network.body[-1]))
    return Stage(name, num_steps, model, optimizers, (2e-3, 1e-3), 0.998, loss)


def blur_and_noise(pictures: Tensor, generator: torch.Generator) -> Tensor:
    """[n, 3, H, W], a mix of each picture and its mean over 3x3 pixels, with white noise, both of random strength."""
    strengths = torch.rand(2, len(pictures), 1, 1, 1, generator=generator)
    # Squared, so that most pictures have little noise.
    noise = MAX_NOISE * strengths[1].square() * torch.randn(pictures.shape, generator=generator)
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return pictures.lerp(blurred, strengths[0].to(pictures.device)) + noise.to(pictures.device)
