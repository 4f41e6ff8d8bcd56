"""A latent resumes at the noise that it has: in the algebra, on exact links and through the air."""

import pytest
import torch

from gainnet.codecs import MatchedSeed
from gainnet.core.errors import ConfigError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Symbols
from gainnet.models.hand_over import Resumption, hand_down, hand_over
from gainnet.models.loading import load_model
from gainnet.testing import check_part

PROMPTS = [
    "a red star above a blue house at sunset",
    "a green tree in the snow",
    "a yellow boat",
    "a red moon at night",
]


REST = [(0, 3.0), (0, 1.0), (2, 1.0), (2, 3.0), (3, 3.0)]
SLOW = pytest.mark.slow


def run(parts, random, tensors):
    for part in parts:
        with torch.no_grad():
            tensors = tensors | part({key: tensors[key] for key in part.reads}, random)
    return tensors


def through_the_air(handed, snr, random):
    codec = MatchedSeed(scale=float(handed[..., :-1].square().mean().sqrt()))
    sent = codec.encode(handed, torch.full(random.batch, snr))
    noise = random.complex_normal((sent.num_symbols,), "air") * snr**-0.5
    received = Symbols(sent.values + noise, sent.gain, torch.full_like(sent.noise_variance, 1 / snr))
    return codec.decode(received, hand_down(load_model("scenes").latent).writes["handed"])


@pytest.mark.parametrize(("cut", "guidance_scale"), [(3, 1.0), *(pytest.param(*x, marks=SLOW) for x in REST)])
@pytest.mark.parametrize("which", ["small", pytest.param("scenes", marks=SLOW)])
def test_without_noise_it_is_the_rest_of_the_sampler(small_stable_diffusion, which, cut, guidance_scale):
    name = str(small_stable_diffusion) if which == "small" else "scenes"
    model, random = load_model(name, num_steps=4, guidance_scale=guidance_scale), Random.of([1, 2])
    given = run((model.text_encoder, model.prior), random, {"prompt": text_to_tensor(["a star", "a house"])})
    given = run((model.denoiser[:cut],), random, given)
    ours = run((hand_down(model.latent), hand_over(model.denoiser[cut:])), random, given)["latent"]
    theirs = model.denoiser[cut:](given, random)["latent"]
    assert float((ours - theirs).abs().max()) <= 1e-4 * float(theirs.abs().max())


@pytest.mark.parametrize("noise_variance", [0.05, 0.5, 4.0])
def test_the_resumed_latent_has_signal_and_noise_of_its_time(noise_variance):
    model, random = load_model("scenes"), Random.of(list(range(40)))
    part, powers = Resumption(model.denoiser[6:]), model.pipeline.scheduler.alphas_cumprod
    power = float(powers[int(part.rest.timesteps[0])])
    clean, own, air = (random.normal((1024,), name) for name in ("clean", "own", "air"))
    received = power**0.5 * clean + (1 - power) ** 0.5 * own + noise_variance**0.5 * air
    handed = torch.cat([received, torch.full((40, 1), noise_variance)], dim=1)
    time = int(part.resumed_at(handed[:, -1])[0])
    matched = float(powers[time])
    assert matched / (1 - matched) == pytest.approx(power / (1 - power + noise_variance), rel=0.02)
    rest = part.resumed(handed) - matched**0.5 * clean
    assert float(rest.square().mean()) == pytest.approx(1 - matched, rel=0.02)
    assert abs(float((rest * clean).mean())) < 0.02


def test_more_noise_resumes_earlier():
    part = Resumption(load_model("scenes").denoiser[5:])
    times = part.resumed_at(torch.tensor([0.0, 0.1, 1.0, 10.0, 1e9])).tolist()
    assert times == sorted(times)
    assert (times[0], times[-1]) == (499, 999)


@pytest.mark.slow
def test_matched_is_better_than_ignoring_the_noise():
    model, random = load_model("scenes"), Random.of([1, 2])
    given = run((model.text_encoder, model.prior), random, {"prompt": text_to_tensor(PROMPTS[:2])})
    middle = run((model.denoiser[:7],), random, given)
    finished = run((model.denoiser[7:], model.decoder), random, middle)["image"]
    handed = through_the_air(hand_down(model.latent)(middle, random)["handed"], 10**-0.5, random)
    matched = run((hand_over(model.denoiser[7:]), model.decoder), random, middle | {"handed": handed})["image"]
    noisy = {"latent": handed[:, :-1].reshape(middle["latent"].shape)}
    ignored = run((model.denoiser[7:], model.decoder), random, middle | noisy)["image"]
    errors = [float((image - finished).square().mean()) for image in (matched, ignored)]
    assert errors[0] < 0.6 * errors[1]


def test_both_parts_keep_the_contract(small_stable_diffusion):
    model, random = load_model(str(small_stable_diffusion), num_steps=4), Random.of([1, 2])
    tensors = run((model.text_encoder, model.prior), random, {"prompt": text_to_tensor(["a star", "a house"])})
    down = hand_down(model.latent)
    check_part(down, tensors, random)
    handed = down(tensors, random)["handed"] + torch.tensor([0.0] * model.latent.num_values + [0.3])
    check_part(hand_over(model.denoiser[2:]), tensors | {"handed": handed}, random)


def test_a_rest_that_does_not_finish_is_refused():
    denoiser = load_model("scenes").denoiser
    for part in (denoiser[10:], denoiser[5:8]):
        with pytest.raises(ConfigError, match="cut"):
            hand_over(part)
