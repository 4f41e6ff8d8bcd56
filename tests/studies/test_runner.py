import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from toy_study import PLAIN, TOY, ToyConfig, cases

from gainnet.core.errors import ConfigError, GainnetError, MissingExtraError
from gainnet.core.run.journal import journal
from gainnet.studies import compare, draw_figures, find_study, run_study
from gainnet.studies.page import page
from gainnet.studies.results import RunFolder
from gainnet.studies.runner import entry_of
from gainnet.studies.runner import run_study as run_a_study
from gainnet.studies.study import Case, Method
from page_desk import HOSTILE, check_page

TOY_NAME = "toy_study:TOY"
PLAIN_NAME = "toy_study:PLAIN"


def own_settings(folder: Path, text: str) -> Path:
    file = folder / "own.toml"
    file.write_text(text)
    return file


@pytest.mark.slow
def test_run_leaves_table_metrics_and_figures(tmp_path: Path) -> None:
    result = run_study(TOY_NAME, "quick", tmp_path)
    table = RunFolder(result.folder).read_table()
    assert list(table.columns) == ["method", "scale", "random_seed", "location", "spare"]
    assert len(table) == 9
    assert result.metrics["location.mean"] == pytest.approx(table["location"].mean())
    assert result.metrics["location.median"] is None
    assert sorted(p.name for p in result.folder.iterdir()) == ["figures", "report.html", "run.json", "table.csv"]
    assert {p.suffix for p in result.figure_paths} == {".png", ".svg"}
    check_page((result.folder / "report.html").read_text())
    assert repr(result).splitlines()[0].startswith("StudyResult of toy: 1 of 2 metrics")
    assert result._repr_html_().count("<img") == len(result.figure_paths) / 2
    run = json.loads((result.folder / "run.json").read_text())
    assert run["complete"]
    assert run["random_seeds"] == [0, 1, 2]
    assert run["versions"]["torch"]


def test_a_page_escapes_what_others_wrote(tmp_path: Path) -> None:
    """A method of a user's own stands in the names of metrics, and words of a study in its warnings."""
    run = {"metrics": {HOSTILE: 1.0, "other": None}, "warnings": [HOSTILE], "wall_s": 1.0, "commit": None}
    html = page(HOSTILE, HOSTILE, run, 3, tmp_path / HOSTILE.replace("/", ""), ())
    check_page(html)
    assert "1 of 2" in html


def test_finished_run_is_not_run_again(tmp_path: Path) -> None:
    first = run_study(PLAIN_NAME, "quick", tmp_path)
    written = first.table_path.stat().st_mtime_ns
    seen: list[int] = []
    again = run_study(PLAIN_NAME, "quick", tmp_path, lambda done, total, label: seen.append(done))
    assert again.metrics == first.metrics
    assert (again.table_path.stat().st_mtime_ns, seen) == (written, [])


def test_start_afresh_runs_every_case(tmp_path: Path) -> None:
    run_study(PLAIN_NAME, "quick", tmp_path)
    seen: list[tuple[int, int]] = []
    run_study(PLAIN_NAME, "quick", tmp_path, lambda done, total, label: seen.append((done, total)), resume=False)
    assert seen == [(done, 9) for done in range(10)]


def test_interrupted_run_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
    def interrupt(done: int, total: int, label: str) -> None:
        if done == 4:
            raise KeyboardInterrupt

    whole = run_study(PLAIN_NAME, "quick", tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run_study(PLAIN_NAME, "quick", tmp_path / "cut", interrupt)
    seen: list[int] = []
    resumed = run_study(PLAIN_NAME, "quick", tmp_path / "cut", lambda done, total, label: seen.append(done))
    assert seen == [*range(4, 10)]
    assert resumed.table_path.read_bytes() == whole.table_path.read_bytes()


@pytest.mark.slow
def test_killed_run_goes_on_and_gives_the_same_table(tmp_path: Path) -> None:
    settings = own_settings(tmp_path, "pause_s = 0.03\n")
    whole = run_study(TOY_NAME, settings, tmp_path / "whole")
    call = f"run_study({TOY_NAME!r}, Path({str(settings)!r}), Path({str(tmp_path / 'cut')!r}))"
    code = f"from pathlib import Path; from gainnet.studies import run_study; {call}"
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)})
    journal_path = tmp_path / "cut" / "toy" / whole.folder.name / "journal.jsonl"
    try:
        num_finished = wait_for_lines(journal_path, 4, process)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert 4 <= num_finished < 18
    assert not (journal_path.parent / "table.csv").exists()
    seen: list[int] = []
    resumed = run_study(TOY_NAME, settings, tmp_path / "cut", lambda done, total, label: seen.append(done))
    assert seen[0] >= 4
    assert resumed.table_path.read_bytes() == whole.table_path.read_bytes()
    assert resumed.metrics == whole.metrics


def wait_for_lines(path: Path, num_lines: int, process: "subprocess.Popen[bytes]") -> int:
    while process.poll() is None:
        found = path.read_bytes().count(b"\n") if path.exists() else 0
        if found >= num_lines:
            return found
        time.sleep(0.005)
    raise AssertionError("the run ended before it could be killed")


