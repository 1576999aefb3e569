"""Figures: spectrum with fit, significance scan, limits, turn-on of an efficiency. Safe for the colour-blind."""

from __future__ import annotations

import io
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import FixedLocator, NullFormatter, StrMethodFormatter
from scipy.stats import chi2

from daq.jit import Array
from offline.couplings import FORMULAS
from offline.efficiency import Curve, TurnOn
from offline.limits import Interval, LimitResult
from offline.observables import Frame
from offline.scan import ScanPoint, ScanResult

BLUE, ORANGE, INK, GREY = "#0072B2", "#D55E00", "#222222", "#8A8A8A"  # Okabe and Ito
BAND_1, BAND_2 = "#7FB6D9", "#CFE3F1"  # tints of the blue

STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 11.0,
    "axes.labelsize": 12.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.9,
    "axes.axisbelow": True,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "xtick.minor.visible": True,
    "ytick.minor.visible": True,
    "legend.frameon": False,
    "legend.fontsize": 10.5,
    "savefig.dpi": 160,
    "svg.hashsalt": "darkline",  # the same figure is the same file
}

OBSERVABLE_LABELS = {
    "m2_gamma_gamma": r"$M^2(\gamma\gamma)$",
    "m2_recoil": r"$M^2_{\mathrm{recoil}}$",
}


def spectrum(result: ScanResult, point: ScanPoint) -> Figure:
    """Draw the spectrum of one hypothesis with its fits, and the pulls of the signal-and-background fit."""
    with mpl.rc_context(STYLE):
        figure, (upper, lower) = _panels()
        edges, counts, best = point.edges, point.counts, point.signal_and_background
        centres, fitted = 0.5 * (edges[1:] + edges[:-1]), point.model.expected(best.parameters)
        backdrop = point.model.expected(np.concatenate([[0.0], best.parameters[1:]]))
        filled = counts > 0
        data = upper.errorbar(
            centres[filled],
            counts[filled],
            _poisson_errors(counts[filled]),
            fmt="o",
            ms=3.2,
            lw=0.9,
            color=INK,
            zorder=3,
        )
        total = upper.stairs(fitted, edges, baseline=None, color=BLUE, lw=1.8, zorder=4)
        signal = upper.stairs(fitted, edges, baseline=backdrop, fill=True, color=ORANGE, alpha=0.35, zorder=2)
        smooth = upper.stairs(backdrop, edges, baseline=None, color=GREY, lw=1.5, ls="--", zorder=4)
        top = float(max(counts.max(), fitted.max()))
        upper.set_ylim(0.0, 1.42 * (top + np.sqrt(top)))
        width = (edges[-1] - edges[0]) / counts.size
        upper.set_ylabel(f"Combinations / ({width:.2g} GeV$^2$)")
        names = ("simulated data", "signal + background", "signal", "background of this fit")
        upper.legend((data, total, signal, smooth), names, loc="upper right", ncols=2, columnspacing=1.4)
        found = f"$N = {best.yield_events:.0f} \\pm {best.yield_error:.0f}$"
        local = f"local {point.significance:.1f} $\\sigma$" if point.significance is not None else point.status
        upper.text(0.025, 0.955, _mass(point.mass_gev), transform=upper.transAxes, va="top", fontsize=13)
        upper.text(0.025, 0.875, f"{found}, {local}", transform=upper.transAxes, va="top")

        pulls = (counts - fitted) / np.sqrt(fitted)
        lower.axhspan(-2, 2, color=BAND_2, lw=0)
        lower.axhspan(-1, 1, color=BAND_1, lw=0, alpha=0.6)
        lower.plot(centres, pulls, "o", ms=3.0, color=INK)
        reach = max(3.5, 1.15 * float(np.abs(pulls).max()))
        lower.set_ylim(-reach, reach)
        lower.set_ylabel("Pull")
        lower.set_xlabel(f"{OBSERVABLE_LABELS[point.observable]} [GeV$^2$]")
        lower.set_xlim(edges[0], edges[-1])
        _caption(upper, result)
        return figure


