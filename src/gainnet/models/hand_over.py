"""Noise-matched hand-over: noise of the air counts as noise of the diffusion, and the sampler resumes earlier."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Tensors
from gainnet.models.counting import flatten_batch
from gainnet.models.diffusion import Denoiser
from gainnet.models.part import TensorMap
from gainnet.models.samplers import Level, course
from gainnet.models.samplers.levels import wide


def hand_down(latent: Spec) -> TensorMap:
    """A latent in the middle of its sampler, flat, with a place for the noise variance that the air will add.

    latent [*batch, c, h, w] --> handed [*batch, c h w + 1], the last entry 0

    The memory of the sampler, which stands behind the latent, is left out: the receiver restarts without it.
    """

    def handed(tensors: Tensors, random: Random) -> Tensors:
        own = tensors["latent"][..., : latent.shape[0], :, :]
        flat = own.reshape(*random.batch, latent.num_values)
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

    handed --> [ level, scale ] --> (network, guidance, DDIM step) x remaining steps, from t' to 0 --> latent

    $z_t = \alpha_t z_0 + \sigma_t \epsilon$ arrives as $y = z_t + n$ with $n \sim \mathcal N(0, \nu)$. Its ratio of
    signal to noise is $\lambda' = \alpha_t^2 / (\sigma_t^2 + \nu)$, that of the time t' with
    $\alpha_{t'}^2 / \sigma_{t'}^2 = \lambda'$; y times $\sigma_{t'} / \sqrt{\sigma_t^2 + \nu} = \alpha_{t'} / \alpha_t$
    is a latent of that time. As many steps as were left run from t', spaced as the sampler spaces them; t' is the
    nearest time of the training. It holds for white noise on the latent itself; with another code, or with fading
    that differs between blocks, it is an approximation. Without noise it is the rest of the sampler, if that is
    deterministic and has no memory, like DDIM and Euler; a sampler with a memory restarts here without it, by steps of
    first order, since its memory is of another noise level.

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
        if self.rest.num_steps < 1 or self.rest.stop != self.rest.sampler.num_steps:
            raise ConfigError(f"cut: {self.rest.name} is not the rest of a sampler; leave the device at least one step")

    @torch.no_grad()
    def run(self, tensors: Tensors, random: Random) -> Tensors:
        """`latent` of `condition` and `handed` [*batch, num_values + 1]."""
        rank, rest = len(random.batch), self.rest
        embeds = flatten_batch(tensors["condition"], rank).transpose(0, 1).flatten(0, 1)
        handed = flatten_batch(tensors["handed"], rank)
        # From here on with unit power: alpha squared is the power of the signal, sigma squared the rest.
        latent = self.resumed(handed).reshape(-1, *rest.latent.shape)
        levels = course(rest.sampler, rest.start, self._matched(handed[:, -1]))
        for index, level in enumerate(levels):
            fresh = flatten_batch(random.normal(rest.latent.shape, "resumed", index), rank)
            latent = self._step(latent, embeds, level, fresh if rest.sampler.renoises else None)
        # Back to the scale of the sampler, which matters where it stops before its noise is gone.
        sizes = torch.tensor([rest.sampler.size(float(power)) for power in levels[-1].after])
        return {"latent": (wide(sizes, latent) * latent).reshape(*random.batch, *rest.latent.shape)}

    def resumed_at(self, noise_variance: Tensor) -> Tensor:
        """[n], the time t' of the training at which latents with this noise [n] resume."""
        return course(self.rest.sampler, self.rest.start, self._matched(noise_variance))[0].time

    def resumed(self, handed: Tensor) -> Tensor:
        """[n, num_values], received values [n, num_values + 1] of unit power, at the level at which they resume."""
        _, sigma = self.rest.sampler.amplitudes(self.rest.start)
        noise = sigma**2 + handed[:, -1].double()
        target = 1 - course(self.rest.sampler, self.rest.start, self._matched(handed[:, -1]))[0].now
        return handed[:, :-1] * (target.to(noise) / noise).sqrt()[:, None].to(handed.dtype)

    def _matched(self, noise_variance: Tensor) -> Tensor:
        """[n] float64, power of the signal in latents with this noise [n]."""
        alpha, sigma = self.rest.sampler.amplitudes(self.rest.start)
        # lambda' = alpha^2 / (sigma^2 + nu) and the power is lambda' / (1 + lambda').
        return alpha**2 / (alpha**2 + sigma**2 + noise_variance.double().cpu())

    def _step(self, latent: Tensor, embeds: Tensor, level: Level, fresh: Tensor | None) -> Tensor:
        """[n, *latent], the deterministic step of DDIM (Song et al. 2021, eq. 12), every item at its own time."""
        rest, levels = self.rest, self.rest.sampler.levels
        noisy = wide(torch.hypot(*levels.amplitudes(level.now)), latent) * latent
        guided = rest.predict_guided(noisy, embeds, level.time.to(latent.device))
        clean, noise = levels.read(noisy, guided, level.now)
        signal, left = (wide(x.clamp_min(0).sqrt(), latent) for x in (level.after, 1 - level.after))
        # A consistency model draws its noise anew in every step.
        return signal * clean + left * (noise if fresh is None else fresh.to(latent))
