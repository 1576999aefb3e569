"""The 576 trigger cells of the ECL: who neighbours whom, and what the cluster of a cell looks like in the CM frame.

Cells 1-80 are the forward endcap (rings 1-3), 81-512 the barrel (rings 4-15), 513-576 the backward endcap (rings 16,
17); ``configs/detector/ecl_trigger_cells.csv`` has ring, azimuth number and position. All tables here are indexed by
cell number; row 0 is no cell.

Source: Belle II public software, ECL trigger simulation (cell map, cluster finder, CM table of the Bhabha logic).
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np

from daq.event import Array
from daq.settings import CONFIGS, BeamSettings

N_CELLS = 576
FORWARD, BARREL, BACKWARD = range(1, 4), range(4, 16), range(16, 18)  # rings
NOMINAL = BeamSettings(electron_gev=7.004, positron_gev=4.002, crossing_mrad=83.0)
"""Beams that the trigger's CM table is made for."""


class Cells(NamedTuple):
    """Position and neighbourhood of each cell; neighbours that do not exist are cell 0.

    "Upper" is the previous azimuth number, "lower" the next, "right" the ring before, "left" the ring after.
    """

    theta_id: Array
    """(577,) ring, 1 forward to 17 backward."""
    xyz_cm: Array
    """(577, 3) position."""
    quadrants: Array
    """(577,) quadrants of the azimuth, bits 0-3 in rings 2-3, bits 4-7 in the barrel, none elsewhere.

    Each is two cells wider than a quarter, so they overlap.
    """
    neighbours: Array
    """(577, 9): itself, upper, upper right, right, lower right, lower, lower left, left, upper left; 0 = none."""
    vetoes: Array
    """(577, 5): no cluster starts here if one of the first three or both of the last two are hit."""


class EclTable(NamedTuple):
    """What the Bhabha and low-multiplicity logic knows of the CM frame: one row a cell, in the trigger's rounding."""

    theta_cm_deg: Array
    """(577,) int64 polar angle, whole degrees."""
    phi_cm_deg: Array
    """(577,) int64 azimuth, whole degrees, 0..359."""
    elab_over_ecm: Array
    """(577,) float64 energy of a photon in the lab over that in the CM frame, in tenths."""

    @staticmethod
    def for_beams(beam: BeamSettings) -> EclTable:
        """Return the table for the beams.

        The table belongs to the hardware: beams within a per cent of `NOMINAL` get the table made for those, which is
        that of the Belle II public software in all 576 rows.
        """
        given = (beam.electron_gev, beam.positron_gev, beam.crossing_mrad)
        nominal = (NOMINAL.electron_gev, NOMINAL.positron_gev, NOMINAL.crossing_mrad)
        return _table(NOMINAL if np.allclose(given, nominal, rtol=0.01, atol=0.0) else beam)


# (ring, azimuth) steps: neighbourhood, cells that veto alone, cells that veto together. The order of the neighbourhood
# is that of the trigger: on equal energies the first is the centre.
_STEPS = (
    ((0, 0), (0, -1), (-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1)),
    ((0, -1), (1, 0)),
    ((0, 1), (1, 1)),
)
_STEPS_INNERMOST = (
    ((0, 0), (0, -2), (1, -1), (1, 0), (1, 1), (1, 2), (0, 2)),
    ((0, -2), (1, 0), (1, 1)),
    ((0, 2), (1, 2)),
)


