"""The lines of a menu on input bits: what the rates and explanations ask of the L1, without timing and dead time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from daq.errors import InputError
from daq.event import Array
from triggers.bits import planes_of_flags
from triggers.gdl.ftdl import evaluate
from triggers.gdl.menu import L1Menu
from triggers.gdl.psnm import prescale_and_mask, prescales


class Decisions(NamedTuple):
    """What the lines of a menu say of N events, as (lines, ceil(N / 64)) uint64 planes."""

    raw: Array
    """Before the prescale."""
    accepted: Array
    """After prescale and mask."""


class MenuLines:
    """The lines of a menu with one of its prescale columns, ready to decide.

    Parameters
    ----------
    menu : L1Menu
    seed : int
        Seed of the prescales.
    column : str, optional
        Name of a prescale column; the prescales of the lines themselves if not given.

    Raises
    ------
    InputError
        If the menu has no such column.
    """

    def __init__(self, menu: L1Menu, *, seed: int, column: str | None = None):
        self.menu, self.column = menu, column
        self.prescales = _prescales_of(menu, column)
        """Prescale of each line."""
        self._psnm = prescales(menu.line_names, self.prescales, seed)

    def decide(self, inputs: Array, run: Array, event: Array) -> Decisions:
        """Return the decisions on events with these run and event numbers, from the planes of their input bits."""
        raw = evaluate(self.menu.program, inputs, run.size)
        return Decisions(raw, prescale_and_mask(self._psnm, raw, run, event))

    def keeps(self, run: Array, event: Array) -> Array:
        """Return the planes of the events that the prescale of each line would keep, whatever its logic says."""
        everything = np.tile(planes_of_flags(np.ones((1, run.size), dtype=bool)), (len(self.menu.lines), 1))
        return prescale_and_mask(self._psnm, everything, run, event)


def _prescales_of(menu: L1Menu, column: str | None) -> list[int]:
    if column is not None:
        raise InputError(f"menu {menu.name} has no prescale columns", key="--column", value=column)
    return [line.prescale for line in menu.lines]
