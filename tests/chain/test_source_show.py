"""`darkline source show`: any event of a configuration or a run, in words and drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import chain
from commands.event_display import characters, cluster_points, draw, track_points
from commands.source_show import find_event, record, text, write_figure
from daq.errors import InputError
from daq.event import GROUPS, SCALARS
from daq.source.helix import ECL_BACK_CM, ECL_FRONT_CM, ECL_RADIUS_CM
from daq.source.mix import MixSource
from tests.chain.commands import DEMO, ROOT, darkline_here

STANDARD = ROOT / "configs" / "runs" / "standard.toml"
EVENT = 17


def test_the_record_is_the_event():
    """Every number of the event model, as the source makes it; and it is JSON."""
    batch = MixSource(chain.load_run(STANDARD)).block(EVENT, 1)
    shown = json.loads(json.dumps(record(find_event(STANDARD, EVENT)), allow_nan=False))
    for column in SCALARS:
        assert shown[column.path] == batch[column.path][0]
    for group, fields in GROUPS.items():
        assert len(shown[group]) == batch[f"{group}.offsets"][-1]
        for field in fields:
            if field.name and field.length:
                assert np.array_equal([row[field.name] for row in shown[group]], batch[field.path].tolist())
    assert shown["process_name"] in chain.load_run(STANDARD).source.processes
    momenta = np.array([[p["px"], p["py"], p["pz"], p["energy"]] for p in shown["particles"]]).sum(axis=0)
    assert np.allclose(momenta[3], 11.007, atol=0.05)


def test_the_text_names_what_there_is():
    """One row for each track, cluster and particle; the process, the time, and every cluster on the picture."""
    shown = find_event(STANDARD, EVENT)
    said = text(shown)
    assert f"event {EVENT}, {shown.process}" in said
    assert f"{1e-9 * shown.batch['time_ns'][0]:.9f} s" in said
    rows = said.splitlines()
    clusters = rows.index("Clusters")
    assert rows[clusters + 2 + shown.batch["clusters.theta"].size] == ""
    assert max(map(len, rows)) < 200
    picture = "".join(characters(shown.batch)[1:])
    for number in range(min(9, shown.batch["clusters.theta"].size)):
        assert str(number + 1) in picture


def test_tracks_and_clusters_are_drawn_where_they_are():
    """Tracks end on the ECL, near the cluster that they were matched with."""
    source = MixSource(chain.load_run(STANDARD))
    matched = 0
    for event in range(40):
        batch = source.block(event, 1)
        clusters = cluster_points(batch)
        for track in range(batch["tracks.charge"].size):
            points = track_points(batch, track)
            assert np.all(np.hypot(points[:, 0], points[:, 1]) < ECL_RADIUS_CM + 1e-6)
            assert np.all((points[:, 2] > ECL_BACK_CM - 1e-6) & (points[:, 2] < ECL_FRONT_CM + 1e-6))
            begin, end = batch["tracks.clusters.offsets"][track : track + 2]
            for cluster in batch["tracks.clusters"][begin:end]:
                # 80 mrad at most, and the cluster may lie as deep as it likes along its direction.
                ends, place = points[-1], clusters[cluster]
                cosine = ends @ place / np.linalg.norm(ends) / np.linalg.norm(place)
                assert cosine > np.cos(0.1)
                matched += 1
    assert matched > 5


@pytest.mark.parametrize(("suffix", "magic"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_a_figure_is_written(tmp_path: Path, suffix: str, magic: bytes):
    """As the name of the file says; the same event gives the same file."""
    shown = find_event(STANDARD, EVENT)
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        write_figure(shown, path)
    assert paths[0].read_bytes().startswith(magic)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_an_event_without_anything_is_drawn():
    """Neither tracks nor clusters: still a picture and a text."""
    source = MixSource(chain.load_run(DEMO))
    block = source.block(0, 300)
    empty = int(np.flatnonzero((np.diff(block["tracks.offsets"]) == 0) & (np.diff(block["clusters.offsets"]) == 0))[0])
    shown = find_event(DEMO, empty)
    assert "Tracks: none" in text(shown)
    assert draw(shown.batch, "nothing").axes


def test_a_run_directory_has_its_events(tmp_path: Path):
    """Those of its settings, whether it has begun or not."""
    settings = chain.load_run(STANDARD, events=100, seed=99)
    chain.plan_run(settings, tmp_path / "run")
    shown = find_event(tmp_path / "run", 7)
    assert shown.outcome is None
    assert np.array_equal(shown.batch["clusters.phi"], MixSource(settings).block(7, 1)["clusters.phi"])
    with pytest.raises(InputError, match="from 0 to 99"):
        find_event(tmp_path / "run", 100)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("3", "nowhere.toml"), ("nowhere.toml", "no such file")),
        (("3", str(ROOT / "configs" / "runs" / "replay.toml")), ("[source] kind", "replay")),
        (("500000", str(STANDARD)), ("EVENT = 500000", "0 to 499999")),
        (("3", str(STANDARD), "--out", "event.gif"), ("--out", ".svg or .png")),
    ],
)
def test_what_cannot_be_shown_is_refused(arguments, words):
    """One line, exit code 2."""
    ended = darkline_here("source", "show", *arguments)
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    for word in words:
        assert word in line
