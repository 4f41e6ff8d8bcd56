"""Noise-matched hand-over: noise of the air counts as noise of the diffusion, and the sampler resumes earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import TensorMap


def hand_down(latent: Spec) -> TensorMap:
    """A latent in the middle of its sampler, flat, with a place for the noise variance that the air will add.

    latent [*batch, c, h, w] --> handed [*batch, c h w + 1], the last entry 0
    """

    def handed(tensors: Tensors, random: Random) -> Tensors:
        flat = tensors["latent"].reshape(*random.batch, latent.num_values)
        return {"handed": torch.nn.functional.pad(flat, (0, 1))}

    return TensorMap("hand down", ("latent",), {"handed": Spec((latent.num_values + 1,))}, handed)


def hand_over(rest: Denoiser) -> TensorMap:
    """The part that resumes the rest of a sampler from what was handed over: see `Resumption`.

    >>> from gainnet.models.loading import load_model
    >>> hand_over(load_model("scenes").denoiser[5:]).name
    'hand-over[5:10]'
    """
    name, reads, writes = f"hand-over[{rest.start}:{rest.stop}]", ("condition", "handed"), {"latent": rest.latent}
    costs = rest.num_passes, rest.flops, rest.memory_bytes
    return TensorMap(name, reads, writes, Resumption(rest).run, "denoiser", *costs, (Resumption, rest))


@final
@dataclass(frozen=True)
class Resumption:
    r"""The rest of a sampler, resumed at the noise level that the received latent really has.

    handed --> [ level, scale ] --> (UNet, guidance, DDIM step) x remaining steps, from t' to 0 --> latent

    $z_t = \alpha_t z_0 + \sigma_t \epsilon$ arrives as $y = z_t + n$ with $n \sim \mathcal N(0, \nu)$. Its ratio of
    signal to noise is $\lambda' = \alpha_t^2 / (\sigma_t^2 + \nu)$, that of the time t' with
    $\alpha_{t'}^2 / \sigma_{t'}^2 = \lambda'$; y times $\sigma_{t'} / \sqrt{\sigma_t^2 + \nu} = \alpha_{t'} / \alpha_t$
    is a latent of that time. As many steps as were left run from t', spaced as the sampler spaces them; t' is the
    nearest time of the training. It holds for white noise on the latent itself; with another code, or with fading
    that differs between blocks, it is an approximation. Without noise it is the rest of the sampler.

    Args:
        rest: the steps that are left of a denoiser, at least one, up to its end.

    Raises:
        ConfigError: no step is left, or the rest stops before the end of the sampler.

    >>> from gainnet.models.loading import load_model
    >>> Resumption(load_model("scenes").denoiser[5:]).resumed_at(torch.tensor([0.0, 1.0])).tolist()
    [499, 607]
    """

    rest: Denoiser

    def __post_init__(self) -> None:
        if self.rest.num_steps < 1 or self.rest.stop != len(self.rest.pipeline.scheduler.timesteps):
            raise ConfigError(f"cut: {self.rest.name} is not the rest of a sampler; leave the device at least one step")

    @torch.no_grad()
    def run(self, tensors: Tensors, random: Random) -> Tensors:
        """`latent` of `condition` and `handed` [*batch, num_values + 1]."""
        rank = len(random.batch)
        embeds = flatten_batch(tensors["condition"], rank).transpose(0, 1).flatten(0, 1)
        handed = flatten_batch(tensors["handed"], rank)
        latent = self.resumed(handed).reshape(-1, *self.rest.latent.shape)
        times = self._times(handed[:, -1])
        for now, after in zip(times, [*times[1:], None], strict=True):
            latent = self._step(latent, embeds, now, after)
        return {"latent": latent.reshape(*random.batch, *self.rest.latent.shape)}

    def resumed_at(self, noise_variance: Tensor) -> Tensor:
        """[n], the time t' of the training at which latents with this noise [n] resume."""
        signal = self._power(self.rest.timesteps[0])
        # lambda' = alpha^2 / (sigma^2 + nu) and alpha'^2 = lambda' / (1 + lambda'), with alpha^2 + sigma^2 = 1.
        matched = signal / (1 + noise_variance.double())
        powers = self.rest.pipeline.scheduler.alphas_cumprod.double().to(matched.device)
        return cast(Tensor, (powers - matched[:, None]).abs().argmin(1))

    def resumed(self, handed: Tensor) -> Tensor:
        """[n, num_values], received values [n, num_values + 1] scaled to the level at which they resume."""
        noise = 1 - self._power(self.rest.timesteps[0]) + handed[:, -1].double()
        target = 1 - self._power(self.resumed_at(handed[:, -1]))
        return handed[:, :-1] * (target / noise).sqrt()[:, None].to(handed.dtype)

    def _times(self, noise_variance: Tensor) -> list[Tensor]:
        """Per remaining step [n] times: those of the sampler, stretched to begin at t'."""
        own = self.rest.timesteps
        # Times count from 0, so one more is what is stretched; the sampler's spacing is kept.
        stretch = (self.resumed_at(noise_variance) + 1).double() / (own[0] + 1).double()
        return [((time + 1) * stretch).round().long() - 1 for time in own]

    def _step(self, latent: Tensor, embeds: Tensor, now: Tensor, after: Tensor | None) -> Tensor:
        """[n, *latent], the deterministic step of DDIM (Song et al. 2021, eq. 12), every item at its own time."""
        rest, scheduler = self.rest, self.rest.pipeline.scheduler
        # Every item has a time of its own, so the UNet gets a time per row of the batch.
        predicted = rest.predict(torch.cat([latent] * rest.num_branches), embeds, now.repeat(rest.num_branches))
        guided = predicted if rest.num_branches == 1 else rest.guided(*predicted.chunk(2))
        alpha, sigma = _amplitudes(self._power(now), latent)
        clean = rest.clean(latent, guided, alpha, sigma)
        is_velocity = scheduler.config.prediction_type == "v_prediction"
        # The noise that goes with the clean latent, without dividing by sigma, which is 0 at the end.
        noise = alpha * guided + sigma * latent if is_velocity else guided
        left = scheduler.final_alpha_cumprod.double().expand(len(latent)) if after is None else self._power(after)
        alpha, sigma = _amplitudes(left, latent)
        return alpha * clean + sigma * noise

    def _power(self, times: Tensor) -> Tensor:
        """Of the signal at times of the training: alpha squared, float64."""
        powers: Tensor = self.rest.pipeline.scheduler.alphas_cumprod.double()
        return powers[times.clamp_min(0).cpu()].to(times.device)


def _amplitudes(power: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """Alpha and sigma [n, 1, 1, 1] of powers [n] of the signal."""
    wide = power.to(like.device).view(-1, 1, 1, 1)
    return wide.sqrt().to(like.dtype), (1 - wide).clamp_min(0).sqrt().to(like.dtype)
