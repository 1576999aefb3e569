"""From the particles of collisions to the events that the trigger gets: background, detector, primitives, clock."""

from __future__ import annotations

from daq.event import Array, EventBatch
from daq.source.background import BeamBackground
from daq.source.detector import respond
from daq.source.particles import Particles
from daq.source.primitives import add_primitives


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
        batch = EventBatch(len(particles), truth | stamps | respond(particles, **where), check=False)
        return add_primitives(batch, **where)
    laid = background.lay(stamps, first_event)
    objects = respond(background.with_tracks(particles, laid, first_event), **where)
    seen = background.with_clusters(objects, laid, first_event)
    batch = add_primitives(EventBatch(len(particles), truth | stamps | seen, check=False), **where)
    return background.with_segments(batch, laid, first_event)
