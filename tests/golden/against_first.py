"""Compares the present code with commit e3b445d on this machine: `make golden`, bit for bit but for `RECOMPUTED`.

The first code runs with the first driver: the one of the commit that wrote `expected.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from golden.cases import HERE
from golden.compare import differences

FIRST = "e3b445d"
RECOMPUTED = {
    "orchestration/": 1e-9,
    "studies/gairom": 1e-9,
    "learning/lora-private-rows": 1e-6,
    "studies/sketch": 1e-6,
}
"""Beginnings of the names of cases whose numbers come from other, faster arithmetic since, with how far they may be
apart: workloads by Newton steps on logarithms, gradients of rows in one product, pictures a few at a time. All others
agree in every bit."""
TOP = HERE.parents[1]


def main() -> None:
    """Prints what differs; exits with 1 where something does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="compute the cases with this in their name")
    only = parser.parse_args().only
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first"
        written = _git("log", "-1", "--format=%H", "--", str(HERE / "expected.json"))
        _git("worktree", "add", "--detach", str(first), FIRST)
        try:
            subprocess.run(["git", "checkout", written, "--", "tests/golden"], cwd=first, check=True)
            (first / "tests/golden/cases.json").write_bytes((HERE / "cases.json").read_bytes())
            wanted = _computed(first, Path(folder) / "first.json", only)
        finally:
            _git("worktree", "remove", "--force", str(first))
        found = _computed(TOP, Path(folder) / "now.json", only)
    lines = [f"{name}{line}" for name in wanted for line in _between(name, wanted[name], found[name])]
    summary = f"{len(wanted)} cases, {len({line.split('/', 2)[1] for line in lines})} differ from {FIRST}"
    sys.stdout.write("\n".join([*lines[:100], summary]) + "\n")
    sys.exit(1 if lines or not wanted else 0)


def _between(name: str, wanted: Any, found: Any) -> list[str]:
    apart = next((apart for beginning, apart in RECOMPUTED.items() if name.startswith(beginning)), None)
    return differences(wanted, found, exact=True) if apart is None else differences(wanted, found, tolerance=apart)


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=TOP, check=True, capture_output=True, text=True).stdout.strip()


def _computed(top: Path, out: Path, only: str) -> dict[str, Any]:
    path = os.pathsep.join([str(top / "src"), str(top / "tests")])
    command = [sys.executable, "-m", "golden.driver", "--out", str(out), "--only", only]
    subprocess.run(command, cwd=top, check=True, env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"})
    values: dict[str, Any] = json.loads(out.read_text())["values"]
    return values


if __name__ == "__main__":
    main()
