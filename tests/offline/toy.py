"""A toy of three-photon events in plain numpy, and run directories as the spool writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from daq.event import EventBatch
from daq.run_directory import RunFile, write_json
from daq.settings import BeamSettings, RunSettings
from offline.observables import Frame
from offline.search import Search
from offline.shapes import Shapes, SignalSample, fit_shapes

BEAM = BeamSettings()
FRAME = Frame.of(BEAM)
SEED = 20260101


def unit_vectors(cosine: np.ndarray, phi: np.ndarray) -> np.ndarray:
    """Return (n, 3) directions."""
    sine = np.sqrt(1.0 - cosine**2)
    return np.stack([sine * np.cos(phi), sine * np.sin(phi), cosine], axis=-1)


def boosted(momenta: np.ndarray, beta: np.ndarray) -> np.ndarray:
    """Return (n, 4) massless or massive four-momenta (E, p) seen from a frame that moves with -beta (n, 3)."""
    gamma = 1.0 / np.sqrt(1.0 - np.sum(beta**2, axis=-1, keepdims=True))
    energy, p = momenta[..., :1], momenta[..., 1:]
    along = np.sum(beta * p, axis=-1, keepdims=True)
    return np.concatenate(
        [gamma * (energy + along), p + gamma * beta * (gamma / (gamma + 1.0) * along + energy)], axis=-1
    )


def photon_and_pair(m2: np.ndarray, rng: np.random.Generator, pair_cosine: np.ndarray) -> np.ndarray:
    """Return (n, 3, 4) CM four-momenta of a photon and of the two photons of a system of squared mass ``m2``."""
    n = m2.size
    root_s = FRAME.sqrt_s_gev
    cosine = np.empty(0)
    while cosine.size < n:  # 1 + c^2 about the beam
        trial = rng.uniform(-1, 1, 2 * n)
        cosine = np.concatenate([cosine, trial[rng.uniform(0, 2, trial.size) < 1 + trial**2]])
    u = unit_vectors(cosine[:n], rng.uniform(-np.pi, np.pi, n))
    energy = (root_s**2 - m2) / (2.0 * root_s)
    photon = np.concatenate([energy[:, None], energy[:, None] * u], axis=1)
    beta = -energy[:, None] * u / (root_s - energy)[:, None]
    half = 0.5 * np.sqrt(m2)
    v = unit_vectors(pair_cosine, rng.uniform(-np.pi, np.pi, n))
    pair = [np.concatenate([half[:, None], sign * half[:, None] * v], axis=1) for sign in (1.0, -1.0)]
    return np.stack([photon, *(boosted(one, beta) for one in pair)], axis=1)


def signal(mass_gev: float, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return CM photons of n events e+e- -> gamma a."""
    return photon_and_pair(np.full(n, mass_gev**2), rng, rng.uniform(-1, 1, n))


def background(n: int, rng: np.random.Generator) -> np.ndarray:
    """Return CM photons of n events with a soft photon, smooth in every mass."""
    soft = 0.3 * (5.2 / 0.3) ** rng.uniform(0, 1, n)
    m2 = FRAME.s_gev2 - 2.0 * FRAME.sqrt_s_gev * soft
    return photon_and_pair(m2, rng, np.tanh(rng.uniform(-2.5, 2.5, n)))


