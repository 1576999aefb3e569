"""`darkline menu` on menus of the HLT: from TOML to payloads and back."""

from __future__ import annotations

import json
from pathlib import Path

from hlt.menu import HltMenu
from tests.commands.cli import Command, refused


def test_a_menu_goes_to_payloads_and_back(tmp_path: Path, darkline: Command):
    """TOML to JSON to TOML: the same decisions, so the same hash; the form is that of the experiment's payloads."""
    payloads, again = tmp_path / "menu.json", tmp_path / "menu.toml"
    assert darkline("menu", "belle2_public_a", "-o", payloads).code == 0
    assert "software_trigger_cut&filter" in json.loads(payloads.read_text())
    assert darkline("menu", payloads, "-o", again).code == 0
    assert HltMenu.load(again).hash == HltMenu.load("belle2_public_a").hash


def test_a_column_is_written_alone(tmp_path: Path, darkline: Command):
    """Payloads have one prescale a line: the column is asked for, and nothing is written without it."""
    out = tmp_path / "menu.json"
    refused(darkline("menu", "dark_sector", "--level", "hlt", "-o", out), "one prescale a line")
    assert not out.exists()
    assert darkline("menu", "dark_sector", "--level", "hlt", "-o", out, "--column", "6e34").code == 0
    menu, written = HltMenu.load("dark_sector"), HltMenu.load(out)
    assert [line.prescale for line in written.line] == list(menu.prescales("6e34"))


def test_a_menu_is_described(tmp_path: Path, darkline: Command):
    """Each line with its prescale and cut; the level is told by the file, or by the option for a name of both."""
    text = darkline("menu", "dark_sector", "--level", "hlt").out
    menu = HltMenu.load("dark_sector")
    for line in menu.line:
        assert line.name in text
        assert line.cut in text
    assert (
        json.loads(darkline("menu", "physics", "--level", "hlt", "--json").out)["hash"] == HltMenu.load("physics").hash
    )
    assert "inputs" in darkline("menu", "physics").out  # of the L1
    own = tmp_path / "own.toml"
    own.write_text('name = "own"\n[[line]]\nname = "all"\ncut = ""\n')
    assert "(every event)" in darkline("menu", own).out
    refused(darkline("menu", own, "-o", own), "would overwrite the menu itself")
    refused(darkline("menu", own, "--explain"), "--explain")
    refused(darkline("menu", "physics", "--level", "l2"), "must be l1 or hlt")
    refused(darkline("menu", "physics", "--column", "a"), "--column")
