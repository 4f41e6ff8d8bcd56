"""The cost of a latent in bits and error, differentiable, and the search for the latent that costs least."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor

from gainnet.codecs.transform_seed.network import NUM_QUALITIES, TransformNetwork, from_patches
from gainnet.core.precision import half_precision

LEAST_WEIGHT: Final = 1e4
WEIGHT_OCTAVES: Final = 9.0
SMALLEST_LOG2, LARGEST_LOG2 = -4.0, 8.0
SQRT_HALF, SMALLEST_MASS = math.sqrt(0.5), 1e-9
NARROWEST_LOG2: Final = -3.2
"""Least log2 of a deviation in steps while values lie between integers: below, their lengths have no slope."""
LARGEST_STEP: Final = 0.03
"""Of the search, in quantiser steps; .02 and .04 find less in as many steps."""
FIRST_TEMPERATURE, LAST_TEMPERATURE, COOLING = 0.8, 0.05, 3.0
NUM_TRIALS: Final = 4
"""Times at which the search codes what it has found; the best of them counts."""
PIXELS: Final = 128 * 128
"""Of a picture of size 1, see `error_weight`."""


def error_weight(quality: Tensor, size: float = 1.0) -> Tensor:
    r"""[batch], bits that a mean squared error of 1 is worth at qualities [batch], $s\, 10^4 \cdot 2^{9 q / 64}$.

    Args:
        quality: [batch], 0 to 64.
        size: $s$, of a picture in pictures of 128 x 128: as many times the bits make the same error.
    """
    return size * LEAST_WEIGHT * 2 ** (WEIGHT_OCTAVES * quality / NUM_QUALITIES)


def gaussian_bits(values: Tensor, log2_deviation: Tensor) -> Tensor:
    r"""[...], code length in bits of the unit interval around each value under a normal law of mean zero.

    Far out, where the probability is no number any more, the bound $Q(x) \le e^{-x^2/2} / 2$ takes its place.
    """
    scaled = SQRT_HALF * torch.exp2(-log2_deviation)
    nearer = (values.abs() - 0.5) * scaled
    mass = (torch.erfc(nearer) - torch.erfc(nearer + scaled)) / 2
    far = (nearer > 0) * (1 + math.log2(math.e) * nearer.square())
    return torch.maximum(-torch.log2(mass.clamp_min(SMALLEST_MASS)), far)


@final
@dataclass(frozen=True)
class Relaxed:
    """A transform code of some items with rounding that can be differentiated, and as it is.

    latent --analyse--> values --(rounded)--> received values --restore--> latent as received

    Args:
        network: entropy model and gains, and the components in which latents are changed.
        condition: [batch, condition_width], what the entropy model knows of the items.
        log2_gains: [batch, num_values], quantiser steps per unit.
        quality: 0 to 64, which sets what an error is worth in bits.
        analyse: values [batch, num_values] of latents [batch, num_values].
        restore: latents as received of values as received.
        coded: bits [batch] and latents as received of latents, exactly as the code makes them.
    """

    network: TransformNetwork
    condition: Tensor
    log2_gains: Tensor
    quality: float
    analyse: Callable[[Tensor], Tensor]
    restore: Callable[[Tensor], Tensor]
    coded: Callable[[Tensor], tuple[Tensor, Tensor]]

    def sent(self, values: Tensor, uniform: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        r"""Received values [batch, num_values] and code lengths [batch], each value between the two integers beside it.

        Which one is drawn by the Gumbel-softmax trick with the logits $-\mathrm{artanh}$ of the distances over the
        temperature (Yang, Bamler and Mandt 2020, NeurIPS, eq. 6 to 8), so that at low temperatures it is the nearer.

        Args:
            values: [batch, num_values], as analysed.
            uniform: [2, num_values], numbers in (0, 1) to draw with, the same for all items.
            temperature: > 0.
        """
        received, bits = torch.zeros_like(values), values.new_zeros(len(values))
        for group, places in enumerate(self.network.shape.groups()):
            mean, log2_deviation = self.network.expect(group, places, received, self.condition)
            log2_gain = self.log2_gains[:, places]
            rest = (values[:, places] - mean) * torch.exp2(log2_gain)
            below = rest.detach().floor()
            part = (rest - below).clamp(1e-4, 1 - 1e-4)
            gumbel = -torch.log(-torch.log(uniform[:, places]))
            odds = (torch.atanh(part) - torch.atanh(1 - part)) / temperature + gumbel[1] - gumbel[0]
            steps = below + torch.sigmoid(odds / temperature)
            spread = (log2_deviation + log2_gain).clamp(SMALLEST_LOG2, LARGEST_LOG2)
            bits = bits + gaussian_bits(steps, spread.clamp_min(NARROWEST_LOG2)).sum(1)
            received = received.index_copy(1, places, mean + steps / torch.exp2(log2_gain))
        return received, bits


@torch.enable_grad()
def annealed(latents: Tensor, code: Relaxed, decode: Callable[[Tensor], Tensor], num_steps: int) -> Tensor:
    r"""[batch, num_values], the latents to code in the place of some, so that bits and error of the picture cost least.

    The encoder of a transform code is one pass of a network; here its input is changed until, decoded, it makes the
    picture of the latent that was asked for with fewer bits: $\min_{z'} R(z') + \lambda \lVert d(\hat z') - d(z)
    \rVert^2$ by stochastic Gumbel annealing (Yang, Bamler and Mandt 2020). The receiver is the same, and any latent is
    decoded as ever. Of what was found on the way, and the latents themselves, the cheapest by the exact code counts.

    Args:
        latents: [batch, num_values], finished ones.
        code: of these items.
        decode: pictures [batch, 3, H, W] of latents [batch, *latent], differentiable.
        num_steps: of the search, each about three passes of decoder and code; 0 gives the latents back.
    """
    shape = code.network.shape
    with torch.no_grad():
        wanted = decode(latents.unflatten(1, shape.latent)).clamp(0, 1)
    weight = float(error_weight(torch.tensor(code.quality), wanted[0, 0].numel() / PIXELS))
    found, least = latents, _cost(latents, code, decode, wanted, weight)
    # In quantiser steps of the components, so that one size of step suits all.
    change = torch.zeros_like(latents, requires_grad=True)
    optimizer, generator = torch.optim.Adam([change], betas=(0.9, 0.95)), torch.Generator().manual_seed(0)
    for step in range(num_steps):
        share = step / num_steps
        optimizer.param_groups[0]["lr"] = LARGEST_STEP * (0.02 + 0.5 * (1 + math.cos(math.pi * share)))
        temperature = max(LAST_TEMPERATURE, FIRST_TEMPERATURE * math.exp(-COOLING * share))
        uniform = torch.rand(2, shape.num_values, generator=generator).clamp(1e-9, 1 - 1e-7)
        received, bits = code.sent(code.analyse(_changed(latents, change, code)), uniform, temperature)
        with half_precision(wanted.device):
            pictures = decode(code.restore(received).unflatten(1, shape.latent)).float()
        cost = bits + weight * (pictures - wanted).square().mean((1, 2, 3))
        # Of the change alone: gradients of the networks would be kept for nobody.
        cost.sum().backward(inputs=[change])
        optimizer.step()
        optimizer.zero_grad()
        if (step + 1) % math.ceil(num_steps / NUM_TRIALS) == 0 or step + 1 == num_steps:
            with torch.no_grad():
                tried = _changed(latents, change, code)
            exact = _cost(tried, code, decode, wanted, weight)
            found = torch.where((exact < least)[:, None], tried, found)
            least = torch.minimum(exact, least)
    return found


def _changed(latents: Tensor, change: Tensor, code: Relaxed) -> Tensor:
    """Latents plus a change [batch, num_values] in quantiser steps of the components."""
    shape, network = code.network.shape, code.network
    scaled = (change * torch.exp2(-code.log2_gains)).unflatten(1, (shape.patch_size, -1)).transpose(1, 2)
    return latents + from_patches((scaled * network.deviations) @ network.components.T, shape)


@torch.no_grad()
def _cost(latents: Tensor, code: Relaxed, decode: Callable[[Tensor], Tensor], wanted: Tensor, weight: float) -> Tensor:
    """[batch], bits plus what the error of the picture is worth, of latents as the code really sends them."""
    bits, received = code.coded(latents)
    pictures = decode(received.unflatten(1, code.network.shape.latent)).clamp(0, 1)
    return bits + weight * (pictures - wanted).square().mean((1, 2, 3))
