"""Column maps: the same events from flat trees, jagged trees and Parquet; what does not fit is named."""

from __future__ import annotations

import math
import tempfile
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
from daq.settings import ReplaySettings
from daq.source.formats.columns import check_map, read_mapped
from daq.source.formats.defaults import complete_clusters, complete_tracks
from daq.source.formats.tables import open_table
from tests.batches import assert_same

NAN = math.nan
HELIX = {"tracks.omega_per_cm": "om", "tracks.phi0": "phi", "tracks.tan_lambda": "tl"}
CLUSTERS = {"clusters.energy_gev": "E", "clusters.theta": "th", "clusters.phi": "ph"}


def write_tree(path: Path, columns: dict, tree: str = "ntuple") -> Path:
    """Write a TTree; lists of lists become jagged branches."""
    arrays = {name: ak.Array(values) if isinstance(values, list) else values for name, values in columns.items()}
    with uproot.recreate(path) as file:
        kinds = {n: "var * float64" if a.ndim == 2 else "float64" for n, a in arrays.items()}
        file.mktree(tree, kinds).extend(arrays)
    return path


def write_parquet(path: Path, columns: dict) -> Path:
    pq.write_table(pa.table({n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in columns.items()}), path)
    return path


def read(path: Path, columns: dict, *, tree: str | None = None, chunk: int = 1024, group_by: tuple = ()) -> EventBatch:
    named = ReplaySettings(columns=columns).columns
    return EventBatch.concatenate(read_mapped(open_table(path, tree), named, group_by, chunk))


JAGGED = {
    "om": [[0.001, -0.002], [], [0.003]],
    "phi": [[0.1, -3.0], [], [3.0]],
    "tl": [[1.0, 0.0], [], [-1.0]],
    "nhits": [[40.0, NAN], [], [7.0]],
    "E": [[2.0], [0.5, 0.6, 0.7], []],
    "th": [[1.0], [1.1, 1.2, 1.3], []],
    "ph": [[0.0], [0.1, 0.2, 6.0], []],
    "w": np.array([1.0, 2.0, 0.5]),
}
FLAT = {
    **{f"om{i}": np.array(v) for i, v in ((1, [0.001, NAN, 0.003]), (2, [-0.002, NAN, NAN]))},
    **{f"phi{i}": np.array(v) for i, v in ((1, [0.1, NAN, 3.0]), (2, [-3.0, NAN, NAN]))},
    **{f"tl{i}": np.array(v) for i, v in ((1, [1.0, NAN, -1.0]), (2, [0.0, NAN, NAN]))},
    **{f"nhits{i}": np.array(v) for i, v in ((1, [40.0, NAN, 7.0]), (2, [NAN, NAN, NAN]))},
    **{f"E{i}": np.array(v) for i, v in ((1, [NAN, 0.5, NAN]), (2, [2.0, 0.6, NAN]), (3, [NAN, 0.7, NAN]))},
    **{f"th{i}": np.array(v) for i, v in ((1, [NAN, 1.1, NAN]), (2, [1.0, 1.2, NAN]), (3, [NAN, 1.3, NAN]))},
    **{f"ph{i}": np.array(v) for i, v in ((1, [NAN, 0.1, NAN]), (2, [0.0, 0.2, NAN]), (3, [NAN, 6.0, NAN]))},
    "w": np.array([1.0, 2.0, 0.5]),
}
MAP = HELIX | CLUSTERS | {"tracks.n_cdc_hits": "nhits", "weight": "w"}
FLAT_MAP = {
    field: name if field == "weight" else tuple(f"{name}{i}" for i in ((1, 2) if "tracks" in field else (1, 2, 3)))
    for field, name in MAP.items()
}


