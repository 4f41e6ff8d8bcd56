"""Notebooks of the docs run, and the numbers in their prose are those of the run."""

from __future__ import annotations

import os
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs/notebooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
BOLD = re.compile(r"\*\*(.+?)\*\*", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.])-?\d[\d,]*(?:\.\d+)?")
MOST_BYTES = 300_000


def opened(name: str) -> Any:
    return nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)


def numbers(text: str) -> set[float]:
    return {float(found.replace(",", "")) for found in NUMBER.findall(text)}


def stated(notebook: Any) -> set[float]:
    """Numbers in bold in the prose, each of which is said to be one of the run."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return {x for words in BOLD.findall(prose) for x in numbers(words)}


def texts(notebook: Any) -> list[str]:
    """Text of every output."""
    return [
        output.get("text") or output.get("data", {}).get("text/plain", "")
        for cell in notebook.cells
        for output in cell.get("outputs", ())
    ]


def printed(notebook: Any) -> set[float]:
    """Numbers in the text of all outputs."""
    return numbers("\n".join(texts(notebook)))


def test_h17_there_are_four_notebooks_and_a_solution() -> None:
    assert NAMES == [
        "first_picture_over_the_air", "lab_solution", "learn_without_sharing_data", "own_codec_on_a_published_curve",
        "who_should_train_what",
    ]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_what_a_run_made(name: str) -> None:
    """Outputs are kept with it, small, with words for pictures; its prose states numbers that are there."""
    notebook = opened(name)
    assert 10 <= len(notebook.cells) <= 20
    assert (FOLDER / f"{name}.ipynb").stat().st_size <= MOST_BYTES
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        kinds = [output.output_type for output in cell.outputs]
        assert "error" not in kinds
        assert not [output for output in cell.outputs if output.get("name") == "stderr"]
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert len(cell.metadata["alt"]) > 20
    assert stated(notebook)
    assert stated(notebook) - printed(notebook) == set()


@pytest.mark.parametrize("name", NAMES)
def test_numbers_of_uses_are_whole(name: str) -> None:
    """Even means of them, in every table that has them in its last column."""
    for text in texts(opened(name)):
        head, *rows = text.splitlines() or [""]
        if re.search(r"  (?:num_channel_uses|uses down)$", head):
            table = list(takewhile(str.strip, rows))
            assert [row for row in table if not row.split()[-1].isdecimal()] == []


# A minute of processor time each, which may be six on a crowded machine.
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs_and_prints_what_its_prose_states(name: str) -> None:
    notebook = opened(name)
    client = NotebookClient(notebook, timeout=1200, resources={"metadata": {"path": str(FOLDER)}})
    # Kernels are processes of their own, which find this very source and warn of no missing progress bar.
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PYTHONWARNINGS": "ignore"})
    assert stated(notebook) - printed(notebook) == set()
