"""Every family with every sampler draws as diffusers' own pipeline of the folder does, whole and at every cut."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.core.types import Tensors
from gainnet.models.counting import count_flops
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.families import FAMILIES, family_of, valid_pairs
from gainnet.models.image_to_image import from_picture
from gainnet.models.loading import load_model
from gainnet.models.resampling import resampled
from gainnet.studies.families.folders import SIDES, build_folder
from gainnet.studies.families.pair import compare

FAST = {("sd", "dpm", "odd")}
FOLDERS = [
    pytest.param(*pair, kind, id=f"{'.'.join(pair)}-{kind}", marks=[] if (*pair, kind) in FAST else pytest.mark.slow)
    for pair in valid_pairs()
    for kind in SIDES
]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "sampler", "kind"), FOLDERS)
def test_a_folder_draws_as_its_own_pipeline(tmp_path: Path, family: str, sampler: str, kind: str) -> None:
    found = compare(build_folder(tmp_path, family, sampler, kind))
    assert max(found) <= 1e-4, found


def run(model: DiffusionModel, tensors: Tensors, parts: tuple[Any, ...], random: Random) -> Tensors:
    for part in parts:
        tensors = {**tensors, **part({key: tensors[key] for key in part.reads}, random)}
    return tensors


@pytest.mark.parametrize("family", [pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES])
def test_flops_and_bytes_of_every_part_are_those_of_its_modules(tmp_path: Path, family: str) -> None:
    model = load_model(str(build_folder(tmp_path, family, FAMILIES[family].samplers[0])))
    tensors: dict[str, Any] = {"prompt": text_to_tensor(["a red star"])[0], "image": torch.rand(model.image.shape)}
    for part in (model.image_encoder, *model.parts):
        reads = {key: tensors[key] for key in part.reads}
        counted = count_flops(lambda part=part, reads=reads: tensors.update(part(reads, Random.of(0))))
        assert part.flops == pytest.approx(counted, rel=0.01), part.name
    modules = [getattr(model.pipeline, name) for name in FAMILIES[family].encoders]
    held = sum(p.numel() * p.element_size() for module in modules for p in module.parameters())
    assert model.text_encoder.memory_bytes == held
    assert model.denoiser.memory_bytes == sum(4 * p.numel() for p in model.denoiser.network.parameters())


@pytest.mark.slow
@pytest.mark.parametrize(("family", "strength"), [("sd", 0.6), ("sdxl", 0.6), ("sd3", 0.6), ("flux", 0.55)])
def test_image_to_image_is_that_of_the_family(tmp_path: Path, family: str, strength: float) -> None:
    import diffusers

    folder = build_folder(tmp_path, family, "dpm" if family == "sdxl" else FAMILIES[family].samplers[0])
    model, random = load_model(str(folder), num_steps=6), Random.of([1, 2])
    names = {"sd": "StableDiffusion", "sdxl": "StableDiffusionXL", "sd3": "StableDiffusion3", "flux": "Flux"}
    other = getattr(diffusers, f"{names[family]}Img2ImgPipeline").from_pipe(model.pipeline)
    other.set_progress_bar_config(disable=True)
    noise, picture = random.normal(model.latent.shape, "prior"), random.uniform(model.image.shape, "picture")
    tensors = {"prompt": text_to_tensor(["a red star", "two blue houses"]), "image": picture}
    parts = model.text_encoder, model.image_encoder, *from_picture(model, strength), model.decoder
    with torch.no_grad():
        ours = run(model, tensors, parts, random)
        encoded = model.image_encoder({"image": picture}, random)["latent"]
    # What it is given as latents it does not encode, and noise comes from one generator, which is put in its place.
    with pytest.MonkeyPatch.context() as patch:
        module = __import__(type(other).__module__, fromlist=["randn_tensor"])
        patch.setattr(module, "randn_tensor", lambda shape, **options: noise)
        sides = {} if family in ("sd", "sdxl") else {"height": model.image.shape[1], "width": model.image.shape[2]}
        theirs = other(
            prompt=["a red star", "two blue houses"], image=encoded, strength=strength, num_inference_steps=6,
            guidance_scale=3.0, output_type="pt", **sides,
        ).images  # fmt: skip
    assert float((ours["image"] - theirs).abs().max()) <= 1e-4


def edited(folder: Path, component: str, **changes: Any) -> Path:
    """A folder with other settings of a component."""
    path = folder / component / ("scheduler_config.json" if component == "scheduler" else "config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    return folder


@pytest.fixture
def folder(small_stable_diffusion: Path, tmp_path: Path) -> Path:
    """A copy of a small Stable Diffusion that a test may change."""
    import shutil

    return shutil.copytree(small_stable_diffusion, tmp_path / "copy")


@pytest.mark.parametrize(
    ("changes", "needs"),
    [
        ({"in_channels": 9}, "a mask and the masked picture"),
        ({"in_channels": 8}, "a picture to edit"),
        ({"in_channels": 5}, "a depth map"),
        ({"class_embed_type": "timestep"}, "a class label"),
        ({"num_class_embeds": 10}, "a class label"),
        ({"addition_embed_type": "text_time"}, "inputs of another family than sd"),
    ],
)
def test_a_model_that_needs_more_than_a_prompt_is_refused_in_one_line(
    folder: Path, changes: dict[str, Any], needs: str
) -> None:
    with pytest.raises(ModelError, match=f"also needs {needs}") as caught:
        load_model(str(edited(folder, "unet", **changes)))
    assert "\n" not in str(caught.value)


def test_a_refiner_is_refused_in_one_line() -> None:
    family, configs = family_of("StableDiffusionXLImg2ImgPipeline"), {"unet": {"in_channels": 4}, "vae": {}}
    index = {"requires_aesthetics_score": True}
    assert "which it refines" in str(family.refusal(index, lambda name: configs.get(name, {})))


def test_a_family_that_nobody_offers_is_named(folder: Path) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"_class_name": "KandinskyPipeline"}))
    with pytest.raises(ModelError, match="KandinskyPipeline is of no known family"):
        load_model(str(folder))


@pytest.mark.parametrize("scheduler", ["FlowMatchEulerDiscreteScheduler", "DPMSolverSDEScheduler"])
def test_a_sampler_that_the_family_does_not_run_with_is_named(folder: Path, scheduler: str) -> None:
    index = folder / "model_index.json"
    index.write_text(json.dumps(json.loads(index.read_text()) | {"scheduler": ["diffusers", scheduler]}))
    with pytest.raises(ModelError, match=f"{scheduler}|is it complete"):
        load_model(str(edited(folder, "scheduler", _class_name=scheduler)))


def test_as_many_steps_as_the_training_has_times_and_no_more(folder: Path) -> None:
    edited(folder, "scheduler", num_train_timesteps=20)
    assert load_model(str(folder), num_steps=20).denoiser.timesteps.max() == 19
    with pytest.raises(ConfigError, match="num_steps: 21 is out of range; must be 1 to 20"):
        load_model(str(folder), num_steps=21)


def test_a_tokenizer_without_a_length_reads_as_far_as_its_encoder(folder: Path) -> None:
    path = folder / "tokenizer" / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"model_max_length": int(1e30)}))
    model = load_model(str(folder), num_steps=1)
    made = model.text_encoder({"prompt": text_to_tensor(["a red star " * 20])}, Random.of([0]))["condition"]
    assert made.shape == (1, *model.text_encoder.writes["condition"].shape) == (1, 2, 16, 32)


@pytest.mark.parametrize(
    ("dtype", "variant"), [(torch.float16, "fp16"), pytest.param(torch.bfloat16, None, marks=pytest.mark.slow)]
)
def test_halves_and_variants_are_computed_in_float32(folder: Path, dtype: torch.dtype, variant: str | None) -> None:
    from safetensors.torch import load_file, save_file

    for path in folder.rglob("*.safetensors"):
        tensors = {key: x.to(dtype) if x.is_floating_point() else x for key, x in load_file(path).items()}
        target = path if variant is None else path.with_suffix(f".{variant}.safetensors")
        path.unlink()
        save_file(tensors, target, metadata={"format": "pt"})
    index = folder / "model_index.json"
    # Listed, and its folder deleted by whoever wanted a smaller download.
    listed = {"feature_extractor": ["transformers", "CLIPImageProcessor"], "safety_checker": ["stable_diffusion", "X"]}
    index.write_text(json.dumps(json.loads(index.read_text()) | listed))
    model = load_model(str(folder), num_steps=1)
    assert next(model.denoiser.network.parameters()).dtype == torch.float32
    latent = model.prior({}, Random.of([0]))["latent"]
    assert bool(model.decoder({"latent": latent}, Random.of([0]))["image"].isfinite().all())


@pytest.mark.parametrize(("height", "width", "latent"), [(16, 24, (4, 8, 12)), (None, None, (4, 8, 8))])
def test_height_and_width_are_free(
    small_stable_diffusion: Path, height: int | None, width: int | None, latent: tuple[int, ...]
) -> None:
    model = load_model(str(small_stable_diffusion), height=height, width=width)
    assert (model.latent.shape, model.image.shape[1:]) == (latent, tuple(2 * side for side in latent[1:]))


def test_sides_that_do_not_fit_are_named(small_stable_diffusion: Path) -> None:
    with pytest.raises(ConfigError, match=r"width: 22 pixels do not fit .*; give a multiple of 4, such as 20 or 24"):
        load_model(str(small_stable_diffusion), height=16, width=22)
    with pytest.raises(ConfigError, match="width: give both sides"):
        load_model(str(small_stable_diffusion), height=16)
    with pytest.raises(ConfigError, match="height: 0 is out of range; must be 1 pixel or more"):
        load_model(str(small_stable_diffusion), height=0)


def test_a_device_that_torch_does_not_have_is_one_line() -> None:
    absent = "mps" if torch.cuda.is_available() else "cuda"
    with pytest.raises(ConfigError, match=f"torch_device: torch has no '{absent}' on this machine; leave it out"):
        load_model("scenes", torch_device=absent)


@pytest.mark.slow
def test_a_server_takes_denoisers_that_it_can_batch_and_names_others(tmp_path: Path) -> None:
    from gainnet.service.engine import Engine

    with pytest.raises(ConfigError, match="only torch computes a denoiser with the inputs of sdxl"):
        Engine(load_model(str(build_folder(tmp_path / "xl", "sdxl", "euler"))))
    own = load_model(str(build_folder(tmp_path / "sd", "sd", "dpm")))
    with Engine(own) as engine, engine.request():
        tensors = {"prompt": text_to_tensor(["a red star"])}
        served = run(engine.model, tensors, engine.model.parts, Random.of([1]))["image"]
    torch.testing.assert_close(served, run(own, tensors, own.parts, Random.of([1]))["image"], rtol=0, atol=1e-6)


def test_a_family_of_a_package_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from gainnet.models import families

    class Own:
        name, pipelines = "own", ("OwnPipeline",)

    class Point:
        @staticmethod
        def load() -> type[Own]:
            return Own

    monkeypatch.setattr(families, "entry_points", lambda group: [Point] if group == "gainnet.families" else [])
    assert families.family_of("OwnPipeline").name == "own"


def test_another_number_of_steps_begins_at_its_own_noise(folder: Path) -> None:
    from diffusers import EulerDiscreteScheduler

    model = load_model(str(folder))
    model.pipeline.scheduler = EulerDiscreteScheduler()
    other = resampled(replace(model), 3, 2.0)
    first = other.prior({}, Random.of([0]))["latent"] / model.prior({}, Random.of([0]))["latent"]
    assert float(first.mean()) == pytest.approx(other.denoiser.sampler.initial_scale, rel=1e-4)
