"""Encoder and decoder of learned seeds as one differentiable network around the linear optimum."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import cast, final

import torch
from torch import Tensor, nn

from gainnet.codecs.linear import linear_mse, linear_powers
from gainnet.codecs.seed_codec.mixture import Mixture
from gainnet.codecs.seed_codec.picture_basis import CodedBasis
from gainnet.codecs.seed_codec.refiner import Refiner
from gainnet.codecs.seed_codec.trunk import Trunk, zero_out

NUM_PASSES = 2
"""A component is sent at most so often: with L uses and n values the real dimensions are 2 L <= 2 n."""

LOWEST_DB, HIGHEST_DB = -12.0, 22.0
"""Range of SNR that the network takes; a report beyond it is coded as its end."""

QUIETEST_DB = 25.0
"""A receiver takes a dimension for no cleaner than this, as nothing cleaner was ever trained on."""

REFINER_CONDITION = 48
"""Width of what the refiner reads of the channel and the prompt."""

SMALLEST_NOISE = 1e-9
SMALLEST_POWER = 0.1


@final
@dataclass(frozen=True)
class Architecture:
    """Sizes of the network.

    Args:
        num_components: strongest components that are corrected.
        num_again: strongest components that are read once more as their second copy alone says them.
        encoder_width: of the sender's layers.
        encoder_blocks: depth of the sender's side.
        decoder_width: of the receiver's layers.
        decoder_blocks: depth of the receiver's side.
        condition_width: of the description of the channel.
        num_kinds: Gaussians of the mixture that the receiver's estimate starts from.
        num_mixed: strongest components that the mixture covers.
        refiner_width: of a patch of the latent in the receiver's last part.
        refiner_blocks: its depth.
    """

    num_components: int = 256
    num_again: int = 64
    encoder_width: int = 192
    encoder_blocks: int = 2
    decoder_width: int = 256
    decoder_blocks: int = 2
    condition_width: int = 32
    num_kinds: int = 48
    num_mixed: int = 128
    refiner_width: int = 192
    refiner_blocks: int = 3


@final
@dataclass(frozen=True)
class Received:
    """Received values of every real dimension, in the order of the components, passes one after the other.

    Args:
        turned: [n, passes, num_values], real part of conjugate gain times received value.
        gain: [n, passes, num_values], squared magnitude of the gain; 0 where nothing was sent.
        noise: [n, passes, num_values], variance of the noise of a real dimension, > 0.
    """

    turned: Tensor
    gain: Tensor
    noise: Tensor


@final
@dataclass(frozen=True)
class Estimate:
    """The receiver's estimate of the components, and of its error.

    Args:
        components: [n, num_values].
        left: [n], variance per component that the linear estimate is left with.
        unit: [n, 1], root mean squared error per value of the latent that the linear estimate is left with.
        features: [n, NUM_FEATURES + NUM_BANDS], description of the case and of what arrived.
        prompt: [n, prompt_width], what the prompts say.
    """

    components: Tensor
    left: Tensor
    unit: Tensor
    features: Tensor
    prompt: Tensor


class SeedNetwork(nn.Module):
    r"""A correction before and one after the best linear code.

        components c --> c + f --> amplitudes --> symbols --> (channel) --> estimate --> + g --> latent --> + h
                         ^ encoder  ^ emphasis                              ^ mixture    ^ decoder           ^ refiner

    $s_{kj} = a_{kj} (c_j + f_{kj})$ in pass k for component j, with $a_{kj}$ the amplitudes of Lee and Petersen times a
    learned emphasis. Corrections f, g, h and the emphasis start at zero and the mixture as one Gaussian: it starts at
    the linear optimum, and what training adds is nonlinear. All corrections are in units of the error that the linear
    code is left with. f and g are of components, which have no place; h is of the latent as an arrangement in space.

    Args:
        basis: components that it works on, [num_components]; `variances` and `deviations` are theirs.
        shape: (channels, height, width) of a latent.
        architecture: sizes.
        words: indices and longest prompt of the vocabulary.
    """

    variances: Tensor
    deviations: Tensor

    def __init__(
        self, basis: CodedBasis, shape: tuple[int, ...], architecture: Architecture, words: tuple[int, int]
    ) -> None:
        super().__init__()
        self.architecture, self.basis, variances = architecture, basis, basis.variances
        self.register_buffer("variances", variances.clone(), persistent=False)
        self.register_buffer("deviations", variances.sqrt(), persistent=False)
        side, kept, again = (NUM_FEATURES, architecture.num_components, architecture.num_again)
        size = (architecture.encoder_width, architecture.encoder_blocks, architecture.condition_width, words)
        self.encoder = Trunk(kept, kept + again, side, *size)
        size = (architecture.decoder_width, architecture.decoder_blocks, architecture.condition_width, words)
        kinds, mixed = architecture.num_kinds, architecture.num_mixed
        self.decoder = Trunk(kept + again + kinds, kept, side + NUM_BANDS, *size)
        self.mixture = Mixture(kinds, mixed, self.decoder.prompt.in_features)
        self.emphasis = nn.Sequential(nn.Linear(side, 48), nn.SiLU(), zero_out(nn.Linear(48, len(variances))))
        wide, deep, prompt = architecture.refiner_width, architecture.refiner_blocks, self.decoder.prompt.in_features
        self.refiner = Refiner(shape, wide, deep, side + NUM_BANDS, prompt, REFINER_CONDITION)

    def side_information(self, num_channel_uses: Tensor, snr: Tensor) -> SideInformation:
        """Side information of cases; arguments as in `linear_amplitudes`."""
        # Beyond what it was trained on a network extrapolates badly; the linear code at the end of the range does not.
        clipped = snr.double().clamp(10 ** (LOWEST_DB / 10), 10 ** (HIGHEST_DB / 10))
        # On the processor, since the closed form needs float64, which not every device has.
        plain, error = linear_amplitudes(self.variances.cpu(), num_channel_uses, clipped)
        known = features_of(num_channel_uses, clipped, error), plain, num_channel_uses, error
        features, amplitudes, uses, left = (x.to(self.variances.device) for x in known)
        return self.emphasised(features, amplitudes, uses, left)

    def emphasised(self, features: Tensor, plain: Tensor, num_channel_uses: Tensor, error: Tensor) -> SideInformation:
        """Side information of cases with the amplitudes of the linear code times the learned emphasis.

        Args:
            features: [n, NUM_FEATURES], description of the cases.
            plain: [n, passes, num_values], amplitudes of the linear code.
            num_channel_uses: [n], complex uses.
            error: [n], root mean squared error per value of the linear code.
        """
        # exp keeps factors positive, and 0 from a new network is factor 1: the linear optimum.
        emphasised = plain * self.emphasis(features).exp()[:, None]
        power = (emphasised.square() * self.variances).sum((1, 2)) / num_channel_uses
        return SideInformation(features, emphasised / power.sqrt()[:, None, None], error)

    def linear_error(self, num_channel_uses: Tensor, snr: Tensor) -> Tensor:
        """[n], mean squared error per value of the linear code in closed form; arguments as in `linear_amplitudes`."""
        return linear_amplitudes(self.variances, num_channel_uses, snr)[1].square()

    def send(self, components: Tensor, side: SideInformation, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Real dimensions [n, passes, num_values] of components [n, num_values], and their linear part alone."""
        kept = self.architecture.num_components
        whitened = components[:, :kept] / self.deviations[:kept]
        # In units of the linear code's error: corrections matter little where the channel is good.
        change = side.error[:, None] * self.encoder(whitened, side.features, indices)
        passes = [pad_to(part, len(self.variances)) for part in (change[:, :kept], change[:, kept:])]
        linear = side.amplitudes * components[:, None]
        return linear + side.amplitudes * torch.stack(passes, 1), linear

    def receive(self, received: Received, amplitudes: Tensor, side: SideInformation, indices: Tensor) -> Estimate:
        """The components, before they are refined as a latent.

        Args:
            received: real dimensions from the air.
            amplitudes: [n, passes, num_values], factors with which components were sent.
            side: what both ends know.
            indices: words of the prompts.
        """
        weight = amplitudes / _noise_of(received)
        # Sufficient statistics of a linear Gaussian model: matched filter output and precision of every copy.
        statistic = weight * received.turned
        precision = self.variances * amplitudes * weight * received.gain
        left = self.variances / (1 + precision.sum(1))
        prompt = self.decoder.words(indices)
        estimate, kinds = self._mixed(left * statistic.sum(1), statistic, precision, prompt)
        # The sender corrects both copies differently, so the second one alone tells something new.
        second = self.deviations * statistic[:, 1] / (1 + precision[:, 1])
        features = torch.cat([side.features, self._reliability(left)], 1)
        components = estimate + self._correction(estimate, second, kinds, left, features, indices)
        unit = (left @ self.basis.squared_norms.to(left) / self.basis.num_values).sqrt()[:, None]
        return Estimate(components, left.mean(1), unit, features, prompt)

    def refine(self, latents: Tensor, estimate: Estimate) -> Tensor:
        """[n, num_values], latents [n, num_values] of an estimate and what space says about them."""
        spread = latents - self.basis.mean.to(latents)
        change: Tensor = self.refiner(spread, estimate.features, estimate.prompt)
        return latents + estimate.unit * change.float()

    def latents(self, estimate: Estimate) -> Tensor:
        """[n, num_values], refined latents of an estimate."""
        return self.refine(self.basis.synthesise(estimate.components), estimate)

    def left(self, received: Received, amplitudes: Tensor) -> Tensor:
        """[n, num_values], variance of every component that LMMSE leaves; arguments as in `receive`."""
        precision = amplitudes.square() * received.gain / _noise_of(received)
        return self.variances / (1 + self.variances * precision.sum(1))

    def _mixed(self, estimate: Tensor, statistic: Tensor, precision: Tensor, prompt: Tensor) -> tuple[Tensor, Tensor]:
        """LMMSE estimate [n, num_values] with the mixture's in place of its strongest, and weights of the kinds."""
        mixed = self.architecture.num_mixed
        whitened = self.deviations[:mixed] * statistic[..., :mixed].sum(1)
        posterior, kinds = self.mixture(whitened, precision[..., :mixed].sum(1), prompt)
        return torch.cat([self.deviations[:mixed] * posterior, estimate[:, mixed:]], 1), kinds

    def _correction(
        self, estimate: Tensor, second: Tensor, kinds: Tensor, left: Tensor, features: Tensor, indices: Tensor
    ) -> Tensor:
        kept, again = self.architecture.num_components, self.architecture.num_again
        values = torch.cat([estimate[:, :kept] / self.deviations[:kept], second[:, :again], kinds], 1)
        unit = (left[:, :kept] + 0.1 * left.mean(1, keepdim=True)).sqrt()
        return pad_to(unit * self.decoder(values, features, indices), len(self.variances))

    def _reliability(self, left: Tensor) -> Tensor:
        """[n, NUM_BANDS], mean share of the variance that is left in bands of components, 0 to 1."""
        share = left / self.variances
        edges = band_edges(len(self.variances))
        return torch.stack([share[:, a:b].mean(1) for a, b in pairwise(edges)], 1)


