"""Files of particles: what is read is all that is there, and a damaged file is refused wherever the damage is."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from daq.errors import InputError
from daq.source.formats import level_of, read_particles, read_sample, write_particles
from daq.source.particles import Particles
from tests.conftest import ROOT

SAMPLES = sorted((ROOT / "configs" / "samples").glob("*.parquet"))
ENDINGS = (".hepmc", ".hepmc.gz", ".parquet")


def random_particles(seed: int, n_events: int = 5) -> Particles:
    """Return events of 0 to 6 particles, some from common displaced vertices, in numbers that 32 bits hold."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 7, n_events)
    n = int(counts.sum())
    place = rng.normal(size=(3, 3)).astype("f4")[rng.integers(0, 3, n)] * rng.integers(0, 2, (n, 1))
    momentum = rng.normal(size=(n, 3)).astype("f4")
    energy = np.sqrt(0.02 + (momentum**2).sum(axis=1)).astype("f4")
    arrays = dict(zip(("px", "py", "pz", "energy", "x", "y", "z"), (*momentum.T, energy, *place.T), strict=True))
    arrays["pdg"] = rng.choice([11, -13, 22, 211, -211, 130], n)
    return Particles.build(np.append(0, np.cumsum(counts)), weight=rng.uniform(0.5, 2, n_events), **arrays)


def assert_same(one: Particles, other: Particles) -> None:
    assert_array_equal(one.offsets, other.offsets)
    for name in Particles.PARTICLE_FIELDS + Particles.EVENT_FIELDS:
        assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def events_of(particles: Particles) -> list[list[tuple[float, ...]]]:
    """Return the particles of each event, sorted, rounded to what HEPEVT writes."""
    table = np.stack([getattr(particles, name) for name in Particles.PARTICLE_FIELDS], axis=1)
    slices = zip(particles.offsets[:-1], particles.offsets[1:], strict=True)
    return [sorted(tuple(float(f"{value:.5e}") for value in row) for row in table[a:b]) for a, b in slices]


# --- whole files