def significance(result: ScanResult) -> Figure:
    """Draw the local significance at every mass; masses without a result are marked below the axis."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 4.4), layout="constrained")
        axes = figure.subplots()
        for level in (-3, -2, -1, 1, 2, 3):
            axes.axhline(level, color=GREY, lw=0.6, ls=(0, (1, 3)))
        axes.axhline(0.0, color=GREY, lw=0.8)
        good = [point.significance for point in result.points]
        masses = [point.mass_gev for point in result.points]
        for x, y in _runs(result, good):
            axes.fill_between(x, y, 0.0, color=BAND_2, lw=0)
            axes.plot(x, y, "-o", color=BLUE, lw=1.1, ms=1.6)
        _mark(axes, [mass for mass, value in zip(masses, good, strict=True) if value is None], "no result", ORANGE)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="lower left")
        values = np.array([value for value in good if value is not None] or [0.0])
        low, high = min(-3.5, 1.1 * float(values.min())), max(3.9, 1.22 * float(values.max()))
        axes.set_ylim(low, high)
        if (best := result.best) is not None and best.significance is not None:
            axes.plot(best.mass_gev, best.significance, "o", ms=7, mfc="none", mec=ORANGE, mew=1.8)
            right = best.mass_gev > 3.0  # keep the words inside of the frame
            axes.annotate(
                f"{best.significance:.1f} $\\sigma$ at {best.mass_gev:.3f} GeV",
                (best.mass_gev, best.significance),
                xytext=(-10 if right else 10, 3),
                textcoords="offset points",
                ha="right" if right else "left",
                color=ORANGE,
            )
        axes.set_ylabel(r"Local significance, sign($N$) [$\sigma$]")
        _mass_axis(axes, result)
        _caption(axes, result)
        return figure


def limit_curve(limits: LimitResult, quantity: str) -> Figure:
    """Draw observed and expected limits on ``quantity`` ("cross_section_fb" or "coupling") against mass."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.4, 5.2), layout="constrained")
        axes = figure.subplots()
        formula, level = FORMULAS[limits.scan.search.coupling], 100 * limits.scan.search.method.level
        intervals: list[Interval | None] = [getattr(point, quantity) for point in limits.points]
        masses = [point.mass_gev for point in limits.points]
        for x, run in _runs(limits.scan, intervals):
            band = np.array([interval.expected for interval in run])
            axes.fill_between(x, band[:, 0], band[:, 4], color=BAND_2, lw=0)
            axes.fill_between(x, band[:, 1], band[:, 3], color=BAND_1, lw=0)
            axes.plot(x, band[:, 2], color=BLUE, lw=1.5, ls="--")
            axes.plot(x, [interval.observed for interval in run], "-", color=INK, lw=1.3)
        missing = [mass for mass, interval in zip(masses, intervals, strict=True) if interval is None]
        axes.set_yscale("log")
        if len(missing) < len(masses):
            low, high = axes.get_ylim()
            axes.set_ylim(low / 1.3, high * (high / low) ** 0.3)
        axes.plot([], [], "-", color=INK, lw=1.3, label="observed")
        axes.plot([], [], "--", color=BLUE, lw=1.5, label="expected (median)")
        axes.fill_between([], [], color=BAND_1, lw=0, label=r"expected $\pm 1\sigma$")
        axes.fill_between([], [], color=BAND_2, lw=0, label=r"expected $\pm 2\sigma$")
        _mark(axes, missing, "no limit", ORANGE)
        doubtful = [point.mass_gev for point in limits.points if point.caution]
        _mark(axes, doubtful, "few events: asymptotic limit may be too strong", GREY)
        axes.legend(loc="upper left", ncols=2, title=f"{level:g} % CL upper limits", alignment="left")
        if quantity == "coupling":
            unit = f" [{formula.unit.replace('^-1', '$^{-1}$')}]" if formula.unit else ""
            axes.set_ylabel(f"{formula.symbol}{unit}")
        else:
            axes.set_ylabel(f"$\\sigma$({formula.process}) [fb]")
        _mass_axis(axes, limits.scan)
        _caption(axes, limits.scan)
        return figure


def turn_on(curve: Curve, fit: TurnOn | None, quantity: str, lines: str, method: str) -> Figure:
    """Draw an efficiency with its intervals and its fit, over the events that it was measured on."""
    with mpl.rc_context(STYLE):
        figure, (upper, lower) = _panels()
        edges, filled = curve.edges, curve.total > 0
        centres, (low, high) = 0.5 * (edges[1:] + edges[:-1]), curve.interval()
        efficiency = curve.efficiency
        band = [np.where(filled, values, np.nan) for values in (low, high)]
        upper.stairs(band[1], edges, baseline=band[0], fill=True, color=BAND_2, label="68.3 % interval")
        upper.plot(centres[filled], efficiency[filled], "o", ms=3.4, color=INK, label=f"efficiency, {method}", zorder=3)
        upper.axhline(1.0, color=GREY, lw=0.7, ls=(0, (1, 3)))
        if fit is not None:
            x = np.linspace(edges[0], edges[-1], 2000)
            upper.plot(x, fit(x), color=BLUE, lw=1.6, zorder=4, label=_fitted(fit))
        upper.set_ylim(0.0, 1.3)
        upper.set_ylabel("Efficiency")
        upper.legend(loc="upper left", ncols=2 if fit is None else 3, columnspacing=1.2)
        upper.set_title("darkline", loc="left", fontsize=12.5, fontweight="bold")
        upper.set_title(f"simulated data, {lines}", loc="right", fontsize=10.5)

        lower.stairs(curve.total, edges, color=GREY, fill=True, alpha=0.35, label="all")
        lower.stairs(curve.passed, edges, color=BLUE, lw=1.2, label="passing")
        lower.set_yscale("log")
        lower.set_ylim(0.5, 20.0 * float(curve.total.max()))
        lower.legend(loc="upper right", ncols=2)
        lower.set_ylabel("Events")
        lower.set_xlabel(quantity)
        lower.set_xlim(edges[0], edges[-1])
        return figure


