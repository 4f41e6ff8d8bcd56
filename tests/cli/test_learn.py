"""`gainnet learn` and `gainnet train language`: one JSON object, a folder that goes on, mistakes in one line."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from gainnet.catalog.learning import open_model
from gainnet.cli import app
from gainnet.core.errors import ConfigError, MissingExtraError, ModelError
from gainnet.learning.algorithms.adapters import Form, attach
from gainnet.models.language import load_language_model, save_language_model, small_decoder, word_tokenizer
from gainnet.radio import CHANNELS


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, list(arguments), catch_exceptions=True)


def test_learn_prints_one_object_and_goes_on(tmp_path: Path) -> None:
    save_language_model(small_decoder(16, 2, 2), word_tokenizer(), tmp_path / "model")
    small = ["--clients", "2", "--num-steps", "2", "--batch-size", "2", "--row-length", "24", "--domain", "oncology"]
    options = ["learn", "--model", str(tmp_path / "model"), *small, "--out", str(tmp_path / "run"), "--json"]
    table = run(*options[:-1], "--rounds", "1").stdout
    first = json.loads((tmp_path / "run" / "summary.json").read_text())
    both = json.loads(run(*options, "--rounds", "2").stdout)
    assert both["rounds"][0] == first["rounds"][0]
    assert [r["round"] for r in both["rounds"]] == [1, 2]
    assert both["perplexity"] > 1
    assert both["start"] == first["start"]
    assert "Who took part" in Path(both["report"]).read_text()
    assert "perplexity" in table
    assert isinstance(run(*options, "--rate", "0.5").exception, ConfigError)


@pytest.mark.parametrize(
    ("option", "line"),
    [
        (("--optimizer", "lion"), "Invalid value for '--optimizer': 'lion' is not one of 'sgd', 'adamw'."),
        (("--algorithm", "magic"), "algorithm: 'magic' is unknown; choose one of adapter, fedadam, "),
        (("--texts", "nowhere.txt"), "texts: nowhere.txt cannot be read .*; give a UTF-8 file, one text per line"),
        (("--rounds", "0"), "rounds: 0 is out of range; must be 1 or more"),
        (("--rounds", "many"), "Invalid value for '--rounds': 'many' is not a valid integer."),
        (("--colour", "red"), "No such option '--colour'."),
    ],
)
def test_mistakes_leave_nothing(option: tuple[str, str], line: str, call: Any, tmp_path: Path) -> None:
    code, out, err = call("learn", *option, "--out", str(tmp_path / "run"))
    assert code == 2
    assert out == ""
    assert re.match(f"error: {line}", err)
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["fedavg", "--cut", "embedding_only"], "cut: fedavg has none; .* fsl or fsl_averaged"),
        (["lora", "--codec", "int8"], "codec: lora has none"),
        (["fsl", "--rank", "2"], "rank: fsl has none; .* soft_prompt or lora"),
        (["adapter", "--rank", "4"], "rank: adapter has none"),
        (["fsl", "--link", "ideal", "--fading", "rayleigh"], "fading: an ideal link has none"),
        (["fsl", "--texts", "a.txt", "--domain", "oncology"], "domains: texts of a file have none"),
    ],
)
def test_what_has_no_effect_is_refused(options: list[str], line: str, tmp_path: Path) -> None:
    found = run("learn", "--algorithm", *options, "--out", str(tmp_path / "run"))
    assert isinstance(found.exception, ConfigError)
    assert re.match(line, str(found.exception))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["/nope", "nope", ""])
def test_h12_an_unknown_model_names_those_of_language(name: str) -> None:
    with pytest.raises(ModelError, match=r"^model: .* give abstracts, a folder in .* or a hub id as owner/name, for "):
        open_model(name)


@pytest.mark.parametrize("form", ["soft_prompt", "lora", "adapter"])
def test_a_missing_library_is_told_as_such(form: Form, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"^peft is not installed; run: pip install"):
        attach(small_decoder(16, 2, 2), form, 2)


def test_help_names_every_fading() -> None:
    shown = " ".join(run("learn", "--help").stdout.replace("│", " ").split())
    named = {name.split("-")[0] for name in CHANNELS}
    assert all(name in shown for name in named)


@pytest.mark.slow
def test_the_language_model_is_trained_and_goes_on(tmp_path: Path) -> None:
    from gainnet.training.language import PRESETS, train_language

    assert run("train", "language", "--out", str(tmp_path / "a"), "--preset", "tiny").exit_code == 0
    trained = json.loads((tmp_path / "a" / "trained.json").read_text())
    assert trained["test_loss"]["public"] < 4.5
    model, _ = load_language_model(str(tmp_path / "a"))

    class Stopped(Exception):
        pass

    def stop(stage: str, step: int, num_steps: int, loss: float) -> None:
        if step == 40:
            raise Stopped

    with pytest.raises(Stopped):
        train_language(tmp_path / "b", 0, PRESETS["tiny"], stop)
    train_language(tmp_path / "b", 0, PRESETS["tiny"])
    again, _ = load_language_model(str(tmp_path / "b"))
    assert all((x == again.state_dict()[name]).all() for name, x in model.state_dict().items())
    with pytest.raises(ConfigError, match="was begun with another random_seed"):
        train_language(tmp_path / "b", 1, PRESETS["tiny"])
