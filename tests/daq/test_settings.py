"""Settings refuse what they do not know, with file, key, value and rule in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from daq.errors import InputError
from daq.settings import RunSettings, load, parse

GOOD = {"name": "x", "l1": {"menu": "physics"}, "hlt": {"menu": "physics"}}


def test_a_minimal_run_loads(tmp_path: Path):
    """Everything but the name and the menus has a default."""
    path = tmp_path / "run.toml"
    path.write_text('name = "x"\nl1.menu = "physics"\nhlt.menu = "physics"\n[beam]\nluminosity_cm2_s = 1e34\n')
    settings = load(path, RunSettings)
    assert settings.beam.luminosity_cm2_s == 1e34
    assert settings.stream.block_events == 1024


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"sede": 1}, "run.toml: sede = 1: unknown key (did you mean seed?)"),
        ({"seed": "one"}, "run.toml: seed = 'one': input should be a valid integer"),
        ({"seed": -1}, "run.toml: seed = -1: input should be greater than or equal to 0"),
        ({"events": 1.5}, "run.toml: events = 1.5: input should be a valid integer"),
        (
            {"beam": {"luminosity_cm2_s": 0.0}},
            "run.toml: [beam] luminosity_cm2_s = 0.0: input should be greater than 0",
        ),
        ({"beam": {"lumi": 1.0}}, "run.toml: [beam] lumi = 1.0: unknown key"),
        ({"stream": {"window_blocks": 3}}, "run.toml: stream: window_blocks must be at least 2 * blocks_per_part = 64"),
        (
            {"source": {"signals": [{"process": "a", "mass_gev": 1.0}]}},
            "run.toml: [source.signals] 0: give exactly one of cross_section_nb and coupling",
        ),
        ({"l1": {}}, "run.toml: [l1] menu: must be given"),
        ({"name": "a/../b"}, "run.toml: name = 'a/../b': string should match pattern"),
    ],
)
def test_mistakes_are_named_in_one_line(change: dict, line: str):
    """The line holds file, table, key, value and rule."""
    with pytest.raises(InputError) as caught:
        parse(GOOD | change, RunSettings, file="run.toml")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_every_mistake_gets_its_own_line():
    """Three mistakes are three lines, so they can be mended in one go."""
    with pytest.raises(InputError) as caught:
        parse(GOOD | {"sede": 1, "events": -1, "workers": 0}, RunSettings, file="run.toml")
    assert len(str(caught.value).splitlines()) == 3
    assert all(line.startswith("run.toml: ") for line in str(caught.value).splitlines())


@pytest.mark.parametrize(
    ("text", "rule"), [("name = ", "not TOML"), (None, "no such file"), ("\xff", "cannot be read")]
)
def test_unreadable_files_are_named(tmp_path: Path, text: str | None, rule: str):
    """A missing file, bytes that are not text and text that is not TOML are input errors that name the file."""
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=f"{path}: {rule}"):
        load(path, RunSettings)
