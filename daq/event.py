"""The one event model: a table of columns that everything else is generated from.

`COLUMNS` names each field once, with dtype, unit and meaning. From it come the numpy arrays of an `EventBatch`, the
Arrow schema, the wire layout and the page ``docs/event-model.md`` (``darkline schema``).

A batch holds N events as a struct of arrays. A scalar column has N rows. The objects of a group (``tracks``, ``tc``,
...) lie one event after the other; ``tracks.offsets`` (N + 1 numbers) says where each event starts. A *plain* group has
one nameless field (``segments``). Kernels take these arrays as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daq.errors import EventError
from daq.jit import kernel, read_only

if TYPE_CHECKING:
    import pyarrow as pa

Array = NDArray[Any]
OFFSET = np.dtype("<i4")  # a block holds far fewer than 2**31 objects


class TimType(IntEnum):
    """Level-1 timing source of an event (`tim_type`): what asked for the trigger."""

    PHYSICS = 0
    RANDOM = 1
    POISSON = 2
    DELAYED_BHABHA = 3


class InjectionRing(IntEnum):
    """Ring of the last injection (`injection_ring`)."""

    NONE = 0
    LER = 1
    HER = 2


class Outcome(IntEnum):
    """What became of an event. Every event of a run ends with exactly one of these: the run reconciles."""

    L1_REJECTED = 0
    L1_DEAD_SPACING = 1  # fired within the minimum spacing after an accept
    L1_DEAD_BUFFER = 2  # front-end buffers full
    L1_DEAD_INJECTION = 3  # vetoed after an injection
    HLT_REJECTED = 4
    KEPT = 5  # alive so far; at the end of the chain: spooled
    L1_DEAD_BUSY = 6  # nobody could take the collision: the chain was slower than the run's clock


class Column(NamedTuple):
    """One field of the event model."""

    group: str  # "" for one number an event
    name: str  # "" for the only field of a plain group
    dtype: str
    unit: str
    meaning: str
    length: int = 1  # numbers per object: fixed, or 0 for a list of any length

    @property
    def path(self) -> str:
        """Return the name of the values array in a batch."""
        return ".".join(part for part in (self.group, self.name) if part)


def _group(group: str, *fields: tuple[Any, ...]) -> list[Column]:
    return [Column(group, *field) for field in fields]


COLUMNS: tuple[Column, ...] = (
    *_group(
        "",
        ("run", "<u4", "", "run number"),
        ("event", "<u8", "", "event number, unique and dense in a run, from 0"),
        ("time_ns", "<i8", "ns", "collision time since run start"),
        ("bunch", "<u2", "tick", "place in the turn, in 1280 ticks of 7.861 ns (RF / 4)"),
        ("t_injection_us", "<f4", "us", "time since the last injection; infinite if there was none"),
        ("injection_ring", "|u1", "", "ring of the last injection: 0 none, 1 LER, 2 HER"),
        ("tim_type", "|u1", "", "L1 timing source: 0 physics, 1 random, 2 Poisson, 3 delayed Bhabha"),
        ("process", "<u2", "", "simulation only: index into the process names of run.json"),
        ("weight", "<f4", "", "simulation only: events of the process that this one stands for"),
        ("mass_gev", "<f4", "GeV", "simulation only: mass of the new particle, else 0"),
        ("ctau_cm", "<f4", "cm", "simulation only: proper decay length of the new particle, else 0"),
        ("bklm_mask_fwd", "|u1", "", "fired barrel KLM sectors, forward half: bit = sector 0..7"),
        ("bklm_mask_bwd", "|u1", "", "fired barrel KLM sectors, backward half"),
        ("eklm_mask_fwd", "|u1", "", "fired endcap KLM sectors, forward: bit = sector 0..3"),
        ("eklm_mask_bwd", "|u1", "", "fired endcap KLM sectors, backward"),
        ("cdc_t0", "<i4", "ns", "CDC event time; 0 if the CDC gave none"),
    ),
    *_group(
        "tc",  # ECL trigger cells above threshold, rising id, at most one an id
        ("id", "<u2", "", "ECL trigger cell, 1..576"),
        ("energy_gev", "<f4", "GeV", "energy in the cell (lab)"),
        ("time_ns", "<f4", "ns", "time of the cell relative to the collision"),
    ),
    *_group(
        "trk2d",
        ("phi0", "<f4", "rad", "CDC 2D trigger track: azimuth at the beam line"),
        ("omega", "<f4", "1/cm", "CDC 2D trigger track: signed curvature, sign = charge"),
    ),
    *(
        column
        for group, finder in (("trk3d", "CDC 3D-fitter track"), ("trknn", "CDC neural-network track"))
        for column in _group(
            group,
            ("phi0", "<f4", "rad", f"{finder}: azimuth at the beam line"),
            ("omega", "<f4", "1/cm", f"{finder}: signed curvature"),
            ("z0_cm", "<f4", "cm", f"{finder}: z at the beam line"),
            ("cot_theta", "<f4", "", f"{finder}: cotangent of the polar angle"),
        )
    ),
    Column("segments", "", "<u2", "", "CDC track segments, rising id 0..2335"),
    Column("klm_track_sectors", "", "|u1", "", "sectors of the KLM trigger tracks"),
    *_group(
        "tracks",
        ("charge", "|i1", "e", "charge; 0 if the fit gave no curvature"),
        ("d0_cm", "<f4", "cm", "perigee helix about the origin: signed transverse distance"),
        ("phi0", "<f4", "rad", "perigee helix: azimuth of the momentum, [-pi, pi)"),
        ("omega_per_cm", "<f4", "1/cm", "perigee helix: signed curvature"),
        ("z0_cm", "<f4", "cm", "perigee helix: z"),
        ("tan_lambda", "<f4", "", "perigee helix: pz / pt"),
        ("cov", "<f4", "", "covariance of the five, upper triangle row by row (00 01 .. 44)", 15),
        ("n_cdc_hits", "<u2", "", "hits in the drift chamber"),
        ("time_ns", "<f4", "ns", "track time relative to the collision"),
        ("clusters", "<u2", "", "indices of the matched clusters in this event", 0),
        ("pid_e", "<f4", "", "likelihood of the electron hypothesis; the five sum to 1"),
        ("pid_mu", "<f4", "", "likelihood of the muon hypothesis"),
        ("pid_pi", "<f4", "", "likelihood of the pion hypothesis"),
        ("pid_k", "<f4", "", "likelihood of the kaon hypothesis"),
        ("pid_p", "<f4", "", "likelihood of the proton hypothesis"),
        ("klm_layers", "|u1", "", "KLM layers with a hit on the track"),
    ),
    *_group(
        "clusters",
        ("energy_gev", "<f4", "GeV", "ECL cluster energy in the photon hypothesis (lab)"),
        ("theta", "<f4", "rad", "polar angle from the origin"),
        ("phi", "<f4", "rad", "azimuth from the origin, [-pi, pi)"),
        ("r_cm", "<f4", "cm", "distance from the origin"),
        ("time_ns", "<f4", "ns", "time relative to the collision"),
        ("dt99_ns", "<f4", "ns", "half-width of the 99 % containment interval of the time"),
        ("zernike_mva", "<f4", "", "shower shape: 1 electromagnetic, 0 hadronic"),
        ("is_track", "?", "", "a track points at the cluster"),
        ("has_photon_hypothesis", "?", "", "the cluster was reconstructed under the photon hypothesis"),
    ),
)

SCALARS: tuple[Column, ...] = tuple(column for column in COLUMNS if not column.group)
GROUPS: dict[str, tuple[Column, ...]] = {
    group: tuple(column for column in COLUMNS if column.group == group)
    for group in dict.fromkeys(column.group for column in COLUMNS if column.group)
}
BY_PATH: dict[str, Column] = {column.path: column for column in COLUMNS}


def _layout() -> Iterator[tuple[str, np.dtype[Any]]]:
    """Yield (array name, dtype) of every array of a batch, in wire order."""
    for column in SCALARS:
        yield column.path, np.dtype(column.dtype)
    for group, columns in GROUPS.items():
        yield f"{group}.offsets", OFFSET
        for column in columns:
            if column.length == 0:
                yield f"{column.path}.offsets", OFFSET
            yield column.path, np.dtype(column.dtype)


LAYOUT: dict[str, np.dtype[Any]] = dict(_layout())
"""Every array of a batch with its dtype, in wire order."""
_SCALAR_NAMES = tuple(column.path for column in SCALARS)
_GROUP_NAMES = tuple(
    (f"{group}.offsets", tuple((each.path, f"{each.path}.offsets" if each.length == 0 else "") for each in columns))
    for group, columns in GROUPS.items()
)
"""Arrays as `EventBatch.take` goes through them: offsets of a group, then values, with offsets of their own or ""."""
_GROUP_SHAPES = tuple(
    (
        f"{group}.offsets",
        tuple(
            (each.path, f"{each.path}.offsets" if each.length == 0 else "", (each.length,) if each.length > 1 else ())
            for each in columns
        ),
    )
    for group, columns in GROUPS.items()
)
"""The same with the shape of a row, as `EventBatch.check` wants it."""


def gather(offsets: Array, chosen: Array) -> tuple[Array, Array]:
    """Select jagged rows: return (offsets of the chosen rows, indices of their objects)."""
    return _gather(read_only(offsets), read_only(chosen))


@kernel
def _gather(offsets: Array, chosen: Array) -> tuple[Array, Array]:
    out = np.empty(chosen.size + 1, offsets.dtype)
    out[0], n_objects = 0, np.int64(0)
    for i in range(chosen.size):
        n_objects += np.int64(offsets[chosen[i] + 1]) - np.int64(offsets[chosen[i]])
        out[i + 1] = n_objects
    objects = np.empty(n_objects, np.int64)
    place = 0
    for i in range(chosen.size):
        for index in range(offsets[chosen[i]], offsets[chosen[i] + 1]):
            objects[place] = index
            place += 1
    return out, objects


def _as_column(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return the values contiguous and read-only, without touching the flags of the array given."""
    array = np.ascontiguousarray(values, dtype=dtype).view()
    array.flags.writeable = False
    return array


