"""What the operator sees: metrics, the status and its events, the description of the interface."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families

from gainnet.cli import app
from gainnet.service.measured import measured
from service.http.conftest import Served

SEED = {"prompt": "a star", "gainnet": {"protocol": "eiug", "snr_db": 5.0, "num_channel_uses": 256}}


@pytest.mark.slow
def test_metrics_count_what_was_served(served: Served) -> None:
    def numbers() -> dict[str, float]:
        families = text_string_to_metric_families(httpx.get(f"{served.url}/metrics").text)
        return {f"{s.name}{sorted(s.labels.items())}": s.value for family in families for s in family.samples}

    before = numbers()
    assert httpx.post(f"{served.url}/v1/images/generations", json=SEED, timeout=30.0).status_code == 200
    after = numbers()
    grown = {name: value - before.get(name, 0.0) for name, value in after.items()}
    assert grown["gainnet_requests_total[('outcome', 'done')]"] == 1.0
    assert grown["gainnet_channel_uses_total[('way', 'down')]"] == 256.0
    assert grown["gainnet_rows_total[('network', 'unet')]"] == 8.0
    assert grown["gainnet_joules_total[]"] > 0.0
    assert after["gainnet_open_requests[]"] == 0.0
    # Orchestration plans with them.
    found = measured(served.url)
    num = after["gainnet_requests_total[('outcome', 'done')]"]
    assert found.spectrum_hz_s == after["gainnet_channel_uses_total[('way', 'down')]"] / num
    assert min(found.requests_per_s, found.busy_s) > 0


def test_the_status_says_what_the_dashboard_shows(served: Served) -> None:
    assert httpx.post(f"{served.url}/v1/images/generations", json=SEED, timeout=30.0).is_success
    status = httpx.get(f"{served.url}/v1/status").json()
    assert {"topology", "connected", "engine", "requests", "counts", "failures", "energy", "uses"} <= set(status)
    assert status["requests"][-1]["state"] == "done"
    assert status["requests"][-1]["step"] == status["requests"][-1]["num_steps"] == 4
    assert status["engine"]["ticks"][-1]["begin_s"] < 0.0
    # What the edge has asked of itself to get warm is nobody's request.
    assert {each["kind"] for each in status["requests"]} == {"images"}
    begun = [each["begin_s"] for each in status["requests"][-1]["begun"]]
    assert begun == sorted(begun)
    assert status["requests"][-1]["begun"][-1]["label"] == "decoder @ device"
    numbers = {number for tick in status["engine"]["ticks"] for number in tick["requests"]}
    assert status["requests"][-1]["number"] in numbers
    with httpx.stream("GET", f"{served.url}/v1/events") as events:
        lines = events.iter_lines()
        assert next(lines) == "event: status"
        assert json.loads(next(lines).removeprefix("data: "))["model"] == "scenes"


def test_the_interface_is_described_with_examples(served: Served) -> None:
    described = httpx.get(f"{served.url}/v1/openapi.json").json()
    post = described["paths"]["/v1/images/generations"]["post"]
    assert "plain" in post["requestBody"]["content"]["application/json"]["examples"]
    assert {"/v1/images/edits", "/v1/models", "/decode", "/healthz", "/readyz", "/metrics"} <= set(described["paths"])


@pytest.mark.slow
def test_orchestrate_plans_for_what_a_running_edge_counted(served: Served, tmp_path: Path) -> None:
    assert httpx.post(f"{served.url}/v1/images/generations", json={"prompt": "a star"}, timeout=30.0).is_success
    arguments = ["orchestrate", "--edge", served.url, "--num-clients", "6", "--rounds", "2", "--policy", "greedy"]
    found = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path), "--json"])
    assert found.exit_code == 0, found.output
    asked = json.loads(found.stdout)["requests"]
    assert asked["is_measured"]
    assert asked["offered_per_s"] == pytest.approx(sum(each["per_s"] for each in asked["classes"]))
    assert {row["policy"] for row in asked["policies"]} == {"online", "priority", "static_split"}
    assert "as a running edge counted" in (tmp_path / "report.html").read_text(encoding="utf-8")
