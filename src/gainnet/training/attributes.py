"""Training the attribute classifier on pictures as they are drawn, blurred, noisy and decoded."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from gainnet.models.attributes import AttributeClassifier
from gainnet.models.autoencoder import SceneAutoencoder
from gainnet.models.scenes import draw_scenes, render, scene_labels, stream
from gainnet.training.autoencoder import torch_stream
from gainnet.training.muon import muon_and_adamw
from gainnet.training.text_encoder import attribute_loss

MAX_NOISE = 0.08
MAX_LATENT_NOISE = 0.4


def _blurred(pictures: Tensor, share: Tensor) -> Tensor:
    """A mix of each picture and its mean over 3x3 pixels."""
    blurred = functional.avg_pool2d(functional.pad(pictures, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return pictures.lerp(blurred, share)


@final
class AttributeStage:
    """The classifier on fresh scenes at every step.

    A third of a batch went through the autoencoder with noise on the latents; then all are blurred and get noise, in
    random strength, so that it judges what was generated or received as well as what was drawn.
    """

    name = "attributes"
    ema_decay = 0.998
    peak_rates = (2e-3, 1e-3)

    def __init__(
        self,
        classifier: AttributeClassifier,
        autoencoder: SceneAutoencoder,
        random_seed: int,
        num_steps: int,
        batch_size: int,
        torch_device: torch.device,
    ) -> None:
        self.model: nn.Module = classifier.to(torch_device)
        self.autoencoder = autoencoder
        nn.Module.to(autoencoder, torch_device)
        self.random_seed, self.num_steps, self.batch_size = random_seed, num_steps, batch_size
        self.torch_device = torch_device
        self.optimizers = muon_and_adamw(classifier, (classifier.body[1], classifier.body[-1]))

    @torch.no_grad()
    def _decoded(self, pictures: Tensor, generator: torch.Generator) -> Tensor:
        latents = self.autoencoder.encoder(pictures * 2 - 1).float()
        strength = MAX_LATENT_NOISE * torch.rand(len(latents), 1, 1, 1, generator=generator)
        noise = strength * torch.randn(latents.shape, generator=generator)
        decoded: Tensor = self.autoencoder.decoder(latents + noise.to(latents.device)).float() / 2 + 0.5
        return decoded.clamp(0, 1)

    def loss(self, step: int) -> Tensor:
        scenes = draw_scenes(self.batch_size, stream(self.random_seed, self.name, step))
        generator = torch_stream(self.random_seed, f"{self.name} noise", step)
        pictures = render(scenes).to(self.torch_device)
        third = max(1, self.batch_size // 3)
        with torch.autocast(self.torch_device.type, torch.bfloat16):
            pictures[:third] = self._decoded(pictures[:third], generator)
            strengths = torch.rand(2, self.batch_size, 1, 1, 1, generator=generator)
            noise = MAX_NOISE * strengths[1].square() * torch.randn(pictures.shape, generator=generator)
            pictures = _blurred(pictures, strengths[0].to(self.torch_device)) + noise.to(self.torch_device)
            logits = self.model(pictures)
        return attribute_loss([logit.float() for logit in logits], scene_labels(scenes).to(self.torch_device))
