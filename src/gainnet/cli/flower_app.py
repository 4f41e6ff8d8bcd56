"""The components that Flower starts by name: an edge whose settings are those of the app, and a node with its own."""

from __future__ import annotations

from pathlib import Path

from gainnet.catalog.flower import AppSettings
from gainnet.catalog.terms import Terms, offer
from gainnet.learning.engines.flower.app import LOG, client_app_of, learn_with
from gainnet.learning.engines.turns import Admit
from gainnet.models.language import ABSTRACTS

# After `app`, which keeps telemetry off and says so where Flower is not installed.
from flwr.app import Context  # isort: skip
from flwr.serverapp import Grid, ServerApp  # isort: skip

# At the top level, since Flower looks the two components up in the module by name.
server_app = ServerApp()


@server_app.main()
def serve(grid: Grid, context: Context) -> None:
    """The edge of a run."""
    settings = AppSettings.of_table(context.run_config)
    session, out = settings.open(), Path(settings.out)
    offered = offer(settings.config, session.model, session.safeguards)
    learn_with(grid, session, offered, settings.timeout_s, out, lambda *found: LOG.info("round %d of %d: %.5f", *found))


def admit_of(context: Context) -> Admit:
    """Model and texts of a node, from its own configuration: `--node-config 'name=... texts=... model=...'`."""
    texts, model = context.node_config.get("texts"), context.node_config.get("model", ABSTRACTS)
    return Terms(str(model), texts=None if texts is None else Path(str(texts))).admit


def kept_of(context: Context) -> Path | None:
    """Folder of a node's keys and of what it has sent, from its own configuration: `--node-config 'kept=...'`."""
    kept = context.node_config.get("kept")
    return None if kept is None else Path(str(kept))


client_app = client_app_of(admit_of, kept_of)
