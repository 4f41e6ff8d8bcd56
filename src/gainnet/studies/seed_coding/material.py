"""Material of every method of seed-coding: model, judge, pictures, and the weights of learned codes on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import final

from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.components import Components, load_components
from gainnet.codecs.opponents import ENCODERS, EncodeCache, cache_folder, installed
from gainnet.codecs.seed_codec import SeedCodec, SeedWeights
from gainnet.codecs.seed_codec.weights import NETWORKS
from gainnet.codecs.transform_seed import TransformSeed, TransformWeights
from gainnet.codecs.transform_seed.weights import TRANSFORMS
from gainnet.core.errors import ConfigError
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model, weights_sha256
from gainnet.studies.pictures import Pictures, generate
from gainnet.studies.seed_coding.question import (
    BEST_CODEC,
    DIGITAL_SEEDS,
    LEARNED,
    SEEDS_OF_BITS,
    SeedCodingConfig,
)
from gainnet.studies.seed_coding.unseen_list import digest_of, unseen_captions
from gainnet.studies.weights import picture_digests

NEED_SEED_CODEC = (*LEARNED, "seed_denoiser")
NEED_TRANSFORM_SEED = tuple(name for name in DIGITAL_SEEDS if name != "pca_seed")
CODED_BY_TRANSFORM = (*SEEDS_OF_BITS, "domain_picture")


@final
@dataclass(frozen=True)
class Material:
    """Model, judge, weights and pictures of one run.

    Args:
        config: settings of the run.
        model: whose latents are sent, and whose decoder finishes them.
        basis: principal components of its latents.
        classifier: judge of prompt fidelity.
        pictures_of: pictures of a random seed; remembers the last one.
        encodes: of the opponents, kept on disk.
    """

    config: SeedCodingConfig
    model: DiffusionModel
    basis: Components
    classifier: AttributeClassifier
    pictures_of: Callable[[int], Pictures]
    encodes: EncodeCache

    @cached_property
    def seed_weights(self) -> SeedWeights:
        """Raises `ModelError` when there are none for the model."""
        return SeedWeights.load(self.config.seed_codec, self.model.sha256)

    @cached_property
    def transform_weights(self) -> TransformWeights:
        """Raises `ModelError` when there are none for the model."""
        return TransformWeights.load(self.config.transform_seed, self.model.sha256)

    def seed_code(self, num_channel_uses: int, prompts: tuple[str, ...] | None) -> AnyCodec:
        """The learned seed code for so many uses, with or without the prompts as side information."""
        return SeedCodec(num_channel_uses, prompts, weights=self.seed_weights)

    def transform_code(self, max_bits: float, prompts: tuple[str, ...] | None) -> AnyCodec:
        """The learned transform code that fills so many bits, with or without the prompts as side information."""
        return TransformSeed(max_bits=max_bits, prompts=prompts, weights=self.transform_weights)


def gather(config: SeedCodingConfig) -> Material:
    """Loads everything that the methods of a configuration need, once.

    Raises:
        ModelError: the model, its basis, the classifier or the weights of a learned code are missing or do not fit.
    """
    model = load_model(config.model)
    # The stream of image-quality: both studies are about the same pictures.
    remembered = lru_cache(maxsize=1)(lambda seed: generate(model, "image-quality", seed, config.num_images))
    basis, encodes = load_components(config.model, model.sha256), EncodeCache(cache_folder())
    material = Material(config, model, basis, AttributeClassifier.from_pretrained(), remembered, encodes)
    # Read now, so that missing weights are missed before the first case.
    if needs_seed_codec(config):
        _ = material.seed_weights
    if needs_transform_seed(config):
        _ = material.transform_weights
    if config.compares((BEST_CODEC,)) and set(found := installed()) != set(ENCODERS):
        raise ConfigError(
            f"schemes: {BEST_CODEC} needs {', '.join(set(ENCODERS) - set(found))}; install 'gainnet[opponents]'"
        )
    return material


def needs_seed_codec(config: SeedCodingConfig) -> bool:
    """Whether a method or a scheme reads the weights of the learned seed code."""
    return bool(config.runs(NEED_SEED_CODEC) or config.compares(("seed",)))


def needs_transform_seed(config: SeedCodingConfig) -> bool:
    """Whether a method or a scheme reads the weights of the learned transform code."""
    return bool(config.runs(NEED_TRANSFORM_SEED) or config.compares(CODED_BY_TRANSFORM))


def digests(config: SeedCodingConfig) -> Mapping[str, str]:
    """sha256 of everything with weights that the methods of a configuration read.

    Raises:
        ModelError: something of it is missing.
    """
    found = picture_digests(config.model, "seed_basis", "classifier")
    if needs_seed_codec(config):
        found["seed_codec"] = weights_sha256(NETWORKS.find(config.seed_codec, found["model"]))
    if needs_transform_seed(config):
        found["transform_seed"] = weights_sha256(TRANSFORMS.find(config.transform_seed, found["model"]))
    if config.num_unseen_images:
        found["unseen_captions"] = digest_of(unseen_captions())
    return found
