"""`gainnet trust`: rounds with safeguards that resume, and a record that is checked from the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.catalog.safeguards import aggregation_of, guarantee_of
from gainnet.cli import app
from gainnet.core.errors import ConfigError, GainnetError, PayloadError
from gainnet.learning import Client, LocalTraining, Lora, Safeguards, learn
from gainnet.learning.safeguards.privacy import PrivateSteps
from gainnet.learning.safeguards.record import RECORD
from gainnet.models.language import save_language_model, small_decoder, word_tokenizer


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(x) for x in arguments], catch_exceptions=True)


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    save_language_model(small_decoder(16, 2, 2), word_tokenizer(), tmp_path / "model")
    return ["--model", tmp_path / "model", "--num-steps", 1, "--batch-size", 2, "--out", tmp_path / "run", "--json"]


@pytest.mark.slow
def test_a_run_with_masked_groups_leaves_a_record_in_order(options: list[object], tmp_path: Path) -> None:
    told = ["trust", "learn", *options, "--clients", 6, "--rule", "median", "--num-groups", 3, "--rounds"]
    first, both = json.loads(run(*told, 1).stdout), json.loads(run(*told, 2).stdout)
    assert both["rounds"][0] == first["rounds"][0]
    assert both["privacy"] is None
    found = json.loads(run("trust", "verify", tmp_path / "run", "--json").stdout)
    assert (found["num_models"], found["num_included"], found["state_checked"]) == (2, 12, True)
    assert "in order" in run("trust", "verify", tmp_path / "run" / RECORD, "--edge-key", found["edge_key"]).stdout
    assert isinstance(run("trust", "verify", tmp_path / "run", "--edge-key", "0" * 64).exception, PayloadError)
    keys = json.loads((tmp_path / "run" / RECORD).read_text().splitlines()[0])["keys"]
    (tmp_path / "pinned.json").write_text(
        json.dumps({name: key for name, key in keys.items() if name != "edge"}) + "\n"
    )
    receipt, pinned = tmp_path / "run.nodes" / "device_0.receipts.jsonl", ["--pinned", tmp_path / "pinned.json"]
    told = run(
        "trust", "verify", tmp_path / "run", *pinned, "--receipt", receipt, "--against", tmp_path / "run", "--json"
    )
    assert told.exit_code == 0
    assert {"keys_checked": True, "num_omitted": 0, "split_view": None}.items() <= json.loads(told.stdout).items()
    assert not list((tmp_path / "run").glob("*.key")), "who is handed the run gets no key with it"
    text = (tmp_path / "run" / RECORD).read_text()
    for changed in (text.replace('"weight":', '"weight":1'), text[: text.rindex('{"index"')], text[:-1], text + "{}\n"):
        (tmp_path / "run" / RECORD).write_text(changed)
        assert isinstance(run("trust", "verify", tmp_path / "run").exception, PayloadError)
    assert isinstance(run("trust", "verify", tmp_path / "nowhere").exception, ConfigError)


@pytest.mark.slow
@pytest.mark.parametrize("level", ["client", pytest.param("example", marks=pytest.mark.slow)])
def test_a_private_run_says_what_it_promises(level: str, options: list[object], tmp_path: Path) -> None:
    told = ["trust", "learn", *options, "--clients", 3, "--rounds", 2, "--privacy", level, "--epsilon", 6]
    masked = ["--num-groups", 1] if level == "client" else []
    summary = json.loads(run(*told, *masked).stdout)
    promise = json.loads((tmp_path / "run" / "run.json").read_text())["settings"]["privacy"]
    assert promise == summary["privacy"]
    assert (promise["level"], promise["num_clients"], promise["num_releases"]) == (level, 3, 2)
    assert 5.9 < promise["epsilon"] <= 6.0
    assert promise["private"] is True
    assert promise["epsilon"] == max(promise["epsilon_model"], promise["epsilon_folder"])
    more = run(*told, *masked, "--rounds", 3)
    assert isinstance(more.exception, ConfigError), "more rounds than the noise was made for are another run"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"rule": "magic"}, "rule"),
        ({"privacy": "client", "rule": "median"}, "privacy"),
        ({"privacy": "client", "num_groups": 2}, "privacy"),
        ({"privacy": "nobody"}, "privacy"),
        ({"num_groups": -1}, "num_groups"),
        ({"num_poisoned": -1}, "num_poisoned"),
        ({"num_poisoned": 1}, "num_poisoned: mean has no use"),
        ({"num_groups": 3}, "num_groups: 3 of 4"),
        ({"num_groups": 1, "rule": "median"}, "groups"),
        ({"privacy": "client", "epsilon": -1.0}, "epsilon"),
    ],
)
def test_what_does_not_fit_is_refused(settings: dict[str, Any], line: str, tmp_path: Path) -> None:
    with pytest.raises(GainnetError, match=line):
        open_session(LearnConfig("adapter", num_texts=30, rounds=1), SafeguardsConfig(**settings)).run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_split_learning_has_no_updates_to_guard(options: list[object]) -> None:
    model = str(options[1])
    with pytest.raises(ConfigError, match="algorithm"):
        open_session(LearnConfig("fsl", model=model, num_texts=30), SafeguardsConfig()).run()
    with pytest.raises(ConfigError, match="rows are hidden"):
        open_session(
            LearnConfig("fedavg", model=model, num_texts=30), SafeguardsConfig(privacy="example", sample_rate=1.0)
        ).run()
    guarantee = guarantee_of(SafeguardsConfig(privacy="client"), LearnConfig("lora", clients=20, share=0.5))
    assert guarantee is not None
    assert guarantee.num_clients == 10


@pytest.mark.parametrize(("rule", "num_asked"), [("trimmed_mean", 5), ("krum", 7), ("multi_krum", 7)])
def test_too_many_poisoned_clients_are_refused_before_the_first_round(rule: str, num_asked: int) -> None:
    aggregation_of(SafeguardsConfig(rule, num_poisoned=2), num_asked, None)
    with pytest.raises(ConfigError, match="num_poisoned"):
        aggregation_of(SafeguardsConfig(rule, num_poisoned=2), num_asked - 1, None)


@pytest.mark.slow
def test_private_rows_are_computed_in_one_part() -> None:
    clients, training = [Client("alice", torch.arange(48).reshape(4, 12))], LocalTraining(num_parts=2)
    with pytest.raises(ConfigError, match=r"^privacy: rows are clipped in one part, .*; leave these out$"):
        learn(Lora(1), clients, training=training, safeguards=Safeguards(steps=PrivateSteps(1.0, 1.0, 0.5)))
