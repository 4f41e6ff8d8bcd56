"""`gainnet serve` as a process, and its tokens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from gainnet.cli import app

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def gainnet(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gainnet.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)


def test_tokens_are_added_listed_and_revoked(tmp_path: Path) -> None:
    file = ("--tokens", str(tmp_path / "tokens.json"))
    run = CliRunner().invoke
    added = run(app, ["serve", "token", "add", "phone", *file])
    assert added.exit_code == 0
    assert len(added.output.strip()) == 43
    listed = run(app, ["serve", "token", "list", *file, "--json"])
    assert [each["name"] for each in json.loads(listed.output)["tokens"]] == ["phone"]
    assert run(app, ["serve", "token", "revoke", "phone", *file]).exit_code == 0
    assert "No such option" in run(app, ["serve", "token", "add", "phone", "--port", "1"]).output


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("--host", "0.0.0.0"), "host"),
        (("--port", "70000"), "port"),
        (("--certificate", "nothing.pem"), "certificate"),
        (("--most-batch", "0"), "most_batch"),
        (("--num-replicas", "3"), "num_replicas"),
        (("--engine", "ray", "--num-replicas", "0"), "num_replicas"),
        (("--engine", "ray", "--keys", "nowhere"), "keys"),
        (("--unsigned", "--signer", "nowhere"), "signer"),
        (("--signer", "nowhere"), "signer"),
        (("token", "revoke", "nobody", "--tokens", "nothing.json"), "name"),
    ],
)
@pytest.mark.slow
def test_mistakes_are_one_line(tmp_path: Path, arguments: tuple[str, ...], field: str) -> None:
    done = gainnet("serve", *arguments, *(() if "token" in arguments else ("--journal", str(tmp_path / "j.db"))))
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {field}")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_served_edge_ends_what_it_has_begun(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "gainnet.cli", "serve", "--port", "0", "--json", "--journal"]
    edge = subprocess.Popen(
        [*command, str(tmp_path / "journal.db")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert edge.stdout is not None
    assert edge.stderr is not None
    ready = json.loads(edge.stdout.readline())
    assert set(ready) == {"url", "model", "models", "runtime"}
    body = {"prompt": "a red star", "stream": True, "partial_images": 1}
    with httpx.stream("POST", f"{ready['url']}v1/images/generations", json=body, timeout=60.0) as events:
        lines = events.iter_lines()
        first = next(lines)
        edge.send_signal(signal.SIGTERM)
        rest = list(lines)
    assert first == "event: image_generation.partial_image"
    assert "event: image_generation.completed" in rest
    assert edge.wait(60) == 0
    assert edge.stderr.read() == ""
    edge.stdout.close()
    edge.stderr.close()
