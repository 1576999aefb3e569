"""Users' files through the whole chain, as users do it."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
import uproot

from daq.source import formats
from daq.source.particles import Particles
from tests.chain.commands import DEMO, ROOT, darkline, reconciles, spool, summary_of, words

CONFIG = ROOT / "configs" / "runs" / "replay.toml"
SAMPLES = ROOT / "configs" / "samples"
MAP = """
[replay.columns]
tracks.px = "trk_px"
tracks.py = "trk_py"
tracks.pz = "trk_pz"
tracks.charge = "trk_q"
clusters.energy_gev = ["g1_E", "g2_E"]
clusters.theta = ["g1_theta", "g2_theta"]
clusters.phi = ["g1_phi", "g2_phi"]
"""


def with_map(tmp_path: Path, columns: str) -> Path:
    """Return the replay configuration with a column map."""
    path = tmp_path / "replay.toml"
    text = CONFIG.read_text(encoding="utf-8")
    path.write_text(text.replace("[l1]", f"{columns}\n[l1]"), encoding="utf-8")
    return path


def write_tree(path: Path, n_events: int = 700) -> None:
    """Write a ROOT tree with jagged muons and two flat photons, the second one often absent."""
    rng = np.random.default_rng(4)
    counts = rng.integers(0, 4, n_events)
    tree: dict[str, ak.Array] = {}
    for name in ("trk_px", "trk_py", "trk_pz", "trk_q"):
        flat = rng.choice([-1, 1], counts.sum()) if name == "trk_q" else rng.normal(0, 2, counts.sum())
        tree[name] = ak.unflatten(flat, counts)
    for photon, share in (("g1", 0.0), ("g2", 0.5)):
        there = np.where(rng.random(n_events) < share, np.nan, 1.0)
        for name, low, high in (("E", 0.2, 5.0), ("theta", 0.4, 2.4), ("phi", -3.1, 3.1)):
            tree[f"{photon}_{name}"] = ak.Array(rng.uniform(low, high, n_events) * there)
    with uproot.recreate(path) as file:
        file["events"] = tree


def test_generator_files_pass_once(tmp_path: Path):
    """Events of HepMC and Parquet files, mixed, go through once each, and the books balance."""
    taus, quarks = (formats.read_sample(SAMPLES / f"{name}.parquet") for name in ("tau_pair", "qqbar"))
    formats.write_particles(tmp_path / "tau.hepmc.gz", taus.take(np.arange(120)))
    formats.write_particles(tmp_path / "qq.parquet", quarks.take(np.arange(80)))
    files = tmp_path / "tau.hepmc.gz", tmp_path / "qq.parquet"
    out = tmp_path / "run"
    summary = summary_of(darkline("replay", *files, "--config", CONFIG, "--out", out, "--json"))
    assert summary["generated"] == 200
    assert reconciles(summary)
    assert words(out)["event"].to_list() == list(range(200))
    assert spool(out).height == summary["spooled"] > 100  # hadrons and taus are what the menus are for


def test_the_same_particles_in_any_format_are_the_same_run(tmp_path: Path):
    """HepMC text and Parquet of the same events are decided alike."""
    taus: Particles = formats.read_sample(SAMPLES / "tau_pair.parquet").take(np.arange(150))
    outs = []
    for name in ("a.hepmc", "b.parquet"):
        formats.write_particles(tmp_path / name, taus)
        outs.append(tmp_path / f"{name}.run")
        summary_of(darkline("replay", tmp_path / name, "--config", CONFIG, "--out", outs[-1], "--json"))
    assert words(outs[0]).equals(words(outs[1]))


def test_a_root_tree_by_column_map(tmp_path: Path):
    """Jagged and flat branches of one tree become tracks and clusters of one event each."""
    write_tree(tmp_path / "mine.root")
    config, out = with_map(tmp_path, MAP), tmp_path / "run"
    done = darkline("replay", tmp_path / "mine.root", "--config", config, "--out", out, "--workers", 2, "--json")
    summary = summary_of(done)
    assert summary["generated"] == 700
    assert reconciles(summary)
    assert json.loads((out / "run.json").read_text())["settings"]["workers"] == 2


def test_a_spool_replayed_is_decided_alike(tmp_path: Path):
    """Kept events sent through again fire the same lines before prescale."""
    demo = ROOT / "configs" / "runs" / "demo.toml"
    summary_of(darkline("run", demo, "--events", 5000, "--seed", 3, "--out", tmp_path / "first", "--json"))
    first = spool(tmp_path / "first")
    parts = sorted((tmp_path / "first" / "events").glob("*.parquet"))
    summary_of(darkline("replay", *parts, "--config", CONFIG, "--out", tmp_path / "again", "--json"))
    again = spool(tmp_path / "again")
    # Replayed events have new numbers, so prescales fall otherwise: compare those that were kept again, in order, and
    # no line of the HLT that asks for a prescaled bit of the L1.
    lines = [name for name in first.columns if name.startswith(("l1_raw_", "hlt_raw_"))]
    lines = [name for name in lines if not name.startswith("hlt_raw_l1_")]
    outcome = words(tmp_path / "again")["outcome"].to_numpy()
    assert first.select(lines).filter(outcome == 5).equals(again.select(lines))
    assert again.height > 0.5 * first.height


def test_a_run_replayed_through_the_stream(tmp_path: Path):
    """A run directory, some of its events at a pace, and a file cut out of it: as they were, by real processes."""
    run, again, some, file = (tmp_path / name for name in ("run", "again", "some", "cut.parquet"))
    summary_of(darkline("run", DEMO, "--events", 5000, "--out", run, "--json"))
    whole = summary_of(darkline("replay", run, "--workers", 2, "--out", again, "--json"))
    assert whole["differences"]["no_difference"]
    assert spool(again).equals(spool(run), null_equal=True)
    assert words(again).equals(words(run))
    events = "7,1000:1100,3000:3010"
    assert darkline("cut", run, "--events", events, "-o", file).returncode == 0
    for number, arguments in enumerate([(run, "--events", events, "--speed", "10"), (file,)]):
        out = some.with_name(f"some{number}")
        assert summary_of(darkline("replay", *arguments, "--out", out, "--json"))["differences"]["no_difference"]
        chosen = words(run).filter(pl.col("event").is_in([7, *range(1000, 1100), *range(3000, 3010)]))
        assert words(out).equals(chosen)


@pytest.mark.parametrize(
    ("columns", "naming"),
    [
        (MAP.replace('"trk_px"', '"trk_pX"'), ["mine.root", "trk_pX", "trk_px"]),
        (MAP.replace("tracks.px", "tracks.pq"), ["tracks.pq"]),
        ("", ["mine.root"]),
    ],
)
def test_a_wrong_column_map(columns: str, naming: list[str], tmp_path: Path):
    """A branch that is not there is answered with the nearest name, an unknown field with its name."""
    write_tree(tmp_path / "mine.root", 50)
    out = tmp_path / "run"
    done = darkline("replay", tmp_path / "mine.root", "--config", with_map(tmp_path, columns), "--out", out)
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert all(word in done.stderr for word in naming), done.stderr
    assert not out.exists()
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("name", ["mine.root", "mine.parquet", "mine.hepmc", "mine.hepmc.gz"])
def test_a_truncated_file(name: str, tmp_path: Path):
    """Whatever the format: half a file is no file, and nothing is left behind."""
    path, out = tmp_path / name, tmp_path / "run"
    if path.suffix == ".root":
        write_tree(path)
    else:
        formats.write_particles(path, formats.read_sample(SAMPLES / "tau_pair.parquet").take(np.arange(50)))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    done = darkline("replay", path, "--config", with_map(tmp_path, MAP if path.suffix == ".root" else ""), "--out", out)
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert name in done.stderr
    assert not out.exists()


def test_staged_events_can_be_read_back(tmp_path: Path):
    """The run directory of a replay holds what was read, so that it can be resumed without the files."""
    formats.write_particles(
        tmp_path / "t.parquet", formats.read_sample(SAMPLES / "tau_pair.parquet").take(np.arange(9))
    )
    summary_of(darkline("replay", tmp_path / "t.parquet", "--config", CONFIG, "--out", tmp_path / "run", "--json"))
    (tmp_path / "t.parquet").unlink()
    assert sum(pq.ParquetFile(path).metadata.num_rows for path in (tmp_path / "run" / "input").iterdir()) == 9
    assert summary_of(darkline("run", "--resume", tmp_path / "run", "--json"))["generated"] == 9
