"""Fast models: found by the digest of their teacher, drafts of theirs, and every protocol and cut with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from gainnet.codecs import SeedCodec
from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation.generate import generate
from gainnet.generation.planning import make_plan
from gainnet.models.drafts import draft_part
from gainnet.models.loading import find_folder, load_model
from gainnet.models.students import fast_model, find_student, install_student
from gainnet.network import DEVICE
from gainnet.protocols import PROTOCOLS, Compute, Draft, Protocol
from gainnet.radio import Air

PROMPT = "a red star"


def test_a_student_is_found_by_its_teacher_and_codes_latents_of_its_teacher(
    installed_student: Path, student: Path
) -> None:
    teacher, own = load_model("scenes"), load_model(str(student))
    assert find_student(teacher.sha256) == installed_student
    assert find_student(own.sha256) is None
    assert own.sha256 != teacher.sha256 == own.latents_sha256 == teacher.latents_sha256
    made = make_plan(Air(snr_db=10.0), PROTOCOLS["eiug"](), own, (PROMPT,))
    assert isinstance(made.codecs["seed"], SeedCodec)
    with pytest.raises(ModelError, match="was distilled from no model"):
        install_student(find_folder("scenes"))
    with pytest.raises(ModelError, match="has no fast model"):
        fast_model(own, 1)


@pytest.mark.slow
def test_a_fast_draft_is_the_picture_of_the_student(installed_student: Path) -> None:
    model, random = load_model("scenes"), Random.of([11])
    drafted = {passes: draft_part(model, f"fast-{passes}") for passes in (1, 2)}
    assert [part.num_passes for part in drafted.values()] == [1, 2]
    assert drafted[1].flops == pytest.approx(model.denoiser.flops / 20, rel=0.05)
    own = fast_model(model, 2)
    tensors = {"prompt": text_to_tensor([PROMPT])} | model.prior({}, random)
    alone = own.denoiser(tensors | own.text_encoder(tensors, random), random)["latent"]
    draft = drafted[2](tensors | model.text_encoder(tensors, random), random)["draft"]
    torch.testing.assert_close(draft, alone, atol=1e-5, rtol=0)


@pytest.mark.slow
def test_draft_and_correction_run_with_a_fast_model(installed_student: Path) -> None:
    model = load_model("scenes", num_steps=2)
    made = make_plan(Air(snr_db=10.0), Draft("fast"), model, (PROMPT,))
    on_device = [s.part for s in made.plan.steps if isinstance(s, Compute) and s.node == DEVICE]
    assert sum(part.num_passes for part in on_device if part.role == "denoiser") == 1
    assert Draft("fast", 2).name_of_draft(model) == "fast-2"
    found = generate(PROMPT, model, protocol=Draft("fast"), air=Air(snr_db=10.0))
    assert found.report.drafts_differ == 0
    assert found.quality.psnr_db is not None
    # No draft of its own was in the training of corrections, so the uniform code carries what it lacks.
    assert found.quality.psnr_db > 25.0
    with pytest.raises(ConfigError, match="form: a fast draft begins with noise"):
        make_plan(Air(), Draft("fast"), model, (PROMPT,), strength=0.9)


CUTS: list[tuple[str, Protocol]] = [
    *((name, protocol()) for name, protocol in PROTOCOLS.items()),
    *((f"ciag cut {cut}", PROTOCOLS["ciag"](cut=cut)) for cut in (0, 1, 2)),
    *((f"uieg cut {cut}", PROTOCOLS["uieg"](cut=cut)) for cut in (0, 1, 2)),
    *((f"draft {form}", PROTOCOLS["draft"](form=form, cut=1)) for form in ("coarse", "prefix")),
]
FAST = ("ciag",)
"""A draft with a student is in the test above."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "protocol"), [pytest.param(*each, marks=[] if each[0] in FAST else pytest.mark.slow) for each in CUTS]
)
def test_every_protocol_and_cut_runs_with_a_student(student: Path, name: str, protocol: Protocol) -> None:
    found = generate(PROMPT, load_model(str(student)), protocol=protocol, air=Air(snr_db=30.0))
    assert bool(found.values.isfinite().all())
    # A cut decides where the picture is made, not which one.
    assert found.quality.psnr_db is None or found.quality.psnr_db > 15.0
