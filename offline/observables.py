"""Per-event quantities from reconstructed clusters and tracks.

A row of the result is an event with at least three photons; its three most energetic ones (in the CM frame) make three
photon pairs and three recoil masses, all of which are kept: which pair came from the new particle is not known.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from pydantic import Field

from daq.jit import Array
from daq.settings import BeamSettings, Settings

ObservableName = Literal["m2_gamma_gamma", "m2_recoil"]

SCHEMA: dict[str, pl.DataType] = {
    "event": pl.UInt64(),
    "weight": pl.Float32(),
    "n_tracks": pl.UInt32(),
    "n_photons": pl.UInt32(),
    "sqrt_s_gev": pl.Float64(),
    "mass_3gamma_gev": pl.Float64(),
    "photon_energy_min_gev": pl.Float64(),
    "photon_energy_max_gev": pl.Float64(),
    "photon_theta_min_deg": pl.Float64(),
    "photon_theta_max_deg": pl.Float64(),
    "photon_angle_min_deg": pl.Float64(),
    "zernike_mva_min": pl.Float64(),
    "m2_gamma_gamma": pl.Array(pl.Float64(), 3),
    "m2_recoil": pl.Array(pl.Float64(), 3),
}
"""Columns that cuts may use: photon quantities are of the three photons, in the lab unless the name says otherwise."""

_CLUSTER_FIELDS = (
    "energy_gev",
    "theta",
    "phi",
    "time_ns",
    "dt99_ns",
    "zernike_mva",
    "is_track",
    "has_photon_hypothesis",
)


class PhotonCuts(Settings):
    """What counts as a photon: a cluster under the photon hypothesis that no track points at, and these cuts."""

    energy_min_gev: float = Field(ge=0)
    """Least energy in the lab [GeV]."""
    theta_deg: tuple[float, float] = (0.0, 180.0)
    """Polar angles in the lab [degree]."""
    zernike_mva_min: float = Field(default=0.0, ge=0, le=1)
    """Least value of the shower-shape classifier."""
    time_dt99_max: float = Field(default=math.inf, gt=0)
    """Largest distance of the cluster time from the collision [in units of its 99 % interval]."""


class TrackCuts(Settings):
    """What counts as a track from the interaction point."""

    d0_max_cm: float = Field(gt=0)
    """Largest transverse distance of the helix to the origin [cm]."""
    z0_max_cm: float = Field(gt=0)
    """Largest distance along the beam line [cm]."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The centre of mass of the two beams."""

    total: tuple[float, float, float, float]
    """(E, px, py, pz) of both beams in the lab [GeV]."""

    @classmethod
    def of(cls, beam: BeamSettings) -> Frame:
        """Return the frame of two massless beams, each off the z axis by half the crossing angle, to the same side."""
        half = 0.5e-3 * beam.crossing_mrad
        energy = beam.electron_gev + beam.positron_gev
        return cls(
            (energy, energy * math.sin(half), 0.0, (beam.electron_gev - beam.positron_gev) * math.cos(half)),
        )

    @property
    def s_gev2(self) -> float:
        """Square of the CM energy [GeV2]."""
        energy, px, py, pz = self.total
        return energy**2 - px**2 - py**2 - pz**2

    @property
    def sqrt_s_gev(self) -> float:
        """CM energy [GeV]."""
        return math.sqrt(self.s_gev2)

    def energy_gev(self, energy: Array, px: Array, py: Array, pz: Array) -> Array:
        """Return CM energies of lab four-momenta: the product with the four-momentum of the beams, over sqrt(s)."""
        e, x, y, z = self.total
        cm: Array = (e * energy - x * px - y * py - z * pz) / self.sqrt_s_gev
        return cm


