"""Traces of measured SNR: what is read, what is refused, and an air that is out of order."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Bits
from gainnet.radio import Air, Arq, Digital, Shannon, SnrTrace, Tabulated, write_generated_trace
from gainnet.radio.links.link import AnyLink
from gainnet.testing import check_channel


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "trace.csv"
    path.write_text(text)
    return path


def test_a_generated_trace_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "generated.csv"
    write_generated_trace(path, 2000, 8.0, 0.05, random_seed=1)
    trace = SnrTrace.read(path)
    assert len(trace.snr_db) == 2000
    assert trace.mean_snr_db == pytest.approx(8.0, abs=0.01)
    check_channel(trace, 12.0)


def test_blocks_are_the_rows_in_their_order(tmp_path: Path) -> None:
    rows = [3.0, 17.0, -4.0, 9.0, 12.0]
    trace = SnrTrace.read(written(tmp_path, "time,SNR\n" + "".join(f"{i},{x}\n" for i, x in enumerate(rows))), 4)
    random = Random.of([5])
    received = trace.transmit(torch.ones(1, 40) + 0j, torch.tensor([1.0]), trace.first_gain(random), random)
    power_db = trace.mean_snr_db + 20 * received.gain[0, ::4].abs().log10()
    start = min(range(5), key=lambda i: abs(rows[i] - float(power_db[0])))
    expected = [rows[(start + i) % 5] for i in range(10)]
    assert power_db.tolist() == pytest.approx(expected, abs=1e-3)


def test_every_block_of_the_link_has_the_snr_of_its_row() -> None:
    trace = SnrTrace((0.0, 20.0), 256)
    link = Tabulated(Air(trace, trace.mean_snr_db))
    reported_db = 10 * link.observe(Random.of(range(50))).reported_snr.log10()
    assert set(reported_db.round().tolist()) == {0.0, 20.0}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("snr_db\n3\n\n-\n4\n", "line 3 has a hole"),
        ("a,SNR\n1,3\n2,-\n", "line 3 has a hole in SNR"),
        ("a,SNR\n1,3\n2\n", "line 3 has a hole in SNR"),
        ("snr_db\n3\ngood\n", "line 3 holds 'good', not a number"),
        ("snr_db\n3\nnan\n", "line 3 holds nan"),
        ("snr_db\n1e9\n", "line 2 holds 1e9 dB"),
        ("rsrp,cqi\n-90,7\n", "no column snr_db or SNR"),
        ("", "no column snr_db or SNR"),
        ("snr_db\n", "no rows"),
    ],
)
def test_a_damaged_trace_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match="trace: ") as caught:
        SnrTrace.read(written(tmp_path, text))
    if "\n\n" not in text:
        assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_file_or_no_text_is_one_line(tmp_path: Path) -> None:
    binary = tmp_path / "binary.csv"
    binary.write_bytes(bytes(range(256)) * 4)
    for path in (tmp_path / "none.csv", tmp_path, binary):
        with pytest.raises(ConfigError, match="trace: "):
            SnrTrace.read(path)


@pytest.mark.parametrize("harq", ["none", "ir", "shannon"])
def test_an_outage_of_any_length_ends_in_a_report(harq: Literal["none", "ir", "shannon"]) -> None:
    trace = SnrTrace((-200.0,) * 1000)
    link: AnyLink = (
        Shannon(Air(trace, -60.0)) if harq == "shannon" else Tabulated(Air(trace, -60.0), arq=Arq(harq=harq))
    )
    random = Random.of([1])
    num_bytes = 4000 if harq == "shannon" else 20
    received, usage = link.send(Bits.of([bytes(num_bytes)]), link.observe(random), random)
    assert not usage.delivered
    assert math.isfinite(usage.duration_s)
    if harq != "shannon":
        assert received.strings == (None,)


@pytest.mark.slow
def test_a_long_outage_in_the_middle_is_survived_by_real_codewords() -> None:
    trace = SnrTrace((15.0,) * 4 + (-100.0,) * 10 + (15.0,) * 4, 256)
    link = Digital(Air(trace, trace.mean_snr_db), arq=Arq(max_attempts=4))
    random = Random.of(range(6))
    received, usage = link.send(Bits((bytes(60),) * 6, (6,)), link.observe(random), random)
    assert all(s in (None, bytes(60)) for s in received.strings)
    assert usage.delivered == (None not in received.strings)


def test_impossible_traces_are_refused() -> None:
    with pytest.raises(ConfigError, match="no rows"):
        SnrTrace(())
    with pytest.raises(ConfigError, match="block_length"):
        SnrTrace((1.0,), 0)
    with pytest.raises(ConfigError, match="trace: SNRs"):
        SnrTrace((math.nan,))


@pytest.mark.slow
def test_an_outage_of_all_rows_is_a_link_that_carries_nothing() -> None:
    channel = SnrTrace((-200.0, -200.0))
    gain = channel.first_gain(Random.of([0, 1]))
    received_db = channel.mean_snr_db + 10 * gain.abs().square().log10()
    assert torch.allclose(received_db, torch.full((2,), -200.0), atol=1e-3)
    link, random = Digital(Air(channel, channel.mean_snr_db)), Random.of([0])
    _, usage = link.send(Bits.of([bytes(4)]), link.observe(random), random)
    assert not usage.delivered


def test_an_empty_line_is_a_hole(tmp_path: Path) -> None:
    path = tmp_path / "trace.csv"
    path.write_text("snr_db\n5\n\n3\n\n")
    with pytest.raises(ConfigError, match="line 3 is empty"):
        SnrTrace.read(path)


def test_the_byte_order_mark_of_a_spreadsheet_is_no_part_of_a_name(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_bytes(b"\xef\xbb\xbfsnr_db\n5\n6\n")
    assert SnrTrace.read(file).snr_db == (5.0, 6.0)
