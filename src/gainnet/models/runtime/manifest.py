"""The list of the exported parts of a model, with digests: `onnx.json` in its folder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, final

from gainnet.core.errors import ModelError
from gainnet.core.files import write_json
from gainnet.core.outside import read_json, reading

MANIFEST: Final = "onnx.json"
_MEND: Final = "write them with gainnet export device --model {name} --out FOLDER"


@final
@dataclass(frozen=True)
class ExportedPart:
    """One network as an ONNX graph, whose weights lie in a safetensors file beside it.

    Args:
        graph: path of the graph inside the folder.
        graph_sha256: digest of that file.
        weights: path of the file of weights that the graph refers to.
        weights_sha256: digest of that file.
        inputs: name -> shape of one item; the batch comes first.
        outputs: names.
    """

    graph: str
    graph_sha256: str
    weights: str
    weights_sha256: str
    inputs: Mapping[str, Sequence[int]]
    outputs: Sequence[str]


@final
@dataclass(frozen=True)
class Exported:
    """Graphs of the networks of one model.

    Args:
        folder: that holds them.
        model_sha256: digest of the model's weights.
        parts: by name: `unet`, `text_encoder`, `decoder`, `image_encoder`, and those of codecs.
    """

    folder: Path
    model_sha256: str
    parts: Mapping[str, ExportedPart]

    @staticmethod
    def read(folder: Path, model_sha256: str) -> Exported:
        """The exports of a folder.

        Args:
            folder: with a file `onnx.json`.
            model_sha256: digest of the weights that they have to fit.

        Raises:
            ModelError: there are none, the list is damaged, or they fit other weights.
        """
        path = folder / MANIFEST
        mend = _MEND.format(name=folder)
        if not path.is_file():
            raise ModelError(f"runtime: {folder} has no ONNX graphs; {mend}")
        with reading(str(path), ModelError):
            listed = read_json(path.read_bytes(), str(path), ModelError)
            parts = {name: ExportedPart(**part) for name, part in listed["parts"].items()}
            fitted = str(listed["model_sha256"])
        if fitted != model_sha256:
            raise ModelError(f"runtime: {path} is of other weights ({fitted[:12]}, not {model_sha256[:12]}); {mend}")
        return Exported(folder, fitted, parts)

    def write(self) -> None:
        """Writes the list; last of all files, so that its presence means a complete folder."""
        parts = {name: asdict(part) for name, part in self.parts.items()}
        write_json(self.folder / MANIFEST, {"model_sha256": self.model_sha256, "parts": parts})

    def graph(self, part: str) -> Path:
        """Path of a graph, after its digest was compared.

        Raises:
            ModelError: there is none of that name, or the file is missing or damaged.
        """
        if part not in self.parts:
            raise ModelError(f"runtime: {self.folder} has no graph of the {part}; {_MEND.format(name=self.folder)}")
        # The weights have been compared with the model's digest by whoever opened it.
        path, digest = self.folder / self.parts[part].graph, self.parts[part].graph_sha256
        if not path.is_file() or sha256_of(path) != digest:
            raise ModelError(f"runtime: {path} is missing or damaged; {_MEND.format(name=self.folder)}")
        return path


def sha256_of(path: Path) -> str:
    """Digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
