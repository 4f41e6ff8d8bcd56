"""Denoisers of pictures as models that clients train: their rows, their task, and what every step draws anew."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, NamedTuple, final

import numpy as np
import torch
from torch import Tensor, nn

from gainnet.core.errors import ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.families import Family
from gainnet.models.language_families.family import LanguageFamily

SHARE_OF_DROPPED_CAPTIONS: Final = 0.1
"""Denoising without a caption is learned along, as classifier-free guidance needs it (Ho and Salimans 2022)."""
PICTURES_AT_ONCE: Final = 32
RANDOM_SEEDS_APART: Final = 1000
"""Item k of random seed s has the streams of 1000 s + k."""


def noisy_of(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    r"""$\sqrt{\bar\alpha}\,x_0 + \sqrt{1-\bar\alpha}\,\epsilon$, noisy latents [batch, *shape].

    Args:
        clean: [batch, *shape].
        noise: [batch, *shape].
        alpha: $\bar\alpha$, share of signal power, [batch, 1, ...].
    """
    return alpha.sqrt() * clean + (1 - alpha).sqrt() * noise


def velocity_of(clean: Tensor, noise: Tensor, alpha: Tensor) -> Tensor:
    r"""$\sqrt{\bar\alpha}\,\epsilon - \sqrt{1-\bar\alpha}\,x_0$ (Salimans and Ho 2022); arguments as of `noisy_of`."""
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


def velocity_weight(alpha: Tensor) -> Tensor:
    """Weight of a velocity's error by its share of signal power: 1 up to SNR 5 and falling as 6 / (SNR + 1) after.

    That is min-SNR-5 for velocities, (min(SNR, 5) + 1) / (SNR + 1) (Hang et al. 2023).

    >>> [round(weight, 2) for weight in velocity_weight(torch.tensor([0.0, 0.5, 0.99])).tolist()]
    [1.0, 1.0, 0.06]
    """
    # 1 / (SNR + 1) = 1 - alpha, which stays finite at both ends
    return (6 * (1 - alpha)).clamp(max=1)


class Predicted(NamedTuple):
    """Prediction [batch, values] of a denoiser, under the name that rounds of learning read."""

    logits: Tensor


@final
@dataclass(frozen=True)
class Denoising:
    """The task of a denoiser as a `LanguageFamily`: to predict noise, or velocity, at a time that was drawn.

    A row of a client is [condition | clean latent | noise | time], one picture and one draw; labels are
    [weight | target], and the loss of a row is the weighted mean square error, in the place of nats.
    """

    name: ClassVar[str] = "denoising"
    peft_task: ClassVar[str | None] = None

    def opens(self, config: Any, architecture: str) -> bool:
        # Never by its configuration: the module below names its family itself.
        return False

    def loader(self) -> Any:
        raise ModelError("model: a denoiser is opened with its pipeline; give a folder in diffusers' format")

    def stacks(self, model: Any) -> tuple[nn.Module, ...]:
        raise ModelError("model: denoisers are not cut for learning; choose the algorithm lora or fedavg")

    def head(self, model: Any) -> nn.Module | None:
        return None

    def task(self, model: Any, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latent, time and condition [batch, ...] in one tensor, and labels [batch, 1 + values]."""
        sizes, schedule = _plain(model).sizes, _plain(model).alphas
        condition, clean, noise, time = rows.to(schedule.dtype).split(sizes, dim=1)
        alpha = schedule[time[:, 0].long()][:, None]
        noisy = noisy_of(clean, noise, alpha)
        if _plain(model).predicts_velocity:
            target, weight = velocity_of(clean, noise, alpha), velocity_weight(alpha)
        else:
            # Weights by min-SNR-5 (Hang et al. 2023).
            target, weight = noise, (5 * (1 - alpha) / alpha.clamp_min(1e-12)).clamp(max=1)
        return torch.cat((noisy, time, condition), dim=1), torch.cat((weight, target), dim=1)

    def inputs(self, model: Any, given: Tensor, labels: Tensor) -> dict[str, Tensor]:
        num_states, num_values, _, _ = _plain(model).sizes
        noisy, time, condition = given.split((num_values, 1, num_states), dim=1)
        return {"noisy": noisy, "time": time[:, 0], "condition": condition}

    def losses(self, logits: Tensor, labels: Tensor) -> Tensor:
        """[batch, 1], weighted mean square error of predictions [batch, values], labels as of `task`."""
        return labels[:, :1] * (logits - labels[:, 1:]).square().mean(1, keepdim=True)

    def predicted(self, labels: Tensor) -> Tensor:
        # One loss per picture, which is never ignored.
        return labels[:, :1]

    def probe(self, model: Any) -> tuple[Tensor, Tensor]:
        return self.task(model, torch.linspace(0, 1, 2 * sum(_plain(model).sizes)).reshape(2, -1))

    def mistake(self, model: Any, rows: Tensor) -> str | None:
        wanted = sum(_plain(model).sizes)
        if rows.shape[1] != wanted:
            return f"rows: {rows.shape[1]} values are no picture and draw of {wanted}; make them with rows_of_pictures"
        return None


