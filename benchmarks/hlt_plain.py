"""The HLT as one would write it with NumPy alone, to compare with: some of the variables, and the vertex fit.

The variables are those of the lines that matter most here (24 of 101): whole columns at a time, sums by event with
``bincount``. The fit is the same procedure as in `hlt.vertex`, one pair at a time with matrices.
"""

from __future__ import annotations

import math

import numpy as np

from daq.event import EventBatch
from daq.jit import Array

BENDING = 1.5 * 29.9792458e-4  # GeV/c per cm: 1.5 T and the speed of light


def variables(batch: EventBatch, matrix: Array) -> dict[str, Array]:
    """Return a part of the filter variables of a block."""
    return _of_tracks(batch, matrix) | _of_clusters(batch, matrix)


def _of_tracks(batch: EventBatch, matrix: Array) -> dict[str, Array]:
    n_events, offsets = len(batch), batch["tracks.offsets"]
    event = np.repeat(np.arange(n_events), np.diff(offsets))
    column = {
        name: batch[f"tracks.{name}"].astype(np.float64) for name in ("omega_per_cm", "phi0", "tan_lambda", "z0_cm")
    }
    pt = BENDING / np.abs(column["omega_per_cm"])
    p3 = pt * np.stack([np.cos(column["phi0"]), np.sin(column["phi0"]), column["tan_lambda"]])
    energy = np.sqrt(np.sum(p3 * p3, axis=0) + 0.13957039**2)
    cm = matrix @ np.vstack([p3, energy])
    p_cm, p_lab, z0 = np.sqrt(np.sum(cm[:3] ** 2, axis=0)), np.sqrt(np.sum(p3 * p3, axis=0)), np.abs(column["z0_cm"])
    charge, hits = batch["tracks.charge"].astype(np.float64), batch["tracks.n_cdc_hits"]
    loose = (hits > 0) & (z0 < 10.0)

    def largest(values: Array, chosen: Array) -> Array:
        out = np.full(n_events, -np.inf)
        np.maximum.at(out, event[chosen], values[chosen])
        return np.where(np.isinf(out), np.nan, out)

    return {
        "nTrkLoose": _count(event, loose, n_events),
        "nTrkTight": _count(event, (hits > 0) & (z0 < 2.0), n_events),
        "netChargeLoose": np.bincount(event, weights=charge * loose, minlength=n_events),
        "nTrkLooseB": _count(event, (hits >= 5) & (z0 < 5.0), n_events),
        "nTrkTightB": _count(event, (hits >= 5) & (z0 < 1.0), n_events),
        "maximumPCMS": largest(p_cm, loose),
        "maximumPLab": largest(p_lab, loose),
        "maximumPCMSB": largest(p_cm, (hits >= 5) & (z0 < 5.0)),
    }


def _of_clusters(batch: EventBatch, matrix: Array) -> dict[str, Array]:
    n_events, offsets = len(batch), batch["clusters.offsets"]
    event = np.repeat(np.arange(n_events), np.diff(offsets))
    e, theta, phi = (batch[f"clusters.{name}"].astype(np.float64) for name in ("energy_gev", "theta", "phi"))
    lab = e * np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta), np.ones_like(e)])
    cm = matrix @ lab
    e_cm, angle = cm[3], np.degrees(theta)
    time, dt99 = batch["clusters.time_ns"].astype(np.float64), batch["clusters.dt99_ns"].astype(np.float64)
    selected = batch["clusters.has_photon_hypothesis"] & (np.abs(time) <= 200.0) & (e >= 0.1)
    neutral = selected & ~batch["clusters.is_track"]
    photon = neutral & (batch["clusters.zernike_mva"] > 0.5)
    with np.errstate(divide="ignore", invalid="ignore"):
        in_time = np.abs(time / dt99) < 10.0
    order = np.lexsort((-np.where(selected, e_cm, -1.0), event))
    n_selected = _count(event, selected, n_events)
    two = np.flatnonzero(n_selected >= 2)
    first, second = order[offsets[two]], order[offsets[two] + 1]
    dphi = np.full(n_events, np.nan)
    turn = np.abs(np.degrees(np.arctan2(cm[1], cm[0])[first] - np.arctan2(cm[1], cm[0])[second]))
    dphi[two] = np.where(turn > 180.0, 360.0 - turn, turn)
    masks = {
        "nElow": selected & (e_cm > 0.2),
        "nEmedium": selected & (e_cm > 0.3),
        "nEhigh": selected & (e_cm > 2.0),
        "nVetoClust": selected & (e_cm > 0.3) & in_time,
        "nE180Lab": selected & (e > 0.18) & (angle > 18.5) & (angle < 139.3),
        "nE300Lab": selected & (e > 0.3) & (angle > 18.5) & (angle < 139.3),
        "neutClust045GeVAcc": neutral & (e_cm > 0.45) & (angle > 17.0) & (angle < 150.0),
        "nEsingleClust": selected & (e_cm > 1.0),
        "nEsinglePhotonBarrel": photon & (e_cm > 1.0) & (angle > 45.0) & (angle < 115.0),
        "nEsinglePhotonExtendedBarrel": photon & (e_cm > 1.0) & (angle > 30.0) & (angle < 130.0),
        "nReducedEsinglePhotonReducedBarrel": photon & (e_cm > 0.5) & (angle > 44.0) & (angle < 98.0),
        "n2GeVNeutBarrel": neutral & (e_cm > 2.0) & (angle > 32.0) & (angle < 130.0),
        "n2GeVPhotonBarrel": photon & (e_cm > 2.0) & (angle > 32.0) & (angle < 130.0),
        "nE4000CMS": selected & (e_cm > 4.0),
        "nE250Lab": selected & (e > 0.25),
    }
    return {name: _count(event, mask, n_events) for name, mask in masks.items()} | {"dphiCmsClust": dphi}


