"""Words that a model does not know, and what a folder says about those it does."""

import json
import random
import time
from pathlib import Path

import pytest

from gainnet.core.errors import ModelError
from gainnet.models.scenes.words import grammar_words
from gainnet.models.shipped import describe_model, describe_models, suited_model, unknown_words
from gainnet.models.vocabulary import VOCABULARY, Unknown, Vocabulary, read_vocabulary


def test_scenes_know_the_words_of_their_grammar() -> None:
    assert unknown_words("scenes", ["a small red star to the left of a blue boat, at night."]) == ()
    assert describe_model("scenes")["words"] == grammar_words()
    assert [row["name"] for row in describe_models()][:2] == ["scenes", "emoji"]


def test_unknown_words_are_named_once_with_the_nearest() -> None:
    assert unknown_words("scenes", ["a read star", "a Read house on the hous"]) == (
        Unknown("read", "red"),
        Unknown("hous", "house"),
    )
    # Words in other writings are words, too.
    assert [each.word for each in unknown_words("scenes", ["une étoile"])] == ["une", "étoile"]


def test_the_model_that_knows_most_words_is_taken() -> None:
    # A vocabulary is all that the choice reads; scenes comes first where both know everything.
    assert suited_model(["a red heart"]) == "scenes"
    assert suited_model(["an octopus"]) == suited_model(["a judge with dark skin", "a red heart"]) == "emoji"
    # Neither knows all of them: the one that knows more is taken, and what it does not know is named.
    assert suited_model(["a judge skateboarded past an octopus"]) == "emoji"
    unknown = [each.word for each in unknown_words("emoji", ["a judge skateboarded past an octopus"])]
    assert "skateboarded" in unknown
    assert "octopus" not in unknown
    assert suited_model(["ein Krake"]) == "scenes"
    found = describe_models()[1]
    assert (found["name"], found["is_there"]) == ("emoji", True)
    assert found["num_words"] > 3000


def test_long_prompts_in_other_languages_are_looked_up_quickly() -> None:
    rng = random.Random(0)
    words = frozenset("".join(rng.choices("abcdefghij", k=7)) for _ in range(3000))
    begin_s = time.process_time()
    found = Vocabulary("", words).unknown([" ".join(f"zz{k}" for k in range(100))])
    assert len(found) == 100
    assert time.process_time() - begin_s < 1


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


def test_a_folder_of_ones_own_says_how_it_is_run(small_stable_diffusion: Path) -> None:
    found = describe_model(str(small_stable_diffusion))
    assert (found["pipeline"], found["family"]) == ("StableDiffusionPipeline", "sd")
    assert found["sampler"].endswith("Scheduler")
    assert found["words"] is None


def test_the_nearest_of_the_shipped_models_is_named() -> None:
    with pytest.raises(ModelError, match=r"did you mean scenes.* give scenes, emoji,.* a folder"):
        describe_model("Scenes")
    with pytest.raises(ModelError, match="did you mean emoji"):
        describe_model("emojis")