@final
class TrainedDenoiser(nn.Module):
    """The denoiser of a pipeline, called as rounds of learning call a model.

    noisy [b, values], time [b], condition [b, states] --unet--> logits [b, values]

    Args:
        model: whose denoiser it is; its weights are shared, not copied.

    Raises:
        ModelError: the model has no UNet that was trained on a schedule of noise.
    """

    gainnet_family: LanguageFamily = Denoising()
    alphas: Tensor

    def __init__(self, model: DiffusionModel) -> None:
        super().__init__()
        scheduler, kind = model.pipeline.scheduler, model.pipeline.scheduler.config.get("prediction_type", "epsilon")
        if model.family.denoiser != "unet" or kind not in ("epsilon", "v_prediction"):
            raise ModelError(f"model: {model.name} has no UNet of noise or velocity to train; take a model of sd")
        self.unet: nn.Module = model.denoiser.network
        self.predicts_velocity = kind == "v_prediction"
        self._call: Family = model.family
        self._latent, self._states = model.denoiser.latent.shape, model.family.num_values(model.pipeline)
        self.register_buffer("alphas", scheduler.alphas_cumprod.float(), persistent=False)

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """Values of condition, clean latent, noise and time in a row."""
        num_values = math.prod(self._latent)
        return math.prod(self._states), num_values, num_values, 1

    @property
    def adapted_maps(self) -> list[str]:
        """Names of the maps that LoRA adapts: all linear ones and convolutions of the denoiser."""
        # A style is colours and edges, too, which convolutions draw; small denoisers attend at coarse scales alone.
        return [name for name, part in self.unet.named_modules() if isinstance(part, nn.Linear | nn.Conv2d)]

    def forward(self, noisy: Tensor, time: Tensor, condition: Tensor, use_cache: bool = False) -> Predicted:
        """The prediction for latents [batch, values] at times [batch] under conditions [batch, states].

        Args:
            noisy: [batch, values].
            time: [batch], of the schedule.
            condition: [batch, states].
            use_cache: of models of text; nothing is kept here.
        """
        latent, states = noisy.unflatten(1, self._latent), condition.unflatten(1, self._states)
        return Predicted(self._call.predict(self.unet, latent, time, states, 1.0).flatten(1))


@final
@dataclass(frozen=True, eq=False)
class FreshDraws:
    """New noise and a new time for every row of a step, and now and then no caption.

    Args:
        sizes: of condition, clean latent, noise and time in a row.
        num_times: of the schedule.
        blank: [states], condition without a caption.
    """

    sizes: tuple[int, int, int, int]
    num_times: int
    blank: Tensor

    def __call__(self, rows: Tensor, random: Random) -> Tensor:
        """[num_rows, length], rows [num_rows, length] with draws of their own from the streams of a step."""
        generator, count = random.generators("denoising")[0], len(rows)
        noise = torch.from_numpy(generator.standard_normal((count, self.sizes[2]), dtype=np.float32))
        # Each row by itself, not spread over the batch: who else is in a private sample must not change a row's draw.
        time = torch.from_numpy(generator.integers(self.num_times, size=(count, 1))).float()
        dropped = torch.from_numpy(generator.random((count, 1)) < SHARE_OF_DROPPED_CAPTIONS)
        condition, clean, _, _ = rows.split(self.sizes, dim=1)
        return torch.cat((torch.where(dropped, self.blank, condition), clean, noise, time), dim=1)


