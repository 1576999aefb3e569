"""A dataset is a run that ended well, or a refusal that names the file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from daq.errors import InputError
from offline.dataset import Dataset
from tests.offline import toy


@pytest.fixture
def events() -> pl.DataFrame:
    """Return a few hundred events."""
    rng = np.random.default_rng(1)
    return toy.reconstructed(toy.background(300, rng), rng)


def refused(directory: Path, *words: str) -> None:
    """Fail unless opening is refused in one line that holds all words."""
    with pytest.raises(InputError) as caught:
        Dataset.open(directory)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_a_good_run(tmp_path: Path, events: pl.DataFrame):
    """Luminosity is the sum over sections, and the events are those of all parts."""
    dataset = Dataset.open(toy.write_run(tmp_path / "run", events, live_fb=0.4))
    assert dataset.live_fb == pytest.approx(0.4)
    assert dataset.delivered_fb == pytest.approx(0.44)
    assert dataset.events.collect().equals(events)
    assert dataset.prescales("l1", ["single", "three_clusters"]) == {"single": 10, "three_clusters": 1}


def test_luminosity_of_a_replay_is_not_known(tmp_path: Path, events: pl.DataFrame):
    """A run without luminosity says None, not zero."""
    dataset = Dataset.open(toy.write_run(tmp_path / "run", events, live_fb=None))
    assert dataset.live_fb is None
    assert dataset.delivered_fb is None


def test_lines_of_each_level_are_ors_and_levels_are_anded(tmp_path: Path, events: pl.DataFrame):
    """An event counts if any line of the L1 list and any line of the HLT list have accepted it."""
    dataset = Dataset.open(toy.write_run(tmp_path / "run", events))
    both = dataset.triggered({"l1": ["three_clusters", "single"], "hlt": ["three_photons"]}, ["event"])
    assert set(both["event"]) == set(events.filter("hlt_three_photons")["event"])
    either = dataset.triggered({"l1": ["three_clusters", "single"], "hlt": ["single_photon"]}, ["event"])
    assert either.height == events.height


def test_unknown_and_switched_off_lines(tmp_path: Path, events: pl.DataFrame):
    """A line that the menu has not, or that can never fire, is refused by name."""
    dataset = Dataset.open(toy.write_run(tmp_path / "run", events))
    with pytest.raises(InputError, match="no_such: no such hlt line"):
        dataset.prescales("hlt", ["no_such"])
    with pytest.raises(InputError, match="switched off"):
        dataset.prescales("hlt", ["off"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "FAILED"}, ["summary.json", "state", "FAILED"]),
        ({"state": "ABORTED"}, ["summary.json", "state", "ABORTED"]),
        ({"reconciles": False}, ["summary.json", "reconciles", "False"]),
        ({"spooled": 301}, ["events", "300", "301"]),
    ],
)
def test_a_run_that_did_not_end_well(tmp_path: Path, events: pl.DataFrame, change: dict, words: list[str]):
    """Nothing is measured on a failed run, or on one whose books do not balance."""
    refused(toy.write_run(tmp_path / "run", events, summary=change), *words)


def test_a_run_without_kept_events(tmp_path: Path, events: pl.DataFrame):
    """An empty spool is refused."""
    refused(toy.write_run(tmp_path / "run", events[:0]), "events", "kept no event")


@pytest.mark.parametrize("name", ["run.json", "summary.json", "sections.parquet"])
def test_a_missing_file_is_named(tmp_path: Path, events: pl.DataFrame, name: str):
    """Every file of the run directory is needed."""
    directory = toy.write_run(tmp_path / "run", events)
    (directory / name).unlink()
    refused(directory, name, "no such file")


def test_a_missing_directory(tmp_path: Path):
    """A directory that is not there is named."""
    refused(tmp_path / "nothing", "nothing", "no such run directory")


@pytest.mark.parametrize("keep", [0, 3, 0.5, 0.99])
def test_a_truncated_part_is_named(tmp_path: Path, events: pl.DataFrame, keep: float):
    """Wherever a part is cut, it is refused by name."""
    directory = toy.write_run(tmp_path / "run", events)
    part = directory / "events" / "block=00000032.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])
    refused(directory, part.name, "not a whole Parquet file")


def test_a_lost_part_is_noticed(tmp_path: Path, events: pl.DataFrame):
    """The parts must hold as many events as the summary says."""
    directory = toy.write_run(tmp_path / "run", events)
    (directory / "events" / "block=00000032.parquet").unlink()
    refused(directory, "events", "holds 150 events", "300")


def test_damaged_json_is_named(tmp_path: Path, events: pl.DataFrame):
    """Half a JSON file is refused by name."""
    directory = toy.write_run(tmp_path / "run", events)
    (directory / "summary.json").write_text(json.dumps({"state": "DONE"})[:-4])
    refused(directory, "summary.json", "not JSON")
