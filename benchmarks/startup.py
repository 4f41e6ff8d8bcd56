"""Time until `gainnet --help` answers, beside an interpreter that does nothing.

Bar: the fastest of ten within 0.5 s.
"""

from __future__ import annotations

import subprocess
import sys
import time

BAR_S = 0.5
NUM_RUNS = 10


def fastest_s(*arguments: str) -> float:
    """Shortest wall time of several runs of this interpreter."""
    durations_s = []
    for _ in range(NUM_RUNS):
        begin_s = time.perf_counter()
        subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
        durations_s.append(time.perf_counter() - begin_s)
    return min(durations_s)


def main() -> int:
    """Exit code 1 when the bar is missed."""
    idle_s = fastest_s("-c", "pass")
    help_s = fastest_s("-c", "import sys; sys.argv[1:] = ['--help']; from gainnet.cli import main; main()")
    print(f"python -c pass  {idle_s:6.3f} s")
    print(f"gainnet --help  {help_s:6.3f} s   bar {BAR_S} s")
    return int(help_s > BAR_S)


if __name__ == "__main__":
    sys.exit(main())
