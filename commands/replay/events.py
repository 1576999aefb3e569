"""Which events: ``--events A:B``, a number, or a list of both."""

from __future__ import annotations

import re
from collections.abc import Sequence

from daq.errors import InputError
from daq.source.recorded import merged

Ranges = Sequence[tuple[int, int]]
"""Event numbers, [begin, end) each, rising and apart."""

_ITEM = re.compile(r"([0-9]{1,18})(?::([0-9]{1,18}))?")


def parse_events(text: str | None) -> tuple[tuple[int, int], ...]:
    """Return the ranges that a text such as ``5,17,100:200`` names, none for None; raise `InputError` if it is wrong.

    Ranges are half open: ``100:200`` ends with event 199.
    """
    if text is None:
        return ()
    spans = []
    for item in text.split(","):
        if (found := _ITEM.fullmatch(item.strip())) is None:
            rule = "must be event numbers N or ranges A:B (half open), separated by commas"
            raise InputError(rule, key="--events", value=item.strip())
        begin = int(found[1])
        end = begin + 1 if found[2] is None else int(found[2])
        if end <= begin:
            raise InputError("a range A:B must have A < B, it ends before B", key="--events", value=item.strip())
        spans.append((begin, end))
    return merged(spans)


def spell(ranges: Ranges, most: int = 3) -> str:
    """Return ranges as `parse_events` reads them, the first few of many."""
    said = [str(begin) if end == begin + 1 else f"{begin}:{end}" for begin, end in ranges[:most]]
    return ",".join(said) + (", ..." if len(ranges) > most else "")


def numbers(ranges: Ranges) -> list[int]:
    """Return every event number of the ranges."""
    return [number for begin, end in ranges for number in range(begin, end)]
