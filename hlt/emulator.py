"""The HLT of an event block: variables, vertex, cuts, prescales, decision. Arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from daq.event import EventBatch
from daq.jit import Array
from daq.settings import BeamSettings
from hlt.decision import Lines, decide
from hlt.kinematics import cm_frame
from hlt.menu import HltMenu
from hlt.program import CutProgram
from hlt.variables import VARIABLES, filter_variables
from triggers.prescale import line_keys


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
    """(N,) bool: too many tracks or clusters to look at; kept, with no line set."""


class HltEmulator:
    """The lines of a menu; decisions depend on (event, menu, seed, beam) alone, whatever the block."""

    def __init__(self, menu: HltMenu, *, seed: int, beam: BeamSettings):
        self.menu = menu
        self._frame = cm_frame(beam)
        self._cuts = CutProgram([line.cut for line in menu.line], VARIABLES)
        self._lines = Lines(
            keys=line_keys("hlt", menu.line_names, seed),
            prescales=np.array([line.prescale for line in menu.line], dtype=np.uint64),
            rejects=np.array([line.reject for line in menu.line], dtype=np.bool_),
        )

    def process(self, batch: EventBatch, l1: Mapping[str, Array]) -> HltResult:
        """Decide about the events of a block; pure.

        ``l1`` holds (N,) bool by name: the prescaled bits of the first level, and its results before the prescale with
        the prefix ``raw_``. The pass-through lines read ``bha3d``, ``bhapur``, ``lml1``, ``fpre`` and ``raw_bhapur``;
        a bit that is not there is false.
        """
        over_cap = (np.diff(batch["tracks.offsets"]) > self.menu.max_tracks) | (
            np.diff(batch["clusters.offsets"]) > self.menu.max_clusters
        )
        table, _ = filter_variables(batch, l1, self._frame, over_cap)
        passed = self._cuts.evaluate(table, batch.size)
        passed[over_cap] = False
        raw, prescaled, accept = decide(
            passed, batch["run"], batch["event"], self._lines, accept_mode=self.menu.accept_mode
        )
        return HltResult(raw, prescaled, accept | over_cap, over_cap)
