"""Events that no detector makes: NaN and infinite numbers, no curvature, singular covariances, indices out of range.

``python -m tests.hlt.hostile`` sends them through the emulator; the bounds test does so with bounds checks compiled in.
"""

from __future__ import annotations

import numpy as np

from daq.event import LAYOUT, EventBatch
from daq.jit import Array
from daq.settings import BeamSettings
from hlt.displaced.settings import VertexSettings
from hlt.emulator import HltEmulator, HltResult
from hlt.kinematics import cm_frame
from hlt.menu import HltMenu
from hlt.variables import filter_variables

SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-38, 3e38, -3e38, 1e-45], dtype=np.float32)


def hostile_batch(seed: int, n_events: int = 200) -> EventBatch:
    """Return events in which every number may be a special value or garbage."""
    rng = np.random.default_rng(seed)
    arrays: dict[str, Array] = {"event": np.arange(n_events), "run": np.ones(n_events)}
    rows = {"tracks": rng.integers(0, 7, n_events), "clusters": rng.integers(0, 9, n_events)}
    for group, counts in rows.items():
        arrays[f"{group}.offsets"] = np.concatenate([[0], np.cumsum(counts)])
        total = int(counts.sum())
        for name, dtype in LAYOUT.items():
            if not name.startswith(f"{group}.") or name in ("tracks.clusters", f"{group}.offsets"):
                continue
            if name == "tracks.clusters.offsets":
                matched = rng.integers(0, 4, total)
                arrays[name] = np.concatenate([[0], np.cumsum(matched)])
                arrays["tracks.clusters"] = rng.choice([0, 1, 2, 7, 300, 65535], int(matched.sum()))
                continue
            shape = (total, 15) if name == "tracks.cov" else total
            if dtype.kind == "f":
                values = rng.normal(0.0, 3.0, shape).astype(np.float32)
                arrays[name] = np.where(rng.random(shape) < 0.1, rng.choice(SPECIAL, shape), values)
            elif dtype.kind == "b":
                arrays[name] = rng.random(shape) < 0.7
            else:
                arrays[name] = rng.integers(-1 if dtype.kind == "i" else 0, 2, shape)
    arrays["tim_type"] = rng.integers(0, 256, n_events)
    return EventBatch(n_events, arrays)


def decide(batch: EventBatch) -> HltResult:
    """Send events through the physics menu."""
    return HltEmulator(HltMenu.load("physics"), seed=1, beam=BeamSettings()).process(batch, {})


def all_variables(batch: EventBatch) -> tuple[Array, Array]:
    """Return the variables of both vertex seeds, and Belle II's vertex: every kernel of the variables runs."""
    return filter_variables(batch, {}, cm_frame(BeamSettings()), vertex=VertexSettings(seed="circles"))


if __name__ == "__main__":
    empty = EventBatch(3, {})
    for events in (*(hostile_batch(seed) for seed in range(20)), empty, empty.take(np.arange(0))):
        decide(events)
        all_variables(events)
