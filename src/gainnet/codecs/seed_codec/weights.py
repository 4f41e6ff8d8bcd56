"""Weights of the learned seed codec: a folder with the network, its basis, its words and how it was trained."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor

from gainnet.codecs.content import Content
from gainnet.codecs.seed_codec.network import HIGHEST_DB, LOWEST_DB, Architecture, SeedNetwork
from gainnet.codecs.seed_codec.picture_basis import CodedBasis, PictureBasis, SpectralPictureBasis
from gainnet.codecs.seed_codec.vocabulary import Vocabulary
from gainnet.codecs.shelf import Shelf
from gainnet.codecs.spectral_basis import SPECTRAL, SpectralBasis
from gainnet.core.errors import ModelError
from gainnet.core.weights import WeightsFormat

KIND = "seed_codec"
FORMAT = WeightsFormat("seed codec", KIND, "seed_codec.safetensors", "train one with gainnet train seed-codec")
SHIPPED_FOR = "scenes"
NETWORKS = Shelf(FORMAT, KIND, (SHIPPED_FOR,), KIND, "seed")
FEWEST_USES = 16
STEP_DB = 2.0
SMALLEST_PACKED, LARGEST_INTEGER, SMALLEST_SCALE = 4096, 127.0, 1e-12


@final
@dataclass(frozen=True)
class SeedWeights:
    """A trained network and all that sender and receiver share.

    Args:
        network: encoder and decoder, frozen.
        basis: components that the network works on.
        vocabulary: words of prompts that it knows.
        log_powers: [2, num_sizes, num_levels], logarithm of the mean power per use before it is normalised; without and
            with prompt, over the sizes of `grid_sizes` and the levels of `grid_levels_db`.
        shape: of a latent.
        model_sha256: digest of the model whose latents these are.
    """

    network: SeedNetwork = field(repr=False)
    basis: CodedBasis = field(repr=False)
    vocabulary: Vocabulary = field(repr=False)
    log_powers: Tensor = field(repr=False)
    shape: tuple[int, ...]
    model_sha256: str

    @staticmethod
    def load(model: str | Path = SHIPPED_FOR, model_sha256: str | None = None) -> SeedWeights:
        """The weights from a folder: the path itself, else by the model's name from the user's data, else the package.

        Args:
            model: a folder with `config.json` and `seed_codec.safetensors`, or the name of a model.
            model_sha256: digest that the weights have to fit; `None` accepts any.

        Raises:
            ModelError: no such folder, a damaged one, or one that fits another model.

        >>> SeedWeights.load("scenes").shape
        (4, 16, 16)
        """
        folder = NETWORKS.find(model, model_sha256)
        config = FORMAT.config(folder, {"model_sha256": str})
        FORMAT.check_model(folder, config["model_sha256"], model_sha256)
        try:
            return _assembled(config, FORMAT.tensors(folder))
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise ModelError(f"seed codec: {folder} is damaged or incomplete ({type(error).__name__})") from None

    @staticmethod
    def of_content(content: Content) -> SeedWeights:
        """The weights for the model that makes the content; without a model the shipped ones, if the shape fits.

        Raises:
            ModelError: none fit the model.
            ConfigError: there is no model, and the shipped weights are for another shape.
        """
        weights = NETWORKS.read(content.model or SHIPPED_FOR, content.model_sha256, SeedWeights.load)
        content.check_shipped(weights.basis.num_values, "seed", "weights")
        return weights

    def save(self, folder: Path, how: Mapping[str, Any]) -> None:
        """Writes `config.json` and `seed_codec.safetensors` (see `pack_weights`), each file whole.

        Args:
            folder: made if it is not there.
            how: what made it, goes into `config.json`.
        """
        tensors = {f"network.{name}": t for name, t in pack_weights(self.network.state_dict()).items()}
        tensors |= {**self.basis.tensors(), "log_powers": self.log_powers}
        config = {
            "model_sha256": self.model_sha256,
            "shape": list(self.shape),
            "architecture": asdict(self.network.architecture),
            "max_words": self.vocabulary.max_words,
            "words": list(self.vocabulary.words),
            **self.basis.config(),
            **how,
        }
        FORMAT.save(folder, tensors, config)

    def power(self, num_channel_uses: int, snr: Tensor, with_prompt: bool) -> Tensor:
        """[n], mean power per use that the network would send with at SNR [n], interpolated in the table."""
        table = self.log_powers[int(with_prompt)]
        sizes = grid_sizes(self.basis.num_components)
        # Sizes are spaced evenly in the logarithm, so that is what is interpolated.
        row = math.log(max(num_channel_uses, sizes[0]) / sizes[0]) / math.log(sizes[-1] / sizes[0]) * (len(sizes) - 1)
        lower = min(int(row), len(sizes) - 2)
        line = torch.lerp(table[lower], table[lower + 1], row - lower)
        place = ((10 * snr.double().clamp(1e-9, 1e9).log10()).clamp(LOWEST_DB, HIGHEST_DB) - LOWEST_DB) / STEP_DB
        left = place.long().clamp_max(len(line) - 2)
        return torch.lerp(line[left], line[left + 1], (place - left).float()).exp()


def grid_sizes(num_values: int) -> list[float]:
    """Channel uses at which the power was measured: two per octave from 16, all powers of the root of two."""
    fewest = min(FEWEST_USES, num_values // 2)
    count = max(2, 1 + round(2 * math.log2(num_values / fewest)))
    return [fewest * (num_values / fewest) ** (k / (count - 1)) for k in range(count)]


def grid_levels_db() -> list[float]:
    """Reported SNR at which the power was measured."""
    return [LOWEST_DB + STEP_DB * k for k in range(1 + round((HIGHEST_DB - LOWEST_DB) / STEP_DB))]


def pack_weights(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are stored: wide matrices in 8 bits with a scale per row, everything else in half precision.

    >>> sorted(pack_weights({"a.weight": torch.ones(64, 64), "a.bias": torch.ones(3)}))
    ['a.bias', 'a.weight', 'a.weight.scale']
    """
    stored = {name: t.half().contiguous() for name, t in state.items()}
    for name, t in state.items():
        if name.endswith(("weight", "kernel")) and t.numel() >= SMALLEST_PACKED:
            # Per row: outputs of a layer differ in scale, inputs hardly.
            scale = (t.abs().amax(1, keepdim=True) / LARGEST_INTEGER).clamp_min(SMALLEST_SCALE)
            stored |= {name: (t / scale).round().to(torch.int8), f"{name}.scale": scale}
    return stored


def unpack_weights(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights that were packed, but for rounding."""
    names = [name for name in stored if not name.endswith(".scale")]
    scales = {name: stored.get(f"{name}.scale", torch.ones(())) for name in names}
    return {name: stored[name].float() * scales[name] for name in names}


def _assembled(config: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> SeedWeights:
    basis: CodedBasis
    if config.get("form") == SPECTRAL:
        basis = SpectralPictureBasis(SpectralBasis.of_tensors(dict(tensors), dict(config)))
    else:
        basis = PictureBasis(*(tensors[name].float() for name in ("mean", "analysis", "variances")))
    vocabulary = Vocabulary(tuple(config["words"]), config["max_words"])
    words = vocabulary.num_indices, vocabulary.max_words
    shape = tuple(config["shape"])
    network = SeedNetwork(basis, shape, Architecture(**config["architecture"]), words)
    state = {name.removeprefix("network."): t for name, t in tensors.items() if name.startswith("network.")}
    network.load_state_dict(unpack_weights(state))
    frozen = network.eval().requires_grad_(False)
    return SeedWeights(frozen, basis, vocabulary, tensors["log_powers"], shape, config["model_sha256"])