@given(st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_written_is_read_back(ending: str, tmp_path_factory: pytest.TempPathFactory, seed: int):
    """Particles, their order, vertices and weights survive every format that we write."""
    path = tmp_path_factory.mktemp("written") / f"events{ending}"
    particles = random_particles(seed)
    write_particles(path, particles)
    assert_same(read_sample(path), particles)


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_are_reproducible(ending: str, tmp_path: Path):
    """The same events give the same bytes, also compressed."""
    for name in ("one", "two"):
        write_particles(tmp_path / f"{name}{ending}", random_particles(1))
    assert (tmp_path / f"one{ending}").read_bytes() == (tmp_path / f"two{ending}").read_bytes()


@pytest.mark.parametrize("ending", ENDINGS)
@given(chunk=st.integers(1, 8))
def test_chunks_make_no_difference(ending: str, tmp_path_factory: pytest.TempPathFactory, chunk: int):
    """Whatever the chunk, the same events come, never more than a chunk at a time."""
    path = tmp_path_factory.mktemp("chunks") / f"events{ending}"
    write_particles(path, random_particles(3))
    parts = list(read_particles(path, chunk))
    assert max(map(len, parts)) <= chunk
    assert_same(Particles.concatenate(parts), random_particles(3))


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_committed_samples_conserve_four_momentum(path: Path):
    """Every event of the generator sample sums to the beams: 7.007 on 4.000 GeV, 83 mrad apart, to 32 bits."""
    particles = read_sample(path)
    event = np.repeat(np.arange(len(particles)), np.diff(particles.offsets))
    for name, expected in (("px", 0.456659), ("py", 0.0), ("pz", 3.004411), ("energy", 11.007)):
        assert_allclose(np.bincount(event, getattr(particles, name), len(particles)), expected, atol=5e-6)


def test_the_sample_is_complete():
    """All five processes are there, about 2000 events in all."""
    assert [path.stem for path in SAMPLES] == ["gamma_gamma", "mu_pair", "qqbar", "tau_pair", "y4s_bbbar"]
    assert sum(len(read_sample(path)) for path in SAMPLES) == 2000


# --- the other implementation


@st.composite
def decay_chains(draw: st.DrawFn) -> list[tuple[int, tuple[float, float, float] | None, int]]:
    """Strategy: vertices (index of the mother's vertex, own position or none, number of final-state particles)."""
    places = st.none() | st.tuples(*[st.integers(-50, 50).map(lambda i: i / 8)] * 3)
    size = draw(st.integers(1, 5))
    return [(draw(st.integers(0, max(i - 1, 0))), draw(places), draw(st.integers(0, 3))) for i in range(size)]


def hepmc_event(pyhepmc, chain, units, rng: np.random.Generator, number: int):
    """Return a GenEvent of the chain: one particle leads from each vertex to the next."""
    event = pyhepmc.GenEvent(*units)
    event.event_number = number
    event.weights = [1.0 + number, 7.0]

    def particle(pdg: int, status: int):
        return pyhepmc.GenParticle((*rng.normal(size=3).round(3), 5.0), pdg, status)

    vertices = []
    for mother, place, n_final in chain:
        vertex = pyhepmc.GenVertex((*place, 0.0) if place else (0.0, 0.0, 0.0, 0.0))
        if vertices:
            link = particle(310, 2)
            vertices[mother].add_particle_out(link)
            vertex.add_particle_in(link)
        else:
            for beam in (particle(11, 4), particle(-11, 4)):
                vertex.add_particle_in(beam)
        for _ in range(n_final):
            vertex.add_particle_out(particle(211, 1))
        vertices.append(vertex)
    for vertex in vertices:  # HepMC drops vertices that nothing leaves
        if not vertex.particles_out:
            vertex.add_particle_out(particle(12, 1))
        event.add_vertex(vertex)
    return event


@given(
    chains=st.lists(decay_chains(), min_size=1, max_size=3),
    momentum=st.sampled_from(["GEV", "MEV"]),
    length=st.sampled_from(["CM", "MM"]),
    seed=st.integers(0, 1000),
)
@pytest.mark.parametrize("ending", ["hepmc3", "hepmc2", "hepevt"])
def test_agrees_with_the_hepmc_library(
    ending: str, chains, momentum: str, length: str, seed: int, tmp_path_factory: pytest.TempPathFactory
):
    """The library and we find the same particles, vertices and weights in a file that the library wrote."""
    pyhepmc = pytest.importorskip("pyhepmc", reason="PYHEPMC ABSENT: our reader was NOT compared with the library")
    if ending == "hepevt":  # has no units of its own
        momentum, length = "GEV", "MM"
    units = (getattr(pyhepmc.Units, momentum), getattr(pyhepmc.Units, length))
    rng = np.random.default_rng(seed)
    path = tmp_path_factory.mktemp("library") / f"events.{ending}"
    with pyhepmc.open(path, "w", format=ending) as file:
        for number, chain in enumerate(chains):
            file.write(hepmc_event(pyhepmc, chain, units, rng, number))
    gev, cm = {"GEV": 1.0, "MEV": 1e-3}[momentum], {"CM": 1.0, "MM": 0.1}[length]
    expected, weights = [], []
    with pyhepmc.open(path) as file:
        for event in file:
            final = [p for p in event.particles if p.status == 1]
            rows = []
            for p in final:
                where = p.production_vertex.position
                values = (p.pid, *(gev * v for v in p.momentum), *(cm * v for v in (where.x, where.y, where.z)))
                rows.append(tuple(float(f"{value:.5e}") for value in values))
            expected.append(sorted(rows))
            weights.append(event.weights[0])
    found = read_sample(path)
    assert events_of(found) == expected
    assert_array_equal(found.weight, weights)


def test_the_hepmc_library_reads_what_we_write(tmp_path: Path):
    """Other programs see the same final state, weights and vertices."""
    pyhepmc = pytest.importorskip("pyhepmc", reason="PYHEPMC ABSENT: what we write was NOT read with the library")
    path, particles = tmp_path / "events.hepmc", random_particles(11, 40)
    write_particles(path, particles)
    found, weights = [], []
    with pyhepmc.open(path) as file:
        for event in file:
            assert (event.momentum_unit, event.length_unit) == (pyhepmc.Units.GEV, pyhepmc.Units.CM)
            rows = []
            for p in (p for p in event.particles if p.status == 1):
                where = p.production_vertex.position
                row = (p.pid, *p.momentum, where.x, where.y, where.z)
                rows.append(tuple(float(f"{value:.5e}") for value in row))
            found.append(sorted(rows))
            weights.append(event.weights[0])
    assert found == events_of(particles)
    assert_array_equal(np.array(weights, dtype="f4"), particles.weight)


# --- damaged files


HEPMC2 = """HepMC::Version 2.06.11
HepMC::IO_GenEvent-START_EVENT_LISTING
E 0 -1 1.0e+01 1.2e-01 7.8e-03 0 -1 2 10001 0 0 1 2.5e+00
N 1 "0"
U GEV MM
V -1 0 0 0 0 0 1 2 0
P 10001 300553 0 0 3 11 10.5 4 0 0 -1 0
P 10002 310 0 0 1 2 0.5 2 0 0 -2 0
P 10003 22 1 0 1 2 0 1 0 0 0 0
V -2 0 10 20 30 0 0 2 0
P 10004 211 0.5 0 1 2 0.14 1 0 0 0 0
P 10005 -211 0.5 0.25 1 2 0.14 1 0 0 0 0
HepMC::IO_GenEvent-END_EVENT_LISTING
"""
HEPEVT = """E 7 2
 1 211 0 0 0 0 0.1 0.2 0.3 0.5 0.14
 10 20 30 0
 2 310 0 0 0 0 0.1 0.2 0.3 0.5 0.5
 0 0 0 0
E 8 1
 1 -13 0 0 0 0 1.5 2.5 3.5 4.5 0.106
 0 0 0 0
"""


@pytest.fixture(params=["hepmc", "hepmc.gz", "hepmc2", "hepevt.gz", "parquet"])
def whole_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return a good file of each format."""
    path = tmp_path / f"whole.{request.param}"
    if request.param == "hepmc2":
        path.write_text(HEPMC2)
    elif request.param == "hepevt.gz":
        path.write_bytes(gzip.compress(HEPEVT.encode()))
    else:
        write_particles(path, random_particles(5, 3))
    return path


def test_a_file_cut_anywhere_is_whole_or_refused(whole_file: Path):
    """Wherever the cut falls, all events come or an InputError that names the file: never a part of them."""
    expected, data = read_sample(whole_file), whole_file.read_bytes()
    cut_file = whole_file.with_name(f"cut.{whole_file.name}")
    refused = 0
    for cut in range(0, len(data), max(1, len(data) // 1500)):
        cut_file.write_bytes(data[:cut])
        try:
            found = read_sample(cut_file)
        except InputError as error:
            refused += 1
            assert str(error).startswith(str(cut_file))
            assert "\n" not in str(error)
        else:
            assert_same(found, expected)
            assert not data[cut:].strip(), "only line ends may be missing"
    assert refused


def test_hepevt_cut_anywhere_but_between_events_is_refused(tmp_path: Path):
    """HEPEVT has no mark at its end: only a cut just between two events goes unseen, and whole events come."""
    path, boundary = tmp_path / "cut.hepevt", HEPEVT.index("E 8")
    for cut in range(len(HEPEVT)):
        path.write_text(HEPEVT[:cut])
        if cut == boundary:
            assert len(read_sample(path)) == 1
        else:
            with pytest.raises(InputError, match="cut"):
                read_sample(path)


@pytest.mark.parametrize("name", ["whole.hepmc", "whole.hepmc2"])
def test_a_line_lost_is_refused_with_its_line(name: str, tmp_path: Path):
    """Without any one of the lines of events, vertices, particles or marks, the file does not add up."""
    path = tmp_path / name
    if name.endswith("2"):
        path.write_text(HEPMC2)
    else:  # each event needs a particle from the origin, or nobody misses the first vertex
        write_particles(path, Particles.build(np.array([0, 2, 3]), pdg=[22, 22, 11], x=[0, 1, 0], energy=[1, 1, 1]))
    lines = path.read_text().splitlines(keepends=True)
    essential = [i for i, line in enumerate(lines) if line[:2] in ("E ", "P ", "V ") or "LISTING" in line]
    assert len(essential) > 6
    for lost in essential:
        path.write_text("".join(lines[:lost] + lines[lost + 1 :]))
        with pytest.raises(InputError, match=r"line \d+"):
            read_sample(path)


@pytest.mark.parametrize("text", [HEPMC2, HEPEVT], ids=["hepmc2", "hepevt"])
@pytest.mark.parametrize("word", ["x", "1.2.3", "1e", "0x10", "--1"])
def test_a_garbled_number_is_refused_with_its_line(text: str, word: str, tmp_path: Path):
    """A word that is no number is no zero either, in any place of a particle's lines."""
    path = tmp_path / ("bad.hepevt" if text is HEPEVT else "bad.hepmc")
    lines = text.splitlines()
    row = next(i for i, line in enumerate(lines) if "211" in line)
    words = lines[row].split()
    for column in range(1, 8):
        garbled = [*words[:column], word, *words[column + 1 :]]
        path.write_text("\n".join([*lines[:row], " ".join(garbled), *lines[row + 1 :], ""]))
        with pytest.raises(InputError, match=f"line {row + 1}"):
            read_sample(path)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_numbers_must_be_finite(value: str, tmp_path: Path):
    """The error names the event, counted from 0 in the file."""
    path = tmp_path / "bad.hepevt"
    path.write_text(HEPEVT.replace("2.5", value))
    with pytest.raises(InputError, match="event 1, py"):
        read_sample(path)


def test_hepmc2_is_read(tmp_path: Path):
    """Final-state particles, units, vertices and weight of a file written out by hand."""
    path = tmp_path / "events.hepmc"
    path.write_text(HEPMC2)
    found = read_sample(path)
    assert_array_equal(found.pdg, [22, 211, -211])
    assert_allclose(found.z, [0, 3, 3])
    assert_allclose(found.py, [0, 0, 0.25])
    assert_array_equal(found.weight, [2.5])


def test_joined_files_are_read_to_the_end(tmp_path: Path):
    """`cat one.hepmc two.hepmc` is how people join files."""
    one, two, both = (tmp_path / f"{name}.hepmc" for name in ("one", "two", "both"))
    write_particles(one, random_particles(1))
    write_particles(two, random_particles(2))
    both.write_bytes(one.read_bytes() + two.read_bytes())
    assert_same(read_sample(both), Particles.concatenate([random_particles(1), random_particles(2)]))


@pytest.mark.parametrize("ending", ["hepmc", "hepmc.gz", "hepevt", "parquet", "root"])
@pytest.mark.parametrize("content", [b"", b"\n", b"not what you think\n", bytes(range(256)) * 8])
def test_other_content_is_refused(ending: str, content: bytes, tmp_path: Path):
    """A file that is not what its name says gives one line."""
    path = tmp_path / f"bad.{ending}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad") as caught:
        read_sample(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["absent.hepmc", "absent.parquet", "folder.hepmc", "events.lhe", "events"])
