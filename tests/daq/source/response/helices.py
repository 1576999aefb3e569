"""A reference for what is done with measured helices: least-squares vertices and masses, by plain numpy."""

import numpy as np

from daq.event import EventBatch
from daq.source.detector import respond
from daq.source.particles import Particles

HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
PION, K_SHORT = 0.13957039, 0.497611
_UPPER = np.triu_indices(5)


def covariances(batch: EventBatch):
    """Return the (n, 5, 5) covariances of the tracks."""
    packed = batch["tracks.cov"].astype(float)
    full = np.zeros((len(packed), 5, 5))
    full[:, _UPPER[0], _UPPER[1]] = full[:, _UPPER[1], _UPPER[0]] = packed
    return full


def k_short_pairs(flight_cm: float, n: int, momentum: float = 1.2):
    """Return (batch of the events with both pions, their true vertices) of K0S from the origin."""
    random = np.random.default_rng(7)
    direction = random.normal(size=(n, 3)) * (1, 1, 0.5)
    direction /= np.linalg.norm(direction, axis=1)[:, None]
    vertices = flight_cm * direction
    star = random.normal(size=(n, 3))
    star *= np.sqrt(0.25 * K_SHORT**2 - PION**2) / np.linalg.norm(star, axis=1)[:, None]
    gamma, boost = np.hypot(momentum, K_SHORT) / K_SHORT, momentum / K_SHORT
    along = np.einsum("ni,ni->n", star, direction)[:, None]
    pions = [star * sign + direction * ((gamma - 1) * along * sign + boost * 0.5 * K_SHORT) for sign in (1, -1)]
    p = np.stack(pions, axis=1).reshape(-1, 3)
    x, y, z = np.repeat(vertices, 2, axis=0).T
    particles = Particles.build(
        2 * np.arange(n + 1), pdg=np.tile([211, -211], n), px=p[:, 0], py=p[:, 1], pz=p[:, 2],
        energy=np.sqrt((p**2).sum(axis=1) + PION**2), x=x, y=y, z=z,
    )  # fmt: skip
    batch = EventBatch(n, respond(particles, first_event=0, seed=5, run=1))
    chosen = np.flatnonzero(np.diff(batch["tracks.offsets"]) == 2)
    return batch.take(chosen), vertices[chosen]


def helices(batch: EventBatch):
    """Return the (events, 2, 5) helices."""
    return np.stack([batch[f"tracks.{name}"].astype(float) for name in HELIX], axis=1).reshape(-1, 2, 5)


def misses(helix, point):
    """Return by how much helices (..., 5) miss points (..., 3): across the track in r-phi, and in z."""
    d0, phi0, omega, z0, tan_lambda = np.moveaxis(helix, -1, 0)
    x, y, z = np.moveaxis(point, -1, 0)
    radius = 1 / omega
    centre_x, centre_y = (d0 + radius) * np.sin(phi0), -(d0 + radius) * np.cos(phi0)
    sign = np.sign(omega)
    dx, dy = centre_x - x, centre_y - y
    # At the point the direction is phi where (sin, -cos) points from it to the centre, times the sign of omega.
    phi = np.arctan2(sign * dx, -sign * dy)
    across = sign * np.hypot(dx, dy) - radius
    arc = (phi0 - phi + np.pi) % (2 * np.pi) - np.pi
    return np.stack([across, z0 + arc * radius * tan_lambda - z], axis=-1), phi


def fit_vertices(batch: EventBatch, start):
    """Return (vertex, errors, chi2) of two-track events: Gauss-Newton from ``start`` with numerical derivatives."""
    helix, cov = helices(batch), covariances(batch).reshape(-1, 2, 5, 5)
    vertex = start.copy()
    for _ in range(6):
        point = np.repeat(vertex[:, None], 2, axis=1)
        value = misses(helix, point)[0]
        steps = np.array([1e-5, 1e-6, 1e-9, 1e-5, 1e-6])
        slope = np.stack(
            [(misses(helix + e, point)[0] - misses(helix - e, point)[0]) / (2 * e.max()) for e in np.diag(steps)], -1
        )
        weight = np.linalg.inv(np.einsum("ntai,ntij,ntbj->ntab", slope, cov, slope))
        move = np.stack(
            [(misses(helix, point + e)[0] - misses(helix, point - e)[0]) / (2 * 1e-5) for e in 1e-5 * np.eye(3)], -1
        )
        normal = np.einsum("ntai,ntab,ntbj->nij", move, weight, move)
        gradient = np.einsum("ntai,ntab,ntb->ni", move, weight, value)
        vertex -= np.linalg.solve(normal, gradient[..., None])[..., 0]
    value = misses(helix, np.repeat(vertex[:, None], 2, axis=1))[0]
    chi2 = np.einsum("nta,ntab,ntb->n", value, weight, value)
    return vertex, np.sqrt(np.linalg.inv(normal).diagonal(axis1=1, axis2=2)), chi2


def mass_at(batch: EventBatch, point):
    """Return the pion-pair masses with the directions that the tracks have at the points."""
    helix = helices(batch)
    phi = misses(helix, np.repeat(point[:, None], 2, axis=1))[1]
    pt = 1.5 * 29.9792458e-4 / np.abs(helix[..., 2])
    p = np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * helix[..., 4]], axis=-1)
    energy = np.sqrt((p**2).sum(axis=-1) + PION**2).sum(axis=1)
    return np.sqrt(energy**2 - (p.sum(axis=1) ** 2).sum(axis=1))
