"""Memory of the command by the number of its prompts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

MOST_MORE_MB = 100.0


@pytest.mark.slow
def test_c22_a_thousand_prompts_take_hardly_more_memory_than_ten(small_stable_diffusion: Path, tmp_path: Path) -> None:
    """Of a model whose pictures are small, so that what is measured is what comes on top of the pictures."""
    few, many = (_peak_mb(number, small_stable_diffusion, tmp_path / str(number)) for number in (10, 1000))
    assert many - few <= MOST_MORE_MB, (few, many)


def _peak_mb(num_prompts: int, model: Path, folder: Path) -> float:
    folder.mkdir()
    (folder / "prompts.txt").write_text("".join(f"a red star {'abcdefghij'[k % 10]}\n" for k in range(num_prompts)))
    command = [sys.executable, "-m", "gainnet.cli", "generate", "--prompts", "prompts.txt", "--model", str(model)]
    options = ["--num-steps", "1", "--fading", "ideal", "--json"]
    ran = subprocess.Popen([*command, *options], cwd=folder, stdout=subprocess.DEVNULL, env=os.environ)
    # Of this child alone: RUSAGE_CHILDREN would be the largest of all that ended so far.
    _, status, usage = os.wait4(ran.pid, 0)
    ran.returncode = os.waitstatus_to_exitcode(status)
    assert ran.returncode == 0
    return usage.ru_maxrss / 1024
