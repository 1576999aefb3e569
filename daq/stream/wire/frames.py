"""Status frames: what a process says of itself, several times a second, to whoever watches. They may be lost.

A frame is a small table of plain values. Whoever reads one trusts nothing in it: a frame that is damaged, oversized or
of a process that is not part of the run is a `WireError`, and what status.json shows is JSON whatever came.
"""

from __future__ import annotations

import math
from typing import Any

import msgspec

from daq.errors import WireError
from daq.stream.statistics import COUNTERS
from daq.stream.wire.peers import name_of

MAX_FRAME_BYTES = 1 << 16
_MOST_DEPTH = 6
_FACTS: dict[str, tuple[type, ...]] = {
    "role": (str,), "slot": (int,), "pid": (int,), "host": (str,), "endpoint": (str,), "metrics_url": (str,),
    "statistics": (dict,), "done": (int,), "finished": (bool,), "failure": (str,), "trouble": (str,),
}  # fmt: skip
"""Type of each fact that the supervisor acts on or shows; others must only be plain."""
_ALWAYS = ("role", "slot", "pid", "statistics")


def write_frame(facts: dict[str, Any]) -> bytes:
    """Return a status frame."""
    return msgspec.msgpack.encode(facts)


def read_frame(frame: bytes) -> tuple[str, dict[str, Any]]:
    """Return (name of the process, its facts); raise `WireError` if the frame is not one of ours."""
    if len(frame) > MAX_FRAME_BYTES:
        raise WireError(f"status frame: {len(frame)} bytes, the most is {MAX_FRAME_BYTES}")
    try:
        facts = msgspec.msgpack.decode(frame, type=dict[str, Any])
        _check_plain(facts)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(f"status frame: {error}") from None
    for fact, types in _FACTS.items():
        value = facts.get(fact)
        if (value is None and fact in _ALWAYS) or (value is not None and type(value) not in types):
            raise WireError(f"status frame: {fact}: must be {types[0].__name__}, is {type(value).__name__}")
    for counter in COUNTERS:
        if type(facts["statistics"].get(counter.name)) is not int:
            raise WireError(f"status frame: statistics: {counter.name}: must be int")
    name = f"{facts['role']}-{facts['slot']}"
    if name_of(name.encode()) is None:
        raise WireError(f"status frame: no process of a run is called {name[:40]!r}")
    return name, facts


def _check_plain(value: Any, depth: int = 0) -> None:
    """Raise `ValueError` unless the value can be written as JSON that everybody can read."""
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deep")
    match value:
        case dict():
            if any(not isinstance(key, str) for key in value):
                raise ValueError("a key is no text")
            for inner in value.values():
                _check_plain(inner, depth + 1)
        case list():
            for inner in value:
                _check_plain(inner, depth + 1)
        case float() if not math.isfinite(value):
            raise ValueError(f"{value} is no number")
        case None | bool() | int() | float() | str():
            pass
        case _:
            raise ValueError(f"{type(value).__name__} is not plain")
