"""The emoji model from its folder to every door, on one of its shape with random weights."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import pytest
import torch
from tests.conftest import Call

import gainnet
from gainnet.generation import estimate, generate
from gainnet.generation.advice import CAPTIONS
from gainnet.generation.judging import captions_of, judge_of
from gainnet.generation.quality import mean_fidelity
from gainnet.models.loading import SHIPPED, find_folder, load_model
from gainnet.models.runtime import on_runtime
from gainnet.models.shipped import unknown_words
from gainnet.protocols import PROTOCOLS
from gainnet.radio import Air

PROMPT = "a judge with dark skin"
ROOM_BYTES = 26_000_000
"""Of its weights."""
WHEEL_BYTES = 60_000_000
PACKAGE = Path(gainnet.__file__).parent


@pytest.fixture
def installed(user_with_emoji: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An emoji model that is found by its name."""
    monkeypatch.setenv("XDG_DATA_HOME", str(user_with_emoji))


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_words_decide_which_model_draws(call: Call) -> None:
    code, out, err = call("generate", "an octopus", "--num-steps", "1", "--fading", "ideal", "--json")
    assert code == 0, err
    summary = json.loads(out)
    assert (summary["model"], summary["warnings"]) == ("emoji", [])
    # Random weights draw nothing, but its own judge says so; that of drawn scenes does not know the word.
    assert summary["quality"]["prompt_fidelity"] in (0.0, 1.0)
    assert summary["quality"]["reference_fidelity"] == summary["quality"]["prompt_fidelity"]
    code, out, _ = call("estimate", "an octopus riding a boat", "--json")
    # Scenes knows "boat" and no "octopus", this one both.
    assert json.loads(out)["model"] == "emoji"
    code, out, _ = call("models", "--json")
    assert [row["is_there"] for row in json.loads(out)["models"]][:2] == [True, True]
    code, out, _ = call("models", "show", "emoji")
    assert "octopus" in out
    assert "## Held out" in out


@pytest.mark.usefixtures("installed")
def test_advice_is_tried_on_captions_that_the_model_knows() -> None:
    model = load_model("emoji", num_steps=1)
    captions = captions_of(model, CAPTIONS)
    assert len(captions) == len(CAPTIONS)
    assert unknown_words("emoji", captions) == ()
    assert judge_of(model, mean_fidelity)(torch.zeros(2, *model.image.shape), captions[:2]) is not None
    # Of drawn scenes everything stays as it was.
    assert captions_of(load_model("scenes"), CAPTIONS) == CAPTIONS
    assert judge_of(load_model("scenes"), mean_fidelity) is mean_fidelity


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_runs_with_it(name: str) -> None:
    model, protocol = load_model("emoji", num_steps=4), PROTOCOLS[name]()
    made = generate(PROMPT, model, protocol=protocol, air=Air(snr_db=15.0))
    assert made.images[0].values.shape == (3, 128, 128)
    assert bool(made.values.isfinite().all())
    priced = estimate(protocol, model, prompts=PROMPT, air=Air(snr_db=15.0))
    # Pictures of random weights are noise, which takes a file more bits than the drawings that sizes are known of.
    # Their drafts are as far off, and a correction takes more bits than those that were measured.
    if "image" not in protocol.sends and name != "draft":
        assert priced.num_channel_uses("down") == pytest.approx(made.report.num_channel_uses("down"), rel=0.3)


@pytest.mark.slow
@pytest.mark.usefixtures("installed")
def test_a_device_gets_it_as_graphs(call: Call, tmp_path: Path) -> None:
    code, _, err = call("export", "device", "--model", "emoji", "--out", "device", "--json")
    assert code == 0, err
    folder = tmp_path / "device" / "model"
    for file in ("vocabulary.json", "judge.safetensors", "held_out.json", "NOTICE.txt", "wordings.json", "onnx.json"):
        assert (folder / file).is_file()
    model = load_model(str(folder), num_steps=3)
    own, other = (generate(PROMPT, each, air=Air(snr_db=15.0)) for each in (model, on_runtime(model, "onnx")))
    assert (own.values - other.values).abs().max() < 1e-3


@pytest.mark.slow
def test_the_wheel_has_room_for_everything() -> None:
    files = [path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    packed = sum(len(zlib.compress(path.read_bytes(), 6)) for path in files)
    assert packed < WHEEL_BYTES, f"{packed / 1e6:.1f} MB"


def test_what_is_shipped_of_it_has_room() -> None:
    assert SHIPPED[1] == "emoji"
    folder = find_folder("emoji")
    assert sum(path.stat().st_size for path in folder.rglob("*.safetensors")) <= ROOM_BYTES
    assert {
        "vocabulary.json",
        "wordings.json",
        "held_out.json",
        "README.md",
        "NOTICE.txt",
        "onnx.json",
        "judge.safetensors",
    } <= {path.name for path in folder.iterdir()}
