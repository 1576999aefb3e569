"""The flat columns of the HLT reference vectors as arrays of the event model.

One row is one event: event columns ``event_id`` and ``l1_*``, lists ``trk_*`` with an entry a track, lists ``clu_*``
with an entry a cluster. Names, units and signs are those of the reference data (docs/hlt-files.md); numbers stay in
double precision. Only the bits of the first level may be null (their name is unknown: false) and only times may be NaN
(unknown). Whatever else cannot be is refused, with the event: a trigger result on it would mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from daq.event import LAYOUT, OFFSET, Array, TimType

TRACK_COLUMNS: dict[str, str] = {
    "trk_has_fit": "bool",
    "trk_charge": "int8",
    "trk_d0": "double",
    "trk_phi0": "double",
    "trk_omega": "double",
    "trk_z0": "double",
    "trk_tan_lambda": "double",
    "trk_cov": "double",
    "trk_n_cdc_hits": "int32",
    "trk_time": "double",
    "trk_clusters": "int32",
}
CLUSTER_COLUMNS: dict[str, str] = {
    "clu_energy": "double",
    "clu_theta": "double",
    "clu_phi": "double",
    "clu_r": "double",
    "clu_time": "double",
    "clu_dt99": "double",
    "clu_zernike_mva": "double",
    "clu_is_track": "bool",
    "clu_has_photon_hypothesis": "bool",
}
L1_COLUMNS: dict[str, str] = {
    "l1_valid": "bool",
    "l1_timing_type": "string",
    "l1_psnm_bha3d": "bool",
    "l1_psnm_bhapur": "bool",
    "l1_psnm_lml1": "bool",
    "l1_psnm_fpre": "bool",
    "l1_ftdl_bhapur": "bool",
    "n_cdc_nn_bits": "int32",
}
FLAT: tuple[str, ...] = ("event_id", *L1_COLUMNS, *TRACK_COLUMNS, *CLUSTER_COLUMNS)
"""All columns; those of the first level may be missing, but only together."""

_NESTED = ("trk_cov", "trk_clusters")
_BITS = {
    "bha3d": "l1_psnm_bha3d",
    "bhapur": "l1_psnm_bhapur",
    "lml1": "l1_psnm_lml1",
    "fpre": "l1_psnm_fpre",
    "raw_bhapur": "l1_ftdl_bhapur",
}
_TIMING = {
    "random": TimType.RANDOM,
    "delayed_bhabha": TimType.DELAYED_BHABHA,
    "poisson": TimType.POISSON,
    "other": TimType.PHYSICS,
}
_NAMES = {
    "trk_d0": "tracks.d0_cm",
    "trk_phi0": "tracks.phi0",
    "trk_omega": "tracks.omega_per_cm",
    "trk_z0": "tracks.z0_cm",
    "trk_tan_lambda": "tracks.tan_lambda",
    "trk_n_cdc_hits": "tracks.n_cdc_hits",
    "trk_time": "tracks.time_ns",
    "clu_energy": "clusters.energy_gev",
    "clu_theta": "clusters.theta",
    "clu_phi": "clusters.phi",
    "clu_r": "clusters.r_cm",
    "clu_time": "clusters.time_ns",
    "clu_dt99": "clusters.dt99_ns",
    "clu_zernike_mva": "clusters.zernike_mva",
    "clu_is_track": "clusters.is_track",
    "clu_has_photon_hypothesis": "clusters.has_photon_hypothesis",
}


class FlatError(Exception):
    """A flat column breaks a rule; ``key`` names event, column and place."""

    def __init__(self, rule: str, key: str, value: object = None):
        self.rule, self.key, self.value = rule, key, value
        super().__init__(rule)


@dataclass(frozen=True, slots=True)
class Lists:
    """A list column: (N + 1) offsets and the values of all lists; nested columns have a second level."""

    offsets: Array
    values: Array
    inner: Array | None = None

    @property
    def inner_offsets(self) -> Array:
        """Return the offsets of the second level of a nested column."""
        assert self.inner is not None
        return self.inner


def from_flat(table: pa.Table) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the arrays of the event model, and the L1 bits by name.

    Raises
    ------
    FlatError
        If a column is of the wrong type, has a null, lists of different lengths, or a value that cannot be.
    """
    checked = _Checked(table)
    tracks = {name: checked.lists(name, kind) for name, kind in TRACK_COLUMNS.items()}
    clusters = {name: checked.lists(name, kind) for name, kind in CLUSTER_COLUMNS.items()}
    checked.same_lengths(tracks)
    checked.same_lengths(clusters)
    _check_tracks(checked, tracks, np.diff(clusters["clu_energy"].offsets))
    _check_clusters(checked, clusters)
    out = {
        "tracks.offsets": tracks["trk_d0"].offsets,
        "clusters.offsets": clusters["clu_energy"].offsets,
        **{_NAMES[name]: column.values for name, column in (tracks | clusters).items() if name in _NAMES},
        "tracks.charge": np.where(tracks["trk_has_fit"].values, tracks["trk_charge"].values, 0),
        "tracks.cov": tracks["trk_cov"].values.reshape(-1, 15),
        "tracks.clusters.offsets": tracks["trk_clusters"].inner_offsets,
        "tracks.clusters": tracks["trk_clusters"].values,
    }
    first_level, l1 = _first_level(checked, table)
    out |= first_level
    # Floats stay in double precision, all else gets the types of the event model.
    return {name: array if array.dtype.kind == "f" else array.astype(LAYOUT[name]) for name, array in out.items()}, l1


