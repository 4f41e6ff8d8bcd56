"""One more curve: a codec, policy, protocol, channel or way to learn of the user's in every study of such."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from own_parts import Signs

from gainnet.codecs.content import Content
from gainnet.core.errors import ConfigError
from gainnet.core.types import Spec
from gainnet.studies import find_study, run_study
from gainnet.studies.own import OwnCodec, own
from gainnet.studies.presets import load_config
from gainnet.studies.results import RunFolder
from gainnet.studies.runner import summarise
from gainnet.studies.study import evaluate

SEED, PICTURE, POLICY = "own_parts:Signs", "image=own_parts:Signs(max_bits=4096.0)", "own_parts:Most(least=3.0)"
ADDED: dict[str, dict[str, Any]] = {
    "air": {"fadings": ["rician(k_factor=2.0)"], "methods": ["goodput"], "num_items": 2},
    "image-quality": {"methods": ["webp", "linear", SEED, PICTURE], "fadings": ["awgn", "rician(k_factor=2.0)"]},
    "image-quality-air": {"methods": ["webp", "linear", SEED], "airs": ["rayleigh_ir"]},
    "seed-coding": {"methods": ["linear", SEED, "gaussian_opta"], "fadings": ["awgn", "rician(k_factor=2.0)"]},
    "seed-coding-emoji": {"methods": ["linear", SEED, "image=webp"]},
    "photographs": {"methods": ["linear", SEED, "image=webp"]},
    "frontier": {"methods": ["transform_prompt", SEED]},
    "through-channel": {"fadings": ["rayleigh", "rician(k_factor=2.0)"]},
    "gairom": {"policies": ["greedy", POLICY]},
    "gairom-learning": {"policies": ["greedy", "random", POLICY]},
    "gairom-regimes": {"policies": ["greedy", POLICY], "num_training": 0},
    "gairom-robustness": {"methods": ["greedy", POLICY]},
    "gairom-scale": {"methods": ["greedy", POLICY], "nums_clients": [10]},
    "gain-models": {"methods": ["greedy", "random", POLICY]},
    "protocols": {"methods": ["eiug", "ciag(cut=3)"], "loss_protocols": []},
    "multi-edge": {"methods": ["pipeline", "ciag(cut=3)"]},
    "power-control": {"rules": ["static", "own_parts:Even"]},
    "learning-cost": {"methods": ["fedavg", "lora(rank=2)"]},
    "trust": {
        "methods": ["reconstruction"],
        "reconstruction": [{"cut": "embedding_only", "codecs": ["float32", "top_k(share=0.05)"], "noises": []}],
    },
}
"""Settings beside those of the quick preset."""

NOT_SHIPPED = ("seed-coding-emoji", "photographs")
"""Studies of a model, or with codes, that this version does not have: their settings are read, nothing is run."""


@pytest.mark.parametrize("name", ADDED)
def test_h8_a_study_has_cases_of_what_is_added(name: str) -> None:
    study = find_study(name)
    cases = list(study.cases(load_config(study, "quick", ADDED[name])))
    told = [str(case.columns) for case in cases]
    for text in next(iter(ADDED[name].values())):
        if ":" in text or "(" in text:
            assert any(text in columns for columns in told), text


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ADDED if name not in NOT_SHIPPED])
def test_h8_what_is_added_runs_and_is_drawn(name: str, tmp_path: Path) -> None:
    result = run_study(name, "quick", tmp_path, changes=ADDED[name])
    table = RunFolder(result.folder).read_table()
    users = own([str(x) for x in table["method"].unique()], find_study(name).methods)
    assert bool(users) == (name not in ("air", "through-channel", "trust"))
    # On the frontier nothing of so few settings reaches 30 dB, and nothing is drawn.
    assert bool(result.figure_paths) == (name != "frontier")


ON_A_CURVE = {"methods": ["greedy", POLICY], "scenarios": ["street"], "training_seeds": []}


@pytest.mark.slow
def test_a_policy_on_a_curve_has_metrics_of_its_own() -> None:
    study = find_study("gairom-robustness")
    config = load_config(study, "quick", ON_A_CURVE)
    rows = [case.columns | row for case, row, _ in evaluate(study.open(config), study.cases(config))]
    assert 0.5 < (summarise(study, pd.DataFrame(rows))[f"{POLICY}_of_optimum.time_5"] or 0.0) < 1.0


@pytest.mark.slow
def test_a_policy_on_a_curve_is_drawn(tmp_path: Path) -> None:
    result = run_study("gairom-robustness", "quick", tmp_path, changes=ON_A_CURVE)
    assert 0.5 < (result.metrics[f"{POLICY}_of_optimum.time_5"] or 0.0) < 1.0
    (figure,) = (path for path in result.figure_paths if path.name == "gain_kept.svg")
    assert "Most(least=3.0)" in figure.read_text()


@pytest.mark.parametrize(
    ("study", "field", "text", "says"),
    [
        ("image-quality", "methods", "own_parts:Nothing", "own_parts:Nothing has no emits, size, encode, decode"),
        ("image-quality", "methods", "own_parts:Signs(depth=2)", "has no argument 'depth'"),
        ("image-quality", "methods", "image=own_parts:Nothing", "has no emits"),
        ("image-quality", "methods", "liner", "'liner' is unknown; choose among .*, or give module:Class"),
        ("image-quality", "fadings", "own_parts:Signs", "has no block_length, blocks, first_gain, transmit"),
        ("frontier", "methods", "own_parts:Even", "has no emits"),
        ("gairom", "policies", "no_such_module:Most", "cannot be imported"),
        ("protocols", "methods", "own_parts:Most", "has no sends, max_edges, plan"),
        ("power-control", "rules", "own_parts:Nothing", "has no __call__|failed"),
        ("learning-cost", "methods", "own_parts:Nothing", "has no bound"),
    ],
)
def test_what_keeps_no_contract_is_one_line(study: str, field: str, text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as error:
        load_config(find_study(study), "quick", {field: [text]})
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(field)


def test_an_error_of_the_users_own_names_the_method_and_nothing_is_half_written(tmp_path: Path) -> None:
    changes = {"methods": ["own_parts:Never"], "scenarios": ["street"], "training_seeds": []}
    with pytest.raises(ConfigError, match=r"methods: own_parts:Never.*never decides") as error:
        run_study("gairom-robustness", "quick", tmp_path, changes=changes)
    assert "\n" not in str(error.value)
    # The traceback of the user's code is the cause, for whoever looks for it.
    causes, cause = [], error.value.__cause__
    while cause is not None:
        causes.append(type(cause))
        cause = cause.__cause__
    assert RuntimeError in causes
    assert not list(tmp_path.rglob("table.csv"))


def test_a_codec_fills_its_budget_or_is_refused() -> None:
    codec, content = OwnCodec.of_text(SEED), Content(Spec((4, 16, 16)))
    made: Any = codec.bound(content, 256, 700.0)
    assert made == Signs(700.0)
    with pytest.raises(ConfigError, match="give a larger budget"):
        OwnCodec.of_text(PICTURE).bound(Content(Spec((3, 128, 128)), "image"), 256, 700.0)
    assert OwnCodec.of_text(PICTURE).protocol == "centralized"
