"""Computes golden cases: `python -m golden.driver --out FILE [--only PART]`, with `src` and `tests` on the path."""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from golden.cases import compute, read_cases


def main() -> None:
    """Writes values and seconds of every case as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    torch.set_num_threads(1)
    values, seconds = {}, {}
    for name, case in read_cases().items():
        if options.only in name:
            start_s = time.process_time()
            values[name] = compute(name, case)
            seconds[name] = round(time.process_time() - start_s, 2)
            sys.stderr.write(f"{seconds[name]:7.2f} s  {name}\n")
    text = json.dumps({"values": values, "seconds": seconds}, indent=1, sort_keys=True)
    options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
