"""Text files and tables from outside: line ends, byte order marks, odd tables, packed files without end."""

from __future__ import annotations

import lzma
from pathlib import Path

import pytest

from gainnet.catalog.learning import read_texts
from gainnet.cli.generate import read_prompts
from gainnet.core.errors import ConfigError
from gainnet.core.lines import lines_of
from gainnet.learning.summaries.rct import read_abstracts
from gainnet.radio import SnrTrace


def test_c11_a_mark_is_no_part_of_a_prompt_and_lines_end_at_line_ends_alone(tmp_path: Path) -> None:
    file = tmp_path / "prompts.txt"
    file.write_bytes("\ufeffa red star\r\na red\u2028star\ra blue\x85house\n".encode())
    assert read_prompts(None, file) == ("a red star", "a red\u2028star", "a blue\x85house")
    assert read_texts(file) == ([["a red star", "a red\u2028star"]], ["a blue\x85house"])


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("time_s,snr_db\n0,12,5\n", "line 2 has 3 cells under 2 columns; write decimals with a point"),
        ("SNR,snr_db\n3,40\n", "has snr_db and SNR; must have one of them"),
        ("snr_db,snr_db\n3,40\n", "has the column 'snr_db' twice; keep one of them"),
        ("snr_db\n1_0\n", "line 2 holds '1_0', not a number of dB"),
        ('note,snr_db\n"a\nb",3\n', "line 2 is empty"),
    ],
)
def test_c12_an_odd_table_is_one_line_with_its_number(tmp_path: Path, content: str, line: str) -> None:
    (tmp_path / "trace.csv").write_text(content)
    with pytest.raises(ConfigError) as error:
        SnrTrace.read(tmp_path / "trace.csv")
    assert line in str(error.value)


def test_f7_what_unpacks_without_end_is_refused_at_a_limit(tmp_path: Path) -> None:
    file = tmp_path / "train.txt.xz"
    file.write_bytes(lzma.compress(b"###1\n" * 2**20, preset=0))
    with pytest.raises(ConfigError, match=r"^data: .* unpacks to over 1,048,576 bytes"):
        read_abstracts(file)
    file.write_bytes(lzma.compress(b"A" * (2**24 + 2), preset=0))
    with pytest.raises(ConfigError, match=r"^data: .* has a line of over 16,777,216 characters"):
        read_abstracts(file)
    file.write_bytes(lzma.compress(b"one\ntwo\n"))
    assert list(lines_of(file, "texts", "another")) == ["one", "two"]
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ConfigError, match=r"^texts: .* cannot be read as xz"):
        list(lines_of(file, "texts", "another"))
