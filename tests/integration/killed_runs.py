"""A run that is killed before and after each of its renames, in processes of its own; prints what differs afterwards.

The libraries are imported once; every life is a fork, so that dozens of them take seconds.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig
from gainnet.power_control.training import TrainingConfig, train
from gainnet.studies import run_study
from gainnet.training.language import LanguageTraining, train_language
from gainnet.training.scenes import PRESETS, train_scenes

sys.path.insert(0, str(Path(__file__).parents[1] / "studies"))


def say(value: Any) -> None:
    """One JSON value per line, also from a process that ends at once."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def learned(out: Path) -> None:
    small: dict[str, Any] = {"num_texts": 12, "num_steps": 1, "batch_size": 2, "row_length": 24}
    open_session(LearnConfig("lora", clients=2, rounds=2, link="ideal", **small)).run(out)


def power(out: Path) -> None:
    config = TrainingConfig("pathwise", "equal", num_iterations=12, episodes_per_iteration=4, width=4)
    train(config, out, lambda *_: None)


def language(out: Path) -> None:
    train_language(out, 1, LanguageTraining(16, 2, 2, 6, 2, 1e-2, 3))


def scenes(out: Path) -> None:
    train_scenes(out, 1, PRESETS["tiny"], torch_device=torch.device("cpu"))


def study(out: Path) -> None:
    run_study("toy_study:TOY", "quick", out)


RUNS = {"learned": learned, "power": power, "language": language, "scenes": scenes, "study": study}
LIBRARIES = {
    "learned": ("transformers.models.llama.modeling_llama", "transformers.models.auto.modeling_auto", "peft"),
    "language": ("transformers.models.llama.modeling_llama",),
    "scenes": ("diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion",),
    "study": ("matplotlib.pyplot", "pandas"),
}
"""Modules that every life would import anew."""


def life(run: Callable[[Path], None], out: Path, kill_at: int = 0, when: str = "before") -> tuple[int, int]:
    """(exit status, renames made) of one process that runs into a folder."""
    count = out.with_suffix(".renames")
    pid = os.fork()
    if pid == 0:
        time.process_time = float  # measured times are the only thing that may differ
        os.rename, os.replace = (_deadly(real, count, kill_at, when) for real in (os.rename, os.replace))
        try:
            run(out)
        except BaseException as error:
            say(f"{type(error).__name__}: {error}")
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    made = count.stat().st_size if count.exists() else 0
    count.unlink(missing_ok=True)
    return os.waitstatus_to_exitcode(status), made


def _deadly(real: Callable[..., None], count: Path, kill_at: int, when: str) -> Callable[..., None]:
    def rename(old: Any, new: Any, **named: Any) -> None:
        with count.open("ab") as file:
            file.write(b".")
        dies = count.stat().st_size == kill_at
        if dies and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        real(old, new, **named)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)

    return rename


def content(out: Path) -> dict[str, bytes]:
    """Files by name; of a study's run.json, which has a date, the metrics alone."""
    files = {str(path.relative_to(out)): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    for name, raw in files.items():
        if "metrics" in (found := json.loads(raw) if name.endswith("run.json") else {}):
            files[name] = json.dumps(found["metrics"]).encode()
    return files


def main(name: str, home: Path) -> None:
    """Prints one JSON value per difference, and the number of lives in the end."""
    for library in LIBRARIES.get(name, ()):
        importlib.import_module(library)
    status, num_renames = life(RUNS[name], home / "whole")
    assert status == 0
    assert num_renames > 0
    whole, num_lives = content(home / "whole"), 0
    for kill_at in range(1, num_renames + 1):
        for when in ("before", "after"):
            out = home / f"{kill_at}-{when}"
            killed, _ = life(RUNS[name], out, kill_at, when)
            status, _ = life(RUNS[name], out)
            found, num_lives = content(out), num_lives + 1
            other = sorted(file for file in {*found, *whole} if found.get(file) != whole.get(file))
            if killed != -signal.SIGKILL or status or other:
                say([kill_at, when, killed, status, other])
            shutil.rmtree(out)
    say(num_lives)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(sys.argv[1], Path(sys.argv[2]))
