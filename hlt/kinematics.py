"""Four-momenta and the centre-of-mass frame, as the filter variables use them.

Conventions of the Belle II public software, TrackFitResult, Helix, ClusterUtils and PCmsLabTransform: tracks are pions
taken at the perigee, clusters are photons from the interaction point (here the origin), angles are in degrees.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel
from daq.settings import BeamSettings


class Frame(NamedTuple):
    """The centre-of-mass frame of the beams."""

    matrix: Array
    """(4, 4) float64: p_cm = matrix @ p_lab with components (px, py, pz, E)."""
    sqrt_s_gev: float
    """Invariant mass of the beams [GeV]."""


class P4(NamedTuple):
    """A four-momentum [GeV]; the functions below take it in this form or as a record of `P4_RECORD`."""

    x: float
    y: float
    z: float
    e: float


P4_RECORD: np.dtype[Any] = np.dtype([("x", "<f8"), ("y", "<f8"), ("z", "<f8"), ("e", "<f8")])


def cm_frame(beam: BeamSettings) -> Frame:
    """Return the frame of the beams: a pure boost, then the turn about y that puts the electron on +z.

    Both beams lie in the x-z plane, half the crossing angle off the z axis towards +x. ``beam.cm_rotation`` switches
    the turn off.
    """
    electron_mass_gev = 0.51099895e-3
    half = beam.crossing_mrad / 2000.0
    electron, positron = (
        np.array([p * math.sin(half), 0.0, sign * p * math.cos(half), energy])
        for sign, energy in ((1, beam.electron_gev), (-1, beam.positron_gev))
        for p in (math.sqrt(max(energy**2 - electron_mass_gev**2, 0.0)),)
    )
    total = electron + positron
    beta = total[:3] / total[3]
    gamma = 1.0 / math.sqrt(1.0 - beta @ beta)
    boost = np.eye(4)
    boost[:3, :3] += gamma**2 / (gamma + 1.0) * np.outer(beta, beta)
    boost[:3, 3] = boost[3, :3] = -gamma * beta
    boost[3, 3] = gamma
    along = boost @ electron
    angle = math.atan2(along[0], along[2]) if beam.cm_rotation else 0.0
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = math.cos(angle)
    turn[0, 2], turn[2, 0] = -math.sin(angle), math.sin(angle)
    return Frame(turn @ boost, total[3] / gamma)


@kernel
def pt_at_curvature(omega_per_cm: float) -> float:
    """Return the transverse momentum [GeV/c] of a signed curvature [1/cm] in 1.5 T: 0.00449688687 / abs(omega)."""
    return 1.5 * 29.9792458e-4 / abs(omega_per_cm)


@kernel
def add(a: Any, b: Any) -> P4:
    """Return the sum."""
    return P4(a.x + b.x, a.y + b.y, a.z + b.z, a.e + b.e)


@kernel
def pt(p: Any) -> float:
    """Return the transverse momentum [GeV/c]."""
    return math.sqrt(p.x * p.x + p.y * p.y)


@kernel
def momentum(p: Any) -> float:
    """Return the size of the momentum [GeV/c]."""
    return math.sqrt(p.x * p.x + p.y * p.y + p.z * p.z)


@kernel
def mass_square(p: Any) -> float:
    """Return the square of the invariant mass [GeV2]."""
    square: float = p.e * p.e - p.x * p.x - p.y * p.y - p.z * p.z
    return square


@kernel
def theta_deg(p: Any) -> float:
    """Return the polar angle [degrees]."""
    return math.degrees(math.atan2(pt(p), p.z))


@kernel
def theta_sum_deg(a: Any, b: Any) -> float:
    """Return the sum of the polar angles [degrees], 0..360: both at once by the addition of angles."""
    pt_a, pt_b = pt(a), pt(b)
    total = math.degrees(math.atan2(pt_a * b.z + a.z * pt_b, a.z * b.z - pt_a * pt_b))
    return total + 360.0 if total < 0.0 else total


@kernel
def dphi_deg(a: Any, b: Any) -> float:
    """Return the azimuth difference [degrees], 0..180."""
    return math.degrees(math.atan2(abs(a.x * b.y - a.y * b.x), a.x * b.x + a.y * b.y))


@kernel
def opening_deg(a: Any, b: Any) -> float:
    """Return the angle between two momenta [degrees], 0..180; 0 if one of them is zero."""
    product = momentum(a) * momentum(b)
    if product <= 0.0:
        return 0.0
    cosine = (a.x * b.x + a.y * b.y + a.z * b.z) / product
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
