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
[[line]]
name = "hie"
logic = "ehigh and !bha_veto"
prescale = 3
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
    assert [line.prescale for line in menu.lines] == [3, 1]
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
        ("prescale = 3", "prescale = 4", False),
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
        ('"ff"', '"hie"', "[line.1] name = 'hie': another line has this name"),
        ("prescale = 3", "prescale = -3", "[line.0] prescale = -3: input should be greater than or equal to 0"),
        ("prescale = 3", "prescale = 2.5", "[line.0] prescale = 2.5: input should be a valid integer"),
        ("prescale = 3", "presacle = 3", "[line.0] presacle = 3: unknown key (did you mean prescale?)"),
        ("150", "-1", "[timing] minimum_spacing_ns = -1: input should be greater than or equal to 0"),
        (
            "bha_veto",
            "bha_vetto",
            "[line.0] logic = 'ehigh and !^bha_vetto': column 12: unknown bit bha_vetto (did you mean bha_veto?)",
        ),
        ("nf >= 2", "nf >=", "[line.1] logic = 'nf >=^': column 6: expected a number, found the end"),
        ('name = "test"', "", "name: must be given"),
        ('"hie"', '"no spaces"', "[line.0] name = 'no spaces': string should match pattern"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, old: str, new: str, message: str):
    """File, key, value and rule; nothing else."""
    with pytest.raises(InputError) as caught:
        menu_of(tmp_path, GOOD.replace(old, new, 1))
    assert str(caught.value).startswith(f"{tmp_path / 'menu.toml'}: {message}")
    assert "\n" not in str(caught.value)


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
