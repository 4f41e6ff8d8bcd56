"""onnxruntime in the place of torch: the same tensors, and every item of a batch as alone."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.generation import estimate, generate
from gainnet.generation.planning import inputs, make_plan, streams
from gainnet.models.diffusion import DiffusionModel
from gainnet.models.loading import find_folder, load_model
from gainnet.models.runtime import on_runtime
from gainnet.models.runtime.manifest import MANIFEST
from gainnet.protocols import PROTOCOLS, Ciag, Transfer, channel_free, execute
from gainnet.radio import Air

BATCHES = (1, 3)
MOST_APART = 1e-3


@pytest.fixture(scope="module")
def model() -> DiffusionModel:
    return load_model("scenes", num_steps=2)


@pytest.fixture(scope="module")
def onnx_model(model: DiffusionModel) -> DiffusionModel:
    return on_runtime(model, "onnx")


def _networks(model: DiffusionModel) -> dict[str, tuple[object, tuple[Tensor, ...]]]:
    """The four networks as functions, with inputs of 8 items."""
    draws = torch.Generator().manual_seed(3)
    pipeline = model.pipeline
    latent, condition = (torch.randn(8, *shape, generator=draws) for shape in ((4, 16, 16), (24, 128)))
    times = torch.randint(0, 1000, (8,), generator=draws)
    tokens, pixels = torch.randint(0, 303, (8, 24), generator=draws), torch.rand(8, 3, 128, 128, generator=draws)
    return {
        "unet": (lambda *x: pipeline.unet(x[0], x[1], encoder_hidden_states=x[2], return_dict=False)[0],
                 (latent, times, condition)),
        "text_encoder": (lambda x: pipeline.text_encoder(x)[0], (tokens,)),
        "decoder": (lambda x: pipeline.vae.decode(x, return_dict=False)[0], (latent,)),
        "image_encoder": (lambda x: pipeline.vae.encode(2 * x - 1).latents, (pixels,)),
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("name", ["unet", "text_encoder", "decoder", "image_encoder"])
def test_onnx_agrees_with_torch_and_each_item_with_itself_alone(
    model: DiffusionModel, onnx_model: DiffusionModel, name: str
) -> None:
    by_torch, inputs = _networks(model)[name]
    by_onnx, _ = _networks(onnx_model)[name]
    with torch.no_grad():
        whole = by_onnx(*inputs)  # type: ignore[operator]
        torch.testing.assert_close(whole, by_torch(*inputs), rtol=0, atol=MOST_APART)  # type: ignore[operator]
    for size in BATCHES:
        assert torch.equal(by_onnx(*(x[:size] for x in inputs)), whole[:size]), size  # type: ignore[operator]


FAST = ("ciag", "dsuc")
"""Between them they run all four networks, hand a latent over and complete a sketch."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in sorted(PROTOCOLS)]
)
def test_tensors_of_every_protocol_before_an_encoder_are_near_those_of_torch(
    model: DiffusionModel, onnx_model: DiffusionModel, name: str
) -> None:
    prompts, random = ("a red star above a blue house",), streams(7, 1)
    made = [make_plan(Air(snr_db=20.0), PROTOCOLS[name](), each, prompts) for each in (model, onnx_model)]
    assert [step.label for step in made[0].plan.steps] == [step.label for step in made[1].plan.steps]
    by_torch, by_onnx = (channel_free(each.plan, inputs(prompts, None), random) for each in made)
    for place in [(step.source, step.tensor) for step in made[1].plan.steps if isinstance(step, Transfer)]:
        torch.testing.assert_close(by_onnx[place].float(), by_torch[place].float(), rtol=0, atol=MOST_APART)
    places, _ = execute(made[1].plan, inputs(prompts, None), made[1].network, random)
    assert bool(places[made[1].plan.result].isfinite().all())


def test_a_generation_names_its_runtime(onnx_model: DiffusionModel) -> None:
    assert generate("a red star", onnx_model, air=Air(snr_db=math.inf)).runtime == "onnx"


def test_costs_do_not_depend_on_the_runtime(model: DiffusionModel, onnx_model: DiffusionModel) -> None:
    priced = [estimate(Ciag(cut=1), each).to_json() for each in (model, onnx_model)]
    assert priced[0] == priced[1]
    assert onnx_model.denoiser.flops == model.denoiser.flops


def test_damaged_and_foreign_graphs_are_refused(model: DiffusionModel, tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    shutil.copytree(find_folder("scenes"), folder)
    copied = replace(model, name=str(folder))
    graph = folder / "vae" / "decoder.onnx"
    graph.write_bytes(graph.read_bytes() + b"\0")
    with pytest.raises(ModelError, match=r"decoder\.onnx is missing or damaged"):
        on_runtime(copied, "onnx").decoder({"latent": torch.zeros(1, 4, 16, 16)}, Random.of(0))
    with pytest.raises(ModelError, match="of other weights"):
        on_runtime(replace(copied, sha256="0" * 64), "onnx")
    (folder / MANIFEST).write_text(json.dumps({"parts": []}))
    with pytest.raises(ModelError, match="cannot be read"):
        on_runtime(copied, "onnx")
    (folder / MANIFEST).unlink()
    with pytest.raises(ModelError, match="gainnet export device"):
        on_runtime(copied, "onnx")


def test_a_runtime_has_to_be_known_and_is_chosen_once(onnx_model: DiffusionModel) -> None:
    assert on_runtime(onnx_model, "onnx") is onnx_model
    with pytest.raises(ConfigError, match="load it again"):
        on_runtime(onnx_model, "torch")
    with pytest.raises(ConfigError, match="runtime"):
        on_runtime(onnx_model, "tensorrt")  # type: ignore[arg-type]
