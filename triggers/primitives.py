"""What the L1 reads of events, checked before a kernel sees it: kernels trust lengths and offsets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from daq.errors import EventError
from daq.event import GROUPS, LAYOUT, OFFSET, Array, EventBatch
from daq.jit import read_only


class Primitives(NamedTuple):
    """Trigger primitives of N events: arrays of the event model, ``trk2d.phi0`` as ``trk2d_phi0``."""

    tc_offsets: Array
    tc_id: Array
    tc_energy_gev: Array
    tc_time_ns: Array
    trk2d_offsets: Array
    trk2d_phi0: Array
    trk2d_omega: Array
    trk3d_offsets: Array
    trk3d_phi0: Array
    trk3d_omega: Array
    trk3d_z0_cm: Array
    trk3d_cot_theta: Array
    trknn_offsets: Array
    trknn_phi0: Array
    trknn_omega: Array
    trknn_z0_cm: Array
    trknn_cot_theta: Array
    segments_offsets: Array
    segments: Array
    klm_track_sectors_offsets: Array
    klm_track_sectors: Array
    bklm_mask_fwd: Array
    bklm_mask_bwd: Array
    eklm_mask_fwd: Array
    eklm_mask_bwd: Array
    cdc_t0: Array


_NAMES: tuple[str, ...] = tuple(
    name for field in Primitives._fields for name in LAYOUT if name.replace(".", "_") == field
)
"""Names of the fields in the event model."""


def primitives_of(columns: EventBatch | Mapping[str, Array], size: int) -> Primitives:
    """Return the primitives of ``size`` events, from a batch or from a mapping of arrays by the names of the model.

    Of a mapping, groups that are not there are empty and numbers that are not there are 0. Its numbers may be float64
    or float32, integers of any size.

    Raises
    ------
    EventError
        If an array has not the length or the kind of number that it must have, or offsets do not rise from 0 to the
        number of objects.
    """
    if not isinstance(columns, EventBatch):
        checked = dict(_checked(columns, size))
        return Primitives(*(checked[name] for name in _NAMES))
    if columns.size != size:
        raise EventError(f"must hold {size} events", key="batch", value=columns.size)
    return Primitives(*(columns[name] for name in _NAMES))


def check_shape(name: str, array: Array, shape: tuple[int, ...]) -> None:
    """Raise `EventError` unless an array has this shape."""
    if array.shape != shape:
        raise EventError(f"must have shape {shape}", key=f"shape of {name}", value=array.shape)


def check_offsets(name: str, offsets: Array, n_events: int, n_objects: int) -> None:
    """Raise `EventError` unless offsets rise from 0 to the number of objects, one step an event."""
    check_shape(name, offsets, (n_events + 1,))
    if offsets[0] != 0:
        raise EventError("must start at 0", key=f"{name}[0]", value=int(offsets[0]))
    if (steps := np.flatnonzero(offsets[1:] < offsets[:-1])).size:
        raise EventError("must not run backwards", key=f"{name}[{int(steps[0]) + 1}]")
    if offsets[-1] != n_objects:
        raise EventError(f"must end at the number of objects, {n_objects}", key=f"{name}[-1]", value=int(offsets[-1]))


def _checked(columns: Mapping[str, Array], size: int) -> Iterator[tuple[str, Array]]:
    """Yield name and array, as float64 or int64 and read-only."""
    grouped = {name.removesuffix(".offsets") for name in _NAMES if name.endswith(".offsets")}
    for group in grouped:
        names = [name for column in GROUPS[group] if (name := column.path) in _NAMES]
        given = {name: _values(name, columns[name]) for name in names if name in columns}
        objects = next(iter(given.values())).size if given else 0
        offsets = _values(f"{group}.offsets", columns[f"{group}.offsets"]) if given else np.zeros(size + 1, np.int64)
        check_offsets(f"{group}.offsets", offsets, size, objects)
        yield f"{group}.offsets", read_only(offsets.astype(OFFSET))
        for name in names:
            array = given[name] if name in given else np.zeros(objects, _kind(name))
            check_shape(name, array, (objects,))
            yield name, read_only(array)
    for name in _NAMES:
        if name.split(".")[0] not in grouped:
            array = _values(name, columns[name]) if name in columns else np.zeros(size, dtype=np.int64)
            check_shape(name, array, (size,))
            yield name, read_only(array)


def _kind(name: str) -> type[np.generic]:
    return np.float64 if LAYOUT[name].kind == "f" else np.int64


def _values(name: str, given: Array) -> Array:
    """Return an array as float64 or int64, whichever its name asks for."""
    given = np.asarray(given)
    if given.dtype.kind not in ("iuf" if LAYOUT[name].kind == "f" else "iu"):
        raise EventError(f"must be {_kind(name).__name__}", key=f"type of {name}", value=str(given.dtype))
    if name == "tc.energy_gev" and given.dtype == np.float32:
        return given  # the clusters want to know that it is no finer
    return given.astype(_kind(name))
