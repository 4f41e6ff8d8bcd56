"""An edge may ask a device for numbers within limits; nothing that it says is opened, imported or believed."""

from __future__ import annotations

import importlib
import json
import math
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pytest

from gainnet.catalog.learning import learning_of
from gainnet.catalog.records import LearnConfig
from gainnet.catalog.terms import OWN_TEXTS, Terms, label_of, offer, own_client
from gainnet.core.errors import ConfigError, PayloadError
from gainnet.learning.engines.turns import check_rows, read_turn
from gainnet.models.language import small_decoder, word_tokenizer

CONFIG = LearnConfig(clients=1, num_texts=10)
BASE = json.loads(json.dumps(asdict(LearnConfig(clients=1, num_texts=10, num_steps=1, batch_size=2))))
HOSTILE = ("os:abort", "tempfile:mkdtemp", "../x", "/etc/hostname", "evil/model", "x.toml", "\ud800", "a" * 1000)
NAMES_OF_OURS = ("domains",)


def refused(words: Any, terms: Terms | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        (terms or Terms()).accept(words)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 1200
    return message


@pytest.fixture(scope="module")
def loaded() -> None:
    """Whatever is loaded on the way is loaded now."""
    Terms().accept(BASE)


@pytest.fixture(autouse=True)
def nothing_runs(loaded: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Any import by name or opened file of an edge's words would end here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.toml").write_text("")
    original = importlib.import_module

    def imported(name: str, package: str | None = None) -> Any:
        assert name not in ("os", "tempfile"), "an edge's word was imported"
        return original(name, package)

    monkeypatch.setattr(importlib, "import_module", imported)


@pytest.mark.parametrize("field", [field.name for field in fields(LearnConfig)])
def test_names_of_code_files_and_models_are_refused_in_every_field(field: str) -> None:
    for word in HOSTILE:
        message = refused({**BASE, field: [word] if field in NAMES_OF_OURS else word})
        assert message.split(":")[0].split(".")[0] in (field, "domain", "config"), word


@pytest.mark.parametrize(
    "words",
    [5, None, "x", [[]], [], {"algorithm": 5}, {"domains": "x"}, {"skew": math.nan}, {"rate": math.inf}, {"rate": "x"},
     {"domains": []}, {"hardware": "../x.toml"}, {"random_seed": 10**30}, {"random_seed": -1}, {"clients": 10**12},
     {"num_texts": 10**9}, {"batch_size": 10**6}, {"row_length": 10**9}, {"row_length": 10_000}, {"num_steps": 10**9},
     {"clients": 0}, {"colour": 1}, {"texts": 5}, {"model": None}, {"codec": ["int8"]}, {"clients": 10**5000}],
    ids=lambda words: str(words)[:40] if not isinstance(words, dict) else str(next(iter(words))),
)  # fmt: skip
def test_odd_words_are_refused_in_one_line(words: Any) -> None:
    refused({**BASE, **words} if isinstance(words, dict) else words)


def test_what_an_edge_of_ours_offers_is_accepted() -> None:
    config = LearnConfig(clients=2, texts="/home/edge/notes.txt", skew=math.inf)
    words = json.loads(json.dumps(offer(config, small_decoder(16, 1, 2))))
    assert "/home/edge" not in json.dumps(words)
    assert words["texts"] == OWN_TEXTS
    assert refused(words).startswith("texts: every device of this run brings its own text")
    accepted, label = Terms(texts=Path("own.txt")).accept(words)
    assert (accepted.texts, accepted.model, label) == ("own.txt", "abstracts", "abstracts")
    assert accepted.clients == 2


def test_a_device_keeps_to_the_codec_and_the_model_it_was_started_with() -> None:
    assert "int8" in refused(BASE, Terms(codec="float16"))
    own = "gainnet.codecs.activations:Float16"
    assert Terms(codec=own).accept({**BASE, "codec": own})[0].codec == own
    one, other = small_decoder(16, 1, 2), small_decoder(16, 1, 2, random_seed=1)
    labels = {label_of("a/folder", model) for model in (one, other)}
    assert len(labels) == 2
    assert all(label.startswith("sha256:") for label in labels)
    assert refused({**BASE, "model": labels.pop()}).startswith("model: the edge has 'sha256:")


TURN = {"num_steps": 1, "random_seed": 0, "path": ["round", 0]}


@pytest.mark.parametrize(
    ("word", "value"),
    [("num_steps", x) for x in ("x", math.inf, [], -1, 10**30, True, 1.0, None)]
    + [("random_seed", x) for x in (-1, 10**30, "0", None, 0.5)]
    + [("path", x) for x in (5, [{}], [[]], [-1], [2**40], ["\n"], ["a"] * 100, None, ["a" * 1000])],
)
def test_odd_turns_are_refused_by_the_name_of_the_word(word: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"^{word}: "):
        read_turn({**TURN, word: value}, 100)
    with pytest.raises(ConfigError, match=f"^{word}: "):
        read_turn({name: x for name, x in TURN.items() if name != word}, 100)


@pytest.mark.parametrize("value", [10**15, 10**30, True, 0, -5, 1e3, "27", None, [5]])
def test_rows_that_nobody_has_are_refused(value: Any) -> None:
    with pytest.raises(PayloadError, match="num_rows: must be an integer from 1 to"):
        check_rows(value)


def test_a_device_that_is_none_of_the_runs_is_named() -> None:
    with pytest.raises(ConfigError, match="name: 'device_9' is none of the 1 devices"):
        own_client(CONFIG, learning_of(CONFIG), word_tokenizer(), "device_9")
