"""Sketches are small: their codecs against other coders, and their sizes against what is sent."""

import numpy as np
import pytest
import torch

from gainnet.codecs import AnalogSketch, EdgeMap, QuantizedSketch, WebP
from gainnet.codecs.edge_map import two_symbol_model
from gainnet.codecs.entropy import TOTAL
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.types import Spec, Symbols
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.scenes import draw_scenes, render, stream
from gainnet.models.sketches import edge_sketch, picture_sketch

NUM_SCENES = 80
IMAGE = Spec((3, 128, 128))
SMALL, MAP = Spec((3, 16, 16)), Spec((1, 64, 64))


@pytest.fixture(scope="module")
def pictures():
    return render(draw_scenes(NUM_SCENES, stream(6, "sketches", 0)))


@pytest.fixture(scope="module")
def sketches(pictures):
    return picture_sketch(IMAGE)({"image": pictures}, Random.of(list(range(NUM_SCENES))))["sketch"]


@pytest.fixture(scope="module")
def edges(pictures):
    return edge_sketch(IMAGE)({"image": pictures}, Random.of(list(range(NUM_SCENES))))["sketch"]


def psnr_db(codec, x, spec):
    decoded = codec.decode(codec.encode(x, torch.ones(len(x))), spec)
    return float(psnr_db_of_mse((decoded - x).double().square().mean()))


@pytest.mark.slow
def test_the_quantised_sketch_beats_webp_at_the_same_budget(sketches):
    assert psnr_db(QuantizedSketch(1152), sketches, SMALL) > psnr_db(WebP(max_bits=1152), sketches, SMALL) + 3.0


@pytest.mark.slow
def test_more_bits_are_a_better_sketch(sketches):
    quality = [psnr_db(QuantizedSketch(bits), sketches[:20], SMALL) for bits in (384, 768, 1536, 3072)]
    assert quality == sorted(quality)
    assert quality[-1] > 40.0


@pytest.mark.parametrize("max_bits", [None, 768])
def test_size_of_a_sketch_is_what_is_sent(sketches, max_bits):
    codec = QuantizedSketch(max_bits)
    payload = codec.encode(sketches, torch.ones(NUM_SCENES))
    assert payload.num_bits / NUM_SCENES == pytest.approx(codec.size(SMALL).expected, rel=0.05)


def test_a_sketch_of_any_shape_has_its_own_cosines():
    ramp = torch.linspace(0, 1, 12).expand(1, 3, 8, 12)
    assert psnr_db(QuantizedSketch(2000), ramp, Spec((3, 8, 12))) > 40.0
    with pytest.raises(ConfigError, match="quantized"):
        QuantizedSketch().size(Spec((4, 16, 16)))


def test_analog_noise_is_that_of_the_air(sketches):
    codec, noise = AnalogSketch(), 0.1
    sent = codec.encode(sketches, torch.full((NUM_SCENES,), 1 / noise))
    assert float(sent.values.abs().square().mean()) == pytest.approx(1.0, rel=0.1)
    air = Random.of(0).complex_normal(sent.values.shape, "air") * noise**0.5
    received = Symbols(sent.values + air, sent.gain, torch.full_like(sent.noise_variance, noise), sent.reported_snr)
    error = codec.decode(received, SMALL) - sketches
    assert float(error.square().mean()) < 0.276**2 * noise / (1 + noise)


@pytest.mark.slow
def test_edge_maps_come_back_and_take_what_size_expects(edges):
    codec = EdgeMap()
    payload = codec.encode(edges[:20], torch.ones(20))
    assert torch.equal(codec.decode(payload, MAP), edges[:20])
    assert payload.num_bits / 20 == pytest.approx(codec.size(MAP).expected, rel=0.05)


def test_contexts_are_worth_more_than_the_density_alone(edges):
    density = float(edges[:8].mean())
    memoryless = -density * np.log2(density) - (1 - density) * np.log2(1 - density)
    assert EdgeMap().encode(edges[:8], torch.ones(8)).num_bits < 0.5 * memoryless * 8 * 64 * 64


def test_a_map_without_structure_is_sent_plainly():
    noise = Random.of(1).uniform((1, 1, 64, 64), "noise").round()
    payload = EdgeMap().encode(noise, torch.ones(1))
    assert payload.num_bits <= 4096 + 48
    assert torch.equal(EdgeMap().decode(payload, MAP), noise)


def test_probabilities_are_integers_over_256():
    assert [two_symbol_model(level).frequencies[1] for level in (1, 128, 255)] == [
        TOTAL // 256,
        TOTAL // 2,
        255 * TOTAL // 256,
    ]


def test_shapes_that_are_no_map_are_named():
    with pytest.raises(ConfigError, match="edges"):
        EdgeMap().size(SMALL)
