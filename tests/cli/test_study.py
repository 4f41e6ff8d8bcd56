"""Studies for people: only what is there, in 80 columns, paths on lines of their own."""

import json
import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[2] / "results"


def run_of(study):
    return str(next(path.parent for path in RESULTS.glob(f"{study}/*/run.json")))


def test_a_study_is_shown_for_people_and_as_json(call):
    code, out, _ = call("study", "show", "gairom-robustness")
    assert code == 0
    assert out.startswith("gairom-robustness: How much of the gain is left")
    assert "default (758 rows), quick (18 rows)" in out
    assert max(map(len, out.splitlines())) <= 80
    code, out, _ = call("study", "show", "gairom-robustness", "--json")
    assert set(json.loads(out)) == {"name", "question", "methods", "presets", "num_cases", "metrics"}


@pytest.mark.parametrize("study", ["medical-summaries", "decision"])
def test_long_settings_fit_the_line(call, study):
    code, out, _ = call("study", "show", study)
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80


def test_h7_a_run_is_shown_with_what_it_found(call):
    folder = run_of("gairom-learning")
    code, out, _ = call("study", "show", folder)
    assert code == 0
    assert "half_width" not in out
    assert f"  {folder}/table.csv" in out.splitlines()
    assert f"  {folder}/figures/closed_loop.png" in out.splitlines()
    code, out, _ = call("study", "show", folder, "--json")
    assert set(json.loads(out)) == {"study", "table", "metrics"}


def test_two_runs_side_by_side_fit_the_line(call):
    folder = run_of("seed-coding")
    code, out, _ = call("study", "compare", folder, folder)
    assert code == 0
    assert max(map(len, out.splitlines()[3:])) <= 80
    assert "B - A" in out
    ((equal, of),) = re.findall(r"(\d+) of (\d+) metrics are equal", out)
    assert equal == of
    code, out, _ = call("study", "compare", folder, folder, "--json")
    assert set(json.loads(out)) == {"study", "settings", "metrics"}


@pytest.mark.slow
def test_figures_are_drawn_elsewhere_in_another_style_and_data_exported(call, tmp_path):
    style = tmp_path / "paper.mplstyle"
    style.write_text("figure.figsize: 3.5, 2.0\nfont.size: 7\n")
    options = ("--style", str(style), "--format", "pdf", "--out", "paper")
    code, out, err = call("study", "figures", run_of("joint"), *options)
    assert (code, out.split()) == (0, ["paper/joint.pdf"]), err
    assert (tmp_path / "paper/joint.pdf").read_bytes().startswith(b"%PDF")
    code, out, _ = call("study", "export", run_of("joint"), "--out", "data", "--json")
    assert json.loads(out)["files"] == ["data/datapackage.json", "data/rows.csv", "data/metrics.csv"]
    code, _, err = call("study", "figures", run_of("joint"), "--format", "gif")
    assert (code, len(err.splitlines())) == (2, 1)
