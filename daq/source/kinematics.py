"""Four-momenta: the frame of the collision, boosts and directions.

Four-momenta are written (px, py, pz, energy) [GeV]. The *CM frame* of this package has the electron beam along +z and
the y axis of the laboratory. It is reached from the laboratory by a pure boost and a turn of 5.8 mrad about y: with a
crossing angle the collision axis is not the solenoid axis, and the boost is along neither.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daq.jit import Array, kernel_lean
from daq.settings import BeamSettings

ELECTRON_GEV = 0.51099895e-3
MUON_GEV = 0.1056583755
ALPHA = 1 / 137.035999  # fine-structure constant at zero momentum transfer
GEV2_NB = 0.3893794e6  # (hbar c)^2 [GeV2 nb]
HBAR_C_GEV_CM = 1.9732698e-14


@dataclass(frozen=True, slots=True)
class CollisionFrame:
    """The CM frame of the beams: ``p_lab = to_lab @ p_cm`` for columns (px, py, pz, energy)."""

    sqrt_s_gev: float
    boost: Array  # (3,) velocity of the CM in the lab
    to_lab: Array  # (4, 4)
    to_cm: Array  # (4, 4)


def collision_frame(beam: BeamSettings) -> CollisionFrame:
    """Return the CM frame of the beams; both are bent to +x, the electron goes to +z."""
    half = 0.5e-3 * beam.crossing_mrad
    electron = _beam(beam.electron_gev, math.sin(half), math.cos(half))
    total = electron + _beam(beam.positron_gev, math.sin(half), -math.cos(half))
    boost = total[:3] / total[3]
    to_rest = _boost_matrix(-boost)
    along = to_rest @ electron
    turn = np.eye(4)
    norm = math.hypot(along[0], along[2])
    turn[0, 0] = turn[2, 2] = along[2] / norm
    turn[2, 0] = along[0] / norm
    turn[0, 2] = -turn[2, 0]
    to_cm = turn @ to_rest
    sqrt_s = math.sqrt(total[3] ** 2 - float(total[:3] @ total[:3]))
    return CollisionFrame(sqrt_s, boost, _boost_matrix(boost) @ turn.T, to_cm)


def _beam(energy_gev: float, x: float, z: float) -> Array:
    momentum = math.sqrt(energy_gev**2 - ELECTRON_GEV**2)
    return np.array([momentum * x, 0.0, momentum * z, energy_gev])


def _boost_matrix(beta: Array) -> Array:
    """Return the matrix of the pure boost that gives a body at rest the velocity ``beta``."""
    gamma = 1 / math.sqrt(1 - float(beta @ beta))
    matrix = np.eye(4)
    matrix[:3, :3] += gamma**2 / (gamma + 1) * np.outer(beta, beta)
    matrix[:3, 3] = matrix[3, :3] = gamma * beta
    matrix[3, 3] = gamma
    return matrix


@kernel_lean
def boosted(
    p: tuple[float, float, float, float], frame: tuple[float, float, float, float], mass: float
) -> tuple[float, float, float, float]:
    """Take ``p`` from the rest frame of ``frame`` (of this mass) to the frame in which ``frame`` is given."""
    energy = (p[3] * frame[3] + p[0] * frame[0] + p[1] * frame[1] + p[2] * frame[2]) / mass
    along = (p[3] + energy) / (frame[3] + mass)
    return p[0] + along * frame[0], p[1] + along * frame[1], p[2] + along * frame[2], energy


@kernel_lean
def direction_about(axis: tuple[float, float, float], cosine: float, azimuth: float) -> tuple[float, float, float]:
    """Return the unit vector at angle acos(``cosine``) to the unit vector ``axis``, turned by ``azimuth`` about it."""
    ax, ay, az = axis
    sine = math.sqrt(max(0.0, (1.0 - cosine) * (1.0 + cosine)))
    u, v = sine * math.cos(azimuth), sine * math.sin(azimuth)
    transverse = math.hypot(ax, ay)
    if transverse < 1e-12:
        return u, v if az > 0 else -v, cosine if az > 0 else -cosine
    # Basis: (az ax, az ay, -transverse^2) / transverse and (-ay, ax, 0) / transverse.
    return (
        cosine * ax + (u * az * ax - v * ay) / transverse,
        cosine * ay + (u * az * ay + v * ax) / transverse,
        cosine * az - u * transverse,
    )
