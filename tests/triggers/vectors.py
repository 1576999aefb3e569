"""The reference vectors of the L1: inputs as arrays of the event model (in float64), outputs as columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daq.event import EventBatch
from daq.jit import Array
from daq.settings import BeamSettings
from triggers.bits import flags_of, words_of
from triggers.ecl.cells import EclTable
from triggers.ecl.ready import ReadyEcl
from triggers.inputs import INPUT_NAMES, Quirks, input_planes

DATA = Path(__file__).parent.parent / "data"
ECL_SAMPLE, GRL_SAMPLE = DATA / "l1_ecl_sample.parquet", DATA / "l1_grl_sample.parquet"

KLM_MASKS = ("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")
TRACKS = ("trk2d", "trk3d", "trknn", "segments", "klm_track_sectors")
CLUSTER_FIELDS = ("x_cm", "y_cm", "z_cm", "energy_gev", "time_ns", "tc_id", "theta_id")

TABLE = EclTable.for_beams(BeamSettings())


def objects_of(table: pa.Table, group: str) -> dict[str, Array]:
    """Return offsets and fields of a list column as arrays of the event model, in the precision of the file."""
    column = table[group].combine_chunks()
    arrays = {f"{group}.offsets": column.offsets.to_numpy().astype(np.int32)}
    if not pa.types.is_struct(column.type.value_type):
        return arrays | {group: column.values.to_numpy()}
    return arrays | {
        f"{group}.{field.name}": column.values.field(field.name).to_numpy() for field in column.values.type
    }


def columns_of(table: pa.Table, dtype: type = np.float64) -> dict[str, Array]:
    """Return the primitives that a file has as columns for `input_planes`; floats in ``dtype``."""
    arrays: dict[str, Array] = {}
    for group in ("tc", *TRACKS):
        arrays |= objects_of(table, group) if group in table.column_names else {}
    if "cdc_t0" in table.column_names:
        arrays |= {name: table[name].to_numpy() for name in KLM_MASKS}
        arrays["cdc_t0"] = cdc_t0_of(table)
    return {name: _in(dtype, array) for name, array in arrays.items()}


def ready_of(table: pa.Table, dtype: type = np.float64) -> ReadyEcl | None:
    """Return the ECL objects of a file that has them in place of cells."""
    if "tc" in table.column_names:
        return None
    clusters = objects_of(table, "clusters")
    return ReadyEcl(
        offsets=clusters["clusters.offsets"],
        **{field: _in(dtype, clusters[f"clusters.{field}"]) for field in CLUSTER_FIELDS},
        ecl_words=np.stack([table[f"ecl_word_{k}"].to_numpy() for k in range(4)], axis=1),
        ecl_present=table["ecl_present"].to_numpy(),
        ecl_time_ns=_in(dtype, table["ecl_time_ns"].to_numpy()),
    )


def _in(dtype: type, array: Array) -> Array:
    return array.astype(dtype) if array.dtype == np.float64 else array


def bits_of(table: pa.Table, dtype: type = np.float64, quirks: Quirks = "belle2") -> tuple[dict[str, Array], Array]:
    """Return the input bits of the events of a file by name, and which events are malformed."""
    return bits_of_columns(columns_of(table, dtype), table.num_rows, quirks=quirks, ready=ready_of(table, dtype))


def bits_of_columns(
    columns: EventBatch | dict[str, Array], size: int, quirks: Quirks = "belle2", ready: ReadyEcl | None = None
) -> tuple[dict[str, Array], Array]:
    """Return the input bits of events by name, and which events are malformed."""
    planes, malformed = input_planes(columns, size, TABLE, quirks=quirks, ready=ready)
    words = words_of(planes, size)
    return {name: flags_of(words, i) for i, name in enumerate(INPUT_NAMES)}, malformed


def bits_of_event(
    columns: EventBatch | dict[str, Array], quirks: Quirks = "belle2", ready: ReadyEcl | None = None
) -> tuple[dict[str, bool], bool]:
    """Return the input bits of one event by name, and whether it is malformed."""
    bits, malformed = bits_of_columns(columns, 1, quirks, ready)
    return {name: bool(flags[0]) for name, flags in bits.items()}, bool(malformed[0])


def ready_clusters(n_clusters: int, **changed: Array) -> ReadyEcl:
    """Return one event with clusters in the middle of the barrel, arrays of it changed."""
    arrays = {
        "offsets": np.array([0, n_clusters]),
        "x_cm": np.full(n_clusters, 125.0),
        "y_cm": np.full(n_clusters, 5.0),
        "z_cm": np.zeros(n_clusters),
        "energy_gev": np.ones(n_clusters),
        "time_ns": np.zeros(n_clusters),
        "tc_id": np.full(n_clusters, 88),
        "theta_id": np.full(n_clusters, 11),
        "ecl_words": np.zeros((1, 4), dtype=np.uint32),
        "ecl_present": np.array([True]),
        "ecl_time_ns": np.zeros(1),
    }
    return ReadyEcl(**(arrays | changed))


def batch_of(ecl: pa.Table, grl: pa.Table) -> EventBatch:
    """Return float32 events with the trigger cells of one file and the tracks and sectors of the other."""
    size = min(ecl.num_rows, grl.num_rows)
    ecl, grl = ecl.take(np.arange(size)), grl.take(np.arange(size))  # take, not slice: offsets start at 0
    arrays = columns_of(ecl) | columns_of(grl)
    arrays["run"] = np.full(size, 7)
    arrays["event"] = np.arange(size)
    arrays["time_ns"] = np.cumsum(np.arange(size) % 7 * 60)  # some events on top of each other, some apart
    return EventBatch(size, arrays)


def sample_batch() -> EventBatch:
    """Return the events of the committed samples."""
    return batch_of(pq.read_table(ECL_SAMPLE), pq.read_table(GRL_SAMPLE))


def cdc_t0_of(grl: pa.Table) -> Array:
    """Return the CDC event time, 0 where there is none."""
    return np.where(grl["cdc_t0_present"].to_numpy(), grl["cdc_t0"].to_numpy(), 0).astype(np.int32)
