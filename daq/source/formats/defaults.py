"""What a file of reconstructed events leaves out: helices from momenta, and a default for every other field.

The defaults are such that an object with them passes the quality cuts of the trigger lines; ``docs/replay.md`` lists
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from daq.event import GROUPS, Array
from daq.jit import kernel
from daq.source.detector import DIAGONAL
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM, perigee
from daq.source.response.numbers import Tracking

_PION_GEV = 0.13957039
_PT_OMEGA = 1.5 * 29.9792458e-4  # transverse momentum [GeV] times curvature [1/cm] at 1.5 T
_PID = ("pid_e", "pid_mu", "pid_pi", "pid_k", "pid_p")
_TRACK_DEFAULTS = {"d0_cm": 0.0, "z0_cm": 0.0, "n_cdc_hits": 56.0, "time_ns": 0.0, "klm_layers": 0.0}
# 20 ns: then a cut on time / dt99 at 10 is no tighter than the 200 ns window that all clusters must pass.
_CLUSTER_DEFAULTS = {"time_ns": 0.0, "dt99_ns": 20.0, "zernike_mva": 1.0, "is_track": 0.0, "has_photon_hypothesis": 1.0}


def complete_tracks(offsets: Array, given: Mapping[str, Array]) -> dict[str, Array]:
    """Return all ``tracks.*`` arrays of a batch from the fields that a file has.

    Momentum components and a point on the track (default: the point next to the origin at ``d0_cm``, ``z0_cm``) become
    the helix. The sign of the curvature is the charge. Missing likelihoods share what the others leave of 1.
    """
    values = dict(given)
    n_tracks = int(offsets[-1])
    if "px" in values:
        values |= _helix_of_momentum(values)
    for name, default in _TRACK_DEFAULTS.items():
        values[name] = _known(values, name, default, n_tracks)
    values.setdefault("charge", np.sign(values["omega_per_cm"]))
    values["phi0"] = _wrapped(values["phi0"])
    values |= _shared_likelihoods(values, n_tracks)
    if "cov" not in values:
        values["cov"] = _covariance(values)
    if "clusters" not in values:
        values |= {"clusters": np.zeros(0), "clusters.offsets": np.zeros(n_tracks + 1)}
    return _of_group("tracks", offsets, values) | {"tracks.clusters.offsets": values["clusters.offsets"]}


def complete_clusters(offsets: Array, given: Mapping[str, Array]) -> dict[str, Array]:
    """Return all ``clusters.*`` arrays of a batch from the fields that a file has.

    Momentum components become angles and, if it is not given, the energy. The distance is that of the calorimeter's
    inner surface in the direction of the cluster.
    """
    values = dict(given)
    n_clusters = int(offsets[-1])
    if "px" in values:
        px, py, pz = (values[name] for name in ("px", "py", "pz"))
        values.setdefault("energy_gev", np.sqrt(px**2 + py**2 + pz**2))
        values["theta"] = np.arctan2(np.hypot(px, py), pz)
        values["phi"] = np.arctan2(py, px)
    for name, default in _CLUSTER_DEFAULTS.items():
        values[name] = _known(values, name, default, n_clusters)
    values["r_cm"] = np.where(
        np.isnan(r := values.get("r_cm", np.full(n_clusters, np.nan))), _surface(values["theta"]), r
    )
    values["phi"] = _wrapped(values["phi"])
    return _of_group("clusters", offsets, values)


def _of_group(group: str, offsets: Array, values: Mapping[str, Array]) -> dict[str, Array]:
    columns = {column.path: values[column.name].astype(column.dtype) for column in GROUPS[group]}
    return {f"{group}.offsets": offsets} | columns


def _known(values: Mapping[str, Array], name: str, default: float, size: int) -> Array:
    """Return a field with the default where it is unknown."""
    own = values.get(name)
    return np.full(size, default) if own is None else np.where(np.isnan(own), default, own)


def _wrapped(angle: Array) -> Array:
    """Return the angle in [-pi, pi), also after rounding to 32 bits."""
    wrapped = ((angle + math.pi) % (2 * math.pi) - math.pi).astype("<f4")
    return np.where(wrapped >= np.float32(math.pi), -np.float32(math.pi), wrapped)


def _shared_likelihoods(values: Mapping[str, Array], size: int) -> dict[str, Array]:
    """Return the five likelihoods: those unknown share equally what the known leave of 1."""
    table = np.stack([values.get(name, np.full(size, np.nan)) for name in _PID])
    unknown = np.isnan(table)
    share = np.maximum(1.0 - np.nansum(table, axis=0), 0.0) / np.maximum(unknown.sum(axis=0), 1)
    return dict(zip(_PID, np.where(unknown, share, table), strict=True))


def _helix_of_momentum(values: Mapping[str, Array]) -> dict[str, Array]:
    """Return the helix of tracks with px, py, pz, charge, and either a point or d0_cm, z0_cm."""
    n_tracks = values["px"].size
    points = [values.get(name, np.zeros(n_tracks)) for name in ("x", "y", "z")]
    inputs = np.stack([*points, *(values[name] for name in ("px", "py", "pz", "charge"))]).astype(np.float64)
    out = np.empty((5, n_tracks))
    _perigees(inputs, out)
    helix = dict(zip(("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda"), out, strict=True))
    # Without a point the momentum is taken at the perigee, wherever d0 and z0 say that it is.
    return helix if "x" in values else {name: helix[name] for name in ("phi0", "omega_per_cm", "tan_lambda")}


@kernel
def _perigees(inputs: Array, out: Array) -> None:
    for i in range(out.shape[1]):
        x, y, z, px, py, pz, charge = inputs[:, i]
        out[0, i], out[1, i], out[2, i], out[3, i], out[4, i] = perigee(x, y, z, px, py, pz, int(charge))


def _covariance(values: Mapping[str, Array]) -> Array:
    """Return diagonal covariances, upper triangle row by row: (n, 15), with `Tracking`'s errors for prompt pions."""
    tan_lambda, numbers = values["tan_lambda"], Tracking()
    with np.errstate(divide="ignore"):
        # A straight track has no momentum; 100 GeV stands for all that do not bend.
        pt = np.minimum(_PT_OMEGA / np.abs(values["omega_per_cm"]), 100.0)
    sine = 1 / np.hypot(1.0, tan_lambda)
    p = pt / sine
    velocity = p / np.hypot(p, _PION_GEV)
    angle = np.hypot(numbers.angle_constant, numbers.angle_per_gev / (p * np.sqrt(sine)))
    sigma = (
        np.hypot(numbers.d0_constant, numbers.d0_per_gev / (p * sine**1.5)),
        angle,
        _PT_OMEGA / pt * np.hypot(numbers.pt_per_gev * pt, numbers.pt_constant / velocity),
        np.hypot(numbers.z0_constant, numbers.z0_per_gev / (p * sine**2.5)),
        angle / sine**2,
    )
    covariance = np.zeros((tan_lambda.size, 15))
    covariance[:, DIAGONAL] = np.square(sigma).T
    return covariance


def _surface(theta: Array) -> Array:
    """Return the distance [cm] of the calorimeter's inner surface in a direction from the origin."""
    sine, cosine = np.sin(theta), np.cos(theta)
    with np.errstate(divide="ignore"):
        end = np.where(cosine > 0, ECL_FRONT_CM, abs(ECL_BACK_CM)) / np.abs(cosine)
        return np.minimum(ECL_RADIUS_CM / np.maximum(sine, 0.0), end)
