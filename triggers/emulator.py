"""The L1 trigger on a block of events: primitives -> input bits -> FTDL -> PSNM -> accept.

Pure: arrays in, arrays out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daq.event import Array, EventBatch
from daq.settings import BeamSettings
from triggers.bits import words_of
from triggers.ecl.cells import EclTable
from triggers.gdl.injection import Windows, veto_plane
from triggers.gdl.menu import L1Menu
from triggers.gdl.timing import Blind, Limits, blind_time, decide, enter_run, initial_state
from triggers.inputs import INPUT_NAMES, Quirks, input_planes
from triggers.lines import MenuLines

_VETO = INPUT_NAMES.index("veto")


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
    vetoed: Array
    """(N,) bool: the injection veto was on."""
    outcome: Array
    """(N,) uint8 `Outcome`: KEPT is accepted."""
    dead_ns: dict[str, Array]
    """Cause -> (N,) int64 time for which each accept makes the L1 blind [ns]: "spacing", after it "buffer"."""
    blind: Blind
    """The same as stretches of time, with what was left of it when the block began; of a block of one run."""
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
        Beams that the ECL's table of CM angles and energies is made for; their luminosity chooses the prescales.
    column : str, optional
        Prescale column by name, whatever the luminosity.
    quirks : "belle2" or "ideal"
        See `triggers.inputs`.
    table : EclTable, optional
        Another such table.

    Raises
    ------
    InputError
        If the menu has no such column.
    """

    def __init__(
        self,
        menu: L1Menu,
        *,
        seed: int,
        beam: BeamSettings,
        column: str | None = None,
        quirks: Quirks = "belle2",
        table: EclTable | None = None,
    ):
        self.menu, self._quirks = menu, quirks
        self.lines = MenuLines(menu, seed=seed, column=menu.choose(column, beam.luminosity_cm2_s))
        self.windows = Windows.of(menu.timing.veto)
        self._limits = Limits.of(menu.timing)
        self._table = EclTable.for_beams(beam) if table is None else table

    def process(self, batch: EventBatch, state: Array | None = None) -> L1Result:
        """Return the decisions on a block of events that follows the block of ``state``.

        Decisions depend on (event, menu, seed) alone; only dead time and prescales by counter look at the events
        before.

        Raises
        ------
        InputError
            If the time of the events runs backwards in a run.
        """
        n, run, event = batch.size, batch["run"], batch["event"]
        timing, counters = self._taken_up(state, run)
        before = timing.copy()
        inputs, malformed = input_planes(batch, n, self._table, quirks=self._quirks)
        inputs[_VETO] = veto = veto_plane(self.windows, batch)
        ftdl, psnm = self.lines.decide(inputs, run, event, counters[0])
        fired = _flags(np.bitwise_or.reduce(psnm, axis=0), n) | malformed
        held = np.zeros(n, dtype=np.bool_)
        if veto.any():
            held = self._held(inputs, ftdl, run, event, counters[1]) & ~fired
        outcome, opened = decide(self._limits, run, batch["time_ns"], fired, held, timing)
        return L1Result(
            inputs=words_of(inputs, n),
            ftdl=words_of(ftdl, n),
            psnm=words_of(psnm, n),
            malformed=malformed,
            vetoed=_flags(veto, n),
            outcome=outcome,
            dead_ns={"spacing": opened[0], "buffer": opened[1]},
            blind=blind_time(before, outcome, batch["time_ns"], opened),
            state=np.concatenate([timing, counters.ravel()]),
        )

    def _held(self, inputs: Array, ftdl: Array, run: Array, event: Array, counters: Array) -> Array:
        """Return which events would pass a line if the veto were not on; counters count what is held by themselves."""
        veto = inputs[_VETO].copy()
        inputs[_VETO] = 0
        unvetoed = self.lines.raw(inputs, run.size)
        inputs[_VETO] = veto
        passed = self.lines.prescaled(unvetoed & ~ftdl & veto, run, event, counters)
        return _flags(np.bitwise_or.reduce(passed, axis=0), run.size)

    def _taken_up(self, state: Array | None, run: Array) -> tuple[Array, Array]:
        """Return copies of a state's two parts, as the first event of a block finds them: of timing, and of counters.

        The counters are (2, lines): of what fired, and of what only the veto held back; (2, 0) if there are none.
        """
        fresh = initial_state(self._limits)
        n_counters = len(self.menu.lines) if self.menu.prescale_by == "counter" else 0
        if state is None:
            state = np.concatenate([fresh, np.zeros(2 * n_counters, dtype=np.int64)])
        timing, counters = state[: fresh.size].astype(np.int64), state[fresh.size :].astype(np.int64)
        if run.size and enter_run(timing, int(run[0])):
            counters[:] = 0
        return timing, counters.reshape(2, n_counters)


def _flags(plane: Array, n_events: int) -> Array:
    """Return a plane as (N,) bool."""
    flags = np.unpackbits(plane.astype("<u8", copy=False).view(np.uint8), count=n_events, bitorder="little")
    return flags.view(np.bool_)
