"""The detector response: from particles in the lab to reconstructed tracks and clusters.

Everything is a parametrisation, not a simulation of matter: `daq.source.response` has the steps, and its `numbers` what
they know; `darkline validate source` shows them beside the quoted figures (docs/detector.md). Not modelled:
bremsstrahlung in the material, decays in flight, time of flight, noise; particles other than photons, e, mu, pi, K, p,
neutrons and K_L leave nothing (neutrinos, new invisible particles).

A track is what a charged particle leaves at 17-150 deg. A cluster is the energy that arrives at one place of the ECL:
deposits closer than ``merge_rad`` are one cluster, so collinear photons join their electron, and the photons of a very
light ALP each other. A track is matched to the nearest cluster around the point where its helix enters the ECL. A
photon that converts leaves two tracks instead.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.event import OFFSET, Array
from daq.jit import kernel_lean
from daq.philox import (
    STREAM_DETECTOR,
    STREAM_DETECTOR_CLUSTERS,
    STREAM_DETECTOR_TRACKS,
    fill_words,
    new_draws,
    start,
)
from daq.source.helix import CHAMBER, CROSSED, ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM
from daq.source.particles import Particles
from daq.source.response import calorimeter, helices, material, tracks
from daq.source.response.calorimeter import SMEARED
from daq.source.response.helices import TILE
from daq.source.response.identification import identify
from daq.source.response.numbers import Response, records

HYPOTHESES = ("e", "mu", "pi", "k", "p")
MASSES_GEV = np.array([0.51099895e-3, 0.1056583755, 0.13957039, 0.493677, 0.93827209])
DIAGONAL = (0, 5, 9, 12, 14)  # of a 5 x 5 matrix in the 15 numbers of its upper triangle

_HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
_CLUSTER = ("energy_gev", "theta", "phi", "r_cm", "time_ns", "dt99_ns", "zernike_mva")
RESPONSE = Response()
_SURFACE = (ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM)


class Scratch(NamedTuple):
    """Working space of a block: found tracks and deposits, as `daq.source.response.helices` and `calorimeter` say."""

    tracks: Array  # tiles of FOUND quantities
    entries: Array  # 4 a track: x, y, z on the ECL [cm], is it there
    deposits: Array  # 5 each
    owner: Array  # of the counters of random words
    number: Array
    words: Array  # uint32
    normals: Array  # (NORMALS TILE) float32
    measured: Array  # float32, tiles of MEASURED or of SMEARED quantities
    places: Array  # 3 a cluster of one event
    crossed: Array  # see `daq.source.helix.cross_superlayers`

    @classmethod
    def of(cls, tracks: int, deposits: int) -> Scratch:
        """Return the space for so many."""
        tracks, deposits = -(-tracks // TILE) * TILE, -(-deposits // TILE) * TILE
        owner, number = np.empty((2, max(helices.COUNTERS * tracks, 2 * deposits)), dtype=np.int64)
        words = np.empty(max(4 * helices.COUNTERS * TILE, 8 * deposits), dtype=np.uint32)
        measured = np.empty(max(helices.MEASURED * TILE, SMEARED * deposits), dtype=np.float32)
        return cls(
            np.empty(helices.FOUND * tracks), np.empty(4 * tracks), np.empty(5 * deposits), owner, number, words,
            np.empty(helices.NORMALS * TILE, dtype=np.float32), measured, np.empty(3 * deposits),
            np.empty(2 * CROSSED, dtype=np.float32),
        )  # fmt: skip


def respond(
    particles: Particles, response: Response = RESPONSE, stray: Particles | None = None, room: Array | None = None, /,
    *, first_event: int, seed: int, run: int,
) -> dict[str, Array]:  # fmt: skip
    """Return the ``tracks`` and ``clusters`` arrays of the event model for the events from ``first_event``.

    Event k's response depends on (seed, run, k) and on its particles alone. Objects follow the order of the particles
    that made them.

    Parameters
    ----------
    particles
        Of the collisions.
    response
        The numbers of the detector.
    stray
        More particles of the same events, behind those of the collisions.
    room : (n_events + 1,)
        Offsets of clusters that the caller will fill in himself: they come last in each event, marked as photon
        hypotheses without a track. By default there are none.
    first_event, seed, run
        Which events these are.
    """
    n_events = len(particles)
    if stray is None:
        stray = Particles.build(np.zeros(n_events + 1, dtype=OFFSET))
    if room is None:
        room = np.zeros(n_events + 1, dtype=OFFSET)
    n_particles = int(particles.offsets[-1]) + int(stray.offsets[-1])
    # A photon may become two tracks; each of two electrons may leave a cluster, with another one split off.
    max_tracks, max_deposits = 2 * n_particles, 4 * n_particles
    columns = np.empty((11, max_tracks), dtype="<f4")  # helix, time, likelihoods
    covariance = np.empty((max_tracks, 15), dtype="<f4")
    charge, hits, layers = (np.empty(max_tracks, dtype=dtype) for dtype in ("|i1", "<u2", "|u1"))
    cluster_of, cluster_of_offsets = np.empty(max_tracks, dtype="<u2"), np.zeros(max_tracks + 1, dtype=OFFSET)
    clusters = np.empty((len(_CLUSTER), max_deposits + int(room[-1])), dtype="<f4")
    is_track = np.zeros(clusters.shape[1], dtype=np.bool_)
    n_tracks, n_clusters, n_deposits = (np.zeros(n_events + 1, dtype=OFFSET) for _ in range(3))
    scratch = Scratch.of(max_tracks, max_deposits)
    tables = records(response)
    _respond(
        (seed, run), (STREAM_DETECTOR, STREAM_DETECTOR_TRACKS, STREAM_DETECTOR_CLUSTERS), first_event, new_draws(),
        _columns(particles), _columns(stray), room, tables, MASSES_GEV, CHAMBER, _SURFACE, scratch,
        columns, covariance, (charge, hits, layers), cluster_of, cluster_of_offsets, clusters, is_track,
        n_tracks, n_deposits, n_clusters,
    )  # fmt: skip
    found, seen = int(n_tracks[-1]), int(n_clusters[-1])
    return {
        "tracks.offsets": n_tracks,
        "tracks.charge": charge[:found],
        **{f"tracks.{name}": columns[i, :found] for i, name in enumerate(_HELIX)},
        "tracks.cov": covariance[:found],
        "tracks.n_cdc_hits": hits[:found],
        "tracks.time_ns": columns[5, :found],
        "tracks.clusters.offsets": cluster_of_offsets[: found + 1],
        "tracks.clusters": cluster_of[: cluster_of_offsets[found]],
        **{f"tracks.pid_{name}": columns[6 + i, :found] for i, name in enumerate(HYPOTHESES)},
        "tracks.klm_layers": layers[:found],
        "clusters.offsets": n_clusters,
        **{f"clusters.{name}": clusters[i, :seen] for i, name in enumerate(_CLUSTER)},
        "clusters.is_track": is_track[:seen],
        "clusters.has_photon_hypothesis": np.ones(seen, dtype=np.bool_),
    }


def _columns(particles: Particles) -> tuple[Array, ...]:
    """Return offsets and codes, momenta and energy, vertex."""
    return particles.offsets, *(getattr(particles, name) for name in Particles.PARTICLE_FIELDS)


@kernel_lean
def _respond(
    key: tuple[int, int], streams: tuple[int, int, int], first_event: int, states: Array, own: tuple[Array, ...],
    stray: tuple[Array, ...], room: Array, tables: tuple[Any, Any, Any, Any], masses: Array, chamber: Array,
    surface: tuple[float, float, float], scratch: Scratch, columns: Array, cov: Array,
    counts: tuple[Array, Array, Array], cluster_of: Array, cluster_of_offsets: Array, clusters: Array, is_track: Array,
    n_tracks: Array, n_deposits: Array, n_clusters: Array,
) -> None:  # fmt: skip
    """Find, then measure; in one kernel, since a call from Python costs what it does for ten events."""
    seed, run = key
    charge, hits, layers = counts
    _find(
        (seed, run, streams[0]), first_event, states, own, stray, tables, masses, chamber, surface, scratch, hits,
        n_tracks, n_deposits,
    )  # fmt: skip
    _measure_tracks(
        (seed, run, streams[1]), first_event, n_tracks, tables, masses, scratch, columns, cov, charge, layers
    )
    _measure_clusters(
        (seed, run, streams[2]), first_event, n_tracks, n_deposits, room, tables[2], scratch, clusters, is_track,
        cluster_of, cluster_of_offsets, n_clusters,
    )  # fmt: skip


@kernel_lean
def _find(
    key: tuple[int, int, int], first_event: int, states: Array, own: tuple[Array, ...], stray: tuple[Array, ...],
    tables: tuple[Any, Any, Any, Any], masses: Array, chamber: Array,
    surface: tuple[float, float, float], scratch: Scratch, all_hits: Array, n_tracks: Array, n_deposits: Array,
) -> None:  # fmt: skip
    """Find which particles leave tracks, and what they leave in the ECL."""
    draws = states[0]
    seed, run, stream = key
    tracking, calorimetry, matter = tables[0][0], tables[2][0], tables[3][0]
    deposits, entries = scratch.deposits, scratch.entries
    # 1 cm at the inner radius of the end caps, 40 cm, moves the cotangent by far less than 0.2.
    steepest_front, steepest_back = (calorimetry.cot_edges[0] + 0.2) ** 2, (calorimetry.cot_edges[5] - 0.2) ** 2
    track = end = 0
    offsets = own[0]
    for i in range(offsets.size - 1):
        start(draws, seed, run, first_event + i, stream)
        first_track, first = track, end
        shift = offsets[i + 1] - stray[0][i]
        for k in range(offsets[i], shift + stray[0][i + 1]):
            if k < offsets[i + 1]:
                code, px, py, pz, energy, x, y, z = _particle(own, k)
            else:
                code, px, py, pz, energy, x, y, z = _particle(stray, k - shift)
            species, charge = _species(code)
            pt2 = px * px + py * py
            if species < 0 or pt2 <= 1e-6 * pz * pz or pt2 == 0.0:  # invisible, or down the beam pipe
                continue
            rho2 = x * x + y * y
            if not (rho2 < surface[0] ** 2 and surface[1] < z < surface[2]):  # behind the ECL: not seen
                continue
            # Many leave at small angles; a helix only gets steeper, so from near the beam line they miss everything.
            if rho2 < 1.0 and abs(z) < 1.0 and pz * pz >= (steepest_front if pz > 0.0 else steepest_back) * pt2:
                continue
            pt, rho, momentum = math.sqrt(pt2), math.sqrt(rho2), math.sqrt(pt2 + pz * pz)
            n_parts, share, whole = 1, 1.0, energy
            if species == 5:
                radius = material.conversion_radius(draws, rho, momentum / pt, matter)
                if radius > 0.0:
                    step = material.step_to_radius(x, y, px, py, radius)
                    x, y, z, rho = x + step * px, y + step * py, z + step * pz, radius
                    if not surface[1] < z < surface[2]:
                        continue
                    n_parts, share = 2, material.electron_share(draws)
            for part in range(n_parts):
                if n_parts == 2:
                    species, charge = 0, -1 if part == 0 else 1
                    energy = whole * (share if part == 0 else 1.0 - share)
                    scale = energy / momentum if part == 0 else energy / (whole - energy)
                    px, py, pz, pt, momentum = px * scale, py * scale, pz * scale, pt * scale, energy
                if charge == 0:
                    reached, u, v, w = _straight_to_ecl(x, y, z, px, py, pz, surface)
                else:
                    path = tracks.path_of(x, y, z, px, py, pz, pt, charge)
                    reached, u, v, w = tracks.entry_of(
                        path.d0, path.cosine, path.sine, path.omega, path.z0, path.tan_lambda, surface
                    )
                    found, hits = tracks.find(draws, path, pt, rho, tracking, chamber, scratch.crossed)
                    if found:
                        helices.keep(path, momentum, rho, species, scratch.tracks, track)
                        helices.number_counters(scratch.owner, scratch.number, track, i, track - first_track)
                        all_hits[track] = hits
                        entries[4 * track], entries[4 * track + 1], entries[4 * track + 2] = u, v, w
                        entries[4 * track + 3] = 1.0 if reached else 0.0
                        track += 1
                if not reached:
                    continue
                left, is_shower = calorimeter.deposit_of(
                    draws, species, energy, momentum, masses[min(species, 4)], calorimetry
                )
                if left <= 0.0:
                    continue
                is_photon = species in (0, 5)
                left *= calorimeter.seen_share(draws, u, v, w, is_photon, calorimetry)
                if left <= 0.0:
                    continue
                shower = left if is_photon else 0.0
                end = calorimeter.add(deposits, first, end, u, v, w, left, shower, calorimetry.merge_rad)
                if is_shower:
                    end = calorimeter.split_off(draws, deposits, first, end, u, v, w, left, is_photon, calorimetry)
        n_tracks[i + 1], n_deposits[i + 1] = track, end


@kernel_lean
def _measure_tracks(
    key: tuple[int, int, int], first_event: int, n_tracks: Array, tables: tuple[Any, Any, Any, Any], masses: Array,
    scratch: Scratch, columns: Array, cov: Array, charge: Array, layers: Array,
) -> None:  # fmt: skip
    """Smear all tracks, tile by tile."""
    count, out, normals = n_tracks[-1], scratch.measured, scratch.normals
    size = TILE * helices.COUNTERS  # counters of a tile
    for tile in range((count + TILE - 1) // TILE):
        words = scratch.words[: 4 * size]
        counters = slice(tile * size, (tile + 1) * size)
        fill_words(key, first_event, scratch.owner[counters], scratch.number[counters], words)
        helices.draw_normals(words, normals)
        found = scratch.tracks[tile * TILE * helices.FOUND :]
        helices.measure(found, normals, tables[0][0], masses, out)
        identify(found, normals, words[3 * 4 * TILE :], tables[1][0], out)
        rest = min(TILE, count - tile * TILE)
        helices.write(out, tile * TILE, rest, columns, cov, charge, layers)


@kernel_lean
def _measure_clusters(
    key: tuple[int, int, int], first_event: int, n_tracks: Array, n_deposits: Array, room: Array, table: Any,
    scratch: Scratch, clusters: Array, is_track: Array, cluster_of: Array, cluster_of_offsets: Array,
    n_clusters: Array,
) -> None:  # fmt: skip
    """Smear all deposits, keep those above the threshold, and match tracks to the nearest of them."""
    numbers, out, places, entries = table[0], scratch.measured, scratch.places, scratch.entries
    owner, number = scratch.owner, scratch.number
    count = n_deposits[-1]
    for i in range(n_deposits.size - 1):
        for k in range(n_deposits[i], n_deposits[i + 1]):
            owner[2 * k] = owner[2 * k + 1] = i
            number[2 * k] = 2 * (k - n_deposits[i])
            number[2 * k + 1] = number[2 * k] + 1
    fill_words(key, first_event, owner[: 2 * count], number[: 2 * count], scratch.words)
    for tile in range((count + TILE - 1) // TILE):
        first = tile * TILE
        calorimeter.measure(scratch.deposits[5 * first :], scratch.words[8 * first :], numbers, out[SMEARED * first :])
    threshold = np.float32(numbers.cluster_min)
    cluster = matched = 0
    for i in range(n_deposits.size - 1):
        first = cluster
        for k in range(n_deposits[i], n_deposits[i + 1]):
            place = k // TILE * (TILE * SMEARED) + k % TILE
            if out[place] <= threshold:
                continue
            for c in range(SMEARED - 3):
                clusters[c, cluster] = out[place + c * TILE]
            for c in range(3):
                places[3 * (cluster - first) + c] = out[place + (SMEARED - 3 + c) * TILE]
            cluster += 1
        for j in range(n_tracks[i], n_tracks[i + 1]):
            if entries[4 * j + 3] > 0.0:
                near = calorimeter.match(
                    entries[4 * j], entries[4 * j + 1], entries[4 * j + 2], places, cluster - first, numbers.match_rad
                )
                if near >= 0:
                    is_track[first + near] = True
                    cluster_of[matched] = near
                    matched += 1
            cluster_of_offsets[j + 1] = matched
        cluster += room[i + 1] - room[i]
        n_clusters[i + 1] = cluster


@kernel_lean
def _particle(columns: tuple[Array, ...], j: int) -> tuple[int, float, float, float, float, float, float, float]:
    _, pdg, px, py, pz, energy, x, y, z = columns
    return pdg[j], px[j], py[j], pz[j], energy[j], x[j], y[j], z[j]


@kernel_lean
def _species(code: int) -> tuple[int, int]:
    """Return (species, charge): 0-4 are e, mu, pi, K, p, 5 a photon, 6 a neutral hadron, -1 leaves nothing."""
    size = abs(code)
    sign = 1 if code > 0 else -1
    if size == 11:
        return 0, -sign
    if size == 13:
        return 1, -sign
    if size == 211:
        return 2, sign
    if size == 321:
        return 3, sign
    if size == 2212:
        return 4, sign
    return (5, 0) if size == 22 else (6, 0) if size in (130, 2112) else (-1, 0)


@kernel_lean
def _straight_to_ecl(
    x: float, y: float, z: float, px: float, py: float, pz: float, surface: tuple[float, float, float]
) -> tuple[bool, float, float, float]:
    """Return (reached, x, y, z) where a straight line from inside leaves the volume of the ECL."""
    radius, back, front = surface
    step = material.step_to_radius(x, y, px, py, radius)
    reached = z + step * pz
    if reached > front:
        step = (front - z) / pz
    elif reached < back:
        step = (back - z) / pz
    return True, x + step * px, y + step * py, z + step * pz
