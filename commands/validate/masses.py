"""Mass peaks of pairs of photons and of pions, and the width that the errors of the two promise."""

from __future__ import annotations

import numpy as np

from daq.event import Array, EventBatch
from daq.source.response.numbers import Calorimeter
from daq.source.response.tracks import CURVATURE


def photon_pairs(batch: EventBatch) -> tuple[Array, Array]:
    """Return (mass, its error) of events with two clusters that no track points at."""
    batch = batch.take(np.flatnonzero(np.diff(batch["clusters.offsets"]) == 2))
    neutral = ~batch["clusters.is_track"].reshape(-1, 2).any(axis=1)
    energy, theta, phi = (
        batch[f"clusters.{name}"].astype(float).reshape(-1, 2)[neutral] for name in ("energy_gev", "theta", "phi")
    )
    unit = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    opening = np.arccos(np.einsum("ni,ni->n", unit[:, 0], unit[:, 1]))
    mass = 2 * np.sqrt(energy.prod(axis=1)) * np.sin(0.5 * opening)
    numbers = Calorimeter()
    relative = np.hypot(numbers.energy_noise / energy, numbers.energy_constant)
    angular = np.sqrt(2.0) * numbers.position_rad / np.tan(0.5 * opening)
    return mass, 0.5 * mass * np.sqrt((relative**2).sum(axis=1) + angular**2)


def track_pairs(batch: EventBatch, mass_gev: float) -> tuple[Array, Array]:
    """Return (mass, its error) of the pairs of tracks from the beam line; the error is that of their covariances."""
    batch = batch.take(np.flatnonzero(np.diff(batch["tracks.offsets"]) == 2))
    names = ("phi0", "omega_per_cm", "tan_lambda")
    helix = np.stack([batch[f"tracks.{name}"].astype(float) for name in names], axis=1).reshape(-1, 2, 3)
    packed = batch["tracks.cov"].astype(float).reshape(-1, 2, 15)
    covariance = packed[..., [[5, 6, 8], [6, 9, 11], [8, 11, 14]]]
    mass, variance = _mass(helix, mass_gev), np.zeros(len(helix))
    for track in range(2):
        slopes = []
        for parameter in range(3):
            step = np.zeros((2, 3))
            step[track, parameter] = (1e-6, 1e-8, 1e-6)[parameter]
            slopes.append((_mass(helix + step, mass_gev) - _mass(helix - step, mass_gev)) / (2 * step.max()))
        slope = np.stack(slopes, axis=1)
        variance += np.einsum("ni,nij,nj->n", slope, covariance[:, track], slope)
    return mass, np.sqrt(variance)


def _mass(helix: Array, mass_gev: float) -> Array:
    phi0, omega, tan_lambda = np.moveaxis(helix, -1, 0)
    pt = CURVATURE / np.abs(omega)
    p = np.stack([pt * np.cos(phi0), pt * np.sin(phi0), pt * tan_lambda], axis=-1)
    energy = np.sqrt((p**2).sum(axis=-1) + mass_gev**2).sum(axis=1)
    return np.asarray(np.sqrt(energy**2 - (p.sum(axis=1) ** 2).sum(axis=1)))
