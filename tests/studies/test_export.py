"""Results are data: rows and metrics with types and units, and differences that say how sure they are."""

import json
from pathlib import Path

import pandas as pd
import pytest

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.studies import describe_run, measured
from gainnet.studies.export import columns_of, export_run, unit_of
from gainnet.studies.measured import differences

RESULTS = Path(__file__).parents[2] / "results"
RUNS = sorted(path.parent for path in RESULTS.glob("*/*/run.json"))


def run_of(study: str) -> Path:
    return next(path for path in RUNS if path.parent.name == study)


def test_a_run_as_csv_reads_back_with_its_types_and_units(tmp_path: Path) -> None:
    files = export_run(run_of("gairom-scale"), tmp_path / "out")
    assert [path.name for path in files] == ["datapackage.json", "rows.csv", "metrics.csv"]
    package = json.loads(files[0].read_text())
    rows, metrics = package["resources"]
    fields = {field["name"]: field for field in rows["schema"]["fields"]}
    assert fields["measured_decision_s"] == {"name": "measured_decision_s", "type": "number", "unit": "s"}
    assert fields["num_clients"] == {"name": "num_clients", "type": "integer", "unit": "1"}
    assert fields["training_seed"]["type"] in ("integer", "number")
    assert rows["schema"]["primaryKey"] == ["method", "num_clients", "training_seed", "random_seed"]
    table = pd.read_csv(tmp_path / "out" / rows["path"])
    published = pd.read_csv(run_of("gairom-scale") / "table.csv")
    pd.testing.assert_frame_equal(table, published, check_dtype=False)
    names = pd.read_csv(tmp_path / "out" / metrics["path"])
    assert dict(zip(names["metric"], names["unit"], strict=True))["decision_s.50"] == "s"


@pytest.mark.slow
@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.parent.name)
def test_every_published_run_is_data(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    files = export_run(run, tmp_path, ("csv", "parquet"))
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == len(pd.read_csv(tmp_path / "rows.csv")) == describe_run_rows(run)
    assert {path.suffix for path in files} == {".json", ".csv", ".parquet"}


def describe_run_rows(run: Path) -> int:
    return len(pd.read_csv(run / "table.csv"))


def test_a_whole_number_that_is_missing_somewhere_stays_one() -> None:
    table = pd.DataFrame({"num_images": [4.0, None], "kept": [True, None], "ssim": [1.0, None], "reason": [None, "a"]})
    assert [column.kind for column in columns_of(table)] == ["integer", "boolean", "number", "string"]


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("device_energy_j", "J"), ("uses_for_30db.linear.0db", "complex channel use"), ("bandwidth_hz", "Hz"),
        ("uses_over_normal_approximation", "1"), ("gain_over_static_db", "dB"), ("gigabytes", "GB"),
        ("num_bits_down_per_round", "bit"), ("prompt_fidelity", "1"), ("duration_p95_s", "s"),
    ],
)  # fmt: skip
def test_names_say_their_units(name: str, unit: str) -> None:
    assert unit_of(name) == unit


def test_what_is_no_run_or_no_format_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds no finished run"):
        export_run(tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="'parkett' is unknown; did you mean parquet"):
        export_run(run_of("joint"), tmp_path / "out", ("parkett",))
    assert not (tmp_path / "out").exists()


def test_parquet_names_the_extra_that_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.parquet", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'gainnet\[tables\]'"):
        export_run(run_of("joint"), tmp_path / "out", ("parquet",))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("run", RUNS, ids=lambda path: path.parent.name)
def test_intervals_of_published_metrics_hold_their_values(run: Path) -> None:
    found = describe_run(run)
    for one in measured(found.metrics).values():
        if one.low is not None and one.high is not None:
            assert one.low <= one.value <= one.high, one.name


def test_a_difference_is_as_sure_as_both_sides() -> None:
    a = {"gain": 1.0, "gain.half_width": 0.3, "only_a": 2.0, "none": None}
    b = {"gain": 2.0, "gain.half_width": 0.4, "psnr_db": 30.0}
    gain, only_a, psnr = differences(a, b)
    assert (gain.value, gain.half_width) == (1.0, pytest.approx(0.5))
    assert gain.row() == {"metric": "gain", "A": "1.00 ± 0.30", "B": "2.00 ± 0.40", "B - A": "+1.00 ± 0.50"}
    assert (only_a.row()["B"], psnr.row()["A"], psnr.value) == ("–", "–", None)
