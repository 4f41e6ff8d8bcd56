"""A run folder that was damaged, or begun with other code, is refused in one line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from toy_study import TOY

from gainnet.core.errors import ConfigError
from gainnet.core.run.journal import journal
from gainnet.studies import compare, draw_figures, run_study
from gainnet.studies.image_quality import IMAGE_QUALITY
from gainnet.studies.presets import load_config
from gainnet.studies.results import TABLE_SHA256, RunFolder, commit
from gainnet.studies.runner import draw_figures as draw_study
from gainnet.studies.runner import entry_of
from gainnet.studies.study import Row, evaluate

TOY_NAME = "toy_study:TOY"
PLAIN_NAME = "toy_study:PLAIN"
DAMAGED = r"^run: [^\n]* is damaged[^\n]*; delete the folder and run again$"
RUNS = ["", "[1]", '"run"', "null", "{", "{}", '{"complete": true}', "[" * 100_000, "\ufeff{}"]
TABLES = [
    b"",
    b"\n",
    b"\xff\xfe\x00\x81" * 40,
    b"\x00" * 99,
    b"a,b\n1,2\n",
    b"method,random_seed\n",
    b'a,b\n"1,2\n3,4,5,6',
]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run_study(TOY_NAME, "quick", tmp_path_factory.mktemp("whole")).folder


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "toy" / whole.name))


def assert_damaged(folder: Path, whole: Path) -> None:
    for pair in ((folder, whole), (whole, folder)):
        with pytest.raises(ConfigError, match=DAMAGED):
            compare(*pair)
    with pytest.raises(ConfigError, match=DAMAGED):
        draw_figures(folder)
    with pytest.raises(ConfigError, match=DAMAGED):
        run_study(TOY_NAME, "quick", folder.parents[1])


@pytest.mark.parametrize("text", RUNS)
def test_damaged_run_json_is_one_line(folder: Path, whole: Path, text: str) -> None:
    (folder / "run.json").write_text(text, encoding="utf-8")
    assert_damaged(folder, whole)


@pytest.mark.parametrize(
    "change",
    [{"study": 1}, {"config": []}, {"versions": None}, {"metrics": {"a": "b"}}, {"wall_s": "1"}, {"complete": "yes"}],
)
def test_run_json_with_a_wrong_value_is_one_line(folder: Path, whole: Path, change: dict[str, Any]) -> None:
    run = RunFolder(folder).read_run()
    RunFolder(folder).write_run(run | change)
    assert_damaged(folder, whole)
    RunFolder(folder).write_run({name: value for name, value in run.items() if name not in change})
    assert_damaged(folder, whole)


def test_binary_run_json_is_one_line(folder: Path, whole: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")
    assert_damaged(folder, whole)


@pytest.mark.parametrize("content", TABLES)
def test_damaged_table_is_one_line(folder: Path, whole: Path, content: bytes) -> None:
    (folder / "table.csv").write_bytes(content)
    assert_damaged(folder, whole)


@pytest.mark.parametrize("num_bytes", [-1, -12, -40])
def test_a_table_that_was_cut_is_one_line(folder: Path, whole: Path, num_bytes: int) -> None:
    (folder / "table.csv").write_bytes((whole / "table.csv").read_bytes()[:num_bytes])
    assert_damaged(folder, whole)


def test_a_finished_run_without_its_table_is_one_line(folder: Path, whole: Path) -> None:
    (folder / "table.csv").unlink()
    assert_damaged(folder, whole)


def test_table_without_a_drawn_column_is_one_line(folder: Path) -> None:
    (folder / "table.csv").write_text("method,scale,random_seed\nmean,1.0,0\n")
    with pytest.raises(ConfigError, match=DAMAGED):
        draw_figures(folder)
    with pytest.raises(ConfigError, match=DAMAGED):
        run_study(TOY_NAME, "quick", folder.parents[1])


@pytest.mark.parametrize("rows", ["method,random_seed\nlinear,0\n", "method,random_seed,mse\nlinear,0,dark\n"])
def test_image_quality_without_its_columns_is_one_line(tmp_path: Path, rows: str) -> None:
    (tmp_path / "table.csv").write_text(rows)
    with pytest.raises(ConfigError, match=DAMAGED):
        draw_study(IMAGE_QUALITY, tmp_path)


def test_compared_tables_of_different_kinds_are_one_line(folder: Path, whole: Path) -> None:
    row: Row = {"method": "mean", "scale": "large", "random_seed": "first", "location": 0.1}
    digest = RunFolder(folder).write_table([row])
    RunFolder(folder).write_run(RunFolder(folder).read_run() | {"num_cases": 1, TABLE_SHA256: digest})
    with pytest.raises(ConfigError, match=r"^run: .* do not fit together; .*$"):
        compare(whole, folder)


def test_start_afresh_mends_a_damaged_run(folder: Path, whole: Path) -> None:
    (folder / "run.json").write_text("[1]")
    mended = run_study(PLAIN_NAME, "quick", folder.parents[1], resume=False)
    assert mended.table_path.read_bytes() == (whole / "table.csv").read_bytes()


def cut_off(folder: Path, num_rows: int, change: dict[str, Any]) -> None:
    """Makes of a finished run one that was killed after `num_rows` cases, begun as `change` says."""
    config = load_config(TOY, "quick")
    with journal(folder / "journal.jsonl", folder.name) as log:
        for case, row, wall_s in evaluate(TOY.open(config), list(TOY.cases(config))[:num_rows]):
            log.append(case.key, entry_of(row, wall_s))
    (folder / "table.csv").unlink()
    RunFolder(folder).write_run(RunFolder(folder).read_run() | {"complete": False} | change)


def test_run_of_another_commit_is_not_gone_on_with(folder: Path) -> None:
    cut_off(folder, 4, {"commit": "0123abc-dirty"})
    before = {path: path.read_bytes() for path in (folder / "run.json", folder / "journal.jsonl")}
    with pytest.raises(
        ConfigError, match=r"^run: \S+ was begun with commit 0123abc-dirty; give --fresh to start over$"
    ):
        run_study(PLAIN_NAME, "quick", folder.parents[1])
    assert {path: path.read_bytes() for path in before} == before
    assert run_study(PLAIN_NAME, "quick", folder.parents[1], resume=False).table_path.is_file()


def test_run_of_other_packages_is_not_gone_on_with(folder: Path) -> None:
    versions = RunFolder(folder).read_run()["versions"] | {"torch": "1.0"}
    cut_off(folder, 4, {"versions": versions})
    with pytest.raises(ConfigError, match=r"was begun with torch 1\.0; give --fresh"):
        run_study(PLAIN_NAME, "quick", folder.parents[1])


def test_journal_of_unknown_origin_is_not_gone_on_with(folder: Path) -> None:
    cut_off(folder, 4, {})
    (folder / "run.json").unlink()
    with pytest.raises(ConfigError, match=r"was begun with .* unknown; give --fresh"):
        run_study(PLAIN_NAME, "quick", folder.parents[1])


@pytest.mark.parametrize(("num_rows", "change"), [(4, {}), (0, {"commit": "0123abc"})])
def test_same_origin_or_no_row_goes_on(folder: Path, whole: Path, num_rows: int, change: dict[str, Any]) -> None:
    cut_off(folder, num_rows, {"commit": commit()} | change)
    seen: list[int] = []
    result = run_study(PLAIN_NAME, "quick", folder.parents[1], lambda done, total, label: seen.append(done))
    assert seen == list(range(num_rows, 10))
    assert result.table_path.read_bytes() == (whole / "table.csv").read_bytes()


def test_finished_run_of_another_commit_is_returned(folder: Path, whole: Path) -> None:
    RunFolder(folder).write_run(RunFolder(folder).read_run() | {"commit": "0123abc"})
    result = run_study(PLAIN_NAME, "quick", folder.parents[1])
    assert result.table_path.read_bytes() == (whole / "table.csv").read_bytes()
    assert RunFolder(folder).read_run()["commit"] == "0123abc"


@pytest.mark.slow
def test_one_flipped_bit_of_the_table_is_one_line(folder: Path) -> None:
    whole = (folder / "table.csv").read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << (place % 7)
        (folder / "table.csv").write_bytes(flipped)
        with pytest.raises(ConfigError, match=DAMAGED):
            RunFolder(folder).read_table()


def test_rows_in_another_order_are_one_line(folder: Path, whole: Path) -> None:
    first, second, *rest = (whole / "table.csv").read_bytes().splitlines(keepends=True)[1:]
    head = (whole / "table.csv").read_bytes().splitlines(keepends=True)[0]
    for rows in ((second, first, *rest), (first, first, *rest)):
        (folder / "table.csv").write_bytes(b"".join((head, *rows)))
        assert_damaged(folder, whole)


@pytest.mark.slow
def test_a_published_run_without_a_digest_still_reads(folder: Path, whole: Path) -> None:
    run = RunFolder(folder).read_run()
    del run[TABLE_SHA256]
    (folder / "run.json").write_text(json.dumps(run))
    assert draw_figures(folder)
    assert compare(folder, whole).study == "toy"
    assert run_study(TOY_NAME, "quick", folder.parents[1]).metrics == run["metrics"]


def test_one_changed_digit_of_run_json_is_one_line(folder: Path, whole: Path) -> None:
    content = (folder / "run.json").read_text()
    for name in ("location.mean", "wall_s", "num_cases", "torch", "table_sha256"):
        place = content.index(f'"{name}": ') + len(f'"{name}": ')
        digit = next(i for i in range(place, len(content)) if content[i].isdigit())
        (folder / "run.json").write_text(content[:digit] + str(9 - int(content[digit])) + content[digit + 1 :])
        with pytest.raises(ConfigError, match=DAMAGED):
            RunFolder(folder).read_run()
    assert_damaged(folder, whole)


def test_metrics_are_those_of_the_table(folder: Path) -> None:
    """A run of an earlier day may have been summarised otherwise."""
    run = RunFolder(folder).read_run()
    RunFolder(folder).write_run(run | {"metrics": {**run["metrics"], "location.mean": 7.0}})
    assert run_study(PLAIN_NAME, "quick", folder.parents[1]).metrics == run["metrics"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param(b'"wall_s": ', b'"wall_s": 1', marks=pytest.mark.slow),
        (b'"row": {', b'"row": {"evil": 1, '),
        (b'"location": ', b'"location": 9'),
        pytest.param(b'"mean', b'"median', marks=pytest.mark.slow),
    ],
)
def test_a_changed_line_of_the_journal_runs_again(folder: Path, whole: Path, old: bytes, new: bytes) -> None:
    cut_off(folder, 4, {"commit": commit()})
    lines = (folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    lines[1] = lines[1].replace(old, new, 1) if old in lines[1] else lines[1][:-9]
    (folder / "journal.jsonl").write_bytes(b"".join((*lines, lines[0])))
    seen: list[int] = []
    result = run_study(PLAIN_NAME, "quick", folder.parents[1], lambda done, total, label: seen.append(done))
    assert seen == list(range(1, 10))
    assert result.table_path.read_bytes() == (whole / "table.csv").read_bytes()


def test_a_line_of_another_run_is_none_of_this_one(folder: Path) -> None:
    cut_off(folder, 4, {})
    with journal(folder / "journal.jsonl", "another") as log:
        assert log.entries == {}
