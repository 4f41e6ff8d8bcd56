"""The code of corrections: exact where it must be, smooth where it may be, and silent of what the draft knows."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.codecs import Codecs, Content, CorrectionWeights, ResidualCode, UniformQuantizer
from gainnet.codecs.correction import stream
from gainnet.codecs.correction.weights import NUM_CLASSES, NUM_HINTS
from gainnet.codecs.transform_seed import TransformShape
from gainnet.codecs.transform_seed.network import TransformNetwork
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random, seeded
from gainnet.core.types import Bits, Spec

LATENT, DRAFT = Spec((4, 8, 8)), "coarse-2"
RANDOM = Random.of(range(6))
LATENTS = RANDOM.normal(LATENT.shape, "latent").flatten(1)
DRAFTS = LATENTS + 0.3 * RANDOM.normal(LATENT.shape, "draft").flatten(1)
MARKS = torch.arange(1, 7)[:, None].float() * 10_000


@pytest.fixture(scope="module")
def weights() -> CorrectionWeights:
    shape = TransformShape(LATENT.shape, 1, (4, 4, 4, 4), 8, 8, 32, 1, 32, 1, 1, NUM_HINTS)
    with seeded(0):
        network = TransformNetwork(shape)
    torch.nn.init.constant_(network.log2_gains, 2.0)
    tensors = {name: tensor.detach().half() for name, tensor in network.state_dict().items()}
    bits = ((100.0,) * stream.NUM_LEVELS, (200.0,) * stream.NUM_LEVELS)
    return CorrectionWeights(shape, ("prefix-1", DRAFT), tuple(range(NUM_CLASSES - 1)), tensors, bits, "digest")


@pytest.fixture(scope="module")
def code(weights: CorrectionWeights) -> ResidualCode:
    return ResidualCode(draft=DRAFT, weights=weights)


def sent(code: ResidualCode) -> torch.Tensor:
    return torch.cat([code.residual(LATENTS, DRAFTS), MARKS], 1)


def test_what_is_read_is_what_was_written(code: ResidualCode) -> None:
    x = sent(code)
    payload, items = code.encode(x, torch.ones(6)), code.items(x)
    received = code.decode(payload, Spec((257,)))
    for row, item in zip(received, items, strict=True):
        assert torch.equal(row[:-1], torch.from_numpy(item.values).float())
        # A coder of whole words takes at most ten bits more than the information.
        assert 8 * len(item.string) <= item.bits + 10
    assert torch.equal(received[:, -1:], MARKS)


def test_nothing_sent_leaves_the_draft_as_it_is(code: ResidualCode) -> None:
    nothing = code.decode(Bits((None,) * 6, (6,)), Spec((257,)))
    assert not nothing.any()
    assert torch.equal(code.corrected(DRAFTS, nothing[:, :-1]), DRAFTS)


def test_a_draft_with_other_digits_is_corrected_as_well(code: ResidualCode) -> None:
    payload = code.encode(sent(code), torch.ones(6))
    values = code.decode(payload, Spec((257,)))[:, :-1]
    exact = code.corrected(DRAFTS, values)
    # The string never depended on the draft's digits, so their difference passes through and nothing breaks.
    for size in (1e-6, 1e-4, 1e-2):
        noise = size * RANDOM.normal((256,), "difference")
        error = (code.corrected(DRAFTS + noise, values) - exact).square().mean().sqrt()
        assert float(error) < 2 * size + 1e-6


@pytest.mark.slow
def test_finer_levels_take_more_bits_and_leave_less(code: ResidualCode) -> None:
    x, shapes = sent(code), Spec((257,))
    errors, lengths = [], []
    for level in (0, 16, 31):
        fixed = ResidualCode(level=level, draft=DRAFT, weights=code.weights)
        payload = fixed.encode(x, torch.ones(6))
        errors.append(float((fixed.decode(payload, shapes) - x).square().mean()))
        lengths.append(sum(len(s or b"") for s in payload.strings))
    # Untrained gains are the same at all levels; a budget then decides between nothing and everything.
    assert errors[0] >= errors[-1]
    assert lengths[0] <= lengths[-1]
    budget = ResidualCode(max_bits=8.0 * max(lengths), draft=DRAFT, weights=code.weights)
    assert all(len(s or b"") <= max(lengths) for s in budget.encode(x, torch.ones(6)).strings)
    assert (
        ResidualCode(max_bits=16.0, draft=DRAFT, weights=code.weights).encode(x, torch.ones(6)).strings == (None,) * 6
    )


def test_weights_are_read_back_and_fit_only_their_drafts(weights: CorrectionWeights, tmp_path: Path) -> None:
    weights.save(tmp_path / "own", {})
    assert CorrectionWeights.load(tmp_path / "own", "digest").mean_bits == weights.mean_bits
    with pytest.raises(ConfigError, match="draft: 'coarse-9' is unknown"):
        ResidualCode(draft="coarse-9", weights=weights).encode(
            sent(ResidualCode(draft=DRAFT, weights=weights)), torch.ones(6)
        )
    with pytest.raises(ModelError, match="correction: "):
        CorrectionWeights.of_content(
            Content(LATENT, "correction", str(tmp_path / "own") + "/", "digest", draft="none-1")
        )


def test_residuals_of_an_unknown_draft_are_rounded() -> None:
    content = Content(Spec((257,)), "correction", "unknown", "digest", draft="coarse-3", mean_snr=10.0)
    assert isinstance(Codecs().choose({"correction": content}).correction, UniformQuantizer)
