"""The L1 trigger on a block of events: primitives -> input bits -> FTDL -> PSNM -> accept.

Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daq.event import Array, EventBatch, Outcome
from daq.settings import BeamSettings
from triggers.bits import words_of
from triggers.ecl.cells import EclTable
from triggers.gdl.ftdl import evaluate
from triggers.gdl.menu import L1Menu
from triggers.gdl.psnm import prescale_and_mask, prescales
from triggers.gdl.timing import space_out
from triggers.inputs import input_planes


@dataclass(frozen=True, slots=True, kw_only=True)
class L1Result:
    """What the L1 says of N events. Bit i of a row of words sits in word i // 64, bit i % 64."""

    inputs: Array
    """(N, Wi) uint64 input bits, by `L1Menu.input_names`."""
    ftdl: Array
    """(N, W) uint64 raw line bits, by `L1Menu.line_names`."""
    psnm: Array
    """(N, W) uint64 line bits after prescale and mask."""
    malformed: Array
    """(N,) bool: primitives that cannot be; such an event is kept, whatever its bits."""
    outcome: Array
    """(N,) uint8 `Outcome`: KEPT is accepted."""
    dead_ns: dict[str, Array]
    """Cause -> (N,) int64 dead time that each event opens [ns]."""
    state: Array
    """State for the block that follows."""


class L1Emulator:
    """A menu, ready to decide.

    Parameters
    ----------
    menu : L1Menu
    seed : int
        Seed of the prescales.
    beam : BeamSettings
        Beams that the ECL's table of CM angles and energies is made for.
    table : EclTable, optional
        Another such table.
    """

    def __init__(self, menu: L1Menu, *, seed: int, beam: BeamSettings, table: EclTable | None = None):
        self.menu = menu
        self._prescales = prescales(menu.line_names, [line.prescale for line in menu.lines], seed)
        self._table = EclTable.for_beams(beam) if table is None else table

    def process(self, batch: EventBatch, state: Array | None = None) -> L1Result:
        """Return the decisions on a block of events that follows the block of ``state``.

        Decisions depend on (event, menu, seed) alone; only the dead time looks at the events before.

        Raises
        ------
        InputError
            If the time of the events runs backwards in a run.
        """
        menu, n = self.menu, batch.size
        inputs, malformed = input_planes(batch, n, self._table)
        ftdl = evaluate(menu.program, inputs, n)
        psnm = prescale_and_mask(self._prescales, ftdl, batch["run"], batch["event"])
        psnm_words = words_of(psnm, n)
        spacing_ns = menu.timing.minimum_spacing_ns
        fired = psnm_words.any(axis=1) | malformed
        outcome, after = space_out(batch["run"], batch["time_ns"], fired, spacing_ns, state)
        return L1Result(
            inputs=words_of(inputs, n),
            ftdl=words_of(ftdl, n),
            psnm=psnm_words,
            malformed=malformed,
            outcome=outcome,
            dead_ns={"spacing": np.where(outcome == Outcome.KEPT, np.int64(spacing_ns), np.int64(0))},
            state=after,
        )
