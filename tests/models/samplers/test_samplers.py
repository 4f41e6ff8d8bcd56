"""A sampler in pieces is the sampler, and its predictions mean what they mean."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.choice import denoiser_choice
from gainnet.models.denoised_seed import denoised_seed
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.hand_over import Resumption, hand_down, hand_over
from gainnet.models.loading import load_model
from gainnet.models.samplers import SAMPLERS, Sampler, course
from gainnet.studies.families.folders import SETTINGS

RANDOM = Random.of([1, 2])
USUAL: dict[str, Any] = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
ODD = {
    "sample": {"prediction_type": "sample", "clip_sample": False},
    "thresholding": {"thresholding": True, "clip_sample": False},
    "clipping": {"clip_sample": True, "clip_sample_range": 0.7},
    "linspace": {"timestep_spacing": "linspace", "clip_sample": False},
    "seven": {"timestep_spacing": "trailing", "clip_sample": False},
}


def make(name: str, is_odd: bool = False, num_steps: int = 6, **options: Any) -> Sampler:
    noise = {} if name in ("edm", "flow") else USUAL
    settings = {**SETTINGS[name][is_odd], **options}
    settings.pop("use_dynamic_shifting", None)
    return Sampler.of(getattr(diffusers, SAMPLERS[name])(**noise, **settings), num_steps)


def bent(noisy: Tensor, time: Tensor) -> Tensor:
    """A network that is neither linear nor the same at all times."""
    return torch.tanh(0.7 * noisy + 0.001 * float(time))


@pytest.mark.parametrize("is_odd", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_cut_anywhere_is_the_scheduler_of_diffusers(name: str, is_odd: bool) -> None:
    sampler, begun = make(name, is_odd), RANDOM.normal((4, 4, 6), "prior")
    whole = sampler.run(sampler.initial_scale * begun, 0, sampler.num_steps, bent, RANDOM)
    for cut in range(sampler.num_steps + 1):
        state = sampler.run(sampler.initial_scale * begun, 0, cut, bent, RANDOM)
        assert state.shape[1] == 4 * sampler.num_latents(cut)
        torch.testing.assert_close(sampler.run(state, cut, sampler.num_steps, bent, RANDOM), whole, rtol=0, atol=0)


def test_the_memory_is_what_later_steps_read() -> None:
    counts = {name: [make(name).num_latents(step) for step in range(7)] for name in ("ddim", "euler", "dpm", "unipc")}
    # The last step of DPM++ 2M is of first order, so the default cut of `ciag` costs nothing more.
    assert counts == {"ddim": [1] * 7, "euler": [1] * 7, "dpm": [1, 2, 2, 2, 2, 1, 1], "unipc": [1, 3, 4, 4, 4, 4, 1]}


@pytest.mark.parametrize("name", ["lcm", "ddpm", "euler_ancestral"])
def test_an_item_of_a_batch_draws_as_the_item_alone(name: str) -> None:
    sampler, begun = make(name), RANDOM.normal((4, 4, 4), "prior")
    both = sampler.run(begun, 0, 4, bent, RANDOM)
    alone = sampler.run(begun[1:], 0, 4, bent, Random.of([2]))
    torch.testing.assert_close(both[1:], alone, rtol=0, atol=1e-5)
    assert not torch.equal(both[1:], sampler.run(begun[1:], 0, 4, bent, Random.of([3])))


@pytest.mark.parametrize("name", [name for name in SAMPLERS if name != "lcm"])
@pytest.mark.parametrize("is_odd", [False, True])
def test_a_right_prediction_means_the_latent_and_the_noise(name: str, is_odd: bool) -> None:
    sampler, clean, noise = make(name, is_odd), 0.2 * RANDOM.normal((4, 4, 4), "z"), RANDOM.normal((4, 4, 4), "n")
    for step in (1, sampler.num_steps - 2):
        alpha, sigma = sampler.amplitudes(step)
        mixed, power = alpha * clean + sigma * noise, torch.tensor([sampler.power(step)] * 2, dtype=torch.float64)
        size = torch.hypot(*sampler.levels.amplitudes(power))[0] / sampler.size(float(power[0]))
        torch.testing.assert_close(sampler.noised(clean, noise, step), mixed, rtol=1e-3, atol=1e-3)
        noisy = sampler.scaled(torch.cat([mixed] * sampler.num_latents(step), 1), step)
        torch.testing.assert_close(noisy, float(size) * mixed, rtol=1e-3, atol=1e-4)
        read = sampler.levels.read(noisy, sampler.levels.target(clean, noise, power), power)
        torch.testing.assert_close(read[0], clean, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(read[1], noise, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", SAMPLERS)
def test_without_noise_a_course_is_the_rest_of_the_sampler(name: str) -> None:
    sampler = make(name)
    levels = course(sampler, 2, torch.tensor([sampler.power(2)], dtype=torch.float64))
    times = torch.unique_consecutive(sampler.timesteps[2:]).double()
    assert [float(level.time) for level in levels] == pytest.approx(times.tolist(), abs=1e-3)
    assert float(levels[0].now) == pytest.approx(sampler.power(2), rel=1e-6)
    assert float(levels[-1].after) == pytest.approx(1.0, abs=1e-3)


@pytest.fixture(scope="module")
def model(small_stable_diffusion: Path) -> DiffusionModel:
    return load_model(str(small_stable_diffusion), num_steps=4, guidance_scale=3.0)


def with_sampler(model: DiffusionModel, sampler: Sampler) -> DiffusionModel:
    return replace(model, denoiser=replace(model.denoiser, sampler=sampler, stop=sampler.num_steps))


def exact(name: str) -> Sampler:
    if name in ODD:
        return make("ddim", num_steps=7 if name == "seven" else 4, **ODD[name])
    return make(name, num_steps=4)


@pytest.mark.parametrize(
    "name",
    [
        "sample",
        "linspace",
        "euler",
        *(pytest.param(x, marks=pytest.mark.slow) for x in ("thresholding", "clipping", "seven", "edm")),
    ],
)
def test_a_matched_hand_over_without_noise_is_the_rest_of_the_sampler(model: DiffusionModel, name: str) -> None:
    own = with_sampler(model, exact(name))
    tensors = own.text_encoder({"prompt": text_to_tensor(["a star", "a house"])}, RANDOM)
    begun = own.denoiser.sampler.initial_scale * RANDOM.normal(own.latent.shape, "prior")
    middle = {**tensors, **own.denoiser[:2]({**tensors, "latent": begun}, RANDOM)}
    theirs = own.denoiser[2:](middle, RANDOM)["latent"]
    handed = hand_down(own.latent)(middle, RANDOM)
    ours = hand_over(own.denoiser[2:])({**middle, **handed}, RANDOM)["latent"]
    assert float((ours - theirs).abs().max()) <= 2e-4 * float(theirs.abs().max())


@pytest.mark.parametrize("name", ["dpm", "pndm", "lcm", "heun"])
def test_a_sampler_with_memory_restarts_and_finishes(model: DiffusionModel, name: str) -> None:
    own = with_sampler(model, make(name, num_steps=4))
    rest = own.denoiser[2:]
    tensors = own.text_encoder({"prompt": text_to_tensor(["a star", "a house"])}, RANDOM)
    state = torch.cat([RANDOM.normal(own.latent.shape, "z")] * own.denoiser.sampler.num_latents(2), 1)
    handed = hand_down(own.latent)({"latent": state}, RANDOM)["handed"]
    handed[:, -1] = 0.3
    made = hand_over(rest)({**tensors, "handed": handed}, RANDOM)["latent"]
    assert made.shape == (2, *own.latent.shape)
    assert bool(made.isfinite().all())
    assert float(Resumption(rest).resumed_at(torch.tensor([0.3]))[0]) >= float(rest.timesteps[0])


@pytest.mark.parametrize("name", ["sample", "thresholding", "euler", "edm", "dpm"])
def test_receivers_read_every_prediction(model: DiffusionModel, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a network that is always right, one step gives the clean latent, and the right candidate is chosen."""
    own = with_sampler(model, exact(name))
    clean, levels = 0.2 * RANDOM.normal(own.latent.shape, "z"), own.denoiser.sampler.levels
    condition = own.text_encoder({"prompt": text_to_tensor(["a star", "a house"])}, RANDOM)["condition"]

    def right(family: Any, network: Any, noisy: Tensor, time: Tensor, embeds: Tensor, guidance: float) -> Tensor:
        power = levels.power(time.reshape(-1))
        alpha, sigma = (float(x[0]) for x in levels.amplitudes(power))
        # Only with the prompt it knows the latent; it takes everything else for noise.
        known = clean if bool((embeds == condition[:, -1]).all()) else 0.9 * clean
        return levels.target(known, (noisy - alpha * known) / sigma, power)

    monkeypatch.setattr(type(own.family), "predict", right)
    received = clean + 0.1 * RANDOM.normal(own.latent.shape, "e")
    torch.testing.assert_close(denoised_seed(own.denoiser, condition, received, 0.01), clean, rtol=0, atol=2e-3)
    wrong = RANDOM.normal(own.latent.shape, "wrong")
    tensors = {"condition": condition, "latent_1": wrong, "latent_2": clean}
    choice = denoiser_choice(own.denoiser, ("latent_1", "latent_2"))
    torch.testing.assert_close(choice(tensors, RANDOM)["latent"], clean, rtol=0, atol=0)


def test_steps_end_with_the_last_time_of_the_training() -> None:
    assert int(make("ddim", num_steps=1000).timesteps.max()) == 999
    with pytest.raises(ConfigError, match="num_steps: 1001 is out of range; must be 1 to 1000"):
        make("ddim", num_steps=1001)
    with pytest.raises(ConfigError, match="num_steps: LCMScheduler takes no 60 steps"):
        make("lcm", num_steps=60)


def test_an_unknown_scheduler_is_named() -> None:
    with pytest.raises(ModelError, match="its sampler VQDiffusionScheduler is not known"):
        Sampler.of(diffusers.VQDiffusionScheduler(4), 4)
