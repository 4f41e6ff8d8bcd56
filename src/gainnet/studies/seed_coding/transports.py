"""Transports over the air: symbols as they are, bits that fill a budget, and the Gaussian optimum instead of a code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, final

from torch import Tensor

from gainnet.catalog import parse
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.components import Components
from gainnet.codecs.content import Content
from gainnet.codecs.opta import backward_test_channel
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Payload, Spec, Symbols, Usage
from gainnet.core.units import db_to_linear
from gainnet.network.hardware import profile
from gainnet.protocols.transmit import accept, emit
from gainnet.radio import AWGN, Air, Rayleigh, Reports
from gainnet.radio.fading.channel import Channel
from gainnet.radio.links.link import AnyLink
from gainnet.studies.image_quality.air import BudgetedAir
from gainnet.studies.own import OwnCodec
from gainnet.studies.seed_coding.question import FAST_BLOCK, LDPC_IR, SHANNON
from gainnet.studies.study import Case

Prompts = tuple[str, ...]
AnalogCode = Callable[[int, Prompts], AnyCodec]
"""The code of symbols for so many channel uses and these prompts, one per item."""
BitCode = Callable[[float, Prompts], AnyCodec]
"""The code of bits that fills so many bits for these prompts, one per item."""
Receiver = Callable[[AnyCodec, Any, Spec, Prompts], Tensor]
"""Values [num_items, *shape] from received symbols of a code, with the prompts at hand."""

CHANNELS: Final[dict[str, Channel]] = {"awgn": AWGN(), "rayleigh": Rayleigh(), "rayleigh_fast": Rayleigh(FAST_BLOCK)}
EDGE, DEVICE = profile("edge_a100"), profile("phone")


@final
@dataclass(frozen=True)
class Received:
    """Outcome of a transmission.

    Args:
        values: [num_items, *shape], decoded.
        num_channel_uses: of one item on average, retransmissions counted.
        num_bits: of one item on average; `None` for symbols.
        delivered: share of the items that arrived.
    """

    values: Tensor
    num_channel_uses: float
    num_bits: float | None = None
    delivered: float = 1.0


class Transport(Protocol):
    """Moves a batch; raises `ConfigError` where a code cannot be sent in the budget of a case."""

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        """Received values of `x` [num_items, *shape]; `random` are the streams of the items."""


def _channel(fading: str) -> Channel:
    """A channel of the study, or of the user's."""
    found: Channel = CHANNELS[fading] if fading in CHANNELS else parse("fading", fading)
    return found


def air_of(case: Case, num_channel_uses: int) -> BudgetedAir:
    """Air and budget that a case names."""
    reports = Reports(case.number("report_error_db"))
    air = Air(_channel(case.text("fading")), case.number("snr_db"), reports=reports)
    return BudgetedAir(air, num_channel_uses, "ir" if case.values["bearer"] == LDPC_IR else "none")


@final
@dataclass(frozen=True)
class Misreported:
    """A link whose first SNR report is wrong by a constant factor.

    Args:
        link: carries the payload.
        factor: linear, > 0.
    """

    link: AnyLink
    factor: float

    @staticmethod
    def of(link: AnyLink, case: Case) -> Misreported:
        """The link with the offset of a case."""
        return Misreported(link, db_to_linear(case.number("report_offset_db")))

    def observe(self, random: Random) -> ChannelState:
        state = self.link.observe(random)
        return replace(state, reported_snr=state.reported_snr * self.factor)

    def send(self, payload: Payload, state: ChannelState, random: Random) -> tuple[Payload, Usage]:
        return self.link.send(payload, state, random)


def decode(code: AnyCodec, sent: Symbols, spec: Spec, prompts: Prompts) -> Tensor:
    """Values from symbols by the code's own decoder."""
    values: Tensor = code.decode(sent, spec)
    return values


@final
@dataclass(frozen=True)
class Analog:
    """x --code--> symbols --channel--> symbols --receiver--> x

    Args:
        code_of: the code.
        num_parts: items that share the channel uses of a case, each with an equal part.
        receiver: the code's own decoder, or one that has more at hand.
    """

    code_of: AnalogCode
    num_parts: int = 1
    receiver: Receiver = decode

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        uses = case.count("num_channel_uses") // self.num_parts
        code, spec = self.code_of(uses, prompts), Spec(tuple(x.shape[1:]))
        # Raises where a code cannot fill these uses, before anything is sent.
        code.size(spec)
        link = Misreported.of(air_of(case, uses).analog(EDGE, DEVICE), case)
        (sent,) = emit(x, code, (link,), (random,))
        # The receiver may know more than the code's own decoder, so the payload is handed to it undecoded.
        values = self.receiver(code, sent.payload, spec, prompts)
        return Received(values, sent.usage.num_channel_uses / len(x) * self.num_parts)


@final
@dataclass(frozen=True)
class Digital:
    """x --code that fills the budget at the reported SNR--> bits --codewords, or capacity--> bits --code--> x"""

    code_of: BitCode

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        air = air_of(case, case.count("num_channel_uses"))
        link: AnyLink = (air.shannon if case.values["bearer"] == SHANNON else air.tabulated)(EDGE, DEVICE)
        codec = air.matched(lambda bits: self.code_of(bits, prompts), link)
        (sent,) = emit(x, codec, (Misreported.of(link, case),), (random,))
        received = accept(sent, codec, Spec(tuple(x.shape[1:])))
        arrived = int(received.arrived.sum()) / len(x)
        uses, num_bits = received.usage.num_channel_uses / len(x), received.usage.num_bits / len(x)
        return Received(received.values, uses, num_bits, arrived)


@final
@dataclass(frozen=True)
class GaussianOptimum:
    """Latents through the backward test channel at the mutual information of every item's own channel; a bound.

    Args:
        basis: principal components of the latents.
        num_parts: items that share the channel uses of a case.
    """

    basis: Components
    num_parts: int = 1

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        uses = case.count("num_channel_uses") // self.num_parts
        # The SNR of a channel without fading that carries as much.
        snr = 2 ** (air_of(case, uses).mutual_information(random) / uses) - 1
        values = backward_test_channel(x, self.basis, uses, snr, Spec(tuple(x.shape[1:])), random)
        return Received(values, float(uses * self.num_parts))


def own_transport(own: OwnCodec, content: Content) -> Transport:
    """The transport of a codec of the user's.

    Args:
        own: the codec.
        content: model, and shape of an item.
    """

    def code_of(uses: int, prompts: Prompts) -> AnyCodec:
        return own.bound(replace(content, prompts=prompts), uses)

    if own.emits is not Bits:
        return Analog(code_of)

    def send(case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        uses, about = case.count("num_channel_uses"), replace(content, prompts=prompts)
        return Digital(lambda bits, _: own.bound(about, uses, bits))(case, x, prompts, random)

    return send
