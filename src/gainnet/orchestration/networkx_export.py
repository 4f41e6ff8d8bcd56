"""The graph of a round for networkx: the only place that imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gainnet.core.errors import ConfigError, MissingExtraError
from gainnet.orchestration.graph import Graph

if TYPE_CHECKING:
    import networkx


def to_networkx(graph: Graph) -> networkx.Graph:
    """The graph of one scenario: vertices ("client", n) and ("model", m), an edge where the link can be used at all.

    Clients carry bandwidth_hz and cycles_per_s, models edge, num_bits and cycles_per_sample, edges num_targets,
    correlation, samples and gain.

    Args:
        graph: of one scenario, without batch.

    Raises:
        ConfigError: the graph has a batch of scenarios.
        MissingExtraError: networkx is not installed.
    """
    try:
        import networkx
    except ImportError:
        raise MissingExtraError("networkx", "orchestration") from None
    if graph.gain.dim() != 2:
        raise ConfigError(f"graph: a batch of {tuple(graph.gain.shape[:-2])} scenarios; give one of them")
    found = networkx.Graph()
    for n in range(graph.gain.shape[0]):
        pool = {"bandwidth_hz": float(graph.pool.bandwidth_hz[n]), "cycles_per_s": float(graph.pool.cycles_per_s[n])}
        found.add_node(("client", n), **pool)
    for m in range(graph.num_models):
        numbers = {name: float(getattr(graph.tasks, name)[0, m]) for name in ("num_bits", "cycles_per_sample")}
        found.add_node(("model", m), edge=int(graph.edge_of_model[m]), **numbers)
    features = {
        "num_targets": graph.num_targets,
        "correlation": graph.correlation,
        "samples": graph.workload.samples,
        "gain": graph.gain,
    }
    reachable = graph.exchange_s < graph.wide_pool.duration_s
    for n, m in reachable.nonzero().tolist():
        found.add_edge(("client", n), ("model", m), **{name: float(x[n, m]) for name, x in features.items()})
    return found
