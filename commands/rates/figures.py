"""Figures of `darkline rates`: rates of the lines as bars, overlaps of their events as a matrix."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from offline.figures import BAND_1, BAND_2, BLUE, INK, ORANGE, STYLE, save

_ROWS = 60  # bars of one panel
_ANNOTATED = 30  # lines up to which the matrix has room for numbers
Record = dict[str, Any]


def write_figures(record: Record, out: Path) -> list[Path]:
    """Draw every menu of a record, as PNG and SVG in the folder ``out``; return the paths of the PNG files."""
    paths = []
    for number, menu in enumerate(record["menus"]):
        suffix = f"_{number + 1}" if len(record["menus"]) > 1 else ""
        for name, draw in (("rates", rate_bars), ("overlap", overlap_matrix)):
            path = out / f"{name}{suffix}"
            save(draw(record, menu), path)
            paths.append(path.with_suffix(".png"))
    return paths


def rate_bars(record: Record, menu: Record) -> Figure:
    """Draw raw, prescaled and unique rates of the lines that fired, highest first, and the total."""
    lines = [line for line in menu["lines"] if line["raw"]["value"]]
    lines.sort(key=lambda line: (line["prescaled"]["value"], line["raw"]["value"]))
    n_panels = max(1, -(-len(lines) // _ROWS))
    rows = -(-len(lines) // n_panels)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(max(8.4, 6.2 * n_panels), 1.6 + 0.21 * max(rows, 8)), layout="constrained")
        panels = figure.subplots(1, n_panels, squeeze=False)[0]
        low, high = _reach(lines, menu)
        for number, axes in enumerate(panels):
            end = len(lines) - number * rows
            _bars(axes, lines[max(0, end - rows) : end], rows)
            axes.set_xscale("log")
            axes.set_xlim(low, high)
            axes.axvline(menu["total"]["value"] or low, color=ORANGE, lw=1.2, ls="--", label="all lines together")
            axes.set_xlabel(f"Rate [{record['unit']}]")
        figure.legend(*panels[-1].get_legend_handles_labels(), loc="outside lower center", ncols=4)
        _caption(figure, record, menu, len(menu["lines"]) - len(lines))
        return figure


def _reach(lines: list[Record], menu: Record) -> tuple[float, float]:
    values = [line[name]["value"] for line in lines for name in ("raw", "prescaled", "unique")]
    positive = [value for value in (*values, menu["total"]["value"]) if value and value > 0] or [1.0]
    return 0.5 * min(positive), 2.0 * max(positive)


def _bars(axes: Axes, lines: list[Record], rows: int) -> None:
    place = np.arange(len(lines))
    value = {name: np.array([line[name]["value"] for line in lines]) for name in ("raw", "prescaled", "unique")}
    error = np.array([line["prescaled"]["error"] for line in lines])
    axes.barh(place, value["raw"], height=0.82, color=BAND_2, label="raw")
    axes.barh(place, value["prescaled"], height=0.55, color=BAND_1, label="after prescale")
    axes.barh(place, value["unique"], height=0.22, color=BLUE, label="this line alone")
    seen = value["prescaled"] > 0
    axes.errorbar(value["prescaled"][seen], place[seen], xerr=error[seen], fmt="none", ecolor=INK, elinewidth=0.9)
    off = [
        "" if line["prescale"] == 1 else " (off)" if not line["prescale"] else f" (1/{line['prescale']:,})"
        for line in lines
    ]
    axes.set_yticks(place, [line["line"] + note for line, note in zip(lines, off, strict=True)])
    axes.set_ylim(len(lines) - rows - 0.6, len(lines) - 0.4)
    axes.tick_params(axis="y", which="both", length=0, labelsize=9 if rows < 40 else 8)
    axes.minorticks_on()
    axes.tick_params(axis="y", which="minor", left=False, right=False)


def _prescale(prescale: int) -> str:
    return "" if prescale == 1 else f" (1/{prescale:,})" if prescale else " (off)"


def overlap_matrix(record: Record, menu: Record) -> Figure:
    """Draw, for the lines that accept events, the share of the events of a row that the line of a column accepts."""
    fraction = np.array(menu["overlap"]["fraction"], dtype=float)
    alive = [i for i, line in enumerate(menu["lines"]) if line["prescaled"]["value"]] or [0]
    names = [menu["overlap"]["lines"][i] for i in alive]
    shown = 100 * fraction[np.ix_(alive, alive)]
    size = len(alive)
    with mpl.rc_context(STYLE):
        width = min(22.0, max(7.0, 3.0 + (0.42 if size <= _ANNOTATED else 0.115) * size))
        figure = Figure(figsize=(width, width - 0.6), layout="constrained")
        axes = figure.subplots()
        colours = mpl.colors.LinearSegmentedColormap.from_list("overlap", ["#FFFFFF", BAND_2, BAND_1, BLUE, "#003A5D"])
        image = axes.imshow(
            shown.reshape(size, size), vmin=0, vmax=100, cmap=colours, interpolation="nearest", aspect="auto"
        )
        font = 9 if size <= _ANNOTATED else max(4.5, min(8.0, 72 * 0.75 * (width - 3) / max(1, size)))
        axes.set_xticks(range(size), names, rotation=90, fontsize=font)
        axes.set_yticks(range(size), names, fontsize=font)
        axes.tick_params(which="both", length=0)
        axes.minorticks_off()
        if size <= _ANNOTATED:
            for (i, j), value in np.ndenumerate(shown):
                text = "-" if np.isnan(value) else f"{value:.0f}" if value >= 1 or not value else "<1"
                axes.text(j, i, text, ha="center", va="center", fontsize=7.5, color="white" if value > 60 else INK)
        axes.set_xlabel("... line B accepts too")
        axes.set_ylabel("Of the events of line A ...")
        figure.colorbar(image, ax=axes, shrink=0.6, aspect=40, pad=0.01, label="Share [%]")
        _caption(figure, record, menu, len(menu["lines"]) - size)
        return figure


def _caption(figure: Figure, record: Record, menu: Record, left_out: int) -> None:
    luminosity = record["luminosity_cm2_s"]
    at = "" if luminosity is None else f", {_power(luminosity)} cm$^{{-2}}$ s$^{{-1}}$"
    words = f"{record['level'].upper()} menu {menu['label']}, {record['events']:,} simulated events{at}"
    if left_out:
        words += f"; {left_out} lines without events left out"
    figure.suptitle(f"$\\bf{{darkline}}$   {words}", fontsize=11, color=INK)


def _power(value: float) -> str:
    exponent = math.floor(math.log10(value))
    return f"{value / 10**exponent:.3g} $\\times 10^{{{exponent}}}$"
