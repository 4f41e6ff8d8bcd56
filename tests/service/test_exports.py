"""Files of a device: graphs of the codecs agree with torch, and a folder of them is a model with digests."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from numpy.typing import NDArray
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_the_graph_of_a_correction_is_the_correction(model) -> None:
    draws, codec = Random.of([1, 2]), ResidualCode(weights=CorrectionWeights.load())
    draft, values = draws.normal(LATENT.shape, "draft"), draws.normal((LATENT.num_values,), "values")
    graph = device_files(model)["codecs/correction/corrected.onnx"]
    (found,) = session(graph).run(None, {"draft": draft.numpy(), "values": values.numpy()})
    wanted = codec.corrected(draft.flatten(1), values).reshape(2, *LATENT.shape)
    torch.testing.assert_close(torch.from_numpy(found), wanted, rtol=0, atol=1e-3)


def constants_of(path: Path) -> tuple[bytes, list[NDArray[np.float32]]]:
    """A graph without the values of its constants in single precision, and these values."""
    graph, values = onnx.load(path, load_external_data=False), []
    for constant in [node for node in graph.graph.node if node.op_type == "Constant"]:
        value = constant.attribute[0].t
        if value.data_type == onnx.TensorProto.FLOAT:
            values.append(onnx.numpy_helper.to_array(value))
            value.ClearField("raw_data")
    return graph.SerializeToString(deterministic=True), values


def outputs_of(path: Path) -> list[NDArray[np.float32]]:
    """Outputs of a graph for two items of plausible inputs."""
    graph = session(path)
    draws, fed = Random.of([1, 2]), dict[str, NDArray[Any]]()
    for given in graph.get_inputs():
        shape = given.shape[1:]
        is_index = given.type == "tensor(int64)"
        values = torch.ones(2, *shape) if is_index else 0.5 + draws.uniform(tuple(shape), given.name)
        fed[given.name] = values.numpy().astype(np.int64 if is_index else np.float32)
    return list(graph.run(None, fed))


def check_same_graph(shipped: Path, written: Path) -> None:
    """The same nodes, and weights in the same places; constants to the bits that processors agree on."""
    if shipped.read_bytes() == written.read_bytes():
        return
    (graph, constants), (other, others) = constants_of(shipped), constants_of(written)
    assert graph == other, written
    # torch computes frequencies and norms while it traces, whose last bit depends on the processor's vector unit.
    for constant, found in zip(constants, others, strict=True):
        np.testing.assert_array_max_ulp(constant, found, maxulp=2)
    for output, found in zip(outputs_of(shipped), outputs_of(written), strict=True):
        np.testing.assert_allclose(found, output, rtol=0, atol=1e-4)


def listed(path: Path) -> dict[str, Any]:
    """A list of exported parts without the digests of graphs; those of weights stay."""
    parts = Exported.read(path.parent, json.loads(path.read_text())["model_sha256"]).parts
    return {name: replace(part, graph_sha256="") for name, part in parts.items()}


def test_graphs_that_differ_in_more_than_the_last_bits_of_constants_are_told_apart(model, tmp_path) -> None:
    files = device_files(model)
    shipped, weights = files["codecs/seed/decoder.onnx"], files["codecs/seed/seed_codec.safetensors"]
    shutil.copyfile(weights, tmp_path / weights.name)
    for ulps, differs in ((1, False), (8, True)):
        graph = onnx.load(shipped, load_external_data=False)
        constants = [node.attribute[0].t for node in graph.graph.node if node.op_type == "Constant"]
        value = next(
            each for each in constants if each.data_type == onnx.TensorProto.FLOAT and list(each.dims) == [1024]
        )
        moved = (np.frombuffer(value.raw_data, "<i4") + ulps).astype("<i4")
        value.raw_data = moved.tobytes()
        (tmp_path / "decoder.onnx").write_bytes(graph.SerializeToString(deterministic=True))
        with pytest.raises(AssertionError) if differs else nullcontext():
            check_same_graph(shipped, tmp_path / "decoder.onnx")


@pytest.mark.slow
def test_what_the_package_ships_is_what_export_writes(model, tmp_path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        app(["export", "device", "--out", str(tmp_path), "--json"])
    assert not ended.value.code
    index = json.loads(capsys.readouterr().out)
    assert index == json.loads((tmp_path / INDEX).read_text())
    assert index == index_of(model, device_files_in(tmp_path))
    shipped, written = device_files(model), device_files_in(tmp_path)
    assert written.keys() == shipped.keys()
    for path, place in shipped.items():
        if place.suffix == ".onnx":
            check_same_graph(place, written[path])
        elif place.name == MANIFEST:
            assert listed(place) == listed(written[path])
        else:
            assert sha256_of(place) == index["files"][path]["sha256"]
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
    other = replace(model, sha256="0" * 64)
    assert {name for name, _ in exports._sources(other)} == {"model"}
    assert not any(path.startswith("codecs/") for path in device_files(other))
    assert exports.DRAFTS not in device_files(other)
    assert f"model/{MANIFEST}" in device_files(other)
