"""Menus: what they hold, and how bad ones are refused."""

from __future__ import annotations

import re

import pytest

from daq.errors import InputError
from hlt.menu import MENUS, HltMenu

COLUMNS = """
[[column]]
name = "design"
luminosity_cm2_s = 6e35
[[column]]
name = "record"
luminosity_cm2_s = 6e34
"""
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
        ("prescale = 10", "prescale = -1", "[line.0] prescale = -1: must be a whole number from 0"),
        ("prescale = 10", "prescale = true", "[line.0] prescale = True: must be a whole number"),
        ("prescale = 10", "prescale = 4294967296", "prescale = 4294967296: must be a whole number from 0 to 2**32 - 1"),
        ("prescale = 10", "prescale = [1, -2]", "[line.0] prescale: must be a whole number"),
        ("prescale = 10", "prescale = [1, 2]", "line single_muon has 2 prescales, the menu has 0 columns"),
        ("prescale = 10", "budget_us = 0.0", "[line.0] budget_us = 0.0: input should be greater than 0"),
        ("prescale = 10", "budget_us = inf", "[line.0] budget_us = inf: "),
        ("prescale = 10", "prescale = 1.5", "[line.0] prescale = 1.5: "),
        ("prescale = 10", "prescal = 10", "[line.0] prescal = 10: unknown key (did you mean prescale?)"),
        ('cut = "ee2leg"', 'cut = "ee2lg"', "[line.1] cut = 'ee2lg': no variable 'ee2lg' (did you mean ee2leg"),
        ('cut = "ee2leg"', 'cut = "ee2leg =="', "cut = 'ee2leg ==': expected a value, found the end, at column 10"),
        ('cut = "ee2leg"', "", "[line.1] cut: must be given"),
        ("reject = true", 'reject = "yes"', "[line.1] reject = 'yes': "),
        ('name = "veto"', 'name = "Veto & 1"', "[line.1] name = 'Veto & 1': "),
        ('name = "veto"', 'name = "veto "', "[line.1] name = 'veto ': "),
        ('name = "veto"', "name = 'a\"b'", "[line.1] name = 'a\"b': "),
        ('name = "veto"', 'name = "a\\tb"', "[line.1] name = 'a\\tb': "),
        ('name = "veto"', 'name = "raw_single_muon"', "hlt_raw_single_muon is a column of another meaning"),
        ('name = "veto"', 'name = "over_cap"', "hlt_over_cap is a column of another meaning in the spool"),
        ('name = "veto"', 'name = "single_muon"', "two lines have the name single_muon"),
        ('name = "small"', "", "name: must be given"),
        ('name = "small"', 'name = "small"\naccept_mod = true', "accept_mod = True: unknown key"),
        ('name = "small"', 'name = "small"\nmax_tracks = 0', "max_tracks = 0: "),
        ('name = "small"', 'name = "a menu"', "name = 'a menu': "),
        ('name = "small"', 'name = "small"\nvertex.seed = "ideal"', "[vertex] seed = 'ideal': "),
        ('name = "small"', 'name = "small"\nprescale_by = "random"', "prescale_by = 'random': input should be 'hash'"),
        ('name = "small"', 'name = "small"\nbudget.policy = "drop"', "[budget] policy = 'drop': "),
        (
            'name = "small"',
            'name = "small"\nbudget.sampel = 5',
            "[budget] sampel = 5: unknown key (did you mean sample",
        ),
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
    with pytest.raises(InputError, match=r"'no_such_menu': no such HLT menu \(known: .*physics\)"):
        HltMenu.load("no_such_menu")
    with pytest.raises(InputError, match=r"no_such_folder/menu\.toml: no such file"):
        HltMenu.load("no_such_folder/menu.toml")


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
            ('name = "small"', 'name = "small"\nmax_pairs = 9'),
            ('name = "small"', 'name = "small"\nno_l1_summary = "none"'),
            ('name = "small"', 'name = "small"\nprescale_by = "counter"'),
            ("prescale = 10", "prescale = 10\n[[column]]\nname = 'all'\nluminosity_cm2_s = 1e36\n"),
        )
    }
    assert len(others | {base}) == 9


def test_budgets_decide_only_if_the_policy_says_so(tmp_path):
    """A budget that only flags leaves the hash alone; one that accepts or rejects does not."""
    plain, tight = GOOD, GOOD.replace("prescale = 10", "budget_us = 3.0")
    plain = plain.replace("prescale = 10\n", "")
    assert menu_of(tmp_path, tight).hash == menu_of(tmp_path, plain).hash
    hashes = [
        menu_of(tmp_path, text.replace('name = "small"', f'name = "small"\nbudget.policy = "{policy}"')).hash
        for text in (plain, tight)
        for policy in ("accept", "reject")
    ]
    assert len({*hashes, menu_of(tmp_path, plain).hash}) == 5


