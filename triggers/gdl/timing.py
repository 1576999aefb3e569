"""Time between accepts: after each L1 accept the trigger is blind for a minimum spacing.

The one rule of L1 that looks at more than one event, so its state goes from block to block: whatever the blocks, the
outcomes of a run are the same.
"""

from __future__ import annotations

import numpy as np

from daq.errors import InputError
from daq.event import Array, Outcome
from daq.jit import kernel


def initial_state() -> Array:
    """Return the state before the first event: (run, time of the last accept [ns]) int64, run -1 for none."""
    return np.array([-1, 0], dtype=np.int64)


@kernel
def _space_out(
    run: Array,
    time_ns: Array,
    fired: Array,
    spacing_ns: int,
    rejected: int,
    dead: int,
    kept: int,
    state: Array,
    out: Array,
) -> None:
    for i in range(out.size):
        if not fired[i]:
            out[i] = rejected
        elif np.int64(run[i]) == state[0] and time_ns[i] - state[1] < spacing_ns:
            out[i] = dead
        else:
            out[i] = kept
            state[0], state[1] = run[i], time_ns[i]


def space_out(
    run: Array, time_ns: Array, fired: Array, spacing_ns: int, state: Array | None = None
) -> tuple[Array, Array]:
    """Return what becomes of each event, and the state for the next block.

    An event that fires within ``spacing_ns`` after an accept of its run is dead, and does not prolong the dead time.

    Parameters
    ----------
    run, time_ns : (N,)
        Run number and collision time since run start [ns], rising in a run.
    fired : (N,) bool
        The event would be accepted.
    spacing_ns : int
        Minimum spacing [ns].
    state : (2,) int64, optional
        State after the block before; none at the start of a run.

    Raises
    ------
    InputError
        If the time runs backwards in a run.
    """
    backwards = np.flatnonzero((np.diff(time_ns) < 0) & (run[1:] == run[:-1]))
    if backwards.size:
        row = int(backwards[0]) + 1
        raise InputError("must not run backwards in a run", key=f"time_ns[{row}]", value=int(time_ns[row]))
    after = initial_state() if state is None else state.astype(np.int64)
    out = np.empty(time_ns.size, dtype=np.uint8)
    outcomes = (int(Outcome.L1_REJECTED), int(Outcome.L1_DEAD_SPACING), int(Outcome.KEPT))
    _space_out(run, time_ns, fired, spacing_ns, *outcomes, after, out)
    return out, after
