"""Events of two or more exact helices from known vertices, and toy decays through the parametrised detector."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daq.event import EventBatch
from daq.jit import Array
from daq.source.detector import respond
from daq.source.helix import perigee
from daq.source.particles import Particles

Vector = tuple[float, float, float]
SIGMA = (0.01, 0.002, 0.004, 0.02, 0.003)  # of d0 [cm], phi0, omega (relative), z0 [cm], tan_lambda


def helix_events(events: Sequence[Sequence[tuple[int, Vector, Vector]]]) -> dict[str, Array]:
    """Return events of tracks (charge, vertex [cm], momentum [GeV/c]) without measurement error, in float64."""
    tracks = [track for event in events for track in event]
    helices = np.array([perigee(*vertex, *momentum, charge) for charge, vertex, momentum in tracks]).reshape(-1, 5)
    cov = np.zeros((len(tracks), 15))
    for k, place in enumerate((0, 5, 9, 12, 14)):
        cov[:, place] = (SIGMA[k] * (np.abs(helices[:, 2]) if k == 2 else 1.0)) ** 2
    given: dict[str, Array] = {
        f"tracks.{name}": helices[:, k].copy()
        for k, name in enumerate(("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda"))
    }
    given |= {
        "tracks.offsets": np.cumsum([0, *(len(event) for event in events)]).astype(np.int32),
        "tracks.charge": np.array([charge for charge, _, _ in tracks], dtype=np.int8),
        "tracks.cov": cov,
        "tracks.n_cdc_hits": np.full(len(tracks), 40, dtype=np.uint16),
        "tracks.time_ns": np.zeros(len(tracks)),
        "tracks.clusters.offsets": np.zeros(len(tracks) + 1, dtype=np.int32),
    }
    empty = EventBatch(len(events), {}).arrays()
    doubles = {name: a.astype(np.float64) if a.dtype.kind == "f" else a for name, a in empty.items()}
    return doubles | given


def decay(mass: float, daughters: tuple[float, float], momentum: Vector, direction: Vector) -> tuple[Vector, Vector]:
    """Return the momenta of the two daughters; the first goes along the unit vector ``direction`` at rest."""
    first, second = daughters
    energy_first = (mass**2 + first**2 - second**2) / (2 * mass)
    size = np.sqrt(energy_first**2 - first**2)
    p = np.array(momentum)
    energy = np.sqrt(p @ p + mass**2)
    out = []
    for sign, at_rest in ((1, energy_first), (-1, mass - energy_first)):
        q = sign * size * np.array(direction)
        out.append(q + p * ((p @ q) / (energy + mass) + at_rest) / mass)
    return tuple(out[0].tolist()), tuple(out[1].tolist())


def measured(particles: Particles, seed: int = 1) -> EventBatch:
    """Return what the parametrised detector makes of particles."""
    return EventBatch(len(particles), respond(particles, first_event=0, seed=seed, run=1))
