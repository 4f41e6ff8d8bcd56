"""The contract of a family of latent diffusion models: everything that one differs from another in."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor

Configs = Callable[[str], Mapping[str, Any]]
"""Configuration of a component by its name, empty where the model has none."""


class Family(Hashable, Protocol):
    """How models of one kind are opened and called; a class without fields.

    prompts --encode--> condition [n, branches, num_values];  latent, time, condition --predict--> prediction

    name: of the family.
    pipelines: class names in `model_index.json` that it opens.
    encoders: components that encode text, as far as a model has them.
    denoiser: component that predicts.
    samplers: names in `gainnet.models.samplers.SAMPLERS` that its pipeline runs with.
    """

    name: ClassVar[str]
    pipelines: ClassVar[tuple[str, ...]]
    encoders: ClassVar[tuple[str, ...]]
    denoiser: ClassVar[str]
    samplers: ClassVar[tuple[str, ...]]

    def pipeline(self) -> Any:
        """The class of diffusers that opens a folder and runs text-to-image."""

    def refusal(self, index: Mapping[str, Any], configs: Configs) -> str | None:
        """An input that the model needs beside a prompt; `None` where it needs none.

        Args:
            index: of `model_index.json`.
            configs: of the components.
        """

    def grain(self, config: Any) -> int:
        """Entries of the latent that its sides have to be a multiple of, by the configuration of the denoiser."""

    def sides(self, config: Any) -> tuple[int, int]:
        """Height and width of the latent that the model makes by default, by the configuration of the denoiser."""

    def num_channels(self, config: Any) -> int:
        """Channels of the latent, by the configuration of the denoiser."""

    def num_branches(self, config: Any, guidance_scale: float) -> int:
        """2 where guidance takes a prediction without the prompt, too; 1 where it is an input of the network or off."""

    def texts(self, pipeline: Any, num_branches: int) -> Mapping[str, tuple[int, ...]]:
        """Lengths of the texts that each of `encoders` reads per prompt, for those that the pipeline has."""

    def num_values(self, pipeline: Any) -> tuple[int, ...]:
        """Shape of the condition of one branch."""

    def encode(self, pipeline: Any, prompts: Sequence[str], num_branches: int, sides: tuple[int, int]) -> Tensor:
        """[n, num_branches, *num_values], condition of n prompts; the branch without the prompt comes first.

        Args:
            pipeline: opened.
            prompts: one per item.
            num_branches: 1 or 2.
            sides: height and width of the picture in pixels.
        """

    def predict(self, network: Any, latent: Tensor, time: Tensor, condition: Tensor, guidance_scale: float) -> Tensor:
        """[n, c, h, w], the prediction of the denoiser.

        Args:
            network: the denoiser.
            latent: [n, c, h, w], scaled as the sampler scales its input.
            time: of the sampler, a number or [n].
            condition: [n, *num_values], of one branch each.
            guidance_scale: for networks that take it as an input.
        """

    def timing(self, scheduler: Any, config: Any, num_steps: int, sides: tuple[int, int]) -> Mapping[str, Any]:
        """Further arguments of the scheduler's `set_timesteps`.

        Args:
            scheduler: of the pipeline.
            config: of the denoiser.
            num_steps: of the sampler.
            sides: height and width of the latent.
        """

    def first_step(self, num_steps: int, strength: float) -> int:
        """Steps that image-to-image of a strength above 0 to 1 leaves out, rounded as the family's pipeline does."""

    def to_decoder(self, config: Any, latent: Tensor) -> Tensor:
        """[n, c, h, w], input of the autoencoder's decoder for latents [n, c, h, w], by its configuration."""

    def from_encoder(self, config: Any, coded: Tensor) -> Tensor:
        """[n, c, h, w], latents of outputs [n, c, h, w] of the autoencoder's encoder; the inverse of `to_decoder`."""


def device_of(network: Any) -> torch.device:
    """Where the parameters of a network are."""
    # Not the pipeline's own device, for which diffusers looks through all modules at every call.
    device: torch.device = next(network.parameters()).device
    return device


def to_shifted(config: Any, latent: Tensor) -> Tensor:
    """[n, c, h, w], what an autoencoder decodes; latent = factor * (coded - shift)."""
    factor, shift = _factor_and_shift(config)
    return latent / factor + shift


def from_shifted(config: Any, coded: Tensor) -> Tensor:
    """[n, c, h, w], the latent of what an autoencoder encoded; see `to_shifted`."""
    factor, shift = _factor_and_shift(config)
    return (coded - shift) * factor


def _factor_and_shift(config: Any) -> tuple[float, float]:
    return float(config.scaling_factor), float(getattr(config, "shift_factor", None) or 0.0)


def first_step_of_flow(num_steps: int, strength: float) -> int:
    """Steps that image-to-image leaves out; what is left out is rounded down, unlike with a UNet."""
    return int(num_steps - min(num_steps * strength, num_steps))


def in_branches(without: Tensor | None, with_prompt: Tensor) -> Tensor:
    """[n, branches, ...] of one or two conditions [n, ...]; the order of diffusers, without the prompt first."""
    return torch.stack([with_prompt] if without is None else [without, with_prompt], dim=1)


def packed(*pieces: Tensor) -> Tensor:
    """[n, num_values], everything that a branch knows, in one row per item."""
    return torch.cat([piece.flatten(1) for piece in pieces], dim=1)
