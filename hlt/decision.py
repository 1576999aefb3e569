"""From cuts that hold to the decision: prescales, reject lines, and the rule of the menu.

Rules of the SoftwareTrigger of the Belle II public software (SoftwareTriggerCut, FinalTriggerDecisionCalculator). Its
random prescale is here a hash of (line, seed, run, event): whoever repeats the event repeats the decision. Its counters
are here as they are: a line keeps the first event that passes its cut in a run, and then each n-th.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel, kernel_inline, read_only
from triggers.prescale import keeps


class Lines(NamedTuple):
    """What the decision needs to know of L lines."""

    keys: Array
    """(L,) uint64: keys of the prescales; see `triggers.prescale`."""
    prescales: Array
    """(L,) uint64: 0 never, 1 always, n one event in n."""
    rejects: Array
    """(L,) bool: the line rejects, and ignores its prescale."""


def decide(
    passed: Array, run: Array, event: Array, lines: Lines, *, accept_mode: bool, counters: Array | None = None
) -> tuple[Array, Array, Array]:
    """Return raw and prescaled results of all lines, and the decision.

    Parameters
    ----------
    passed
        (N, L) bool: the cut of the line holds.
    run, event
        (N,) unsigned: run and event number.
    lines
        The lines; their arrays must be of the types that `Lines` names.
    accept_mode
        True: accept if a line accepts or none rejects. False: accept if a line accepts and none rejects.
    counters
        (L,) int64, for prescales by counter: how many events each line has passed since it kept one, that one counted;
        0 before the first of a run. Brought up to date. None: prescales by hash.

    Returns
    -------
    (N, W) uint64, (N, W) uint64, (N,) bool
        Bit i of a line sits in word i // 64, bit i % 64; a reject line has its bit set where it rejects.
    """
    n_events, n_lines = passed.shape
    n_words = (n_lines + 63) // 64
    raw = np.zeros((n_events, n_words), dtype=np.uint64)
    prescaled = np.zeros((n_events, n_words), dtype=np.uint64)
    accept = np.zeros(n_events, dtype=np.bool_)
    lines = Lines(*(read_only(column) for column in lines))
    by_counter = counters is not None
    count = np.zeros(n_lines, dtype=np.int64) if counters is None else counters
    inputs = read_only(passed), read_only(run), read_only(event)
    _decide(*inputs, lines, accept_mode, by_counter, count, raw, prescaled, accept)
    return raw, prescaled, accept


@kernel
def _decide(
    passed: Array,
    run: Array,
    event: Array,
    lines: Lines,
    accept_mode: bool,
    by_counter: bool,
    count: Array,
    raw: Array,
    prescaled: Array,
    accept: Array,
) -> None:
    for i in range(passed.shape[0]):
        accepted = rejected = False
        if i > 0 and run[i] != run[i - 1]:
            count[:] = 0
        for line in range(passed.shape[1]):
            if not passed[i, line]:
                continue
            word, bit = line // 64, np.uint64(1) << np.uint64(line % 64)
            raw[i, word] |= bit
            if lines.rejects[line]:
                rejected = True
            elif by_counter:
                if not _is_due(count, line, lines.prescales[line]):
                    continue
                accepted = True
            elif keeps(lines.keys[line], lines.prescales[line], run[i], event[i]):
                accepted = True
            else:
                continue
            prescaled[i, word] |= bit
        accept[i] = (accepted or not rejected) if accept_mode else (accepted and not rejected)


@kernel_inline
def _is_due(count: Array, line: int, prescale: int) -> bool:
    """Count an event that passes the cut of a line; return whether the line keeps it."""
    if prescale == np.uint64(0):
        return False
    is_due = bool(count[line] % np.int64(prescale) == 0)
    count[line] = 1 if is_due else count[line] + 1
    return is_due
