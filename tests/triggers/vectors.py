"""The reference vectors of the L1: inputs as arrays of the event model (in float64), outputs as columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daq.event import EventBatch
from daq.jit import Array
from triggers.bits import flags_of

DATA = Path(__file__).parent.parent / "data"
ECL_SAMPLE, GRL_SAMPLE = DATA / "l1_ecl_sample.parquet", DATA / "l1_grl_sample.parquet"

KLM_MASKS = ("bklm_mask_fwd", "bklm_mask_bwd", "eklm_mask_fwd", "eklm_mask_bwd")


def objects_of(table: pa.Table, group: str) -> dict[str, Array]:
    """Return offsets and fields of a list column as arrays of the event model, in the precision of the file."""
    column = table[group].combine_chunks()
    arrays = {f"{group}.offsets": column.offsets.to_numpy().astype(np.int32)}
    if not pa.types.is_struct(column.type.value_type):
        return arrays | {group: column.values.to_numpy()}
    return arrays | {
        f"{group}.{field.name}": column.values.field(field.name).to_numpy() for field in column.values.type
    }


def batch_of(ecl: pa.Table, grl: pa.Table) -> EventBatch:
    """Return float32 events with the trigger cells of one file and the tracks and sectors of the other."""
    size = min(ecl.num_rows, grl.num_rows)
    ecl, grl = ecl.take(np.arange(size)), grl.take(np.arange(size))  # take, not slice: offsets start at 0
    arrays = objects_of(ecl, "tc")
    for group in ("trk2d", "trk3d", "trknn", "segments", "klm_track_sectors"):
        arrays |= objects_of(grl, group)
    arrays |= {name: grl[name].to_numpy() for name in KLM_MASKS}
    arrays["cdc_t0"] = cdc_t0_of(grl)
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


def assert_bits(words: Array, names: tuple[str, ...], table: pa.Table) -> None:
    """Fail unless each bit of the words equals the column of its name, in every event."""
    wrong = {
        name: np.flatnonzero(flags_of(words, i) != table[name].to_numpy()).tolist() for i, name in enumerate(names)
    }
    assert not any(wrong.values()), {name: rows[:5] for name, rows in wrong.items() if rows}
