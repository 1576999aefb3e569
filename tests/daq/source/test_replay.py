"""Replay: every event of the files, once and in order, whatever the blocks; bad files leave nothing behind."""

from __future__ import annotations

import itertools
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daq.errors import InputError
from daq.event import EventBatch
from daq.settings import CONFIGS, BackgroundSettings, InjectionSettings, ProfileSettings, RunSettings, load
from daq.source.formats import read_sample, write_particles
from daq.source.replay import ReplaySource, StagedInfo, stage
from tests.batches import assert_same
from tests.daq.source.test_formats import HEPEVT, HEPMC2, random_particles

SAMPLES = CONFIGS / "samples"


def settings(**replay) -> RunSettings:
    """Return the committed settings of a replay, with changes."""
    committed = load(CONFIGS / "runs" / "replay.toml", RunSettings)
    return committed.model_copy(update={"replay": type(committed.replay)(**replay)})


def source_of(files: list[Path], directory: Path, **replay) -> ReplaySource:
    stage(files, settings(**replay), directory)
    return ReplaySource(settings(**replay), directory)


@pytest.fixture(scope="module")
def taus(tmp_path_factory: pytest.TempPathFactory) -> ReplaySource:
    """Return a staged source of 500 tau pairs."""
    return source_of([SAMPLES / "tau_pair.parquet"], tmp_path_factory.mktemp("taus"))


@given(cuts=st.lists(st.integers(0, 500), max_size=6))
def test_blocks_make_no_difference(taus: ReplaySource, cuts: list[int]):
    """However the run is cut into blocks, the events are the same, bit for bit, and the intervals tile the run."""
    edges = sorted({0, 500, *cuts})
    ranges = [(a, b - a) for a, b in itertools.pairwise(edges)]
    assert_same(EventBatch.concatenate([taus.block(*one) for one in ranges]), taus.block(0, 500))
    intervals = [taus.interval_ns(*one) for one in ranges]
    assert intervals[0][0] == 0
    assert all(one[1] == two[0] for one, two in itertools.pairwise(intervals))


def test_files_follow_each_other(tmp_path: Path):
    """Formats may be mixed; events come in the order of the files, numbered from 0, each once."""
    pieces = [random_particles(seed, n) for seed, n in ((1, 700), (2, 3), (3, 1500))]
    files = [tmp_path / name for name in ("one.hepmc", "two.parquet", "three.hepmc.gz", "four.hepmc2", "five.hepevt")]
    for path, piece in zip(files, pieces, strict=False):
        write_particles(path, piece)
    files[3].write_text(HEPMC2)
    files[4].write_text(HEPEVT)
    directory = tmp_path / "staged"
    assert stage(files, settings(), directory) == StagedInfo(2206, "particles")
    source = ReplaySource(settings(), directory)
    assert source.n_events == 2206
    batch = source.block(0, 2206)
    assert_array_equal(batch["event"], np.arange(2206))
    expected = np.concatenate([*(piece.weight for piece in pieces), [2.5, 1.0, 1.0]])
    assert_array_equal(batch["weight"], expected.astype("f4"))
    assert_array_equal(batch["process"], 0)
    assert source.process_names == ("replay",)


def test_particles_meet_the_detector(taus: ReplaySource):
    """Most charged particles of tau pairs become tracks, and trigger primitives are made of them."""
    batch, particles = taus.block(0, 500), read_sample(SAMPLES / "tau_pair.parquet")
    charged = np.isin(np.abs(particles.pdg), [11, 13, 211, 321]).sum()
    assert 0.5 * charged < batch["tracks.charge"].size < charged
    assert batch["clusters.energy_gev"].size > 500
    assert batch["tc.id"].size > 500
    assert batch["trk2d.phi0"].size > 250


def test_the_beam_clock_runs_at_the_rate(tmp_path: Path):
    """Collision times rise, at the mean rate of the settings."""
    source = source_of([SAMPLES / "qqbar.parquet"], tmp_path, rate_hz=2000.0)
    times = source.block(0, 600)["time_ns"]
    assert np.all(np.diff(times) >= 0)
    assert_allclose(times[-1], 600 / 2000 * 1e9, rtol=0.2)  # 4 % is one standard deviation


def test_luminosity_is_spread_over_the_run(tmp_path: Path):
    """What the files stand for is delivered in proportion to time; without a number nothing is known."""
    files = [SAMPLES / "mu_pair.parquet"]
    source = source_of(files, tmp_path / "known", luminosity_fb=3.0)
    intervals = [source.interval_ns(0, 50), source.interval_ns(50, 150)]
    delivered = [source.delivered_fb(*interval) for interval in intervals]
    assert_allclose(sum(delivered), 3.0)
    assert_allclose(
        delivered[0] / delivered[1], (intervals[0][1] - intervals[0][0]) / (intervals[1][1] - intervals[1][0])
    )
    assert source_of(files, tmp_path / "unknown").delivered_fb(0, 1) is None


