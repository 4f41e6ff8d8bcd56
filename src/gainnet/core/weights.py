"""Folders of weights: a `config.json` that says what they are, beside one safetensors file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

from torch import Tensor, nn

from gainnet.core.errors import ModelError, system_reason
from gainnet.core.files import write_whole

CONFIG = "config.json"


def user_folder() -> Path:
    """The folder of the user's own weights, `$XDG_DATA_HOME/gainnet` or `~/.local/share/gainnet`."""
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "gainnet"


@final
@dataclass(frozen=True)
class WeightsFormat:
    """How one kind of weights is stored in a folder.

    Args:
        label: what messages call it.
        kind: value of `kind` in `config.json`; "" accepts any.
        file: name of the safetensors file.
        mend: how to make such a folder, the end of messages.
    """

    label: str
    kind: str
    file: str
    mend: str

    def config(self, folder: Path, types: Mapping[str, type]) -> dict[str, Any]:
        """The content of `config.json`, with a value of the given type for every key of `types`.

        Raises:
            ModelError: the file is missing or damaged, lacks a key, or describes weights of another kind.
        """
        path = folder / CONFIG
        try:
            config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            wrong = [key for key, kind in types.items() if not isinstance(config[key], kind)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{self.label}: {path} is missing or damaged ({error!r}); {self.mend}") from None
        if wrong or (self.kind and config.get("kind") != self.kind):
            raise ModelError(f"{self.label}: {path} describes no {self.label}; {self.mend}")
        return config

    def check_model(self, folder: Path, fitted: str, model_sha256: str | None) -> None:
        """Raises `ModelError` unless weights fit the generative model of a digest; `None` accepts any."""
        if model_sha256 is not None and fitted != model_sha256:
            digests = f"{fitted[:12]}, not {model_sha256[:12]}"
            raise ModelError(f"{self.label}: {folder} fits another model ({digests}); {self.mend}")

    def tensors(self, folder: Path, sha256: str | None = None) -> dict[str, Tensor]:
        """The tensors of a folder by name.

        Args:
            folder: of the weights.
            sha256: digest of the file; `None` accepts any.

        Raises:
            ModelError: the file is missing, damaged or has another digest.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = folder / self.file
        try:
            # Read once: the bytes whose digest is checked are those that are loaded.
            content = path.read_bytes()
            if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
                raise ModelError(f"{self.label}: {path} is not what its {CONFIG} was written for; {self.mend}")
            return load(content)
        except (OSError, SafetensorError) as error:
            raise ModelError(
                f"{self.label}: {path} is missing or damaged ({system_reason(error)}); {self.mend}"
            ) from None

    def load_into(self, network: nn.Module, folder: Path, sha256: str) -> None:
        """Loads the tensors of a folder into a network of the same shapes.

        Raises:
            ModelError: a tensor is missing, of another shape or not finite, or the file is damaged.
        """
        tensors = self.tensors(folder, sha256)
        if {k: x.shape for k, x in tensors.items()} != {k: x.shape for k, x in network.state_dict().items()}:
            raise ModelError(f"{self.label}: the weights in {folder} have other shapes than its {CONFIG}; {self.mend}")
        # One NaN would spread to every output without an error anywhere.
        if not all(bool(x.isfinite().all()) for x in tensors.values()):
            raise ModelError(f"{self.label}: {folder / self.file} has weights that are not finite; {self.mend}")
        network.load_state_dict(tensors)

    def save(self, folder: Path, tensors: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        """Writes both files atomically; `config.json` is last, so that its presence means a complete folder.

        Args:
            folder: made if it is not there.
            tensors: name -> tensor.
            config: what else the weights need, and how they were made.
        """
        from safetensors.torch import save

        write_whole(folder / self.file, save({name: x.contiguous() for name, x in tensors.items()}))
        write_whole(folder / CONFIG, (json.dumps({"kind": self.kind, **config}, indent=2) + "\n").encode())


def check_width(label: str, folder: Path, width: int) -> None:
    """Raises `ModelError` unless a network of a `config.json` is of a size that fits memory."""
    if not 1 <= width <= 4096:
        raise ModelError(f"{label}: {folder / CONFIG} has a width of {width}, not 1 to 4096; train it again")
