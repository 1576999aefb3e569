"""What Level-1 sees of an event: trigger cells, trigger tracks, track segments and KLM sectors.

All of it is made from the *reconstructed* tracks and clusters, so the same code serves generated events and replayed
reconstruction-level files. Approximate: real primitives come from hits of their own, also from noise and from particles
that the reconstruction misses. Numbers without a source are surrogates of the right size.

* Trigger cells: a cluster is shared over the nearest cell and its neighbours with weights exp(-t / ``sharing_cm``), t
  its distance from the plane halfway to the neighbour: two cells share a shower at their border half and half.
* 2D tracks: at least four of the five axial superlayers, pT of at least 0.3 GeV; the efficiency falls with abs(d0),
  since the finder looks from the beam line. Curvature and azimuth in the steps of the firmware (34 steps to 0.3 GeV,
  80 azimuths a quadrant).
* Segments: where a track crosses a superlayer; in stereo layers the wire is followed to the backward end plate.
* KLM: a sector fires if a track has hits in at least four layers there.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from daq.event import OFFSET, Array, EventBatch
from daq.philox import STREAM_PRIMITIVES, STREAM_TRACK_PRIMITIVES, new_draws
from daq.source.front.cells import NEIGHBOURS, Scratch, fill_cells, trigger_cells
from daq.source.front.chamber import fill_tracks
from daq.source.front.numbers import Front, records
from daq.source.helix import CHAMBER, CROSSED, SUPERLAYERS

_FRONT = Front()
_CLUSTER = ("energy_gev", "theta", "phi", "r_cm", "time_ns")
_HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")


def add_primitives(batch: EventBatch, front: Front = _FRONT, /, *, first_event: int, seed: int, run: int) -> EventBatch:
    """Return the batch with its trigger primitives made from its tracks and clusters.

    Event k's primitives depend on (seed, run, k), its tracks and its clusters alone.
    """
    return batch.replaced(primitives_of(batch.arrays(), front, first_event=first_event, seed=seed, run=run))


def primitives_of(
    seen: Mapping[str, Array], front: Front = _FRONT, /, *, first_event: int, seed: int, run: int
) -> dict[str, Array]:
    """Return the arrays of the trigger primitives, made from those of tracks and clusters; see `add_primitives`."""
    cells = _cell_arrays(seen, (seed, run, STREAM_PRIMITIVES), first_event, front)
    return cells | _track_arrays(seen, (seed, run, STREAM_TRACK_PRIMITIVES), first_event, front)


def _cell_arrays(
    seen: Mapping[str, Array], key: tuple[int, int, int], first_event: int, front: Front
) -> dict[str, Array]:
    clusters = tuple(seen[f"clusters.{name}"] for name in _CLUSTER)
    n, size = clusters[0].size, (1 + NEIGHBOURS) * clusters[0].size
    offsets = np.zeros(seen["clusters.offsets"].size, dtype=OFFSET)
    ids, energies, times = np.empty(size, dtype="<u2"), np.empty(size, dtype="<f4"), np.empty(size, dtype="<f4")
    fill_cells(
        key, first_event, seen["clusters.offsets"], clusters, trigger_cells(), records(front)[0], Scratch.of(n),
        offsets, ids, energies, times,
    )  # fmt: skip
    used = offsets[-1]
    return {
        "tc.offsets": offsets,
        "tc.id": ids[:used],
        "tc.energy_gev": energies[:used],
        "tc.time_ns": times[:used],
    }


def _track_arrays(
    seen: Mapping[str, Array], key: tuple[int, int, int], first_event: int, front: Front
) -> dict[str, Array]:
    n, n_tracks = seen["tracks.offsets"].size - 1, seen["tracks.phi0"].size
    found = np.zeros((3, n + 1), dtype=OFFSET)
    tracks = np.empty((3, 4, n_tracks), dtype="<f4")
    segment_offsets, sector_offsets = np.zeros(n + 1, dtype=OFFSET), np.zeros(n + 1, dtype=OFFSET)
    segments, sectors = np.empty(len(SUPERLAYERS) * n_tracks, dtype="<u2"), np.empty(n_tracks, dtype="|u1")
    masks, t0 = np.zeros((4, n), dtype="|u1"), np.zeros(n, dtype="<i4")
    fill_tracks(
        key, first_event, new_draws(), seen["tracks.offsets"], tuple(seen[f"tracks.{name}"] for name in _HELIX),
        seen["tracks.n_cdc_hits"], seen["tracks.klm_layers"], CHAMBER,
        np.empty(3 * CROSSED, dtype=np.float32), records(front)[1:],
        found, tracks, segment_offsets, segments, sector_offsets, sectors, masks, t0,
    )  # fmt: skip
    out = {
        "segments.offsets": segment_offsets,
        "segments": segments[: segment_offsets[-1]],
        "klm_track_sectors.offsets": sector_offsets,
        "klm_track_sectors": sectors[: sector_offsets[-1]],
        "cdc_t0": t0,
    }
    for i, mask in enumerate(("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")):
        out[mask] = masks[i]
    for i, group in enumerate(("trk2d", "trk3d", "trknn")):
        out[f"{group}.offsets"] = found[i]
        for k, name in enumerate(("phi0", "omega") if i == 0 else ("phi0", "omega", "z0_cm", "cot_theta")):
            out[f"{group}.{name}"] = tracks[i, k, : found[i, -1]]
    return out
