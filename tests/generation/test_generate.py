"""The main job, for real: edge and device make a picture over the air."""

import json

import pytest
import torch
from PIL import Image

from gainnet.catalog import GenerationConfig
from gainnet.catalog.labels import labels_of, save
from gainnet.catalog.opening import load, open_request
from gainnet.codecs import Codecs, RawAnalog
from gainnet.core.errors import ConfigError, GainnetError, PlanError
from gainnet.core.randomness import Random
from gainnet.core.text import text_to_tensor
from gainnet.generation import Cell, estimate, generate
from gainnet.generation.page import page
from gainnet.generation.pictures import side_by_side
from gainnet.generation.save import step_table, to_json
from gainnet.models.scenes import draw_scenes, stream, write_captions
from gainnet.network import profile
from gainnet.protocols import Eiug, Transfer
from gainnet.radio import Air, Rayleigh
from page_desk import HOSTILE, check_page

PROMPT = "a red star above a blue house at sunset"
FAST = {"num_steps": 2}
SLOW = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return load(**FAST)


@pytest.mark.slow
def test_over_an_ideal_link_every_protocol_is_exact(model):
    for protocol in ("eiug", "centralized", "device_only"):
        result = open_request(GenerationConfig((PROMPT,), protocol, fading="ideal", **FAST), model).generate()
        assert result.quality.exact, protocol
        assert result.quality.psnr_db is None
        assert result.quality.ssim == pytest.approx(1.0)
        assert result.baseline is None
        assert result.report.num_channel_uses() == 0


@pytest.mark.slow
def test_eiug_over_an_ideal_link_is_diffusers_own_picture(model):
    result = open_request(GenerationConfig((PROMPT,), fading="ideal", random_seed=5, **FAST), model).generate()
    theirs = model.pipeline(
        PROMPT,
        num_inference_steps=2,
        guidance_scale=model.denoiser.guidance_scale,
        latents=Random.of([5]).normal(model.latent.shape, "prior"),
        output_type="pt",
    ).images
    assert float((result.values - theirs).abs().max()) <= 1e-4


CODECS = [
    *(("eiug", {"seed": name}) for name in ("raw", "linear", "digital", "float32")),
    *(("centralized", {"image": name}) for name in ("jpeg", "webp", "avif", "png")),
]


@pytest.mark.parametrize(
    ("protocol", "codec"),
    # Float32 goes the way of `digital` and, in the tests of estimates, over the air; JPEG goes the way of WebP.
    [*CODECS[1:3], CODECS[5], *(pytest.param(*CODECS[k], marks=SLOW) for k in (0, 3, 4, 6, 7))],
)
def test_every_codec_runs_over_the_air(model, protocol, codec):
    check_that_it_runs(model, "awgn", (PROMPT,), protocol, codec, 20.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("protocol", "codec"), [CODECS[1], *(pytest.param(*CODECS[k], marks=SLOW) for k in (0, 2, 3, 4, 5, 6, 7))]
)
def test_every_codec_runs_over_fading(model, protocol, codec):
    check_that_it_runs(model, "rayleigh", (PROMPT, "a green heart"), protocol, codec, 20.0)


@SLOW
@pytest.mark.parametrize(("fading", "prompts"), [("awgn", (PROMPT,)), ("rayleigh", (PROMPT, "a green heart"))])
@pytest.mark.parametrize(("protocol", "codec"), CODECS)
def test_every_codec_runs_in_noise(model, fading, prompts, protocol, codec):
    check_that_it_runs(model, fading, prompts, protocol, codec, -5.0)


def check_that_it_runs(model, fading, prompts, protocol, codec, snr_db):
    config = GenerationConfig(prompts, protocol, snr_db, fading, codec, hardware="laptop", **FAST)
    result = open_request(config, model).generate()
    assert result.values.shape == result.references.shape == (len(prompts), 3, 128, 128)
    assert bool(torch.isfinite(result.values).all())
    assert result.report.num_channel_uses("down") > 0
    assert result.report.num_channel_uses("up") > 0
    assert result.quality.psnr_db is None or result.quality.psnr_db > 5.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["linear", pytest.param("digital", marks=SLOW)])
def test_more_power_and_more_uses_give_a_better_picture(model, name):
    def psnr_db(snr_db, uses):
        config = GenerationConfig((PROMPT,), "eiug", snr_db, "awgn", {"seed": name}, uses, **FAST)
        return open_request(config, model).generate().quality.psnr_db

    assert psnr_db(0.0, 256) < psnr_db(10.0, 256) < psnr_db(20.0, 512)


