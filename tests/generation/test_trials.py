"""Codecs, channels and policies of the user, each wrong in one way: one line says what, before any work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from gainnet import Air, Rayleigh
from gainnet.codecs import Content, LinearCode
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits, Payload, Size, Spec, Symbols
from gainnet.generation.planning import make_plan
from gainnet.generation.trials import check_channel, check_codec, check_power_policy, is_of_user
from gainnet.models.loading import load_model
from gainnet.orchestration import Association, load_scenario, orchestrate
from gainnet.protocols import Eiug
from gainnet.radio.fading.awgn import add_noise
from gainnet.radio.fading.blocks import independent_blocks

SPEC = Spec((4, 2, 2))


class Codec:
    """Right in all but what is put in its place."""

    emits: ClassVar[type[Payload]] = Bits

    def __init__(self, item: Any = b"abc", decoded: Callable[[Tensor], Any] = lambda x: x, upper: float = 64.0) -> None:
        self.item, self.decoded, self.upper = item, decoded, upper

    def size(self, spec: Spec) -> Size:
        return Size.fixed(self.upper)

    def encode(self, x: Tensor, reported_snr: Tensor) -> Any:
        if isinstance(self.item, Exception):
            raise self.item
        return self.item if self.item is None else Bits((self.item,) * len(x), (len(x),))

    def decode(self, payload: Bits, spec: Spec) -> Any:
        return self.decoded(torch.zeros(*payload.batch, *spec.shape))


def test_a_codec_that_keeps_its_contract_passes() -> None:
    check_codec("seed", Codec(), Content(SPEC))
    assert is_of_user(Codec())
    assert not is_of_user(LinearCode())


@pytest.mark.parametrize(
    ("codec", "line"),
    [
        (Codec(item=RuntimeError("boom")), r"encode failed \(RuntimeError: boom, test_trials\.py line \d+\)"),
        (Codec(item="abc"), "an item of bits must be bytes or None, not str"),
        (Codec(item=None), "encode must make Bits of 2 items, not NoneType"),
        (Codec(item=b"a" * 5000), "an item takes 40,000, and size promises at most 64"),
        (Codec(decoded=Tensor.double), "decode must make torch.float32, not torch.float64"),
        (Codec(decoded=lambda x: x[..., 0]), r"decode must make a tensor of shape \(2, 4, 2, 2\), not Tensor of shape"),
        (Codec(decoded=Tensor.numpy), "not ndarray of shape"),
        (Codec(decoded=lambda x: x / 0), "decode makes values that are not finite"),
    ],
)
def test_c21_a_codec_is_measured_when_it_is_opened(codec: Codec, line: str) -> None:
    with pytest.raises(ConfigError, match=rf"^codec\.seed: .*{line}"):
        check_codec("seed", codec, Content(SPEC))


class Channel:
    block_length = 256
    blocks = property(independent_blocks)

    def __init__(self, gain: complex = 1, factor: float = 1.0) -> None:
        self.gain, self.factor = gain, factor

    def first_gain(self, random: Random) -> Tensor:
        return self.gain * torch.ones(random.batch) + 0j

    def transmit(self, symbols: Tensor, snr: Tensor, gain: Tensor, random: Random) -> Symbols:
        if not self.factor:
            raise ValueError("no air")
        return add_noise(symbols * self.factor, gain.unsqueeze(-1).expand(symbols.shape), snr, random)


@pytest.mark.parametrize(
    ("channel", "line"),
    [
        (Channel(gain=2), r"the mean of \|first_gain\|\^2 is 4 and must be 1"),
        (Channel(gain=0), r"the mean of \|first_gain\|\^2 is 0 and must be 1"),
        (Channel(factor=float("nan")), "symbols are not finite"),
        (Channel(factor=0), r"transmit failed \(ValueError: no air, test_trials\.py line"),
    ],
)
def test_c21_a_channel_is_measured_when_it_is_opened(channel: Channel, line: str) -> None:
    check_channel(Channel())
    with pytest.raises(ConfigError, match=f"^fading: .*{line}"):
        check_channel(channel)


@pytest.mark.parametrize(
    ("policy", "line"),
    [
        (lambda outlook: -outlook.energy, "powers must be finite and 0 or more"),
        (lambda outlook: outlook.energy * float("nan"), "powers must be finite and 0 or more"),
        (lambda outlook: outlook.energy.unsqueeze(-1), r"it must make a tensor of shape \(2,\), not Tensor of shape"),
    ],
)
def test_c21_a_power_policy_is_measured_when_it_is_opened(policy: Any, line: str) -> None:
    with pytest.raises(ConfigError, match=f"^power: .*{line}"):
        check_power_policy(policy)


def test_c21_a_plan_measures_what_is_of_the_users() -> None:
    model = load_model(num_steps=2)
    with pytest.raises(ConfigError, match=r"^fading: Channel: the mean"):
        make_plan(Air(Channel(gain=2)), Eiug(), model, ("a red star",))
    made = make_plan(Air(Rayleigh()), Eiug(), model, ("a red star",))
    assert made.codecs["seed"]


@pytest.mark.parametrize("model", [torch.full((1, 2), 99), torch.zeros(1, 2), torch.zeros(1, 3, dtype=torch.int64)])
def test_c21_an_association_that_no_model_is_in_is_refused(model: Tensor) -> None:
    with pytest.raises(ConfigError, match=r"^policy: it must return an Association of 2 models, each 0 to \d"):
        orchestrate(load_scenario("street"), lambda graph, random: Association(model), clients=2, rounds=1)