def _fitted(fit: TurnOn) -> str:
    """Return plateau, threshold and width of a fit with their errors."""
    words = []
    for name, unit in (("plateau", ""), ("threshold", " GeV"), ("width", " GeV")):
        error = max(fit.errors[name])
        digits = min(5, max(0, 1 - math.floor(math.log10(error)))) if error > 0 else 4
        words.append(f"{name} ${fit.values[name]:.{digits}f} \\pm {error:.{digits}f}${unit}")
    return "\n".join(words)


def save(figure: Figure, path: Path) -> None:
    """Write ``path``.png and ``path``.svg."""
    for suffix in (".png", ".svg"):
        path.with_suffix(suffix).write_bytes(rendered(figure, suffix[1:]))


def rendered(figure: Figure, kind: str) -> bytes:
    """Return the figure as the bytes of a PNG or SVG file."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(buffer, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return buffer.getvalue()


def luminosity_text(luminosity_fb: float | None) -> str:
    """Return a luminosity in the unit that reads best."""
    if luminosity_fb is None:
        return "luminosity not known"
    factor, unit = next(
        ((f, u) for f, u in ((1.0, "fb"), (1e3, "pb"), (1e6, "nb")) if luminosity_fb * f >= 1.0), (1e9, "µb")
    )
    return f"{luminosity_fb * factor:.3g} {unit}$^{{-1}}$"


def _poisson_errors(counts: Array) -> Array:
    """Return (2, bins) errors below and above: the central 68.3 % interval of Garwood."""
    low, high = chi2.ppf(0.1587, 2 * counts) / 2, chi2.ppf(0.8413, 2 * counts + 2) / 2
    return np.stack([counts - low, high - counts])


def _panels() -> tuple[Figure, tuple[Axes, Axes]]:
    figure = Figure(figsize=(8.4, 6.4), layout=ConstrainedLayoutEngine(hspace=0.02, h_pad=0.04))
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3.2, 1.0))
    return figure, (upper, lower)


def _mass(mass_gev: float) -> str:
    return f"$m_a = {mass_gev:.3f}$ GeV"


def _caption(axes: Axes, result: ScanResult) -> None:
    energy = Frame.of(result.dataset.beam).sqrt_s_gev
    axes.set_title("darkline", loc="left", fontsize=12.5, fontweight="bold")
    words = f"simulated data, {luminosity_text(result.dataset.live_fb)} live, $\\sqrt{{s}}$ = {energy:.2f} GeV"
    axes.set_title(words, loc="right", fontsize=11)


def _mass_axis(axes: Axes, result: ScanResult) -> None:
    """Label the mass axis, and mark where the observable changes."""
    ranges = result.search.ranges
    axes.set_xscale("log")
    axes.set_xlim(0.97 * ranges[0].mass_gev[0], 1.03 * ranges[-1].mass_gev[1])
    axes.xaxis.set_major_locator(FixedLocator([0.2, 0.3, 0.5, 0.7, 1, 2, 3, 4, 5, 7, 9]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel("$m_a$ [GeV]")
    for before, after in itertools.pairwise(ranges):
        if before.observable != after.observable:
            edge = after.mass_gev[0]
            axes.axvline(edge, color=GREY, lw=0.9, ls="--")
            for name, side, shift in ((before.observable, "right", -4), (after.observable, "left", 4)):
                axes.annotate(
                    OBSERVABLE_LABELS[name],
                    (edge, 0.025),
                    xycoords=("data", "axes fraction"),
                    xytext=(shift, 0),
                    textcoords="offset points",
                    ha=side,
                    fontsize=9.5,
                    color=GREY,
                )


def _mark(axes: Axes, masses: Sequence[float], label: str, colour: str) -> None:
    """Draw ticks at masses on the lower edge of the frame."""
    if masses:
        axes.plot(
            masses,
            np.full(len(masses), 0.012),
            "|",
            transform=axes.get_xaxis_transform(),
            color=colour,
            ms=8,
            label=label,
        )


def _runs(result: ScanResult, values: Sequence[Any]) -> list[tuple[list[float], list[Any]]]:
    """Return (masses, values) of unbroken runs: a line bridges no point without value, and no change of observable."""
    runs: list[tuple[list[float], list[Any]]] = []
    pairs = zip(result.points, values, strict=True)
    for (has_value, _), group in itertools.groupby(pairs, key=lambda pair: (pair[1] is not None, pair[0].observable)):
        if has_value:
            points, run = zip(*group, strict=True)
            runs.append(([point.mass_gev for point in points], list(run)))
    return runs
