"""Ways over the air: symbols as they are, bits that fill a budget, and the Gaussian optimum in place of a code."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol, final

import torch
from torch import Tensor

from gainnet.codecs import SeedBasis
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.opta import backward_test_channel
from gainnet.codecs.rate_matched import LEAST_BITS, MOST_BITS
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Spec, Symbols
from gainnet.core.units import db_to_linear
from gainnet.network.hardware import profile
from gainnet.radio import AWGN, Rayleigh
from gainnet.radio.fading.channel import Channel
from gainnet.radio.links.link import AnyLink
from gainnet.studies.image_quality.air import Air, Told
from gainnet.studies.seed_coding.question import FAST_BLOCK, LDPC_IR, SHANNON
from gainnet.studies.study import Case

Prompts = tuple[str, ...]
AnalogCode = Callable[[int, Prompts], AnyCodec]
"""The code of symbols for so many channel uses and these prompts, one per item."""
BitCode = Callable[[float, Prompts], AnyCodec]
"""The code of bits that fills so many bits for these prompts, one per item."""
Receiver = Callable[[AnyCodec, Symbols, Spec, Prompts], Tensor]
"""What makes values [num_items, *shape] of received symbols of a code, knowing the prompts."""

CHANNELS: Final[dict[str, Channel]] = {"awgn": AWGN(), "rayleigh": Rayleigh(), "rayleigh_fast": Rayleigh(FAST_BLOCK)}
EDGE, DEVICE = profile("edge_a100"), profile("phone")


@final
@dataclass(frozen=True)
class Received:
    """What came out of the air.

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


class Way(Protocol):
    """Moves a batch; raises `ConfigError` where a code cannot be sent in the budget of a case."""

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        """What arrives of `x` [num_items, *shape]; `random` are the streams of the items."""


def air_of(case: Case, num_channel_uses: int) -> Air:
    """Channel, SNR and budget that a case names."""
    fading, bearer = str(case.values["fading"]), case.values["bearer"]
    snr_db, error_db = (float(str(case.values[name])) for name in ("snr_db", "report_error_db"))
    told = Told("ir" if bearer == LDPC_IR else "none", report_error_db=error_db)
    return Air(CHANNELS[fading], fading, snr_db, num_channel_uses, told)


def told_of(state: ChannelState, case: Case) -> ChannelState:
    """The state with a report that is wrong by as much as a case says."""
    factor = db_to_linear(float(str(case.values["report_offset_db"])))
    return replace(state, reported_snr=state.reported_snr * factor)


def decoded(code: AnyCodec, sent: Symbols, spec: Spec, prompts: Prompts) -> Tensor:
    """What the code's own decoder makes of symbols."""
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
    receiver: Receiver = decoded

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        uses = int(str(case.values["num_channel_uses"])) // self.num_parts
        code, spec = self.code_of(uses, prompts), Spec(tuple(x.shape[1:]))
        code.size(spec)
        link = air_of(case, uses).analog(EDGE, DEVICE)
        state = told_of(link.observe(random), case)
        sent, usage = link.send(code.encode(x, state.reported_snr), state, random)
        values = self.receiver(code, sent, spec, prompts)
        return Received(values, usage.num_channel_uses / len(x) * self.num_parts)


@final
@dataclass(frozen=True)
class Digital:
    """x --code that fills the budget at the reported SNR--> bits --codewords, or capacity--> bits --code--> x"""

    code_of: BitCode

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        air, spec = air_of(case, int(str(case.values["num_channel_uses"]))), Spec(tuple(x.shape[1:]))
        link: AnyLink = (air.shannon if case.values["bearer"] == SHANNON else air.tabulated)(EDGE, DEVICE)
        state = told_of(link.observe(random), case)
        payload = filled(self.code_of, air.budget(link), x, prompts, state.reported_snr)
        sent, usage = link.send(payload, state, random)
        arrived = sum(string is not None for string in sent.strings) / len(x)
        values = self.code_of(MOST_BITS, prompts).decode(sent, spec)
        return Received(values, usage.num_channel_uses / len(x), payload.num_bits / len(x), arrived)


def filled(
    code_of: BitCode, budget: Callable[[float], float], x: Tensor, prompts: Prompts, reported_snr: Tensor
) -> Bits:
    """Every item within the bits that its reported SNR carries, as `RateMatched`, and with its own prompt.

    Args:
        code_of: the code.
        budget: bits of one item at a linear SNR.
        x: [num_items, *shape].
        prompts: one per item.
        reported_snr: [num_items], linear.
    """
    strings: list[bytes | None] = [None] * len(x)
    members_of: dict[float, list[int]] = defaultdict(list)
    for item, snr in enumerate(reported_snr.tolist()):
        members_of[budget(snr)].append(item)
    for bits, members in members_of.items():
        if bits < LEAST_BITS:
            continue
        code = code_of(min(bits, MOST_BITS), tuple(prompts[item] for item in members))
        payload = code.encode(x[members], reported_snr[members])
        for item, string in zip(members, payload.strings, strict=True):
            strings[item] = string
    return Bits(tuple(strings), (len(x),))


@final
@dataclass(frozen=True)
class GaussianOptimum:
    """Latents through the backward test channel at the mutual information of every item's own channel; a bound.

    Args:
        basis: principal components of the latents.
        num_parts: items that share the channel uses of a case.
    """

    basis: SeedBasis
    num_parts: int = 1

    def __call__(self, case: Case, x: Tensor, prompts: Prompts, random: Random) -> Received:
        uses = int(str(case.values["num_channel_uses"])) // self.num_parts
        rate_bits = mutual_information(air_of(case, uses).analog(EDGE, DEVICE), uses, random)
        snr = 2 ** (rate_bits / uses) - 1
        values = backward_test_channel(x, self.basis, uses, snr, Spec(tuple(x.shape[1:])), random)
        return Received(values, float(uses * self.num_parts))


def mutual_information(link: AnyLink, num_channel_uses: int, random: Random) -> Tensor:
    r"""[num_items], bits that Gaussian symbols carry, $\sum_t \log_2(1 + \gamma |h_t|^2)$ with the gains of each item.

    Args:
        link: analog, its channel and SNR.
        num_channel_uses: complex uses of one item.
        random: streams of the items; gains are those that a code meets.
    """
    state = link.observe(random)
    ones = torch.ones(*random.batch, num_channel_uses, dtype=torch.complex64)
    gain = link.send(Symbols.clean(ones, state.reported_snr), state, random)[0].gain
    return torch.log2(1 + state.snr[:, None].double() * gain.abs().square().double()).sum(-1)
