"""The studies of learning: how their tables are read, and that the smoke runs give every metric."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gainnet.studies import knowledge_loop, learning_cost
from gainnet.studies.knowledge_loop import KNOWLEDGE_LOOP
from gainnet.studies.learning_cost import LEARNING_COST
from gainnet.studies.runner import run_study


def row(method: str, seed: int, loss: float, gigabytes: float, memory: float, before: float = 2.0) -> dict[str, Any]:
    return {
        "method": method, "skew": 0.0, "random_seed": seed, "num_samples": 10, "loss_before": before, "loss": loss,
        "perplexity": 10 * loss, "gigabytes": gigabytes, "device_memory_bytes": memory,
        "device_flops_per_step": memory / 2,
    }  # fmt: skip


def test_ratios_are_to_fedavg_of_the_same_seed() -> None:
    table = pd.DataFrame(
        [
            row("fedavg", 0, 1.0, 10.0, 100.0),
            row("fedavg", 1, 1.5, 20.0, 100.0),
            row("fsl.u_shape", 0, 0.5, 5.0, 40.0),
            row("fsl.u_shape", 1, 1.5, 20.0, 40.0),
            row("fsl.embedding_only", 0, 1.1, 5.0, 10.0),
            row("fpl.lora", 0, 1.2, 0.1, 90.0),
            row("fpl.soft_prompt", 0, 1.8, 0.01, 90.0, before=2.4),
        ]
    )
    table["measured_plain_step_s"], table["measured_private_step_s"] = 2.0, 2.3
    table.loc[len(table)] = table.iloc[0].to_dict() | {"method": "private_step.toy"}
    columns = {"peak_bytes.whole": 8.0, "held_bytes.whole": 4.0, "flops.whole": 2.0} | {
        f"{column}.{cut}": 1.0
        for column in ("peak_bytes", "held_bytes", "flops")
        for cut in ("u_shape", "embedding_only")
    }
    table[list(columns)] = list(columns.values())
    table.loc[len(table)] = table.iloc[0].to_dict() | {"method": "memory.llama"}
    found = learning_cost.summarise(table)
    assert [found[f"{what}_ratio.llama"] for what in ("memory", "held_memory", "flops")] == [1 / 8, 1 / 4, 1 / 2]
    assert found["private_step_ratio.toy"] == pytest.approx(1.15)
    assert found["fsl.u_shape.device_memory_of_fedavg"] == pytest.approx(0.4)
    assert found["fsl.u_shape.perplexity_of_fedavg"] == pytest.approx((0.5 + 1.0) / 2)
    assert found["fsl.perplexity_of_fedavg"] == pytest.approx(1.1), "the worse of the two cuts"
    assert found["fpl.lora.gain_of_fedavg"] == pytest.approx(0.8)
    assert found["fpl.soft_prompt.gain_of_fedavg"] == pytest.approx(0.2), "from the untuned model"
    assert learning_cost.best_prompt(found) == "fpl.lora"
    assert found["fpl.bits_of_fedavg"] == pytest.approx(0.01)
    assert set(found) <= set(learning_cost.METRIC_NAMES)
    assert learning_cost.best_prompt({}) is None


def test_gaps_and_shares() -> None:
    def losses(label: str, value: float) -> dict[str, float]:
        return {f"{label}.{domain}.loss": value for domain in knowledge_loop.DOMAINS}

    loop = (
        {"method": "loop", "random_seed": 0} | losses("cloud_0", 1.0) | losses("cloud_1", 0.6) | losses("edge_1", 0.5)
    )
    errors = dict(zip((f"cloud_1.{d}.fell_by_errors" for d in knowledge_loop.DOMAINS), (5.0, 1.9, 2.1), strict=True))
    late = {f"late.from_{s}.{r}.loss": v for s, v in (("cloud", 0.7), ("foundation", 0.9)) for r in (0, 1, 5)}
    joint = {"method": "joint", "random_seed": 0} | losses("cloud_0", 1.0) | losses("cloud_1", 0.5)
    found = knowledge_loop.summarise(pd.DataFrame([loop | errors | late, joint]))
    assert found["cloud_loss_fell_share"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["cloud_gap_to_joint"] == pytest.approx(0.2)
    assert found["edge_gap_to_joint"] == pytest.approx(0.0)
    assert found["late_edge_minus_foundation_loss"] == pytest.approx(-0.2)
    assert "fedavg_gap_to_joint" not in found


def test_regimes_are_compared_over_the_same_seeds() -> None:
    """A loop has a third random seed, which no arm of a regime has: it must not move a difference."""
    rows = [{"method": "loop", "random_seed": s, "loss": x} for s, x in ((0, 1.0), (1, 2.0), (2, 9.0))]
    rows += [{"method": "alike.skip_cloud", "random_seed": s, "loss": x} for s, x in ((0, 0.9), (1, 1.7))]
    rows += [
        {"method": f"differ.{arm}", "random_seed": 0, "loss": 3.0, "loss_everywhere": 5.0} for arm in ("loop", "joint")
    ]
    found = knowledge_loop.regime_losses(pd.DataFrame(rows))
    assert found["loss.alike.loop"] == 1.5
    assert found["loss.alike.loop_minus_skip_cloud"] == pytest.approx(0.2)
    assert (found["loss.differ.loop"], found["loss.differ_everywhere.joint"]) == (3.0, 5.0)
    assert set(found) < set(knowledge_loop.METRIC_NAMES)
    shorter = [row | {"is_shorter": row["method"] == "loop"} for row in rows]
    assert "loss.alike.loop_minus_skip_cloud" not in knowledge_loop.regime_losses(pd.DataFrame(shorter))


@pytest.mark.slow
@pytest.mark.parametrize("study", [LEARNING_COST, KNOWLEDGE_LOOP], ids=lambda study: study.name)
def test_the_smoke_run_has_every_metric(study: Any, tmp_path: Path) -> None:
    result = run_study(study, "quick", tmp_path)
    assert set(result.metrics) == set(study.metric_names)
    assert any(value is not None for value in result.metrics.values())
    assert result.figure_paths
