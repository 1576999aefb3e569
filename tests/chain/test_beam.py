"""A run with fills, trains, injections and background: the same however it is cut, sections with their luminosity."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import polars as pl
from numpy.testing import assert_array_equal

import chain
from daq.event import LAYOUT, EventBatch
from daq.settings import RunSettings
from daq.source.mix import MixSource
from tests.chain.commands import ROOT, darkline, summary_of

EVENTS = 3000
TABLES = """
[beam.profile]
kind = "levelled"
levelled_s = 0.02
lifetime_s = 0.05
fill_s = 0.1

[beam.bunches]
trains = 2
gap_ticks = 20
"""


def configuration(folder: Path) -> Path:
    """Write the standard run with fills of a tenth of a second, and sections shorter than these."""
    path = folder / "fills.toml"
    standard = (ROOT / "configs" / "runs" / "standard.toml").read_text(encoding="utf-8")
    path.write_text(standard.replace("section_s = 1.0", "section_s = 0.02") + TABLES, encoding="utf-8")
    return path


def kept_events(settings: RunSettings) -> tuple[EventBatch, np.ndarray]:
    """Return the events that a run keeps, and their sections."""
    blocks = list(chain.blocks_in_process(settings))
    sections = np.concatenate([block.tables["kept.section"] for block in blocks])
    return EventBatch.concatenate(block.events for block in blocks), sections


def test_kept_events_do_not_depend_on_the_size_of_blocks(tmp_path):
    """Source, dead time, L1 and HLT on blocks of 1024 and of 391 events: the same events are kept, to the bit."""
    settings = chain.load_run(configuration(tmp_path), events=EVENTS)
    odd = settings.model_copy(update={"stream": settings.stream.model_copy(update={"block_events": 391})})
    (one, sections), (other, other_sections) = kept_events(settings), kept_events(odd)
    assert 100 < len(one) < EVENTS
    for name in LAYOUT:
        assert_array_equal(one[name], other[name], err_msg=name)
    assert_array_equal(sections, other_sections)
    assert_array_equal(sections, one["time_ns"] // 20_000_000)


def test_sections_have_the_luminosity_of_the_fill(tmp_path):
    """A run through the stream: full luminosity while it is levelled, the decay after it; what is live is less."""
    config = configuration(tmp_path)
    summary_of(darkline("run", config, "--events", EVENTS, "--out", tmp_path / "run", "--json"))
    sections = pl.read_parquet(tmp_path / "run" / "sections.parquet")
    settings = chain.load_run(config, events=EVENTS)
    full, source = settings.beam.luminosity_cm2_s, MixSource(settings)
    assert sections.height > 5
    for row in sections.iter_rows(named=True):
        begin, end = (row[name] for name in ("begin_s", "end_s"))
        at = np.linspace(begin, end, 2001) % 0.1
        mean = np.exp(-np.maximum(0.0, at - 0.02) / 0.05).mean()
        assert math.isclose(row["luminosity_cm2_s"], full * mean, rel_tol=2e-3)
        assert math.isclose(
            row["delivered_fb"], source.delivered_fb(round(begin * 1e9), round(end * 1e9)), rel_tol=1e-6
        )
        assert 0 < row["live_fb"] <= row["delivered_fb"]
    assert math.isclose(sections["luminosity_cm2_s"].max(), full, rel_tol=1e-9)
    events = pl.read_parquet(tmp_path / "run" / "events")
    assert (events["section"] == events["time_ns"] // 20_000_000).all()
