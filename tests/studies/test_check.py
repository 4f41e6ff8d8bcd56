"""Drawn rows of a finished run, computed again: the same digits, or named where they are not."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_runner import PLAIN_NAME

from gainnet.cli import app
from gainnet.core.errors import ConfigError
from gainnet.studies import check_run, run_study


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return run_study(PLAIN_NAME, "default", tmp_path).folder


def test_a_run_reproduces_and_each_method_has_a_row_before_any_has_two(run: Path) -> None:
    two = check_run(run, 2)
    assert {row.method for row in two.rows} == {"mean", "median"}
    assert two.reproduces
    assert two.num_equal == 2
    assert two.left_out == ()
    assert len(check_run(run, 100).rows) == 18
    assert check_run(run, 3, ["mean"]).left_out == ("median",)


def test_a_number_that_differs_is_named_with_its_distance(run: Path) -> None:
    table = run / "table.csv"
    header, first, *rest = table.read_text().splitlines()
    cells = dict(zip(header.split(","), first.split(","), strict=True))
    changed = first.replace(cells["location"], str(float(cells["location"]) * 1.01))
    table.write_text("\n".join([header, changed, *rest]) + "\n")
    found = check_run(run, 100)
    (row,) = (row for row in found.rows if row.differing)
    assert row.differing == ("location",)
    assert row.largest == pytest.approx(0.01, rel=0.02)
    assert not found.reproduces
    assert found.num_equal == 17


def test_the_command_prints_rows_and_fails_where_numbers_differ(run: Path) -> None:
    shown = CliRunner().invoke(app, ["study", "check", str(run), "--rows", "3", "--methods", "mean", "--json"])
    assert shown.exit_code == 0
    printed = json.loads(shown.stdout)
    assert (printed["num_rows"], printed["num_equal"], printed["left_out"]) == (3, 3, ["median"])
    table = run / "table.csv"
    table.write_text(table.read_text().replace("mean,1.0,0,", "mean,1.0,0,9"))
    assert CliRunner().invoke(app, ["study", "check", str(run), "--rows", "100"]).exit_code == 1


def test_what_cannot_be_checked_is_refused(run: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        check_run(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"methods: no row of .* is of mode"):
        check_run(run, 3, ["mode"])