@pytest.mark.parametrize("chunk", [1, 2, 1024])
@pytest.mark.parametrize(
    ("write", "name", "columns", "mapping"),
    [
        (write_tree, "jagged.root", JAGGED, MAP),
        (write_tree, "flat.root", FLAT, FLAT_MAP),
        (write_parquet, "jagged.parquet", JAGGED, MAP),
        (write_parquet, "flat.parquet", FLAT, FLAT_MAP),
    ],
)
def test_flat_and_jagged_files_give_the_same_events(write, name, columns, mapping, chunk, tmp_path: Path):
    """Three events: two tracks and a cluster; three clusters; one track. Absent flat objects leave no trace."""
    batch = read(write(tmp_path / name, columns), mapping, chunk=chunk)
    assert_array_equal(batch["tracks.offsets"], [0, 2, 2, 3])
    assert_array_equal(batch["clusters.offsets"], [0, 1, 4, 4])
    assert_allclose(batch["tracks.omega_per_cm"], [0.001, -0.002, 0.003])
    assert_array_equal(batch["tracks.charge"], [1, -1, 1])
    assert_array_equal(batch["tracks.n_cdc_hits"], [40, 56, 7])  # unknown: a hit in all 56 layers
    assert_allclose(batch["clusters.energy_gev"], [2.0, 0.5, 0.6, 0.7])
    assert_allclose(batch["clusters.phi"], [0.0, 0.1, 0.2, 6.0 - 2 * math.pi], atol=1e-6)
    assert_array_equal(batch["weight"], np.array([1.0, 2.0, 0.5], dtype="f4"))


def test_defaults(tmp_path: Path):
    """What a file lacks passes the quality cuts of the trigger, and the likelihoods sum to 1."""
    jagged = {**JAGGED, "mu": [[0.6, NAN], [], [1.0]]}
    path = write_tree(tmp_path / "events.root", jagged)
    batch = read(path, HELIX | CLUSTERS | {"tracks.pid_mu": "mu"})
    assert_array_equal(batch["weight"], 1)
    assert np.all(batch["clusters.has_photon_hypothesis"])
    assert_array_equal(batch["clusters.zernike_mva"], 1)
    assert np.all(batch["clusters.dt99_ns"] > 0)
    assert not batch["clusters.is_track"].any()
    assert_allclose(batch["tracks.pid_mu"], [0.6, 0.2, 1.0])
    assert_allclose(sum(batch[f"tracks.pid_{name}"] for name in ("e", "mu", "pi", "k", "p")), 1, atol=1e-6)
    covariance = batch["tracks.cov"]
    assert np.all(covariance[:, [0, 5, 9, 12, 14]] > 0)
    assert 0.001 < math.sqrt(covariance[0, 0]) < 0.01  # cm


def test_clusters_lie_on_the_calorimeter():
    """The default distance is that of the barrel (125 cm) or of the end planes (196 and -102 cm)."""
    theta = np.array([math.pi / 2, 0.3, math.pi - 0.3, math.atan2(125, 196)])
    values = {"energy_gev": np.ones(4), "theta": theta, "phi": np.zeros(4)}
    batch = complete_clusters(np.array([0, 4]), values)
    expected = [125, 196 / math.cos(0.3), 102 / math.cos(0.3), math.hypot(125, 196)]
    assert_allclose(batch["clusters.r_cm"], expected, rtol=1e-5)


@given(
    d0=st.floats(-5, 5),
    phi0=st.floats(-3.1, 3.1),
    pt=st.floats(0.2, 5),
    charge=st.sampled_from([-1, 1]),
    z0=st.floats(-10, 10),
    tan_lambda=st.floats(-2, 2),
    arc=st.floats(-30, 30),
)
def test_momentum_and_point_become_the_helix(d0, phi0, pt, charge, z0, tan_lambda, arc):
    """Wherever on the track the momentum is given, the perigee helix comes out (alpha = 222.376063 /GeV/cm)."""
    omega = charge / (222.376063 * pt)
    phi = phi0 - omega * arc
    # Circle with centre (d0 + 1/omega) (sin phi0, -cos phi0).
    x = (d0 + 1 / omega) * math.sin(phi0) - math.sin(phi) / omega
    y = -(d0 + 1 / omega) * math.cos(phi0) + math.cos(phi) / omega
    momentum = (pt * math.cos(phi), pt * math.sin(phi), pt * tan_lambda)
    numbers = (*momentum, charge, x, y, z0 + arc * tan_lambda)
    values = dict(zip(("px", "py", "pz", "charge", "x", "y", "z"), numbers, strict=True))
    out = complete_tracks(np.array([0, 1]), {name: np.array([float(value)]) for name, value in values.items()})
    assert_allclose(out["tracks.omega_per_cm"], omega, rtol=1e-5)
    assert_allclose(out["tracks.d0_cm"], d0, atol=1e-4)
    assert_allclose(out["tracks.z0_cm"], z0, atol=1e-4)
    assert_allclose(out["tracks.tan_lambda"], tan_lambda, atol=1e-5)
    assert abs(math.remainder(float(out["tracks.phi0"][0]) - phi0, 2 * math.pi)) < 1e-4
    assert out["tracks.charge"][0] == charge


