"""The source once more in plain NumPy, as one would write it without kernels: whole columns at a time, one generator.

It samples the low-multiplicity part of the standard mix (Bhabha, gamma gamma, mu pairs, beam background) down to the
same columns as `daq.source`, and is there to be timed and compared with it. It leaves out what is awkward in columns,
which only makes it faster: collinear deposits are not merged, the third photon of gamma gamma has no exact matrix
element, electrons of Bhabha events come by the t channel alone, and an event is not reproducible on its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from daq.clock import TICK_NS, TICKS_A_TURN
from daq.event import Array
from daq.settings import BeamSettings
from daq.source.front.cells import trigger_cells
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM, SUPERLAYERS
from daq.source.kinematics import ALPHA, ELECTRON_GEV, MUON_GEV, collision_frame

BHABHA, GAMMA_GAMMA, MU_PAIR = range(3)
_MASS = np.array([ELECTRON_GEV, MUON_GEV, 0.13957039, 0.493677, 0.93827209, 0.0])  # e, mu, pi, K, p, photon
_CONFUSION = np.array(
    [
        (0.860, 0.010, 0.110, 0.010, 0.010),
        (0.005, 0.900, 0.085, 0.008, 0.002),
        (0.004, 0.070, 0.856, 0.060, 0.010),
        (0.005, 0.030, 0.055, 0.900, 0.010),
        (0.005, 0.005, 0.030, 0.030, 0.930),
    ]
)
_CURVATURE = 1.5 * 29.9792458e-4  # omega times pT [GeV/cm]
Columns = dict[str, Array]


def block(rng: Generator, n: int, shares: Array, beam: BeamSettings, rate_hz: float) -> Columns:
    """Return ``n`` events: the columns of the event model, with the event of each object instead of offsets."""
    columns = clock(rng, n, rate_hz, beam.injection.ler_hz)
    columns["process"] = np.searchsorted(shares, rng.random(n)).astype("<u2")
    particles = collisions(rng, columns["process"], beam)
    particles = background_tracks(rng, n, particles)
    columns |= tracks_and_clusters(rng, particles)
    columns |= background_clusters(rng, n, columns)
    columns |= match(columns)
    return columns | cells(rng, columns) | track_primitives(rng, n, columns)


def clock(rng: Generator, n: int, rate_hz: float, injections_hz: float) -> Columns:
    """Return times, bunches and injections."""
    ticks = np.cumsum(rng.exponential(1e9 / TICK_NS / rate_hz, n)).astype(np.int64)
    period = max(1, int(1e9 / TICK_NS / max(injections_hz, 1e-9)))
    return {
        "event": np.arange(n, dtype="<u8"),
        "time_ns": (ticks * TICK_NS).astype("<i8"),
        "bunch": (ticks % TICKS_A_TURN).astype("<u2"),
        "t_injection_us": (ticks % period * TICK_NS * 1e-3).astype("<f4"),
        "injection_ring": np.ones(n, dtype="|u1"),
        "weight": np.ones(n, dtype="<f4"),
    }


# ---- collisions


def collisions(rng: Generator, process: Array, beam: BeamSettings) -> Columns:
    """Return the particles of the events: pair, initial- and final-state photon."""
    n, frame = process.size, collision_frame(beam)
    root_s = frame.sqrt_s_gev
    share = 4 * ELECTRON_GEV**2 / root_s**2
    least = np.where(process == MU_PAIR, 0.5, 2.0)
    beta = 2 * ALPHA / math.pi * (math.log(4 / share) - 1)
    x = initial_fraction(rng, beta, 1 - (least / root_s) ** 2)
    x[x < 1e-4] = 0.0
    photon_cosine = photon_cosines(rng, x, np.full(n, share))
    photon = along(rng, 0.5 * x * root_s, np.tile([0.0, 0.0, 1.0], (n, 1)), photon_cosine)
    pair = np.concatenate([-photon[:, :3], root_s - photon[:, 3:]], axis=1)
    mass = root_s * np.sqrt(1 - x)
    species = np.where(process == BHABHA, 0, np.where(process == MU_PAIR, 1, 5))
    fermion = _MASS[species]
    cosine = born_cosine(rng, process, 1 - 4 * fermion**2 / mass**2)
    line = along(rng, np.ones(n), np.tile([0.0, 0.0, 1.0], (n, 1)), cosine)[:, :3]
    charged = np.flatnonzero(species != 5)
    y = np.zeros(n)
    fermion_share = 4 * (fermion[charged] / mass[charged]) ** 2
    slope = 2 * ALPHA / math.pi * (np.log(4 / fermion_share) - 1)
    y[charged] = final_fraction(rng, slope, 1 - 1.01 * fermion_share)
    y[y < 1e-4] = 0.0
    inner = mass * np.sqrt(1 - y)
    momentum = np.sqrt(0.25 * inner**2 - fermion**2)[:, None] * line
    first, second = (np.column_stack([sign * momentum, 0.5 * inner]) for sign in (1, -1))
    final_cosine = photon_cosines(rng, y, 4 * (fermion / inner) ** 2 + 1e-12)
    final = along(rng, 0.5 * y * mass, line, final_cosine)
    rest = np.concatenate([-final[:, :3], mass[:, None] - final[:, 3:]], axis=1)
    first, second = (boosted(boosted(p, rest, inner), pair, mass) for p in (first, second))
    final = boosted(final, pair, mass)
    vectors = np.concatenate([first, second, photon, final]) @ frame.to_lab.T
    kinds = np.concatenate([species, species, np.full(n, 5), np.full(n, 5)])
    charges = np.concatenate([-(species != 5).astype(int), (species != 5).astype(int), np.zeros(2 * n, int)])
    events = np.tile(np.arange(n), 4)
    there = np.flatnonzero(np.concatenate([np.ones(2 * n, bool), x > 0, y > 0]))
    there = there[np.argsort(events[there], kind="stable")]
    return {
        "event": events[there],
        "species": kinds[there],
        "charge": charges[there],
        "p": vectors[there],
        "x": np.zeros((there.size, 3)),
    }


def rejected(rng: Generator, n: int, draw: Callable[[Array], Array], weight: Callable[[Array, Array], Array]) -> Array:
    """Draw each of ``n`` numbers again until it is accepted."""
    out, left = np.empty(n), np.arange(n)
    while left.size:
        tried = draw(left)
        good = rng.random(left.size) < weight(tried, left)
        out[left[good]] = tried[good]
        left = left[~good]
    return out


def initial_fraction(rng: Generator, beta: float, most: Array) -> Array:
    """Draw x from beta x^(beta - 1) (1 - x + x^2/2)/(1 - x)."""
    soft, hard = most**beta, -0.5 * beta * np.log(1 - most)
    is_soft = rng.random(most.size) * (soft + hard) < soft
    tail = rejected(rng, most.size, lambda i: 1 - (1 - most[i]) ** rng.random(i.size), lambda x, i: x ** (1 + beta))
    return np.where(is_soft, most * rng.random(most.size) ** (1 / beta), tail)


def final_fraction(rng: Generator, slope: Array, most: Array) -> Array:
    """Draw y from beta y^(beta - 1) (1 - y + y^2/2)."""
    return rejected(
        rng, most.size, lambda i: most[i] * rng.random(i.size) ** (1 / slope[i]), lambda y, i: 1 - y + 0.5 * y * y
    )


def photon_cosines(rng: Generator, x: Array, share: Array) -> Array:
    """Draw the angle of radiated photons to the axis of what radiates."""
    edge, scale = np.sqrt(1 + share), 2 - 2 * x + x * x
    rapidity, mass_term = np.arctanh(1 / edge), share * (1 - x * x / scale)

    def draw(i: Array) -> Array:
        return np.clip(edge[i] * np.tanh((2 * rng.random(i.size) - 1) * rapidity[i]), -1, 1)

    def weight(c: Array, i: Array) -> Array:
        below = 1 - c * c + share[i]
        return 1 - mass_term[i] / below - 0.5 * x[i] ** 2 / scale[i] * below

    return rejected(rng, x.size, draw, weight)


def born_cosine(rng: Generator, process: Array, velocity2: Array) -> Array:
    """Draw the polar angle at leading order, 15 to 165 degrees but for mu pairs."""
    edge = math.cos(math.radians(15))

    def draw(i: Array) -> Array:
        u = rng.random(i.size)
        low = 1 / (1 + edge)
        bhabha = 1 - 1 / (low + (1 / (1 - edge) - low) * u)
        photons = np.tanh((2 * u - 1) * math.atanh(edge))
        return np.where(process[i] == BHABHA, bhabha, np.where(process[i] == GAMMA_GAMMA, photons, 2 * u - 1))

    def weight(c: Array, i: Array) -> Array:
        photons, muons = 0.5 * (1 + c * c), 0.5 * (1 + c * c + (1 - velocity2[i]) * (1 - c * c))
        bhabha = (3 + c * c) ** 2 / 16
        return np.where(process[i] == BHABHA, bhabha, np.where(process[i] == GAMMA_GAMMA, photons, muons))

    return rejected(rng, process.size, draw, weight)


def along(rng: Generator, energy: Array, axis: Array, cosine: Array) -> Array:
    """Return massless four-momenta at angles to unit vectors."""
    helper = np.where(np.abs(axis[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    u = np.cross(axis, helper)
    u /= np.linalg.norm(u, axis=1, keepdims=True)
    v = np.cross(axis, u)
    phi = 2 * math.pi * rng.random(cosine.size)
    sine = np.sqrt(1 - cosine**2)
    direction = cosine[:, None] * axis + sine[:, None] * (np.cos(phi)[:, None] * u + np.sin(phi)[:, None] * v)
    return energy[:, None] * np.concatenate([direction, np.ones((cosine.size, 1))], axis=1)


def boosted(p: Array, frame: Array, mass: Array) -> Array:
    """Boost from the rest frame of a body with momentum ``frame``."""
    energy = (p[:, 3] * frame[:, 3] + (p[:, :3] * frame[:, :3]).sum(axis=1)) / mass
    factor = (p[:, 3] + energy) / (frame[:, 3] + mass)
    return np.column_stack([p[:, :3] + factor[:, None] * frame[:, :3], energy])


# ---- background


def background_tracks(rng: Generator, n: int, particles: Columns) -> Columns:
    """Return the particles with those from the beam pipe."""
    event = np.repeat(np.arange(n), rng.poisson(0.05, n))
    size = event.size
    species = np.where(rng.random(size) < 0.5, 4, 0)
    pt, cosine = rng.exponential(0.3, size), rng.uniform(-0.91, 0.98, size)
    phi, around = rng.uniform(0, 2 * math.pi, (2, size))
    p = np.column_stack([pt * np.cos(phi), pt * np.sin(phi), pt * cosine / np.sqrt(1 - cosine**2)])
    energy = np.sqrt((p**2).sum(axis=1) + _MASS[species] ** 2)
    charge = np.where((species == 4) | (rng.random(size) < 0.5), 1, -1)
    x = np.column_stack([np.cos(around), np.sin(around), rng.uniform(-80, 80, size)])
    added = {"event": event, "species": species, "charge": charge, "p": np.column_stack([p, energy]), "x": x}
    order = np.argsort(np.concatenate([particles["event"], event]), kind="stable")
    return {name: np.concatenate([particles[name], values])[order] for name, values in added.items()}


def background_clusters(rng: Generator, n: int, columns: Columns) -> Columns:
    """Return the clusters with the soft ones."""
    event = np.repeat(np.arange(n), rng.poisson(2.0, n))
    size = event.size
    energy = 0.02 + rng.exponential(0.04, size)
    cosine = rng.uniform(math.cos(math.radians(155.1)), math.cos(math.radians(12.4)), size)
    to_end = np.where(cosine > 0, ECL_FRONT_CM, ECL_BACK_CM) / cosine
    added = {
        "clusters.event": event,
        "clusters.energy_gev": energy,
        "clusters.theta": np.arccos(cosine),
        "clusters.phi": rng.uniform(-math.pi, math.pi, size),
        "clusters.r_cm": np.minimum(ECL_RADIUS_CM / np.sqrt(1 - cosine**2), to_end),
        "clusters.time_ns": rng.uniform(-1000, 1000, size),
        "clusters.dt99_ns": 2.576 * np.hypot(0.8, 0.25 / energy),
        "clusters.zernike_mva": rng.random(size),
    }
    order = np.argsort(np.concatenate([columns["clusters.event"], event]), kind="stable")
    return {
        name: np.concatenate([columns[name], values])[order].astype(columns[name].dtype)
        for name, values in added.items()
    }


# ---- detector


def arc_to(d0: Array, omega: Array, radius: Array | float) -> Array:
    """Return the arc length to a cylinder, NaN if it is not reached."""
    numerator, denominator = radius * radius - d0 * d0, 1 + omega * d0
    with np.errstate(invalid="ignore", divide="ignore"):
        sine = np.sqrt(0.25 * omega**2 * numerator / denominator)
        return np.where(sine > 1e-9, 2 * np.arcsin(sine) / np.abs(omega), np.sqrt(numerator / denominator))


def point(helix: Array, arc: Array) -> Array:
    """Return the points of helices after arc lengths, (n, 3)."""
    d0, phi0, omega, z0, tan_lambda = helix.T
    half = 0.5 * omega * arc
    chord = arc * np.sinc(half / math.pi)
    x = d0 * np.sin(phi0) + chord * np.cos(phi0 - half)
    return np.column_stack([x, -d0 * np.cos(phi0) + chord * np.sin(phi0 - half), z0 + arc * tan_lambda])


def ecl_entry(helix: Array) -> Array:
    """Return where helices enter the ECL, (n, 3), NaN if they do not."""
    arc = arc_to(helix[:, 0], helix[:, 2], ECL_RADIUS_CM)
    z = helix[:, 3] + arc * helix[:, 4]
    on_barrel = (z >= ECL_BACK_CM) & (z <= ECL_FRONT_CM)
    with np.errstate(invalid="ignore", divide="ignore"):
        to_end = (np.where(helix[:, 4] > 0, ECL_FRONT_CM, ECL_BACK_CM) - helix[:, 3]) / helix[:, 4]
    ends = ~on_barrel & (to_end > 0) & (np.abs(helix[:, 2]) * to_end < 2 * math.pi)
    entry = point(helix, np.where(on_barrel, arc, np.where(ends, to_end, np.nan)))
    entry[np.hypot(entry[:, 0], entry[:, 1]) > ECL_RADIUS_CM + 1e-6] = np.nan
    return entry


def helices(p: Array, x: Array, charge: Array) -> Array:
    """Return the perigee helices of particles, (n, 5)."""
    pt, phi = np.hypot(p[:, 0], p[:, 1]), np.arctan2(p[:, 1], p[:, 0])
    omega = charge * _CURVATURE / pt
    straight = omega == 0
    safe = np.where(straight, 1.0, omega)
    cx, cy = x[:, 0] + np.sin(phi) / safe, x[:, 1] - np.cos(phi) / safe
    sign = np.where(safe > 0, 1.0, -1.0)
    d0 = np.where(straight, x[:, 0] * np.sin(phi) - x[:, 1] * np.cos(phi), sign * np.hypot(cx, cy) - 1 / safe)
    phi0 = np.where(straight, phi, np.arctan2(sign * cx, -sign * cy))
    turned = phi0 - phi
    turned -= 2 * math.pi * np.floor(turned / (2 * math.pi) + 0.5)
    tan_lambda = p[:, 2] / pt
    arc = np.where(straight, x[:, 0] * np.cos(phi) + x[:, 1] * np.sin(phi), turned / safe)
    return np.column_stack([d0, phi0, omega, x[:, 2] - arc * tan_lambda, tan_lambda])


def tracks_and_clusters(rng: Generator, particles: Columns) -> Columns:
    """Return what the detector makes of the particles."""
    momentum = np.linalg.norm(particles["p"][:, :3], axis=1)
    visible = np.hypot(particles["p"][:, 0], particles["p"][:, 1]) > 1e-3 * momentum
    event, species, charge, p, x = (particles[name][visible] for name in ("event", "species", "charge", "p", "x"))
    momentum = momentum[visible]
    path = helices(p, x, charge)
    return tracks(rng, event, species, charge, p, x, momentum, path) | clusters(rng, event, species, p, momentum, path)


def tracks(
    rng: Generator, event: Array, species: Array, charge: Array, p: Array, x: Array, momentum: Array, path: Array
) -> Columns:
    """Return the tracks of charged particles."""
    theta, rho = np.degrees(np.arccos(p[:, 2] / momentum)), np.hypot(x[:, 0], x[:, 1])
    chosen = (charge != 0) & (theta >= 17) & (theta <= 150)
    chosen &= rng.random(chosen.size) < 0.95 * np.exp(-0.5 * (rho / 60) ** 2)
    chosen = np.flatnonzero(chosen & (np.hypot(p[:, 0], p[:, 1]) >= 0.05))
    path, momentum, species, rho = path[chosen], momentum[chosen], species[chosen], rho[chosen]
    size = chosen.size
    arcs = arc_to(path[:, :1], path[:, 2:3], SUPERLAYERS[None, :, 0])
    z = path[:, 3:4] + arcs * path[:, 4:5]
    layers = ((z >= SUPERLAYERS[:, 1]) & (z <= SUPERLAYERS[:, 2])) @ SUPERLAYERS[:, 3]
    hits = np.clip(np.floor(layers * 0.95 + np.sqrt(layers * 0.0475) * rng.normal(size=size) + 0.5), 0, layers)
    pt = np.hypot(p[chosen, 0], p[chosen, 1])
    sine, velocity = pt / momentum, momentum / np.hypot(momentum, _MASS[species])
    sigma = np.empty((size, 5))
    sigma[:, 1] = np.hypot(0.0003, 0.001 / (momentum * np.sqrt(sine)))
    sigma[:, 2] = np.abs(path[:, 2]) * np.hypot(0.0011 * pt, 0.003 / velocity)
    sigma[:, 4] = sigma[:, 1] * (1 + path[:, 4] ** 2)
    sigma[:, 0] = np.hypot(np.hypot(0.001, 0.0015 / (momentum * sine**1.5)), rho * sigma[:, 1])
    sigma[:, 3] = np.hypot(np.hypot(0.0015, 0.0025 / (momentum * sine**2.5)), rho * sigma[:, 4])
    helix = path + sigma * rng.normal(size=(size, 5))
    cov = np.zeros((size, 15), dtype="<f4")
    cov[:, [0, 5, 9, 12, 14]] = sigma**2
    looks = np.minimum((rng.random((size, 1)) > np.cumsum(_CONFUSION[species], axis=1)).sum(axis=1), 4)
    best = 1 - 0.1 * rng.random(size)
    pid = np.repeat(0.25 * (1 - best)[:, None], 5, axis=1)
    pid[np.arange(size), looks] = best
    klm = np.clip(1 + 20 * (momentum - 0.6) + rng.normal(size=size), 0, 14)
    names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
    return {
        "tracks.event": event[chosen],
        "tracks.charge": np.sign(helix[:, 2]).astype("|i1"),
        **{f"tracks.{name}": helix[:, i].astype("<f4") for i, name in enumerate(names)},
        "tracks.cov": cov,
        "tracks.n_cdc_hits": hits.astype("<u2"),
        "tracks.time_ns": rng.normal(size=size).astype("<f4"),
        "tracks.klm_layers": np.where((species == 1) & (momentum > 0.6), klm, 0).astype("|u1"),
        **{f"tracks.pid_{name}": pid[:, i].astype("<f4") for i, name in enumerate(("e", "mu", "pi", "k", "p"))},
    }


def clusters(rng: Generator, event: Array, species: Array, p: Array, momentum: Array, path: Array) -> Columns:
    """Return the clusters of all particles."""
    entry = ecl_entry(path)
    theta = np.degrees(np.arctan2(np.hypot(entry[:, 0], entry[:, 1]), entry[:, 2]))
    inside = (
        ((theta > 12.4) & (theta < 31.4)) | ((theta > 32.2) & (theta < 128.7)) | ((theta > 130.7) & (theta < 155.1))
    )
    energy = p[:, 3]
    seen = rng.random(event.size) < 0.97 * (1 - np.exp(-((energy / 0.03) ** 2)))
    kinetic = energy - _MASS[species]
    ionising = np.minimum(kinetic, 0.19 + 0.02 * rng.exponential(size=event.size))
    showers = (species > 1) & (species < 5) & (rng.random(event.size) < 0.4)
    hadronic = kinetic * rng.uniform(0.2, 0.8, event.size)
    electromagnetic = (species == 0) | (species == 5)
    deposit = np.where(electromagnetic, np.where(seen, energy, 0.0), np.where(showers, hadronic, ionising))
    chosen = np.flatnonzero(inside & (deposit > 0))
    true, place = deposit[chosen], entry[chosen]
    size = chosen.size
    measured = true * (1 + np.hypot(0.016 / true, 0.016) * rng.normal(size=size))
    measured *= np.where(rng.random(size) < 0.15, np.exp(-0.02 * rng.exponential(size=size)), 1.0)
    rho = np.hypot(place[:, 0], place[:, 1])
    r, sigma = np.hypot(rho, place[:, 2]), np.hypot(0.8, 0.25 / true)
    phi = np.arctan2(place[:, 1], place[:, 0]) + 0.005 * r / rho * rng.normal(size=size)
    shape = rng.random(size)
    kept = measured > 0.02
    values = {
        "event": event[chosen],
        "energy_gev": measured.astype("<f4"),
        "theta": (np.arctan2(rho, place[:, 2]) + 0.005 * rng.normal(size=size)).astype("<f4"),
        "phi": (phi - 2 * math.pi * np.floor(phi / (2 * math.pi) + 0.5)).astype("<f4"),
        "r_cm": r.astype("<f4"),
        "time_ns": (sigma * rng.normal(size=size)).astype("<f4"),
        "dt99_ns": (2.576 * sigma).astype("<f4"),
        "zernike_mva": np.where(electromagnetic[chosen], shape**0.05, shape**2).astype("<f4"),
    }
    return {f"clusters.{name}": column[kept] for name, column in values.items()}


def match(columns: Columns) -> Columns:
    """Return which cluster each track points at, counted over all events; -1 for none."""
    names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
    entry = ecl_entry(np.column_stack([columns[f"tracks.{name}"] for name in names]).astype(float))
    entry /= np.linalg.norm(entry, axis=1, keepdims=True)
    theta, phi = columns["clusters.theta"].astype(float), columns["clusters.phi"].astype(float)
    direction = np.column_stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    begin, end = (
        np.searchsorted(columns["clusters.event"], columns["tracks.event"], side) for side in ("left", "right")
    )
    nearest, distance = np.full(entry.shape[0], -1), np.full(entry.shape[0], math.cos(0.08))
    for step in range(int((end - begin).max(initial=0))):
        candidate = np.flatnonzero(begin + step < end)
        cosine = (entry[candidate] * direction[begin[candidate] + step]).sum(axis=1)
        better = candidate[cosine > distance[candidate]]
        distance[better] = cosine[cosine > distance[candidate]]
        nearest[better] = begin[better] + step
    is_track = np.zeros(theta.size, dtype=bool)
    is_track[nearest[nearest >= 0]] = True
    return {
        "tracks.clusters": nearest,
        "clusters.is_track": is_track,
        "clusters.has_photon_hypothesis": np.ones(theta.size, dtype=bool),
    }


# ---- trigger primitives


def cells(rng: Generator, columns: Columns) -> Columns:
    """Share the clusters over the trigger cells."""
    table = trigger_cells()
    theta, phi, r = (columns[f"clusters.{name}"].astype(float) for name in ("theta", "phi", "r_cm"))
    rows, turns = table.grid.shape
    row = np.clip((theta / math.pi * rows).astype(int), 0, rows - 1)
    guess = table.grid[row, np.floor((phi / (2 * math.pi) + 0.5) * turns).astype(int) % turns]
    rho = r * np.sin(theta)
    place = np.column_stack([rho * np.cos(phi), rho * np.sin(phi), r * np.cos(theta)])
    each = np.arange(r.size)
    for _ in range(2):  # over the nearest plane, as long as there is one between the place and the cell
        planes = table.planes[guess]
        depth = planes[:, 0] + (planes[:, 1:] * place[:, :, None]).sum(axis=1)
        side = depth.argmin(axis=1)
        guess = np.where(depth[each, side] < 0, table.neighbours[guess, side], guess)
    planes = table.planes[guess]
    depth = planes[:, 0] + (planes[:, 1:] * place[:, :, None]).sum(axis=1)
    energy = columns["clusters.energy_gev"].astype(float)
    share = np.where(depth < 2.0 * np.log(energy / 0.010)[:, None], np.exp(-0.5 * depth), 0.0)
    weight = np.concatenate([np.ones((r.size, 1)), share], axis=1)
    near = np.concatenate([guess[:, None], table.neighbours[guess]], axis=1)
    deposit = energy[:, None] * weight / weight.sum(axis=1, keepdims=True)
    key = (columns["clusters.event"][:, None] * 576 + near).ravel()
    found, inverse = np.unique(key, return_inverse=True)
    total = np.bincount(inverse, deposit.ravel())
    moment = np.bincount(inverse, (deposit * columns["clusters.time_ns"][:, None]).ravel())
    enough = total > 0.05
    found, total, moment = found[enough], total[enough], moment[enough]
    measured = total + np.hypot(0.01, 0.02 * total) * rng.normal(size=total.size)
    time = moment / total + 3.0 * rng.normal(size=total.size)
    fired = measured > 0.1
    return {
        "tc.event": found[fired] // 576,
        "tc.id": (found[fired] % 576 + 1).astype("<u2"),
        "tc.energy_gev": measured[fired].astype("<f4"),
        "tc.time_ns": time[fired].astype("<f4"),
    }


def track_primitives(rng: Generator, n: int, columns: Columns) -> Columns:
    """Return segments, trigger tracks, KLM sectors and the event time of the drift chamber."""
    names = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
    helix = np.column_stack([columns[f"tracks.{name}"] for name in names]).astype(float)
    event, size = columns["tracks.event"], helix.shape[0]
    radius, back, front, n_layers, wires, stereo = SUPERLAYERS.T
    arcs = arc_to(helix[:, :1], helix[:, 2:3], radius[None])
    z = helix[:, 3:4] + arcs * helix[:, 4:5]
    reached = (z >= back) & (z <= front)
    before = np.cumsum((reached * n_layers)[:, ::-1], axis=1)[:, ::-1] - reached * n_layers
    left = columns["tracks.n_cdc_hits"][:, None] / 0.95 + 4 - before
    crossed = reached & (left >= n_layers) & (rng.random(arcs.shape) < 0.97)
    track, layer = np.nonzero(crossed)
    x, y, z = point(helix[track], arcs[track, layer]).T
    turn = (np.arctan2(y, x) - stereo[layer] * (z - back[layer]) / radius[layer]) / (2 * math.pi)
    starts = np.concatenate([[0], np.cumsum(wires)[:-1]])
    own = starts[layer] + np.floor((turn - np.floor(turn)) * wires[layer]) % wires[layer]
    noise_event = np.repeat(np.arange(n), rng.poisson(4.0, n))
    noise_layer = rng.integers(0, 9, noise_event.size)
    noise = starts[noise_layer] + np.floor(rng.random(noise_event.size) * wires[noise_layer])
    key = np.unique(np.concatenate([event[track] * 4096 + own, noise_event * 4096 + noise]).astype(np.int64))
    curvature = np.round(helix[:, 2] / (29.9792458 * 1.5e-4 / 0.3 / 34))
    displaced = 1 / (1 + np.exp(np.minimum(50.0, (np.abs(helix[:, 0]) - 4) / 0.8)))
    found = (crossed[:, ::2].sum(axis=1) >= 4) & (np.abs(curvature) <= 34)
    found &= rng.random(size) < 0.97 * displaced
    azimuth = np.round(helix[:, 1] / math.radians(1.125)) * math.radians(1.125)
    omega = np.where(curvature == 0, np.copysign(0.5, helix[:, 2]), curvature) * (29.9792458 * 1.5e-4 / 0.3 / 34)
    out = {"trk2d.event": event[found], "trk2d.phi0": azimuth[found].astype("<f4")}
    out["trk2d.omega"] = omega[found].astype("<f4")
    for name, efficiency, z_error, cot_error in (("trk3d", 0.93, 8.0, 0.1), ("trknn", 0.97, 3.0, 0.05)):
        good = found & (crossed[:, 1::2].sum(axis=1) >= 3) & (rng.random(size) < efficiency)
        count = int(good.sum())
        out |= {
            f"{name}.event": event[good],
            f"{name}.phi0": azimuth[good].astype("<f4"),
            f"{name}.omega": omega[good].astype("<f4"),
            f"{name}.z0_cm": (helix[good, 3] + z_error * rng.normal(size=count)).astype("<f4"),
            f"{name}.cot_theta": (helix[good, 4] + cot_error * rng.normal(size=count)).astype("<f4"),
        }
    t0 = np.zeros(n, dtype="<i4")
    t0[event] = 1
    klm = np.flatnonzero(columns["tracks.klm_layers"] >= 4)
    outside = point(helix[klm], arc_to(helix[klm, 0], helix[klm, 2], 200.0))
    sector = np.floor(8 * np.arctan2(outside[:, 1], outside[:, 0]) / (2 * math.pi) + 0.5) % 8
    return out | {
        "segments.event": key >> 12,
        "segments": (key & 4095).astype("<u2"),
        "cdc_t0": t0 * np.round(3.0 * rng.normal(size=n)).astype("<i4"),
        "klm_track_sectors.event": event[klm],
        "klm_track_sectors": np.nan_to_num(sector).astype("|u1"),
    }
