"""The code in README and docs runs as it stands there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```(?:python|toml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE = re.compile(r"# ([\w-]+\.(?:py|toml))\n")


@pytest.fixture
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An empty working folder, whose modules are found and forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in [path.stem for path in tmp_path.glob("*.py")]:
        sys.modules.pop(name, None)


PAGES = (
    "README.md",
    pytest.param("docs/index.md", marks=pytest.mark.slow),  # twice what the README runs
    *(f"docs/{name}.md" for name in ("orchestration", "radio")),
    # An example learns in the fast suite, and parts of one's own are plugged in from the command line.
    *(pytest.param(f"docs/{name}.md", marks=pytest.mark.slow) for name in ("learning", "plugging-in", "models")),
)


@pytest.mark.parametrize("page", PAGES)
def test_code_on_a_page_runs(page: str, empty_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A block that begins with a file name is written to that file, another Python block is run."""
    blocks = BLOCK.findall((ROOT / page).read_text())
    assert blocks
    for source in blocks:
        if named := FILE.match(source):
            (empty_folder / named[1]).write_text(source)
    for source in blocks:
        if "import" in source and not FILE.match(source):
            exec(compile(source, page, "exec"), {"__name__": "__docs__"})
    assert re.search(r"\d", capsys.readouterr().out), "the page prints no number"