@pytest.mark.parametrize(
    "rest", [b'{"key": "half a li', b"\x00\x00\x00\n", b'{"other": 1}\n', b'{"key": 1, "row": {}}']
)
def test_journal_drops_a_line_that_is_not_whole(tmp_path: Path, rest: bytes) -> None:
    first, second, third = [*cases(TOY.config((0,), 3, (1.0, 2.0)))][:3]
    path = tmp_path / "journal.jsonl"
    with journal(path, "run") as log:
        log.append(first.key, entry_of({"x": 1.0}, 0.1))
        log.append(second.key, entry_of({"x": float("nan")}, 0.1))
    with path.open("ab") as file:
        file.write(rest)
    with journal(path, "run") as log:
        assert [case.key in log.entries for case in (first, second, third)] == [True, True, False]
        log.append(third.key, entry_of({"x": 3.0}, 0.2))
    with journal(path, "run") as log:
        assert [log.entries[case.key]["row"]["x"] for case in (first, second, third)] == [1.0, None, 3.0]
        assert sum(entry["wall_s"] for entry in log.entries.values()) == pytest.approx(0.4)


def test_two_processes_cannot_write_one_run(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    with journal(path, "a"), pytest.raises(ConfigError, match="another run is writing"), journal(path, "a"):
        pass


@pytest.mark.slow
def test_figures_are_drawn_from_the_table_alone(tmp_path: Path) -> None:
    result = run_study(TOY_NAME, "quick", tmp_path)
    before = {path: path.read_bytes() for path in result.figure_paths}
    for path in result.figure_paths:
        path.unlink()
    assert {path: path.read_bytes() for path in draw_figures(result.folder)} == before


def test_settings_decide_the_folder(tmp_path: Path) -> None:
    a, b = (run_study(PLAIN_NAME, preset, tmp_path) for preset in ("quick", "default"))
    assert a.folder != b.folder
    comparison = compare(a.folder, b.folder)
    assert comparison.settings["config.only"] == ("mean", None)
    assert comparison.metrics["location.mean"] == (a.metrics["location.mean"],) * 2
    assert comparison.metrics["location.median"] == (None, b.metrics["location.median"])
    assert len(comparison.table) == 18
    same = comparison.table[comparison.table["method"] == "mean"]
    assert (same["location_a"] == same["location_b"]).all()
    assert comparison.to_json()["metrics"]["location.mean"]["difference"] == 0.0


def test_a_value_listed_twice_raises(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="listed twice"):
        run_study(TOY_NAME, own_settings(tmp_path, "random_seeds = [1, 1]"), tmp_path)


def test_a_missing_library_leaves_what_was_there(tmp_path: Path) -> None:
    def open_nothing(config: ToyConfig) -> Mapping[str, Method]:
        raise MissingExtraError("peft", "learning")

    lacking = replace(PLAIN, open=open_nothing)
    with pytest.raises(MissingExtraError):
        run_a_study(lacking, "quick", tmp_path)
    assert list(tmp_path.iterdir()) == []
    whole = run_study(PLAIN_NAME, "quick", tmp_path)
    with pytest.raises(MissingExtraError):
        run_a_study(lacking, "quick", tmp_path, resume=False)
    assert whole.table_path.is_file()


@pytest.mark.parametrize(
    ("study", "package"), [("learning-cost", "peft"), ("knowledge-loop", "peft"), ("gairom-learning", "sklearn")]
)
def test_studies_look_for_their_libraries_first(
    study: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match="pip install"):
        run_study(study, "quick", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(ConfigError, match=r"out: .* is a file"):
        run_study(TOY_NAME, "quick", tmp_path / "file")


@pytest.mark.parametrize("name", ["nothing", "no_such_module:X", "toy_study:NOTHING", "toy_study:cases"])
def test_unknown_study_raises(name: str) -> None:
    with pytest.raises(GainnetError, match=r"^study: "):
        find_study(name)


@pytest.mark.parametrize("function", [draw_figures, lambda folder: compare(folder, folder)])
def test_folder_without_a_run_raises(tmp_path: Path, function: object) -> None:
    with pytest.raises(ConfigError, match="holds no"):
        function(tmp_path)  # type: ignore[operator]


def test_case_key_does_not_depend_on_the_order_of_values() -> None:
    assert Case("m", {"a": 1, "b": 2}, 3).key == Case("m", {"b": 2, "a": 1}, 3).key


@pytest.mark.parametrize("place", ["toy", "toy/{run}", "toy/{run}/journal.jsonl"])
def test_something_in_the_place_of_the_run_is_one_line(tmp_path: Path, place: str) -> None:
    run = run_study(PLAIN_NAME, "quick", tmp_path / "first").folder.name
    other = tmp_path / place.format(run=run)
    other.parent.mkdir(parents=True, exist_ok=True)
    other.mkdir() if other.name == "journal.jsonl" else other.write_text("a file")
    with pytest.raises(ConfigError, match=r"^out: [^\n]*; give another"):
        run_study(PLAIN_NAME, "quick", tmp_path)


def test_settings_without_a_case_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^config: .* no case"):
        run_study(TOY_NAME, own_settings(tmp_path, "scales = []\n"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
