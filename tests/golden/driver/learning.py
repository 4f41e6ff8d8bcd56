"""Rounds of every algorithm of learning."""

from __future__ import annotations

import hashlib
import math
from typing import Any

from gainnet.catalog.learning import open_session
from gainnet.catalog.records import LearnConfig, SafeguardsConfig
from golden.driver.air import listening
from golden.driver.values import of_tensor, of_tensors, plain

SMALL = {
    "domains": ("cardiology", "oncology"),
    "num_texts": 6,
    "clients": 3,
    "rounds": 2,
    "num_steps": 2,
    "batch_size": 4,
    "row_length": 24,
}
FIRST = {"noise": "seeded", "accountant": "rdp"}
"""Privacy as the first code had it: noise that repeats, and Rényi divergences."""


def run(case: dict[str, Any]) -> dict[str, Any]:
    """Losses, costs and state after all rounds, the rows of the clients and the streams of all transmissions.

    Args:
        case: fields of the configuration by name; `safeguards` holds those of the safeguards.
    """
    fields = dict(case)
    # What of LoRA is averaged under safeguards was both factors then.
    fields["algorithm"] = fields["algorithm"].replace("lora", "lora(merging=factors)")
    safeguards = fields.pop("safeguards", None)
    config = LearnConfig(**{**SMALL, **fields})
    rows = {str(client.name): of_tensor(client.rows) for client in open_session(config).clients}
    with listening() as log:
        session = open_session(config, None if safeguards is None else SafeguardsConfig(**{**FIRST, **safeguards}))
        found = session.run()
    guarantee = session.safeguards.guarantee if session.safeguards else None
    return {
        "rows": rows,
        "rounds": plain(found.rounds),
        "state": of_tensors(found.state),
        "streams": hashlib.sha256("|".join(sorted(log)).encode()).hexdigest()[:32],
        "num_streams": len(log),
        "epsilon": None if guarantee is None else plain(guarantee.epsilon),
        "noise_multiplier": None if guarantee is None else plain(guarantee.noise_multiplier),
        "perplexity": math.exp(found.rounds[-1]["test_loss"]),
    }
