"""Who is hung, who only computes, and who holds up the run."""

from __future__ import annotations

from typing import Any

import pytest

from daq.stream.supervision.health import Pulse, stalled_stage

HUNG_S = 10.0


def frame(*, blocks: int = 1, at: int = -1, queue: int = 0, **facts: str) -> dict[str, Any]:
    """Return a status frame."""
    counted = {"blocks_in": blocks, "blocks_out": blocks, "current_block": at, "queue": queue}
    return {"statistics": counted, **facts}


def pulse(name: str, *frames: tuple[float, dict[str, Any]]) -> Pulse:
    """Return what is known of a process, born at 0, after these frames."""
    known = Pulse(name)
    known.born(0.0)
    for now, each in frames:
        known.spoke(each, now)
    return known


@pytest.mark.parametrize(("share", "patience"), [(0.0, 1), (0.05, 1), (0.5, 10), (1.0, 10)])
def test_who_computes_gets_more_patience(share: float, patience: int):
    """A silent process that uses no CPU is hung after hung_s, one that computes after ten times as much."""
    silent = pulse("hlt-0", (1.0, frame()))
    assert not silent.is_hung(1.5, 100.0, HUNG_S)  # where its CPU time stood when it fell silent
    for after_s in (0.9, 1.1):
        silent_s = after_s * patience * HUNG_S
        assert silent.is_hung(1.0 + silent_s, 100.0 + share * silent_s, HUNG_S) == (after_s > 1)


def test_a_word_is_enough():
    """Whoever speaks is not hung; nor is whoever was not listened to."""
    known = pulse("l1-0", (1.0, frame()))
    assert known.is_hung(1.0 + 2 * HUNG_S, 0.0, HUNG_S)
    known.forgive(2 * HUNG_S)
    assert not known.is_hung(1.0 + 2 * HUNG_S, 0.0, HUNG_S)
    known.spoke(frame(), 100.0)
    assert not known.is_hung(101.0, 0.0, HUNG_S)


def chain(**frames: list[tuple[float, dict[str, Any]]]) -> list[Pulse]:
    """Return spool, hlt, l1 and source, each well and idle unless frames are given."""
    idle = [(0.0, frame()), (59.0, frame(blocks=2)), (60.0, frame(blocks=2))]
    return [pulse(f"{role}-0", *frames.get(role, idle)) for role in ("spool", "hlt", "l1", "source")]


@pytest.mark.parametrize(
    ("frames", "reason"),
    [
        ({"hlt": [(50.0, frame())]}, "hlt-0 has said nothing for 10 s"),
        ({"hlt": [(t, frame(at=17)) for t in (50.0, 60.0)]}, "hlt-0 has been at block 17 for 10 s"),
        ({"spool": [(60.0, frame(trouble="disk full"))], "hlt": [(50.0, frame())]}, "spool-0: disk full"),
        ({"l1": [(t, frame(queue=4)) for t in (50.0, 60.0)]}, "l1-0 has blocks that nobody takes"),
        ({"source": [(50.0, frame(queue=4))]}, "source-0 has said nothing"),
        ({}, None),
    ],
)
def test_the_stage_that_stalls_is_named(frames: dict[str, Any], reason: str | None):
    """Trouble, silence, a block that takes too long, blocks that nobody takes; who is further down is asked first."""
    found = stalled_stage(chain(**frames), 60.0, 2.0)
    assert found is None if reason is None else (found or "").startswith(reason)
