"""Every script of examples/ runs, and what it prints is what it claims."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from gainnet.protocols import PROTOCOLS

EXAMPLES = Path(__file__).parents[2] / "examples"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Runs an example in an empty folder; gives its lines."""

    def run(name: str) -> list[str]:
        monkeypatch.chdir(tmp_path)
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return run


def numbers(line: str) -> list[float]:
    """Numbers behind the last colon, or of the whole line."""
    return [float(x) for x in NUMBER.findall(line.rpartition(":")[2])]


def row(line: str, num_names: int) -> list[float]:
    """Numbers of a table's row behind its names."""
    return [float(x) for x in line.split()[num_names:]]


@pytest.mark.slow
def test_first_picture(printed) -> None:
    lines = printed("01_first_picture.py")
    assert 10 < numbers(lines[0])[0] < 50
    assert numbers(lines[1])[0] == 512
    written = {path.name for path in Path("out/first_picture").iterdir()}
    assert written >= {"image.png", "reference.png", "side_by_side.png", "steps.csv", "report.json", "report.html"}


@pytest.mark.slow
def test_own_codec(printed) -> None:
    _, error, signs, raw = printed("02_own_codec.py")
    measured, theory = (float(x) for x in NUMBER.findall(error))
    assert measured == pytest.approx(theory, rel=0.05)
    assert 10 < numbers(signs)[0] < numbers(raw)[0]
    assert numbers(signs)[1] < numbers(raw)[1] == 512


@pytest.mark.slow
def test_own_channel(printed) -> None:
    _, power, *rows = printed("03_own_channel.py")
    mean, variance, *theory = (float(x) for x in NUMBER.findall(power))
    assert [mean, variance] == pytest.approx(theory, rel=0.1)
    assert numbers(rows[0])[0] > numbers(rows[1])[0] > 10


@pytest.mark.slow
def test_price_without_running(printed) -> None:
    _, *lines = printed("04_price_without_running.py")
    priced = {tuple(line.split()[:2]): row(line, 2) for line in lines}
    assert len(priced) == 2 * len(PROTOCOLS)
    assert priced["eiug", "sd15"][3] == 512
    assert priced["device_only", "sdxl"][2:] == [0, 0]
    for protocol in ("centralized", "eiug", "device_only"):
        assert priced[protocol, "sd15"][0] < priced[protocol, "sdxl"][0]


@pytest.mark.slow
def test_compare_codecs(printed) -> None:
    _, *lines = printed("05_compare_codecs.py")
    found = {(int(line.split()[0]), line.split()[1]): row(line, 2) for line in lines}
    assert len(found) == 9
    for snr_db in (0, 5, 10):
        assert found[snr_db, "linear"][0] < found[snr_db, "raw"][0], "principal components beat raw entries"
        assert found[snr_db, "linear"][2] == found[snr_db, "raw"][2] == 512
        assert found[snr_db, "digital"][2] < 1.2 * 512
    for codec in ("raw", "linear", "digital"):
        errors = [found[snr_db, codec][0] for snr_db in (0, 5, 10)]
        assert errors == sorted(errors, reverse=True)


@pytest.mark.slow
def test_split_by_hand(printed) -> None:
    _, *lines = printed("06_split_by_hand.py")
    rows = [row(line, 1) for line in lines]
    assert len(rows) == 3
    for psnr_db, duration_s, estimated_s, _ in rows:
        assert psnr_db > 10
        assert estimated_s == pytest.approx(duration_s, rel=0.05)
    assert [r[1] for r in rows] == sorted((r[1] for r in rows), reverse=True), "the edge is faster than the device"


def test_tensor_over_the_air(printed) -> None:
    _, *lines = printed("10_tensor_over_the_air.py")
    rows = [row(line, 0) for line in lines]
    assert [snr_db for snr_db, _, _ in rows] == [-10, 0, 10]
    assert rows[0][1] > rows[1][1] > rows[2][1] > 0
    assert {uses for _, _, uses in rows} == {256}


@pytest.mark.slow
def test_learn_together(printed) -> None:
    _, *lines = printed("08_learn_together.py")
    found = {line.split()[0]: row(line, 1) for line in lines}
    untuned = 1.706  # perplexity of the shipped model on abstracts
    assert all(perplexity < untuned for perplexity, *_ in found.values())
    assert found["fsl"][2] < found["fedavg"][2] / 2
    assert found["fsl"][3] < found["fedavg"][3] / 2
    assert found["lora"][1] < found["fedavg"][1] / 50


@pytest.mark.slow
def test_two_processes(printed) -> None:
    losses, farthest, sockets, books, framing = printed("09_two_processes.py")
    apart, together = numbers(losses.replace(", in one process", ""))
    assert apart == together
    assert float(farthest.rpartition(":")[2]) < 1e-6
    assert numbers(sockets) == numbers(books)
    assert numbers(framing)[0] < 2


def test_every_example_has_its_test() -> None:
    tested = {name for name in Path(__file__).read_text().split('"') if name.endswith(".py")}
    assert {path.name for path in EXAMPLES.glob("*.py")} <= tested


def test_orchestrate(printed) -> None:
    _, *rows, broken = printed("07_orchestrate.py")
    shares = {line.rsplit(maxsplit=3)[0].strip(): float(line.split()[-2]) for line in rows[:3]}
    assert shares["MP-TSC"] < shares["greedy"] < shares["SAC"] < 1
    assert numbers(broken) == [0]


def test_street(printed) -> None:
    random, greedy = (float(line.split()[-1]) for line in printed("11_street.py"))
    assert 0 < random < greedy <= 1.000001


@pytest.mark.slow
def test_learn(printed) -> None:
    losses, bits, energy = (numbers(line) for line in printed("12_learn.py"))
    assert losses == sorted(losses, reverse=True)
    assert bits[0] > 0
    assert energy[0] > 0
