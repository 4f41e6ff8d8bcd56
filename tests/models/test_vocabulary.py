"""Words that a model does not know, and what a folder says about those it does."""

import json
from pathlib import Path

import pytest

from gainnet.core.errors import ModelError
from gainnet.models.scenes.words import grammar_words
from gainnet.models.shipped import describe_model, describe_models, unknown_words
from gainnet.models.vocabulary import VOCABULARY, Unknown, Vocabulary, read_vocabulary


def test_scenes_know_the_words_of_their_grammar() -> None:
    assert unknown_words("scenes", ["a small red star to the left of a blue boat, at night."]) == ()
    assert describe_model("scenes")["words"] == grammar_words()
    assert [row["name"] for row in describe_models()] == ["scenes", "emoji"]


def test_unknown_words_are_named_once_with_the_nearest() -> None:
    assert unknown_words("scenes", ["a read star", "a Read house on the hous"]) == (
        Unknown("read", "red"),
        Unknown("hous", "house"),
    )
    # Words in other writings are words, too.
    assert [each.word for each in unknown_words("scenes", ["une étoile"])] == ["une", "étoile"]


def test_a_model_that_states_none_has_no_warnings(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) is None
    assert unknown_words(str(tmp_path), ["anything"]) == ()
    assert unknown_words("a model in memory", ["anything"]) == ()


@pytest.mark.parametrize("content", ["[", "[]", '{"domain": "x", "words": []}', '{"domain": 1, "words": ["a"]}'])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / VOCABULARY).write_text(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json: "):
        read_vocabulary(tmp_path)


def test_written_and_read(tmp_path: Path) -> None:
    vocabulary = Vocabulary("stars", frozenset({"red", "star"}))
    (tmp_path / VOCABULARY).write_text(json.dumps(vocabulary.to_json()))
    assert read_vocabulary(tmp_path) == vocabulary
