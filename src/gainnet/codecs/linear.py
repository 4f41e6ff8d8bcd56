"""The best linear analog code for a Gaussian source over Gaussian noise: the floor that a learned code has to beat."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs.components import Components, components_of
from gainnet.codecs.content import Content, check_uses, required
from gainnet.codecs.raw import batch_of
from gainnet.core.errors import check_range
from gainnet.core.types import Payload, Size, Spec, Symbols

LARGEST_SNR = 1e12


def linear_powers(variances: Tensor, num_channel_uses: int, snr: Tensor) -> Tensor:
    r"""Power of every component that minimises the sum of squared errors of a linear code.

    $\sum_i \lambda_i / (1 + p_i / N) \to \min$ with $\sum_i p_i = L$, where $N = 1 / (2 \gamma)$ is the noise of one
    real dimension; then $p_i = N [\sqrt{\lambda_i / \mu} - 1]^+$ and at most 2L components are active (Lee and Petersen
    1976, IEEE Transactions on Communications 24).

    Args:
        variances: [num_values], $\lambda$ > 0, not increasing.
        num_channel_uses: complex uses $L$ >= 1, each of mean power 1.
        snr: [*batch], linear $\gamma$ > 0.

    Returns:
        [*batch, min(num_values, 2 L)], powers, float64.

    >>> linear_powers(torch.tensor([4.0, 1.0]), 1, torch.tensor(1.0))
    tensor([0.8333, 0.1667], dtype=torch.float64)
    """
    # L complex uses are 2 L real dimensions, one for each of the strongest components.
    roots = variances.double().sqrt()[: 2 * num_channel_uses]
    # L / N, with the noise N = 1 / (2 gamma) of a real dimension where the mean power of a use is 1.
    ratio = 2 * num_channel_uses * snr.double().clamp(1e-12, LARGEST_SNR)[..., None]
    counts = torch.arange(1, len(roots) + 1, dtype=torch.float64)
    # Water-filling in closed form: with the k strongest active, sum p = L gives sqrt(1 / mu) = (L / N + k) / sum of
    # roots.
    levels = (ratio + counts) / roots.cumsum(0)
    # Component k gets power while sqrt(lambda_k / mu_k) > 1; roots fall, so the last such k is the number of active
    # ones.
    active = (roots * levels > 1).sum(-1, keepdim=True) - 1
    level = levels.gather(-1, active)
    return (roots * level - 1).clamp_min(0) * num_channel_uses / ratio


def linear_mse(variances: Tensor, num_channel_uses: int, snr: Tensor) -> Tensor:
    """[*batch], sum of squared errors per item of the linear code over Gaussian noise, in closed form.

    Args:
        variances: [num_values], > 0, not increasing.
        num_channel_uses: complex uses, >= 1.
        snr: [*batch], linear.

    >>> float(linear_mse(torch.tensor([1.0]), 1, torch.tensor(1.0)))
    0.3333333333333333
    """
    powers = linear_powers(variances, num_channel_uses, snr)
    sent = variances.double()[: powers.shape[-1]]
    ratio = 2 * snr.double().clamp_max(LARGEST_SNR)[..., None]
    return (sent / (1 + powers * ratio)).sum(-1) + variances.double()[len(sent) :].sum()


@final
@dataclass(frozen=True)
class LinearCode:
    """Principal components, each scaled to its power, two per complex symbol; differentiable.

    latent --> [ PCA ] --> [ power at the reported SNR ] --> symbols --> [ LMMSE per component, PCA back ] --> latent

    Both ends know the powers, because the receiver reported the SNR. With more uses than components every component is
    sent several times, in turn, and the copies are combined. Strong components come first; a receiver that gets only
    the first symbols decodes those. It is optimal among linear codes for white Gaussian noise at the reported SNR;
    under fading the powers stay those of the report, and the receiver uses gain and noise of every use.

    Args:
        num_channel_uses: complex symbols per item, 1 to 10,000,000; when bound half as many as values by default.
        basis: principal components of the model's latents, filled in when bound.
        back_off_db: how far the mean power of the symbols over all latents stays below 1, known to both ends, 0 to
            20 dB. Where an item that exceeds unit power is scaled down by a factor that the receiver does not know,
            fewer are.

    Raises:
        ConfigError: a number is out of range.

    >>> from gainnet.codecs.basis import SeedBasis
    >>> basis, spec = SeedBasis.load(), Spec((4, 16, 16))
    >>> code = LinearCode(64, basis)
    >>> code.size(spec)
    Size(expected=64, upper=64)
    >>> strongest = torch.zeros(1, 1024)
    >>> strongest[0, 0] = basis.variances[0].sqrt()
    >>> latent = basis.synthesise(strongest, spec)
    >>> seed = code.encode(latent, torch.tensor([1.0]))  # as for 0 dB
    >>> seed.values.shape
    torch.Size([1, 64])
    >>> int((seed.values.abs() > 1e-3).sum())  # few of its copies or parts
    1
    >>> torch.allclose(code.decode(seed, spec), latent, atol=1e-2)
    True
    """

    num_channel_uses: int | None = None
    basis: Components | None = None
    back_off_db: float = 0.0
    emits: ClassVar[type[Payload]] = Symbols
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_uses(self.num_channel_uses)
        check_range(0.0 <= self.back_off_db <= 20.0, "back_off_db", self.back_off_db, "0 to 20 dB")

    def bound(self, content: Content) -> LinearCode:
        """The code with the basis of these latents."""
        uses = self.num_channel_uses or math.ceil(content.spec.num_values / 2)
        return replace(self, num_channel_uses=uses, basis=self.basis or components_of(content, "linear"))

    @property
    def _basis(self) -> Components:
        return required(self.basis, "linear", "basis")

    @property
    def _uses(self) -> int:
        return required(self.num_channel_uses, "linear", "num_channel_uses")

    def size(self, spec: Spec) -> Size:
        self._basis.check(spec, "linear")
        return Size.fixed(self._uses)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        components = self._basis.analyse(x, batch_of(x, reported_snr))
        # Two real dimensions make one complex symbol, neighbours together.
        scaled = components[..., self._order()] * self._amplitudes(reported_snr)
        return Symbols.clean(torch.view_as_complex(scaled.unflatten(-1, (-1, 2)).contiguous()), reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        self._basis.check(spec, "linear")
        amplitudes = self._amplitudes(reported_snr_of(payload))[..., : 2 * payload.num_symbols]
        # Matched filter: conj(h) y has the real gain |h|^2 in both of its parts.
        turned = torch.view_as_real((payload.gain.conj() * payload.values).contiguous()).flatten(-2)
        gain = payload.gain.abs().square().repeat_interleave(2, -1)
        # Half of the complex noise is in each part; an ideal link has none, and a division needs some.
        noise = (payload.noise_variance / 2).repeat_interleave(2, -1).clamp_min(0.5 / LARGEST_SNR)
        statistic = self._sum_copies(amplitudes * turned / noise)
        precision = self._sum_copies(amplitudes.square() * gain / noise)
        # LMMSE for prior variance lambda: lambda s / (1 + lambda q), s the statistic and q the precision of all copies.
        sent = self._basis.variances[: statistic.shape[-1]]
        return self._basis.synthesise(sent * statistic / (1 + sent * precision), spec)

    def _order(self) -> Tensor:
        """[2 L], the component that every real dimension carries."""
        # With more dimensions than components they start again from the strongest.
        return torch.arange(2 * self._uses) % min(self._basis.num_components, 2 * self._uses)

    def _amplitudes(self, reported_snr: Tensor) -> Tensor:
        """[*batch, 2 L], factor of every real dimension; the copies of a component share its power."""
        share = 10 ** (-self.back_off_db / 10)
        # Less power at one noise is a lower SNR, for which other powers are the best.
        powers = share * linear_powers(self._basis.variances, self._uses, reported_snr * share)
        order = self._order()
        copies = torch.bincount(order)
        # amplitude^2 * lambda * copies = power: the components are not whitened, the amplitude does both.
        factors = (powers / (copies * self._basis.variances[: powers.shape[-1]].double())).sqrt()
        return factors[..., order].float()

    def _sum_copies(self, dimensions: Tensor) -> Tensor:
        order = self._order()
        sums = dimensions.new_zeros(*dimensions.shape[:-1], int(order.max()) + 1)
        # Of what was not received nothing is added: its sums stay 0, and so does its precision.
        return sums.index_add(-1, order[: dimensions.shape[-1]], dimensions)


def reported_snr_of(symbols: Symbols) -> Tensor:
    """[*batch], the SNR that was reported to the sender; where no link passed it on, that of the first block.

    >>> clean = Symbols.clean(torch.ones(1, dtype=torch.complex64))
    >>> float(reported_snr_of(clean))
    inf
    """
    if symbols.reported_snr is not None:
        return symbols.reported_snr
    return symbols.gain[..., 0].abs().square() / symbols.noise_variance[..., 0]
