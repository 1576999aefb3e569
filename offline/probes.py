"""What an efficiency is measured against: the true photon and track of an event, or those that it predicts.

`true_probes` looks at the generated particles. `predicted_probes` uses reconstructed objects alone, as on data: the
photon is what the two tracks of an event recoil against. As for e+e- -> mu+ mu- gamma, both tracks are muons and
the photon has no mass, so the mass M of the pair fixes its CM energy, (s - M^2) / (2 sqrt(s)), and the momentum of the
pair its direction; a second photon makes the prediction wrong, which ``recoil_m2_gev2`` shows.

Tables are dictionaries of (N,) arrays; `TRUE` and `PREDICTED` say what is in them. What an event does not have is NaN.
"""

from __future__ import annotations

import numpy as np

from daq.event import Array, EventBatch
from daq.source.helix import transverse_gev
from daq.source.kinematics import MUON_GEV, CollisionFrame
from daq.source.particles import Particles

TRUE: dict[str, str] = {
    "e_cm_gev": "CM energy of the photon of highest CM energy",
    "e_lab_gev": "its energy in the lab",
    "theta_deg": "its polar angle in the lab",
    "phi_deg": "its azimuth in the lab",
    "other_e_cm_gev": "CM energy of the second photon; 0 if there is none",
    "isolation_deg": "angle in the lab to the nearest charged particle; 180 if there is none",
    "n_photons": "photons of more than 0.1 GeV in the lab",
    "n_charged": "charged particles",
    "pt_gev": "transverse momentum in the lab of the charged particle that has most of it",
    "track_theta_deg": "its polar angle",
    "radius_cm": "largest distance from the z axis of a point where a charged particle was produced",
    "process": "name of the process",
    "mass_gev": "mass of the new particle, else 0",
    "ctau_cm": "proper decay length of the new particle, else 0",
}
PREDICTED: dict[str, str] = {
    "e_cm_gev": "CM energy of the photon that the pair recoils against",
    "e_lab_gev": "its energy in the lab",
    "theta_deg": "its polar angle in the lab",
    "phi_deg": "its azimuth in the lab",
    "recoil_m2_gev2": "squared mass of what the pair recoils against, 0 for one photon",
    "pair_mass_gev": "mass of the pair, as muons",
    "muon_min": "smaller muon likelihood of the two",
    "found": "the cluster nearest to the prediction, without a track, is less than 0.2 rad from it",
    "found_e_cm_gev": "CM energy of that cluster",
    "other_e_cm_gev": "highest CM energy of all other clusters; 0 if there is none",
    "other_e_lab_gev": "their highest energy in the lab; 0 if there is none",
    "isolation_deg": "angle from the prediction to the nearest of them; 180 if there is none",
    "n_tracks": "tracks",
    "pt_gev": "transverse momentum of the track that has most of it",
    "track_theta_deg": "its polar angle",
}
_NEAR_RAD = 0.2
_CHARGED = (11, 13, 211, 321, 2212)


def true_probes(particles: Particles, names: tuple[str, ...], frame: CollisionFrame) -> dict[str, Array]:
    """Return the columns of `TRUE` for generated events; ``names`` are those of the processes."""
    offsets, n = particles.offsets, len(particles)
    owner = np.repeat(np.arange(n), np.diff(offsets))
    momentum = np.stack([particles.px, particles.py, particles.pz, particles.energy])
    is_photon, is_charged = particles.pdg == 22, np.isin(np.abs(particles.pdg), _CHARGED)
    e_cm = frame.to_cm[3] @ momentum
    pt = np.hypot(momentum[0], momentum[1])
    photon, second = _two_largest(e_cm, is_photon, owner, n)
    track, _ = _two_largest(pt, is_charged, owner, n)
    radius = np.hypot(particles.x, particles.y)
    farthest, _ = _two_largest(radius, is_charged, owner, n)
    theta, phi = np.arctan2(pt, momentum[2]), np.arctan2(momentum[1], momentum[0])
    toward = _direction(_of(theta, photon), _of(phi, photon))
    return {
        "e_cm_gev": _of(e_cm, photon),
        "e_lab_gev": _of(momentum[3], photon),
        "theta_deg": np.degrees(_of(theta, photon)),
        "phi_deg": np.degrees(_of(phi, photon)),
        "other_e_cm_gev": np.nan_to_num(_of(e_cm, second)),
        "isolation_deg": _isolation(_cosine(toward, _direction(theta, phi), owner), is_charged, owner, n),
        "n_photons": np.bincount(owner[is_photon & (momentum[3] > 0.1)], minlength=n),
        "n_charged": np.bincount(owner[is_charged], minlength=n),
        "pt_gev": _of(pt, track),
        "track_theta_deg": np.degrees(_of(theta, track)),
        "radius_cm": _of(radius, farthest),
        "process": np.array(names, dtype=object)[particles.process],
        "mass_gev": particles.mass_gev,
        "ctau_cm": particles.ctau_cm,
    }


