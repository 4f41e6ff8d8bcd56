"""Published runs: their settings are read, found by either hash, and say what their tables say."""

import json
from pathlib import Path

import pytest

from gainnet.core.errors import ConfigError
from gainnet.radio import Air, Rayleigh, Reports
from gainnet.studies import find_study
from gainnet.studies.presets import as_json, load_config, settings_of
from gainnet.studies.results import SCHEMA_VERSION, RunFolder, config_hash, folder_of
from gainnet.studies.runner import summarise
from gainnet.studies.settings import with_air

RESULTS = Path(__file__).parents[2] / "results"
RUNS = sorted(path.parent for path in RESULTS.glob("*/*/run.json"))
HASHES = json.loads((RESULTS / "hashes.json").read_text())


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_a_published_run_has_the_settings_of_the_full_preset_under_its_hash(path: Path) -> None:
    run = RunFolder(path).read_run()
    study = find_study(run["study"])
    config = settings_of(study, run["config"])
    # A folder of somebody's own is not in the repository: neither its path nor its digest is that of the preset.
    own = {name: run["config"][name] for name in ("data", "pictures") if run["config"].get(name)}
    assert config == load_config(study, "full", own)
    identity = run["identity"] if own else dict(study.identity(config))
    assert identity == run["identity"]
    decides = {"schema_version": SCHEMA_VERSION, "study": study.name, "config": as_json(config), "identity": identity}
    new = config_hash(decides)
    assert new == HASHES.get(study.name, {}).get(path.name, path.name)
    assert folder_of(path.with_name(new)) == folder_of(path) == path


LONG = "medical-summaries"
"""Half a second of bootstrap; the fast tests of that study summarise its published table, too."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=pytest.mark.slow) if path.parent.name == LONG else path for path in RUNS],
    ids=lambda path: path.parent.name,
)
def test_a_published_table_gives_the_published_metrics(path: Path) -> None:
    run = RunFolder(path).read_run()
    metrics = summarise(find_study(run["study"]), RunFolder(path).read_table())
    # Metrics that are newer than a run say nothing of it.
    assert {name: metrics[name] for name in run["metrics"]} == pytest.approx(run["metrics"], nan_ok=True)
    assert not any(metrics[name] for name in set(metrics) - set(run["metrics"]))


def test_old_settings_of_the_air_are_read() -> None:
    wide = Air(bandwidth_hz=20e6)
    assert with_air({"snr_db": 3}, wide) == {"air": "air(snr_db=3.0, bandwidth_hz=20000000.0)"}
    old = {"fading": "rayleigh", "report_error_db": 2.0, "air": "air(snr_db=5.0)", "rounds": 1}
    expected = Air(Rayleigh(), 5.0, reports=Reports(2.0))
    study = find_study("multi-edge")
    found = load_config(study, "quick", {"air": with_air(old, wide)["air"]})
    assert found.air == expected  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="snr_db: must be a number, got 'loud'"):
        with_air({"snr_db": "loud"}, wide)


@pytest.mark.parametrize("air", ["air(snr_db=1000.0)", "air(snr=1.0)", 10.0])
def test_an_air_that_cannot_be_is_refused_in_one_line(air: object) -> None:
    with pytest.raises(ConfigError) as error:
        load_config(find_study("trust"), "quick", {"air": air})
    assert "\n" not in str(error.value)