@pytest.mark.parametrize("codec", [{"seed": "linear"}, {"seed": "digital"}])
def test_a_budget_of_channel_uses_is_kept(model, codec):
    config = GenerationConfig((PROMPT,) * 2, snr_db=5.0, codec=codec, num_channel_uses=256, **FAST)
    report = open_request(config, model).generate().report
    assert 0.5 * 256 <= report.num_channel_uses("down") / 2 <= 1.15 * 256


@pytest.mark.slow
def test_the_baseline_fills_the_same_air(model):
    config = GenerationConfig((PROMPT,), snr_db=10.0, codec={"seed": "linear"}, num_channel_uses=512, **FAST)
    result = open_request(config, model).generate()
    assert result.baseline is not None
    assert result.baseline.name in ("jpeg", "webp", "avif")
    assert result.baseline.psnr_db_equal_uses is not None
    assert result.baseline.image.shape == (3, 128, 128)


@pytest.mark.parametrize(
    "config", [{"codec": {"seed": "raw"}}, pytest.param({"codec": {"seed": "float32"}, "snr_db": 30.0}, marks=SLOW)]
)
def test_estimate_equals_generate_for_fixed_sizes(model, config):
    asked = GenerationConfig((PROMPT,), fading="awgn", **config, **FAST)
    ran, priced = open_request(asked, model).generate().report, open_request(asked, model).estimate()
    assert priced.num_channel_uses("down") == pytest.approx(ran.num_channel_uses("down"), rel=0.02)
    assert priced.energy_j == pytest.approx(ran.energy_j, rel=1e-3)
    assert priced.num_bits == ran.num_bits


def test_prices_follow_the_hardware_and_the_price_list(model, tmp_path):
    def priced(**options):
        return open_request(GenerationConfig((PROMPT,), codec={"seed": "raw"}, **options, **FAST), model).estimate()

    assert priced(hardware="laptop").duration_s < priced(hardware="phone").duration_s
    assert priced(priced_as="shipped").energy_j < priced(priced_as="sd15").energy_j < priced(priced_as="sdxl").energy_j
    small = tmp_path / "small.toml"
    small.write_text(
        "".join(f"{key} = {value}\n" for key, value in (vars(profile("phone")) | {"memory_bytes": 2e9}).items())
    )
    tight = GenerationConfig((PROMPT,), "device_only", hardware=str(small), priced_as="sdxl", **FAST)
    with pytest.raises(PlanError, match="choose larger hardware"):
        open_request(tight, model).estimate()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": ()}, "prompt"),
        ({"prompts": ("  ",)}, "prompt: it is empty"),
        ({"prompts": ("a\0b",)}, "NUL"),
        ({"prompts": ("x" * 3000,)}, "longer than"),
        ({"snr_db": float("nan")}, "snr_db"),
        ({"snr_db": 1e6}, "snr_db"),
        ({"num_channel_uses": -1}, "num_channel_uses"),
        ({"num_channel_uses": 0}, "num_channel_uses"),
        ({"random_seed": -1}, "random_seed"),
        ({"bandwidth_hz": 0.0}, "bandwidth_hz"),
    ],
)
def test_a_wrong_field_is_named(options, message):
    with pytest.raises(ConfigError, match=message) as caught:
        open_request(GenerationConfig(**({"prompts": (PROMPT,)} | options)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"protocol": "telepathy"}, "protocol: 'telepathy' is unknown"),
        ({"fading": "fog"}, "fading: 'fog' is unknown"),
        ({"codec": {"seed": "zip"}}, "codec.seed: 'zip' is unknown"),
        ({"codec": {"smell": "raw"}}, "codec: 'smell'"),
        ({"codec": {"seed": "nowhere:Codec"}}, "cannot be imported"),
        ({"hardware": "toaster"}, "hardware: 'toaster'"),
        ({"edge_hardware": "toaster"}, "hardware: 'toaster'"),
        ({"priced_as": "gpt"}, "priced_as: 'gpt'"),
        ({"codec": {"seed": "raw"}, "num_channel_uses": 100}, "512"),
    ],
)
def test_what_does_not_fit_is_named(model, options, message):
    with pytest.raises(GainnetError, match=message) as caught:
        open_request(GenerationConfig((PROMPT,), **options, **FAST), model).generate()
    assert "\n" not in str(caught.value)


def test_a_small_stable_diffusion_runs_as_parts(small_stable_diffusion):
    for fading in ("ideal", "awgn"):
        config = GenerationConfig(("cat",), fading=fading, model=str(small_stable_diffusion), num_steps=2)
        result = open_request(config).generate()
        assert result.values.shape == (1, 3, 16, 16)
        assert result.quality.exact == (fading == "ideal")
        assert result.quality.prompt_fidelity is None


