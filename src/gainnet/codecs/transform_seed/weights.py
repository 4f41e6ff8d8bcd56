"""Weights of the transform code: networks, vocabulary and what they were measured to need, in a folder."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, final

from torch import Tensor

from gainnet.codecs.content import Content
from gainnet.codecs.seed_codec.vocabulary import Vocabulary
from gainnet.codecs.shelf import Shelf
from gainnet.codecs.transform_seed.exact import ExactModel
from gainnet.codecs.transform_seed.network import TransformNetwork, TransformShape
from gainnet.core.errors import ModelError
from gainnet.core.weights import WeightsFormat

FORMAT = WeightsFormat(
    "transform seed", "transform_seed", "weights.safetensors", "train some with gainnet train transform-seed"
)

SHIPPED = "transform_seed"
TRANSFORMS = Shelf(FORMAT, "", ("scenes", SHIPPED), SHIPPED, "transform")


@final
@dataclass(frozen=True)
class TransformWeights:
    """The weights that sender and receiver of transform-coded seeds share.

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
    def load(model: str | Path = SHIPPED, model_sha256: str | None = None) -> TransformWeights:
        """The weights from a folder: the path itself, else by name from the user's data folder, else the package.

        Args:
            model: a folder with `config.json` and `weights.safetensors`, or a name.
            model_sha256: digest that the weights have to fit; `None` accepts any.

        Raises:
            ModelError: no such folder, a damaged one, or one that fits another model.
        """
        folder = TRANSFORMS.find(model, model_sha256)
        config = FORMAT.config(folder, {"model_sha256": str})
        sha256 = config["model_sha256"]
        FORMAT.check_model(folder, sha256, model_sha256)
        try:
            shape = TransformShape.read(config["shape"])
            plain, with_prompt = (tuple(float(b) for b in config[name]) for name in ("mean_bits", "mean_bits_prompt"))
            vocabulary = Vocabulary(tuple(config["vocabulary"]))
            tensors = FORMAT.tensors(folder)
            weights = TransformWeights(shape, vocabulary, tensors, plain, with_prompt, sha256)
            _ = weights.network, weights.exact.layers
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise ModelError(f"transform seed: {folder} is damaged") from None
        return weights

    @staticmethod
    def of_content(content: Content) -> TransformWeights:
        """The weights that fit the model of the content; without a model the shipped ones, if the shape fits.

        Raises:
            ModelError: none fit the model.
            ConfigError: there is no model, and the shipped weights are for another shape.
        """
        weights = TRANSFORMS.read(content.model or SHIPPED, content.model_sha256, TransformWeights.load)
        content.check_shipped(math.prod(weights.shape.latent), "transform", "weights")
        return weights

    def save(self, folder: Path, how: dict[str, Any]) -> None:
        """Writes `config.json` and `weights.safetensors`, each file whole.

        Args:
            folder: made if it is not there.
            how: what made it, goes into `config.json`.
        """
        config = {
            "model_sha256": self.model_sha256,
            "shape": asdict(self.shape),
            "vocabulary": list(self.vocabulary.words),
            "mean_bits": [round(b, 2) for b in self.mean_bits],
            "mean_bits_prompt": [round(b, 2) for b in self.mean_bits_prompt],
            **how,
        }
        FORMAT.save(folder, self.tensors, config)

    @cached_property
    def network(self) -> TransformNetwork:
        """Analysis and synthesis, ready to run."""
        return TransformNetwork.stored(self.shape, self.tensors)

    @cached_property
    def exact(self) -> ExactModel:
        """The entropy model as both ends compute it."""
        return ExactModel(self.shape, self.tensors)
