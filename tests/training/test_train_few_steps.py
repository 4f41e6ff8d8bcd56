"""A student of few passes: its pairs are the teacher's, its sampler is diffusers', and it goes on where it stopped."""

import copy
import warnings
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.models.students import find_student, install_student
from gainnet.studies import run_study
from gainnet.studies.few_steps import metric_names
from gainnet.training import few_steps
from gainnet.training.denoiser import build_scheduler
from gainnet.training.few_steps import NUMS_PASSES, PRESETS, FewSteps, Pairs, amplitudes, captions_of, train_few_steps


@pytest.fixture(scope="module")
def tiny(tiny_run: Path) -> DiffusionModel:
    return load_model(str(tiny_run / "scenes"))


@pytest.mark.slow
def test_pairs_are_what_the_teacher_makes(tiny: DiffusionModel, tmp_path: Path) -> None:
    pairs = Pairs(tiny, tmp_path, 5)
    noise, latents, captions = pairs.draw(range(2), 3, torch.Generator().manual_seed(0))
    assert set(captions) <= {*captions_of(5, 0), *captions_of(5, 1)}
    tensors = {"prompt": text_to_tensor(captions), "latent": noise}
    with torch.autocast("cpu", torch.bfloat16):
        tensors |= tiny.text_encoder(tensors, Random.of(range(3)))
        made = tiny.denoiser(tensors, Random.of(range(3)))["latent"]
    torch.testing.assert_close(made.float(), latents, atol=0.1, rtol=0.05)
    again = Pairs(tiny, tmp_path, 5).draw(range(2), 3, torch.Generator().manual_seed(0))
    assert torch.equal(again[0], noise)
    assert torch.equal(again[1], latents)
    with pytest.raises(ConfigError, match="other settings"):
        Pairs(tiny, tmp_path, 6).draw(range(1), 1, torch.Generator())


@pytest.mark.parametrize("num_passes", [*NUMS_PASSES, 10])
def test_a_pass_is_a_step_of_the_library(num_passes: int) -> None:
    scheduler = cast(Any, build_scheduler())
    scheduler.set_timesteps(num_passes)
    ours = theirs = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(1))
    for timestep, (alpha, sigma), (next_alpha, next_sigma) in amplitudes(num_passes):
        velocity = torch.sin(ours)
        clean, noise = alpha * ours - sigma * velocity, sigma * ours + alpha * velocity
        theirs = scheduler.step(velocity, torch.tensor(timestep), ours).prev_sample
        ours = next_alpha * clean + next_sigma * noise
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)


@pytest.mark.slow
def test_a_killed_training_ends_as_one_that_was_not(tiny_run: Path, tmp_path: Path, monkeypatch: Any) -> None:
    teacher, steps = str(tiny_run / "scenes"), FewSteps(4, 2, 1, 2, 1)
    whole = train_few_steps(tmp_path / "whole", teacher, 3, steps)

    def stop(stage: str, step: int, num_steps: int, loss: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("gainnet.training.loop.STEPS_PER_PROGRESS", 2)
    with pytest.raises(KeyboardInterrupt):
        train_few_steps(tmp_path / "cut", teacher, 3, steps, stop)
    again = train_few_steps(tmp_path / "cut", teacher, 3, steps)
    weights = "unet/diffusion_pytorch_model.safetensors"
    assert (again / weights).read_bytes() == (whole / weights).read_bytes()
    model = load_model(str(whole))
    assert (model.denoiser.num_passes, model.denoiser.num_steps) == (2, 2)
    assert few_steps.captions_seen({"random_seed": 3, "steps": vars(steps)}) == {*captions_of(3, 0), *captions_of(3, 1)}


@pytest.mark.slow
def test_a_compiled_network_has_the_gradients_of_the_network(tiny: DiffusionModel) -> None:
    network = copy.deepcopy(tiny.pipeline.unet).float()
    z, condition = torch.randn(2, *tiny.latent.shape), torch.randn(2, 16, network.config.cross_attention_dim)

    def gradients(called: Any) -> dict[str, torch.Tensor]:
        network.zero_grad()
        called(z, torch.tensor([999, 499]), condition, return_dict=False)[0].square().mean().backward()
        return {name: weight.grad.clone() for name, weight in network.named_parameters()}

    expected = gradients(network)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = gradients(few_steps.compiled(network))
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, atol=1e-5, rtol=1e-2)
        assert found[name].count_nonzero() > 0, name


def test_a_model_that_is_stored_as_a_difference_is_no_teacher(
    packed_student: Path, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(packed_student))
    with pytest.raises(ModelError, match="teacher: scenes_fast is stored as a difference"):
        train_few_steps(tmp_path / "out", "scenes_fast", 3, FewSteps(4, 2, 1, 2, 1))
    assert not (tmp_path / "out").exists()


def test_another_sampler_is_refused(tiny: DiffusionModel, monkeypatch: Any) -> None:
    from diffusers import DDIMScheduler

    monkeypatch.setattr(tiny.pipeline, "scheduler", DDIMScheduler())
    with pytest.raises(ConfigError, match="teacher: its sampler"):
        few_steps._check_sampler(tiny)
    assert PRESETS["tiny"].steps < PRESETS["default"].steps


@pytest.mark.slow
def test_a_student_that_was_trained_is_judged_by_the_study(
    tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    teacher = str(tiny_run / "scenes")
    folder = train_few_steps(tmp_path / "student", teacher, 3, FewSteps(4, 2, 1, 2, 1))
    assert find_student(load_model(teacher).sha256) is None
    install_student(folder)
    changes = {"model": teacher, "methods": ["teacher", "student", "ddim"]}
    metrics = run_study("few-steps", "quick", tmp_path / "runs", changes=changes).metrics
    assert set(metrics) == set(metric_names())
    for passes in (1, 2):
        median, low, high = (metrics[f"psnr_db_to_teacher.student.{passes}{part}"] for part in ("", ".low", ".high"))
        assert low <= median <= high  # type: ignore[operator]
        assert metrics[f"psnr_db_to_teacher.student.{passes}.mean_error"] is not None
    assert metrics["psnr_db_to_teacher.dpm.1"] is None
    assert (metrics["num_pictures"], metrics["overlap"]) == (2, 0)
    assert metrics["psnr_db_to_teacher.student.4"] is None
