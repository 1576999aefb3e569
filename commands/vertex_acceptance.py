"""How far from the beam a two-track vertex is found: KFit as Belle II's trigger runs it, beside the circles fit.

Toy pairs: a particle of a given mass and of 1 to 3 GeV/c, polar angle 30 to 120 degrees, decays isotropically to two
muons at a transverse distance of 0 to 60 cm, flat; both go through the parametrised detector (`daq.source.detector`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from daq.event import EventBatch
from daq.jit import Array
from daq.settings import BeamSettings
from daq.source.detector import respond
from daq.source.particles import Particles
from hlt.displaced.settings import VertexSettings
from hlt.kinematics import cm_frame
from hlt.variables import filter_variables

MUON_GEV = 0.1056583755
MAX_RADIUS_CM = 60.0
MASSES_GEV = (0.3, 0.5, 1.0, 2.0)


def displaced_pairs(mass_gev: float, n_events: int, seed: int) -> tuple[Particles, Array]:
    """Return decays to two muons, and the (n, 3) true vertices [cm]."""
    rng = np.random.default_rng([seed, round(1000 * mass_gev)])
    flight = _direction(rng.uniform(np.cos(np.radians(120)), np.cos(np.radians(30)), n_events), rng)
    momentum = rng.uniform(1.0, 3.0, n_events)[:, None] * flight
    vertex = flight * (rng.uniform(0.0, MAX_RADIUS_CM, n_events) / np.hypot(flight[:, 0], flight[:, 1]))[:, None]
    at_rest = np.sqrt(mass_gev**2 / 4 - MUON_GEV**2) * _direction(rng.uniform(-1.0, 1.0, n_events), rng)
    energy = np.sqrt(np.sum(momentum**2, axis=1) + mass_gev**2)
    along = np.sum(momentum * at_rest, axis=1) / (energy + mass_gev)
    boosts = [(sign * along + mass_gev / 2) / mass_gev for sign in (1, -1)]
    muons = np.stack([sign * at_rest + momentum * b[:, None] for sign, b in zip((1, -1), boosts, strict=True)], axis=1)
    flat, places = muons.reshape(-1, 3), np.repeat(vertex, 2, axis=0)
    particles = Particles.build(
        2 * np.arange(n_events + 1),
        pdg=np.tile([13, -13], n_events),
        energy=np.sqrt(np.sum(flat**2, axis=1) + MUON_GEV**2),
        **{f"p{axis}": flat[:, k] for k, axis in enumerate("xyz")},
        **{axis: places[:, k] for k, axis in enumerate("xyz")},
    )
    return particles, vertex


def _direction(cosine: Array, rng: np.random.Generator) -> Array:
    """Return (n, 3) unit vectors at these polar angles, in any azimuth."""
    azimuth, sine = rng.uniform(-np.pi, np.pi, cosine.size), np.sqrt(1.0 - cosine**2)
    return np.stack([sine * np.cos(azimuth), sine * np.sin(azimuth), cosine], axis=1)


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What became of the pairs of one mass, in bins of the true radius; (n_bins,) each, the fits by name."""

    mass_gev: float
    edges_cm: Array
    both_tracks: Array
    """Share of the decays of which both tracks are found, with hits in the drift chamber."""
    good: dict[str, Array]
    """Share of these whose fit has a chi2 probability above 0.005."""
    near: dict[str, Array]
    """Share of these that are also within 1 cm of the truth."""
    shift_cm: dict[str, Array]
    """(n_bins, 3): 16 %, 50 % and 84 % quantile of fitted minus true radius of the good ones [cm]."""

    def record(self) -> dict[str, Any]:
        """Return it as plain lists."""
        fits = {
            name: {
                "good": self.good[name].tolist(),
                "near": self.near[name].tolist(),
                "shift_cm": self.shift_cm[name].tolist(),
            }
            for name in self.good
        }
        return {
            "mass_gev": self.mass_gev,
            "radius_cm": self.edges_cm.tolist(),
            "both_tracks": self.both_tracks.tolist(),
            **fits,
        }


