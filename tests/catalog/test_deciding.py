"""A configuration in texts is decided: what is chosen is opened and runs; what was not measured is refused."""

from __future__ import annotations

from typing import Any

import pytest

from gainnet.catalog.deciding import decided, described, unmeasured, wanted_of
from gainnet.catalog.opening import air_of, open_request
from gainnet.catalog.records import GenerationConfig
from gainnet.core.errors import ConfigError
from gainnet.core.types import Bits
from gainnet.generation.cell import Cell
from gainnet.generation.decision import load_table

ASKED = GenerationConfig(("a red star",), snr_db=5.0, hardware="laptop")


def test_a_decided_configuration_names_what_the_table_does() -> None:
    config, decision = decided(ASKED, wanted_of({"decide": "uses", "min_psnr_db": 25.0, "max_energy_j": 40.0}))
    settings = decision.chosen.configuration.settings
    assert (config.protocol, config.edge_power) == (settings["protocol"], decision.chosen.power)
    assert described(decision)["configuration"] == decision.chosen.configuration.name


@pytest.mark.slow
def test_every_configuration_of_the_table_opens() -> None:
    from gainnet.models.loading import load_model

    model = load_model("scenes")
    for each in load_table().configurations:
        request = open_request(GenerationConfig(("a red star",), **each.settings), model)
        assert request.make_plan().plan.steps


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"num_edges": 2}, "num_edges"), ({"protocol": "ciag"}, "protocol"), ({"fading": "ideal"}, "fading"),
     ({"model": "emoji"}, "model"), ({"harq": "ir"}, "harq")],
)  # fmt: skip
def test_what_is_decided_or_was_not_measured_is_left_out(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=f"^{field}: "):
        decided(GenerationConfig(("a red star",), **changes), wanted_of({"decide": "latency"}))
    assert unmeasured(ASKED) is None
    with pytest.raises(ConfigError, match="max_energy_j: must be a number"):
        wanted_of({"decide": "latency", "max_energy_j": "much"})


def test_a_share_of_power_is_of_the_edge_alone() -> None:
    cell, full = (air_of(GenerationConfig(("x",), snr_db=10.0, edge_power=share)) for share in (0.5, 1.0))
    assert isinstance(cell, Cell)
    assert isinstance(full, Cell)
    down, before = (each.network().links["edge", "device"][0] for each in (cell, full))
    assert down.air.snr_db == pytest.approx(10.0 - 3.0103, abs=1e-3)
    assert down.radios.tx_power_w == pytest.approx(0.5 * before.radios.tx_power_w)
    assert cell.network().link("device", "edge", Bits) == full.network().link("device", "edge", Bits)
    with pytest.raises(ConfigError, match="edge_power"):
        GenerationConfig(("x",), edge_power=0.0)