@final
@dataclass(frozen=True)
class SideInformation:
    """Side information: known to both ends before anything is sent.

    Args:
        features: [n, NUM_FEATURES], description of the case for the network.
        amplitudes: [n, passes, num_values], factors of the components, 0 where nothing is sent.
        error: [n], root mean squared error per value of the linear code.
    """

    features: Tensor
    amplitudes: Tensor
    error: Tensor

    def repeated(self, count: int) -> SideInformation:
        """Every case for `count` items in turn."""
        tensors = (self.features, self.amplitudes, self.error)
        return SideInformation(*(t.repeat_interleave(count, 0) for t in tensors))


def linear_amplitudes(variances: Tensor, num_channel_uses: Tensor, snr: Tensor) -> tuple[Tensor, Tensor]:
    """Amplitudes [n, passes, num_values] of the linear code, and its root mean squared error [n] per value.

    Args:
        variances: [num_values], > 0, not increasing.
        num_channel_uses: [n], complex uses, at most num_values.
        snr: [n], linear.
    """
    num_values = len(variances)
    amplitudes = variances.new_zeros(len(snr), NUM_PASSES * num_values)
    error = variances.new_zeros(len(snr))
    for uses in num_channel_uses.unique().tolist():
        rows = num_channel_uses == uses
        powers = linear_powers(variances, uses, snr[rows])
        copies = torch.ones(powers.shape[-1], dtype=torch.float64)
        # 2 L dimensions over n components: the first 2 L - n components are sent twice.
        copies[: max(0, 2 * uses - num_values)] += 1
        factors = (powers / (copies * variances[: powers.shape[-1]].double())).sqrt().float()
        amplitudes[rows, : 2 * uses] = torch.cat([factors, factors], -1)[:, : 2 * uses]
        error[rows] = (linear_mse(variances, uses, snr[rows]) / num_values).sqrt().float()
    return amplitudes.unflatten(-1, (NUM_PASSES, num_values)), error


