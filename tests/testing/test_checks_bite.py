"""The contract checks accept what is right and name what is wrong: every fault below is planted on purpose."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gainnet.codecs.raw import Float32, RawAnalog
from gainnet.core.errors import PayloadError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, ChannelState, Size, Spec, Symbols, Tensors, Usage
from gainnet.models.part import Role
from gainnet.network import DEVICE, EDGE, Hardware, Network, cell
from gainnet.protocols.plan import Compute, Plan, Transfer
from gainnet.radio import AWGN, Analog, Ideal, Rayleigh
from gainnet.testing import check_channel, check_codec, check_link, check_part, check_plan, check_sliceable

RANDOM = Random.of(range(8))
LATENTS = RANDOM.normal((2, 3, 4), "latent")


def faulty(kind: type, **members: Any) -> Any:
    """An object of a class with some members replaced; the class itself is final for types, not for this."""
    return type(f"Faulty{kind.__name__}", (kind,), members)()


def refuses(check: Callable[..., None], *arguments: Any, match: str) -> None:
    with pytest.raises(AssertionError, match=match) as error:
        check(*arguments)
    assert "\n" not in str(error.value).strip()


def own_noise(self: AWGN, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    """Noise from torch's global generator."""
    clean = AWGN.transmit(self, symbols, torch.full_like(snr, math.inf), gain, random)
    variance = (1 / snr).unsqueeze(-1).expand(symbols.shape)
    return replace(clean, values=clean.values + torch.randn_like(symbols) * variance.sqrt(), noise_variance=variance)


