"""Run states as a table: what may be asked of a run in each state, and where it leads.

::

    BOOTED -> CONFIGURED -> RUNNING <-> PAUSED
                               |          |
                               +--> DRAINING --> DONE
    FAILED and ABORTED can be reached from every state that is not an end.

A run that is held waits in CONFIGURED for the command to start. A paused one makes no new blocks; time in which
nobody looks at collisions is not part of the run. A run drains when its source makes no more blocks than complete the
part at hand and what is in flight becomes durable; it ends by count, never by silence. It is DONE when the books
balance, FAILED when they do not or a process could not be kept alive, ABORTED when nobody waited for the drain.
"""

from __future__ import annotations

from enum import StrEnum

from daq.errors import RunError


class RunState(StrEnum):
    """Where a run stands."""

    BOOTED = "BOOTED"  # run directory made, no process yet
    CONFIGURED = "CONFIGURED"  # kernels warm, processes started
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    DRAINING = "DRAINING"
    DONE = "DONE"
    FAILED = "FAILED"
    ABORTED = "ABORTED"


class Command(StrEnum):
    """What is asked of a run, by its operator or by the supervisor itself."""

    CONFIGURE = "configure"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    STOP = "stop"
    FINISH = "finish"
    FAIL = "fail"
    ABORT = "abort"


ORDERS = (Command.START, Command.PAUSE, Command.RESUME, Command.STOP, Command.ABORT)
"""What an operator may ask for; the rest is for the supervisor to say."""

_S, _C = RunState, Command
_GIVE_UP = {_C.FAIL: _S.FAILED, _C.ABORT: _S.ABORTED}

MOVES: dict[RunState, dict[Command, RunState]] = {
    _S.BOOTED: {_C.CONFIGURE: _S.CONFIGURED, **_GIVE_UP},
    _S.CONFIGURED: {_C.START: _S.RUNNING, **_GIVE_UP},
    _S.RUNNING: {_C.PAUSE: _S.PAUSED, _C.STOP: _S.DRAINING, **_GIVE_UP},
    _S.PAUSED: {_C.RESUME: _S.RUNNING, _C.STOP: _S.DRAINING, **_GIVE_UP},
    _S.DRAINING: {_C.FINISH: _S.DONE, **_GIVE_UP},
    _S.DONE: {},
    _S.FAILED: {},
    _S.ABORTED: {},
}
"""State -> command -> next state; what is not here is not allowed."""


def move(state: RunState, command: Command) -> RunState:
    """Return the state that ``command`` leads to; raise `RunError` with the rule if it is not allowed in ``state``."""
    allowed = MOVES[state]
    if command not in allowed:
        known = ", ".join(allowed) or "nothing, the run has ended"
        raise RunError(f"a run that is {state} cannot {command} (allowed: {known})")
    return allowed[command]
