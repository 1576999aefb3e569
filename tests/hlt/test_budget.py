"""Budgets, with a clock that the test turns: what is measured, what is flagged, and what a policy makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from daq.event import EventBatch
from daq.latency import EDGES_US
from hlt.budget import Meter
from hlt.emulator import HltEmulator
from hlt.menu import HltMenu
from tests.hlt.vectors import BEAM

LINES = ({"name": "third", "cut": "bha3d"}, {"name": "none", "cut": "false"})
N = 60
L1 = {"bha3d": np.arange(N) % 3 == 0}
NEVER = np.zeros(N, dtype=np.bool_)


def batch(first: int = 0, size: int = N) -> EventBatch:
    """Return empty events with numbers from ``first``."""
    return EventBatch(size, {"event": np.arange(first, first + size), "run": np.ones(size)})


def meter_of(steps_us: Callable[[int], float] | float, lines: Any = LINES, **budget: Any) -> Meter:
    """Return a meter whose clock goes on by ``steps_us(k)`` between its looks 2 k and 2 k + 1, and not otherwise."""
    menu = HltMenu.model_validate({"name": "test", "line": lines, "budget": budget})
    looks = 0

    def clock() -> int:
        nonlocal looks
        looks += 1
        took = steps_us((looks - 1) // 2) if callable(steps_us) else steps_us
        return round(1e3 * took) if looks % 2 == 0 else 0

    return Meter(HltEmulator(menu, seed=1, beam=BEAM), seed=1, clock=clock)


def test_within_budget_nothing_is_flagged():
    """Decisions are those of the emulator; the note holds the time of the block for each of its events."""
    measured = meter_of(6.0 * N, sample=0, event_us=6.5).process(batch(), L1, NEVER)
    assert measured.block_us == pytest.approx(6.0)
    assert_array_equal(measured.result.accept, L1["bha3d"])
    assert not measured.result.over_budget.any()
    assert np.isnan(measured.event_us).all()
    (place,) = measured.note["block_bins"]
    assert EDGES_US[place - 1] < 6.0 <= EDGES_US[place]
    assert measured.note["block_counts"] == [N]
    assert measured.note["over_budget"] == measured.note["over_cap"] == [0]
    assert "line_ns" not in measured.note


@pytest.mark.parametrize(
    ("policy", "kept", "decided"), [("flag", 20, [0, 0]), ("accept", 60, [40, 0]), ("reject", 2, [0, 18])]
)
def test_a_policy_decides_about_a_block_over_budget(policy: str, kept: int, decided: list[int]):
    """All its events are flagged; what must be kept is kept, and the note says how many decisions that made."""
    always = np.isin(np.arange(N), [3, 6, 7]) & (policy == "reject") & L1["bha3d"]
    measured = meter_of(7.0 * N, sample=0, event_us=6.5, policy=policy).process(batch(), L1, always)
    assert measured.result.over_budget.all()
    assert measured.result.accept.sum() == kept
    assert measured.note["decided"] == decided
    assert measured.note["over_budget"] == [N]


def test_an_event_over_the_cap_is_kept_even_if_it_was_slow():
    """The cost cap keeps and flags; a budget of time can't take that back."""
    tracks = {"tracks.offsets": np.array([0, 65, 65])}
    for name in ("charge", "omega_per_cm"):
        tracks[f"tracks.{name}"] = np.ones(65)
    events = EventBatch(2, {"event": np.arange(2), "run": np.ones(2), **tracks})
    measured = meter_of(1e9, sample=0, policy="reject").process(events, {}, NEVER[:2])
    assert_array_equal(measured.result.over_cap, [True, False])
    assert_array_equal(measured.result.accept, [True, False])
    assert measured.note["over_cap"] == [1]


def test_sampled_events_are_the_same_for_any_block():
    """Which events are timed alone is a matter of their numbers, one in so many of them."""
    meter = meter_of(1.0, sample=5)
    size = 5000
    whole = ~np.isnan(meter.process(batch(0, size), {}, np.zeros(size, dtype=bool)).event_us)
    assert abs(whole.sum() - size / 5) < 5 * np.sqrt(size / 5)
    parts = [
        ~np.isnan(meter.process(batch(first, 50), {}, np.zeros(50, dtype=bool)).event_us) for first in range(0, 500, 50)
    ]
    assert_array_equal(np.concatenate(parts), whole[:500])


def test_each_line_is_timed_on_each_sampled_event():
    """After the block come, for each event, the event alone and then its lines; times of lines are for one copy."""
    took_us = [1.0, 40.0, 512.0, 1024.0]  # block, event, two lines on 512 copies

    def steps(look: int) -> float:
        return took_us[look] if look < 4 else took_us[1 + (look - 1) % 3]

    meter = meter_of(steps, sample=1, event_us=39.0, line_us=1.5)
    measured = meter.process(batch(), L1, NEVER)
    assert_array_equal(measured.event_us, 40.0)
    assert measured.result.over_budget.all()
    assert measured.note["line_ns"] == [1000 * N, 2000 * N]
    assert measured.note["line_max_ns"] == [1000, 2000]
    assert measured.note["line_over"] == [0, N]
    assert sum(measured.note["event_counts"]) == N


@pytest.mark.parametrize(("budget_us", "expected"), [(1.5, True), (2.5, False)])
def test_a_line_over_its_own_budget_flags_the_event(budget_us: float, expected: bool):
    """The event may be quick and the block too."""
    lines = (LINES[0], {**LINES[1], "budget_us": budget_us})
    meter = meter_of(lambda look: 1024.0 if look and look % 3 == 0 else 1.0, lines, sample=1, event_us=100.0)
    measured = meter.process(batch(), L1, NEVER)
    assert measured.result.over_budget.all() == measured.result.over_budget.any() == expected
    assert measured.note["line_over"] == [0, N * expected]


def test_a_block_without_events():
    """Nothing to measure is no error."""
    measured = meter_of(1.0, sample=1).process(batch(0, 0), {}, NEVER[:0])
    assert measured.note["block_counts"] == []
    assert measured.result.accept.size == measured.event_us.size == 0


def test_a_real_clock_changes_no_decision():
    """With the policy ``flag`` the decisions are those of the emulator alone, however late it gets."""
    emulator = HltEmulator(HltMenu.model_validate({"name": "test", "line": LINES}), seed=1, beam=BEAM)
    slow = meter_of(1e12, sample=2).process(batch(), L1, NEVER).result
    plain = emulator.process(batch(), L1)
    assert slow.over_budget.all()
    for name in ("raw", "prescaled", "accept", "over_cap"):
        assert_array_equal(getattr(slow, name), getattr(plain, name))