def test_reconstruction_through_a_map(tmp_path: Path):
    """Tracks and clusters come as the tree has them; primitives are made; every block size agrees."""
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 4, 1500)
    n = int(counts.sum())
    values = {"E": rng.uniform(0.2, 6, n), "theta": rng.uniform(0.4, 2.5, n), "phi": rng.uniform(-3, 3, n)}
    with uproot.recreate(tmp_path / "photons.root") as file:
        arrays = {name: ak.unflatten(array, counts) for name, array in values.items()}
        file.mktree("ntuple", dict.fromkeys(arrays, "var * float64")).extend(arrays)
    columns = {"clusters.energy_gev": "E", "clusters.theta": "theta", "clusters.phi": "phi"}
    source = source_of([tmp_path / "photons.root"], tmp_path / "staged", columns=columns)
    batch = source.block(0, 1500)
    assert_array_equal(np.diff(batch["clusters.offsets"]), counts)
    assert_array_equal(batch["clusters.energy_gev"], values["E"].astype("f4"))
    assert batch["tc.id"].size
    assert_same(EventBatch.concatenate([source.block(0, 1023), source.block(1023, 477)]), batch)


def test_spooled_events_come_back_as_they_were(taus: ReplaySource, tmp_path: Path):
    """A Parquet file of the event model needs no map; its primitives are kept, or made anew on request."""
    path, original = tmp_path / "part.parquet", taus.block(0, 300)
    table = original.to_arrow().append_column("l1_hie", pa.array(np.ones(300, dtype=bool)))
    pq.write_table(table, path)
    assert stage([path], settings(), tmp_path / "kept").level == "events"
    assert_same(ReplaySource(settings(), tmp_path / "kept").block(0, 300), original)
    again = settings(level="reconstruction")
    assert stage([path], again, tmp_path / "anew").level == "reconstruction"
    assert_same(ReplaySource(again, tmp_path / "anew").block(0, 300), original)
    pq.write_table(table.select(["tracks", "clusters"]), path)
    assert stage([path], settings(), tmp_path / "bare").level == "reconstruction"
    assert_same(ReplaySource(settings(), tmp_path / "bare").block(0, 300), original)


def test_recorded_injections_stay_with_their_events(taus: ReplaySource, tmp_path: Path):
    """The clock gives new times, but what the file says of the last injection is kept; a schedule overrules it."""
    arrays = taus.block(0, 300).arrays()
    ring = np.arange(300) % 3
    recorded = {
        "injection_ring": ring.astype("u1"),
        "t_injection_us": np.where(ring > 0, 7.0 * np.arange(300), np.inf).astype("f4"),
        "bunch": (np.arange(300) * 4).astype("u2"),
    }
    path = tmp_path / "part.parquet"
    pq.write_table(EventBatch(300, arrays | recorded).to_arrow(), path)
    batch = source_of([path], tmp_path / "kept").block(0, 300)
    assert_array_equal(batch["injection_ring"], recorded["injection_ring"])
    assert_array_equal(batch["t_injection_us"], recorded["t_injection_us"])
    assert_array_equal(batch["bunch"], np.where(ring > 0, recorded["bunch"], arrays["bunch"]))

    scheduled = settings()
    beam = scheduled.beam.model_copy(update={"injection": InjectionSettings(ler_hz=10.0)})
    source = ReplaySource(scheduled.model_copy(update={"beam": beam}), tmp_path / "kept")
    assert set(source.block(0, 300)["injection_ring"].tolist()) == {1}


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (
            ("tracks.omega_per_cm", 3, np.nan),
            r"event \d+, tracks\.omega_per_cm: must be finite",
        ),
        (("tracks.clusters", 0, 99), r"tracks\.clusters = 99: must be the index"),
    ],
)
def test_spooled_events_are_checked(taus: ReplaySource, spoil: tuple, rule: str, tmp_path: Path):
    """Numbers that no kernel could bear are refused, with the event."""
    arrays = {name: array.copy() for name, array in taus.block(0, 100).arrays().items()}
    name, place, value = spoil
    arrays[name][place] = value
    batch = EventBatch(100, arrays)
    pq.write_table(batch.to_arrow(), tmp_path / "part.parquet")
    with pytest.raises(InputError, match=rule):
        stage([tmp_path / "part.parquet"], settings(), tmp_path / "staged")


def test_fields_of_the_event_model_must_all_be_there(tmp_path: Path):
    """A struct that lacks fields would be zero in silence: it is refused, with their names."""
    objects = pa.array([[{"energy_gev": 1.0}]])
    pq.write_table(pa.table({"tracks": objects, "clusters": objects}), tmp_path / "part.parquet")
    with pytest.raises(InputError, match="tracks: lacks charge, d0_cm"):
        stage([tmp_path / "part.parquet"], settings(), tmp_path / "staged")


