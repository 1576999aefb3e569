"""Figures of `darkline validate source`: the response as points, the quoted numbers as lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from commands.validate.checks import MASS, MUON, PION, POINTS, cut_of, half_width, likelihood_share, pulls
from commands.validate.guns import Gun, Shots
from commands.validate.masses import photon_pairs, track_pairs
from daq.event import Array
from daq.source.response.numbers import Calorimeter, Material, Tracking
from daq.source.response.tracks import CURVATURE
from offline.figures import BAND_2, BLUE, GREY, INK, ORANGE, STYLE, save

_GREEN = "#009E73"  # Okabe and Ito


def write_figures(gun: Gun, out: Path) -> list[Path]:
    """Draw every figure as PNG and SVG in the folder ``out``; return the paths of the PNG files."""
    out.mkdir(parents=True, exist_ok=True)
    drawn: tuple[tuple[str, Callable[[Gun], Figure]], ...] = (
        ("tracks", tracks),
        ("identification", identification),
        ("clusters", clusters),
        ("material_and_masses", material_and_masses),
        ("trigger", trigger),
    )
    paths = []
    for name, draw in drawn:
        with mpl.rc_context(STYLE):
            save(draw(gun), out / f"response_{name}")
        paths.append(out / f"response_{name}.png")
    return paths


def tracks(gun: Gun) -> Figure:
    """Draw resolutions and efficiencies of tracks, and their pulls."""
    figure, ((a, b, c), (d, e, f)) = _panels("tracks")
    momenta = np.geomspace(0.15, 6.0, 12)
    shots = [gun(-13, p, 90.0, mass=MUON) for p in momenta]
    width = [
        half_width(CURVATURE / np.abs(s.batch["tracks.omega_per_cm"].astype(float)) / p)
        for s, p in _zip(shots, momenta)
    ]
    fine = np.geomspace(0.12, 7.0, 100)
    beta = fine / np.hypot(fine, MUON)
    _compare(a, momenta, 100 * np.array(width), fine, 100 * np.hypot(0.0011 * fine, 0.0030 / beta), "quoted")
    _label(a, "p [GeV], muons at 90°", "σ(pT) / pT [%]", log=True)
    width = [1e4 * half_width(s.batch["tracks.d0_cm"].astype(float)) for s in shots]
    _compare(b, momenta, np.array(width), fine, 1e4 * np.hypot(0.0010, 0.0015 / fine), "quoted")
    _label(b, "p [GeV], muons at 90°", "σ(d0) [µm]", log=True)
    b.set_yscale("log")
    soft = np.geomspace(0.04, 2.0, 16)
    _points(c, soft, [gun(211, p, 90.0, mass=PION).has("tracks").mean() for p in soft])
    c.axhline(Tracking().efficiency, color=ORANGE, label="quoted, prompt")
    _label(c, "p [GeV], pions at 90°", "efficiency", log=True)
    angles = np.concatenate([np.arange(14, 30, 1.0), np.arange(30, 140, 5.0), np.arange(140, 156, 1.0)])
    _points(d, angles, [gun(211, 1.0, t, mass=PION).has("tracks").mean() for t in angles])
    for edge in (17.0, 150.0):
        d.axvline(edge, color=ORANGE, ls="--", label="quoted acceptance" if edge < 20 else None)
    _label(d, "θ [deg], pions of 1 GeV", "efficiency")
    radii = np.linspace(0.0, 110.0, 23)
    _points(e, radii, [gun(211, 1.0, 80.0, mass=PION, rho_cm=r).has("tracks").mean() for r in radii])
    e.plot(radii, 0.95 * np.exp(-0.5 * (radii / 60) ** 2), color=ORANGE, label="0.95 exp(-(ρ/60 cm)²/2), surrogate")
    _label(e, "production radius ρ [cm]", "efficiency")
    found = pulls(gun(-13, 1.0, 75.0, mass=MUON, rho_cm=5.0), 1, 5.0)
    edges = np.linspace(-4, 4, 41)
    for values, name, colour in zip(found.T, ("d0", "φ0", "ω", "z0", "tan λ"), _COLOURS, strict=True):
        f.hist(values, edges, density=True, histtype="step", color=colour, label=name)
    grid = np.linspace(-4, 4, 200)
    f.plot(grid, np.exp(-0.5 * grid**2) / math.sqrt(2 * math.pi), color=INK, lw=1, ls="--", label="normal")
    _label(f, "pull, from ρ = 5 cm", "density")
    return figure


_COLOURS = (BLUE, ORANGE, _GREEN, GREY, "#CC79A7")


def identification(gun: Gun) -> Figure:
    """Draw efficiency against rate of pions, against momentum and angle, and what the KLM sees."""
    figure, ((a, b), (c, d)) = _panels("identification", rows=2, columns=2)
    cuts = np.linspace(0.001, 0.999, 200)
    momenta, angles = np.array([0.3, 0.5, 0.65, 0.8, 1, 1.5, 2, 3, 4, 5, 6]), np.arange(14, 158, 6.0)
    for (pdg, name, title, efficiency, rate), colour in zip(POINTS, _COLOURS, strict=False):
        true, pions = (likelihood_share(gun(code, 2.0, 60.0, mass=MASS[code]), name) for code in (pdg, 211))
        a.plot([100 * (pions > cut).mean() for cut in cuts], [100 * (true > cut).mean() for cut in cuts], color=colour)
        a.plot(
            100 * rate,
            100 * efficiency,
            "*",
            ms=13,
            color=colour,
            mec=INK,
            label=f"{title}: {100 * efficiency:g} % at {100 * rate:g} %",
        )
        cut = cut_of(efficiency, rate)
        for axes, points, key in ((b, momenta, "p"), (c, angles, "theta")):
            for code, style in ((pdg, "-o"), (211, "--s")):
                where = [(p, 60.0) for p in points] if key == "p" else [(2.0, t) for t in points]
                shares = [likelihood_share(gun(code, p, t, mass=MASS[code]), name) for p, t in where]
                passed = [100 * (s > cut).mean() if s.size else np.nan for s in shares]
                axes.plot(points, passed, style, ms=3, lw=1, color=colour, label=title if code == pdg else None)
    a.set_xscale("log")
    a.set_xlim(0.05, 100)
    _label(a, "pions selected [%]", "efficiency [%]")
    a.set_title("2 GeV, 60°; stars: quoted", fontsize=10.5)
    _label(b, "p [GeV], at 60°", "selected [%] at the quoted cut")
    _label(c, "θ [deg], 2 GeV", "selected [%]; dashed: pions")
    fine = np.array([0.4, 0.5, 0.55, 0.6, 0.65, 0.7, 0.8, 0.9, 1.0, 1.2, 1.5, 2.0])
    for code, name, colour in ((13, "muons", BLUE), (211, "pions", GREY)):
        hits = [gun(code, p, 80.0, mass=MASS[code]).batch["tracks.klm_layers"] for p in fine]
        _points(d, fine, [100 * (h >= 4).mean() for h in hits], f"{name}, four layers or more", colour)
    d.axvline(0.6, color=ORANGE, ls="--", label="quoted threshold")
    d.axvline(1.0, color=ORANGE, ls=":", label="quoted plateau")
    _label(d, "p [GeV], at 80°", "in the KLM [%]")
    return figure


def clusters(gun: Gun) -> Figure:
    """Draw resolution, shape of the response, angular and energy dependence, shower shape and time."""
    figure, ((a, b, c), (d, e, f)) = _panels("clusters")
    energies = np.geomspace(0.1, 7.0, 12)
    shots = [gun(22, energy, 80.0) for energy in energies]
    width = [100 * half_width(_energy(s) / energy) for s, energy in _zip(shots, energies)]
    fine = np.geomspace(0.1, 7.0, 100)
    _compare(a, energies, np.array(width), fine, 100 * np.hypot(0.016 / fine, 0.016), "fit of the quoted")
    a.plot([0.65], [3.0], "*", ms=13, color=ORANGE, mec=INK, label="quoted: 3 % at 0.65 GeV")
    _label(a, "E [GeV], photons at 80°", "σ(E) / E [%]", log=True)
    a.set_yscale("log")
    for energy, colour in ((0.65, GREY), (5.0, BLUE)):
        ratio = _energy(gun(22, energy, 80.0)) / energy
        b.hist(ratio, np.linspace(0.75, 1.15, 81), density=True, histtype="step", color=colour, label=f"{energy:g} GeV")
    b.set_yscale("log")
    _label(b, "E measured / E true", "density")
    angles = np.concatenate([np.arange(11.6, 160, 0.4), [74.0, 74.2, 74.3]])
    angles.sort()
    small = Gun(max(1000, gun.events // 10), gun.seed)
    _points(c, angles, [_kept(small(22, 2.0, t)) for t in angles], size=1.5)
    for low, high in ((0, 12.4), (31.4, 32.2), (128.7, 130.7), (155.1, 165)):
        c.axvspan(low, high, color=BAND_2, lw=0)
    c.set_xlim(8, 163)
    _label(c, "θ [deg], photons of 2 GeV", "kept as photon")
    c.set_title("shaded: no crystals; 74.2°: crack", fontsize=10.5)
    soft = np.geomspace(0.02, 3.0, 16)
    _points(d, soft, [_kept(gun(22, energy, 60.0)) for energy in soft])
    d.axhline(0.90, color=ORANGE, label="quoted above 1.5 GeV")
    _label(d, "E [GeV], photons at 60°", "kept as photon", log=True)
    for pdg, name, colour in ((22, "photons", BLUE), (211, "pions", ORANGE)):
        shape = gun(pdg, 2.0, 60.0, mass=MASS.get(pdg, 0.0)).batch["clusters.zernike_mva"]
        e.hist(shape, np.linspace(0, 1, 41), density=True, histtype="step", color=colour, label=name)
    e.axvline(0.5, color=GREY, ls="--", label="cut of the trigger lines: 2 % of photons")
    e.set_yscale("log")
    _label(e, "Zernike MVA", "density")
    times = [half_width(s.batch["clusters.time_ns"][s.photons()].astype(float)) for s in shots]
    numbers = Calorimeter()
    _compare(f, energies, np.array(times), fine, np.hypot(numbers.time_constant, numbers.time_noise / fine), "chosen")
    _label(f, "E [GeV], photons at 80°", "σ(t) [ns]", log=True)
    return figure


def material_and_masses(gun: Gun) -> Figure:
    """Draw where photons convert, and three mass peaks over the width that the errors promise."""
    figure, ((a, b), (c, d)) = _panels("material and mass peaks", rows=2, columns=2)
    angles = np.arange(20, 150, 10.0)
    two = [100 * (np.diff(gun(22, 2.0, t).batch["tracks.offsets"]) > 0).mean() for t in angles]
    _points(a, angles, two, "with a track")
    depth = 7 / 9 * sum(Material().lengths) / np.sin(np.radians(angles))
    a.plot(angles, 100 * (1 - np.exp(-depth)), color=ORANGE, label="converted: 1 - exp(-7/9 X/X0)")
    _label(a, "θ [deg], photons of 2 GeV", "photons [%]")
    peaks = (
        (b, "π0 → γγ, 1 GeV", 0.134977, photon_pairs(gun.pairs(0.134977, (22, 22), 0.0, 1.0))),
        (c, "K0S → π+π-, 1 GeV", 0.497611, track_pairs(gun.pairs(0.497611, (211, -211), PION, 1.0), PION)),
        (d, "J/ψ → µ+µ-, 1 GeV", 3.09690, track_pairs(gun.pairs(3.09690, (-13, 13), MUON, 1.0), MUON)),
    )
    for axes, title, nominal, (mass, error) in peaks:
        edges = nominal + np.linspace(-6, 6, 61) * float(np.median(error))
        axes.hist(1e3 * mass, 1e3 * edges, histtype="step", color=BLUE, label=f"σ = {1e3 * half_width(mass):.2f} MeV")
        axes.axvline(1e3 * nominal, color=ORANGE, label=f"PDG; pull width {half_width((mass - nominal) / error):.2f}")
        axes.set_title(title, fontsize=11)
        axes.set_ylim(0, 1.3 * axes.get_ylim()[1])
        _label(axes, "mass [MeV]", "events", place="upper right")
    return figure


def trigger(gun: Gun) -> Figure:
    """Draw the turn-ons of cells, tracks and sectors."""
    figure, ((a, b), (c, d)) = _panels("trigger primitives", rows=2, columns=2)
    energies = np.geomspace(0.05, 1.0, 14)
    _points(a, energies, [gun(22, e, 80.0, trigger=True).has("tc").mean() for e in energies])
    a.axvline(0.1, color=ORANGE, ls="--", label="threshold of a cell: 100 MeV")
    _label(a, "E [GeV], photons at 80°", "with a cell", log=True)
    shots = gun(22, 2.0, np.random.default_rng(1).uniform(40, 120, gun.events), trigger=True)
    sums = [
        np.bincount(shots.rows(g), weights=shots.batch[f"{g}.energy_gev"], minlength=gun.events)
        for g in ("tc", "clusters")
    ]
    b.hist(sums[0] / np.maximum(sums[1], 1e-3), np.linspace(0.8, 1.1, 61), histtype="step", color=BLUE)
    _label(b, "energy of cells / of clusters, 2 GeV", "events")
    momenta = np.array([0.2, 0.25, 0.27, 0.28, 0.29, 0.3, 0.31, 0.32, 0.35, 0.4, 0.5, 0.7, 1.0, 2.0])
    fired = [gun(-13, p, 90.0, mass=MUON, trigger=True) for p in momenta]
    for group, name, colour in (
        ("trk2d", "2D finder", BLUE),
        ("trk3d", "3D fitter", ORANGE),
        ("trknn", "network", _GREEN),
    ):
        _points(c, momenta, [s.has(group).mean() for s in fired], name, colour)
    c.axvline(0.3, color=GREY, ls="--", label="34 steps of curvature")
    c.set_xlim(0.18, 0.72)
    _label(c, "pT [GeV], muons at 90°", "with a trigger track")
    points = np.array([0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 1.0, 1.5, 2.0])
    fired = [gun(13, p, 80.0, mass=MUON, trigger=True) for p in points]
    _points(d, points, [s.has("klm_track_sectors").mean() for s in fired], "muons")
    d.axvline(0.6, color=ORANGE, ls="--", label="quoted threshold of the KLM")
    _label(d, "p [GeV], at 80°", "with a KLM sector")
    return figure


def _energy(shots: Shots) -> Array:
    return np.asarray(shots.batch["clusters.energy_gev"][shots.photons()].astype(float))


def _kept(shots: Shots) -> float:
    """Return the share of events with the photon as a photon."""
    good = shots.photons() & (shots.batch["clusters.zernike_mva"] > 0.5)
    return np.unique(shots.rows("clusters")[good]).size / len(shots.batch)


def _zip(shots: list[Shots], values: Array) -> list[tuple[Shots, float]]:
    return list(zip(shots, values.tolist(), strict=True))


def _panels(title: str, rows: int = 2, columns: int = 3) -> tuple[Figure, Array]:
    figure = Figure(figsize=(4.6 * columns, 3.7 * rows), layout="constrained")
    figure.suptitle(f"$\\bf{{darkline}}$   detector response: {title}", fontsize=12, color=INK)
    return figure, figure.subplots(rows, columns)


def _points(axes: Axes, x: Array, y: object, label: str = "response", colour: str = BLUE, size: float = 4.0) -> None:
    axes.plot(x, np.asarray(y), "o", ms=size, color=colour, label=label)


def _compare(axes: Axes, x: Array, y: Array, fine: Array, line: Array, label: str) -> None:
    axes.plot(fine, line, color=ORANGE, label=label)
    _points(axes, x, y)


def _label(axes: Axes, x: str, y: str, *, log: bool = False, place: Any = "best") -> None:
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if log:
        axes.set_xscale("log")
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=9, loc=place)
