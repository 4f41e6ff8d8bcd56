"""Fine-tuned decoders: beside the model by its digest, chosen by name, and a name never changes what it stands for."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from gainnet.core.errors import ConfigError, ModelError
from gainnet.core.randomness import Random
from gainnet.generation.generate import generate
from gainnet.models.decoders import decoder_place, install_decoder, save_decoder, with_decoder
from gainnet.models.loading import load_model
from gainnet.radio import Air


def test_a_decoder_is_chosen_by_name_and_never_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    model = load_model("scenes")
    network = copy.deepcopy(model.pipeline.vae.decoder)
    same = save_decoder(tmp_path / "same", network, model.sha256, {"trained": {}})
    with torch.no_grad():
        next(iter(network.parameters())).mul_(1.5)
    assert save_decoder(tmp_path / "other", network, model.sha256, {"trained": {}}) != same
    place = install_decoder(tmp_path / "other", "louder")
    assert place == decoder_place(model.sha256, "louder")
    assert install_decoder(tmp_path / "other", "louder") == place
    with pytest.raises(ConfigError, match="stands for other weights"):
        install_decoder(tmp_path / "same", "louder")
    with pytest.raises(ConfigError, match="no name"):
        decoder_place(model.sha256, "../louder")
    latent, random = {"latent": torch.randn(1, *model.latent.shape)}, Random.of([0])
    with torch.inference_mode():
        plain, louder, rounded = (
            each.decoder(latent, random)["image"]
            for each in (model, with_decoder(model, "louder"), with_decoder(model, tmp_path / "same"))
        )
    torch.testing.assert_close(rounded, plain, atol=5e-3, rtol=0.0)
    assert (louder - plain).abs().max() > 0.01
    assert with_decoder(model, "louder").sha256 == model.sha256


def test_a_decoder_of_another_model_or_damaged_is_refused(tmp_path: Path) -> None:
    model = load_model("scenes")
    save_decoder(tmp_path, model.pipeline.vae.decoder, "0" * 64, {})
    with pytest.raises(ModelError, match="fits another model"):
        with_decoder(model, tmp_path)
    save_decoder(tmp_path, model.pipeline.vae.decoder, model.sha256, {})
    (tmp_path / "weights.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match=r"not what its config\.json"):
        with_decoder(model, tmp_path)


def test_pictures_of_a_fine_tuned_decoder_are_measured_by_those_of_the_models_own(tmp_path: Path) -> None:
    model = load_model("scenes", num_steps=1)
    network = copy.deepcopy(model.pipeline.vae.decoder)
    with torch.no_grad():
        next(iter(network.parameters())).mul_(1.5)
    save_decoder(tmp_path, network, model.sha256, {"trained": {}})
    decoder = with_decoder(model, tmp_path).decoder
    own, tuned = (generate("a red star", model, air=Air(snr_db=math.inf), decoder=each) for each in (None, decoder))
    assert own.quality.exact
    assert torch.equal(tuned.references, own.values)
    assert not tuned.quality.exact
    with pytest.raises(ConfigError, match="runs on torch"):
        with_decoder(replace(model, runtime="onnx"), tmp_path)
