"""Weights of corrections: a transform, an entropy model for the residuals of some drafts, and what they need."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from gainnet.codecs.content import Content
from gainnet.codecs.shelf import Shelf
from gainnet.codecs.transform_seed.exact import Doubles, ExactModel
from gainnet.codecs.transform_seed.network import NUM_ANCHORS, TransformNetwork, TransformShape
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.weights import WeightsFormat

FORMAT: Final = WeightsFormat(
    "correction", "correction", "weights.safetensors", "train some with gainnet train correction"
)
SHIPPED: Final = "scenes"
CORRECTIONS: Final = Shelf(FORMAT, "correction", (SHIPPED,), "correction")
"""Where weights lie."""

SMALLEST: Final = 1e-9
"""Of what a draft lacks, so that one without a fault has a logarithm."""
NUM_CLASSES: Final = 8
"""Classes of how much a draft lacks, from almost nothing to almost everything; the stream names the item's."""
MOST_DRAFTS: Final = 8
NUM_HINTS: Final = NUM_CLASSES + MOST_DRAFTS
"""Numbers that the entropy model receives in the place of a prompt: one for the class, one for the draft."""
TRANSFORM_ANCHOR: Final = 5
"""Quality, in anchors, that the transform works at whatever the rate: the receiver decodes before it knows the rate."""


@final
@dataclass(frozen=True)
class CorrectionWeights:
    """The weights that sender and receiver of corrections share.

    Args:
        shape: sizes of the networks; they read `NUM_HINTS` numbers in the place of a prompt.
        drafts: names of the drafts that they were trained on, at most `MOST_DRAFTS`.
        edges: [NUM_CLASSES - 1], limits between classes, log2 of the root mean square of values in quantiser steps.
        tensors: name -> weights of a `TransformNetwork`, half precision but for the mean.
        mean_bits: information content of an item by draft, at every level.
        model_sha256: digest of the model whose latents these are.
    """

    shape: TransformShape
    drafts: tuple[str, ...]
    edges: tuple[float, ...]
    tensors: dict[str, Tensor]
    mean_bits: tuple[tuple[float, ...], ...]
    model_sha256: str

    @staticmethod
    def load(model: str | Path = SHIPPED, model_sha256: str | None = None) -> CorrectionWeights:
        """The weights from a folder: the path itself, else by name from the user's data folder, else the package.

        Args:
            model: a folder with `config.json` and `weights.safetensors`, or the name of a model.
            model_sha256: digest that the weights have to fit; `None` accepts any.

        Raises:
            ModelError: no such folder, a damaged one, or one that fits another model.
        """
        folder = CORRECTIONS.find(model, model_sha256)
        config = FORMAT.config(folder, {"model_sha256": str})
        FORMAT.check_model(folder, config["model_sha256"], model_sha256)
        try:
            shape = TransformShape.read(config["shape"])
            edges, drafts = tuple(map(float, config["edges"])), tuple(map(str, config["drafts"]))
            bits = tuple(tuple(map(float, row)) for row in config["mean_bits"])
            tensors = FORMAT.tensors(folder)
            weights = CorrectionWeights(shape, drafts, edges, tensors, bits, config["model_sha256"])
            _ = weights.network, weights.exact.layers
        except (KeyError, TypeError, ValueError, RuntimeError):
            raise ModelError(f"correction: {folder} is damaged") from None
        return weights

    @staticmethod
    def of_content(content: Content) -> CorrectionWeights:
        """The weights that fit model and draft of the content.

        Raises:
            ModelError: none fit.
        """
        weights = CORRECTIONS.read(content.model or SHIPPED, content.model_sha256, CorrectionWeights.load)
        if content.draft not in weights.drafts:
            raise ModelError(
                f"correction: no weights for the draft {content.draft!r}; choose one of {', '.join(weights.drafts)}, "
                "or correction=uniform"
            )
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
            "drafts": list(self.drafts),
            "edges": list(self.edges),
            "mean_bits": [[round(bits, 2) for bits in row] for row in self.mean_bits],
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

    def hints(self, draft: str, classes: NDArray[np.int64]) -> Doubles:
        """[n, NUM_HINTS], what the entropy model knows of items of these classes [n]: no floats of a draft."""
        found = np.zeros((len(classes), NUM_HINTS))
        found[np.arange(len(classes)), classes] = 1.0
        found[:, NUM_CLASSES + self.index(draft)] = 1.0
        return found

    def index(self, draft: str) -> int:
        """Place of a draft among those that the weights were trained on; raises `ConfigError` where it is none."""
        if draft not in self.drafts:
            raise ConfigError(f"draft: {draft!r} is unknown; choose one of {', '.join(self.drafts)}")
        return self.drafts.index(draft)

    def classes(self, values: Doubles) -> NDArray[np.int64]:
        """[n], class of items by their values [n, num_values]."""
        found: NDArray[np.int64] = np.searchsorted(np.array(self.edges), self.lacks(values)).astype(np.int64)
        return found

    def lacks(self, values: Doubles) -> Doubles:
        """[n], log2 of the root mean square of values [n, num_values] in steps of the middle anchor."""
        found: Doubles = np.log2(np.maximum(np.sqrt(np.square(values * self.reference_gains).mean(1)), SMALLEST))
        return found

    @cached_property
    def reference_gains(self) -> Doubles:
        """[num_values], steps per unit in which classes are measured: those of the middle anchor."""
        log2_gains = self.tensors["log2_gains"].double().numpy()[NUM_ANCHORS // 2]
        return np.repeat(2.0**log2_gains, self.shape.num_patches)

    @torch.no_grad()
    def analyse(self, latents: Tensor) -> Tensor:
        """[n, num_values], values of latents [n, num_values], item by item."""
        # The last digit of a product depends on the size of a batch, and a quantiser would show it.
        one = self.condition(1)
        return torch.cat([self.network.analyse(latent, one) for latent in latents.float().split(1)])

    @torch.no_grad()
    def synthesise(self, values: Tensor) -> Tensor:
        """[n, num_values], latents of values [n, num_values]."""
        return self.network.synthesise(values, self.condition(len(values)))

    @cached_property
    def flops(self) -> tuple[float, float]:
        """Floating-point operations of `analyse` and of `synthesise`, one item."""
        nothing = torch.zeros(1, self.shape.num_values)
        return _counted(self.analyse, nothing), _counted(self.synthesise, nothing)

    def condition(self, num_items: int) -> Tensor:
        """[num_items, condition_width], of the transform, which is the same at every rate."""
        condition = torch.zeros(num_items, self.shape.condition_width)
        condition[:, TRANSFORM_ANCHOR] = 1.0
        return condition


def _counted(transform: Any, values: Tensor) -> float:
    with FlopCounterMode(display=False) as counter:
        transform(values)
    return float(counter.get_total_flops())