def photon_columns(offsets: Array, clusters: dict[str, Array], frame: Frame) -> tuple[Array, dict[str, Array]]:
    """Return three-photon quantities of the events with at least three photons.

    Parameters
    ----------
    offsets : (events + 1,)
        Where each event starts in the cluster arrays.
    clusters
        ``energy_gev``, ``theta``, ``phi``, ``zernike_mva`` of clusters that are photons.
    frame
        Centre of mass of the beams.

    Returns
    -------
    rows : (m,) int64
        Indices of the events with at least three photons.
    columns
        (m,) or (m, 3) float64 arrays named as in `SCHEMA`. Pair k and recoil k: photons are ordered by falling CM
        energy, pair k leaves out the photon that recoil k is measured with, so both name the same hypothesis.
    """
    event = np.repeat(np.arange(offsets.size - 1), np.diff(offsets))
    energy, theta, phi = (clusters[name].astype(np.float64) for name in ("energy_gev", "theta", "phi"))
    direction = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
    momentum = energy[:, np.newaxis] * direction
    cm = frame.energy_gev(energy, *momentum.T)

    rows = np.flatnonzero(np.diff(offsets) >= 3)
    order = np.lexsort((-cm, event))  # by event, then falling CM energy: the offsets stay valid
    best = order[offsets[rows][:, np.newaxis] + np.arange(3)]
    others = np.array([[1, 2], [0, 2], [0, 1]])
    e, u, e_cm = energy[best], direction[best], cm[best]
    cosine = np.clip(np.sum(u[:, others[:, 0]] * u[:, others[:, 1]], axis=-1), -1.0, 1.0)
    m2_pair = 2.0 * e[:, others[:, 0]] * e[:, others[:, 1]] * (1.0 - cosine)
    degrees = np.degrees(theta[best])
    return rows, {
        "mass_3gamma_gev": np.sqrt(m2_pair.sum(axis=1)),  # massless: M2 of three is the sum of the pairs
        "photon_energy_min_gev": e.min(axis=1),
        "photon_energy_max_gev": e.max(axis=1),
        "photon_theta_min_deg": degrees.min(axis=1),
        "photon_theta_max_deg": degrees.max(axis=1),
        "photon_angle_min_deg": np.degrees(np.arccos(cosine.max(axis=1))),
        "zernike_mva_min": clusters["zernike_mva"].astype(np.float64)[best].min(axis=1),
        "m2_gamma_gamma": m2_pair,
        "m2_recoil": frame.s_gev2 - 2.0 * frame.sqrt_s_gev * e_cm,
    }


def observables(events: pl.DataFrame, photons: PhotonCuts, tracks: TrackCuts, frame: Frame) -> pl.DataFrame:
    """Return one row of `SCHEMA` for each event with at least three photons, in the order of ``events``."""
    lengths, fields = _flatten(events["clusters"], _CLUSTER_FIELDS)
    low, high = np.radians(photons.theta_deg)
    good = (
        fields["has_photon_hypothesis"].astype(bool)
        & ~fields["is_track"].astype(bool)
        & (fields["energy_gev"] >= photons.energy_min_gev)
        & (fields["theta"] > low)
        & (fields["theta"] < high)
        & (fields["zernike_mva"] >= photons.zernike_mva_min)
        & (np.abs(fields["time_ns"]) <= photons.time_dt99_max * fields["dt99_ns"])
    )
    n_photons = _count(lengths, good)
    offsets = np.concatenate([[0], np.cumsum(n_photons)])
    rows, columns = photon_columns(offsets, {name: values[good] for name, values in fields.items()}, frame)

    lengths, helix = _flatten(events["tracks"], ("d0_cm", "z0_cm"))
    from_ip = (np.abs(helix["d0_cm"]) < tracks.d0_max_cm) & (np.abs(helix["z0_cm"]) < tracks.z0_max_cm)
    columns |= {
        "event": events["event"].to_numpy()[rows],
        "weight": events["weight"].to_numpy()[rows],
        "n_tracks": _count(lengths, from_ip)[rows],
        "n_photons": n_photons[rows],
        "sqrt_s_gev": np.full(rows.size, frame.sqrt_s_gev),
    }
    return pl.DataFrame([pl.Series(name, columns[name], dtype=dtype) for name, dtype in SCHEMA.items()])


def select(frame: pl.DataFrame, cuts: list[str]) -> pl.DataFrame:
    """Return the rows that pass all cuts (SQL expressions)."""
    return frame.filter(*[pl.sql_expr(cut) for cut in cuts])


def _flatten(objects: pl.Series, fields: tuple[str, ...]) -> tuple[Array, dict[str, Array]]:
    """Return (objects per event, one flat array per field) of a ``list<struct>`` column."""
    lengths = objects.list.len().to_numpy().astype(np.int64)
    flat = objects.filter(objects.list.len() > 0).explode()
    return lengths, {field: flat.struct.field(field).to_numpy() for field in fields}


def _count(lengths: Array, chosen: Array) -> Array:
    """Return how many objects of each event are chosen."""
    running = np.concatenate([[0], np.cumsum(chosen)])
    ends = np.cumsum(lengths)
    counts: Array = running[ends] - running[ends - lengths]
    return counts
