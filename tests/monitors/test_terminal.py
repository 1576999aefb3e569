"""What people read at the terminal says what the status and the summary say."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from daq.stream.statistics import Statistics
from monitors.terminal import RunView, closing, duration

SUMMARY = {
    "name": "demo",
    "state": "DONE",
    "wall_s": 2.0,
    "generated": 1000,
    "l1_rejected": 600,
    "l1_dead": {"spacing": 3, "buffer": 0},
    "hlt_rejected": 300,
    "spooled": 97,
    "reconciles": True,
    "restarts": 1,
    "retries": 4,
    "delivered_fb": 0.002,
    "live_fb": 0.0019,
}


def test_the_last_lines_hold_the_books():
    """Every outcome, the dead time summed over its causes, and the luminosity."""
    text = closing(SUMMARY, Path("runs/x"))
    assert "generated 1,000 = L1 rejected 600 + L1 dead 3 + HLT rejected 300 + spooled 97" in text
    assert "500 events/s" in text
    assert "delivered 2 /pb, live 1.9 /pb" in text


def test_books_that_do_not_balance_are_not_written_as_an_equation():
    """An equals sign is a claim."""
    assert "DOES NOT EQUAL" in closing(SUMMARY | {"reconciles": False}, Path("runs/x"))
    assert "luminosity" not in closing(SUMMARY | {"delivered_fb": None, "live_fb": None}, Path("runs/x"))


def test_the_last_lines_say_what_the_pace_cost_and_who_was_slow():
    """Lost collisions and the slowest stage, where there are such."""
    slow = {"slowest_stage": "l1", "load": {"l1": 0.97, "hlt": 0.2}, "l1_dead": {"spacing": 3, "busy": 2048}}
    text = closing(SUMMARY | slow, Path("runs/x"))
    assert "slowest stage: l1, at work 97 % of the time" in text
    assert "2,048 collisions, dead time 'busy'" in text
    assert "L1 dead 2,051" in text
    assert "busy" not in closing(SUMMARY, Path("runs/x"))


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "-"), (1.78e-5, "18 us"), (5.6e-3, "5.6 ms"), (0.1, "100 ms"), (3.2, "3.2 s")]
)
def test_durations_have_two_digits_and_a_unit(seconds: float | None, text: str):
    """Quantiles are edges of buckets: more digits would lie."""
    assert duration(seconds) == text


def test_the_live_page_shows_each_stage():
    """State, blocks and one row per process, each on a line of its own."""
    counted = Statistics()
    counted["events_in"] = 5000
    counted["cpu_ns"] = 10_000_000
    process = {"slot": 0, "pid": 42, "restarts": 2, "statistics": counted.snapshot()}
    status = {
        "name": "demo",
        "state": "RUNNING",
        "blocks": 10,
        "blocks_done": 4,
        "processes": [{"role": "supervisor", "slot": 0, "pid": 1, "restarts": 0}]
        + [{"role": role, **process} for role in ("source", "l1", "hlt", "spool")],
    }
    out = io.StringIO()
    Console(file=out, width=100).print(RunView(live=False).page(status))
    lines = [line.split() for line in out.getvalue().splitlines()]
    assert lines[0] == ["darkline", "demo", "RUNNING", "4/10", "blocks"]
    assert lines[2][0] == "stage"
    assert [line[0] for line in lines[3:]] == ["source", "l1", "hlt", "spool"]
    assert lines[3][1:4] == ["42", "0", "2.00"]


QUANTILES = {"events": 900, "p50": 5.6, "p99": 7.5, "p99.9": 8.66, "max": 10.0}
LATENCY = {
    "policy": "flag",
    "block": QUANTILES,
    "event": QUANTILES | {"events": 0, "p50": None, "p99": None, "p99.9": None},
    "over_budget": 0,
    "kept_by_time": 0,
    "rejected_by_time": 0,
    "over_cap": 0,
    "lines": {},
}


def test_the_last_lines_hold_the_latency_of_the_hlt():
    """Quantiles always; overruns, decisions by time and unread events where there are some."""
    text = closing(SUMMARY | {"hlt_latency": LATENCY}, Path("runs/x"))
    assert text.splitlines()[-1] == "HLT latency: p50 5.6 us, p99 7.5 us, p99.9 8.7 us an event of a block"
    late = {
        "event": QUANTILES | {"events": 12},
        "policy": "reject",
        "over_budget": 1234,
        "rejected_by_time": 5,
        "over_cap": 2,
        "lines": {"muon": {"over_budget": 3}, "photon": {"over_budget": 7}, "quick": {"over_budget": 0}},
    }
    lines = closing(SUMMARY | {"hlt_latency": LATENCY | late}, Path("runs/x")).splitlines()[-4:]
    assert lines[0].endswith("alone (12 sampled)")
    assert lines[1] == ("over the latency budget: 1,234 events, policy 'reject'; sampled lines: photon (7), muon (3)")
    assert lines[2].startswith("WARNING: 5 decisions depended on time")
    assert lines[3] == "kept unread, too many objects: 2 events"
