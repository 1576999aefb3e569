"""The lines of a menu on planes of input bits: FTDL, then prescale and mask; without timing and dead time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daq.event import Array
from triggers.bits import planes_of_flags
from triggers.gdl.ftdl import evaluate
from triggers.gdl.menu import L1Menu
from triggers.gdl.psnm import prescale_and_mask, prescales
from triggers.inputs import INPUT_NAMES


class Decisions(NamedTuple):
    """What the lines of a menu say of N events, as (lines, ceil(N / 64)) uint64 planes."""

    raw: Array
    """Before the prescale."""
    accepted: Array
    """After prescale and mask."""


class MenuLines:
    """The lines of a menu with the prescales of one of its columns, ready to decide.

    Parameters
    ----------
    menu : L1Menu
    seed : int
        Seed of the prescales.
    column : str, optional
        Name of a prescale column; must be given if the menu has columns.
    names : sequence of str
        Input bits that there are planes of, in their order; others are held at 0.

    Raises
    ------
    InputError
        If the menu has no such column.
    """

    def __init__(self, menu: L1Menu, *, seed: int, column: str | None = None, names: Sequence[str] = INPUT_NAMES):
        self.menu, self.column = menu, column
        self.prescales = menu.prescales(column)
        """Prescale of each line, 0 for a masked one."""
        self._program = menu.compile(names)
        self._psnm = prescales(menu.line_names, self.prescales, seed)

    def raw(self, inputs: Array, size: int) -> Array:
        """Return the planes of what fires, from the planes of the input bits of ``size`` events."""
        return evaluate(self._program, inputs, size)

    def prescaled(self, raw: Array, run: Array, event: Array, counters: Array | None = None) -> Array:
        """Return the planes of what is left of ``raw`` after prescale and mask; ``counters`` as in `decide`."""
        if self.menu.prescale_by == "hash":
            return prescale_and_mask(self._psnm, raw, run, event)
        counters = np.zeros(raw.shape[0], dtype=np.int64) if counters is None else counters
        return prescale_and_mask(self._psnm, raw, run, event, counters)

    def decide(self, inputs: Array, run: Array, event: Array, counters: Array | None = None) -> Decisions:
        """Return the decisions on events from the planes of their input bits.

        Parameters
        ----------
        inputs : (inputs, ceil(N / 64)) uint64
            Planes of the input bits.
        run, event : (N,)
            Run and event numbers.
        counters : (lines,) int64, optional
            Of prescales by counter, how often each line has fired since it passed last; brought up to date. None: 0.
        """
        raw = self.raw(inputs, run.size)
        return Decisions(raw, self.prescaled(raw, run, event, counters))

    def keeps(self, run: Array, event: Array) -> Array:
        """Return the planes of the events that the prescale of each line would keep, whatever its logic says."""
        everything = np.tile(planes_of_flags(np.ones((1, run.size), dtype=bool)), (len(self.menu.lines), 1))
        return self.prescaled(everything, run, event)
