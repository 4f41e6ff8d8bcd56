"""Files in the form of PubMed-RCT: read as they are written, split as is said, mistakes named by file and line."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.learning.summaries.rct import OTHER, field_of, read_abstracts, read_collection
from gainnet.models.trials.abstract import Sentence, StructuredAbstract


def written(num: int, first: int = 0) -> str:
    """Abstracts of four sentences, numbered."""
    return "\n".join(
        f"###{first + i}\nOBJECTIVE\tTo study {i}.\nMETHODS\tWe did.\nRESULTS\tIt rose.\nCONCLUSIONS\tIt rises {i}.\n"
        for i in range(num)
    )


def test_sentences_keep_role_and_order(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("###7\nBackground\tÄ is common.\nRESULTS\tA\tB.\nCONCLUSION\tC.\n\n###8\nMETHODS\tD.")
    first, second = read_abstracts(path)
    assert first.name == "7"
    assert first.sentences == (
        Sentence("background", "Ä is common."),
        Sentence("results", "A\tB."),
        Sentence("conclusions", "C."),
    )
    assert first.document == "BACKGROUND: Ä is common.\nRESULTS: (1) A\tB."
    assert first.is_whole
    assert not second.is_whole


def test_every_tenth_is_the_test_unless_there_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "dev.txt").write_text(written(5))
    (tmp_path / "train.txt.xz").write_bytes(lzma.compress((written(18, 5) + "\n###x\nRESULTS\tonly.\n").encode()))
    found = read_collection(tmp_path)
    assert [a.name for a in found.test] == ["9", "19"]
    assert len(found.train) == 21
    assert (found.own_test, found.num_left_out) == (False, 1)
    (tmp_path / "test.txt").write_text(written(3, 100))
    found = read_collection(tmp_path)
    assert [a.name for a in found.test] == ["100", "101", "102"]
    assert len(found.train) == 23
    assert found.own_test


def test_a_missing_empty_line_loses_no_abstract(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("\ufeff" + written(24).replace("4.\n\n###5", "4.\n###5"))
    found = read_collection(tmp_path)
    assert sorted(int(a.name) for a in (*found.train, *found.test)) == list(range(24))
    assert found.num_left_out == 0


def test_what_is_tested_is_not_learned_from(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(written(24) + "\n" + written(1))
    (tmp_path / "test.txt").write_text(written(5))
    found = read_collection(tmp_path)
    assert [a.name for a in found.test] == ["0", "1", "2", "3", "4"]
    assert [a.name for a in found.train] == [str(i) for i in range(5, 24)]
    assert (found.num_left_out, found.num_repeated) == (0, 6)


def test_an_empty_section_is_none(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text(written(12).replace("It rose.", "", 1))
    found = read_collection(tmp_path)
    assert len(found.train) + len(found.test) == 11
    assert found.num_left_out == 1


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x0c", "\r"])
def test_a_sentence_ends_at_its_line_feed(tmp_path: Path, separator: str) -> None:
    (tmp_path / "train.txt").write_bytes(f"###1\r\nRESULTS\ta{separator}b.\r\n".encode())
    (abstract,) = read_abstracts(tmp_path / "train.txt")
    assert abstract.texts("results") == (f"a{separator}b.",)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("###1\nRESULTS no tab\n", r"train\.txt:2 is not ###id or LABEL<tab>sentence"),
        ("###1\nAIMS\tx\n", r"train\.txt:2 .* a LABEL among BACKGROUND, OBJECTIVE"),
        ("RESULTS\tx\n", r"train\.txt:1 "),
        (written(3), "holds 3 abstracts with results and conclusions; give at least 10"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(ConfigError, match=line):
        read_collection(tmp_path)


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no \.txt or \.txt\.xz file"):
        read_collection(tmp_path)
    (tmp_path / "train.txt.xz").write_bytes(b"no xz")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_collection(tmp_path)
    (tmp_path / "train.txt.xz").unlink()
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="give UTF-8 text"):
        read_collection(tmp_path)


def test_fields_are_found_by_key_words() -> None:
    def of(text: str) -> str:
        return field_of(StructuredAbstract("a", (Sentence("results", text),)))

    assert of("Breast cancer and other tumours.") == "oncology"
    assert of("One heart.") == OTHER
    assert of("Coronary heart disease in diabetes.") == "cardiology"
