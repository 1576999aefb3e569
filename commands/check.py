"""``darkline check``: what a file is, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path

from chain import Chain
from daq.settings import RunSettings, load, read_toml
from daq.source.catalogue import what_process
from daq.source.mix import MixSource
from daq.source.species import load_table
from hlt.menu import HltMenu
from triggers.gdl.menu import L1Menu


def check_file(path: Path) -> str:
    """Check a TOML file of any kind, or a menu of Belle II (.alg, .json), and say what it is; raise `InputError`."""
    if path.suffix == ".alg":
        return _what_l1_menu(L1Menu.load(path))
    if path.suffix == ".json":
        return _what_hlt_menu(HltMenu.load(path))
    tables = read_toml(path)
    lines = tables.get("line")
    if "sampler" in tables:
        return what_process(path)
    if "particles" in tables:
        return f"a table of {len(load_table(path).species)} particles"
    if "observables" in tables or "shape_masses_gev" in tables:
        from offline.search import load_search

        return f"a search: {load_search(path).title}"
    if isinstance(lines, list) and any(isinstance(line, dict) and "cut" in line for line in lines):
        return _what_hlt_menu(HltMenu.load(path))
    if isinstance(lines, list):
        return _what_l1_menu(L1Menu.load(path))
    settings = load(path, RunSettings)
    chain = Chain.of(settings)
    if settings.source.kind == "mix":
        MixSource(settings)
    what = f"a run of {settings.events:,} events" if settings.source.kind == "mix" else "a replay"
    columns = {"L1": chain.l1_column, "HLT": chain.hlt_column}
    in_force = [f"{level} prescale column {name} is in force" for level, name in columns.items() if name is not None]
    return "\n".join([what, *in_force, *chain.notes])


def _what_hlt_menu(menu: HltMenu) -> str:
    columns = ", ".join(f"{column.name} (up to {column.luminosity_cm2_s:.3g} cm-2 s-1)" for column in menu.column)
    return f"an HLT menu of {len(menu.line)} lines{f'; prescale columns: {columns}' if columns else ''}"


def _what_l1_menu(menu: L1Menu) -> str:
    what = f"an L1 menu of {len(menu.lines)} lines"
    if menu.absent:
        what += (
            f"; {len(menu.absent)} inputs are not computed and held at 0 ({', '.join(menu.absent)}), "
            f"which {len(menu.held_lines)} lines use ({', '.join(menu.held_lines)})"
        )
    lines = [what]
    if menu.columns:
        columns = (f"{column.name} (up to {column.luminosity_cm2_s:.3g} cm-2 s-1)" for column in menu.columns)
        lines.append(f"prescale columns: {', '.join(columns)}")
    if masked := [line.name for line in menu.lines if line.masked]:
        lines.append(f"masked lines: {', '.join(masked)}")
    if menu.slowest_path is not None:
        line, path = menu.slowest_path
        lines.append(f"slowest path: line {line}, input {path.bit}: {path} of {menu.timing.latency.budget_ns} ns")
    return "\n".join(lines)
