"""Numbers of the edge for Prometheus: `GET /metrics`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, final

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from gainnet.core.report import Direction, Report
from gainnet.service.engine import Engines
from gainnet.service.http.jobs import Job, Jobs

WAYS: Final[tuple[Direction, ...]] = ("up", "down", "backhaul")
SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0)


@final
class Metrics:
    """Counters of an edge for Prometheus. Labels are fixed words: nothing that a client wrote names a series.

    Args:
        jobs: whose ends are counted.
    """

    def __init__(self, jobs: Jobs) -> None:
        # A registry of its own, since a process may hold several edges, as tests do.
        self.registry = CollectorRegistry()
        shared: dict[str, Any] = {"registry": self.registry}
        self._requests = Counter(
            "gainnet_requests", "Requests that ended, of programs and devices.", ["outcome"], **shared
        )
        self._refused = Counter("gainnet_refused", "Requests that the doors refused.", ["code"], **shared)
        self._latency = Histogram(
            "gainnet_request_seconds", "From arrival to the end.", ["outcome"], buckets=SECONDS, **shared
        )
        self._uses = Counter("gainnet_channel_uses", "Complex channel uses of finished requests.", ["way"], **shared)
        self._failures = Counter("gainnet_node_failures", "Nodes that died in a request.", **shared)
        self._joules = Counter("gainnet_joules", "Modelled energy of finished requests, J.", **shared)
        self.registry.register(_EngineCollector(jobs.engines))

    def ended(self, job: Job) -> None:
        """Counts a job that has ended."""
        self.count(job.state, (job.end_s or job.begin_s) - job.begin_s, job.report)

    def count(self, outcome: str, duration_s: float, report: Report | None, num_failures: int = 0) -> None:
        """Counts a request that has ended.

        Args:
            outcome: done, failed or cancelled.
            duration_s: from its arrival on.
            report: what it cost, where that is known.
            num_failures: nodes that died meanwhile.
        """
        self._requests.labels(outcome).inc()
        self._latency.labels(outcome).observe(duration_s)
        self._failures.inc(num_failures)
        if report is not None and outcome == "done":
            for way in WAYS:
                self._uses.labels(way).inc(report.num_channel_uses(way))
            self._joules.inc(report.energy_j)

    def refused(self, code: str) -> None:
        """Counts what the doors refused, by the code of the answer."""
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        """All of them in Prometheus' format."""
        return generate_latest(self.registry)


@final
class _EngineCollector(Collector):
    """Counters of the engines, read when they are asked for."""

    def __init__(self, engines: Engines) -> None:
        self._engines = engines

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        status = self._engines.status()
        yield GaugeMetricFamily("gainnet_open_requests", "Requests in the engine.", status.num_open)
        yield GaugeMetricFamily("gainnet_waiting_passes", "Passes that wait for their tick.", status.num_waiting)
        yield GaugeMetricFamily("gainnet_batch_occupancy", "Mean rows of a denoiser pass.", status.occupancy)
        yield CounterMetricFamily("gainnet_late_requests", "Requests that ended after their deadline.", status.late)
        for name, text, values in (
            ("gainnet_passes", "Passes of a network over a batch.", status.num_ticks),
            ("gainnet_rows", "Rows of all passes of a network.", status.num_rows),
            ("gainnet_busy_seconds", "Processor time of a network.", status.busy_s),
        ):
            family = CounterMetricFamily(name, text, labels=["network"])
            for network, value in values.items():
                family.add_metric([network], value)
            yield family
