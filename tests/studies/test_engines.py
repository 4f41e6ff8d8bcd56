"""A study on the workers of Ray: the same table, whoever is killed."""

import gc
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd
import pytest
from test_runner import TOY_NAME, own_settings, wait_for_lines

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.studies import make_engine, run_study

# Ray leaves pipes and processes of its own to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
left_by_ray = pytest.mark.usefixtures("collected")


@pytest.fixture
def collected() -> Iterator[None]:
    """Collects them here, and not where warnings are errors."""
    yield
    gc.collect()


def test_engines_that_cannot_be_are_refused() -> None:
    with pytest.raises(ConfigError, match="engine: 'dask' is unknown; choose one of process, ray"):
        make_engine("dask")
    with pytest.raises(ConfigError, match="num_workers: the engine process has one"):
        make_engine("process", 2)
    with pytest.raises(ConfigError, match="num_workers: must be at least 1, got 0"):
        make_engine("ray", 0)


def test_without_ray_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"ray is not installed; run: pip install 'gainnet\[engines\]'"):
        run_study(TOY_NAME, "quick", tmp_path, engine=make_engine("ray"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@left_by_ray
def test_a_killed_worker_loses_nothing_and_the_table_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run_study(TOY_NAME, "default", tmp_path / "alone")
    monkeypatch.setenv("STUMBLED", str(tmp_path / "stumbled"))
    seen: list[int] = []
    shared = run_study(
        "deadly_study:STUMBLING",
        "default",
        tmp_path / "shared",
        lambda done, total, label: seen.append(done),
        engine=make_engine("ray", 2),
    )
    assert (tmp_path / "stumbled").exists()
    assert seen == list(range(19))
    assert shared.table_path.read_bytes() == alone.table_path.read_bytes()
    assert shared.folder.name == alone.folder.name


@pytest.mark.slow
@left_by_ray
def test_orchestrated_worlds_shard_to_the_last_bit_though_a_worker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = run_study("gairom", "quick", tmp_path / "alone")
    monkeypatch.setenv("STUMBLED", str(tmp_path / "stumbled"))
    shared = run_study("deadly_study:MORTAL", "quick", tmp_path / "shared", engine=make_engine("ray", 2))
    assert (tmp_path / "stumbled").exists()
    tables = [pd.read_csv(run.table_path, dtype=str) for run in (alone, shared)]
    # Times of the machine differ from run to run, everything else agrees as text.
    one, other = (table[[name for name in table if not name.startswith("measured_")]] for table in tables)
    pd.testing.assert_frame_equal(one, other)
    assert len(one) > 8


@pytest.mark.slow
@left_by_ray
def test_interrupted_workers_go_on_from_the_journal(tmp_path: Path) -> None:
    settings = own_settings(tmp_path, "pause_s = 0.4\n")
    whole = run_study(TOY_NAME, settings, tmp_path / "whole")
    arguments = ["study", "run", TOY_NAME, "--config", str(settings), "--out", str(tmp_path / "cut")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    engine = ["--engine", "ray", "--num-workers", "2"]
    command = [sys.executable, "-m", "gainnet.cli", *arguments, *engine]
    # A shell that runs tests in the background has them ignore Ctrl-C, and what they start inherits that.
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    # A terminal sends Ctrl-C to the whole group.
    process = subprocess.Popen(
        command, env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=heeding
    )
    journal_path = tmp_path / "cut" / "toy" / whole.folder.name / "journal.jsonl"
    try:
        wait_for_lines(journal_path, 4, process)  # type: ignore[arg-type]
    finally:
        os.killpg(process.pid, signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told.strip() == "interrupted; nothing was left half written"
    assert 4 <= journal_path.read_bytes().count(b"\n") < 18
    seen: list[int] = []
    resumed = run_study(TOY_NAME, settings, tmp_path / "cut", lambda done, total, label: seen.append(done))
    assert seen[0] >= 4
    assert resumed.table_path.read_bytes() == whole.table_path.read_bytes()


@pytest.mark.slow
@left_by_ray
@pytest.mark.parametrize(
    ("only", "told"), [("mean", "scale: 1.0 is refused; give another"), ("median", "4 workers died over .*median")]
)
def test_what_goes_wrong_on_a_worker_is_told_in_one_line(tmp_path: Path, only: str, told: str) -> None:
    settings = own_settings(tmp_path, f'only = "{only}"\n')
    with pytest.raises(ConfigError, match=told):
        run_study("deadly_study:DEADLY", settings, tmp_path / "out", engine=make_engine("ray", 1))
