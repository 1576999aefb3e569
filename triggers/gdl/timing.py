"""What an accept costs: for how long the L1 is blind after it, by minimum spacing and by the front-end buffers.

Three rules, each of which can be off; an accept needs all of them:

* *spacing*: the accept before is at least ``minimum_spacing_ns`` ago;
* *window* (throttling, as for the silicon readout): fewer than ``window_accepts`` accepts in the last ``window_ns``;
* *FIFO* (de-randomising buffer): fewer than ``fifo_depth`` events in it. Events leave it one by one, each after a
  readout of ``readout_ns`` that begins when the one before has left.

Until when the L1 stays blind is known at each accept, and no other accept comes before: the stretches of blind time do
not overlap, and each is first of spacing, then of the buffers. An event in it is dead for that cause, also if the
injection veto would hold it: it is lost to the veto only where it would have been accepted without.

These rules look at the events before, so their state goes from block to block: whatever the blocks, the outcomes of a
run are the same.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.clock import NEVER
from daq.errors import InputError
from daq.event import Array, Outcome
from daq.jit import kernel
from triggers.gdl.settings import TimingSettings

_RUN, _BEGIN, _SPACING_END, _END, _READ_OUT, _HEAD = range(6)  # places in the state; then the accepts of the window


class Limits(NamedTuple):
    """The rules as the kernel wants them; times in ns, 0 for a rule that is off."""

    spacing_ns: int
    window_accepts: int
    window_ns: int
    fifo_depth: int
    readout_ns: int

    @classmethod
    def of(cls, timing: TimingSettings) -> Limits:
        """Return the rules of the settings."""
        return cls(timing.minimum_spacing_ns, **timing.buffer.model_dump())


class Blind(NamedTuple):
    """Stretches of blind time, rising and apart: [begin, spacing_end) is of spacing, [spacing_end, end) of buffers."""

    begin: Array
    """(M,) int64 [ns]."""
    spacing_end: Array
    end: Array


def initial_state(limits: Limits) -> Array:
    """Return the state before the first event, int64: no run, nothing accepted."""
    long_ago = np.full(_HEAD + limits.window_accepts, -NEVER, dtype=np.int64)
    long_ago[_RUN] = -1
    return long_ago


def enter_run(state: Array, run: int) -> bool:
    """Prepare a state for an event of a run: another run begins with a new state. Return whether it did."""
    is_new = bool(state[_RUN] != run)
    if is_new:
        state[:] = -NEVER
        state[_RUN] = run
    return is_new


def blind_time(state: Array, outcome: Array, time_ns: Array, opened_ns: Array) -> Blind:
    """Return the blind time from a block on: what is left from before it, and what its accepts open.

    Parameters
    ----------
    state : int64
        State before the block.
    outcome, time_ns : (N,)
        Outcomes and times of its events, of one run.
    opened_ns : (2, N) int64
        Blind time that each event opens, by spacing and by buffers.
    """
    kept = np.flatnonzero(outcome == int(Outcome.KEPT))  # an IntEnum costs numpy microseconds
    blind = np.empty((3, kept.size + 1), dtype=np.int64)
    blind[:, 0] = state[_BEGIN : _END + 1]
    blind[0, 1:] = time_ns[kept]
    for k in range(2):
        np.add(blind[k, 1:], opened_ns[k, kept], out=blind[k + 1, 1:])
    return Blind(*blind)


def decide(limits: Limits, run: Array, time_ns: Array, fired: Array, held: Array, state: Array) -> tuple[Array, Array]:
    """Return what becomes of each event, (N,) uint8 `Outcome`, and the blind time that it opens, (2, N) int64 [ns].

    Parameters
    ----------
    limits : Limits
        The rules.
    run, time_ns : (N,)
        Run number and collision time since run start [ns], rising in a run.
    fired : (N,) bool
        The event would be accepted.
    held : (N,) bool
        It would be, were there no injection veto.
    state : int64
        State after the block before; brought up to date.

    Raises
    ------
    InputError
        If the time runs backwards in a run.
    """
    outcome, opened = np.empty(time_ns.size, dtype=np.uint8), np.zeros((2, time_ns.size), dtype=np.int64)
    which = (Outcome.L1_DEAD_SPACING, Outcome.L1_DEAD_BUFFER, Outcome.L1_DEAD_INJECTION)
    outcomes = tuple(int(each) for each in (Outcome.L1_REJECTED, *which, Outcome.KEPT))
    row = _decide(limits, run, time_ns, fired, held, outcomes, NEVER, state, outcome, opened)
    if row:
        raise InputError("must not run backwards in a run", key=f"time_ns[{row}]", value=int(time_ns[row]))
    return outcome, opened


@kernel
def _decide(
    limits: Limits, run: Array, time_ns: Array, fired: Array, held: Array, outcomes: tuple[int, ...], never: int,
    state: Array, out: Array, opened: Array,
) -> int:  # fmt: skip
    """Return the first row whose time runs backwards in its run, 0 if there is none."""
    rejected, dead_spacing, dead_buffer, dead_injection, kept = outcomes
    accepts = state[5:]  # the last ones, as many as a window may hold
    for i in range(out.size):
        now = time_ns[i]
        if np.int64(run[i]) != state[0]:
            state[:] = -never
            state[0] = run[i]
        elif i > 0 and now < time_ns[i - 1]:
            return i
        if not (fired[i] or held[i]):
            out[i] = rejected
        elif now < state[2]:
            out[i] = dead_spacing
        elif now < state[3]:
            out[i] = dead_buffer
        elif not fired[i]:
            out[i] = dead_injection
        else:
            out[i] = kept
            spaced = now + limits.spacing_ns
            free = spaced
            if limits.window_accepts:
                accepts[:-1] = accepts[1:]
                accepts[-1] = now
                free = max(free, accepts[0] + limits.window_ns)
            if limits.fifo_depth:
                state[4] = max(now, state[4]) + limits.readout_ns
                free = max(free, state[4] - (limits.fifo_depth - 1) * limits.readout_ns)
            state[1], state[2], state[3] = now, spaced, free
            opened[0, i], opened[1, i] = limits.spacing_ns, free - spaced
    return 0