def louder(self: AWGN, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    heard = AWGN.transmit(self, symbols, snr / 2, gain, random)
    return replace(heard, noise_variance=heard.noise_variance / 2)


def deaf(self: AWGN, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    return AWGN.transmit(self, symbols.detach(), snr, gain, random)


def shared_noise(self: AWGN, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    """One noise for the whole batch."""
    same = Random((0,) * random.num_items, random.batch, random.path)
    return AWGN.transmit(self, symbols, snr, gain, same)


def nameless_noise(self: AWGN, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
    return AWGN.transmit(self, symbols, snr, gain, Random(random.random_seeds, random.batch))


@pytest.mark.parametrize(
    ("members", "match"),
    [
        ({"transmit": own_noise}, "not received as item 3 alone|second time"),
        ({"transmit": louder}, "times the power of noise_variance"),
        ({"transmit": deaf}, "no gradient"),
        ({"transmit": shared_noise}, "the same noise"),
        ({"transmit": nameless_noise}, "different names"),
        ({"first_gain": lambda self, random: 2 * AWGN.first_gain(self, random)}, "not 1"),
        ({"block_length": 0}, "block_length"),
    ],
)
def test_channel_faults(members: dict[str, Any], match: str) -> None:
    refuses(check_channel, faulty(AWGN, **members), match=match)


def test_a_gain_that_changes_within_its_block() -> None:
    class TooLong(Rayleigh):  # type: ignore[misc]
        def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
            return Rayleigh(block_length=5).transmit(symbols, snr, gain, random)

    check_channel(Rayleigh(block_length=10))
    refuses(check_channel, TooLong(block_length=10), match="changes within the block")


def lossy(self: Ideal, payload: Bits, state: ChannelState, random: Random) -> tuple[Bits, Usage]:
    received, usage = Ideal().send(payload, state, random)
    return replace(received, strings=(None, *received.strings[1:])), usage


def dearer(self: Analog, payload: Symbols, state: ChannelState, random: Random) -> tuple[Symbols, Usage]:
    received, usage = Analog().send(payload, state, random)
    return received, replace(usage, tx_energy_j=2 * usage.tx_energy_j)


def forgetful(self: Analog, payload: Symbols, state: ChannelState, random: Random) -> tuple[Symbols, Usage]:
    received, usage = Analog().send(payload, state, random)
    return replace(received, reported_snr=None), usage


def per_batch(self: Analog, size: Size, num_items: int) -> Usage:
    return Analog().usage(size, 1)


@pytest.mark.parametrize(
    ("link", "members", "match"),
    [
        (Ideal, {"send": lossy}, "item 3|delivered|repeatable"),
        (Ideal, {"usage": lambda self, size, num_items: Usage(0, 0, 0, 0, 0, 0, 0)}, "num_bits of usage"),
        (Analog, {"send": dearer}, "states tx_energy_j"),
        (Analog, {"send": forgetful}, "reported_snr"),
        (Analog, {"usage": per_batch}, "not ten times"),
        (Analog, {"draw_durations_s": lambda self, size, n, k, s: torch.zeros(k, dtype=torch.float64)}, "mean 0 s"),
        (Analog, {"capacity_bits": lambda self, uses, snr: 1.0}, "promises bits"),
    ],
)
def test_link_faults(link: type, members: dict[str, Any], match: str) -> None:
    refuses(check_link, faulty(link, **members), match=match)


def crash(self: Float32, payload: Bits, spec: Spec) -> Tensor:
    try:
        return Float32().decode(payload, spec)
    except PayloadError as error:
        raise IndexError from error


def unconcealed(self: Float32, payload: Bits, spec: Spec) -> Tensor:
    decoded = Float32().decode(payload, spec)
    arrived = torch.tensor([s is not None for s in payload.strings]).reshape(payload.batch)
    return torch.where(arrived[(...,) + (None,) * len(spec.shape)], decoded, math.nan)


def normalised_by_batch(self: RawAnalog, x: Tensor, reported_snr: Tensor) -> Symbols:
    return RawAnalog().encode(x / x.std(), reported_snr)


@pytest.mark.parametrize(
    ("codec", "members", "match"),
    [
        (Float32, {"size": lambda self, spec: Size.fixed(8)}, "above the upper"),
        (Float32, {"size": lambda self, spec: Size.fixed(10_000)}, "size is fixed"),
        (Float32, {"size": lambda self, spec: Size(10_000, 9_000)}, "above its upper"),
        (Float32, {"decode": crash}, "IndexError, not PayloadError"),
        (Float32, {"decode": unconcealed}, "not concealed"),
        (Float32, {"decode": lambda self, p, s: Float32().decode(p, s).double()}, "decoded type"),
        (RawAnalog, {"encode": normalised_by_batch}, "item 3 of a batch is not encoded"),
        (RawAnalog, {"encode": lambda self, x, snr: RawAnalog().encode(3 * x, snr)}, "mean power"),
        (RawAnalog, {"encode": lambda self, x, snr: RawAnalog().encode(x.detach(), snr)}, "no gradient"),
    ],
)
def test_codec_faults(codec: type, members: dict[str, Any], match: str) -> None:
    check_codec(codec(), LATENTS)
    refuses(check_codec, faulty(codec, **members), LATENTS, match=match)


@dataclass(frozen=True)
class Walk:
    """Steps of a random walk through a matrix: the smallest part that can be cut."""

    start: int = 0
    stop: int = 4
    num_steps: int = 4
    name: str = "walk"
    role: Role = "other"
    reads: tuple[str, ...] = ("x",)
    memory_bytes: float = 64.0

    @property
    def num_passes(self) -> int:
        return self.stop - self.start

    @property
    def flops(self) -> float:
        return 2.0 * 16 * self.num_passes

    @property
    def writes(self) -> Mapping[str, Spec]:
        return {"x": Spec((4,))}

    def __getitem__(self, steps: slice) -> Walk:
        first, last, _ = steps.indices(self.stop - self.start)
        return replace(self, start=self.start + first, stop=self.start + last)

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        x = tensors["x"]
        for step in range(self.start, self.stop):
            x = x @ torch.full((4, 4), 0.25) + random.normal((4,), "walk", step)
        return {"x": x}


class NoiseByOrder(Walk):
    """The noise depends on how many steps this piece made before."""

    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        x = tensors["x"]
        for step in range(self.num_passes):
            x = x @ torch.full((4, 4), 0.25) + random.normal((4,), "walk", step)
        return {"x": x}


class InPlace(Walk):
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        tensors["x"].add_(1.0)
        return super().__call__(tensors, random)


class Global(Walk):
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return {"x": tensors["x"] + torch.randn(4)}


class OverBatch(Walk):
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        x = tensors["x"]
        return super().__call__({"x": x - x.mean()}, random)


class Cheap(Walk):
    @property
    def flops(self) -> float:
        return 1.0


class Talkative(Walk):
    def __call__(self, tensors: Tensors, random: Random) -> Tensors:
        return {**super().__call__(tensors, random), "y": tensors["x"]}


INPUTS = {"x": RANDOM.normal((4,), "x")}


@pytest.mark.parametrize(
    ("part", "match"),
    [
        (InPlace(), "changes what it reads"),
        (Global(), "not repeatable"),
        (OverBatch(), "than for the item alone"),
        (Cheap(), "torch counts"),
        (Talkative(), "but promises"),
        (replace(Walk(), role="wizard"), "role"),
        (replace(Walk(), reads=("z",)), "was not given"),
    ],
)
def test_part_faults(part: Walk, match: str) -> None:
    inputs = {key: x.clone() for key, x in INPUTS.items()}
    refuses(check_part, part, inputs, RANDOM, match=match)


def test_a_cut_that_changes_the_noise() -> None:
    check_sliceable(Walk(), INPUTS, RANDOM)
    check_part(NoiseByOrder(), INPUTS, RANDOM)
    refuses(check_sliceable, NoiseByOrder(), INPUTS, RANDOM, match="cut at step 1 does not give what the whole gives")


def small_cell(link: Any) -> Network:
    hardware = Hardware(1e9, 1.0, 1e9, 10.0, 1.0, 2.0, 1.0)
    return cell(hardware, hardware, (link,), (link,))


def plan(codec: Any, part: Any = None) -> Plan:
    steps = Compute(EDGE, part or Walk()), Transfer(EDGE, (DEVICE,), "x", codec)
    return Plan(steps, (DEVICE, "x"))


def test_plan_faults() -> None:
    inputs = {(EDGE, "x"): INPUTS["x"]}
    check_plan(plan(Float32()), small_cell(Ideal()), inputs, RANDOM)
    check_plan(plan(RawAnalog()), small_cell(Analog()), inputs, RANDOM)
    surplus = {**inputs, (EDGE, "y"): INPUTS["x"]}
    refuses(check_plan, plan(Float32()), small_cell(Ideal()), surplus, RANDOM, match="does not miss its input 'y'")
    network = small_cell(Ideal())
    refuses(check_plan, plan(Float32(), Global()), network, inputs, RANDOM, match="item alone|two results")
    dear = faulty(Analog, send=dearer)
    refuses(check_plan, plan(RawAnalog()), small_cell(dear), inputs, RANDOM, match="energy_j .* estimated as")