@pytest.mark.slow
def test_saving_leaves_every_file_and_one_page_that_loads_nothing(model, tmp_path):
    result = open_request(GenerationConfig((PROMPT,), fading="ideal", **FAST), model).generate()
    summary = save(result, tmp_path / "out")
    names = {path.name for path in (tmp_path / "out").iterdir()}
    expected = {"image.png", "reference.png", "side_by_side.png", "steps.csv", "report.json", "report.html"}
    assert names == expected
    assert json.loads((tmp_path / "out/report.json").read_text()) == summary
    with Image.open(summary["image_path"]) as image:
        assert image.size == (128, 128)
    html = (tmp_path / "out/report.html").read_text()
    check_page(html)
    assert html.count("<tr>") == len(result.report.steps) + 1


def test_a_page_escapes_what_the_user_wrote(model, tmp_path):
    config = GenerationConfig((HOSTILE,), fading="ideal", **FAST)
    result = open_request(config, model).generate()
    labels = labels_of(result)
    check_page("".join(page(result, labels, to_json(result, [tmp_path / "image.png"], labels), [b""])))
    assert "<script>" not in result._repr_html_()


def test_the_step_table_has_a_line_per_step(model):
    report = open_request(GenerationConfig((PROMPT,), codec={"seed": "raw"}, **FAST), model).estimate()
    lines = step_table(report).splitlines()
    assert lines[0].startswith("label,start_s,duration_s,wall_s")
    assert len(lines) == len(report.steps) + 1


@pytest.fixture(scope="module")
@torch.no_grad()
def made():
    """A model, captions, and the latents it makes of them."""
    scenes = draw_scenes(6, stream(5, "scenes", 0))
    prompts = tuple(write_captions(scenes, stream(5, "captions", 0)))
    model, random = load(num_steps=4), Random.of(range(6))
    tensors = {"prompt": text_to_tensor(prompts)}
    for part in (model.text_encoder, model.prior, model.denoiser):
        tensors |= part(tensors, random)
    return model, prompts, tensors["latent"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [pytest.param("raw", marks=pytest.mark.slow), "linear"])
def test_analog_seeds_of_the_shipped_model_have_unit_power(made, name):
    model, prompts, latents = made
    plan = open_request(GenerationConfig(prompts, codec={"seed": name}), model).make_plan().plan
    codec = next(step.codec for step in plan.steps if isinstance(step, Transfer) and step.tensor == "latent")
    power = codec.encode(latents, torch.full((6,), 10.0)).values.abs().square().mean()
    assert float(power) == pytest.approx(1.0, abs=0.2)


@pytest.mark.slow
def test_a_prompt_in_any_writing_is_no_formula(model):
    result = open_request(GenerationConfig(("a $x_{$ 星",), fading="ideal", **FAST), model).generate()
    assert side_by_side(result, labels_of(result)).startswith(b"\x89PNG")


@pytest.mark.slow
def test_one_prompt_gives_one_picture_and_a_list_a_batch(model, tmp_path):
    codecs = Codecs(seed=RawAnalog())
    one = generate(PROMPT, model, codecs=codecs, random_seed=3)
    batch = generate(["a green heart", PROMPT], model, codecs=codecs, random_seed=2)
    assert [picture.prompt for picture in batch.images] == ["a green heart", PROMPT]
    assert torch.allclose(one.images[0].values, batch.images[1].values, atol=1e-4)
    one.images[0].save(tmp_path / "star.png")
    assert (tmp_path / "star.png").read_bytes() == one.images[0]._repr_png_()
    assert repr(one).count("\n") == 3
    assert one._repr_html_().count("<img") == 1
    assert f"PSNR {one.images[0].psnr_db:.1f} dB" in repr(one.images[0])


@pytest.mark.slow
def test_objects_and_texts_are_the_same_generation(model, tmp_path):
    asked = GenerationConfig((PROMPT,), snr_db=5.0, fading="rayleigh", codec={"seed": "raw"}, hardware="laptop")
    texts = open_request(asked, model).generate()
    cell = Cell(Air(Rayleigh(), snr_db=5.0), device=profile("laptop"))
    objects = generate(PROMPT, model, codecs=Codecs(seed=RawAnalog()), air=cell)
    assert torch.equal(texts.values, objects.values)
    assert texts.report.energy_j == objects.report.energy_j
    summary = save(objects, tmp_path)
    assert summary["configuration"] == {
        "protocol": "eiug",
        "codecs": "codecs(seed=raw)",
        "air": "air(fading=rayleigh, snr_db=5.0)",
    }
    assert (summary["fading"], summary["codec"]["seed"], summary["images"][0]["prompt"]) == ("rayleigh", "raw", PROMPT)


def test_the_price_of_a_protocol_needs_no_prompt(model):
    assert estimate(Eiug(), model, air=Air(snr_db=5.0)).num_channel_uses("down") == 512