def _count(event: Array, mask: Array, n_events: int) -> Array:
    return np.bincount(event[mask], minlength=n_events).astype(np.float64)


def fit(helix: Array, packed: Array) -> tuple[int, float, Array]:
    """Return (status, chi2, vertex) of one pair: (2, 5) helix parameters and (2, 15) covariances."""
    failed = np.zeros(3)
    tracks = [_measured(*each) for each in zip(helix, packed, strict=True)]
    a = [track[0] for track in tracks]
    vertex = best = np.zeros(3)
    best_chi2 = math.inf
    for _ in range(15):
        inner_chi2, improved = math.inf, a
        for _ in range(15):
            at = [_linear(track, each, vertex) for track, each in zip(tracks, a, strict=True)]
            if any(linear is None for linear in at):
                return 33, -1.0, failed
            e, h, r, s = zip(*at, strict=True)
            try:
                w = [np.linalg.inv(each) for each in s]
                c = np.linalg.inv(sum(ek.T @ wk @ ek for ek, wk in zip(e, w, strict=True)))
            except np.linalg.LinAlgError:
                return 32, -1.0, failed
            chi2 = sum(float(rk @ wk @ rk) for rk, wk in zip(r, w, strict=True))
            if not chi2 < inner_chi2:
                break
            step = c @ sum(ek.T @ wk @ rk for ek, wk, rk in zip(e, w, r, strict=True))
            improved = [
                track[0] - hk @ wk @ (rk - ek @ step) for track, ek, hk, wk, rk in zip(tracks, e, h, w, r, strict=True)
            ]
            inner_chi2, vertex = chi2, vertex - step
        a = improved
        if not inner_chi2 < best_chi2:
            break
        best_chi2, best = inner_chi2, vertex
    return 0, best_chi2, best


def _measured(helix: Array, packed: Array) -> tuple[Array, Array, float]:
    """Return (px, py, pz, x, y, z) at the perigee, its covariance, and the bending constant."""
    d0, phi0, omega, z0, tan_lambda = helix
    pt, s, c = BENDING / abs(omega), math.sin(phi0), math.cos(phi0)
    a = np.array([pt * c, pt * s, pt * tan_lambda, d0 * s, -d0 * c, z0])
    jacobian = np.array(
        [
            [0, -a[1], -a[0] / omega, 0, 0],
            [0, a[0], -a[1] / omega, 0, 0],
            [0, 0, -a[2] / omega, 0, pt],
            [s, d0 * c, 0, 0, 0],
            [-c, d0 * s, 0, 0, 0],
            [0, 0, 0, 1, 0],
        ]
    )
    full = np.zeros((5, 5))
    full[np.triu_indices(5)] = packed
    full = full + np.triu(full, 1).T
    cov = (jacobian @ full @ jacobian.T).astype(np.float32).astype(np.float64)
    return a, cov, -math.copysign(BENDING, omega)


def _linear(track: tuple[Array, Array, float], a: Array, vertex: Array) -> tuple[Array, Array, Array, Array] | None:
    """Return (E, V D^T, r, D V D^T) of a track's two constraints; None beyond the reach of its helix."""
    a0, cov, k = track
    px, py, pz = a[:3]
    dx, dy, dz = vertex - a[3:]
    pt = math.hypot(px, py)
    along = dx * px + dy * py
    bend = k * along / pt**2
    if not abs(bend) < 1.0:
        return None
    arc, slope = math.asin(bend) / k, 1.0 / (pt**2 * math.sqrt(1.0 - bend * bend))
    height, pull = dz - pz * arc, pz * pt * slope
    turn_x, turn_y = dx - 2.0 * px * along / pt**2, dy - 2.0 * py * along / pt**2
    d = np.array(
        [
            [dy, -dx, 0.0, py + k * dx, -px + k * dy, 0.0],
            [height * px / pt - pull * turn_x, height * py / pt - pull * turn_y, -arc * pt, px * pull, py * pull, -pt],
        ]
    )
    e = np.array([[-py - k * dx, px - k * dy, 0.0], [-px * pull, -py * pull, pt]])
    constraints = np.array([dy * px - dx * py - 0.5 * k * (dx * dx + dy * dy), pt * height])
    h = cov @ d.T
    return e, h, d @ (a0 - a) + constraints, d @ h
