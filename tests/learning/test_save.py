"""Files of `learn` for a user: a page with round 0, ledger and who took part; an adapter that PEFT alone loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from gainnet.core.randomness import Random
from gainnet.learning.page import privacy_line
from gainnet.learning.save import save
from gainnet.learning.shares import totals_of
from gainnet.models.language import mean_loss, save_language_model, small_decoder, word_tokenizer
from page_desk import check_page

LOADS = """
import json, sys, torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(sys.argv[1]), sys.argv[2]).eval()
with torch.no_grad():
    print(json.dumps(model(input_ids=torch.arange(12).reshape(2, 6)).logits.flatten().tolist()))
assert not any(name.startswith("gainnet") for name in sys.modules)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_language_model(small_decoder(16, 3, 2), word_tokenizer(), tmp_path / "model")
    return tmp_path / "model"


def run(folder: Path, out: Path, safeguards: SafeguardsConfig | None = None, **changes: Any) -> tuple[Any, Any, Any]:
    small = {"row_length": 24, "clients": 3, "num_steps": 2, "batch_size": 2, "num_texts": 12, "rounds": 2, "rate": 0.1}
    config = LearnConfig(**{"model": str(folder), **small, **changes})
    session = open_session(config, safeguards)
    found = session.run(out)
    return session, found, save(session, found, out, config.algorithm)


@pytest.mark.slow
def test_the_page_shows_round_0_the_ledger_and_who_took_part(folder: Path, tmp_path: Path) -> None:
    session, found, summary = run(folder, tmp_path / "run", algorithm="fedavg", drop_out=0.5, share=0.6)
    html = (tmp_path / "run" / "report.html").read_text()
    assert json.loads((tmp_path / "run" / "summary.json").read_text()) == summary
    assert (tmp_path / "run" / "curves.png").read_bytes()[:4] == b"\x89PNG"
    check_page(html)
    assert [point["round"] for point in summary["curve"]] == [0, 1, 2]
    start = session.algorithm.model_of(session.algorithm.init(Random.of(0)))
    assert summary["start"]["test_loss"] == mean_loss(start, session.test_rows)
    assert all(p["test_loss_p10"] <= p["test_loss"] <= p["test_loss_p90"] for p in summary["curve"])
    marks = {name: client["marks"] for name, client in summary["took_part"].items()}
    assert set(marks) == {"device_0", "device_1", "device_2"}
    for index, detail in enumerate(found.details):
        asked = sum(share["kind"] == "device" for share in detail["nodes"].values())
        assert sum(mark[index] != "·" for mark in marks.values()) == asked == 2
    assert {"<h2>Ledger by node</h2>", "<h2>Privacy</h2>"} <= set(re.findall("<h2>[^<]*</h2>", html))
    assert "seen by the edge" in html


@pytest.mark.slow
def test_the_ledger_by_node_is_that_of_the_rounds(folder: Path, tmp_path: Path) -> None:
    _, found, summary = run(folder, tmp_path / "run", algorithm="fsl", link="ideal")
    devices = [node for node in summary["nodes"].values() if node["kind"] == "device"]
    assert sum(node["num_bits_sent"] for node in devices) == found.report["num_bits_up"]
    # Split learning broadcasts nothing: what is sent is received once.
    assert sum(node["num_bits_received"] for node in devices) == found.report["num_bits_down"]
    energy_j = sum(n["compute_energy_j"] + n["radio_energy_j"] for n in summary["nodes"].values())
    assert energy_j == pytest.approx(found.report["energy_j"])
    assert next(iter(summary["nodes"])) == "edge"
    assert totals_of([]) == {}
    assert summary["adapter"] is None


@pytest.mark.slow
def test_privacy_that_is_spent_stands_on_the_page(folder: Path, tmp_path: Path) -> None:
    guarded = SafeguardsConfig(privacy="client", accountant="rdp")
    _, _, summary = run(folder, tmp_path / "run", guarded, algorithm="adapter", rounds=1)
    html = (tmp_path / "run" / "report.html").read_text()
    epsilon = f"{summary['privacy']['epsilon']:.3g}"
    assert f"Every client: epsilon {epsilon} at delta 1e-05" in html
    assert "Not private: the noise repeats" in privacy_line({**summary["privacy"], "private": False})


@pytest.mark.slow
def test_a_run_that_was_stopped_leaves_the_same_page(folder: Path, tmp_path: Path) -> None:
    _, _, whole = run(folder, tmp_path / "whole", algorithm="lora")
    run(folder, tmp_path / "parts", algorithm="lora", rounds=1)
    _, _, parts = run(folder, tmp_path / "parts", algorithm="lora")
    assert parts == whole
    for name in ("report.html", "curves.png"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize(
    "algorithm", ["lora", "adapter", "soft_prompt", "split_lora", "lora(merging='frozen')", "lora(merging='stacked')"]
)
def test_peft_alone_loads_the_adapter(algorithm: str, folder: Path, tmp_path: Path) -> None:
    session, found, _ = run(folder, tmp_path / "run", algorithm=algorithm)
    model = session.algorithm.model_of(found.state)
    with torch.no_grad():
        wanted = model(input_ids=torch.arange(12).reshape(2, 6)).logits.flatten()
        plain = small_decoder(16, 3, 2)(input_ids=torch.arange(12).reshape(2, 6)).logits.flatten()
    command = [sys.executable, "-W", "ignore", "-c", LOADS, str(folder), str(tmp_path / "run" / "adapter")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=120, check=True)
    loaded = torch.tensor(json.loads(done.stdout.splitlines()[-1]))
    torch.testing.assert_close(loaded, wanted, rtol=0, atol=1e-5)
    assert loaded.shape != plain.shape or not torch.allclose(loaded, plain, atol=1e-4), "something was trained"
