"""Menus: what they hold, and how bad ones are refused."""

from __future__ import annotations

import re

import pytest

from daq.errors import InputError
from hlt.menu import HltMenu

GOOD = """
name = "small"
[[line]]
name = "single_muon"
cut = "singleMuon"
prescale = 10
[[line]]
name = "veto"
cut = "ee2leg"
reject = true
"""


def menu_of(tmp_path, text: str) -> HltMenu:
    """Load a menu from its text."""
    path = tmp_path / "menu.toml"
    path.write_text(text)
    return HltMenu.load(path)


def test_a_menu_keeps_its_lines_in_order(tmp_path):
    """Lines come with their settings, in the order of the file; what is not given has its default."""
    menu = menu_of(tmp_path, GOOD)
    assert menu.line_names == ("single_muon", "veto")
    assert [line.prescale for line in menu.line] == [10, 1]
    assert [line.reject for line in menu.line] == [False, True]
    assert menu.accept_mode is False


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("prescale = 10", "prescale = -1", "[line.0] prescale = -1: input should be greater than or equal to 0"),
        ("prescale = 10", "prescale = 1.5", "[line.0] prescale = 1.5: "),
        ("prescale = 10", "prescal = 10", "[line.0] prescal = 10: unknown key (did you mean prescale?)"),
        ('cut = "ee2leg"', 'cut = "ee2lg"', "[line.1] cut = 'ee2lg': no variable 'ee2lg' (did you mean ee2leg"),
        ('cut = "ee2leg"', 'cut = "ee2leg =="', "cut = 'ee2leg ==': expected a value, found the end, at column 10"),
        ('cut = "ee2leg"', "", "[line.1] cut: must be given"),
        ("reject = true", 'reject = "yes"', "[line.1] reject = 'yes': "),
        ('name = "veto"', 'name = "Veto 1"', "[line.1] name = 'Veto 1': "),
        ('name = "veto"', 'name = "single_muon"', "two lines have the name single_muon"),
        ('name = "small"', "", "name: must be given"),
        ('name = "small"', 'name = "small"\naccept_mod = true', "accept_mod = True: unknown key"),
        ('name = "small"', 'name = "small"\nmax_tracks = 0', "max_tracks = 0: "),
        ("[[line]]", "[line", "not TOML"),
    ],
)
def test_a_bad_menu_is_refused_by_name(tmp_path, old, new, message):
    """The answer names file, key, value and rule."""
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        menu_of(tmp_path, GOOD.replace(old, new))
    assert str(caught.value).startswith(str(tmp_path / "menu.toml"))


def test_a_menu_without_lines_and_a_missing_menu_are_refused(tmp_path):
    """Neither is a menu."""
    with pytest.raises(InputError, match="line"):
        menu_of(tmp_path, 'name = "none"\nline = []\n')
    with pytest.raises(InputError, match=r"hlt/no_such_menu\.toml: no such file"):
        HltMenu.load("no_such_menu")


def test_the_hash_covers_what_decides(tmp_path):
    """Cuts, prescales, order and modes change the hash; comments do not."""
    base = menu_of(tmp_path, GOOD).hash
    assert menu_of(tmp_path, GOOD.replace("prescale = 10", 'prescale = 10\ncomment = "muons"')).hash == base
    others = {
        menu_of(tmp_path, GOOD.replace(old, new)).hash
        for old, new in (
            ("prescale = 10", "prescale = 11"),
            ('"ee2leg"', '"ee1leg"'),
            ("reject = true", "reject = false"),
            ('name = "small"', 'name = "small"\naccept_mode = true'),
        )
    }
    assert len(others | {base}) == 5


def test_the_physics_menu_has_the_lines_of_the_dark_sector():
    """Single photon, three photons, single muon and displaced vertex are there; Bhabhas are prescaled."""
    lines = {line.name: line for line in HltMenu.load("physics").line}
    for name in ("single_photon_45_115", "three_photon", "displaced_vertex", "selectmumu"):
        assert lines[name].prescale == 1
    assert lines["single_muon"].prescale == 10
    assert lines["ee2leg"].prescale == 1000
    assert lines["gg_barrel_loose"].prescale > 1
