"""Tables for people."""

from __future__ import annotations

import pytest

from gainnet.cli.printing import print_table


def test_a_table_breaks_no_word_where_all_words_fit(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    print_table("t", ("name", "text"), [{"name": "longest_name", "text": "a sentence of several extraordinary words"}])
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("longest_name", "sentence", "extraordinary"))
    assert max(map(len, shown.splitlines())) <= 40
