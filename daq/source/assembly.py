"""From the particles of collisions to the events that the trigger gets: background, detector, primitives, clock."""

from __future__ import annotations

from daq.event import Array, EventBatch
from daq.source.background import BeamBackground
from daq.source.detector import RESPONSE, respond
from daq.source.particles import Particles
from daq.source.primitives import primitives_of


def assemble(
    particles: Particles,
    stamps: dict[str, Array],
    background: BeamBackground | None,
    *,
    first_event: int,
    seed: int,
    run: int,
) -> EventBatch:
    """Return the events from ``first_event``, as the trigger sees them.

    ``stamps`` are the columns that the clock fills (`daq.source.beam.Beam.stamp`). Each event depends on its particles
    and stamps and on (seed, run, number) alone.
    """
    where = {"first_event": first_event, "seed": seed, "run": run}
    truth = {name: getattr(particles, name) for name in Particles.EVENT_FIELDS}
    if background is None:
        seen = _closed(respond(particles, **where))
        fired = primitives_of(seen, **where)
    else:
        laid = background.lay(stamps, first_event)
        seen = respond(particles, RESPONSE, background.stray(laid, first_event), laid.clusters, **where)
        background.fill_clusters(seen, laid, first_event)
        seen = _closed(seen)
        fired = background.with_segments(primitives_of(seen, **where), laid, first_event)
    return EventBatch.of_columns(len(particles), truth | stamps | seen | fired)


def _closed(arrays: dict[str, Array]) -> dict[str, Array]:
    """Make the arrays read-only, as those of a batch: the kernels of the primitives are compiled for these alone."""
    for array in arrays.values():
        array.setflags(write=False)
    return arrays
