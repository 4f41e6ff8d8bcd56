"""Weights of the transform code: networks, vocabulary and what they were measured to need, in a folder."""

from __future__ import annotations

import json
import math
import os
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as safetensors_bytes
from torch import Tensor

from gainnet.codecs.content import Content
from gainnet.codecs.seed_codec.vocabulary import Vocabulary
from gainnet.codecs.transform_seed.exact import ExactModel
from gainnet.codecs.transform_seed.network import TransformNetwork, TransformShape
from gainnet.core.errors import ModelError
from gainnet.core.files import write_whole

KIND = "transform_seed"
FILE = "weights.safetensors"
MEND = "train some with gainnet train transform-seed --out FOLDER"


@final
@dataclass(frozen=True)
class TransformWeights:
    """What sender and receiver of transform-coded seeds share.

    Args:
        shape: sizes of the networks.
        vocabulary: words of prompts as numbers.
        tensors: name -> weights of a `TransformNetwork`, half precision but for the mean.
        mean_bits: information content of an item at every level, mean over latents of the model, without prompt.
        mean_bits_prompt: the same with prompt.
        model_sha256: digest of the model whose latents these are.
    """

    shape: TransformShape
    vocabulary: Vocabulary
    tensors: dict[str, Tensor]
    mean_bits: tuple[float, ...]
    mean_bits_prompt: tuple[float, ...]
    model_sha256: str

    @staticmethod
    def load(model: str | Path = "transform_seed", model_sha256: str | None = None) -> TransformWeights:
        """The weights from a folder: the path itself, else by name from the user's data folder, else the package.

        Args:
            model: a folder with `config.json` and `weights.safetensors`, or a name.
            model_sha256: digest that the weights have to fit; `None` accepts any.

        Raises:
            ModelError: no such folder, a damaged one, or one that fits another model.
        """
        folder = find_folder(model)
        config = _read_config(folder)
        sha256 = config["model_sha256"]
        if model_sha256 is not None and sha256 != model_sha256:
            raise ModelError(
                f"transform seed: {folder} fits another model ({sha256[:12]}, not {model_sha256[:12]}); {MEND}"
            )
        try:
            settings: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in config["shape"].items()}
            plain, told = (tuple(float(b) for b in config[name]) for name in ("mean_bits", "mean_bits_prompt"))
            vocabulary = Vocabulary(tuple(config["vocabulary"]))
            tensors = load_file(folder / FILE)
            weights = TransformWeights(TransformShape(**settings), vocabulary, tensors, plain, told, sha256)
            _ = weights.network, weights.exact.layers
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
            raise ModelError(f"transform seed: {folder} is damaged") from None
        return weights

    @staticmethod
    def of_content(content: Content) -> TransformWeights:
        """The weights that fit the model of the content; without a model the shipped ones, if the shape fits.

        Raises:
            ModelError: none fit the model.
            ConfigError: there is no model, and the shipped weights are for another shape.
        """
        weights = TransformWeights.load(model_sha256=content.model_sha256)
        content.check_shipped(math.prod(weights.shape.latent), "transform", "weights")
        return weights

    def save(self, folder: Path, how: dict[str, Any]) -> None:
        """Writes `config.json` and `weights.safetensors`, each file whole.

        Args:
            folder: made if it is not there.
            how: what made it, goes into `config.json`.
        """
        write_whole(folder / FILE, safetensors_bytes(self.tensors))
        config = {
            "kind": KIND,
            "model_sha256": self.model_sha256,
            "shape": asdict(self.shape),
            "vocabulary": list(self.vocabulary.words),
            "mean_bits": [round(b, 2) for b in self.mean_bits],
            "mean_bits_prompt": [round(b, 2) for b in self.mean_bits_prompt],
            **how,
        }
        write_whole(folder / "config.json", (json.dumps(config, indent=2) + "\n").encode())

    @cached_property
    def network(self) -> TransformNetwork:
        """Analysis and synthesis, ready to run."""
        network = TransformNetwork(self.shape)
        network.load_state_dict({name: tensor.float() for name, tensor in self.tensors.items()})
        return network.eval().requires_grad_(False)

    @cached_property
    def exact(self) -> ExactModel:
        """The entropy model as both ends compute it."""
        return ExactModel(self.shape, self.tensors)


def find_folder(model: str | Path) -> Path:
    """The folder of weights: given path, user's data folder, package, in this order.

    Raises:
        ModelError: none of them has a `config.json`.
    """
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    package = Path(__file__).parents[1] / "pretrained"
    name = Path(model).name
    for place in (Path(model), data / "gainnet" / "codecs" / name, package / name):
        if (place / "config.json").is_file():
            return place
    raise ModelError(f"transform seed: no weights {str(model)!r}; {MEND}")


def _read_config(folder: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text())
        if config["kind"] != KIND or not isinstance(config["model_sha256"], str):
            raise ModelError(f"transform seed: {folder / 'config.json'} describes no weights of this kind")
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"transform seed: {folder / 'config.json'} is damaged") from None
    return config
