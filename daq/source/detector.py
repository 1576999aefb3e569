"""First detector response: from particles in the lab to reconstructed tracks and clusters.

Everything is a parametrisation, not a simulation of matter. The numbers stand in `Response`; those without a source in
its comments are surrogates of the right size. Not modelled: conversions and bremsstrahlung in the material, decays in
flight, correlations of the helix parameters, beam background, particles other than photons, e, mu, pi, K, p, neutrons
and K_L (neutrinos and new invisible particles leave nothing).

A track is what a charged particle leaves at 17-150 deg, its efficiency falling with the transverse distance rho of the
production point as exp(-rho^2 / 2 (60 cm)^2), half of the vertex efficiency. A cluster is the energy that arrives at
one place of the ECL: deposits closer than ``merge_rad`` are one cluster, so collinear photons join their electron, and
the photons of a very light ALP each other. A track is matched to the nearest cluster around the point where its
*reconstructed* helix enters the ECL.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.event import OFFSET, Array
from daq.jit import kernel
from daq.philox import STREAM_DETECTOR, exponential, new_draws, normal, start, uniform
from daq.source.helix import (
    ECL_BACK_CM,
    ECL_FRONT_CM,
    ECL_RADIUS_CM,
    SUPERLAYERS,
    crossing,
    ecl_entry,
    perigee,
    transverse_gev,
)
from daq.source.particles import Particles


class Response(NamedTuple):
    """The numbers of the response; lengths in cm, energies in GeV, times in ns, angles in rad (edges in deg)."""

    # Tracks. Acceptance and resolutions: Belle II Physics Book (arXiv:1808.10567); CDC-only resolutions: surrogate.
    track_theta_deg: tuple[float, float] = (17.0, 150.0)
    track_efficiency: float = 0.95
    track_rho_cm: float = 60.0  # scale of the loss of displaced vertices
    track_pt_min: float = 0.05
    cdc_hits_min: int = 10  # fewer hits: found by the vertex detectors alone, if produced inside them
    layer_efficiency: float = 0.95
    vertex_detector_cm: float = 3.8  # tracks from outside miss the pixels and the first strips
    pt_per_gev: float = 0.0011
    pt_constant: float = 0.0030
    d0_constant: float = 0.0010
    d0_per_gev: float = 0.0015
    z0_constant: float = 0.0015
    z0_per_gev: float = 0.0025
    angle_constant: float = 0.0003
    angle_per_gev: float = 0.0010
    d0_outside: float = 0.02
    z0_outside: float = 0.2
    track_time: float = 1.0
    # Particle identification (TOP, ARICH 14-124 deg; muons by the KLM).
    pid_theta_deg: tuple[float, float] = (14.0, 124.0)
    muon_p_min: float = 0.6
    muon_layers_per_gev: float = 20.0
    muon_layers_max: int = 14
    punch_through: float = 0.05
    # Clusters. Edges and gaps of the ECL [deg]; resolutions as quoted by Belle II for 2018 data (PRL 125, 161806).
    ecl_theta_deg: tuple[float, float, float, float, float, float] = (12.4, 31.4, 32.2, 128.7, 130.7, 155.1)
    photon_efficiency: float = 0.97
    photon_turn_on: float = 0.03  # efficiency = plateau (1 - exp(-(E / this)^2))
    energy_noise: float = 0.016
    energy_constant: float = 0.016
    tail_fraction: float = 0.15  # of the showers that leak
    tail_mean: float = 0.02  # mean share that they lose
    position_rad: float = 0.005
    # Shower shape: a uniform number to this power for electromagnetic showers. Two in a hundred lie below 0.5, what
    # Belle II's single-photon trigger loses by that cut ("B factories and light dark matter", talk of 2021).
    shower_power: float = 0.177
    cluster_min: float = 0.02
    merge_rad: float = 0.06
    match_rad: float = 0.08
    time_constant: float = 0.8
    time_noise: float = 0.25  # times GeV / E
    mip: float = 0.19  # most probable loss of a minimum-ionising particle
    mip_tail: float = 0.02
    hadron_showers: float = 0.4  # share of charged hadrons that shower
    neutral_hadron_showers: float = 0.5


# Rows: true e, mu, pi, K, p; columns: what the particle looks like. Efficiencies 86, 90, -, 90 % and the pion row's
# 0.4, 7 and 6 % are quoted by Belle II, the rest fills up to 1.
CONFUSION = np.array(
    [
        (0.860, 0.010, 0.110, 0.010, 0.010),
        (0.005, 0.900, 0.085, 0.008, 0.002),
        (0.004, 0.070, 0.856, 0.060, 0.010),
        (0.005, 0.030, 0.055, 0.900, 0.010),
        (0.005, 0.005, 0.030, 0.030, 0.930),
    ]
)
HYPOTHESES = ("e", "mu", "pi", "k", "p")
MASSES_GEV = np.array([0.51099895e-3, 0.1056583755, 0.13957039, 0.493677, 0.93827209])
DIAGONAL = (0, 5, 9, 12, 14)  # of a 5 x 5 matrix in the 15 numbers of its upper triangle

_SURFACE = (ECL_RADIUS_CM, ECL_BACK_CM, ECL_FRONT_CM)
_RESPONSE = Response()


def respond(particles: Particles, *, first_event: int, seed: int, run: int) -> dict[str, Array]:
    """Return the ``tracks`` and ``clusters`` arrays of the event model for the events from ``first_event``.

    Event k's response depends on (seed, run, k) and on its particles alone. Objects follow the order of the particles
    that made them.
    """
    n_events, n_particles = len(particles), int(particles.offsets[-1])
    tracks = np.zeros((n_particles, 5)), np.zeros((n_particles, 5)), np.zeros((n_particles, 5))
    hits, times = np.zeros((n_particles, 3), dtype=np.int64), np.zeros(n_particles)
    clusters, is_track = np.zeros((n_particles, 7)), np.zeros(n_particles, dtype=np.bool_)
    n_tracks, n_clusters = np.zeros(n_events + 1, dtype=OFFSET), np.zeros(n_events + 1, dtype=OFFSET)
    _respond(
        (seed, run, STREAM_DETECTOR), first_event, particles.offsets, particles.pdg,
        np.stack([particles.px, particles.py, particles.pz, particles.energy, particles.x, particles.y, particles.z]),
        _RESPONSE, CONFUSION, MASSES_GEV, SUPERLAYERS, _SURFACE,
        *tracks, hits, times, clusters, is_track, n_tracks, n_clusters,
    )  # fmt: skip
    found, seen = int(n_tracks[-1]), int(n_clusters[-1])
    helix, sigma, pid = (array[:found] for array in tracks)
    covariance = np.zeros((found, 15), dtype="<f4")
    covariance[:, DIAGONAL] = sigma**2
    cluster_of = hits[:found, 2]
    helix_names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
    cluster_names = ("energy_gev", "theta", "phi", "r_cm", "time_ns", "dt99_ns", "zernike_mva")
    return {
        "tracks.offsets": n_tracks,
        "tracks.charge": np.sign(helix[:, 2]),
        **{f"tracks.{name}": helix[:, i] for i, name in enumerate(helix_names)},
        "tracks.cov": covariance,
        "tracks.n_cdc_hits": hits[:found, 0],
        "tracks.time_ns": times[:found],
        "tracks.clusters.offsets": np.concatenate([[0], np.cumsum(cluster_of >= 0)]),
        "tracks.clusters": cluster_of[cluster_of >= 0],
        **{f"tracks.pid_{name}": pid[:, i] for i, name in enumerate(HYPOTHESES)},
        "tracks.klm_layers": hits[:found, 1],
        "clusters.offsets": n_clusters,
        **{f"clusters.{name}": clusters[:seen, i] for i, name in enumerate(cluster_names)},
        "clusters.is_track": is_track[:seen],
        "clusters.has_photon_hypothesis": np.ones(seen, dtype=np.bool_),
    }


@kernel
def _respond(
    key: tuple[int, int, int], first_event: int, offsets: Array, pdg: Array, particle: Array, response: Response,
    confusion: Array, masses: Array, superlayers: Array, surface: tuple[float, float, float],
    helix: Array, sigma: Array, pid: Array, hits: Array, times: Array, clusters: Array, is_track: Array,
    n_tracks: Array, n_clusters: Array,
) -> None:  # fmt: skip
    draws = new_draws()
    seed, run, stream = key
    # Deposits of one event: weighted x, y, z, energy, electromagnetic energy.
    deposits = np.zeros((max(1, (offsets[1:] - offsets[:-1]).max() if offsets.size > 1 else 1), 5))
    track = cluster = 0
    for i in range(offsets.size - 1):
        start(draws, seed, run, first_event + i, stream)
        n_deposits, first_track, first_cluster = 0, track, cluster
        for j in range(offsets[i], offsets[i + 1]):
            species, charge = _species(pdg[j])
            pt = math.hypot(particle[0, j], particle[1, j])
            momentum = math.hypot(pt, particle[2, j])
            if species < 0 or pt <= 1e-3 * momentum:  # invisible, or down the beam pipe
                continue
            if not _is_inside(particle[4, j], particle[5, j], particle[6, j], surface):
                continue
            path = _path(particle[:, j], charge)
            if charge != 0 and _is_found(draws, path, particle[:, j], momentum, response, superlayers, hits[track]):
                _measure_track(
                    draws, path, particle[:, j], momentum, masses[species], response, helix[track], sigma[track]
                )
                times[track] = response.track_time * normal(draws)
                _identify(
                    draws, species, momentum, particle[2, j] / momentum, response, confusion, pid[track], hits[track]
                )
                track += 1
            reached, x, y, z = ecl_entry(*path, surface)
            if not reached or not _in_ecl(x, y, z, response):
                continue
            energy = _deposit(draws, species, particle[3, j], momentum, masses, response)
            if energy > 0.0:
                electromagnetic = energy if species in (0, 5) else 0.0
                n_deposits = _add(deposits, n_deposits, x, y, z, energy, electromagnetic, response.merge_rad)
        for j in range(n_deposits):
            if _measure_cluster(draws, deposits[j], response, clusters[cluster]):
                cluster += 1
        for j in range(first_track, track):
            hits[j, 2] = _match(helix[j], clusters[first_cluster:cluster], surface, response.match_rad)
            if hits[j, 2] >= 0:
                is_track[first_cluster + hits[j, 2]] = True
        n_tracks[i + 1], n_clusters[i + 1] = track, cluster


@kernel
def _is_inside(x: float, y: float, z: float, surface: tuple[float, float, float]) -> bool:
    """Tell whether a particle starts inside of the ECL: what decays behind it is not seen."""
    radius, back, front = surface
    return x * x + y * y < radius * radius and back < z < front


@kernel
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


@kernel
def _path(particle: Array, charge: int) -> tuple[float, float, float, float, float]:
    """Return the true helix of a particle (px, py, pz, energy, x, y, z)."""
    px, py, pz, _, x, y, z = particle
    if charge != 0:
        return perigee(x, y, z, px, py, pz, charge)
    pt = math.hypot(px, py)
    arc = (x * px + y * py) / pt
    return (x * py - y * px) / pt, math.atan2(py, px), 0.0, z - arc * pz / pt, pz / pt


@kernel
def _is_found(
    draws: Array, path: tuple[float, float, float, float, float], particle: Array, momentum: float,
    response: Response, superlayers: Array, hits: Array,
) -> bool:  # fmt: skip
    """Tell whether the track is reconstructed, and count its CDC hits."""
    d0, _, omega, z0, tan_lambda = path
    theta = math.degrees(math.acos(particle[2] / momentum))
    rho = math.hypot(particle[4], particle[5])
    if not response.track_theta_deg[0] <= theta <= response.track_theta_deg[1]:
        return False
    if transverse_gev(omega) < response.track_pt_min:
        return False
    layers = 0.0
    for superlayer in superlayers:
        if superlayer[0] > rho and crossing(d0, omega, z0, tan_lambda, superlayer) > 0.0:
            layers += superlayer[3]
    spread = math.sqrt(layers * response.layer_efficiency * (1.0 - response.layer_efficiency))
    hits[0] = int(min(max(layers * response.layer_efficiency + spread * normal(draws) + 0.5, 0.0), layers))
    if hits[0] < response.cdc_hits_min and rho > response.vertex_detector_cm:
        return False
    return uniform(draws) < response.track_efficiency * math.exp(-0.5 * (rho / response.track_rho_cm) ** 2)


@kernel
def _measure_track(
    draws: Array, path: tuple[float, float, float, float, float], particle: Array, momentum: float, mass: float,
    response: Response, helix: Array, sigma: Array,
) -> None:  # fmt: skip
    """Smear the helix, each parameter on its own, by the errors that the track reports."""
    pt = transverse_gev(path[2])
    sine = pt / momentum
    velocity = momentum / math.hypot(momentum, mass)
    rho = math.hypot(particle[4], particle[5])
    outside = rho > response.vertex_detector_cm
    angle = math.hypot(response.angle_constant, response.angle_per_gev / (momentum * math.sqrt(sine)))
    sigma[1] = angle
    sigma[2] = abs(path[2]) * math.hypot(response.pt_per_gev * pt, response.pt_constant / velocity)
    sigma[4] = angle * (1.0 + path[4] * path[4])
    if outside:
        sigma[0], sigma[3] = response.d0_outside, response.z0_outside
    else:
        sigma[0] = math.hypot(response.d0_constant, response.d0_per_gev / (momentum * sine**1.5))
        sigma[3] = math.hypot(response.z0_constant, response.z0_per_gev / (momentum * sine**2.5))
    # The perigee is extrapolated from the first point of the track.
    sigma[0] = math.hypot(sigma[0], rho * sigma[1])
    sigma[3] = math.hypot(sigma[3], rho * sigma[4])
    for k in range(5):
        helix[k] = path[k] + sigma[k] * normal(draws)
    if helix[1] >= math.pi:
        helix[1] -= 2.0 * math.pi
    elif helix[1] < -math.pi:
        helix[1] += 2.0 * math.pi


@kernel
def _identify(
    draws: Array, species: int, momentum: float, cosine: float, response: Response, confusion: Array, pid: Array,
    hits: Array,
) -> None:  # fmt: skip
    """Fill the five likelihoods and the KLM layers."""
    hits[1] = 0
    if momentum > response.muon_p_min:
        if species == 1:
            layers = 1.0 + response.muon_layers_per_gev * (momentum - response.muon_p_min) + normal(draws)
            hits[1] = int(min(max(layers, 0.0), float(response.muon_layers_max)))
        elif species > 1 and uniform(draws) < response.punch_through:
            hits[1] = 1 + int(4.0 * uniform(draws))
    theta = math.degrees(math.acos(cosine))
    pid[:] = 0.2
    if not response.pid_theta_deg[0] <= theta <= response.pid_theta_deg[1]:
        return
    row = 2 if species == 1 and momentum <= response.muon_p_min else species  # too soft for the KLM: like a pion
    looks_like, rest = 0, uniform(draws) - confusion[row, 0]
    while rest > 0.0 and looks_like < 4:
        looks_like += 1
        rest -= confusion[row, looks_like]
    best = 1.0 - 0.1 * uniform(draws)
    pid[:] = 0.25 * (1.0 - best)
    pid[looks_like] = best


@kernel
def _in_ecl(x: float, y: float, z: float, response: Response) -> bool:
    """Tell whether a point is on crystals, not in a gap or beyond the ends."""
    theta = math.degrees(math.atan2(math.hypot(x, y), z))
    edges = response.ecl_theta_deg
    return edges[0] < theta < edges[1] or edges[2] < theta < edges[3] or edges[4] < theta < edges[5]


@kernel
def _deposit(draws: Array, species: int, energy: float, momentum: float, masses: Array, response: Response) -> float:
    """Return the energy that a particle leaves in the ECL [GeV]; 0 if it is not seen."""
    if species in (0, 5):
        turn_on = 1.0 - math.exp(-((energy / response.photon_turn_on) ** 2))
        return energy if uniform(draws) < response.photon_efficiency * turn_on else 0.0
    if species == 6:
        seen = uniform(draws) < response.neutral_hadron_showers
        return momentum * (0.1 + 0.5 * uniform(draws)) if seen else 0.0
    kinetic: float = energy - masses[species]
    if species > 1 and uniform(draws) < response.hadron_showers:
        return kinetic * (0.2 + 0.6 * uniform(draws))
    return min(kinetic, response.mip + response.mip_tail * exponential(draws))


@kernel
def _add(
    deposits: Array, count: int, x: float, y: float, z: float, energy: float, electromagnetic: float, merge_rad: float
) -> int:
    """Add energy to the deposit that it overlaps with, else as a new one; return the number of deposits."""
    for j in range(count):
        weight = deposits[j, 3]
        if _angle(x, y, z, deposits[j, 0] / weight, deposits[j, 1] / weight, deposits[j, 2] / weight) < merge_rad:
            slot = j
            break
    else:
        slot = count
        deposits[slot] = 0.0
    deposits[slot, 0] += energy * x
    deposits[slot, 1] += energy * y
    deposits[slot, 2] += energy * z
    deposits[slot, 3] += energy
    deposits[slot, 4] += electromagnetic
    return max(count, slot + 1)


@kernel
def _angle(ax: float, ay: float, az: float, bx: float, by: float, bz: float) -> float:
    """Return the tangent of the angle between two vectors, which serves for small angles; beyond 90 degrees pi."""
    dot = ax * bx + ay * by + az * bz
    cx, cy, cz = ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx
    return math.sqrt(cx * cx + cy * cy + cz * cz) / dot if dot > 0.0 else math.pi


@kernel
def _measure_cluster(draws: Array, deposit: Array, response: Response, out: Array) -> bool:
    """Smear one deposit into (energy, theta, phi, r, time, dt99, zernike); tell whether it passes the threshold."""
    true: float = deposit[3]
    x, y, z = deposit[0] / true, deposit[1] / true, deposit[2] / true
    energy = true * (1.0 + math.hypot(response.energy_noise / true, response.energy_constant) * normal(draws))
    if uniform(draws) < response.tail_fraction:
        energy *= math.exp(-response.tail_mean * exponential(draws))
    rho = math.hypot(x, y)
    r = math.hypot(rho, z)
    phi = math.atan2(y, x) + response.position_rad * r / rho * normal(draws)
    out[0] = energy
    out[1] = math.atan2(rho, z) + response.position_rad * normal(draws)
    out[2] = phi - 2.0 * math.pi * math.floor(phi / (2.0 * math.pi) + 0.5)
    out[3] = r
    sigma = math.hypot(response.time_constant, response.time_noise / true)
    out[4] = sigma * normal(draws)
    out[5] = 2.576 * sigma  # half-width that holds 99 % of a normal distribution
    shape = uniform(draws)
    out[6] = shape**response.shower_power if 2.0 * deposit[4] > true else shape * shape
    return energy > response.cluster_min


@kernel
def _match(helix: Array, clusters: Array, surface: tuple[float, float, float], match_rad: float) -> int:
    """Return the nearest cluster to the point where the helix enters the ECL; -1 if none is near."""
    reached, x, y, z = ecl_entry(helix[0], helix[1], helix[2], helix[3], helix[4], surface)
    nearest, distance = -1, match_rad
    if reached:
        for j in range(clusters.shape[0]):
            sine = math.sin(clusters[j, 1])
            cosine, phi = math.cos(clusters[j, 1]), clusters[j, 2]
            angle = _angle(x, y, z, sine * math.cos(phi), sine * math.sin(phi), cosine)
            if angle < distance:
                nearest, distance = j, angle
    return nearest