@functools.cache
def cells() -> Cells:
    """Return the cell tables.

    The forward ring 1 has 16 cells, each beside two of the 32 of ring 2: it takes part in the neighbourhood of both,
    and sees those two and the ring-2 cell on either side. Neighbourhoods end at the gaps between barrel and endcaps.
    """
    rows = np.loadtxt(CONFIGS / "detector" / "ecl_trigger_cells.csv", delimiter=",", skiprows=1)
    ring_of, phi_of = rows[:, 1].astype(np.int64), rows[:, 2].astype(np.int64)
    at = {(int(ring), int(phi)): cell for cell, (ring, phi) in enumerate(zip(ring_of, phi_of, strict=True), start=1)}
    at |= {(1, phi + 1): at[1, phi] for phi in range(1, 32, 2)}

    def around(ring: int, phi: int, steps: tuple[tuple[int, int], ...]) -> list[int]:
        """Return the cells at the (ring, azimuth) steps that exist, each once, in this order."""
        region = next(rings for rings in (FORWARD, BARREL, BACKWARD) if ring in rings)
        turn = 36 if region is BARREL else 32
        places = [(ring + left, (phi - 1 + down) % turn + 1) for left, down in steps]
        return list(dict.fromkeys(at[place] for place in places if place[0] in region))

    neighbours, vetoes = (np.zeros((N_CELLS + 1, width), dtype=np.uint16) for width in (9, 5))
    for cell in range(1, N_CELLS + 1):
        ring, phi = int(ring_of[cell - 1]), int(phi_of[cell - 1])
        steps = _STEPS_INNERMOST if ring == 1 else _STEPS
        for table, chosen in zip((neighbours[cell], vetoes[cell, :3], vetoes[cell, 3:]), steps, strict=True):
            found = around(ring, phi, chosen)
            table[: len(found)] = found
    return Cells(
        theta_id=np.concatenate([[0], ring_of]),
        quadrants=_row_0(
            np.where((ring_of == 2) | (ring_of == 3), _quadrants(phi_of, 32), 0)
            | np.where((ring_of >= 4) & (ring_of <= 15), _quadrants(phi_of, 36) << 4, 0)
        ),
        xyz_cm=np.concatenate([np.zeros((1, 3)), rows[:, 3:6]]),
        neighbours=neighbours,
        vetoes=vetoes,
    )


def _quadrants(phi: Array, turn: int) -> Array:
    """Return the quadrants of azimuth numbers: the k-th reaches from k quarters of the turn to a quarter and 1 more."""
    quarter = turn // 4
    return sum((((phi - k * quarter) % turn <= quarter + 1) << k for k in range(4)), start=np.zeros_like(phi))


@functools.cache
def _table(beam: BeamSettings) -> EclTable:
    """Boost the direction of each cell into the CM frame, turn the electron beam onto z, and round.

    Found by comparison with the public table: the energies of `NOMINAL`, and that the last barrel column (azimuth 36,
    cells 501-512) is there as if it stood 0.63 degrees further backward (anything from 0.60 to 0.66 gives its rows).
    """
    direction = cells().xyz_cm[1:] / np.linalg.norm(cells().xyz_cm[1:], axis=1, keepdims=True)
    direction[500:512] = _turned_backward(direction[500:512], np.radians(0.63))
    total_gev = beam.electron_gev + beam.positron_gev
    sine, cosine = np.sin(5e-4 * beam.crossing_mrad), np.cos(5e-4 * beam.crossing_mrad)
    beta = np.array([total_gev * sine, 0.0, (beam.electron_gev - beam.positron_gev) * cosine]) / total_gev
    energy, cm_direction = _boosted(direction, beta)
    _, electron = _boosted(np.array([[sine, 0.0, cosine]]), beta)
    z_axis, y_axis = electron[0], np.array([0.0, 1.0, 0.0])
    x_axis = np.cross(y_axis, z_axis)
    theta_deg = np.degrees(np.arccos(cm_direction @ z_axis))
    phi_deg = np.degrees(np.arctan2(cm_direction @ y_axis, cm_direction @ x_axis))
    return EclTable(
        theta_cm_deg=_row_0(np.rint(theta_deg).astype(np.int64)),
        phi_cm_deg=_row_0(np.rint(phi_deg).astype(np.int64) % 360),
        elab_over_ecm=_row_0(0.1 * np.rint(10.0 / energy)),
    )


def _boosted(direction: Array, beta: Array) -> tuple[Array, Array]:
    """Return (energy, direction) of photons of unit energy in the frame that moves with ``beta``."""
    gamma = 1.0 / np.sqrt(1.0 - beta @ beta)
    along = direction @ beta
    energy = gamma * (1.0 - along)
    momentum = direction + (gamma**2 / (gamma + 1.0) * along - gamma)[:, None] * beta
    return energy, momentum / energy[:, None]


def _turned_backward(direction: Array, angle_rad: float) -> Array:
    theta = np.arccos(direction[:, 2]) + angle_rad
    phi = np.arctan2(direction[:, 1], direction[:, 0])
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)


def _row_0(values: Array) -> Array:
    return np.concatenate([np.zeros(1, dtype=values.dtype), values])
