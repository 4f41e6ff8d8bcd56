"""A state is read as it was written, or refused in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save
from torch import Tensor

from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.run.checkpoint import Checkpoint, fingerprint
from gainnet.core.run.loop import Progress, run_to_end

SETTINGS = {"random_seed": 1, "widths": (3, 12)}


class Walk:
    """Adds the number of each step to a sum; stands for every run."""

    def __init__(self, num_steps: int, stop_at: int = -1) -> None:
        self.step, self.num_steps, self.stop_at, self.total = 0, num_steps, stop_at, torch.zeros(2)

    def advance(self) -> dict[str, float]:
        if self.step == self.stop_at:
            raise KeyboardInterrupt
        self.total = self.total * 0.9 + self.step
        self.step += 1
        return {"loss": float(self.total.sum())}

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return {"step": self.step}, {"total": self.total, "half": self.total.bfloat16(), "count": torch.tensor(3)}

    def restore(self, numbers: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        self.step, self.total = numbers["step"], tensors["total"]


def silent(step: int, num_steps: int, losses: dict[str, float]) -> None:
    pass


def walked(path: Path, num_steps: int = 10, stop_at: int = -1, progress: Progress = silent) -> Tensor:
    run = Walk(num_steps, stop_at)
    run_to_end(run, Checkpoint(path, SETTINGS), 3, progress)
    return run.total


@pytest.mark.parametrize("stop_at", [0, 2, 3, 5, 9])
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path: Path, stop_at: int) -> None:
    whole = walked(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        walked(tmp_path / "parts", stop_at=stop_at)
    seen: list[int] = []
    assert torch.equal(walked(tmp_path / "parts", progress=lambda step, *_: seen.append(step)), whole)
    assert seen == list(range(stop_at - stop_at % 3 + 1, 11))
    assert (tmp_path / "parts").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_run_that_keeps_nothing(tmp_path: Path) -> None:
    run = Walk(10)
    run_to_end(run, None, 3, silent)
    assert torch.equal(run.total, walked(tmp_path / "whole"))


def damages(path: Path) -> Iterator[bytes]:
    """Bytes in the place of the checkpoint that hold anything else than it did."""
    raw = path.read_bytes()
    size = struct.unpack("<Q", raw[:8])[0]
    metadata = json.loads(raw[8 : 8 + size])["__metadata__"]
    tensors = {"total": torch.ones(2), "half": torch.ones(2, dtype=torch.bfloat16), "count": torch.tensor(3)}
    state = json.loads(metadata["run"])
    yield from (b"", raw[:-1], raw[: len(raw) // 2], bytes(len(raw)), raw + b"\0")
    yield from (save(tensors, metadata), save(tensors), save({}, metadata), save(tensors, {"run": "[" * 100_000}))
    for changed in ({}, {"numbers": 5}, {**state, "numbers": {"step": 10**9}}, {**state, "sha256": "0" * 64}, []):
        yield save(tensors, {"run": json.dumps(changed)})
    for place in range(8 + size, len(raw)):
        for bit in (0, 6):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            yield bytes(flipped)


def test_whatever_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    walked(path)
    for content in list(damages(path)):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"^out: \S+ is damaged; delete it and run again$"):
            walked(path)


def test_other_settings_are_refused(tmp_path: Path) -> None:
    walked(tmp_path / "a")
    with pytest.raises(ConfigError, match=r"^out: \S+ is of a run with other settings; give another --out$"):
        Checkpoint(tmp_path / "a", SETTINGS | {"widths": (3, 13)}).read()
    found = Checkpoint(tmp_path / "a", SETTINGS | {"widths": [3, 12]}).read()
    assert found is not None
    assert found[0] == {"step": 10}


def test_a_state_of_another_version_is_one_line(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "a", SETTINGS).write({"iteration": 3}, {})
    with pytest.raises(ConfigError, match=r"^out: \S+ does not fit \(KeyError: 'step'\); delete it and run again$"):
        walked(tmp_path / "a")


def test_a_state_that_is_not_finite_is_not_kept(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"^training: a is no longer finite; lower the learning rate$"):
        Checkpoint(tmp_path / "a", {}).write({}, {"a": torch.tensor([1.0, torch.nan])})
    assert not (tmp_path / "a").exists()


def test_fingerprints_see_names_types_shapes_and_values() -> None:
    a = {"x": torch.zeros(2), "y": torch.zeros(1, dtype=torch.bfloat16)}
    others = (
        {"z": a["x"], "y": a["y"]},
        {**a, "x": torch.zeros(2, dtype=torch.int32)},
        {**a, "x": torch.zeros(2, 1)},
        {**a, "y": torch.ones(1, dtype=torch.bfloat16)},
    )
    assert len({fingerprint(x) for x in (a, *others)}) == 5
    assert fingerprint({"y": a["y"], "x": a["x"]}) == fingerprint(a)
