"""The page for programs keeps its word: its code runs against an edge as it stands there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from service.http.conftest import edge

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(bash|python|js)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PAGE = (ROOT / "docs" / "serving.md").read_text()
EDGE = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    model = on_runtime(load_model(num_steps=4), "onnx")
    with edge(model, tmp_path_factory.mktemp("edge") / "journal.db") as served:
        yield served.url


def code_of(language: str, url: str) -> str:
    """All blocks of a language, one after the other, as somebody would paste them."""
    blocks = [source for found, source in BLOCK.findall(PAGE) if found == language]
    assert blocks
    assert all(EDGE in source or "client." in source for source in blocks)
    return "\n".join(blocks).replace(EDGE, url)


def run(command: list[str], folder: Path, source: str = "") -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, input=source, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_curl_makes_pictures(url: str, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    printed = run(["bash", "-e", "-o", "pipefail"], tmp_path, code_of("bash", url))
    assert (tmp_path / "star.png").read_bytes().startswith(b"\x89PNG")
    assert "'protocol': 'eiug'" in printed
    assert "'num_channel_uses_down': 512.0" in printed


@pytest.mark.slow
def test_clients_in_python_make_pictures(url: str, tmp_path: Path) -> None:
    printed = run([sys.executable, "-"], tmp_path, code_of("python", url)).splitlines()
    assert (tmp_path / "house.png").read_bytes().startswith(b"\x89PNG")
    kinds = [line.split()[0] for line in printed if line.startswith("image_generation")]
    assert kinds == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert printed[-1] == "(128, 128)"


@pytest.mark.slow
def test_fetch_makes_pictures(url: str, tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    printed = run(["node", "--input-type=module"], tmp_path, code_of("js", url))
    assert re.fullmatch(r"\d+ [\d.]+\n", printed)
