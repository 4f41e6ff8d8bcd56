"""A file that a run goes on from: named tensors and numbers, with a digest over all of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, TrainingError
from gainnet.core.files import write_whole

_ENTRY = "run"

Numbers = Mapping[str, Any]
"""The counts and records of a run beside its tensors, as JSON."""


@final
@dataclass(frozen=True)
class Checkpoint:
    """The place of a run's state.

    The file is in safetensors; one entry of its metadata holds settings, numbers and the SHA-256 of everything.

    Args:
        path: of the file.
        settings: all that the run depends on, with digests of the weights and texts that it reads; as JSON.

    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     place = Checkpoint(Path(folder) / "state.safetensors", {"rate": 0.1})
    ...     nothing = place.read()
    ...     digest = place.write({"step": 3}, {"weights": torch.ones(2)})
    ...     numbers, tensors = place.read()
    >>> nothing, numbers, tensors["weights"]
    (None, {'step': 3}, tensor([1., 1.]))
    """

    path: Path
    settings: Numbers

    def write(self, numbers: Numbers, tensors: Mapping[str, Tensor]) -> str:
        """Replaces the file and returns its digest; a kill leaves the old state or the new one.

        Raises:
            ConfigError: the file cannot be written.
            TrainingError: a tensor is not finite.
        """
        from safetensors.torch import save

        kept = {name: x.detach().cpu().contiguous() for name, x in tensors.items()}
        for name, x in kept.items():
            if x.is_floating_point() and not bool(x.isfinite().all()):
                raise TrainingError(f"training: {name} is no longer finite; lower the learning rate")
        state = {"settings": self.settings, "numbers": numbers}
        digest = _digest(state, kept)
        # One entry, because safetensors writes several in an order that differs from process to process.
        write_whole(self.path, save(kept, {_ENTRY: json.dumps(state | {"sha256": digest})}))
        return digest

    def read(self) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
        """Numbers and tensors as they were written; `None` where there is no file yet.

        Raises:
            ConfigError: the file is damaged, or of a run with other settings.
        """
        if not self.path.exists():
            return None
        settings, numbers, tensors = look(self.path)
        if settings != json.loads(_canonical(self.settings)):
            raise ConfigError(f"out: {self.path} is of a run with other settings; give another --out")
        return numbers, tensors


def look(path: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Tensor]]:
    """Settings, numbers and tensors of a checkpoint, of whichever run it is.

    Args:
        path: of the file.

    Raises:
        ConfigError: the file is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            state = json.loads(file.metadata()[_ENTRY])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a dict
        digest, settings, numbers = state.pop("sha256"), state["settings"], dict(state["numbers"])
        whole = _digest(state, tensors) == digest
    # Whatever bytes are there instead of ours, these are all that reading them can raise.
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, AttributeError, RecursionError):
        whole = False
    if not whole:
        raise ConfigError(f"out: {path} is damaged; delete it and run again")
    return settings, numbers, tensors


def fingerprint(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values of tensors, 64 hexadecimal digits.

    >>> fingerprint({"a": torch.zeros(2)}) == fingerprint({"a": torch.zeros(1, 2)})
    False
    """
    digest = hashlib.sha256()
    for name in sorted(tensors):
        x = tensors[name].detach().cpu().contiguous()
        digest.update(json.dumps([name, str(x.dtype), list(x.shape)]).encode())
        # numpy has no bfloat16, so that bytes are looked at and not values
        digest.update(x.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _digest(state: Numbers, tensors: Mapping[str, Tensor]) -> str:
    return hashlib.sha256((_canonical(state) + fingerprint(tensors)).encode()).hexdigest()


def _canonical(values: Numbers) -> str:
    return json.dumps(values, sort_keys=True)
