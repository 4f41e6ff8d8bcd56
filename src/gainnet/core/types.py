"""The nouns every package shares: nodes, tensors that are not there yet, payloads, channel states, usage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NewType, final

import torch
from torch import Tensor

NodeId = NewType("NodeId", str)
Tensors = Mapping[str, Tensor]
Place = tuple[NodeId, str]
"""A tensor on a node: (node, name of the tensor)."""


@final
@dataclass(frozen=True)
class Spec:
    """Shape of one item of a tensor that is not there yet, so that a plan can be priced without running it.

    Args:
        shape: shape without batch dimensions; a tensor is [*batch, *shape].

    >>> Spec((4, 16, 16)).num_values
    1024
    """

    shape: tuple[int, ...]

    @property
    def num_values(self) -> int:
        return math.prod(self.shape)

    def batch_of(self, x: Tensor) -> tuple[int, ...]:
        """Leading dimensions of `x` [*batch, *shape]; raises `ValueError` when `x` does not end in this shape.

        >>> Spec((2,)).batch_of(torch.zeros(5, 3, 2))
        (5, 3)
        """
        rank = x.dim() - len(self.shape)
        if rank < 0 or tuple(x.shape[rank:]) != self.shape:
            raise ValueError(f"a tensor of shape {tuple(x.shape)} does not end in {self.shape}")
        return tuple(x.shape[:rank])


@final
@dataclass(frozen=True)
class Size:
    """How much one item of a payload takes: bits for `Bits`, complex symbols for `Symbols`.

    Args:
        expected: mean over items; equals `upper` for a codec of fixed size.
        upper: no item takes more.
    """

    expected: float
    upper: float

    @staticmethod
    def fixed(size: float) -> Size:
        return Size(size, size)


@final
@dataclass(frozen=True)
class Bits:
    """One byte string per item, row-major over the batch; `None` where an item did not arrive.

    >>> Bits.of([b"ab", b"c"]).num_bits
    24
    """

    strings: Sequence[bytes | None]
    batch: tuple[int, ...]

    def __post_init__(self) -> None:
        if math.prod(self.batch) != len(self.strings):
            raise ValueError(f"batch {self.batch} does not hold {len(self.strings)} strings")

    @staticmethod
    def of(strings: list[bytes]) -> Bits:
        return Bits(tuple(strings), (len(strings),))

    @property
    def num_bits(self) -> int:
        """Bits of all items together; an item that did not arrive has none."""
        return sum(8 * len(s) for s in self.strings if s is not None)


@final
@dataclass(frozen=True)
class Symbols:
    """Complex baseband symbols with what the receiver knows of the channel, not equalised.

    y = gain * s + n,  E|s|^2 = 1,  n ~ CN(0, noise_variance)

    Args:
        values: [*batch, num_symbols], complex.
        gain: [*batch, num_symbols], complex channel coefficient; 1 at the sender.
        noise_variance: [*batch, num_symbols], real, linear, relative to E|s|^2 = 1; 0 at the sender.
        reported_snr: [*batch], linear SNR that was reported to the sender; both ends know it.
            Links pass it through; `None` when the codec does not need it.
    """

    values: Tensor
    gain: Tensor
    noise_variance: Tensor
    reported_snr: Tensor | None = None

    @staticmethod
    def clean(values: Tensor, reported_snr: Tensor | None = None) -> Symbols:
        """Symbols [*batch, L] as a sender emits them: gain 1, no noise.

        >>> Symbols.clean(torch.ones(2, 3, dtype=torch.complex64)).num_symbols
        3
        """
        return Symbols(values, torch.ones_like(values), torch.zeros_like(values.real), reported_snr)

    @property
    def num_symbols(self) -> int:
        """Symbols per item."""
        return int(self.values.shape[-1])

    @property
    def batch(self) -> tuple[int, ...]:
        return tuple(self.values.shape[:-1])

    def first(self, count: int) -> Symbols:
        """The first symbols of every item, [*batch, count].

        >>> Symbols.clean(torch.ones(2, 3, dtype=torch.complex64)).first(2).num_symbols
        2
        """
        values, gain, noise_variance = (x[..., :count] for x in (self.values, self.gain, self.noise_variance))
        return Symbols(values, gain, noise_variance, self.reported_snr)

    def items(self, chosen: int | slice | Tensor) -> Symbols:
        """Some items of the first batch dimension; one, by its number, is without that dimension.

        Args:
            chosen: number of an item, a slice, or a mask [num_items].

        >>> Symbols.clean(torch.ones(4, 3, dtype=torch.complex64)).items(slice(1, 3)).batch
        (2,)
        """
        reported = None if self.reported_snr is None else self.reported_snr[chosen]
        return Symbols(self.values[chosen], self.gain[chosen], self.noise_variance[chosen], reported)

    def mmse(self) -> Tensor:
        r"""[*batch, num_symbols], coherent linear MMSE estimate of unit-power symbols.

        $\hat s = h^* y / (|h|^2 + \sigma^2)$   (Kay 1993, Estimation Theory, section 12)

        >>> half = torch.full((1,), 0.5)
        >>> Symbols(half + 0j, half + 0j, torch.full((1,), 0.25)).mmse().real
        tensor([0.5000])
        """
        return self.gain.conj() * self.values / (self.gain.abs().square() + self.noise_variance)


Payload = Bits | Symbols


@final
@dataclass(frozen=True)
class ChannelState:
    """The state of the channel when a transfer starts.

    Args:
        snr: [*batch], mean received Es/N0 over the ensemble, linear (E|h|^2 = 1, E|s|^2 = 1).
        gain: [*batch], complex coefficient h of the first fading block, known to the receiver.
        reported_snr: [*batch], linear SNR of the first block as reported to the sender; may be wrong.
        block_length: channel uses that the report is true for: those with one gain, or a slot of a selective channel;
            later blocks are drawn when sending.
    """

    snr: Tensor
    gain: Tensor
    reported_snr: Tensor
    block_length: int


@final
@dataclass(frozen=True)
class Usage:
    """Resources that a transfer used, summed over the items of a batch (expected values when estimated).

    Args:
        num_bits: payload bits, each counted once however often it was sent; 0 for analog symbols.
        num_channel_uses: complex channel uses, retransmissions included.
        num_retransmissions: codewords that were sent again.
        duration_s: time on the medium, feedback excluded.
        feedback_s: time waited for acknowledgements.
        tx_energy_j: energy of the sender's radio.
        rx_energy_j: energy of the receiver's radio.
        delivered: whether every item arrived.
        item_s: [num_items], time on the medium of each item in turn, feedback included, row-major over the batch; empty
            where usage is an expectation, or a link does not say.
        has_uses: whether channel uses are known; a recorded link has times and no spectrum, and reports say null.
    """

    num_bits: float
    num_channel_uses: float
    num_retransmissions: float
    duration_s: float
    feedback_s: float
    tx_energy_j: float
    rx_energy_j: float
    delivered: bool = True
    # A tuple and not a tensor: usages are compared and sent to peers as plain values.
    item_s: tuple[float, ...] = ()
    has_uses: bool = True