def acceptance(mass_gev: float, n_events: int, seed: int, *, n_bins: int = 15) -> Acceptance:
    """Fit pairs of one mass with both fits."""
    particles, true = displaced_pairs(mass_gev, n_events, seed)
    batch = EventBatch(n_events, respond(particles, first_event=0, seed=seed, run=1))
    table, fits = filter_variables(batch, {}, cm_frame(BeamSettings()), vertex=VertexSettings(seed="circles"))
    both = fits["status"] >= 0
    kfit = np.stack([fits[f"{axis}_cm"] for axis in "xyz"], axis=1)
    circles = np.stack([table[f"dv_{axis}_cm"] for axis in "xyz"], axis=1)
    enough = 7.8794386  # chi2 of one degree of freedom with a probability of 0.005
    good = {
        "kfit": both & (fits["status"] == 0) & (fits["chi2"] < enough),
        "circles": both & (table["dv_status"] == 0),
    }
    edges = np.linspace(0.0, MAX_RADIUS_CM, n_bins + 1)
    radius = np.hypot(true[:, 0], true[:, 1])
    found = np.histogram(radius[both], edges)[0]

    def share(of: Array) -> Array:
        return np.asarray(np.histogram(radius[of], edges)[0] / found)

    near, shift = {}, {}
    for name, at in (("kfit", kfit), ("circles", circles)):
        near[name] = share(good[name] & (np.linalg.norm(at - true, axis=1) < 1.0))
        off = np.hypot(at[:, 0], at[:, 1]) - radius
        place = np.digitize(radius, edges) - 1
        shift[name] = np.array([np.quantile(off[good[name] & (place == k)], [0.16, 0.5, 0.84]) for k in range(n_bins)])
    both_share = found / np.histogram(radius, edges)[0]
    return Acceptance(mass_gev, edges, both_share, {name: share(of) for name, of in good.items()}, near, shift)


def make(out: Path, n_events: int, seed: int) -> list[Acceptance]:
    """Compute the acceptance for every mass and draw it."""
    found = [acceptance(mass, n_events, seed) for mass in MASSES_GEV]
    draw(found, out)
    return found


def draw(found: Sequence[Acceptance], path: Path) -> None:
    """Draw the acceptance and the shift of both fits against the true radius, one column a mass."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    from offline.figures import BLUE, GREY, ORANGE, STYLE

    looks = {"kfit": (ORANGE, "KFit from the origin (Belle II)"), "circles": (BLUE, "from the crossing of the circles")}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * len(found), 6.2), layout=ConstrainedLayoutEngine(hspace=0.02))
        panels = figure.subplots(2, len(found), sharex=True, squeeze=False)
        for k, each in enumerate(found):
            upper, lower = panels[0, k], panels[1, k]
            centres = 0.5 * (each.edges_cm[1:] + each.edges_cm[:-1])
            upper.stairs(each.both_tracks, each.edges_cm, baseline=None, color=GREY, lw=1.2, label="both tracks found")
            for name, (colour, label) in looks.items():
                upper.stairs(each.good[name], each.edges_cm, baseline=None, color=colour, lw=1.9, label=label)
                upper.stairs(each.near[name], each.edges_cm, baseline=None, color=colour, lw=1.3, ls=(0, (3, 2)))
                low, middle, high = each.shift_cm[name].T
                lower.fill_between(centres, low, high, color=colour, alpha=0.25, lw=0)
                lower.plot(centres, middle, color=colour, lw=1.9)
            lower.axhline(0.0, color=GREY, lw=0.9, zorder=0)
            widest = 1.1 * max(np.abs(shift).max() for shift in each.shift_cm.values())
            lower.set_ylim(-widest, widest)
            upper.set_ylim(0.0, 1.05)
            upper.set_xlim(0.0, MAX_RADIUS_CM)
            upper.set_title(f"{each.mass_gev:g} GeV, 1 to 3 GeV/c", fontsize=11.5)
            lower.set_xlabel("true transverse distance [cm]")
        panels[0, 0].set_ylabel("share")
        panels[1, 0].set_ylabel("fitted - true radius [cm]")
        panels[0, 0].legend(loc="lower left", fontsize=8.5)
        panels[0, -1].text(
            0.05, 0.05, "solid: probability > 0.005\ndashed: and within 1 cm\nband: 68 %", fontsize=8.5,
            transform=panels[0, -1].transAxes, va="bottom",
        )  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def table(found: Sequence[Acceptance]) -> str:
    """Return the figure as text: shares of the pairs with both tracks found."""
    lines = ["mass [GeV]  radius [cm]  both tracks  KFit good  near   circles good  near"]
    for each in found:
        for k in range(each.both_tracks.size):
            span = f"{each.edges_cm[k]:.0f}-{each.edges_cm[k + 1]:.0f}"
            kfit, circles = (f"{each.good[name][k]:9.3f} {each.near[name][k]:6.3f}" for name in ("kfit", "circles"))
            lines.append(f"{each.mass_gev:10g}  {span:>11}  {each.both_tracks[k]:11.3f} {kfit}   {circles}")
    return "\n".join(lines)
