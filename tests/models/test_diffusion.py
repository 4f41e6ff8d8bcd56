"""A pipeline taken apart is the pipeline."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.models.counting import count_flops
from gainnet.models.loading import load_model, weights_sha256

PROMPTS = ["a red star", "two blue houses in the snow"]


@torch.no_grad()
def run(parts, random):
    tensors = {"prompt": text_to_tensor(PROMPTS)}
    for part in parts:
        tensors |= part({key: tensors[key] for key in part.reads}, random)
    return tensors


# Tests of whole generations compare the shipped model with diffusers and items with themselves alone; its sampler, and
# so its cuts, are those of the small one.
@pytest.fixture(scope="module", params=["small", pytest.param("scenes", marks=pytest.mark.slow)])
def name(request, small_stable_diffusion):
    return str(small_stable_diffusion) if request.param == "small" else "scenes"


@pytest.mark.parametrize("guidance_scale", [pytest.param(1.0, marks=pytest.mark.slow), 3.0])
def test_the_parts_one_after_the_other_are_diffusers_own_pipeline(name, guidance_scale):
    model, random = load_model(name, num_steps=4, guidance_scale=guidance_scale), Random.of([1, 2])
    ours = run(model.parts, random)
    theirs = model.pipeline(
        PROMPTS,
        num_inference_steps=4,
        guidance_scale=guidance_scale,
        latents=random.normal(model.latent.shape, "prior"),
        output_type="pt",
    ).images
    assert float((ours["image"] - theirs).abs().max()) <= 1e-4


@pytest.mark.parametrize("cut", [3, *(pytest.param(x, marks=pytest.mark.slow) for x in (0, 1, 4))])
def test_split_equals_whole(name, cut):
    model, random = load_model(name, num_steps=4), Random.of([1, 2])
    split = (model.text_encoder, model.prior, model.denoiser[:cut], model.denoiser[cut:], model.decoder)
    torch.testing.assert_close(run(split, random)["image"], run(model.parts, random)["image"], rtol=0, atol=1e-6)


def test_a_slice_of_a_slice_is_a_slice():
    denoiser = load_model("scenes", num_steps=10).denoiser
    assert denoiser[2:8][1:3].name == "denoiser[3:5]"
    assert denoiser[4:4].num_passes == 0
    with pytest.raises(ValueError, match="neighbouring"):
        denoiser[::2]


def test_item_of_a_batch_equals_the_item_alone(name):
    model = load_model(name, num_steps=2)
    both = run(model.parts, Random.of([1, 2]))["image"]
    tensors = {"prompt": text_to_tensor(PROMPTS[1:])[0]}
    for part in model.parts:
        tensors |= part({key: tensors[key] for key in part.reads}, Random.of(2))
    torch.testing.assert_close(tensors["image"], both[1], rtol=0, atol=1e-4)


@pytest.mark.parametrize("shipped", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_flops_and_bytes_are_counted(shipped, small_stable_diffusion):
    model = load_model("scenes" if shipped else str(small_stable_diffusion), num_steps=2)
    tensors = {"prompt": text_to_tensor(PROMPTS[:1])[0]}
    for part in model.parts:
        reads = {key: tensors[key] for key in part.reads}
        counted = count_flops(lambda part=part, reads=reads: tensors.update(part(reads, Random.of(0))))
        assert part.flops == pytest.approx(counted, rel=0.01)
    assert model.denoiser.memory_bytes == 4 * sum(p.numel() for p in model.pipeline.unet.parameters())


def test_the_decoder_is_differentiable():
    model = load_model("scenes")
    latent = torch.zeros(model.latent.shape, requires_grad=True)
    model.decoder({"latent": latent}, Random.of(0))["image"].sum().backward()
    assert float(latent.grad.abs().sum()) > 0


def test_every_weight_counts_in_the_digest(small_stable_diffusion, tmp_path):
    copy = shutil.copytree(small_stable_diffusion, tmp_path / "copy")
    assert weights_sha256(copy) == weights_sha256(small_stable_diffusion)
    path = next(copy.rglob("*.safetensors"))
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert weights_sha256(copy) != weights_sha256(small_stable_diffusion)


def truncate(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def forget(part):
    """Drop one tensor of a part; the libraries would quietly make one up."""

    def spoil(folder):
        path = next((folder / part).glob("*.safetensors"))
        tensors = load_file(path)
        del tensors[sorted(key for key in tensors if key.endswith("weight"))[0]]
        save_file(tensors, path, metadata={"format": "pt"})

    return spoil


def ruin(folder):
    path = next((folder / "vae").glob("*.safetensors"))
    tensors = load_file(path)
    save_file({key: x * float("nan") for key, x in tensors.items()}, path, metadata={"format": "pt"})


def generation_json(text):
    return lambda folder: (folder / "gainnet.json").write_text(text)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (forget("text_encoder"), "text_encoder; it is not complete"),
        pytest.param(forget("unet"), "unet; it is not complete", marks=pytest.mark.slow),
        pytest.param(forget("vae"), "vae; it is not complete", marks=pytest.mark.slow),
        (ruin, "not finite"),
        (generation_json("{nonsense"), "gainnet.json is damaged"),
        (generation_json("[]"), "gainnet.json is damaged"),
        (generation_json('{"generation": 5}'), "gainnet.json is damaged"),
        (generation_json('{"generation": {"num_inference_steps": "abc"}}'), "gainnet.json is damaged"),
        (truncate, "cannot be loaded, is it complete"),
        (lambda f: (f / "unet" / "diffusion_pytorch_model.safetensors").unlink(), "cannot be loaded"),
        (lambda f: (f / "model_index.json").unlink(), "no model_index.json"),
        (lambda f: (f / "model_index.json").write_text("{"), "cannot be loaded"),
        (lambda f: (f / "vae" / "pytorch_model.bin").write_bytes(b"x"), "pickle"),
        (lambda f: (f / "unet" / "unet.py").write_text("x"), "is code"),
        (shutil.rmtree, "not a folder"),
    ],
)
def test_a_spoilt_folder_gives_one_line(small_stable_diffusion, tmp_path, spoil, message):
    copy = shutil.copytree(small_stable_diffusion, tmp_path / "copy")
    spoil(copy)
    with pytest.raises(ModelError, match=message) as caught:
        load_model(str(copy))
    assert "\n" not in str(caught.value)


def test_a_hub_id_that_is_not_in_the_cache_says_how_to_get_it():
    with pytest.raises(ModelError, match="--online"):
        load_model("nobody/nothing-at-all")


@pytest.mark.parametrize("bad", [{"num_steps": 0}, {"num_steps": 1001}, {"guidance_scale": 0.5}])
def test_numbers_out_of_range_are_named(bad):
    with pytest.raises(ConfigError, match=next(iter(bad))):
        load_model("scenes", **bad)


def test_a_model_is_shown_on_one_short_line():
    shown = "DiffusionModel('scenes', sd, latent 4 x 16 x 16, picture 128 x 128)"
    assert repr(load_model("scenes")) == shown
