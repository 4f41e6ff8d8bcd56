"""Whatever keeps its state is killed before and after each rename, started again, and ends byte for byte the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "killed_runs.py"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["learned", "power", "language", "scenes", "study"])
def test_a_run_that_is_killed_at_any_rename_ends_as_one_that_was_not(name: str, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    ran = subprocess.run(
        [sys.executable, str(SCRIPT), name, str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    *differences, num_lives = [json.loads(line) for line in ran.stdout.splitlines()]
    assert differences == []
    assert num_lives >= 8