def _first_level(checked: _Checked, table: pa.Table) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the timing type and the neural tracks, and the bits; without a summary: a random trigger and no bit.

    Among the bits is ``l1_summary``: whether the event has a summary at all.
    """
    n = table.num_rows
    if "l1_valid" not in table.column_names:
        never = np.zeros(n, dtype=np.bool_)
        timing = np.full(n, TimType.RANDOM)
        return {"tim_type": timing, "trknn.offsets": np.zeros(n + 1, dtype=OFFSET)}, dict.fromkeys(
            (*_BITS, "l1_summary"), never
        )
    valid = checked.flat("l1_valid", "bool")
    names = checked.flat("l1_timing_type", "string")
    unknown = np.array([name not in _TIMING for name in names], dtype=np.bool_)
    checked.expect(~unknown, "l1_timing_type", names, f"must be one of {', '.join(_TIMING)}")
    timing = np.array([_TIMING[name] for name in names], dtype=np.uint8)
    neural = checked.flat("n_cdc_nn_bits", "int32")
    checked.expect(neural >= 0, "n_cdc_nn_bits", neural, "must not be negative")
    arrays = {
        "tim_type": np.where(valid, timing, TimType.RANDOM),
        # Whether there are any is all that counts; they come by a way of their own, not with the summary.
        "trknn.offsets": np.concatenate([[0], np.cumsum(neural > 0)]),
    }
    bits = {bit: valid & checked.flat(column, "bool", nullable=True) for bit, column in _BITS.items()}
    return arrays, bits | {"l1_summary": valid}


def _check_tracks(checked: _Checked, tracks: dict[str, Lists], n_clusters: Array) -> None:
    values = {name: column.values for name, column in tracks.items()}
    fitted = values["trk_has_fit"]
    used = fitted & (values["trk_charge"] != 0)
    for name in ("trk_d0", "trk_phi0", "trk_omega", "trk_z0", "trk_tan_lambda"):
        checked.each(tracks, name, np.isfinite(values[name]) | ~used, "must be finite")
    sign = np.sign(np.nan_to_num(values["trk_omega"]))
    checked.each(tracks, "trk_charge", (values["trk_charge"] == sign) | ~fitted, "must be the sign of trk_omega")
    hits, most = values["trk_n_cdc_hits"], int(np.iinfo(LAYOUT["tracks.n_cdc_hits"]).max)
    checked.each(tracks, "trk_n_cdc_hits", (hits >= 0) & (hits <= most), f"must lie between 0 and {most}")
    lengths = np.diff(tracks["trk_cov"].inner_offsets)
    checked.each(tracks, "trk_cov", lengths == 15, "must hold 15 numbers a track")
    finite = np.isfinite(values["trk_cov"].reshape(-1, 15)).all(axis=1)
    checked.each(tracks, "trk_cov", finite | ~used, "must be finite")
    # The number of clusters in the event of each match.
    limits = np.repeat(n_clusters, np.diff(tracks["trk_clusters"].offsets))
    limits = np.repeat(limits, np.diff(tracks["trk_clusters"].inner_offsets))
    inside = (values["trk_clusters"] >= 0) & (values["trk_clusters"] < limits)
    starts = tracks["trk_clusters"].inner_offsets
    outside_before = np.concatenate([[0], np.cumsum(~inside)])
    all_inside = outside_before[starts[1:]] == outside_before[starts[:-1]]
    checked.each(tracks, "trk_clusters", all_inside, "must be indices of clusters of the event, counted from 0")


def _check_clusters(checked: _Checked, clusters: dict[str, Lists]) -> None:
    values = {name: column.values for name, column in clusters.items()}
    for name in ("clu_energy", "clu_r", "clu_dt99"):
        good = np.isfinite(values[name]) & (values[name] >= 0)
        checked.each(clusters, name, good, "must be finite and not negative")
    theta = values["clu_theta"]
    checked.each(clusters, "clu_theta", (theta >= 0) & (theta <= np.pi), "must lie between 0 and pi")
    for name in ("clu_phi", "clu_zernike_mva"):
        checked.each(clusters, name, np.isfinite(values[name]), "must be finite")


class _Checked:
    """The columns of a table; knows how to name an event in an error."""

    def __init__(self, table: pa.Table):
        self._table = table

    def error(self, rule: str, name: str, row: int, place: int | None = None, value: object = None) -> FlatError:
        ids = self._table.column("event_id") if "event_id" in self._table.column_names else None
        event = f"event_id {ids[row].as_py()}" if ids is not None else f"row {row} of a chunk"
        return FlatError(rule, f"{event}, {name}{'' if place is None else f'[{place}]'}", value)

    def flat(self, name: str, kind: str, *, nullable: bool = False) -> Array:
        """Return a column with one value an event; null is false where it is allowed."""
        column = self._table.column(name).combine_chunks()
        if column.null_count and not nullable:
            raise self.error("must not be null", name, int(np.argmax(column.is_null().to_numpy(zero_copy_only=False))))
        values = self._cast(column, name, kind)
        return np.asarray((pc.fill_null(values, False) if nullable else values).to_numpy(zero_copy_only=False))

    def lists(self, name: str, kind: str) -> Lists:
        """Return a column with a list an event."""
        column = self._table.column(name).combine_chunks()
        offsets, values = self._listed(column, name)
        inner = None
        if name in _NESTED:
            inner, values = self._listed(values, name, offsets)
        if values.null_count:
            place = int(np.argmax(values.is_null().to_numpy(zero_copy_only=False)))
            outer = place if inner is None else int(np.searchsorted(inner, place, side="right")) - 1
            raise self.error("must not hold nulls", name, int(np.searchsorted(offsets, outer, side="right")) - 1)
        return Lists(offsets, self._cast(values, name, kind).to_numpy(zero_copy_only=False), inner)

    def _listed(self, column: Any, name: str, outer: Array | None = None) -> tuple[Array, Any]:
        kind = column.type
        if pa.types.is_null(kind) and len(column) == 0:
            return np.zeros(1, dtype=OFFSET), column
        if not (pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)):
            raise FlatError(f"must be a list{' of lists' if name in _NESTED else ''}", name, str(kind))
        if column.null_count:
            row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
            row = row if outer is None else int(np.searchsorted(outer, row, side="right")) - 1
            raise self.error("must not be null", name, row)
        offsets = np.zeros(len(column) + 1, dtype=OFFSET)
        np.cumsum(pc.list_value_length(column).to_numpy(zero_copy_only=False), out=offsets[1:])
        return offsets, column.flatten()

    def _cast(self, values: Any, name: str, kind: str) -> Any:
        found = values.type
        is_text, is_bool = kind == "string", kind == "bool"
        if pa.types.is_null(found):  # empty lists, or bits none of which is known, may have no type
            return values.cast(kind)
        if pa.types.is_dictionary(found):
            values = values.dictionary_decode()
            found = values.type
        text = pa.types.is_string(found) or pa.types.is_large_string(found) or found == pa.string_view()
        if text != is_text or pa.types.is_boolean(found) != is_bool:
            raise FlatError(f"must be {kind}", name, str(found))
        try:
            return values.cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise FlatError(f"must be {kind}: {error}", name, str(found)) from None

    def same_lengths(self, columns: dict[str, Lists]) -> None:
        """Raise `FlatError` unless all columns have as many objects in every event."""
        first, reference = next(iter(columns.items()))
        for name, column in columns.items():
            counts, expected = np.diff(column.offsets), np.diff(reference.offsets)
            rows = np.flatnonzero(counts != expected)
            if rows.size:
                rule = f"must have as many entries as {first}, {expected[rows[0]]}"
                raise self.error(rule, name, int(rows[0]), value=int(counts[rows[0]]))

    def expect(self, good: Array, name: str, values: Array, rule: str) -> None:
        """Raise `FlatError` for the first event that is not good."""
        if not good.all():
            row = int(np.argmin(good))
            raise self.error(rule, name, row, value=_plain(values[row]))

    def each(self, columns: dict[str, Lists], name: str, good: Array, rule: str) -> None:
        """Raise `FlatError` for the first object that is not good."""
        if good.all():
            return
        column, k = columns[name], int(np.argmin(good))
        row = int(np.searchsorted(column.offsets, k, side="right")) - 1
        inner = column.inner
        value = _plain(column.values[k]) if inner is None else column.values[inner[k] : inner[k + 1]].tolist()
        raise self.error(rule, name, row, k - int(column.offsets[row]), value)


def _plain(value: Any) -> object:
    return value.item() if isinstance(value, np.generic) else value