def predicted_probes(batch: EventBatch, frame: CollisionFrame) -> dict[str, Array]:
    """Return the columns of `PREDICTED` for reconstructed events.

    The pair is the only pair of an event with two tracks of opposite charge; without one its columns are NaN.
    """
    n, offsets = batch.size, batch["tracks.offsets"].astype(np.int64)
    owner = np.repeat(np.arange(n), np.diff(offsets))
    pt = _pt(batch["tracks.omega_per_cm"])
    leading, _ = _two_largest(pt, np.isfinite(pt), owner, n)
    theta = np.degrees(np.arctan2(1.0, batch["tracks.tan_lambda"].astype(np.float64)))
    out = {
        "n_tracks": np.diff(offsets),
        "pt_gev": _of(pt, leading),
        "track_theta_deg": _of(theta, leading),
    }
    charge = batch["tracks.charge"].astype(np.int64)
    two = np.flatnonzero(np.diff(offsets) == 2)
    two = two[charge[offsets[two]] * charge[offsets[two] + 1] == -1]
    first = offsets[two]
    pair = frame.to_cm @ (_muon(batch, first) + _muon(batch, first + 1))
    m2 = pair[3] ** 2 - (pair[:3] ** 2).sum(axis=0)
    root_s = frame.sqrt_s_gev
    e_cm = (root_s**2 - m2) / (2 * root_s)
    size = np.sqrt((pair[:3] ** 2).sum(axis=0))
    with np.errstate(invalid="ignore", divide="ignore"):  # a pair at rest recoils against nothing
        photon = frame.to_lab @ np.concatenate([-pair[:3] / size * e_cm, e_cm[None]])
    likelihood = batch["tracks.pid_mu"]
    of_pair = {
        "e_cm_gev": e_cm,
        "e_lab_gev": photon[3],
        "theta_deg": np.degrees(np.arctan2(np.hypot(photon[0], photon[1]), photon[2])),
        "phi_deg": np.degrees(np.arctan2(photon[1], photon[0])),
        "recoil_m2_gev2": (root_s - pair[3]) ** 2 - size**2,
        "pair_mass_gev": np.sqrt(np.maximum(m2, 0.0)),
        "muon_min": np.minimum(likelihood[first], likelihood[first + 1]),
    }
    for name, values in of_pair.items():
        out[name] = np.full(n, np.nan)
        out[name][two] = values
    return out | _search(batch, out["theta_deg"], out["phi_deg"], frame)


def _search(batch: EventBatch, theta_deg: Array, phi_deg: Array, frame: CollisionFrame) -> dict[str, Array]:
    """Look for the photon among the clusters without a track, and tell what else there is."""
    n, offsets = batch.size, batch["clusters.offsets"]
    owner = np.repeat(np.arange(n), np.diff(offsets))
    energy, theta, phi = (batch[f"clusters.{name}"].astype(np.float64) for name in ("energy_gev", "theta", "phi"))
    direction = _direction(theta, phi)
    e_cm = frame.to_cm[3] @ np.concatenate([energy * direction, energy[None]])
    cosine = _cosine(_direction(np.radians(theta_deg), np.radians(phi_deg)), direction, owner)
    nearest, _ = _two_largest(cosine, ~batch["clusters.is_track"] & np.isfinite(cosine), owner, n)
    found = _of(cosine, nearest) > np.cos(_NEAR_RAD)
    is_other = np.ones(owner.size, dtype=np.bool_)
    is_other[nearest[found]] = False
    other, _ = _two_largest(e_cm, is_other, owner, n)
    other_lab, _ = _two_largest(energy, is_other, owner, n)
    return {
        "found": found,
        "found_e_cm_gev": np.where(found, _of(e_cm, nearest), np.nan),
        "other_e_cm_gev": np.nan_to_num(_of(e_cm, other)),
        "other_e_lab_gev": np.nan_to_num(_of(energy, other_lab)),
        "isolation_deg": _isolation(cosine, is_other, owner, n),
    }


def _cosine(toward: Array, direction: Array, owner: Array) -> Array:
    """Return the cosines of the angles between the directions of objects and one direction of their event."""
    cosine: Array = np.clip((direction * toward[:, owner]).sum(axis=0), -1.0, 1.0)
    return cosine


def _isolation(cosine: Array, chosen: Array, owner: Array, n: int) -> Array:
    """Return the smallest angle of the chosen objects [deg]; 180 in events without any."""
    nearest, _ = _two_largest(cosine, chosen & np.isfinite(cosine), owner, n)
    angle: Array = np.degrees(np.arccos(np.nan_to_num(_of(cosine, nearest), nan=-1.0)))
    return angle


def _direction(theta: Array, phi: Array) -> Array:
    return np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])


def _pt(omega: Array) -> Array:
    """Return transverse momenta; NaN for a track that does not bend."""
    reach = transverse_gev(1.0)
    with np.errstate(divide="ignore"):
        pt = reach / np.abs(omega.astype(np.float64))
    return np.where(np.isfinite(pt), pt, np.nan)


def _muon(batch: EventBatch, rows: Array) -> Array:
    """Return (4, n) lab four-momenta of tracks as muons, at their perigees."""
    pt, phi, slope = (
        _pt(batch["tracks.omega_per_cm"][rows]),
        *(batch[f"tracks.{name}"][rows].astype(np.float64) for name in ("phi0", "tan_lambda")),
    )
    x, y, z = pt * np.cos(phi), pt * np.sin(phi), pt * slope
    return np.stack([x, y, z, np.sqrt(x * x + y * y + z * z + MUON_GEV**2)])


def _two_largest(values: Array, chosen: Array, owner: Array, n: int) -> tuple[Array, Array]:
    """Return for each event the places of the largest and the second largest chosen value, -1 if there is none."""
    rows = np.flatnonzero(chosen)
    rows = rows[np.lexsort((-values[rows], owner[rows]))]
    events, starts, counts = np.unique(owner[rows], return_index=True, return_counts=True)
    first, second = np.full(n, -1), np.full(n, -1)
    first[events] = rows[starts]
    several = counts > 1
    second[events[several]] = rows[starts[several] + 1]
    return first, second


def _of(values: Array, places: Array) -> Array:
    """Return the values at the places, NaN for -1."""
    out = np.full(places.size, np.nan)
    out[places >= 0] = values[places[places >= 0]]
    return out
