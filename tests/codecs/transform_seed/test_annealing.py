"""The search for the latent to send: near the least cost there is, never above the latent's own, same receiver."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.codecs import CorrectionWeights, ResidualCode
from gainnet.codecs.seed_codec import Vocabulary
from gainnet.codecs.transform_seed import TransformSeed, TransformShape, TransformWeights
from gainnet.codecs.transform_seed.annealing import PIXELS, annealed, error_weight
from gainnet.codecs.transform_seed.exact import LEAST_CLASS, MOST_CLASS
from gainnet.codecs.transform_seed.network import TransformNetwork, to_patches
from gainnet.codecs.transform_seed.stream import LEVELS_PER_QUALITY, NUM_LEVELS, information
from gainnet.core.types import Spec
from gainnet.models.latent_space import LatentSpace, load_latent_space
from gainnet.training.transform_stage import set_components

LATENT = (4, 8, 8)
VOCABULARY = Vocabulary.of(["a red star above a blue house"])
LEVEL, NUM_STEPS = 110, 16
SHAPE = TransformShape(
    LATENT, VOCABULARY.num_indices, entropy_width=16, encoder_width=32, encoder_blocks=1, decoder_width=32,
    decoder_blocks=1,
)  # fmt: skip
SIZE = 256 / PIXELS


def picture(latents: Tensor) -> Tensor:
    """[n, 1, 16, 16], a picture whose squared error is a hundredth of that of its latent [n, *LATENT]."""
    return 0.5 + 0.1 * latents.reshape(-1, 1, 16, 16)


@pytest.fixture(scope="module")
def latents() -> Tensor:
    """[3, 256], with a covariance that components can use, and pictures within [0, 1]."""
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(256, 256, generator=generator))[0]
    return torch.randn(3, 256, generator=generator) * torch.linspace(2.0, 0.1, 256) @ turn


@pytest.fixture(scope="module")
def linear(latents: Tensor) -> TransformWeights:
    """The linear transform code of patches: every value is rounded and coded by itself."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = TransformNetwork(SHAPE)
    set_components(network, latents, SIZE)
    tensors = {name: tensor.detach().half() for name, tensor in network.state_dict().items()}
    means = tuple(np.linspace(200.0, 2000.0, NUM_LEVELS).tolist())
    return TransformWeights(network.shape, VOCABULARY, tensors, means, means, "0" * 64)


def least_cost(code: TransformSeed, weights: TransformWeights, latents: Tensor) -> Tensor:
    """[n], least bits plus worth of the error, of all integers near every value: values do not depend on each other."""
    network, relaxed = weights.network, code.relaxed(len(latents))
    scaled = to_patches(latents - network.mean, weights.shape) @ network.components
    values = (scaled / network.deviations).transpose(1, 2).flatten(1)
    gains = torch.exp2(torch.round(32 * relaxed.log2_gains) / 32)
    worth = float(error_weight(torch.tensor(LEVEL / LEVELS_PER_QUALITY), SIZE)) * 0.01 / 256
    deviations = network.deviations.repeat_interleave(weights.shape.num_patches)
    classes = np.clip(np.floor(8 * torch.log2(gains).double().numpy() + 0.5), LEAST_CLASS, MOST_CLASS).astype(np.int64)
    costs = []
    for integer in range(-40, 41):
        bits = information(np.full(values.shape, integer, dtype=np.int32), classes)
        costs.append(torch.from_numpy(bits) + worth * (deviations * (values - integer / gains)).square())
    return torch.stack(costs).amin(0).sum(1)


def cost(code: TransformSeed, latents: Tensor, sent: Tensor) -> Tensor:
    """[n], bits plus worth of the error of the latents as received."""
    bits, received = code.relaxed(len(latents)).coded(sent)
    error = (picture(received).clamp(0, 1) - picture(latents).clamp(0, 1)).square().mean((1, 2, 3))
    return bits + error_weight(torch.tensor(LEVEL / LEVELS_PER_QUALITY), SIZE) * error


def test_it_comes_near_the_least_cost_of_values_that_are_coded_one_by_one(
    linear: TransformWeights, latents: Tensor
) -> None:
    code = TransformSeed(level=LEVEL, prompts=None, weights=linear)
    least = least_cost(code, linear, latents).sum()
    rounded = cost(code, latents, latents).sum()
    found = cost(code, latents, annealed(latents, code.relaxed(len(latents)), picture, 150)).sum()
    head = 7 * len(latents)
    assert rounded - head > 1.01 * least
    # Most of what rounding gives away is found, and nothing below the optimum but what a picture clips.
    assert 0.995 * least < found - head < least + 0.5 * (rounded - head - least)