def fresh_draws(denoiser: TrainedDenoiser, model: DiffusionModel) -> FreshDraws:
    """The draws of every step of a client, for a denoiser of a model."""
    return FreshDraws(denoiser.sizes, len(denoiser.alphas), _conditions(model, [""])[0])


@torch.no_grad()
def rows_of_pictures(
    denoiser: TrainedDenoiser, model: DiffusionModel, pictures: Tensor, captions: Sequence[str], random: Random
) -> Tensor:
    """[num_pictures, length] float32, rows of pictures with a draw of noise and times, which are spread evenly.

    Args:
        denoiser: that reads them.
        model: whose autoencoder and text encoder make them.
        pictures: [num_pictures, 3, height, width] in [0, 1], of the model's size.
        captions: one per picture.
        random: one item.
    """
    encoder, device = model.image_encoder, next(denoiser.parameters()).device
    chunks = [
        encoder({"image": some.to(device)}, Random.of([0] * len(some)))["latent"].cpu()
        for some in pictures.split(PICTURES_AT_ONCE)
    ]
    clean = torch.cat(chunks).flatten(1)
    noise = random.normal(clean.shape, "noise")
    # Strata of times: the mean loss of few test pictures is then that of the whole schedule.
    strata = (torch.arange(len(clean)) + random.uniform((len(clean),), "time")) / len(clean)
    time = (strata * len(denoiser.alphas)).long().clamp(max=len(denoiser.alphas) - 1)[:, None].float()
    return torch.cat((_conditions(model, captions), clean, noise, time), dim=1)


@torch.no_grad()
def _conditions(model: DiffusionModel, captions: Sequence[str]) -> Tensor:
    """[num_captions, states] of captions."""
    _, height, width = model.decoder.writes["image"].shape
    chunks = [captions[start : start + PICTURES_AT_ONCE] for start in range(0, len(captions), PICTURES_AT_ONCE)]
    found = [model.family.encode(model.pipeline, some, 1, (height, width)).flatten(1) for some in chunks]
    return torch.cat(found).float().cpu()


def with_denoiser(model: DiffusionModel, network: nn.Module) -> DiffusionModel:
    """A model that denoises with another network of the same shape; everything else is shared."""
    pipeline = copy.copy(model.pipeline)
    pipeline.unet = network
    return replace(model, denoiser=replace(model.denoiser, pipeline=pipeline), pipeline=pipeline)


@torch.no_grad()
def draw_captions(model: DiffusionModel, captions: Sequence[str], random_seed: int = 0) -> Tensor:
    """[num_captions, 3, height, width] in [0, 1], what a model draws.

    Args:
        model: whose parts run, without a channel.
        captions: one per picture.
        random_seed: of the initial noise, which depends on the place of a caption, too.
    """
    found = []
    for start in range(0, len(captions), PICTURES_AT_ONCE):
        some = list(captions[start : start + PICTURES_AT_ONCE])
        # One stream per picture: picture 3 of 50 is picture 3 of 5.
        random = Random.of([RANDOM_SEEDS_APART * random_seed + start + item for item in range(len(some))])
        tensors: dict[str, Tensor] = {"prompt": text_to_tensor(some)}
        for part in model.parts:
            tensors |= part(tensors, random)
        found.append(tensors["image"].cpu())
    return torch.cat(found)


def _plain(model: Any) -> TrainedDenoiser:
    """The denoiser below what PEFT has put around it."""
    found: TrainedDenoiser = model.get_base_model() if hasattr(model, "get_base_model") else model
    return found