def test_momentum_with_d0_and_z0(tmp_path: Path):
    """Without a point, the momentum is that at the perigee."""
    columns = {n: np.array([v]) for n, v in {"px": 0.0, "py": 1.0, "pz": 0.5, "q": -1.0, "d0": 0.2, "z0": 3.0}.items()}
    mapping = {f"tracks.{n}": n for n in ("px", "py", "pz")}
    mapping |= {"tracks.charge": "q", "tracks.d0_cm": "d0", "tracks.z0_cm": "z0"}
    batch = read(write_tree(tmp_path / "events.root", columns), mapping)
    found = [float(batch[f"tracks.{n}"][0]) for n in ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")]
    assert_allclose(found, [0.2, math.pi / 2, -1 / 222.376063, 3.0, 0.5], rtol=1e-5)


def test_cluster_momenta(tmp_path: Path):
    """Photons may be given by momentum; the energy follows."""
    columns = {"px": [[3.0], []], "py": [[0.0], []], "pz": [[4.0], []]}
    batch = read(write_tree(tmp_path / "events.root", columns), {f"clusters.{n}": n for n in ("px", "py", "pz")})
    assert_allclose(batch["clusters.energy_gev"], [5.0])
    assert_allclose(batch["clusters.theta"], [math.atan2(3, 4)])


def test_matched_clusters(tmp_path: Path):
    """A cluster that a track names is a track's cluster; one index a track or a list of them will do."""
    one = {**JAGGED, "match": [[0, -1], [], [NAN]]}
    many = {**JAGGED, "match": [[[0], []], [], [[]]]}
    for name, columns in (("one", one), ("many", many)):
        path = write_parquet(tmp_path / f"{name}.parquet", columns)
        batch = read(path, HELIX | CLUSTERS | {"tracks.clusters": "match"})
        assert_array_equal(batch["tracks.clusters"], [0])
        assert_array_equal(batch["tracks.clusters.offsets"], [0, 1, 1, 1])
        assert_array_equal(batch["clusters.is_track"], [True, False, False, False])
    wrong = write_parquet(tmp_path / "wrong.parquet", {**JAGGED, "match": [[0, 1], [], [NAN]]})
    with pytest.raises(InputError, match=r"event 0, tracks\.clusters = 1.*1 clusters"):
        read(wrong, HELIX | CLUSTERS | {"tracks.clusters": "match"})


def test_basf2_names(tmp_path: Path):
    """The name of the variable finds the branch that basf2 writes for it."""
    columns = {"daughter__bo0__cm__spE__bc": np.array([1.0]), "th": np.array([1.0]), "ph": np.array([1.0])}
    path = write_tree(tmp_path / "events.root", columns)
    for name in ("daughter(0, E)", "daughter__bo0__cm__spE__bc"):
        batch = read(path, {"clusters.energy_gev": name, "clusters.theta": "th", "clusters.phi": "ph"})
        assert_array_equal(batch["clusters.energy_gev"], [1.0])


def test_rntuple(tmp_path: Path):
    """ROOT's new format is read as well."""
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        arrays = {name: ak.Array(JAGGED[name]) for name in ("E", "th", "ph")}
        file.mkrntuple("nt", dict.fromkeys(arrays, "var * float64")).extend(arrays)
    assert_array_equal(read(path, CLUSTERS)["clusters.offsets"], [0, 1, 4, 4])


@pytest.mark.parametrize(
    ("mapping", "rule"),
    [
        ({"tracks.d0": "x"}, r"'tracks\.d0': not a field.*tracks\.d0_cm"),
        ({"tc.id": "x"}, r"'tc\.id': not a field"),
        ({"weight": "w"}, "must map tracks or clusters"),
        ({"tracks.phi0": "x"}, "must give either omega_per_cm, phi0, tan_lambda or px, py, pz, charge"),
        ({f"tracks.{n}": n for n in ("px", "py", "pz")}, "must give either"),
        ({"clusters.energy_gev": "x"}, "must give either energy_gev, theta, phi or px, py, pz"),
        (HELIX | {f"tracks.{n}": n for n in ("px", "py", "pz", "charge")}, "must give either"),
        (HELIX | {f"tracks.{n}": n for n in ("x", "y", "z")}, "x, y and z go together"),
        (HELIX | {"weight": ()}, "weight: must name at least one column"),
    ],
)
def test_maps_that_leave_it_open(mapping: dict, rule: str):
    """A map must say where the objects are, once."""
    with pytest.raises(InputError, match=rule):
        check_map(ReplaySettings(columns=mapping).columns)


@pytest.mark.parametrize(
    ("change", "mapping", "rule"),
    [
        ({}, {"clusters.phi": "phii"}, r"'phii': no such column; the nearest are phi"),
        ({}, {"clusters.phi": "Q"}, r"'Q': no such column; it has nom, om, nphi, phi"),
        ({}, {"clusters.theta": "om"}, r"event 0, clusters\.theta = 2: must have as many objects"),
        ({}, {"clusters.theta": "w"}, r"clusters\.theta.*must be flat or lists"),
        ({}, {"clusters.theta": ("th", "ph")}, r"clusters\.theta.*one list column"),
        ({}, {"weight": "E"}, "weight.*one flat column"),
        ({"th": [[1.0], [1.1, 91.0, 1.3], []]}, {}, r"event 1, clusters\.theta = 91\.0: must lie between 0 and 3\.142"),
        ({"E": [[2.0], [0.5, NAN, 0.7], []]}, {}, r"event 1, clusters\.energy_gev = nan"),
        ({"E": [[-2.0], [0.5, 0.6, 0.7], []]}, {}, r"event 0, clusters\.energy_gev = -2\.0"),
        ({"w": np.array([1.0, NAN, 1.0])}, {"weight": "w"}, "event 1, weight = nan"),
        (
            {"nhits": [[-1.0, 0.0], [], [7.0]]},
            HELIX | {"tracks.n_cdc_hits": "nhits"},
            r"event 0, tracks\.n_cdc_hits = -1",
        ),
        ({"om": [[0.0, 1.0], [], [7.0]]}, {f"tracks.{n}": "om" for n in ("px", "py", "pz", "charge")}, "tracks"),
    ],
)
def test_columns_that_do_not_fit(change: dict, mapping: dict, rule: str, tmp_path: Path):
    """The error names file, event, field, value and rule."""
    path = write_tree(tmp_path / "events.root", JAGGED | change)
    with pytest.raises(InputError, match=rule) as caught:
        read(path, CLUSTERS | mapping)
    assert str(path) in str(caught.value)


def test_text_is_no_number(tmp_path: Path):
    """A column of strings cannot be a field."""
    path = write_parquet(tmp_path / "events.parquet", {**FLAT, "E1": np.array(["a", "b", "c"])})
    with pytest.raises(InputError, match=r"E1 = .*must hold numbers"):
        read(path, FLAT_MAP)


def test_half_an_object(tmp_path: Path):
    """NaN in one number of a flat object, but not in the others, is no absence but a mistake."""
    path = write_tree(tmp_path / "events.root", {**FLAT, "th2": np.array([NAN, 1.2, NAN])})
    with pytest.raises(InputError, match=r"event 0, clusters\.theta = nan"):
        read(path, FLAT_MAP)


def test_the_choice_of_the_tree(tmp_path: Path):
    """One tree needs no name, several do, and a wrong name lists the right ones."""
    path = tmp_path / "events.root"
    with uproot.recreate(path) as file:
        for name in ("signal", "background"):
            file.mktree(name, {"E": "float64"}).extend({"E": np.ones(3)})
    with pytest.raises(InputError, match="choose one of the trees signal, background"):
        open_table(path, None)
    with pytest.raises(InputError, match="'data': no such tree; the file has signal, background"):
        open_table(path, "data")
    assert list(open_table(path, "signal").names) == ["E"]
    with uproot.recreate(path) as file:
        file["h"] = np.histogram([1.0])
    with pytest.raises(InputError, match="no tree"):
        open_table(path, None)


def test_a_root_file_cut_anywhere_is_refused(tmp_path: Path):
    """No cut of a ROOT file gives events."""
    whole = write_tree(tmp_path / "whole.root", JAGGED)
    data, cut_file = whole.read_bytes(), tmp_path / "cut.root"
    for cut in [*range(0, len(data), len(data) // 150), len(data) - 1]:
        cut_file.write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"cut\.root"):
            read(cut_file, MAP)


@given(st.lists(st.integers(1, 4), min_size=1, max_size=12), st.integers(1, 9))
def test_rows_of_candidates_become_events(rows_of_event: list[int], chunk: int):
    """A row a candidate, grouped by event number, gives the events of the jagged tree, wherever the chunks are cut."""
    rows = sum(rows_of_event)
    rng = np.random.default_rng(rows)
    flat = {
        "__run__": np.repeat(np.arange(len(rows_of_event)) // 2, rows_of_event).astype(float),
        "__event__": np.repeat(np.arange(len(rows_of_event)) % 2, rows_of_event).astype(float),
        "om": rng.choice([-0.002, 0.001], rows),
        "phi": rng.uniform(-3, 3, rows),
        "tl": rng.normal(size=rows),
        "E": rng.uniform(0.1, 5, rows),
        "th": rng.uniform(0.3, 2.6, rows),
        "ph": rng.uniform(-3, 3, rows),
        "match": np.zeros(rows),
    }
    jagged = {name: ak.unflatten(values, rows_of_event).to_list() for name, values in flat.items()}
    jagged["match"] = [list(range(count)) for count in rows_of_event]
    named = HELIX | CLUSTERS
    with tempfile.TemporaryDirectory() as folder:
        # Each row matches its track to its own cluster, which is number 0 of the row and number k of the event.
        lists = {name: [[value] for value in values] for name, values in flat.items() if not name.startswith("__")}
        index = {name: flat[name] for name in ("__run__", "__event__")}
        one = write_parquet(Path(folder) / "rows.parquet", lists | index)
        other = write_parquet(Path(folder) / "events.parquet", jagged)
        columns = named | {"tracks.clusters": "match"}
        grouped = read(one, columns, chunk=chunk, group_by=("__run__", "__event__"))
        assert_same(grouped, read(other, columns))


def test_candidates_without_grouping_are_refused(tmp_path: Path):
    """Rows that number candidates are not taken for events in silence; in one flat tree they can be grouped."""
    columns = {"E": np.array([1.0, 2.0, 3.0]), "th": np.ones(3), "ph": np.zeros(3)}
    index = {"__event__": np.array([7.0, 7.0, 8.0]), "__candidate__": np.array([0.0, 1.0, 0.0])}
    path = write_tree(tmp_path / "gamma.root", columns | index)
    with pytest.raises(InputError, match=r"gamma\.root: \[replay\] group_by: a row is a candidate, not an event"):
        read(path, CLUSTERS)
    batch = read(path, CLUSTERS, group_by=("__event__",))
    assert_array_equal(batch["clusters.offsets"], [0, 2, 3])
    with pytest.raises(InputError, match="no such column"):
        read(path, CLUSTERS, group_by=("__evnt__",))
