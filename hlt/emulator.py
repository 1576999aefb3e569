"""The HLT of an event block: variables, vertex, cuts, prescales, decision. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daq.jit import Array
from daq.settings import BeamSettings
from hlt.caps import Caps, over_cap
from hlt.decision import Lines, decide
from hlt.kinematics import cm_frame
from hlt.menu import HltMenu
from hlt.program import CutProgram
from hlt.variables import Columns, filter_variables
from triggers.prescale import line_keys

L1_SUMMARY = "l1_summary"
"""Name beside the L1 bits under which `HltEmulator.process` is told which events have an L1 summary at all."""
_OF_L1_SUMMARY = ("l1_trigger_delayed_bhabha", "l1_trigger_poisson", "bha3d", "bhapur", "bhapur_lml1", "l1_bit_f")


@dataclass(frozen=True, slots=True)
class HltResult:
    """What the lines said of N events; bit i of a line sits in word i // 64, bit i % 64."""

    raw: Array
    """(N, W) uint64: the cut of the line holds."""
    prescaled: Array
    """(N, W) uint64: and the prescale let it through."""
    accept: Array
    """(N,) bool: the event is kept."""
    over_cap: Array
    """(N,) bool: too many tracks, clusters or pairs to look at; kept, with no line set."""
    over_budget: Array
    """(N,) bool: took longer than it may, as `hlt.budget` measures it; false where nothing was measured."""


@dataclass(frozen=True, slots=True)
class Observed:
    """What there is to be seen in N events, before any line is asked."""

    table: Array
    """(N,) record array of the filter variables; events over the cap are left at their defaults."""
    fits: Array
    """(N,) `hlt.vertex.FIT` of the displaced-vertex pair."""
    over_cap: Array
    """(N,) bool: too many tracks, clusters or pairs to look at."""


class HltEmulator:
    """The lines of a menu; decisions depend on (event, menu, seed, beam) alone, whatever the block.

    Parameters
    ----------
    menu : HltMenu
    seed : int
        Seed of the prescales.
    beam : BeamSettings
        Beams that the CM frame is made for; their luminosity chooses the prescales.
    column : str, optional
        Prescale column by name, whatever the luminosity.

    Raises
    ------
    InputError
        If the menu has no such column.
    """

    def __init__(self, menu: HltMenu, *, seed: int, beam: BeamSettings, column: str | None = None):
        self.menu = menu
        self.column = menu.choose(column, beam.luminosity_cm2_s)
        self.cuts = CutProgram([line.cut for line in menu.line], menu.variables)
        """The cuts of all lines."""
        self._frame = cm_frame(beam)
        self._caps = Caps(menu.max_tracks, menu.max_clusters, menu.max_pairs)
        self._lines = Lines(
            keys=line_keys("hlt", menu.line_names, seed),
            prescales=np.array(menu.prescales(self.column), dtype=np.uint64),
            rejects=np.array([line.reject for line in menu.line], dtype=np.bool_),
        )

    def process(self, batch: Columns, l1: Mapping[str, Array], counters: Array | None = None) -> HltResult:
        """Decide about the events of a block; pure.

        Parameters
        ----------
        batch
            The events.
        l1
            (N,) bool by name: the prescaled bits of the first level, and its results before the prescale with the
            prefix ``raw_``; `hlt.variables.L1_BITS` are those that count, one that is not there is false. `L1_SUMMARY`
            says which events have an L1 summary; without it all have.
        counters
            (L,) int64, of a menu with prescales by counter: where each line stands (`counters` at the start of a run);
            brought up to date. None: the run starts with this block.
        """
        return self.decide(self.observe(batch, l1), batch["run"], batch["event"], counters)

    def observe(self, events: Columns, l1: Mapping[str, Array]) -> Observed:
        """Compute variables and vertices; ``events`` and ``l1`` as in `process`, in single or double precision."""
        unread = over_cap(events, self._caps)
        table, fits = filter_variables(events, l1, self._frame, unread, self.menu.vertex)
        if L1_SUMMARY in l1:
            missing = ~l1[L1_SUMMARY] & ~unread
            table["l1_trigger_random"][missing] = self.menu.no_l1_summary == "random"
            for name in _OF_L1_SUMMARY:
                table[name][missing] = 0.0
        return Observed(table, fits, unread)

    def decide(self, observed: Observed, run: Array, event: Array, counters: Array | None = None) -> HltResult:
        """Ask the lines; ``run`` and ``event`` are (N,) unsigned, ``counters`` as in `process`."""
        unread = observed.over_cap
        passed = self.cuts.evaluate(observed.table, unread.size)
        passed[unread] = False
        by_counter = self.menu.prescale_by == "counter"
        if by_counter and counters is None:
            counters = self.counters()
        raw, prescaled, accept = decide(
            passed, run, event, self._lines,
            accept_mode=self.menu.accept_mode, counters=counters if by_counter else None,
        )  # fmt: skip
        return HltResult(raw, prescaled, accept | unread, unread, np.zeros(unread.size, dtype=np.bool_))

    def counters(self) -> Array:
        """Return where the lines stand at the start of a run, for a menu with prescales by counter."""
        return np.zeros(len(self.menu.line), dtype=np.int64)
