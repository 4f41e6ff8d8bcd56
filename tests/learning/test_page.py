"""The page of a run of learning: readable by everybody, and made of its numbers alone."""

from __future__ import annotations

from typing import Any

from gainnet.learning.page import page
from gainnet.learning.runner import Run
from page_desk import HOSTILE, check_page

POINT = {"test_loss": 0.5, "test_loss_p10": 0.25, "test_loss_p90": 1.0}
COST = {"duration_s": 1.5, "energy_j": 2.0, "num_bits_up": 8e6, "num_bits_down": 4e6, "num_lost": 0.0}
NODE = {
    "kind": "device", "num_rounds": 1, "flops": 1e9, "num_bits_sent": 8e6, "num_bits_received": 4e6, "num_lost": 0,
    "compute_energy_j": 1.0, "radio_energy_j": 1.0, "idle_energy_j": 0.5,
}  # fmt: skip


def summary_of(name: str) -> dict[str, Any]:
    """As of one round of one client, who and whose model have that name."""
    return {
        "algorithm": "fedavg",
        "settings": {"model": name, "clients": 1},
        "rounds": [{"round": 1, "test_loss": 0.25, **COST}],
        "curve": [{"round": 0, **POINT}, {"round": 1, **POINT, "test_loss": 0.25}],
        "nodes": {name: NODE},
        "took_part": {name: {"num_rows": 12, "marks": "●"}},
        "privacy": None,
        "adapter": name,
    }


def test_h13_a_page_is_for_everybody_and_escapes_what_others_wrote() -> None:
    html = page(summary_of(HOSTILE), b"", b"")
    check_page(html)
    assert "0.500 nats per token in round 0, 0.250 in round 1" in html
    assert "1.000 up and 0.500 down" in html


def test_m7_a_run_is_short_in_a_terminal_and_a_picture_in_a_notebook() -> None:
    record = {"round": 1, "test_loss": 0.25, **COST}
    detail = {"round": 1, "test_loss_p10": 0.1, "test_loss_p90": 0.5, "nodes": {}}
    run = Run({}, (record,), (detail,))
    assert repr(run).splitlines() == [
        "Run of 1 round, 0 values trained",
        "  test loss: 0.2500",
        "  cost: 1.000 MB up, 0.500 MB down, 1.5 s, 2 J",
    ]
    assert run._repr_html_().startswith('<img alt="test loss and bits by round" src="data:image/png;base64,')
    assert "<img" not in Run({}, (record,))._repr_html_()
    assert Run({}, ())._repr_html_() == "<pre>Run of 0 rounds</pre>"
