"""A sampler with a memory hands it over at a cut, counted, or goes on without it, and the report says which."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from diffusers import DPMSolverMultistepScheduler

from gainnet.codecs import Codecs, Float32, MatchedSeed
from gainnet.core.randomness import Random
from gainnet.generation import estimate, generate
from gainnet.generation.cell import Cell
from gainnet.generation.chunks import MOST_ITEMS
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.part import TensorMap
from gainnet.models.samplers import Sampler
from gainnet.protocols import Ciag, Eiug, Protocol, Uidcg, Uidg
from gainnet.radio import Air

IDEAL = Air(snr_db=math.inf)


@pytest.fixture(scope="module")
def model(small_stable_diffusion: Path) -> DiffusionModel:
    """A small model with DPM++ 2M in four steps."""
    own = load_model(str(small_stable_diffusion), num_steps=4, guidance_scale=3.0)
    sampler = Sampler.of(DPMSolverMultistepScheduler(), 4)
    return replace(own, denoiser=replace(own.denoiser, sampler=sampler))


@pytest.mark.slow
def test_the_memory_is_sent_and_counted(model: DiffusionModel) -> None:
    codecs = Codecs(midway=Float32())
    bits = {}
    for cut in (2, 3):
        protocol = Ciag(cut)
        found = generate("a red star", model, protocol=protocol, codecs=codecs, air=IDEAL)
        assert found.quality.exact
        assert torch.allclose(found.values, generate("a red star", model, air=IDEAL).values, atol=1e-5)
        priced = estimate(protocol, model, prompts="a red star", codecs=codecs, air=IDEAL)
        bits[cut] = [step.num_bits for step in found.report.steps if step.direction == "down"]
        assert bits[cut] == [step.num_bits for step in priced.steps if step.direction == "down"]
        memory = ("handed over", 1) if cut == 2 else ("none", 0)
        assert (found.sampling.memory, found.sampling.num_latents) == memory
    # The last step is of first order, and the latent before it stands alone.
    assert bits == {2: [2 * 32 * model.latent.num_values], 3: [32 * model.latent.num_values]}


@pytest.mark.slow
def test_a_matched_hand_over_restarts(model: DiffusionModel) -> None:
    air, codecs = Air(snr_db=20.0), Codecs(midway=MatchedSeed())
    found = generate("a red star", model, protocol=Ciag(2), codecs=codecs, air=air)
    assert found.sampling.memory == "restarted"
    assert found.report.num_channel_uses("down") == model.latent.num_values / 2
    assert bool(found.values.isfinite().all())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "num_edges"),
    [
        (Uidcg(1, "guidance"), 2),
        pytest.param(Uidcg(1, "pipeline"), 2, marks=pytest.mark.slow),
        pytest.param(Uidcg(0, "regions"), 1, marks=pytest.mark.slow),
        pytest.param(Uidg(1), 1, marks=pytest.mark.slow),
    ],
)
def test_edges_that_share_a_generation_share_the_memory(
    model: DiffusionModel, protocol: Protocol, num_edges: int
) -> None:
    codecs, cell = Codecs(image=Float32()), Cell(IDEAL, num_edges=num_edges)
    found = generate("a red star", model, protocol=protocol, codecs=codecs, air=cell)
    alone = generate("a red star", model, air=IDEAL)
    torch.testing.assert_close(found.values, alone.values, rtol=0, atol=1e-4)


def test_a_large_batch_runs_a_few_items_at_a_time(model: DiffusionModel) -> None:
    taken: list[int] = []

    def counted(tensors: dict[str, torch.Tensor], random: Random) -> dict[str, torch.Tensor]:
        taken.append(random.num_items)
        return dict(model.prior({}, random))

    few = replace(model, prior=TensorMap("prior", (), {"latent": model.latent}, counted, "prior"))
    prompts = [f"a {'red' if k % 2 else 'blue'} star" for k in range(MOST_ITEMS + 3)]
    together = generate(prompts, few, protocol=Eiug(), air=IDEAL, random_seed=5)
    assert max(taken) == MOST_ITEMS
    alone = generate(prompts[-1], model, protocol=Eiug(), air=IDEAL, random_seed=5 + MOST_ITEMS + 2)
    torch.testing.assert_close(together.values[-1], alone.values[0], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_prompts() -> None:
    """Beside the pictures and references themselves, 0.4 MB of the shipped model."""
    import subprocess
    import sys

    code = (
        "import resource, sys; from gainnet.generation import generate; from gainnet.models.loading import load_model;"
        "model = load_model('scenes', num_steps=1); generate(['a red star'] * int(sys.argv[1]), model);"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    few, many = (
        float(subprocess.run([sys.executable, "-c", code, n], capture_output=True, text=True, check=True).stdout)
        for n in ("16", "64")
    )
    assert (many - few) / 48 < 1.0
