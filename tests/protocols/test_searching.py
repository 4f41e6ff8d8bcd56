"""The search of an edge for the latent to send, as a part of a plan: what it costs, and where it has nothing to do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gainnet import Air, Codecs, generate
from gainnet.codecs import LinearCode, ResidualCode, TransformSeed
from gainnet.codecs.transform_seed.annealing import NUM_TRIALS, annealed
from gainnet.core.errors import ConfigError
from gainnet.core.types import Spec
from gainnet.generation.duration import Pace, plan_wall_s
from gainnet.generation.planning import make_plan
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.latent_space import LatentSpace
from gainnet.models.loading import load_model
from gainnet.protocols import Compute, Draft, Eiug, Transfer
from gainnet.protocols.annealing import PASSES_PER_STEP, seed_search
from gainnet.protocols.task import PROMPT

PROMPTS = ("a red star above a blue house", "a tree in snow")
CODE = TransformSeed(level=50, prompts=())


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return load_model("scenes", num_steps=2)


@pytest.mark.slow
def test_of_pictures_in_one_batch_each_is_searched_with_its_own_prompt(model: DiffusionModel) -> None:
    air, codecs = Air(snr_db=10.0), Codecs(seed=CODE)
    searched = Eiug(annealing=8)
    both = generate(PROMPTS, model, protocol=searched, codecs=codecs, air=air, random_seed=3)
    alone = generate(PROMPTS[1], model, protocol=searched, codecs=codecs, air=air, random_seed=4)
    plain = generate(PROMPTS, model, protocol=Eiug(), codecs=codecs, air=air, random_seed=3)
    (step,) = [step for step in both.report.steps if step.label == "annealing @ edge"]
    assert step.flops > 0
    assert both.report.energy_j > plain.report.energy_j
    # The last digits of a product depend on the size of the batch, and a search follows them.
    assert float((both.values[1] - alone.values[0]).abs().mean()) < 0.02
    assert not torch.equal(both.values, plain.values)


@pytest.mark.slow
def test_its_operations_are_those_that_torch_counts(model: DiffusionModel) -> None:
    space = LatentSpace.of(model)
    latents = torch.randn(1, 1024, generator=torch.Generator().manual_seed(0))
    plan = make_plan(Air(snr_db=10.0), Eiug(), model, PROMPTS[:1], Codecs(seed=CODE)).plan
    (code,) = [step.codec for step in plan.steps if isinstance(step, Transfer) and step.tensor == "latent"]
    assert isinstance(code, TransformSeed)
    counted = []
    for num_steps in (1, 2):
        with FlopCounterMode(display=False) as counter:
            annealed(latents, code.relaxed(1), space.decode, num_steps)
        counted.append(counter.get_total_flops())
    part = seed_search(model, code, 1)
    a_pass = part.flops / part.num_passes
    assert part.num_passes == PASSES_PER_STEP + NUM_TRIALS + 2
    # A second step is coded exactly once more, too, which takes a decoder and no gradient.
    assert counted[1] - counted[0] == pytest.approx((PASSES_PER_STEP + 1) * a_pass, rel=0.1)


def test_the_time_of_a_search_is_announced(model: DiffusionModel) -> None:
    made = [make_plan(Air(snr_db=10.0), Eiug(n), model, PROMPTS[:1], Codecs(seed=CODE)) for n in (0, 300)]
    plain, searched = (plan_wall_s(one, model, Pace(0.0, 0.1), {PROMPT: Spec((40,))}) for one in made)
    assert searched - plain == pytest.approx(0.1 * (2 * 300 + NUM_TRIALS + 2))


def test_a_correction_is_searched_for_after_the_draft(model: DiffusionModel) -> None:
    codecs = Codecs(correction=ResidualCode(level=10))
    made = make_plan(Air(snr_db=10.0), Draft("fitted", 2, annealing=5), load_model("scenes"), PROMPTS, codecs)
    names = [step.part.name for step in made.plan.steps if isinstance(step, Compute) and step.node == "edge"]
    assert names.index("annealing") == names.index("residual") - 1


@pytest.mark.parametrize(
    ("codec", "message"),
    [(LinearCode(256), "annealing: LinearCode codes a latent as it is"), (None, "annealing: SeedCodec")],
)
def test_a_code_without_a_choice_is_refused(model: DiffusionModel, codec: LinearCode | None, message: str) -> None:
    codecs = Codecs() if codec is None else Codecs(seed=codec)
    with pytest.raises(ConfigError, match=message):
        make_plan(Air(snr_db=10.0), Eiug(annealing=5), model, PROMPTS, codecs)


def test_a_runtime_without_gradients_is_refused(model: DiffusionModel) -> None:
    with pytest.raises(ConfigError, match="annealing: a search takes gradients"):
        seed_search(replace(model, runtime="onnx"), CODE, 5)


@pytest.mark.parametrize("protocol", [Eiug, lambda annealing: Draft(annealing=annealing)])
@pytest.mark.parametrize("num_steps", [-1, 10_001])
def test_the_number_of_steps_has_a_range(protocol: object, num_steps: int) -> None:
    with pytest.raises(ConfigError, match="annealing"):
        protocol(annealing=num_steps)
