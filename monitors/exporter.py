"""/metrics of one process: a thread that reads the counters when it is asked, and never touches the event path."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import start_http_server
from prometheus_client.registry import Collector

from daq.stream.statistics import BUCKETS_S, Statistics
from monitors.metrics import LABELS, LATENCY_HELP, LATENCY_NAME, METRICS


class NodeCollector(Collector):
    """The counters of one node as OpenMetrics families, made anew at each scrape."""

    def __init__(self, statistics: Statistics, role: str, slot: int):
        self._statistics, self._labels = statistics, (role, str(slot))

    def collect(self) -> Iterable[Metric]:
        """Yield one family per row of the table, and the latency histogram."""
        for metric in METRICS:
            family = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
            shown = family(metric.name, metric.help, labels=LABELS)
            shown.add_metric(self._labels, self._statistics[metric.counter] * metric.scale)
            yield shown
        counts = np.array(self._statistics.latency)  # one copy: buckets and sum belong to the same moment
        edges = [*(f"{edge:.6g}" for edge in BUCKETS_S), "+Inf"]
        latency = HistogramMetricFamily(LATENCY_NAME, LATENCY_HELP, labels=LABELS)
        # The sum is that of the upper edges: the counters keep no other.
        total = float(counts[:-1] @ BUCKETS_S + counts[-1] * BUCKETS_S[-1])
        buckets = list(zip(edges, np.cumsum(counts).astype(float).tolist(), strict=True))
        latency.add_metric(self._labels, buckets, sum_value=total)
        yield latency


def serve(statistics: Statistics, role: str, slot: int) -> str:
    """Serve /metrics on a loopback port that the system chooses; return the address."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(statistics, role, slot))
    server, _ = start_http_server(0, addr="127.0.0.1", registry=registry)
    return f"http://127.0.0.1:{server.server_port}/metrics"
