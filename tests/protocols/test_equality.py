"""Over ideal links a protocol that only moves work is diffusers' own pipeline, for both tasks."""

from __future__ import annotations

import pytest
import torch

from gainnet.core.errors import ConfigError
from gainnet.core.text import text_to_tensor
from gainnet.core.units import psnr_db_of_mse
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import load_model
from gainnet.network import DEVICE, edge_names
from gainnet.protocols import channel_free, execute, pricing
from gainnet.protocols.plan import Transfer
from gainnet.protocols.task import Task
from plan_desk import NUM_STEPS, PROMPTS, RANDOM, Desk, ideal, small_desk

STRENGTH = 0.7
MOVES = [
    ("centralized", 1, {}),
    ("device_only", 1, {}),
    ("eiug", 1, {}),
    *(("uieg", 1, {"cut": cut}) for cut in range(NUM_STEPS + 1)),
    *(("ciag", 1, {"cut": cut}) for cut in range(NUM_STEPS + 1)),
    ("diug", 1, {}),
    ("uidcg", 1, {}),
    ("uidcg", 2, {"cooperation": "pipeline", "cut": 1}),
    ("uidcg", 4, {"cooperation": "pipeline", "cut": 0}),
    *(("uidcg", 2, {"cooperation": "guidance", "cut": cut}) for cut in (0, 1)),
    ("uidcg", 1, {"cooperation": "regions"}),
]


@pytest.fixture(scope="module")
def desk(small_stable_diffusion) -> Desk:
    return small_desk(small_stable_diffusion, lossless=True)


def text_to_image(model: DiffusionModel) -> torch.Tensor:
    return model.pipeline(
        list(PROMPTS),
        num_inference_steps=model.denoiser.num_steps,
        guidance_scale=model.denoiser.guidance_scale,
        latents=RANDOM.normal(model.latent.shape, "prior"),
        output_type="pt",
    ).images


