"""`darkline menu` for menus of the HLT: its lines, and the menu in its other format."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from daq.errors import InputError
from daq.settings import read_toml
from hlt.menu import MENUS, HltMenu
from hlt.payloads import write_menu
from triggers.gdl.menu import MENUS as L1_MENUS

_MARGIN = 12  # before the cut of a line


def level_of(name_or_path: str) -> Literal["l1", "hlt"]:
    """Tell which trigger level a menu is for; a name that both levels have is of the L1.

    Raises
    ------
    InputError
        If it is a TOML file that cannot be read.
    """
    path = Path(name_or_path)
    if path.suffix == ".json":
        return "hlt"
    if path.suffix == ".toml":
        lines = read_toml(path).get("line")
        return "hlt" if isinstance(lines, list) and any("cut" in line for line in lines) else "l1"
    is_only_there = (MENUS / f"{path}.toml").is_file() and not (L1_MENUS / f"{path}.toml").is_file()
    return "hlt" if is_only_there else "l1"


def record(menu: HltMenu) -> dict[str, Any]:
    """Return a menu for JSON: all that its file says or leaves at the default."""
    return {"level": "hlt", "hash": menu.hash, **menu.model_dump(mode="json")}


def text(menu: HltMenu) -> str:
    """Return the lines of a menu, with their prescales and cuts."""
    rejects = [line.name for line in menu.line if line.reject]
    columns = [f"{column.name} (up to {column.luminosity_cm2_s:.3g} cm-2 s-1)" for column in menu.column]
    rule = "unless only reject lines fire" if menu.accept_mode else "if a line accepts and none rejects"
    head = [
        f"menu {menu.name} (hash {menu.hash}): {len(menu.line)} lines, {len(rejects)} of them reject",
        f"an event is kept {rule}",
        f"prescale columns: {', '.join(columns) or 'none'}",
    ]
    rows = []
    for line in menu.line:
        prescales = line.prescale if isinstance(line.prescale, tuple) else (line.prescale,)
        shown = "reject" if line.reject else "/".join(str(prescale) for prescale in prescales)
        rows += [f"{shown:>{_MARGIN - 2}}  {line.name}", f"{'':{_MARGIN}}  {line.cut or '(every event)'}"]
    return "\n".join([*head, *rows])


def convert(menu: HltMenu, source: str, out: Path, column: str | None) -> None:
    """Write a menu as .toml or .json; see `hlt.payloads.write_menu`.

    Raises
    ------
    InputError
        If the menu cannot be written so, or this would overwrite the menu itself; then nothing is written.
    """
    if out.exists() and Path(source).exists() and out.samefile(source):
        raise InputError("would overwrite the menu itself", file=out, key="--out")
    write_menu(menu, out, column)
