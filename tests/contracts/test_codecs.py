"""Every codec of the package keeps the contract of codecs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from gainnet.codecs import (
    ACTIVATION_CODECS,
    CODECS,
    CorrectionWeights,
    Kind,
    MatchedSeed,
    Octets,
    RawAnalog,
    ResidualCode,
    SeedBasis,
    SeedWeights,
    TransformWeights,
    UniformQuantizer,
)
from gainnet.codecs.codec import AnyCodec
from gainnet.codecs.correction import stream as correction
from gainnet.codecs.correction.weights import NUM_HINTS
from gainnet.codecs.seed_codec import Architecture, PictureBasis, SeedNetwork, Vocabulary
from gainnet.codecs.transform_seed import TransformShape
from gainnet.codecs.transform_seed.network import TransformNetwork
from gainnet.codecs.transform_seed.stream import NUM_LEVELS
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Spec
from gainnet.models.scenes import draw_scenes, render, stream
from gainnet.models.sketches import edge_sketch, picture_sketch
from gainnet.testing import check_codec

NUM_ITEMS = 12
RANDOM = Random.of(range(NUM_ITEMS))
LATENT = (4, 8, 8)
PROMPTS = [f"{n} red stars above a blue house{', à côté de la mer' * (n % 4)}" for n in range(NUM_ITEMS)]


def latents() -> Tensor:
    """Gaussian with a covariance that a codec can use."""
    white = RANDOM.normal((64, 256), "latent").reshape(-1, 256)
    return white * torch.linspace(2.0, 0.2, 256) @ torch.linalg.qr(Random.of(0).normal((256, 256), "basis"))[0]


BASIS = SeedBasis.of_samples(latents(), "")
SEEDS = latents().reshape(NUM_ITEMS, 64, *LATENT)[:, 0]
PICTURES = torch.nn.functional.interpolate(RANDOM.uniform((3, 6, 8), "picture"), (48, 64), mode="bilinear")


def seed_weights() -> SeedWeights:
    """Untrained weights of the learned codec for these latents."""
    samples = latents().double()
    basis = PictureBasis.of_moments(samples.mean(0).float(), torch.cov(samples.T), torch.eye(256))
    network = SeedNetwork(basis, LATENT, Architecture(32, 16, 32, 1, 32, 1, 16, 4, 32, 16, 1), (3, 24))
    return SeedWeights(network.eval().requires_grad_(False), basis, Vocabulary(()), torch.zeros(2, 9, 18), LATENT, "")


def transform_weights() -> TransformWeights:
    """Untrained weights of the transform code for latents of this shape."""
    shape = TransformShape(LATENT, 3, (4, 4, 4, 4), 8, 8, 32, 1, 32, 1)
    tensors = {name: tensor.detach().half() for name, tensor in TransformNetwork(shape).state_dict().items()}
    return TransformWeights(shape, Vocabulary(()), tensors, (500.0,) * NUM_LEVELS, (500.0,) * NUM_LEVELS, "")


def correction_weights() -> CorrectionWeights:
    """Untrained weights of the code of corrections for latents of this shape."""
    shape = TransformShape(LATENT, 1, (4, 4, 4, 4), 8, 8, 32, 1, 32, 1, 1, NUM_HINTS)
    tensors = {name: tensor.detach().half() for name, tensor in TransformNetwork(shape).state_dict().items()}
    bits = ((500.0,) * correction.NUM_LEVELS,)
    return CorrectionWeights(shape, ("coarse-1",), tuple(map(float, range(7))), tensors, bits, "")


ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "linear": {"num_channel_uses": 64, "basis": BASIS},
    "seed": {"num_channel_uses": 64, "weights": seed_weights()},
    "digital": {"basis": BASIS},
    "transform": {"weights": transform_weights()},
}
PLAIN = [name for name in CODECS["seed"] if not name.endswith("_prompt")]
"""Codes of seeds without side information; the others have tests of their own."""


def codec_of(kind: Kind, name: str) -> AnyCodec:
    codec = CODECS[kind][name]()
    return replace(codec, **ARGUMENTS.get(name, {})) if kind == "seed" else codec  # type: ignore[type-var]


@pytest.mark.parametrize("name", PLAIN)
def test_seed_codec(name: str) -> None:
    check_codec(codec_of("seed", name), RANDOM.normal(LATENT, "unit") if name == "raw" else SEEDS)


def test_uniform_quantizer() -> None:
    check_codec(UniformQuantizer(), SEEDS)


def test_repeated_raw_seed() -> None:
    check_codec(RawAnalog(num_channel_uses=256), RANDOM.normal(LATENT, "unit"))


def test_seed_with_its_noise_variance() -> None:
    check_codec(MatchedSeed(), RANDOM.normal((257,), "handed"))


@pytest.mark.slow
def test_correction() -> None:
    marks = (RANDOM.uniform((1,), "digest") * 65_535).floor()
    code = ResidualCode(draft="coarse-1", weights=correction_weights())
    check_codec(code, torch.cat([SEEDS.flatten(1) / 4, marks], 1))


@pytest.mark.parametrize("name", [n for n in CODECS["image"] if n != "float32"])
def test_image_codec(name: str) -> None:
    check_codec(codec_of("image", name), PICTURES)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=pytest.mark.slow) if n == "edges" else n for n in CODECS["sketch"] if n != "float32"],
)
def test_sketch_codec(name: str) -> None:
    pictures = render(draw_scenes(NUM_ITEMS, stream(5, "sketches", 0)))
    sketcher = edge_sketch(Spec((3, 128, 128)), factor=4) if name == "edges" else picture_sketch(Spec((3, 128, 128)))
    check_codec(codec_of("sketch", name), sketcher({"image": pictures}, RANDOM)["sketch"])


@pytest.mark.parametrize("name", CODECS["prompt"])
def test_text_codec(name: str) -> None:
    check_codec(codec_of("prompt", name), text_to_tensor(PROMPTS))


@pytest.mark.parametrize("name", ACTIVATION_CODECS)
def test_activation_codec(name: str) -> None:
    check_codec(ACTIVATION_CODECS[name](), RANDOM.normal((5, 24), "activations"))


def test_octets() -> None:
    check_codec(Octets(), (RANDOM.uniform((40,), "octets") * 256).to(torch.uint8))
