"""Every benchmark of this folder, one after the other, each in a process of its own; fails when a bar is missed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> int:
    """Exit code: how many benchmarks failed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    failed = []
    for script in sorted(HERE.glob("*.py")):
        if script.name == Path(__file__).name:
            continue
        print(f"== {script.stem}", flush=True)
        if subprocess.run([sys.executable, str(script)], env=environment, check=False).returncode:
            failed.append(script.stem)
    print(f"missed: {', '.join(failed)}" if failed else "every bar is held")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
