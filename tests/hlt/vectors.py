"""The reference vectors of the HLT: inputs as arrays of the event model (in float64), outputs as columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from daq.event import LAYOUT, TimType
from daq.jit import Array
from daq.settings import BeamSettings

SAMPLE = Path(__file__).parent.parent / "data" / "hlt_sample.parquet"
FULL = Path(__file__).parents[2].parent / "shared" / "data" / "hlt_vectors.parquet"
BEAM = BeamSettings(electron_gev=7.004, positron_gev=4.002, crossing_mrad=83.0)

TIM_TYPES = {"random": TimType.RANDOM, "delayed_bhabha": TimType.DELAYED_BHABHA, "poisson": TimType.POISSON}
TRACK_COLUMNS = {
    "d0_cm": "trk_d0",
    "phi0": "trk_phi0",
    "omega_per_cm": "trk_omega",
    "z0_cm": "trk_z0",
    "tan_lambda": "trk_tan_lambda",
    "n_cdc_hits": "trk_n_cdc_hits",
    "time_ns": "trk_time",
}
CLUSTER_COLUMNS = {
    "energy_gev": "clu_energy",
    "theta": "clu_theta",
    "phi": "clu_phi",
    "r_cm": "clu_r",
    "time_ns": "clu_time",
    "dt99_ns": "clu_dt99",
    "zernike_mva": "clu_zernike_mva",
    "is_track": "clu_is_track",
    "has_photon_hypothesis": "clu_has_photon_hypothesis",
}


def _offsets(lengths: Array) -> Array:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)


def _flat(column: pl.Series) -> Array:
    return column.explode(empty_as_null=False).to_numpy()


def events_of(vectors: pl.DataFrame) -> dict[str, Array]:
    """Return the inputs under the names of the event model; a track without a fit gets charge 0."""
    out = {
        "tracks.offsets": _offsets(vectors["trk_d0"].list.len().to_numpy()),
        "clusters.offsets": _offsets(vectors["clu_energy"].list.len().to_numpy()),
        "trknn.offsets": _offsets(vectors["n_cdc_nn_bits"].to_numpy()),
    }
    out |= {f"tracks.{name}": _flat(vectors[column]) for name, column in TRACK_COLUMNS.items()}
    out |= {f"clusters.{name}": _flat(vectors[column]) for name, column in CLUSTER_COLUMNS.items()}
    out["tracks.charge"] = np.where(_flat(vectors["trk_has_fit"]), _flat(vectors["trk_charge"]), 0)
    out["tracks.cov"] = _flat(vectors["trk_cov"].explode(empty_as_null=False)).reshape(-1, 15)
    matches = vectors["trk_clusters"].explode(empty_as_null=False)
    out["tracks.clusters.offsets"] = _offsets(matches.list.len().to_numpy())
    out["tracks.clusters"] = _flat(matches)
    # Without a summary of the first level the software reports a random trigger and no bit.
    kinds = vectors.select(
        pl.when("l1_valid").then(pl.col("l1_timing_type")).otherwise(pl.lit("random")).alias("kind")
    )["kind"]
    out["tim_type"] = np.array([TIM_TYPES.get(kind, TimType.PHYSICS) for kind in kinds])
    # The floats stay in double precision, all else gets the types of the event model.
    return {name: array if array.dtype.kind == "f" else array.astype(LAYOUT[name]) for name, array in out.items()}


def l1_of(vectors: pl.DataFrame) -> dict[str, Array]:
    """Return the L1 bits by name; a bit of unknown name is false."""
    names = {
        "bha3d": "l1_psnm_bha3d",
        "bhapur": "l1_psnm_bhapur",
        "lml1": "l1_psnm_lml1",
        "fpre": "l1_psnm_fpre",
        "raw_bhapur": "l1_ftdl_bhapur",
    }
    valid = vectors["l1_valid"].to_numpy()
    return {name: valid & vectors[column].fill_null(False).to_numpy() for name, column in names.items()}


def column(vectors: pl.DataFrame, name: str) -> Array:
    """Return an output column as numpy."""
    values: Any = vectors[name].to_numpy()
    return np.asarray(values)
