"""The stream against a decoder of big integers, written from the definition, and against its information content."""

import zlib
from itertools import accumulate

import numpy as np
import pytest

from gainnet.codecs.entropy import CRC_BITS, TOTAL, IntegerModel, Run, RunReader, encode_runs, information_bits
from gainnet.core.errors import PayloadError


def random_model(num_symbols: int, rng: np.random.Generator) -> IntegerModel:
    shares = rng.dirichlet(np.full(num_symbols, 0.3))
    frequencies = [1 + int(share * (TOTAL - num_symbols)) for share in shares]
    frequencies[0] += TOTAL - sum(frequencies)
    return IntegerModel(tuple(frequencies))


def random_runs(rng: np.random.Generator, num_runs: int, length: int) -> list[Run]:
    runs = []
    for _ in range(num_runs):
        model = random_model(int(rng.integers(2, 50)), rng)
        probabilities = np.array(model.frequencies) / TOTAL
        runs.append((rng.choice(len(probabilities), length, p=probabilities).astype(np.int32), model))
    return runs


def reference_decode(string: bytes, models: list[tuple[IntegerModel, int]]) -> tuple[list[list[int]], int]:
    """Asymmetric numeral system on one big integer: state = words, refilled by 32 bits below 2^32."""
    words = [int.from_bytes(string[i : i + 4].ljust(4, b"\0"), "little") for i in range(0, len(string), 4)]
    state = 0
    for _ in range(2):
        state = state << 32 | (words.pop() if words else 0)
    runs = []
    for model, length in models:
        starts = [0, *accumulate(model.frequencies)]
        run = []
        for _ in range(length):
            slot = state % TOTAL
            symbol = next(i for i in range(len(model.frequencies)) if starts[i] <= slot < starts[i + 1])
            state = state // TOTAL * model.frequencies[symbol] + slot - starts[symbol]
            if state < 1 << 32 and words:
                state = state << 32 | words.pop()
            run.append(symbol)
        runs.append(run)
    return runs, state


@pytest.mark.parametrize("random_seed", range(5))
def test_a_decoder_written_from_the_definition_reads_the_stream(random_seed: int) -> None:
    rng = np.random.default_rng(random_seed)
    runs = random_runs(rng, num_runs=4, length=60)
    decoded, state = reference_decode(encode_runs(runs), [(model, len(symbols)) for symbols, model in runs])
    assert decoded == [symbols.tolist() for symbols, _ in runs]
    check = zlib.crc32(np.concatenate([symbols for symbols, _ in runs]).astype("<i4").tobytes())
    assert state == (1 << CRC_BITS) + check % (1 << CRC_BITS)


@pytest.mark.parametrize("length", [1, 10, 100, 5000])
def test_length_is_at_most_information_content_and_24_bits_and_the_check_sum(length: int) -> None:
    rng = np.random.default_rng(length)
    for _ in range(20):
        runs = random_runs(rng, num_runs=2, length=length)
        assert 8 * len(encode_runs(runs)) <= information_bits(runs) + 24 + CRC_BITS


def test_length_is_within_a_thousandth_of_the_information_content_from_100_kbit() -> None:
    rng = np.random.default_rng(0)
    for num_symbols, length in ((40_000, 8), (400_000, 2)):
        model = random_model(length, rng)
        runs = [(rng.choice(length, num_symbols, p=np.array(model.frequencies) / TOTAL).astype(np.int32), model)]
        information = information_bits(runs)
        if information > 1e5:
            assert 8 * len(encode_runs(runs)) <= 1.001 * information
    even = [(rng.integers(0, 16, 25_000, dtype=np.int32), IntegerModel.uniform(16))]
    assert 1e5 <= 8 * len(encode_runs(even)) <= 1.001e5


GOLDEN = [
    ("583d3a370f", [0, 1, 2, 1, 0, 0, 2], (TOTAL // 2, TOTAL // 4, TOTAL // 4)),
    (
        "0300005a1c1e6b7103000051020000ab030000a60100002a0400005f020000b7f800a4b62a3c",
        [3, 3, 3, 3, 0, 1, 2, 3] * 4,
        (1, 2, 3, TOTAL - 6),
    ),
    ("00000001", [], (TOTAL - 1, 1)),
]


@pytest.mark.parametrize(("stream", "values", "frequencies"), GOLDEN)
def test_streams_are_these_bytes_on_every_machine(stream: str, values: list[int], frequencies: tuple[int, ...]) -> None:
    symbols, model = np.array(values, dtype=np.int32), IntegerModel(frequencies)
    assert encode_runs([(symbols, model)]).hex() == stream
    reader = RunReader(bytes.fromhex(stream))
    assert reader.take(model, len(symbols)).tolist() == values
    reader.close()


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    (symbols, model), *_ = runs = random_runs(np.random.default_rng(3), num_runs=1, length=40)
    string = encode_runs(runs)
    damaged = [string[:cut] for cut in range(len(string))] + [string + b"\1"]
    for bit in range(8 * len(string)):
        flipped = bytearray(string)
        flipped[bit // 8] ^= 1 << bit % 8
        damaged.append(bytes(flipped))
    for received in damaged:
        with pytest.raises(PayloadError, match="entropy code"):
            read(received, model, len(symbols))


def read(string: bytes, model: IntegerModel, num_symbols: int) -> None:
    reader = RunReader(string)
    reader.take(model, num_symbols)
    reader.close()


def test_a_model_needs_every_symbol_and_the_whole_mass() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        IntegerModel((TOTAL, 0))
    with pytest.raises(ValueError, match="sum"):
        IntegerModel((1, 1))