NUM_FEATURES = 6


def features_of(num_channel_uses: Tensor, snr: Tensor, error: Tensor) -> Tensor:
    """[n, NUM_FEATURES], numbers of order 1 that describe a case."""
    # Centred and scaled to order 1 over the range of SNRs and sizes, as layers expect.
    level = (10 * snr.log10() / 10 - 0.5).float()
    size = (num_channel_uses.float() / 128).log2() / 2
    quality = error.log()
    return torch.stack([level, size, quality, level * size, level.square() - 1, size.square() - 1], 1)


NUM_BANDS = 8


def band_edges(num_values: int) -> list[int]:
    """Borders of bands of components, each about twice as wide as the one before.

    >>> band_edges(1024)
    [0, 8, 16, 32, 64, 128, 256, 512, 1024]
    """
    inner = [max(k, num_values >> (NUM_BANDS - k)) for k in range(1, NUM_BANDS)]
    return [0, *inner, num_values]


def pad_to(x: Tensor, num_values: int) -> Tensor:
    """[n, num_values], zeros behind the last."""
    return nn.functional.pad(x, (0, num_values - x.shape[-1]))


def to_dimensions(x: Tensor, num_values: int) -> Tensor:
    """[n, passes, num_values] of real dimensions [n, 2 L], zeros behind the last."""
    return cast(Tensor, pad_to(x, NUM_PASSES * num_values).unflatten(-1, (NUM_PASSES, num_values)))


def _noise_of(received: Received) -> Tensor:
    """Variance of the noise, but none that is smaller than in training."""
    # A link cleaner than any in training would push the features out of their range.
    floor = received.gain / (2 * 10 ** (QUIETEST_DB / 10))
    return torch.maximum(received.noise, floor).clamp_min(SMALLEST_NOISE)


def power_of(sent: Tensor, linear: Tensor, num_channel_uses: Tensor) -> Tensor:
    r"""Mean power per use of items that share a case, with the linear part as control variate.

    $\hat P = 1 + \langle |s|^2 - |s_{lin}|^2 \rangle$: the linear part has power 1 over the ensemble, so its sampling
    error in these items is taken out; exactly 1 where nothing was corrected.

    Args:
        sent: [*groups, n, passes, num_values].
        linear: the same, of the linear part alone.
        num_channel_uses: [*groups].

    Returns:
        [*groups].
    """
    surplus = (sent.square() - linear.square()).sum((-1, -2)).mean(-1) / num_channel_uses
    return (1 + surplus).clamp_min(SMALLEST_POWER)