def test_budgets_of_lines_have_a_default(tmp_path):
    """A line's own, that of all lines, or an equal share of the event's."""
    assert menu_of(tmp_path, f"budget.event_us = 8.0\n{GOOD}").line_budgets_us == (4.0, 4.0)
    one = GOOD.replace("prescale = 10", "budget_us = 0.5")
    assert menu_of(tmp_path, f"budget.line_us = 2.0\n{one}").line_budgets_us == (0.5, 2.0)


def test_a_column_is_chosen_by_name_or_by_luminosity(tmp_path):
    """The smallest one not below the luminosity, beyond the last the last; a line may have one prescale for all."""
    menu = menu_of(tmp_path, GOOD.replace("prescale = 10", "prescale = [30, 2]") + COLUMNS)
    chosen = {luminosity: menu.choose("auto", luminosity) for luminosity in (1e30, 6e34, 6.1e34, 6e35, 9e36)}
    assert list(chosen.values()) == ["record", "record", "design", "design", "design"]
    assert menu.choose("design", 1e30) == "design"
    assert menu.choose(None, 1e30) == "record"
    assert [menu.prescales(column) for column in ("design", "record")] == [(30, 1), (2, 1)]
    plain = menu_of(tmp_path, GOOD)
    assert plain.choose("auto", 1e34) is None
    assert plain.prescales(None) == (10, 1)
    for one in (menu, plain):
        with pytest.raises(InputError, match=r"\[hlt\] column = 'recrod': no such prescale column"):
            one.choose("recrod", 1e34)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"record"', '"design"', "two columns have the name design"),
        ("6e34", "6e35", "two columns have the luminosity 6e+35"),
        ("6e34", "-6e34", "[column.1] luminosity_cm2_s = -6e+34: "),
        ("6e34", "inf", "[column.1] luminosity_cm2_s = inf: "),
        ('"record"', '"auto"', "[column.1] name = 'auto': is the word for choosing by luminosity"),
    ],
)
def test_bad_columns_are_refused(tmp_path, old, new, message):
    """Columns must differ in name and luminosity."""
    with pytest.raises(InputError, match=re.escape(message)):
        menu_of(tmp_path, GOOD + COLUMNS.replace(old, new))


@pytest.mark.parametrize("name", ["0.3ltEstar_max_clustlt2_GeV", "q==0", "Elab gt 0.3", "a>1", "_x", "A"])
def test_lines_have_the_names_that_the_experiment_gives_them(name, tmp_path):
    """Digits, points, signs and blanks are kept as they are, down to the columns of the spool."""
    menu = menu_of(tmp_path, GOOD.replace("single_muon", name))
    assert menu.line_names == (name, "veto")


@pytest.mark.parametrize("path", sorted(MENUS.glob("*.toml")), ids=lambda path: path.stem)
def test_every_menu_loads_under_its_name(path):
    """Each file of the folder is a menu, found by the name that it gives itself."""
    assert HltMenu.load(path.stem).name == path.stem


def test_the_public_menus_differ_as_published():
    """The same cuts; the second version has other prescales and no pass-through lines. All accept, none rejects."""
    early, design = ({line.name: line for line in HltMenu.load(f"belle2_public_{k}").line} for k in "ab")
    assert set(early) - set(design) == {"passthrough_l1_trigger_random", "passthrough_l1_trigger_delayed_bhabha"}
    assert set(design) < set(early)
    assert all(early[name].cut == line.cut for name, line in design.items())
    assert not any(line.reject for line in early.values())
    prescales = [(early[name].prescale, design[name].prescale) for name in ("single_muon", "ee_flat_19_22", "dummy")]
    assert prescales == [(1, 10), (40, 1152), (9999, 9999)]


def test_the_dark_sector_menu_holds_its_searches_at_any_luminosity():
    """What a search lives on is never prescaled, and no line is switched off."""
    menu = HltMenu.load("dark_sector")
    names = [column.name for column in menu.column]
    assert names == ["6e34", "6e35"]
    assert [menu.choose("auto", luminosity) for luminosity in (5.1e34, 6e35)] == names
    record, design = (dict(zip(menu.line_names, menu.prescales(name), strict=True)) for name in names)
    for line in ("single_photon_45_115", "neutral_2gev_barrel", "three_photon", "displaced_vertex"):
        assert record[line] == design[line] == 1
    assert record["single_muon"] == record["mumu_and_nothing"] == record["emu_and_nothing"] == 1
    assert all(0 < record[line] <= design[line] for line in record)
    assert all(line.comment for line in menu.line)


def test_the_physics_menu_has_the_lines_of_the_dark_sector():
    """Single photon, three photons, single muon and displaced vertex are there; Bhabhas are prescaled."""
    lines = {line.name: line for line in HltMenu.load("physics").line}
    for name in ("single_photon_45_115", "three_photon", "displaced_vertex", "selectmumu"):
        assert lines[name].prescale == 1
    assert lines["single_muon"].prescale == 10
    assert lines["ee2leg"].prescale == 1000
    assert lines["gg_barrel_loose"].prescale > 1
