"""Each metric once: name, kind, help, and the counter of `daq.stream.statistics` that it shows.

OpenMetrics conventions: one prefix, base units (seconds, bytes), counters that end in ``_total``, few labels with few
values (``role``, ``worker``: a slot, never a pid).
"""

from __future__ import annotations

from typing import NamedTuple


class Metric(NamedTuple):
    """One number on /metrics; the latency histogram stands beside the table."""

    name: str
    kind: str  # "counter" or "gauge"
    help: str
    counter: str
    scale: float = 1.0  # from the unit of the counter to the base unit


METRICS: tuple[Metric, ...] = (
    Metric("darkline_blocks_received", "counter", "Blocks received, or made by the source.", "blocks_in"),
    Metric("darkline_blocks_sent", "counter", "Blocks sent, or made durable by the spool.", "blocks_out"),
    Metric("darkline_events_received", "counter", "Events alive in the blocks received.", "events_in"),
    Metric("darkline_events_sent", "counter", "Events alive in the blocks sent.", "events_out"),
    Metric("darkline_received_bytes", "counter", "Bytes of the blocks received.", "bytes_in"),
    Metric("darkline_sent_bytes", "counter", "Bytes of the blocks sent, or on disk.", "bytes_out"),
    Metric("darkline_busy_seconds", "counter", "Time spent on blocks.", "busy_ns", 1e-9),
    Metric("darkline_cpu_seconds", "counter", "CPU time of the process.", "cpu_ns", 1e-9),
    Metric("darkline_wire_errors", "counter", "Frames that did not check out.", "wire_errors"),
    Metric("darkline_refused", "counter", "Messages of barred peers, and peers that were not let in.", "refused"),
    Metric("darkline_resends", "counter", "Blocks sent once more by the source.", "resends"),
    Metric("darkline_lost_blocks", "counter", "Blocks whose collisions could not be handed over.", "lost_blocks"),
    Metric("darkline_disk_errors", "counter", "Times that a part could not be stored.", "disk_errors"),
    Metric("darkline_duplicates", "counter", "Blocks that the spool had already.", "duplicates"),
    Metric("darkline_starts", "counter", "Times the process was started.", "starts"),
    Metric("darkline_queue_blocks", "gauge", "Blocks held in the process.", "queue"),
    Metric("darkline_queue_age_seconds", "gauge", "Age of the oldest block held.", "oldest_ms", 1e-3),
    Metric("darkline_credits_blocks", "gauge", "Blocks that could be sent now.", "credits"),
)

LATENCY_NAME = "darkline_event_latency_seconds"
LATENCY_HELP = "Time of a stage for one event: the time for its block over the events of the block."
LABELS = ("role", "worker")
