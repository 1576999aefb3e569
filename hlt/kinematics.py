"""Four-momenta and the centre-of-mass frame, as the filter variables use them.

Conventions of the Belle II public software, TrackFitResult, Helix, ClusterUtils and PCmsLabTransform: tracks are pions
taken at the perigee, clusters are photons from the interaction point (here the origin), angles are in degrees.
"""

from __future__ import annotations

import math
from typing import NamedTuple

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
    """A four-momentum [GeV]."""

    x: float
    y: float
    z: float
    e: float


def cm_frame(beam: BeamSettings) -> Frame:
    """Return the frame of the beams: a pure boost, then the turn about y that puts the electron on +z.

    Both beams lie in the x-z plane, half the crossing angle off the z axis towards +x.
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
    angle = math.atan2(along[0], along[2])
    turn = np.eye(4)
    turn[0, 0] = turn[2, 2] = math.cos(angle)
    turn[0, 2], turn[2, 0] = -math.sin(angle), math.sin(angle)
    return Frame(turn @ boost, total[3] / gamma)


@kernel
def pt_at_curvature(omega_per_cm: float) -> float:
    """Return the transverse momentum [GeV/c] of a signed curvature [1/cm] in 1.5 T: 0.00449688687 / abs(omega)."""
    return 1.5 * 29.9792458e-4 / abs(omega_per_cm)


@kernel
def track_p4(phi0: float, omega_per_cm: float, tan_lambda: float) -> P4:
    """Return the four-momentum of a pion at the perigee of its helix."""
    pt = pt_at_curvature(omega_per_cm)
    pion_mass_gev = 0.13957039
    pz = pt * tan_lambda
    return P4(pt * math.cos(phi0), pt * math.sin(phi0), pz, math.sqrt(pt * pt + pz * pz + pion_mass_gev**2))


@kernel
def cluster_p4(energy_gev: float, theta: float, phi: float) -> P4:
    """Return the four-momentum of a photon from the origin."""
    transverse = energy_gev * math.sin(theta)
    return P4(transverse * math.cos(phi), transverse * math.sin(phi), energy_gev * math.cos(theta), energy_gev)


@kernel
def to_cm(m: Array, p: P4) -> P4:
    """Return ``p`` seen from the frame of matrix ``m``; both beams lie in the x-z plane, so y stays as it is."""
    return P4(
        m[0, 0] * p.x + m[0, 2] * p.z + m[0, 3] * p.e,
        p.y,
        m[2, 0] * p.x + m[2, 2] * p.z + m[2, 3] * p.e,
        m[3, 0] * p.x + m[3, 2] * p.z + m[3, 3] * p.e,
    )


@kernel
def add(a: P4, b: P4) -> P4:
    """Return the sum."""
    return P4(a.x + b.x, a.y + b.y, a.z + b.z, a.e + b.e)


@kernel
def pt(p: P4) -> float:
    """Return the transverse momentum [GeV/c]."""
    return math.sqrt(p.x * p.x + p.y * p.y)


@kernel
def momentum(p: P4) -> float:
    """Return the size of the momentum [GeV/c]."""
    return math.sqrt(p.x * p.x + p.y * p.y + p.z * p.z)


@kernel
def mass(p: P4) -> float:
    """Return the invariant mass [GeV]; negative for a space-like sum, as ROOT has it."""
    square = p.e * p.e - p.x * p.x - p.y * p.y - p.z * p.z
    return math.copysign(math.sqrt(abs(square)), square)


@kernel
def theta_deg(p: P4) -> float:
    """Return the polar angle [degrees]."""
    return math.degrees(math.atan2(pt(p), p.z))


@kernel
def dphi_deg(a: P4, b: P4) -> float:
    """Return the azimuth difference [degrees], 0..180."""
    difference = abs(math.degrees(math.atan2(a.y, a.x)) - math.degrees(math.atan2(b.y, b.x)))
    return 360.0 - difference if difference > 180.0 else difference


@kernel
def opening_deg(a: P4, b: P4) -> float:
    """Return the angle between two momenta [degrees], 0..180; 0 if one of them is zero."""
    product = momentum(a) * momentum(b)
    if product <= 0.0:
        return 0.0
    cosine = (a.x * b.x + a.y * b.y + a.z * b.z) / product
    return math.degrees(math.acos(max(-1.0, min(1.0, cosine))))
