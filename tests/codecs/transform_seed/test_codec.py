"""Transform-coded seeds: exact probabilities, streams as long as they should be, and what they are worth."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from gainnet.codecs import QuantizedSeed, SeedBasis
from gainnet.codecs.rate_matched import RateMatched
from gainnet.codecs.seed_codec import Vocabulary
from gainnet.codecs.transform_seed import TransformSeed, TransformShape, TransformWeights
from gainnet.codecs.transform_seed.exact import Layer, clip_at_zero, power_of_two
from gainnet.codecs.transform_seed.network import TransformNetwork
from gainnet.codecs.transform_seed.stream import NUM_LEVELS, anchors_of, information, quantised, read
from gainnet.core.errors import ConfigError, ModelError, PayloadError
from gainnet.core.types import Spec
from gainnet.models.loading import load_model
from gainnet.testing import check_codec
from gainnet.training.seed_latents import captioned_shard
from gainnet.training.transform_stage import rate_and_values, set_components

LATENT = (4, 8, 8)
VOCABULARY = Vocabulary.of(["a red star above a blue house"])
PROMPT = "a red star"
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def latents() -> Tensor:
    """[32, 4, 8, 8], with a covariance that a transform can use."""
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(256, 256, generator=generator))[0]
    white = torch.randn(32, 256, generator=generator)
    return (white * torch.linspace(2.0, 0.1, 256) @ turn).unflatten(1, LATENT)


@pytest.fixture(scope="module")
def weights(latents: Tensor) -> TransformWeights:
    """A small network with random entropy models."""
    shape = TransformShape(
        LATENT,
        VOCABULARY.num_indices,
        entropy_width=16,
        encoder_width=32,
        encoder_blocks=1,
        decoder_width=32,
        decoder_blocks=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = TransformNetwork(shape)
        set_components(network, latents.flatten(1))
        for model in network.models:
            torch.nn.init.normal_(model.head.weight, std=0.1)
    tensors = {name: tensor.detach().half() for name, tensor in network.state_dict().items()}
    means = tuple(np.linspace(200.0, 2000.0, NUM_LEVELS).tolist())
    return TransformWeights(shape, VOCABULARY, tensors, means, means, "0" * 64)


@pytest.mark.parametrize(
    ("max_bits", "prompts"),
    [(900.0, (PROMPT,)), *(pytest.param(*x, marks=SLOW) for x in ((None, (PROMPT,)), (900.0, None), (None, None)))],
)
def test_contract(
    weights: TransformWeights, latents: Tensor, max_bits: float | None, prompts: tuple[str, ...] | None
) -> None:
    check_codec(TransformSeed(max_bits, prompts=prompts, weights=weights), latents[:5])


def test_sums_of_a_layer_are_not_rounded() -> None:
    generator = torch.Generator().manual_seed(1)
    tensors = {
        "a.weight": torch.randn(3, 600, generator=generator).half(),
        "a.bias": torch.randn(3, generator=generator).half(),
    }
    layer = Layer.of(tensors, "a")
    x = clip_at_zero(10 * torch.randn(600, generator=generator).double().numpy())
    exact = [
        sum((Fraction(float(w)) * Fraction(float(v)) for w, v in zip(row, x, strict=True)), Fraction(float(bias)))
        for row, bias in zip(layer.weight, layer.bias, strict=True)
    ]
    assert [Fraction(float(y)) for y in layer(x)] == exact
    assert layer(x).tolist() == Layer(layer.weight[:, ::-1], layer.bias)(x[::-1]).tolist()


def test_weights_too_large_for_exact_sums_are_refused() -> None:
    with pytest.raises(ModelError, match="too large"):
        Layer.of({"a.weight": torch.full((1, 600), 4.0).half()}, "a")


def test_power_of_two() -> None:
    x = np.linspace(-9, 9, 100)
    np.testing.assert_allclose(power_of_two(x), 2.0**x, rtol=1e-14)


def test_exact_model_computes_what_was_trained(weights: TransformWeights, latents: Tensor) -> None:
    """Without gains that the grid would round, torch in float32 gives the same integers but for ties."""
    level, item = 48, latents[:1].flatten(1)
    prompt = weights.exact.prompt(VOCABULARY.indices([PROMPT])[0].numpy())
    np.testing.assert_allclose(weights.network.prompt(VOCABULARY.indices([PROMPT]))[0].numpy(), prompt, atol=2e-3)
    condition = torch.from_numpy(np.concatenate((anchors_of([level])[0], prompt))).float()[None]
    network = weights.network
    values = network.analyse(item, condition)
    gains = torch.round(32 * network.gains(condition[:, : anchors_of([level]).shape[1]])) / 32
    received, bits = rate_and_values(network, values, condition, gains, torch.zeros_like(values))
    (coded,) = quantised(weights.exact, values.double().numpy(), [level], prompt[None])
    same = np.abs(coded.values - received[0].numpy()) < 0.02
    assert same.mean() > 0.98
    assert coded.bits == pytest.approx(float(bits), rel=0.02)


def test_stream_has_the_length_of_its_information(weights: TransformWeights, latents: Tensor) -> None:
    codec = TransformSeed(level=80, weights=weights)
    payload = codec.encode(latents[:8], torch.ones(8))
    for item, string in zip(codec.quantise(latents[:8], 8), payload.strings, strict=True):
        assert string == item.stream
        assert item.bits + 16 <= 8 * len(string) <= item.bits + 34
        (level,), (values,) = read(weights.exact, [string], np.zeros((1, weights.shape.prompt_width)))
        assert level == 80
        assert (values == item.values).all()


def test_information_is_that_of_the_tables() -> None:
    classes = np.array([-32, 0, 64])
    assert information(np.zeros(3, np.int32), classes)[0] < 1e-3
    deviation_1 = math.erf(0.5 / math.sqrt(2))
    assert information(np.zeros(3, np.int32), classes)[1] == pytest.approx(-math.log2(deviation_1), abs=1e-3)
    assert information(np.full(3, 10**6, np.int32), classes).min() > 32


def test_values_beyond_every_table_arrive(weights: TransformWeights, latents: Tensor) -> None:
    codec = TransformSeed(level=127, weights=weights)
    far = 200 * latents[:2]
    assert torch.isfinite(codec.decode(codec.encode(far, torch.ones(2)), Spec(LATENT))).all()


def test_budget_is_kept_and_used(weights: TransformWeights, latents: Tensor) -> None:
    errors = []
    for max_bits in (400, 800, 1600):
        codec = TransformSeed(max_bits, weights=weights)
        payload = codec.encode(latents[:8], torch.ones(8))
        assert all(string is not None and 8 * len(string) <= max_bits for string in payload.strings)
        errors.append(float((codec.decode(payload, Spec(LATENT)) - latents[:8]).square().mean()))
    assert errors[0] > errors[1] > errors[2]


def test_item_that_fits_nowhere_is_left_out(weights: TransformWeights, latents: Tensor) -> None:
    codec = TransformSeed(16.0, weights=weights)
    payload = codec.encode(latents[:2], torch.ones(2))
    assert payload.strings == (None, None)
    assert torch.isfinite(codec.decode(payload, Spec(LATENT))).all()


def test_other_prompts_do_not_fit(weights: TransformWeights, latents: Tensor) -> None:
    spec, snr = Spec(LATENT), torch.ones(2, 2)
    items = latents[:4].unflatten(0, (2, 2))
    payload = TransformSeed(prompts=(PROMPT, "a blue house"), weights=weights).encode(items, snr)
    four = TransformSeed(prompts=(PROMPT, "a blue house", PROMPT, "a blue house"), weights=weights)
    assert payload == four.encode(items, snr)
    with pytest.raises(PayloadError):
        TransformSeed(prompts=("a blue house", PROMPT), weights=weights).decode(payload, spec)
    with pytest.raises(ConfigError, match="prompts"):
        TransformSeed(prompts=(PROMPT,) * 3, weights=weights).encode(items, snr)
    with pytest.raises(ConfigError, match="prompts"):
        TransformSeed(prompts=(), weights=weights).encode(items, snr)


def test_prompts_follow_their_items_where_budgets_differ(weights: TransformWeights, latents: Tensor) -> None:
    """Over fading, items of unequal budgets are coded apart, each with its own prompt."""
    prompts = (PROMPT, "a blue house", "a star", "red")
    codec = RateMatched(
        lambda bits: TransformSeed(bits, prompts=prompts, weights=weights), lambda snr: 600.0 + snr, (1.0,)
    )
    snr = torch.tensor([100.0, 400.0, 100.0, 700.0])
    payload = codec.encode(latents[:4], snr)
    for k, prompt in enumerate(prompts):
        alone = TransformSeed(600.0 + float(snr[k]), prompts=(prompt,), weights=weights)
        assert payload.strings[k] == alone.encode(latents[k], snr[k]).strings[0]
    assert torch.isfinite(codec.decode(payload, Spec(LATENT))).all()


@pytest.mark.parametrize("arguments", [{"level": 128}, {"max_bits": -1.0}])
def test_fields_out_of_range_are_named(weights: TransformWeights, arguments: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(arguments))):
        TransformSeed(weights=weights, **arguments)  # type: ignore[arg-type]


def test_weights_are_saved_and_loaded(
    weights: TransformWeights, latents: Tensor, tmp_path: pytest.TempPathFactory
) -> None:
    folder = tmp_path / "some"  # type: ignore[operator]
    weights.save(folder, {})
    again = TransformWeights.load(folder, "0" * 64)
    snr = torch.ones(3)
    assert TransformSeed(weights=again).encode(latents[:3], snr) == TransformSeed(weights=weights).encode(
        latents[:3], snr
    )
    with pytest.raises(ModelError, match="another model"):
        TransformWeights.load(folder, "1" * 64)
    (folder / "weights.safetensors").write_bytes(b"no")
    with pytest.raises(ModelError, match="damaged"):
        TransformWeights.load(folder)
    with pytest.raises(ModelError, match=r"gainnet train seed-codec .* --code transform"):
        TransformWeights.load(tmp_path / "none")  # type: ignore[operator]


GOLDEN = {
    None: (
        "6255c53cc27226304f71f292dfc861f786cd245a181006ba8d6f65b6d67c9b5cb089873ec0046110650903",
        "8a03d5dee34b70f4",
    ),
    "a picture of a small green heart below a large orange ring in the fog": (
        "a179188be3c44d95b7acda81f72b4e3fc50735e332f83b874d4b2e7c027ec6be9d33fa02cae6615ececa78",
        "d66495185c679829",
    ),
}


@pytest.mark.parametrize("prompt", GOLDEN)
def test_golden_streams(prompt: str | None) -> None:
    """Streams of the shipped weights decode to the same doubles, bit for bit, wherever this runs."""
    weights = TransformWeights.load()
    stream, digest = GOLDEN[prompt]
    told = weights.exact.prompt(weights.vocabulary.indices([prompt])[0].numpy() if prompt else np.zeros(1, np.int64))
    levels, values = read(weights.exact, [bytes.fromhex(stream)], told[None])
    assert levels == [48]
    assert hashlib.sha256(values.astype("<f8").tobytes()).hexdigest()[:16] == digest


@pytest.mark.slow
def test_shipped_weights_beat_principal_components_at_equal_bytes() -> None:
    """At 64 and 100 bytes the picture is at least 3 dB nearer than with quantised principal components."""
    model = load_model()
    shape = model.latent.shape
    items = captioned_shard(model, 10**6, 0).unflatten(1, shape)
    weights, basis, snr = (
        TransformWeights.load("transform_seed", model.sha256),
        SeedBasis.load(),
        torch.ones(len(items)),
    )

    def psnr_db(codec: TransformSeed | QuantizedSeed) -> float:
        pictures = [
            model.pipeline.vae.decode(some).sample.div(2).add(0.5).clamp(0, 1)
            for some in (items, codec.decode(codec.encode(items, snr), Spec(shape)))
        ]
        return -10 * math.log10(float((pictures[1] - pictures[0]).square().mean()))

    with torch.no_grad():
        for num_bytes in (64, 100):
            gain_db = psnr_db(TransformSeed(8 * num_bytes, weights=weights)) - psnr_db(
                QuantizedSeed(8 * num_bytes, basis=basis)
            )
            assert gain_db > 3


@pytest.mark.slow
def test_expected_size_of_shipped_weights() -> None:
    model = load_model()
    items = torch.cat([captioned_shard(model, 10**6 + 40 * k, 0) for k in range(5)]).unflatten(1, model.latent.shape)
    weights = TransformWeights.load("transform_seed", model.sha256)
    check_codec(TransformSeed(weights=weights), items)
    check_codec(TransformSeed(512.0, weights=weights), items)
