"""Which events `--events` names."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.replay.command import pace_of
from commands.replay.events import numbers, parse_events, spell
from daq.errors import InputError

spans = st.tuples(st.integers(0, 400), st.integers(1, 60)).map(lambda span: (span[0], span[0] + span[1]))


@given(st.lists(spans, min_size=1, max_size=8))
def test_a_list_names_each_event_once(chosen: list[tuple[int, int]]):
    """However its items overlap: the ranges rise, lie apart, and hold the union."""
    ranges = parse_events(",".join(f"{begin}:{end}" for begin, end in chosen))
    assert numbers(ranges) == sorted({number for begin, end in chosen for number in range(begin, end)})
    assert all(one[1] < other[0] for one, other in pairwise(ranges))
    assert parse_events(spell(ranges, most=len(ranges))) == ranges


@pytest.mark.parametrize(
    "text", ["", "a", "5:5", "7:3", "-1", "1:", ":4", "1,,2", "1:2:3", "0x10", "1e3", "1.5", "9" * 19]
)
def test_what_names_no_events(text: str):
    """Answered with the item and the rule."""
    with pytest.raises(InputError, match="--events"):
        parse_events(text)


@pytest.mark.parametrize(
    ("speed", "pace"), [("max", "max"), ("1", "real"), ("1.0", "real"), ("10", "x10"), ("0.5", "x0.5")]
)
def test_speeds(speed: str, pace: str):
    """Real time is a pace of its own name."""
    assert pace_of(speed) == pace


@pytest.mark.parametrize("speed", ["0", "-1", "fast", "inf", "nan", "", "1e9", "x10"])
def test_what_is_no_speed(speed: str):
    """Refused with the rule."""
    with pytest.raises(InputError, match="--speed"):
        pace_of(speed)
