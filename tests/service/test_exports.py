"""Files of a device: graphs of the codecs agree with torch, and a folder of them is a model with digests."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor

from gainnet.cli import app
from gainnet.codecs.correction import CorrectionWeights, ResidualCode
from gainnet.codecs.linear import reported_snr_of
from gainnet.codecs.seed_codec.codec import SeedCodec, received_of
from gainnet.codecs.seed_codec.network import HIGHEST_DB, LOWEST_DB, features_of, linear_amplitudes
from gainnet.codecs.seed_codec.weights import SeedWeights
from gainnet.codecs.transform_seed.weights import TransformWeights
from gainnet.core.randomness import Random
from gainnet.core.types import Spec
from gainnet.models.loading import load_model
from gainnet.models.runtime import on_runtime
from gainnet.models.runtime.manifest import MANIFEST, Exported, sha256_of
from gainnet.service import exports
from gainnet.service.exports import INDEX, device_files, device_files_in, index_of

LATENT = Spec((4, 16, 16))


@pytest.fixture(scope="module")
def model():
    return load_model("scenes")


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.parametrize(
    ("num_channel_uses", "snr_db", "prompts"),
    [pytest.param(64, 0.0, None, marks=pytest.mark.slow), (256, 10.0, ("a red star",))],
)
def test_the_graph_of_the_seed_decoder_is_the_decoder(model, num_channel_uses, snr_db, prompts) -> None:
    weights = SeedWeights.load("scenes")
    codec = SeedCodec(num_channel_uses, prompts, weights)
    latent = Random.of([1, 2]).normal(LATENT.shape, "latent")
    snr = torch.full((2,), 10 ** (snr_db / 10))
    sent = codec.encode(latent, snr)
    noise = Random.of([1, 2]).complex_normal((num_channel_uses,), "noise") / snr[:, None].sqrt()
    received = type(sent)(sent.values + noise, sent.gain, sent.noise_variance + 1 / snr[:, None], snr)
    arrived = received_of(received, LATENT.num_values)
    uses, level = torch.full((2,), num_channel_uses), reported_snr_of(received).double()
    level = level.clamp(10 ** (LOWEST_DB / 10), 10 ** (HIGHEST_DB / 10))
    plain, error = linear_amplitudes(weights.network.variances, uses, level)
    words = weights.vocabulary.absent(2) if prompts is None else weights.vocabulary.indices(prompts * 2)
    fed = {
        "turned": arrived.turned, "gain": arrived.gain, "noise": arrived.noise, "amplitudes": plain,
        "features": features_of(uses, level, error), "num_channel_uses": uses.float(),
        "scale": weights.power(num_channel_uses, snr, prompts is not None).rsqrt(), "words": words,
    }  # fmt: skip
    graph = device_files(model)["codecs/seed/decoder.onnx"]
    (decoded,) = session(graph).run(None, {name: np.ascontiguousarray(x.numpy()) for name, x in fed.items()})
    torch.testing.assert_close(torch.from_numpy(decoded), codec.decode(received, LATENT), rtol=0, atol=1e-3)


def test_the_graph_of_the_synthesis_is_the_synthesis(model) -> None:
    weights = TransformWeights.load()
    draws = Random.of([1, 2, 3])
    values = draws.normal((LATENT.num_values,), "values")
    condition = draws.uniform((weights.shape.condition_width,), "condition")
    graph = device_files(model)["codecs/transform/synthesis.onnx"]
    (found,) = session(graph).run(None, {"values": values.numpy(), "condition": condition.numpy()})
    wanted: Tensor = weights.network.synthesise(values, condition).reshape(3, *LATENT.shape)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-3)


def test_the_graph_of_a_correction_is_the_correction(model) -> None:
    draws, codec = Random.of([1, 2]), ResidualCode(weights=CorrectionWeights.load())
    draft, values = draws.normal(LATENT.shape, "draft"), draws.normal((LATENT.num_values,), "values")
    graph = device_files(model)["codecs/correction/corrected.onnx"]
    (found,) = session(graph).run(None, {"draft": draft.numpy(), "values": values.numpy()})
    wanted = codec.corrected(draft.flatten(1), values).reshape(2, *LATENT.shape)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-3)


@pytest.mark.slow
def test_what_the_package_ships_is_what_export_writes(model, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["export", "device", "--out", str(tmp_path), "--json"])
    assert not ended.value.code
    index = json.loads(capsys.readouterr().out)
    assert index == json.loads((tmp_path / INDEX).read_text())
    assert index == index_of(model, device_files_in(tmp_path))
    assert index["files"] == index_of(model, device_files(model))["files"]
    assert {
        "model/unet/model.onnx",
        "model/vae/decoder.onnx",
        "codecs/seed/decoder.onnx",
        "codecs/linear/basis.safetensors",
        "codecs/correction/corrected.onnx",
        "drafts.json",
    } <= (set(index["files"]))
    for path, entry in index["files"].items():
        assert sha256_of(tmp_path / path) == entry["sha256"]
    assert Exported.read(tmp_path / "model", model.sha256).parts.keys() == {
        "unet",
        "text_encoder",
        "decoder",
        "image_encoder",
    }
    assert on_runtime(load_model(str(tmp_path / "model")), "onnx").sha256 == model.sha256


def test_weights_of_another_model_are_left_out(model) -> None:
    from dataclasses import replace

    other = replace(model, sha256="0" * 64)
    assert {name for name, _ in exports._sources(other)} == {"model"}
    assert not any(path.startswith("codecs/") for path in device_files(other))
    assert exports.DRAFTS not in device_files(other)
    assert f"model/{MANIFEST}" in device_files(other)