def test_files_that_cannot_be_are_refused(name: str, tmp_path: Path):
    """Missing files, folders, and formats that nobody announced."""
    (tmp_path / "folder.hepmc").mkdir()
    (tmp_path / "events.lhe").touch()
    (tmp_path / "events").touch()
    for read in (read_sample, level_of):
        with pytest.raises(InputError, match=name):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"px": None}, "no column px"),
        ({"px": [[1.0], [2.0]]}, "as many entries"),
        ({"px": [1.0, 2.0]}, "list column"),
        ({"px": [["a", "b"], ["c"]]}, "must hold numbers"),
        ({"px": [[1.0, None], [2.0]]}, "nulls"),
        ({"px": [[1.0, 2.0], [float("nan")]]}, "event 1, px = nan: must be finite"),
        ({"pdg": [[1.5, 2.0], [1.0]]}, "must hold integers"),
        ({"weight": [1.0, float("inf")]}, "event 1, weight = inf"),
        ({"x": [[1.0, 1.0], [1.0]]}, "all of x, y, z"),
    ],
)
def test_parquet_columns_that_do_not_fit(change: dict, rule: str, tmp_path: Path):
    """Each broken column is named with its rule."""
    good = {"pdg": [[22, 22], [211]]} | {name: [[1.0, 2.0], [3.0]] for name in ("px", "py", "pz", "energy")}
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table(good), path)
    assert len(read_sample(path)) == 2
    columns = {name: values for name, values in (good | change).items() if values is not None}
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=rule):
        read_sample(path)


def test_a_failed_write_leaves_nothing(tmp_path: Path):
    """A name that says no format, or a folder that is not there, leaves no file behind."""
    for path in (tmp_path / "events.txt", tmp_path / "absent" / "events.hepmc"):
        with pytest.raises(InputError, match=path.name):
            write_particles(path, random_particles(0))
    assert not list(tmp_path.iterdir())
