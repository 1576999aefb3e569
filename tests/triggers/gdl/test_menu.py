"""L1 menus: what is read, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from daq.errors import InputError
from triggers.gdl.menu import MENUS, L1Menu

GOOD = """
name = "test"
[timing]
minimum_spacing_ns = 150
[[column]]
name = "low"
luminosity_cm2_s = 6e34
[[column]]
name = "high" # not by "auto" alone
luminosity_cm2_s = 6e35
[timing.buffer]
window_accepts = 5
[[line]]
name = "hie"
logic = "ehigh and !bha_veto"
prescale = [3, 9]
comment = "some"
[[line]]
name = "ff"
logic = "nf >= 2"
"""


def menu_of(tmp_path: Path, text: str) -> L1Menu:
    """Return the menu of a file with this text."""
    path = tmp_path / "menu.toml"
    path.write_text(text, encoding="utf-8")
    return L1Menu.load(path)


def test_good_menu(tmp_path: Path):
    """Lines come in the order of the file, with the defaults of what is not given."""
    menu = menu_of(tmp_path, GOOD)
    assert menu.name == "test"
    assert menu.line_names == ("hie", "ff")
    assert [menu.prescales(column) for column in ("low", "high")] == [(3, 1), (9, 1)]
    assert menu.timing.minimum_spacing_ns == 150
    assert 0 <= menu.hash < 2**64


@pytest.mark.parametrize("path", sorted(MENUS.glob("*.toml")), ids=lambda path: path.stem)
def test_menus_of_the_house_load(path: Path):
    """By name or by path it is the same menu; each line says where it is from."""
    menu = L1Menu.load(path.stem)
    assert menu.hash == L1Menu.load(path).hash
    assert menu.name == path.stem
    assert all(line.comment for line in menu.lines)


@pytest.mark.parametrize(
    ("old", "new", "is_same"),
    [
        ("some", "another", True),
        ("ehigh and !bha_veto", "not bha_veto\\tand ehigh", True),
        ("prescale = [3, 9]", "prescale = [3, 8]", False),
        ("prescale = [3, 9]", "prescale = [3, 9]\nmasked = true", False),
        ("= 5", "= 6", False),
        ("6e35", "7e35", False),
        ('name = "test"', 'prescale_by = "counter"\nname = "test"', False),
        ("nf >= 2", "nf >= 3", False),
        ('"ff"', '"fg"', False),
        ("150", "151", False),
    ],
)
def test_hash_covers_what_decides(tmp_path: Path, old: str, new: str, is_same: bool):
    """Comments and spelling do not change the hash; anything that can change a decision does."""
    assert (menu_of(tmp_path, GOOD.replace(old, new)).hash == menu_of(tmp_path, GOOD).hash) == is_same


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ff"', '"hie"', "line 19: [line.1] name = 'hie': another line has this name"),
        ("= [3, 9]", "= -3", "line 16: [line.0] prescale = -3: must be a whole number from 0 to 2**32"),
        ("= [3, 9]", "= 2.5", "line 16: [line.0] prescale = 2.5: must be a whole number"),
        ("= [3, 9]", "= true", "line 16: [line.0] prescale = True: must be a whole number"),
        ("= [3, 9]", "= [3, -9]", "line 16: [line.0] prescale: must be a whole number"),
        ("= [3, 9]", "= [3]", "line 16: [line.0] prescale = [3]: must be one number, or one for each of the 2 columns"),
        ("= [3, 9]", "= []", "line 16: [line.0] prescale = []: must be one number, or one for each of the 2 columns"),
        ("prescale = [", "presacle = [", "line 16: [line.0] presacle = (3, 9): unknown key (did you mean prescale?)"),
        ("150", "-1", "line 4: [timing] minimum_spacing_ns = -1: input should be greater than or equal to 0"),
        ("= 5", "= 65", "line 12: [timing.buffer] window_accepts = 65: input should be less than or equal to 64"),
        ('"high"', '"low"', "line 9: [column.1] name = 'low': another column has this name"),
        ('"high"', '"auto"', "line 9: [column.1] name = 'auto': is the word for choosing by luminosity"),
        ("6e35", "6e34", "line 10: [column.1] luminosity_cm2_s = 6e+34: another column has this luminosity"),
        (
            "bha_veto",
            "bha_vetto",
            "line 15: [line.0] logic = 'ehigh and !^bha_vetto': column 12: unknown bit bha_vetto "
            "(did you mean bha_veto?)",
        ),
        ("nf >= 2", "nf >=", "line 20: [line.1] logic = 'nf >=^': column 6: expected a number, found the end"),
        ('name = "test"', "", "name: must be given"),
        ('name = "test"', 'prescale_by = "dice"\nname = "test"', "line 2: prescale_by = 'dice': input should be"),
        ('"hie"', '"no spaces"', "line 14: [line.0] name = 'no spaces': string should match pattern"),
        (
            "window_accepts = 5",
            "[timing.latency]\nbudget_ns = 2500",
            "line 20: [line.1] name = 'ff': input t2_1 takes cdc_segments 1407 + cdc_2d 503 + "
            "grl_tracks 204 + gdl_align 102 + ftdl 8 + "
            "psnm 8 + decision 55 + accept 1006 = 3293 ns, the latency budget is 2500 ns",
        ),
        (
            "window_accepts = 5",
            "[timing.veto.her]\nend_us = 400",
            "line 12: [timing.veto] her: end_us must not be before full_us",
        ),
        (
            '"nf >= 2"',
            '"nf >= 2"\n[outputs]\nhie = 7\nff = 4',
            "line 21: outputs: must number the lines, rising in their order, before any other name",
        ),
        (
            '"nf >= 2"',
            '"nf >= 2"\n[outputs]\nhie = 0\nff = 4\nffo = 5',
            "line 24: [outputs] ffo = 5: is no line, so its name must be a placeholder oupNNN",
        ),
        ('"nf >= 2"', '"nf >= 2"\n[inputs]\nehigh = 0\nelow = 0', "line 23: [inputs] elow = 0: ehigh has this index"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, old: str, new: str, message: str):
    """File, key, value and rule; nothing else."""
    with pytest.raises(InputError) as caught:
        menu_of(tmp_path, GOOD.replace(old, new, 1))
    assert str(caught.value).startswith(f"{tmp_path / 'menu.toml'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("choice", "luminosity", "column"),
    [
        (None, 1e30, "low"),
        ("auto", 6.0e34, "low"),
        ("auto", 6.1e34, "high"),
        (None, 6e35, "high"),
        (None, 8e35, "high"),
        ("low", 6e35, "low"),
    ],
)
def test_the_column_of_a_luminosity(tmp_path: Path, choice: str | None, luminosity: float, column: str):
    """The smallest that is not below it; beyond the last, the last; by name whatever the luminosity."""
    assert menu_of(tmp_path, GOOD).choose(choice, luminosity) == column


def test_an_unknown_column_names_the_known_ones(tmp_path: Path):
    """Also where the menu has none, and where it has and none is asked for."""
    menu = menu_of(tmp_path, GOOD)
    for choose in (lambda: menu.choose("hgih", 1.0), lambda: menu.prescales("hgih"), menu.prescales):
        with pytest.raises(InputError, match=r"no such prescale column \(known: low, high\)"):
            choose()
    plain = L1Menu.load("physics")
    assert plain.choose(None, 1e36) is None
    with pytest.raises(InputError, match=r"no such prescale column \(known: none\)"):
        plain.choose("low", 1.0)


def test_a_masked_line_has_prescale_0(tmp_path: Path):
    """In every column, whatever its prescale says; it stays in the menu."""
    menu = menu_of(tmp_path, GOOD.replace('comment = "some"', "masked = true"))
    assert menu.prescales("high") == (0, 1)
    assert menu.line_names == ("hie", "ff")


def test_menu_without_a_line(tmp_path: Path):
    """It would accept nothing; that is a mistake."""
    with pytest.raises(InputError, match="at least one line"):
        menu_of(tmp_path, 'name = "test"\nline = []\n')


def test_unknown_menu_names_the_known_ones():
    """A name that is no file of ours lists those that are."""
    with pytest.raises(InputError, match=r"'physiks': no such L1 menu \(known: .*physics"):
        L1Menu.load("physiks")
    with pytest.raises(InputError, match="no such file"):
        L1Menu.load("somewhere/else.toml")
