"""A run directory is made once, and nothing in it is touched unless that was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from daq.errors import InputError
from daq.run_directory import RUN, create, lock, open_log, read_run, reopen
from tests.daq.stream.toy import toy_run


def content(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory."""
    return {str(path): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_run_json_repeats_the_run(tmp_path: Path):
    """What is read back is what was written."""
    create(tmp_path / "run", toy_run())
    assert read_run(tmp_path / "run") == toy_run()


def test_an_existing_directory_is_left_alone(tmp_path: Path):
    """Neither a run nor anything else is written over, not even with overwrite if it is no run."""
    directory = tmp_path / "run"
    create(directory, toy_run())
    before = content(directory)
    with pytest.raises(InputError, match="exists already"):
        create(directory, toy_run(5))
    assert content(directory) == before

    thesis = tmp_path / "thesis"
    (thesis / "events").mkdir(parents=True)
    (thesis / "events" / "chapter").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(InputError, match="thesis"):
            create(thesis, toy_run(), overwrite=overwrite)
    assert (thesis / "events" / "chapter").read_text() == "years of work"


def test_overwrite_starts_from_nothing(tmp_path: Path):
    """With overwrite nothing of the old run is left; an empty directory needs no permission."""
    (tmp_path / "run").mkdir()
    create(tmp_path / "run", toy_run())
    for name in ("events/block=00000000.parquet", "manifest.jsonl", "summary.json"):
        (tmp_path / "run" / name).write_text("old")
    create(tmp_path / "run", toy_run(5), overwrite=True)
    assert [path.name for path in (tmp_path / "run").rglob("*") if path.is_file()] == [RUN]
    assert read_run(tmp_path / "run") == toy_run(5)


@pytest.mark.parametrize(
    ("other", "key"), [(toy_run(workers=1), "settings"), (toy_run(5), "settings"), (None, "menu_hash")]
)
def test_only_the_same_run_can_be_resumed(tmp_path: Path, other: object, key: str):
    """Other settings or another menu are refused by name; remarks that decide nothing may differ."""
    create(tmp_path / "run", toy_run())
    reopen(tmp_path / "run", toy_run().model_copy(update={"about": {"version": "next"}}))
    with pytest.raises(InputError, match=rf"run.json: {key}|run.json: n_events"):
        reopen(tmp_path / "run", other or toy_run().model_copy(update={"menu_hash": 1}))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (None, "not the directory of a run"),
        ("{", "not JSON"),
        ("[]", "must hold a JSON object"),
        ('{"n_events": -1}', "n_events = -1: "),
        ('{"nonsense": 1}', "nonsense = 1: unknown key"),
    ],
)
def test_a_damaged_run_json_is_named(tmp_path: Path, text: str | None, rule: str):
    """Missing, torn or wrong: one InputError with the file and the rule."""
    if text is not None:
        (tmp_path / RUN).write_text(text)
    with pytest.raises(InputError, match=rf"(?s)run.json: .*{rule}"):
        read_run(tmp_path)


def test_one_supervisor_at_a_time(tmp_path: Path):
    """A directory that is in use can't be taken, nor overwritten; afterwards it can."""
    create(tmp_path / "run", toy_run())
    with lock(tmp_path / "run"):
        for attempt in (lock(tmp_path / "run").__enter__, lambda: create(tmp_path / "run", toy_run(), overwrite=True)):
            with pytest.raises(InputError, match="a run is going on in it"):
                attempt()
    with lock(tmp_path / "run"):
        assert read_run(tmp_path / "run") == toy_run()


def test_log_is_json_lines(tmp_path: Path):
    """Each line is an object with time, level, process and what happened."""
    open_log(tmp_path, "l1-0").warning("wire error", error="spool: checksum")
    (line,) = (tmp_path / "log.jsonl").read_text().splitlines()
    entry = json.loads(line)
    assert entry.pop("timestamp")
    assert entry == {"process": "l1-0", "level": "warning", "event": "wire error", "error": "spool: checksum"}
