"""Waiting for a condition: the only way in which a test may let time pass."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def wait_for(condition: Callable[[], Any], what: str = "a condition", limit_s: float = 120) -> Any:
    """Return the first true value of ``condition``; fail if it does not come."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited {limit_s} s in vain for {what}"
        time.sleep(0.005)  # polling interval, not a wait for work to be done
    return value
