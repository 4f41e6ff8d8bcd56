"""Training a denoiser on latents of captioned pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from gainnet.core.precision import half_precision
from gainnet.core.randomness import seeded
from gainnet.models.denoising import SHARE_OF_DROPPED_CAPTIONS, noisy_of, velocity_of, velocity_weight
from gainnet.models.scenes import Scenes, stream, write_captions
from gainnet.training.autoencoder import torch_stream
from gainnet.training.loop import Stage
from gainnet.training.text_encoder import tokens_of

if TYPE_CHECKING:
    from diffusers import DDIMScheduler
    from transformers import CLIPTextModel, PreTrainedTokenizerBase

Examples = Callable[[int, torch.Generator, np.random.Generator], tuple[Tensor, list[str]]]
"""Gives a step's clean latents [batch, c, h, w] and captions; one generator chooses, the other writes."""

NAME, CAPTIONS = "denoiser", "denoiser captions"
PEAK_RATES = (8e-4, 8e-5)
"""Of the scenes' U-Net, and of their text encoder, which is pre-trained."""


def build_scheduler() -> DDIMScheduler:
    """DDIM with v-prediction and a schedule that ends in pure noise, steps counted from there (Lin et al. 2024)."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
        # Other spacings leave out the last timestep, whose SNR is 0, although sampling starts from pure noise.
        timestep_spacing="trailing",
        rescale_betas_zero_snr=True,
        clip_sample=False,
        set_alpha_to_one=True,
        steps_offset=1,
    )


def build_denoiser(random_seed: int, channels: tuple[int, ...], hidden_size: int) -> nn.Module:
    """Stable Diffusion's U-Net, small: one residual block and one transformer per level."""
    from diffusers import UNet2DConditionModel

    levels = len(channels)
    with seeded(random_seed):
        denoiser: Any = UNet2DConditionModel(
            sample_size=16,
            in_channels=4,
            out_channels=4,
            block_out_channels=channels,
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            cross_attention_dim=hidden_size,
            attention_head_dim=4,
            # pixels of the finest level look at words only: 256 x 256 self-attention would cost a third of the time
            only_cross_attention=(True, *(False,) * (levels - 1)),
            norm_num_groups=8,
        )
        return cast(nn.Module, denoiser)


def plain_attention(denoiser: Any) -> nn.Module:
    """The same network with attention as two matrix products: on a processor faster than the fused one."""
    from diffusers.models.attention_processor import AttnProcessor

    denoiser.set_attn_processor(AttnProcessor())
    return cast(nn.Module, denoiser)


def draw_items(num_items: int, batch_size: int, generator: torch.Generator) -> Tensor:
    """[batch_size], which items a training step takes, with replacement."""
    return torch.randint(num_items, (batch_size,), generator=generator)


def captions_seen(scenes: Scenes, random_seed: int, num_steps: int, batch_size: int) -> set[str]:
    """All captions that a denoiser's training writes, those included that it drops.

    Args:
        scenes: the scenes it is trained on.
        random_seed: as of `denoiser_stage`, like the others.
        num_steps: training steps.
        batch_size: captions per step.
    """
    seen: set[str] = set()
    for step in range(num_steps):
        chosen = draw_items(len(scenes), batch_size, torch_stream(random_seed, NAME, step))
        seen.update(write_captions(scenes[chosen.numpy()], stream(random_seed, CAPTIONS, step)))
    return seen


def scene_examples(latents: Tensor, scenes: Scenes, batch_size: int) -> Examples:
    """Latents [n, 4, 16, 16] of n scenes with captions that are written afresh at every step."""

    def draw(step: int, generator: torch.Generator, rng: np.random.Generator) -> tuple[Tensor, list[str]]:
        chosen = draw_items(len(latents), batch_size, generator)
        return latents[chosen].float(), write_captions(scenes[chosen.numpy()], rng)

    return draw


def adamw(parts: Sequence[nn.Module], rates: Sequence[float]) -> tuple[AdamW, ...]:
    """An optimizer for each part of a model, at its own rate."""
    return tuple(
        AdamW(part.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.99), fused=True)
        for part, rate in zip(parts, rates, strict=True)
    )


def denoiser_stage(
    denoiser: nn.Module,
    text_encoder: CLIPTextModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    optimizers: Sequence[tuple[Optimizer, float]],
    random_seed: int,
    num_steps: int,
    torch_device: torch.device,
) -> Stage:
    r"""U-Net and text encoder on noisy latents.

    $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon$ and
    $v = \sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0$   (Salimans & Ho 2022);
    the loss is $w_t\lVert v_\theta - v\rVert^2$ with $w_t = (\min(\mathrm{SNR}_t, 5) + 1) / (\mathrm{SNR}_t + 1)$
    (Hang et al. 2023, for v and a schedule that reaches SNR 0).

    Args:
        denoiser: the U-Net, on its device.
        text_encoder: encoder of captions, already pre-trained, on its device.
        tokenizer: its tokenizer.
        examples: latents of unit variance with their captions.
        optimizers: of the parameters of both, each with its peak rate.
        random_seed: of captions, noise and timesteps.
        num_steps: training steps in all.
        torch_device: where to train.
    """
    model = nn.ModuleDict({"denoiser": plain_attention(denoiser), "text_encoder": cast(nn.Module, text_encoder)})
    alphas: Tensor = cast(Any, build_scheduler()).alphas_cumprod

    def hidden_of(captions: list[str], rng: np.random.Generator) -> Tensor:
        # Denoising without a caption is learned along, as classifier-free guidance needs it (Ho & Salimans 2022).
        dropped = rng.random(len(captions)) < SHARE_OF_DROPPED_CAPTIONS
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped, strict=True)]
        return cast(Tensor, text_encoder(tokens_of(tokenizer, captions).to(torch_device)).last_hidden_state)

    def loss(step: int) -> Tensor:
        generator, rng = torch_stream(random_seed, NAME, step), stream(random_seed, CAPTIONS, step)
        clean, captions = examples(step, generator, rng)
        noise = torch.randn(clean.shape, generator=generator)
        timesteps = stratified_timesteps(len(clean), len(alphas), generator)
        alpha = alphas[timesteps].view(-1, 1, 1, 1)
        noisy, velocity = noisy_of(clean, noise, alpha), velocity_of(clean, noise, alpha)
        with half_precision(torch_device):
            hidden = hidden_of(captions, rng)
            predicted = denoiser(noisy.to(torch_device), timesteps.to(torch_device), hidden, return_dict=False)[0]
        error: Tensor = predicted.float() - velocity.to(torch_device)
        return (velocity_weight(alpha).to(torch_device) * error.square()).mean()

    own, rates = [optimizer for optimizer, _ in optimizers], [rate for _, rate in optimizers]
    return Stage(NAME, num_steps, model, own, rates, 0.9995, loss)


def stratified_timesteps(batch_size: int, num_timesteps: int, generator: torch.Generator) -> Tensor:
    """[batch_size], int64, timesteps of a step, uniform over all of them.

    One lies in each of `batch_size` equal intervals, which gives the loss less variance than independent ones.
    """
    share = (torch.arange(batch_size) + torch.rand(batch_size, generator=generator)) / batch_size
    return (share * num_timesteps).long().clamp(max=num_timesteps - 1)
