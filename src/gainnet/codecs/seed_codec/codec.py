"""The learned seed codec: latents to complex symbols and back, one network for every size and SNR."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, final

import torch
from torch import Tensor

from gainnet.codecs.content import Content, required
from gainnet.codecs.linear import reported_snr_of
from gainnet.codecs.raw import batch_of
from gainnet.codecs.seed_codec.network import Received, SideInformation, to_dimensions
from gainnet.codecs.seed_codec.weights import FEWEST_USES, SeedWeights
from gainnet.core.errors import ConfigError
from gainnet.core.types import Payload, Size, Spec, Symbols


@final
@dataclass(frozen=True)
class SeedCodec:
    r"""Joint source-channel coding of a latent, learned through the air; differentiable.

        latent --> [ basis ] --> [ encoder ] --> unit power --> symbols
        symbols --> [ LMMSE by gain and noise of each use ] --> [ decoder ] --> [ basis ] --> [ refiner ] --> latent

    One network serves every number of uses and every SNR (Bourtsoulatze, Deniz Gunduz et al. 2019 learned one per
    pair). Symbols are in the order of their worth and each number of uses is normalised by itself, to
    $\mathrm{E}|s|^2 = 1$ over the latents of the model; a receiver that gets only the first of them decodes those.

    Args:
        num_channel_uses: complex symbols per item, 16 (half the values, if fewer) to the number of values; when bound a
            quarter of the values by default.
        prompts: side information of both ends, one per item, row-major over the batch; fewer are repeated over leading
            dimensions. Empty for those of the content, filled in when bound; `None` codes without.
        weights: of the model whose latents are sent, filled in when bound.

    Raises:
        ConfigError: a number of uses out of range.

    >>> codec = SeedCodec(64, weights=SeedWeights.load("scenes"))
    >>> latent, snr = torch.zeros(2, 4, 16, 16), torch.ones(2)
    >>> codec.decode(codec.encode(latent, snr), Spec((4, 16, 16))).shape
    torch.Size([2, 4, 16, 16])
    """

    num_channel_uses: int | None = None
    prompts: tuple[str, ...] | None = None
    weights: SeedWeights | None = None
    emits: ClassVar[type[Payload]] = Symbols
    nested: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.weights is None or self.num_channel_uses is None:
            return
        most = self.weights.basis.num_components
        fewest = min(FEWEST_USES, most // 2)
        if not fewest <= self.num_channel_uses <= most:
            raise ConfigError(f"num_channel_uses: the seed codec takes {fewest} to {most}, not {self.num_channel_uses}")

    def bound(self, content: Content) -> SeedCodec:
        """The code with the weights and prompts of these latents."""
        uses = self.num_channel_uses or math.ceil(content.spec.num_values / 4)
        prompts = content.prompts if self.prompts == () else self.prompts
        return SeedCodec(uses, prompts, self.weights or SeedWeights.of_content(content))

    def of_items(self, items: Sequence[int]) -> SeedCodec:
        """The code of a smaller batch, made of these items of the whole one, row-major."""
        if not self.prompts:
            return self
        return SeedCodec(
            self.num_channel_uses, tuple(self.prompts[item % len(self.prompts)] for item in items), self.weights
        )

    @property
    def _weights(self) -> SeedWeights:
        return required(self.weights, "seed", "weights")

    @property
    def _uses(self) -> int:
        return required(self.num_channel_uses, "seed", "num_channel_uses")

    def size(self, spec: Spec) -> Size:
        self._check(spec)
        return Size.fixed(self._uses)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Symbols:
        batch = batch_of(x, reported_snr)
        snr = reported_snr.reshape(-1)
        self._check(Spec(tuple(x.shape[len(batch) :])))
        components = self._weights.basis.analyse(x.reshape(len(snr), -1))
        side, scale = self._side_information(snr)
        sent, _ = self._weights.network.send(components, side, self._indices(len(snr)))
        dimensions = (scale * sent).flatten(1)[:, : 2 * self._uses]
        symbols = torch.view_as_complex(dimensions.unflatten(1, (-1, 2)).contiguous())
        return Symbols.clean(symbols.reshape(*batch, -1), reported_snr)

    def decode(self, payload: Symbols, spec: Spec) -> Tensor:
        """[*batch, *spec.shape]; a payload may hold only the first of the symbols.

        Raises:
            ConfigError: a latent of another size, more symbols than were sent, or prompts that do not fit the batch.
        """
        self._check(spec)
        if payload.num_symbols > self._uses:
            raise ConfigError(
                f"num_channel_uses: {payload.num_symbols} symbols arrived of a codec that sends {self._uses}"
            )
        snr = reported_snr_of(payload).reshape(-1)
        side, scale = self._side_information(snr)
        received = received_of(payload, self._weights.basis.num_components)
        network = self._weights.network
        estimate = network.receive(received, scale * side.amplitudes, side, self._indices(len(snr)))
        return network.latents(estimate).reshape(*payload.batch, *spec.shape)

    @torch.no_grad()
    def error_variance(self, payload: Symbols) -> Tensor:
        """[*batch], mean squared error per value of the latent that LMMSE alone would leave.

        A denoiser takes it for its noise level. The network leaves less, above all of the strong components.
        """
        side, scale = self._side_information(reported_snr_of(payload).reshape(-1))
        received = received_of(payload, self._weights.basis.num_components)
        left = self._weights.network.left(received, scale * side.amplitudes)
        return (left @ self._weights.basis.squared_norms / self._weights.basis.num_values).reshape(payload.batch)

    def _side_information(self, snr: Tensor) -> tuple[SideInformation, Tensor]:
        """Side information of cases [n], and the factor [n, 1, 1] that makes their power 1."""
        uses = torch.full(snr.shape, self._uses)
        # Measured over the ensemble and stored, since a power per item would be information for the receiver.
        power = self._weights.power(self._uses, snr, self.prompts is not None)
        return self._weights.network.side_information(uses, snr), power.rsqrt()[:, None, None]

    def _indices(self, num_items: int) -> Tensor:
        if self.prompts is None:
            return self._weights.vocabulary.absent(num_items)
        if not self.prompts or num_items % len(self.prompts):
            raise ConfigError(f"prompts: {len(self.prompts)} do not fit a batch of {num_items}; give one per item")
        return self._weights.vocabulary.indices(self.prompts).repeat(num_items // len(self.prompts), 1)

    def _check(self, spec: Spec) -> None:
        if spec.num_values != self._weights.basis.num_values:
            raise ConfigError(
                f"seed: the weights are for {self._weights.basis.num_values} values, the tensor has {spec.num_values}; "
                "leave height and width out, give --codec seed=raw, or train some with gainnet train seed-codec"
            )


def received_of(payload: Symbols, num_values: int) -> Received:
    """Symbols [*batch, L] as real dimensions of items in a row, nothing received behind the last."""
    values, gain, noise = (
        t.reshape(-1, payload.num_symbols) for t in (payload.values, payload.gain, payload.noise_variance)
    )
    # Matched filter, as in the linear code: both real parts of a symbol see the gain |h|^2.
    turned = torch.view_as_real((gain.conj() * values).contiguous()).flatten(-2)
    power = gain.abs().square().repeat_interleave(2, -1)
    variance = (noise / 2).repeat_interleave(2, -1)
    # Nothing was received behind the last symbol: gain 0 with any noise has precision 0.
    behind = torch.nn.functional.pad(variance, (0, 2 * num_values - variance.shape[-1]), value=1.0)
    return Received(
        to_dimensions(turned, num_values), to_dimensions(power, num_values), behind.unflatten(-1, (2, num_values))
    )
