"""The ladder of schemes and the formats of codewords."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.types import Symbols
from gainnet.radio.coding.adaptation import num_uses
from gainnet.radio.coding.ldpc import decode, encode
from gainnet.radio.coding.mcs import LADDER, MAX_CODEWORD_BYTES, MIN_CODEWORD_BYTES, Codeword


def test_ladder_rises_from_the_lowest_to_the_highest_scheme_of_38214() -> None:
    efficiency = [m.spectral_efficiency for m in LADDER]
    assert efficiency == sorted(efficiency)
    assert efficiency[0] == pytest.approx(0.0586, abs=1e-4)
    assert efficiency[-1] == pytest.approx(7.4063, abs=1e-4)
    assert len(LADDER) == 34


@pytest.mark.parametrize("num_bytes", [MIN_CODEWORD_BYTES, 41, MAX_CODEWORD_BYTES])
def test_codeword_is_not_faster_than_its_scheme(num_bytes: int) -> None:
    for index, mcs in enumerate(LADDER):
        codeword = Codeword(num_bytes, mcs)
        assert codeword.num_information_bits / codeword.num_coded_bits <= mcs.code_rate + 1e-9
        assert (codeword.num_channel_uses - 1) * mcs.spectral_efficiency < codeword.num_information_bits
        assert int(num_uses(torch.tensor(index), torch.tensor(num_bytes))) == codeword.num_channel_uses


@pytest.mark.parametrize("index", range(0, len(LADDER), 3))
def test_codeword_comes_back_without_noise(index: int) -> None:
    codeword = Codeword(17, LADDER[index])
    payloads = torch.arange(34, dtype=torch.uint8).reshape(2, 17)
    symbols = encode(payloads, codeword)
    assert symbols.shape == (2, codeword.num_channel_uses)
    decoded, holds = decode(Symbols.clean(symbols), codeword)
    assert torch.equal(decoded, payloads)
    assert bool(holds.all())


@pytest.mark.parametrize("index", [0, 8, 20, 33])
def test_zeros_are_sent_with_unit_power(index: int) -> None:
    symbols = encode(torch.zeros(1, MAX_CODEWORD_BYTES, dtype=torch.uint8), Codeword(MAX_CODEWORD_BYTES, LADDER[index]))
    assert float(symbols.abs().square().mean()) == pytest.approx(1.0, abs=0.12)


@pytest.mark.slow
def test_noise_alone_fails_the_crc() -> None:
    codeword = Codeword(6, LADDER[8])
    noise = torch.randn(60, codeword.num_channel_uses, 2, generator=torch.Generator().manual_seed(0))
    received = torch.view_as_complex(noise)
    ones = torch.ones_like(received)
    _, holds = decode(Symbols(received, ones, torch.full(received.shape, 2.0)), codeword)
    _, holds_silence = decode(Symbols(0 * received, ones, torch.full(received.shape, 2.0)), codeword)
    assert int(holds.sum()) == 0
    assert int(holds_silence.sum()) == 0
