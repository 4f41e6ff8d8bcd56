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


def test_m4_rows_whose_words_do_not_fit_stand_under_each_other(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    row = {"num_bits_up": 12_345_678, "digest": "0123456789abcdef" * 2, "energy_j": 4.0}
    print_table("one round", tuple(row), [row])
    assert capsys.readouterr().out.splitlines() == [
        "one round", "- bits up: 12,345,678", f"  digest: {row['digest']}", "  energy J: 4"
    ]  # fmt: skip


def test_a_log_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from gainnet.cli import printing

    clock = iter([0.0, 1.0, 11.0, 12.0, 30.0])
    monkeypatch.setattr(printing.time, "monotonic", lambda: next(clock))
    with printing.rounds_progress("lora") as show:
        for finished in range(1, 5):
            show(finished, 4, 0.5)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.splitlines() == ["lora (test loss 0.5000): 2 of 4", "lora (test loss 0.5000): 4 of 4"]


def test_a_stage_without_a_loss_shows_none(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from gainnet.cli import printing

    clock = iter([0.0, 11.0, 22.0])
    monkeypatch.setattr(printing.time, "monotonic", lambda: next(clock))
    with printing.training_progress() as show:
        show("latents", 1, 2, 0.0)
        show("network", 2, 2, 0.5)
    assert capsys.readouterr().err.splitlines() == ["latents: 1 of 2", "network (loss 0.5000): 2 of 2"]