class EventBatch:
    """N events as a struct of arrays; ``batch["tracks.d0_cm"]`` is the array of that name in `LAYOUT`.

    Groups that are not given are empty, scalars that are not given are zero. All arrays are read-only and contiguous,
    wherever they come from (a source, the wire, a file): numba compiles any other form as a type of its own.

    Raises
    ------
    EventError
        If an array is unknown, has the wrong length, or offsets do not rise from 0 to the number of objects.
    """

    __slots__ = ("_arrays", "size")

    def __init__(self, size: int, arrays: Mapping[str, Array], *, check: bool = True):
        self.size = size
        self._arrays: dict[str, Array] = {}
        unknown = next((name for name in arrays if name not in LAYOUT), None)
        if unknown is not None:
            raise EventError("no such array in the event model", key=unknown)
        for name, dtype in LAYOUT.items():
            given = arrays.get(name)
            self._arrays[name] = _as_column(self._default(name, dtype) if given is None else given, dtype)
        if check:
            self.check()

    @classmethod
    def of_columns(cls, size: int, arrays: Mapping[str, Array]) -> EventBatch:
        """Return the batch of all arrays of `LAYOUT`, each contiguous and of its dtype, which become read-only.

        For whoever made them so: nothing is checked, copied or left out, which is most of what a batch costs.
        """
        batch = cls.__new__(cls)
        batch.size, batch._arrays = size, {name: arrays[name] for name in LAYOUT}
        for array in batch._arrays.values():
            array.setflags(write=False)
        return batch

    def _default(self, name: str, dtype: np.dtype[Any]) -> Array:
        if name.endswith(".offsets"):
            parent = name.removesuffix(".offsets")
            group = BY_PATH[parent].group if parent in BY_PATH else ""
            rows = self._arrays[f"{group}.offsets"][-1] if group and group != parent else self.size
            return np.zeros(int(rows) + 1, dtype=dtype)
        column = BY_PATH[name]
        if not column.group:
            return np.zeros(self.size, dtype=dtype)
        rows = int(self._arrays[f"{column.path if column.length == 0 else column.group}.offsets"][-1])
        return np.zeros((rows, column.length) if column.length > 1 else rows, dtype=dtype)

    def __getitem__(self, name: str) -> Array:
        return self._arrays[name]

    def __len__(self) -> int:
        return self.size

    def arrays(self) -> dict[str, Array]:
        """Return all arrays by name, in wire order."""
        return dict(self._arrays)

    def check(self) -> None:
        """Raise `EventError` unless every array has the length that the offsets promise."""
        for name in _SCALAR_NAMES:
            self._expect(name, (self.size,))
        for offsets, values in _GROUP_SHAPES:
            objects = self._check_offsets(offsets, self.size)
            for name, inner, row_shape in values:
                rows = self._check_offsets(inner, objects) if inner else objects
                self._expect(name, (rows, *row_shape))

    def _expect(self, name: str, shape: tuple[int, ...]) -> None:
        if self._arrays[name].shape != shape:
            raise EventError(f"must have shape {shape}", key=f"shape of {name}", value=self._arrays[name].shape)

    def _check_offsets(self, name: str, rows: int) -> int:
        offsets = self._arrays[name]
        self._expect(name, (rows + 1,))
        if offsets[0] != 0:
            raise EventError("must start at 0", key=f"{name}[0]", value=int(offsets[0]))
        falls = offsets[1:] < offsets[:-1]
        if falls.any():
            raise EventError("must not run backwards", key=f"{name}[{int(falls.argmax()) + 1}]")
        return int(offsets[-1])

    def replaced(self, arrays: Mapping[str, Array]) -> EventBatch:
        """Return the batch with other arrays in place of those of their names; the rest is shared, nothing checked."""
        batch = EventBatch.__new__(EventBatch)
        batch.size = self.size
        batch._arrays = self._arrays | {name: _as_column(array, LAYOUT[name]) for name, array in arrays.items()}
        return batch

    def take(self, chosen: Array) -> EventBatch:
        """Return the events at the (int) indices, or where the boolean mask is true, in that order."""
        rows = np.flatnonzero(chosen) if chosen.dtype == np.bool_ else np.asarray(chosen, dtype=np.int64)
        arrays = self._arrays
        out = {name: arrays[name][rows] for name in _SCALAR_NAMES}
        for offsets, values in _GROUP_NAMES:
            out[offsets], objects = gather(arrays[offsets], rows)
            for name, inner in values:
                picked = objects
                if inner:
                    out[inner], picked = gather(arrays[inner], objects)
                out[name] = arrays[name].take(picked, axis=0)
        for array in out.values():
            array.setflags(write=False)
        batch = EventBatch.__new__(EventBatch)
        batch.size, batch._arrays = rows.size, out
        return batch

    @staticmethod
    def concatenate(batches: Iterable[EventBatch]) -> EventBatch:
        """Return all events of the batches, one batch after the other."""
        parts = list(batches)
        out: dict[str, Array] = {}
        for name, dtype in LAYOUT.items():
            if not name.endswith(".offsets"):
                arrays = [part[name] for part in parts]
                out[name] = np.concatenate(arrays) if arrays else np.zeros(0, dtype=dtype)
                continue
            shift, pieces = 0, [np.zeros(1, dtype=OFFSET)]
            for part in parts:
                pieces.append(part[name][1:] + OFFSET.type(shift))
                shift += int(part[name][-1])
            out[name] = np.concatenate(pieces)
        return EventBatch(sum(part.size for part in parts), {n: a for n, a in out.items() if parts}, check=False)

    def to_arrow(self) -> pa.Table:
        """Return the batch as an Arrow table: a column per scalar, ``list<struct<...>>`` per group."""
        import pyarrow as pa

        columns: dict[str, Any] = {column.path: pa.array(self[column.path]) for column in SCALARS}
        for group, fields in GROUPS.items():
            values = {field.name: self._arrow_field(field) for field in fields}
            inner = values[""] if "" in values else pa.StructArray.from_arrays(list(values.values()), list(values))
            columns[group] = pa.ListArray.from_arrays(pa.array(self[f"{group}.offsets"]), inner)
        return pa.table(columns)

    def _arrow_field(self, column: Column) -> Any:
        import pyarrow as pa

        values = pa.array(self[column.path].reshape(-1))
        if column.length == 0:
            return pa.ListArray.from_arrays(pa.array(self[f"{column.path}.offsets"]), values)
        return values if column.length == 1 else pa.FixedSizeListArray.from_arrays(values, column.length)

    @staticmethod
    def from_arrow(table: pa.Table) -> EventBatch:
        """Return the batch of an Arrow table; absent columns are empty, columns of no field of ours are ignored.

        Raises
        ------
        EventError
            If a column has a type that does not fit the field, or holds nulls.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        out: dict[str, Array] = {}

        def values_of(array: Any, column: Column) -> Array:
            if array.null_count:
                raise EventError("must not hold nulls", key=column.path)
            try:
                flat = array.cast(pa.from_numpy_dtype(np.dtype(column.dtype)))
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
                raise EventError(f"must be {column.dtype}: {error}", key=column.path, value=str(array.type)) from None
            return np.asarray(flat.to_numpy(zero_copy_only=False))

        def listed(array: Any, name: str) -> tuple[Array, Any]:
            if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
                raise EventError("must be a list", key=name, value=str(array.type))
            offsets = np.zeros(len(array) + 1, dtype=OFFSET)
            np.cumsum(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False), out=offsets[1:])
            return offsets, array.flatten()

        for column in SCALARS:
            if column.path in table.column_names:
                out[column.path] = values_of(table.column(column.path).combine_chunks(), column)
        for group, fields in GROUPS.items():
            if group not in table.column_names:
                continue
            out[f"{group}.offsets"], objects = listed(_one_chunk(table.column(group)), group)
            names = set() if fields[0].name == "" else {field.name for field in objects.type}
            for column in fields:
                if column.name and column.name not in names:
                    continue
                inner = pc.struct_field(objects, column.name) if column.name else objects
                if column.length == 0:
                    out[f"{column.path}.offsets"], inner = listed(inner, column.path)
                elif column.length > 1:
                    inner = inner.flatten()
                values = values_of(inner, column)
                out[column.path] = values.reshape(-1, column.length) if column.length > 1 else values
        return EventBatch(table.num_rows, out)


def _one_chunk(column: Any) -> Any:
    chunked = column.combine_chunks()
    return chunked.chunk(0) if hasattr(chunked, "chunk") and chunked.num_chunks == 1 else chunked


def describe() -> str:
    """Return the event model as a Markdown table (``docs/event-model.md`` is this text)."""
    lines = ["| column | type | unit | meaning |", "| --- | --- | --- | --- |"]
    for column in COLUMNS:
        kind = np.dtype(column.dtype).name
        if column.length != 1:
            kind += "[]" if column.length == 0 else f"[{column.length}]"
        if column.group:
            kind = f"list of {kind}"
        lines.append(f"| `{column.path}` | {kind} | {column.unit} | {column.meaning} |")
    return "\n".join(lines) + "\n"
