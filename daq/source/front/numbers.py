"""The numbers of the trigger front ends; what no comment gives a source for is a surrogate.

Lengths in cm, energies in GeV, times in ns. TSIM is the public trigger simulation of Belle II.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

from daq.source.response.numbers import as_record

CURVATURE_STEPS = 34
OMEGA_STEP = 29.9792458 * 1.5e-4 / 0.3 / CURVATURE_STEPS  # 1/cm: step 34 is pT = 0.3 GeV at 1.5 T
PHI_STEP = math.radians(1.125)


class Cells(NamedTuple):
    """Trigger cells of the ECL."""

    sharing_cm: float = 2.0
    threshold: float = 0.1  # TSIM, front end of the ECL
    noise: float = 0.010
    resolution: float = 0.02
    time: float = 3.0
    share_min: float = 0.010  # smaller shares of a cluster [GeV] are left out


class Chamber(NamedTuple):
    """Segments and tracks of the drift chamber."""

    segment_efficiency: float = 0.97
    layers_a_hit: float = 0.95  # hits per layer of a track, to guess where a track starts
    finder_efficiency: float = 0.97
    finder_steps: int = CURVATURE_STEPS  # TSIM, 2D finder: beyond, a track is too soft
    finder_omega: float = 0.6 * OMEGA_STEP  # error of the curvature before it is rounded to steps
    finder_phi: float = 0.3 * PHI_STEP
    finder_d0: float = 4.0  # half of the efficiency is lost
    finder_d0_width: float = 0.8
    axial_layers_min: int = 4
    stereo_layers_min: int = 3
    omega_step: float = OMEGA_STEP
    phi_step: float = PHI_STEP
    fitter_efficiency: float = 0.93
    fitter_z0: float = 8.0
    fitter_cot: float = 0.10
    network_efficiency: float = 0.97
    network_z0: float = 3.0
    network_cot: float = 0.05
    t0_resolution: float = 3.0


class Muons(NamedTuple):
    """Sectors of the KLM."""

    layers_min: int = 4  # two planes a layer: the default of eight of TSIM
    radius: float = 200.0
    centre: float = 47.0  # z of the middle of the barrel
    half_length: float = 220.0


class Front(NamedTuple):
    """All tables of the front ends."""

    cells: Cells = Cells()
    chamber: Chamber = Chamber()
    muons: Muons = Muons()


@functools.cache
def records(front: Front) -> tuple[Any, Any, Any]:
    """Return the tables as `as_record` makes them, in their order."""
    return tuple(as_record(table) for table in front)
