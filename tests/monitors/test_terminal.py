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
