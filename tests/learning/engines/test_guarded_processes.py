"""Real processes on loopback: masked sums and a signed record, a device that is killed, and the edge's own view."""

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
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.randomness import Random
from gainnet.learning.engines.flower.local import free_port
from gainnet.learning.safeguards.verification import verify_file
from gainnet.models.language import small_decoder, word_tokenizer
from gainnet.wire.keys import write_certificates

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
NAMES = ("device_0", "device_1", "device_2")
SMALL: dict[str, Any] = {"clients": 3, "num_steps": 1, "batch_size": 2, "num_texts": 12, "row_length": 16, "rank": 1}


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gainnet.cli", "split", *arguments, "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=dict(os.environ), **pipes)


def join(folder: Path, name: str, port: int) -> subprocess.Popen[str]:
    where = ("--keys", "keys", "--port", str(port), "--model", "model", "--timeout-s", "120", "--kept", f"kept.{name}")
    return start(folder, "join", name, *where, "--only-masked")


def test_a_device_that_is_killed_leaves_the_sum_of_the_others_and_comes_again(tmp_path: Path) -> None:
    small_decoder(16, 1, 2).save_pretrained(tmp_path / "model")
    word_tokenizer().save_pretrained(tmp_path / "model")
    write_certificates(tmp_path / "keys", devices=NAMES)
    config = LearnConfig("lora", model=str(tmp_path / "model"), rounds=4, link="ideal", **SMALL)
    lines = [f"{name.replace('_', '-')} = {value}" for name, value in SMALL.items()]
    (tmp_path / "learn.toml").write_text(
        "\n".join(line.replace("-", "_") for line in [*lines, 'algorithm = "lora"', 'link = "ideal"'])
        + f'\nmodel = "{tmp_path / "model"}"\nrounds = 4\n'
    )
    port = free_port()
    edge = start(
        tmp_path, "serve", "--keys", "keys", "--config", "learn.toml", "--port", str(port), "--timeout-s", "100",
        "--num-groups", "1", "--out", "out",
    )  # fmt: skip
    devices = {name: join(tmp_path, name, port) for name in NAMES}
    try:
        follow(tmp_path, config, edge, devices, port)
    finally:
        for process in (edge, *devices.values()):
            process.kill()
            process.communicate()


def follow(
    tmp_path: Path,
    config: LearnConfig,
    edge: subprocess.Popen[str],
    devices: dict[str, subprocess.Popen[str]],
    port: int,
) -> None:
    run, end_s = tmp_path / "out" / "run.json", time.monotonic() + 400
    while not (run.is_file() and json.loads(run.read_text())["rounds"]):
        assert edge.poll() is None, edge.communicate()[1]
        assert time.monotonic() < end_s
        time.sleep(0.1)
    devices["device_2"].send_signal(signal.SIGKILL)
    devices["device_2"].communicate()
    devices["device_2"] = join(tmp_path, "device_2", port)
    said, errors = edge.communicate(timeout=400)
    assert edge.returncode == 0, errors
    ends = {name: device.communicate(timeout=60) for name, device in devices.items()}
    assert {devices[name].returncode for name in NAMES[:2]} == {0}, ends
    assert json.loads(said)["rounds"][-1]["round"] == 4
    details = json.loads(run.read_text())["details"]
    assert details[0]["left_out"] == [], "all are there before any is killed"

    session = open_session(config, SafeguardsConfig(num_groups=1))
    assert session.safeguards is not None
    algorithm = session.safeguards.without_record(session.algorithm, None)
    random = Random.of(config.random_seed).child("learning")
    state = algorithm.init(random)
    for number, detail in enumerate(details):
        there = [client for client in session.clients if client.name not in detail["left_out"]]
        state, _ = algorithm.round(state, there, random.child("round", number))
    found = load_file(tmp_path / "out" / "state.safetensors")
    assert all(torch.equal(found[name], x) for name, x in state.items()), "bit for bit"
    assert verify_file(tmp_path / "out").num_models == 4
    # Nothing that a device keeps for itself is in the run's folder.
    assert not list((tmp_path / "out").glob("**/*.key"))
