"""Training the denoiser on latents of captioned scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast, final

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from gainnet.models.scenes import Scenes, build_tokenizer, stream, write_captions
from gainnet.training.autoencoder import torch_stream
from gainnet.training.text_encoder import tokens_of

if TYPE_CHECKING:
    from diffusers import DDIMScheduler
    from transformers import CLIPTextModel

SHARE_OF_DROPPED_CAPTIONS = 0.1
NAME, CAPTIONS = "denoiser", "denoiser captions"


def build_scheduler() -> DDIMScheduler:
    """DDIM with v-prediction and a schedule that ends in pure noise, steps counted from there (Lin et al. 2024)."""
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type="v_prediction",
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(random_seed)
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
        random_seed: as in `DenoiserStage`, like the others.
        num_steps: training steps.
        batch_size: captions per step.
    """
    seen: set[str] = set()
    for step in range(num_steps):
        chosen = draw_items(len(scenes), batch_size, torch_stream(random_seed, NAME, step))
        seen.update(write_captions(scenes[chosen.numpy()], stream(random_seed, CAPTIONS, step)))
    return seen


@final
class DenoiserStage:
    r"""U-Net and text encoder (at a tenth of the rate) on noisy latents.

    $x_t = \sqrt{\bar\alpha_t}\,x_0 + \sqrt{1-\bar\alpha_t}\,\epsilon$ and
    $v = \sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1-\bar\alpha_t}\,x_0$   (Salimans & Ho 2022);
    the loss is $w_t\lVert v_\theta - v\rVert^2$ with $w_t = (\min(\mathrm{SNR}_t, 5) + 1) / (\mathrm{SNR}_t + 1)$
    (Hang et al. 2023, for v and a schedule that reaches SNR 0).

    Args:
        denoiser: the U-Net.
        text_encoder: encoder of captions, already pre-trained.
        latents: [n, 4, 16, 16], unit variance.
        scenes: the n scenes of the latents; captions are written afresh at every step.
        random_seed: of captions, noise and timesteps.
        num_steps: training steps in all.
        batch_size: latents per step.
        torch_device: where to train.
    """

    name = NAME
    ema_decay = 0.9995
    peak_rates = (8e-4, 8e-5)

    def __init__(
        self,
        denoiser: nn.Module,
        text_encoder: CLIPTextModel,
        latents: Tensor,
        scenes: Scenes,
        random_seed: int,
        num_steps: int,
        batch_size: int,
        torch_device: torch.device,
    ) -> None:
        parts: dict[str, nn.Module] = {"denoiser": plain_attention(denoiser), "text_encoder": text_encoder}
        self.model: nn.Module = nn.ModuleDict(parts).to(torch_device)
        self.denoiser, self.text_encoder = denoiser, text_encoder
        self.latents, self.scenes = latents, scenes
        self.random_seed, self.num_steps, self.batch_size = random_seed, num_steps, batch_size
        self.torch_device = torch_device
        self.tokenizer = build_tokenizer()
        self.alphas: Tensor = cast(Any, build_scheduler()).alphas_cumprod
        settings: dict[str, Any] = {"weight_decay": 0.01, "betas": (0.9, 0.99), "fused": True}
        self.optimizers = tuple(
            AdamW(part.parameters(), lr=rate, **settings)
            for part, rate in zip(parts.values(), self.peak_rates, strict=True)
        )

    def _hidden(self, chosen: Scenes, step: int) -> Tensor:
        rng = stream(self.random_seed, CAPTIONS, step)
        captions = write_captions(chosen, rng)
        dropped = rng.random(len(captions)) < SHARE_OF_DROPPED_CAPTIONS
        captions = ["" if drop else caption for caption, drop in zip(captions, dropped, strict=True)]
        tokens = tokens_of(self.tokenizer, captions).to(self.torch_device)
        return cast(Tensor, self.text_encoder(tokens).last_hidden_state)

    def loss(self, step: int) -> Tensor:
        generator = torch_stream(self.random_seed, self.name, step)
        chosen = draw_items(len(self.latents), self.batch_size, generator)
        noise = torch.randn(self.batch_size, *self.latents.shape[1:], generator=generator)
        # one timestep in each of batch_size equal intervals: less variance than independent ones
        offsets = torch.rand(self.batch_size, generator=generator)
        share = (torch.arange(self.batch_size) + offsets) / self.batch_size
        timesteps = (share * len(self.alphas)).long().clamp(max=len(self.alphas) - 1)
        alpha = self.alphas[timesteps].view(-1, 1, 1, 1)
        clean = self.latents[chosen].float()
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        velocity = alpha.sqrt() * noise - (1 - alpha).sqrt() * clean
        weight = alpha_weight(alpha)
        with torch.autocast(self.torch_device.type, torch.bfloat16):
            hidden = self._hidden(self.scenes[chosen.numpy()], step)
            predicted = self.denoiser(
                noisy.to(self.torch_device), timesteps.to(self.torch_device), hidden, return_dict=False
            )[0]
        error: Tensor = predicted.float() - velocity.to(self.torch_device)
        return (weight.to(self.torch_device) * error.square()).mean()


def alpha_weight(alpha: Tensor) -> Tensor:
    """Weight of a timestep's loss, from its share of signal power: 1 up to SNR 5 and falling as 6 / (SNR + 1) after.

    >>> [round(weight, 2) for weight in alpha_weight(torch.tensor([0.0, 0.5, 0.99])).tolist()]
    [1.0, 1.0, 0.06]
    """
    # 1 / (SNR + 1) = 1 - alpha, which stays finite at both ends
    return (6 * (1 - alpha)).clamp(max=1)