def image_to_image(model: DiffusionModel, picture: torch.Tensor) -> torch.Tensor:
    """Their img2img with our noise: it draws it from a generator, which is told what to draw."""
    from diffusers import StableDiffusionImg2ImgPipeline

    pipeline = StableDiffusionImg2ImgPipeline(**model.pipeline.components, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    latent = model.image_encoder({"image": picture}, RANDOM)["latent"]
    noise = RANDOM.normal(model.latent.shape, "prior")
    with pytest.MonkeyPatch.context() as patch:
        module = "diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img.randn_tensor"
        patch.setattr(module, lambda *arguments, **options: noise)
        return pipeline(
            list(PROMPTS),
            image=latent,
            strength=STRENGTH,
            num_inference_steps=model.denoiser.num_steps,
            guidance_scale=model.denoiser.guidance_scale,
            output_type="pt",
        ).images


@pytest.mark.parametrize("with_picture", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_moving_the_cut_moves_no_pixel(desk: Desk, with_picture: bool) -> None:
    inputs = desk.inputs(with_picture)
    with torch.no_grad():
        whole = image_to_image(desk.model, inputs[DEVICE, "picture"]) if with_picture else text_to_image(desk.model)
        for name, num_edges, options in MOVES:
            cut = options.get("cut", 0)
            task = {"strength": STRENGTH} | ({"cut": min(cut, 2)} if "cut" in options else {}) if with_picture else {}
            plan = desk.plan(name, num_edges, **(options | task))
            places, report = execute(plan, inputs, ideal(num_edges), RANDOM, pricing("sd15"))
            assert float((places[plan.result] - whole).abs().max()) <= 1e-4, (name, num_edges, options)
            assert report.delivered
            assert report.recoveries == ()


def every_move(num_steps: int) -> list[tuple[str, int, dict[str, object]]]:
    """Every protocol that only moves work, at every cut that a sampler of so many steps has."""
    cuts = range(num_steps + 1)
    return [
        *((name, 1, {}) for name in ("centralized", "device_only", "eiug", "diug")),
        *((name, 1, {"cut": cut}) for name in ("uieg", "ciag") for cut in cuts),
        *(("uidcg", 2, {"cooperation": "guidance", "cut": cut}) for cut in cuts),
        *(("uidcg", k, {"cooperation": "pipeline", "cut": cut}) for k in (2, 3, 4) for cut in (0, 1, num_steps // 2)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("with_picture", [False, True])
def test_no_cut_of_the_shipped_model_moves_a_pixel(with_picture: bool) -> None:
    desk = Desk(load_model("scenes"), lossless=True)
    inputs = desk.inputs(with_picture)
    task = {"strength": STRENGTH} if with_picture else {}
    num_steps = Task.of(desk.model, **task).num_steps
    assert num_steps == (7 if with_picture else 10)
    with torch.no_grad():
        whole = image_to_image(desk.model, inputs[DEVICE, "picture"]) if with_picture else text_to_image(desk.model)
        for name, k, options in every_move(num_steps):
            plan = desk.plan(name, k, **options, **task)
            places, _ = execute(plan, inputs, ideal(k), RANDOM, pricing("sd15"))
            assert float((places[plan.result] - whole).abs().max()) <= 1e-4, (name, k, options)


def test_edges_that_share_regions_take_half_of_the_steps_whole_and_alike(desk: Desk) -> None:
    num_edges, inputs = 2, desk.inputs(False)
    plan = desk.plan("uidcg", num_edges, cooperation="regions", cut=1)
    labels = [step.label for step in plan.steps]
    assert [sum(f"denoiser[{i}:{i + 1}]" in label for label in labels) for i in range(NUM_STEPS)] == [1, 2, 2]
    with torch.no_grad():
        places = channel_free(plan, inputs, RANDOM)
        task, begun = Task.of(desk.model), dict(desk.model.text_encoder({"prompt": inputs[DEVICE, "prompt"]}, RANDOM))
        begun |= task.begin()({}, RANDOM)
        whole = task.steps(0, 2)(begun, RANDOM)["latent[2]"]
    for edge in edge_names(num_edges):
        assert float((places[edge, "latent[2]"] - whole).abs().max()) <= 1e-4
    sent = [step.tensor for step in plan.steps if isinstance(step, Transfer) and step.source in edge_names(num_edges)]
    assert {tensor for tensor in sent if tensor.startswith("region")} == {"region_2[3]"}


@pytest.mark.slow
@pytest.mark.parametrize("num_edges", [2, 4])
def test_regions_keep_the_picture_of_one_edge(num_edges: int) -> None:
    desk = Desk(load_model("scenes"), lossless=True)
    inputs = {(DEVICE, "prompt"): text_to_tensor(["a red star above a blue house at sunset", "a green tree"])}
    with torch.inference_mode():
        one, shared = (
            channel_free(desk.plan("uidcg", k, cooperation="regions", cut=0), inputs, RANDOM)[DEVICE, "image"]
            for k in (1, num_edges)
        )
    # regions from the first step on are at 16 dB
    assert float(psnr_db_of_mse((shared - one).double().square().mean())) > 20.0


@pytest.mark.slow
def test_the_first_candidate_is_what_one_edge_makes(desk: Desk) -> None:
    inputs = desk.inputs(False)
    one, three = (channel_free(desk.plan("diug", k), inputs, RANDOM) for k in (1, 3))
    assert torch.equal(one[DEVICE, "latent_1"], three[DEVICE, "latent_1"])
    assert not torch.allclose(three[DEVICE, "latent_1"], three[DEVICE, "latent_2"])


@pytest.mark.slow
def test_sketches_are_compared_with_the_picture_of_the_edge(desk: Desk) -> None:
    for name, k in (("esuc", 1), ("dcsuc", 2)):
        plan = desk.plan(name, k)
        with torch.no_grad():
            places = channel_free(plan, desk.inputs(False), RANDOM)
        assert plan.reference is not None
        assert float((places[plan.reference] - text_to_image(desk.model)).abs().max()) <= 1e-4


def test_what_does_not_fit_the_edges_is_one_line(desk: Desk) -> None:
    for name, k, options in (
        ("uidcg", 3, {"cooperation": "guidance"}),
        ("uidcg", 2, {"cooperation": "magic"}),
        ("uieg", 1, {"cut": 9}),
        ("eiug", 1, {"strength": 0.01}),
        ("uidg", 5, {}),
    ):
        with pytest.raises(ConfigError) as caught:
            desk.plan(name, k, **options)
        assert "\n" not in str(caught.value)