def reconstructed(photons: np.ndarray, rng: np.random.Generator, first_event: int = 0) -> pl.DataFrame:
    """Return events with one smeared cluster for each CM photon in acceptance, in the columns of the spool."""
    n = photons.shape[0]
    energy, *p = FRAME.total
    lab = boosted(photons.reshape(-1, 4), np.broadcast_to(np.array(p) / energy, (3 * n, 3)))
    e = lab[:, 0]
    e = e * (1.0 + rng.normal(0.0, np.hypot(0.012, 0.008 / np.sqrt(e))) - rng.exponential(0.012, e.size))  # leakage
    theta = np.arccos(lab[:, 3] / lab[:, 0]) + rng.normal(0.0, 0.003, 3 * n)
    phi = np.arctan2(lab[:, 2], lab[:, 1]) + rng.normal(0.0, 0.003, 3 * n)
    seen = (e > 0.1) & (theta > np.radians(12.4)) & (theta < np.radians(155.1))
    counts = seen.reshape(n, 3).sum(axis=1)
    clusters = {
        "energy_gev": e[seen],
        "theta": theta[seen],
        "phi": phi[seen],
        "r_cm": np.full(seen.sum(), 140.0),
        "dt99_ns": np.full(seen.sum(), 20.0),
        "zernike_mva": np.full(seen.sum(), 0.95),
        "has_photon_hypothesis": np.ones(seen.sum(), dtype=bool),
    }
    batch = EventBatch(
        n,
        {
            "event": np.arange(first_event, first_event + n),
            "weight": np.ones(n),
            "clusters.offsets": np.concatenate([[0], np.cumsum(counts)]),
            **{f"clusters.{name}": values for name, values in clusters.items()},
        },
    )
    frame = pl.from_arrow(batch.to_arrow())
    assert isinstance(frame, pl.DataFrame)
    fired = pl.Series(counts == 3)
    return frame.with_columns(
        l1_three_clusters=fired, l1_single=~fired, hlt_three_photons=fired, hlt_single_photon=pl.lit(value=True)
    )


LINES = {"l1": {"three_clusters": 1, "single": 10}, "hlt": {"three_photons": 1, "single_photon": 100, "off": 0}}


def write_run(
    directory: Path,
    events: pl.DataFrame,
    *,
    live_fb: float | None = 0.4,
    summary: dict[str, Any] | None = None,
    lines: dict[str, dict[str, int]] = LINES,
) -> Path:
    """Write a run directory that holds ``events`` in two parts."""
    (directory / "events").mkdir(parents=True)
    half = events.height // 2
    for block, part in ((0, events[:half]), (32, events[half:])):
        part.write_parquet(directory / "events" / f"block={block:08d}.parquet")
    pl.DataFrame(
        {
            "section": [0, 1],
            "begin_s": [0.0, 1.0],
            "end_s": [1.0, 2.0],
            "delivered_fb": pl.Series([live_fb and 0.55 * live_fb] * 2, dtype=pl.Float64),
            "live_fb": pl.Series([live_fb and 0.5 * live_fb] * 2, dtype=pl.Float64),
            "generated": [events.height, events.height],
            "dead_s_spacing": [0.09, 0.09],
        }
    ).write_parquet(directory / "sections.parquet")
    book: dict[str, Any] = {
        "generated": 3 * events.height,
        "l1_rejected": events.height,
        "l1_dead": {"spacing": 7, "buffer": 0},
        "hlt_rejected": events.height - 7,
        "spooled": events.height,
        "reconciles": True,
        "state": "DONE",
    }
    (directory / "summary.json").write_text(json.dumps(book | (summary or {})))
    settings = {"name": "toy", "seed": SEED, "beam": BEAM, "l1": {"menu": "toy"}, "hlt": {"menu": "toy"}}
    run = RunFile(
        settings=RunSettings.model_validate(settings),
        n_events=book["generated"],
        menu_hash=0,
        about={"process_names": ["toy"], **{level: {"lines": menu} for level, menu in lines.items()}},
    )
    write_json(directory / "run.json", run.model_dump(mode="json"))
    return directory


def toy_search(search: Search) -> Search:
    """Return a search with the trigger lines of the toy."""
    trigger = search.trigger.model_copy(update={"l1": ("three_clusters",), "hlt": ("three_photons",)})
    return search.model_copy(update={"trigger": trigger})


def toy_shapes(search: Search, events_per_mass: int) -> Shapes:
    """Return the shapes of the toy detector."""
    rng = np.random.default_rng(SEED)
    samples = (
        SignalSample(mass, reconstructed(signal(mass, events_per_mass, rng), rng), events_per_mass)
        for mass in search.shape_masses_gev
    )
    prescales = {"l1": {"three_clusters": 1}, "hlt": {"three_photons": 1}}
    return fit_shapes(search, samples, FRAME, prescales=prescales, provenance={"events": events_per_mass, "seed": SEED})
