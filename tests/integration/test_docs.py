"""The code in README and docs runs as it stands there."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path

import pytest

from gainnet.generation import generate
from gainnet.models.loading import load_model
from gainnet.protocols import Centralized
from gainnet.radio import Air

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


COMMAND = re.compile(r'gainnet (?:generate|estimate|ask) (?:http\S+ |URL )?"([^"]+)"(.*)')
ASKED = re.compile(r"""["']?prompts?["']?[:=] ?\[?"([^"]+)\"""")
LINES = re.compile(r"EXAMPLES = \[(.*)\]")
PAGES = (
    "README.md",
    pytest.param("docs/index.md", marks=pytest.mark.slow),  # twice what the README runs
    pytest.param("docs/api/index.md", marks=pytest.mark.slow),
    *(f"docs/{name}.md" for name in ("orchestration", "radio")),
    # An example learns in the fast suite, and parts of one's own are plugged in from the command line.
    *(pytest.param(f"docs/{name}.md", marks=pytest.mark.slow) for name in ("lab", "learning", "plugging-in", "models")),
)


def shown_prompts() -> set[tuple[str, int]]:
    """Prompts of commands, requests and the page's examples, with their random seeds; without those of other models."""
    found: set[tuple[str, int]] = set()
    sources = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "src/gainnet/cli/serve.py")
    for text in (path.read_text() for path in (*sources, ROOT / "src/gainnet/service/http/images.py")):
        for prompt, options in COMMAND.findall(text):
            if "--model" not in options:
                seed = re.search(r"--random-seed (\d+)", options)
                found.add((prompt, int(seed[1]) if seed else 0))
        found |= {(prompt, 0) for prompt in ASKED.findall(text)}
    for line in LINES.findall((ROOT / "web/src/main.js").read_text()):
        found |= {(prompt, 0) for prompt in re.findall(r'"([^"]+)"', line)}
    return found


@pytest.mark.slow
def test_what_the_pages_ask_for_is_drawn() -> None:
    """Nobody's first picture should be one that shows something else: every prompt draws all that it names."""
    prompts = sorted(shown_prompts())
    assert len(prompts) > 8
    model = load_model()
    for prompt, random_seed in prompts:
        made = generate(prompt, model, protocol=Centralized(), air=Air(snr_db=math.inf), random_seed=random_seed)
        assert (made.warnings, made.quality.reference_fidelity) == ((), 1.0), (prompt, random_seed)


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
