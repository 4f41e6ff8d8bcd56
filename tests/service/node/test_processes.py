"""The commands themselves, each a process that is started anew: `serve`, `serve --join` and `ask`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

CELL = """
[nodes.device]
kind = "device"
hardware = "phone"

[nodes.first]
kind = "edge"
hardware = "edge_l4"
address = "{join}"

[nodes.second]
kind = "edge"
hardware = "edge_a100"

[media.cell]
kind = "air"
snr_db = 8.0

[media.fibre]
kind = "wire"

[[links]]
between = ["device", "first"]
medium = "cell"

[[links]]
between = ["device", "second"]
medium = "cell"
fading = "rayleigh"

[[links]]
between = ["first", "second"]
medium = "fibre"
"""
COMMAND = (sys.executable, "-m", "gainnet.cli")


@contextlib.contextmanager
def started(folder: Path, *arguments: str) -> Iterator[dict[str, str]]:
    """A command that goes on until the block ends, and the line that it printed when it was ready."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = (*COMMAND, *arguments, "--json")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=folder, env=environment) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, "it ended before it was ready"
            yield json.loads(line)
        finally:
            process.terminate()
            process.wait(30.0)


def called(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run((*COMMAND, *arguments), capture_output=True, text=True, cwd=folder, check=False)


@pytest.mark.slow
def test_an_edge_a_second_edge_and_a_device(tmp_path: Path) -> None:
    assert called(tmp_path, "serve", "keys", "keys", "--edge", "second").returncode == 0
    serve = ("serve", "--port", "0", "--journal", "journal.db", "--runtime", "torch", "--keys", "keys")
    options = ("--num-steps", "2", "--protocol", "dcsuc", "--network", "cell.toml", "--json")
    with started(tmp_path, *serve) as edge:
        assert set(edge) == {"url", "model", "models", "runtime", "join"}
        (tmp_path / "cell.toml").write_text(CELL.format(join=edge["join"]))
        alone = called(tmp_path, "ask", edge["url"], "a red star", *options)
        assert alone.returncode == 2
        assert "2 edges are needed and 1 are here" in alone.stderr
        join = ("serve", "--join", "cell.toml", "--keys", "keys", "--edge", "second", "--runtime", "torch")
        with started(tmp_path, *join):
            asked = called(tmp_path, "ask", edge["url"], "a red star", *options)
            status = httpx.get(f"{edge['url']}v1/status").json()
            metrics = httpx.get(f"{edge['url']}metrics").text
    assert asked.returncode == 0, asked.stderr
    made = called(tmp_path, "generate", "a red star", *options)
    answer, generated = json.loads(asked.stdout), json.loads(made.stdout)
    check_same(tmp_path, answer, generated)
    assert (answer["fading"], answer["snr_db"]) == (generated["fading"], generated["snr_db"])
    check_seen(status, answer["report"])
    assert 'gainnet_requests_total{outcome="done"} 1.0' in metrics
    assert f"gainnet_joules_total {answer['report']['energy_j']}" in metrics


def check_same(folder: Path, answer: dict[str, Any], generated: dict[str, Any]) -> None:
    """Asserts that pictures are equal, and reports but for the time that they took here."""
    # That of the device says in its XMP where it comes from.
    pictures = [Image.open(folder / one["image_path"]).tobytes() for one in (answer, generated)]
    assert pictures[0] == pictures[1]
    for report in (answer["report"], generated["report"]):
        for step in report["steps"]:
            del step["wall_s"]
    assert answer["report"] == generated["report"]


@pytest.mark.slow
@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_device_drafts_and_an_edge_corrects(tmp_path: Path, runtime: str) -> None:
    serve = ("serve", "--port", "0", "--journal", "journal.db", "--runtime", runtime)
    # The learned code of corrections; over an ideal air numbers would go as they are.
    options = ("--protocol", "draft", "--fading", "ideal", "--codec", "correction=residual", "--json")
    with started(tmp_path, *serve) as edge:
        asked = called(tmp_path, "ask", edge["url"], "a red star", *options, "--out", "asked")
    made = called(tmp_path, "generate", "a red star", *options, "--out", "made", "--runtime", runtime)
    assert (asked.returncode, made.returncode) == (0, 0), asked.stderr + made.stderr
    answer, generated = json.loads(asked.stdout), json.loads(made.stdout)
    check_same(tmp_path, answer, generated)
    # Only the device sees both drafts; those of two processes of one machine are the same.
    assert answer["report"]["drafts_differ"] == 0
    assert answer["codec"]["correction"] == "residual"
    # The whole run and the same draft; the device's own passes are not among them.
    assert answer["frames"]["num_denoiser_passes"] == 20 + 10


def check_seen(status: dict[str, Any], report: dict[str, Any]) -> None:
    """Asserts that the operator sees who is there, and steps and cost of what a device has asked for."""
    assert [node["name"] for node in status["topology"]["nodes"]] == ["edge", "second"]
    (visit,) = status["requests"]
    assert (visit["kind"], visit["state"], visit["energy_j"]) == ("device", "done", report["energy_j"])
    assert visit["num_channel_uses"] == report["num_channel_uses_down"]
    labels = [each["label"] for each in visit["begun"]]
    assert {node for _, at, node in (label.partition(" @ ") for label in labels) if at} == {"first", "second"}
    assert labels[-1] == "device"
    assert visit["number"] in {number for tick in status["engine"]["ticks"] for number in tick["requests"]}
    assert status["energy"]["modelled_j"] == report["energy_j"]


@pytest.mark.slow
def test_a_stranger_cannot_join(tmp_path: Path) -> None:
    for folder in ("keys", "others"):
        called(tmp_path, "serve", "keys", folder, "--edge", "second")
    serve = ("serve", "--port", "0", "--journal", "journal.db", "--runtime", "torch", "--keys", "keys")
    with started(tmp_path, *serve) as edge:
        refused = called(
            tmp_path, "serve", "--join", edge["join"], "--keys", "others", "--edge", "second", "--runtime", "torch"
        )
    assert refused.returncode == 2
    assert refused.stderr.strip().splitlines()[-1].startswith("error: keys:")
