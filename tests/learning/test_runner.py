"""A run that is killed in any round ends with the same weights."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig
from gainnet.core.errors import ConfigError
from gainnet.learning.runner import CHECKPOINT, SUMMARY, cost_of
from gainnet.models.language import save_language_model, small_decoder, word_tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_language_model(small_decoder(16, 3, 2), word_tokenizer(), tmp_path / "model")
    return tmp_path / "model"


def config_of(folder: Path, **changes: Any) -> LearnConfig:
    small = {"num_texts": 12, "row_length": 24, "clients": 2, "num_steps": 2, "batch_size": 2, "rounds": 4}
    return LearnConfig(**{"model": str(folder), **small, "drop_out": 0.2, "skew": 0.5, **changes})


@pytest.mark.parametrize(
    "algorithm", [pytest.param(name, marks=pytest.mark.slow) for name in ("fsl", "fedavg", "lora")]
)
def test_an_interrupted_run_ends_with_the_same_values(algorithm: str, folder: Path, tmp_path: Path) -> None:
    whole = open_session(config_of(folder, algorithm=algorithm, rounds=2)).run(tmp_path / "whole")
    for rounds in (1, 2):
        parts = open_session(config_of(folder, algorithm=algorithm, rounds=rounds)).run(tmp_path / "parts")
    assert parts.rounds == whole.rounds
    assert parts.state.keys() == whole.state.keys()
    assert all(torch.equal(parts.state[name], whole.state[name]) for name in whole.state)
    assert (tmp_path / "parts" / CHECKPOINT).read_bytes() == (tmp_path / "whole" / CHECKPOINT).read_bytes()
    told = json.loads((tmp_path / "parts" / SUMMARY).read_text())
    assert [r["round"] for r in told["rounds"]] == [1, 2]


def test_f10_a_round_that_its_summary_lacks_is_written_when_the_run_goes_on(folder: Path, tmp_path: Path) -> None:
    session = open_session(config_of(folder, algorithm="lora", rounds=1, num_steps=1))
    session.run(tmp_path / "out")
    state, summary = ((tmp_path / "out" / name).read_bytes() for name in (CHECKPOINT, SUMMARY))
    # As after a kill between the last state and its summary, which was that of the round before.
    (tmp_path / "out" / SUMMARY).write_text(json.dumps(json.loads(summary) | {"rounds": [], "details": []}))
    session.run(tmp_path / "out")
    assert (tmp_path / "out" / SUMMARY).read_bytes() == summary
    assert (tmp_path / "out" / CHECKPOINT).read_bytes() == state


@pytest.mark.slow
@pytest.mark.parametrize("rounds_before", [1, 2, 5])
def test_kill_9_changes_nothing(rounds_before: int, folder: Path, tmp_path: Path) -> None:
    options = ["--rounds", "8", "--clients", "2", "--num-steps", "2", "--batch-size", "2", "--row-length", "24"]
    command = [sys.executable, "-m", "gainnet.cli", "learn", "--model", str(folder), *options, "--out"]
    subprocess.run([*command, str(tmp_path / "whole")], check=True, capture_output=True)
    killed = subprocess.Popen(
        [*command, str(tmp_path / "killed")], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    summary = tmp_path / "killed" / SUMMARY
    while killed.poll() is None and not (summary.is_file() and len(_rounds(summary)) >= rounds_before):
        time.sleep(0.005)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(_rounds(summary)) < 8
    subprocess.run([*command, str(tmp_path / "killed")], check=True, capture_output=True)
    a, b = (load_file(tmp_path / name / CHECKPOINT) for name in ("whole", "killed"))
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not [p for p in (tmp_path / "killed").iterdir() if p.name not in (CHECKPOINT, SUMMARY) and p.suffix != ""]


def _rounds(path: Path) -> list[Any]:
    rounds: list[Any] = json.loads(path.read_text())["rounds"]
    return rounds


@pytest.mark.slow
def test_another_run_is_not_gone_on_with(folder: Path, tmp_path: Path) -> None:
    open_session(config_of(folder, rounds=1)).run(tmp_path / "run")
    with pytest.raises(ConfigError, match="other settings"):
        open_session(config_of(folder, rounds=2, rate=0.5)).run(tmp_path / "run")
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"torn")
    with pytest.raises(ConfigError, match="damaged"):
        open_session(config_of(folder, rounds=2)).run(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "magic"}, "algorithm: 'magic'"),
        ({"cut": "half"}, "cut: 'half'"),
        ({"cut": "u_shape+3"}, "leave one"),
        ({"codec": "zip"}, "codec.activations: 'zip'"),
        ({"clients": 0}, "clients: 0"),
        ({"share": 0.0}, "share: 0.0"),
        ({"skew": -1.0}, "skew"),
        ({"rate": 0.0}, "rate: 0.0"),
        ({"domains": ("law",)}, "domain: 'law'"),
        ({"model": "/nowhere"}, "model: '/nowhere'"),
        ({"link": "string"}, "link: 'string'"),
        ({"hardware": "abacus"}, "hardware: 'abacus'"),
    ],
)
def test_mistakes_are_one_line(changes: dict[str, Any], words: str, folder: Path, tmp_path: Path) -> None:
    from gainnet.core.errors import GainnetError

    with pytest.raises(GainnetError) as caught:
        open_session(config_of(folder, **changes)).run(tmp_path / "run")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_own_texts(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "texts.txt"
    path.write_text("aspirin lowers pulse in smokers .\n" * 60)
    run = open_session(config_of(folder, texts=str(path), rounds=2, row_length=6)).run(tmp_path / "run")
    assert run.rounds[1]["test_loss"] < run.rounds[0]["test_loss"]


def test_costs_of_a_round_add_up(folder: Path) -> None:
    from gainnet.core.report import Report, StepRecord

    steps = (
        StepRecord("a", 0, 1, 2, num_bits=8, num_channel_uses=4, direction="up"),
        StepRecord("b", 1, 1, 2, num_bits=16, num_channel_uses=2, direction="down", delivered=False),
    )
    cost = cost_of(Report(steps, 2.0))
    assert (cost["num_bits_up"], cost["num_bits_down"], cost["num_lost"], cost["energy_j"]) == (8, 16, 1, 4)


@pytest.mark.slow
def test_a_codec_of_ones_own(folder: Path) -> None:
    run = open_session(config_of(folder, codec="gainnet.codecs.activations:Float16", rounds=1)).run()
    assert run.rounds[0]["num_bits_up"] > 0