def test_no_step_is_the_latent_itself(linear: TransformWeights, latents: Tensor) -> None:
    code = TransformSeed(level=LEVEL, prompts=None, weights=linear)
    assert torch.equal(annealed(latents, code.relaxed(len(latents)), picture, 0), latents)


def test_at_low_temperature_values_are_rounded(linear: TransformWeights, latents: Tensor) -> None:
    relaxed = TransformSeed(level=LEVEL, prompts=None, weights=linear).relaxed(len(latents))
    values = relaxed.analyse(latents)
    gains = torch.exp2(relaxed.log2_gains)
    received, bits = relaxed.sent(values, torch.full((2, 256), 0.5), 0.01)
    steps = values * gains
    clear = (steps - steps.floor() - 0.5).abs() > 0.05
    assert torch.allclose((received * gains)[clear], steps.round()[clear], atol=1e-3)
    # The bits are those of the stream, up to the steps of its tables.
    assert float(bits.mean()) == pytest.approx(float(relaxed.coded(latents)[0].mean()) - 7, rel=0.05)


@pytest.fixture(scope="module")
def space() -> LatentSpace:
    return load_latent_space("scenes")


@pytest.fixture(scope="module")
def pair() -> Tensor:
    """[2, 1024], smooth latents of about unit variance."""
    coarse = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(1))
    return torch.nn.functional.interpolate(coarse, (16, 16), mode="bilinear").flatten(1)


def test_a_seed_that_was_searched_for_costs_less_and_is_read_as_ever(space: LatentSpace, pair: Tensor) -> None:
    code = TransformSeed(level=50, prompts=("a red star", "a tree"), weights=TransformWeights.load("scenes"))
    relaxed = code.relaxed(2)
    found = annealed(pair, relaxed, space.decode, NUM_STEPS)
    costs = []
    for sent in (pair, found):
        bits, received = relaxed.coded(sent)
        error = (
            space.decode(received.unflatten(1, (4, 16, 16))) - space.decode(pair.unflatten(1, (4, 16, 16)))
        ).square()
        costs.append(bits + error_weight(torch.tensor(25.0)) * error.mean((1, 2, 3)).detach())
    assert (costs[1] < 0.97 * costs[0]).all()
    # Whoever reads the stream needs to know nothing of the search.
    payload = code.encode(found.unflatten(1, (4, 16, 16)), torch.ones(2))
    assert torch.allclose(code.decode(payload, Spec((4, 16, 16))).flatten(1), relaxed.coded(found)[1], atol=1e-5)


@pytest.mark.slow
def test_a_correction_that_was_searched_for_costs_less(space: LatentSpace, pair: Tensor) -> None:
    draft = pair + 0.6 * torch.randn(pair.shape, generator=torch.Generator().manual_seed(2))
    code = ResidualCode(level=20, draft="fast-2", weights=CorrectionWeights.load("scenes"))
    relaxed = code.relaxed(pair, draft)
    found = annealed(pair, relaxed, space.decode, NUM_STEPS)
    bits, received = relaxed.coded(found)
    error = (space.decode(received.unflatten(1, (4, 16, 16))) - space.decode(pair.unflatten(1, (4, 16, 16)))).square()
    before, plain = relaxed.coded(pair)
    first = (space.decode(plain.unflatten(1, (4, 16, 16))) - space.decode(pair.unflatten(1, (4, 16, 16)))).square()
    worth = error_weight(torch.tensor(40.0))
    assert bool((bits + worth * error.mean((1, 2, 3)) < before + worth * first.mean((1, 2, 3))).all())
    # What is sent of it is what the protocol codes.
    sent = torch.cat([code.residual(found, draft), torch.zeros(2, 1)], 1)
    assert [item.bits for item in code.items(sent)] == pytest.approx(bits.tolist())


def test_the_usual_level_is_the_finest_that_usually_fits() -> None:
    weights = TransformWeights.load("scenes")
    code = TransformSeed(max_bits=400.0, prompts=("a tree",), weights=weights).at_usual_level()
    assert code.max_bits is None
    sizes = [replace(code, level=level).size(Spec((4, 16, 16))).expected for level in (code.level, code.level + 1)]
    assert sizes[0] <= 400.0 < sizes[1]
    assert TransformSeed(max_bits=8.0, prompts=None, weights=weights).at_usual_level().level == 0
