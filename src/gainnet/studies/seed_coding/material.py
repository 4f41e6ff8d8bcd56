"""What every method of seed-coding is given: model, judge, pictures, and the weights of learned codes on demand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, final

from gainnet.codecs import SeedBasis, basis
from gainnet.codecs.codec import AnyCodec
from gainnet.models import attributes, loading
from gainnet.models.attributes import AttributeClassifier
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.studies.image_quality.material import Pictures, generate
from gainnet.studies.seed_coding.question import DIGITAL_SEEDS, LEARNED, SeedCodingConfig

if TYPE_CHECKING:
    from gainnet.codecs.seed_codec import SeedWeights
    from gainnet.codecs.transform_seed import TransformWeights

NEED_SEED_CODEC = (*LEARNED, "seed_denoiser")
NEED_TRANSFORM_SEED = tuple(name for name in DIGITAL_SEEDS if name != "pca_seed")


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
    """

    config: SeedCodingConfig
    model: DiffusionModel
    basis: SeedBasis
    classifier: AttributeClassifier
    pictures_of: Callable[[int], Pictures]

    @cached_property
    def seed_weights(self) -> SeedWeights:
        """Raises `ModelError` when there are none for the model."""
        from gainnet.codecs.seed_codec import SeedWeights

        return SeedWeights.load(self.config.seed_codec, self.model.sha256)

    @cached_property
    def transform_weights(self) -> TransformWeights:
        """Raises `ModelError` when there are none for the model."""
        from gainnet.codecs.transform_seed import TransformWeights

        return TransformWeights.load(self.config.transform_seed, self.model.sha256)

    def seed_code(self, num_channel_uses: int, prompts: tuple[str, ...] | None) -> AnyCodec:
        """The learned seed code for so many uses, told the prompts or not."""
        from gainnet.codecs.seed_codec import SeedCodec

        return SeedCodec(self.seed_weights, num_channel_uses, prompts)

    def transform_code(self, max_bits: float, prompts: tuple[str, ...] | None) -> AnyCodec:
        """The learned transform code that fills so many bits, told the prompts or not."""
        from gainnet.codecs.transform_seed import TransformSeed

        return TransformSeed(self.transform_weights, max_bits=max_bits, prompts=prompts)

    def denoised_seed_code(self, num_channel_uses: int, prompts: tuple[str, ...]) -> AnyCodec:
        """The learned seed code, with a step of the device's denoiser behind it."""
        raise NotImplementedError


def gather(config: SeedCodingConfig) -> Material:
    """Loads everything that the methods of a configuration need, once.

    Raises:
        ModelError: the model, its basis, the classifier or the weights of a learned code are missing or do not fit.
    """
    model = load_model(config.model)
    remembered = lru_cache(maxsize=1)(lambda random_seed: generate(model, random_seed, config.num_images))
    basis = SeedBasis.load(config.model, model.sha256)
    material = Material(config, model, basis, AttributeClassifier.from_pretrained(), remembered)
    if config.runs(NEED_SEED_CODEC):
        material.seed_weights.model_sha256  # noqa: B018
    if config.runs(NEED_TRANSFORM_SEED):
        material.transform_weights.model_sha256  # noqa: B018
    return material


def digests(config: SeedCodingConfig) -> Mapping[str, str]:
    """sha256 of everything with weights that the methods of a configuration read."""
    return {
        "model": loading.weights_sha256(loading.find_folder(config.model)),
        "seed_basis": loading.weights_sha256(basis.find_folder(config.model)),
        "classifier": loading.weights_sha256(attributes.PRETRAINED),
    }