def test_levels_do_not_mix(taus: ReplaySource, tmp_path: Path):
    """Particles and reconstructed events in one run would make one efficiency of two."""
    pq.write_table(taus.block(0, 10).to_arrow(), tmp_path / "part.parquet")
    files = [SAMPLES / "tau_pair.parquet", tmp_path / "part.parquet"]
    with pytest.raises(InputError, match=r"part\.parquet: holds events, but .*tau_pair\.parquet holds particles"):
        stage(files, settings(), tmp_path / "staged")
    with pytest.raises(InputError, match="level = 'reconstruction': the files hold particles"):
        stage(files[:1], settings(level="reconstruction"), tmp_path / "staged")


@pytest.mark.parametrize("name", ["events.root", "other.parquet"])
def test_columns_without_a_map(name: str, tmp_path: Path):
    """Trees and tables of other names need a map."""
    if name.endswith("root"):
        with uproot.recreate(tmp_path / name) as file:
            file.mktree("t", {"x": "float64"}).extend({"x": np.ones(1)})
    else:
        pq.write_table(pa.table({"x": [1.0]}), tmp_path / name)
    with pytest.raises(InputError, match=r"\[replay\.columns\]: must say which columns"):
        stage([tmp_path / name], settings(), tmp_path / "staged")


def test_no_events_are_no_run(tmp_path: Path):
    """Good files without events are named as such; with other files they add nothing."""
    empty, full = tmp_path / "empty.hepmc", tmp_path / "full.parquet"
    write_particles(empty, random_particles(0, 0))
    write_particles(full, random_particles(0, 4))
    with pytest.raises(InputError, match="hold no events"):
        stage([empty], settings(), tmp_path / "staged")
    with pytest.raises(InputError, match="at least one file"):
        stage([], settings(), tmp_path / "staged")
    assert stage([empty, full, empty], settings(), tmp_path / "staged").n_events == 4


@pytest.mark.parametrize("existed", [False, True])
def test_a_bad_file_leaves_nothing(existed: bool, tmp_path: Path):
    """The last file is bad: what was read before is not left behind, and what was there before stays."""
    good, bad, directory = tmp_path / "good.hepmc", tmp_path / "bad.hepmc", tmp_path / "staged"
    write_particles(good, random_particles(1, 2000))
    bad.write_bytes(good.read_bytes()[:-100])
    if existed:
        directory.mkdir()
        (directory / "mine.txt").touch()
    with pytest.raises(InputError, match=r"bad\.hepmc: line \d+"):
        stage([good, bad], settings(), directory)
    assert directory.exists() == existed
    assert not existed or [path.name for path in directory.iterdir()] == ["mine.txt"]


def test_beyond_the_end(taus: ReplaySource):
    """There is no event after the last one."""
    with pytest.raises(IndexError, match="of 500"):
        taus.block(490, 11)
    assert len(taus.block(500, 0)) == 0


def with_background(change: RunSettings) -> RunSettings:
    """Return the settings with the standard beam background."""
    source = change.source.model_copy(update={"background": BackgroundSettings()})
    return change.model_copy(update={"source": source})


def test_background_is_laid_over_particles(taus: ReplaySource, tmp_path: Path):
    """Two more clusters an event, and some tracks; blocks make no difference to it."""
    wanted = with_background(settings())
    stage([SAMPLES / "tau_pair.parquet"], wanted, tmp_path / "staged")
    laid = ReplaySource(wanted, tmp_path / "staged")
    whole = laid.block(0, 500)
    assert_same(EventBatch.concatenate([laid.block(0, 123), laid.block(123, 377)]), whole)
    added = (whole["clusters.offsets"][-1] - taus.block(0, 500)["clusters.offsets"][-1]) / 500
    assert abs(added - 2.0) < 0.4


def test_background_cannot_be_laid_over_what_is_reconstructed(taus: ReplaySource, tmp_path: Path):
    """Whoever asks for it is told; nothing is left behind."""
    pq.write_table(taus.block(0, 20).to_arrow(), tmp_path / "events.parquet")
    with pytest.raises(InputError, match=r"\[source.background\]: is laid over particles"):
        stage([tmp_path / "events.parquet"], with_background(settings()), tmp_path / "staged")
    assert not (tmp_path / "staged").exists()


def test_delivered_luminosity_follows_the_profile(tmp_path: Path):
    """Of a luminosity that decays, the first half of the time has more than half; all of it is that of the files."""
    profile = ProfileSettings(kind="decaying", lifetime_s=0.03, fill_s=0.1)
    decaying = settings(luminosity_fb=2.0)
    decaying = decaying.model_copy(update={"beam": decaying.beam.model_copy(update={"profile": profile})})
    stage([SAMPLES / "tau_pair.parquet"], decaying, tmp_path / "staged")
    source = ReplaySource(decaying, tmp_path / "staged")
    _, end = source.interval_ns(0, source.n_events)
    begin_of_last = end - end % 100_000_000
    halves = [source.delivered_fb(*one) for one in ((0, 50_000_000), (50_000_000, 100_000_000))]
    assert begin_of_last >= 100_000_000
    assert halves[0] is not None and halves[1] is not None
    assert halves[0] / halves[1] == pytest.approx(np.exp(0.05 / 0.03))
    assert source.delivered_fb(0, end) == pytest.approx(2.0)
