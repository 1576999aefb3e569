"""/metrics speaks OpenMetrics and shows what the process counted."""

from __future__ import annotations

import urllib.request

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from daq.stream.statistics import BUCKETS_S, COUNTERS, Statistics
from monitors.exporter import serve
from monitors.metrics import METRICS


def scrape(address: str) -> dict[str, dict]:
    """Return {sample name: {label values: value}} of one scrape, through the strict OpenMetrics parser."""
    request = urllib.request.Request(address, headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.name + sample.labels.get("le", ""): {(sample.labels["role"], sample.labels["worker"]): sample.value}
            for family in families
            for sample in family.samples
        }


@pytest.fixture
def statistics() -> Statistics:
    """Return counters of a process that did some work."""
    counted = Statistics()
    counted["blocks_in"] = 12
    counted["busy_ns"] = 2_500_000_000
    counted["queue"] = 3
    counted.observe(2e-6, 1000)
    counted.observe(5e-3, 24)
    counted.observe(60.0, 1)
    return counted


def test_a_scrape_shows_the_counters(statistics: Statistics):
    """Counts come out as they are, times in seconds, each with role and worker slot."""
    samples = scrape(serve(statistics, "hlt", 1))
    assert samples["darkline_blocks_received_total"] == {("hlt", "1"): 12}
    assert samples["darkline_busy_seconds_total"] == {("hlt", "1"): 2.5}
    assert samples["darkline_queue_blocks"] == {("hlt", "1"): 3}


def test_latency_is_a_cumulative_histogram(statistics: Statistics):
    """The first bucket holds the quick events, the one without end holds all."""
    samples = scrape(serve(statistics, "hlt", 0))
    name = "darkline_event_latency_seconds"
    assert samples[f"{name}_bucket{BUCKETS_S[0]:.6g}"] == {("hlt", "0"): 1000}
    assert samples[f"{name}_bucket{BUCKETS_S[-1]:.6g}"] == {("hlt", "0"): 1024}
    assert samples[f"{name}_bucket+Inf"] == {("hlt", "0"): 1025}
    assert samples[f"{name}_count"] == {("hlt", "0"): 1025}


def test_a_later_scrape_shows_later_numbers(statistics: Statistics):
    """Nothing is kept between scrapes."""
    address = serve(statistics, "l1", 0)
    before = scrape(address)["darkline_blocks_received_total"]
    statistics["blocks_in"] += 5
    assert scrape(address)["darkline_blocks_received_total"][("l1", "0")] == before[("l1", "0")] + 5


def test_every_metric_shows_a_counter_that_exists():
    """The table names counters of the stream, each once."""
    shown = [metric.counter for metric in METRICS]
    assert set(shown) <= {counter.name for counter in COUNTERS}
    assert len(set(shown)) == len(shown)
    gauges = {counter.name for counter in COUNTERS if counter.is_gauge}
    assert {metric.counter for metric in METRICS if metric.kind == "gauge"} <= gauges
