"""Pictures of one event: as a figure in r-phi and r-z, and in r-phi as characters.

Drawn are what the reconstruction gives (tracks as helices up to the ECL, clusters by their energy) and, in the figure,
the trigger cells and KLM sectors that fired. Lengths are in cm. The detector is a sketch: the outline of the drift
chamber and of the ECL, as the response has them.
"""

from __future__ import annotations

import math

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle, Wedge

from daq.event import Array, EventBatch
from daq.source.front.cells import trigger_cells
from daq.source.helix import (
    ECL_BACK_CM,
    ECL_FRONT_CM,
    ECL_RADIUS_CM,
    SUPERLAYERS,
    arc_to_radius,
    position,
    transverse_gev,
)
from offline.figures import BLUE, GREY, INK, ORANGE, STYLE

GREEN = "#009E73"  # Okabe and Ito, as the others
_HELIX = ("d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda")
_BAR_CM = 40.0  # length of the bar of the most energetic cluster
_OUT_OF_TIME = 2.0  # times dt99
_KLM_CM = 205.0  # inner radius of the barrel
_ROWS = 31  # of the picture in characters; it is twice as wide


def track_points(batch: EventBatch, track: int, steps: int = 80) -> Array:
    """Return (steps, 3) points of a track, from its perigee to where it leaves the space inside of the ECL."""
    d0, phi0, omega, z0, tan_lambda = (float(batch[f"tracks.{name}"][track]) for name in _HELIX)
    end = arc_to_radius(d0, omega, ECL_RADIUS_CM)
    if math.isnan(end):
        end = 2.0 * math.pi / abs(omega)  # it curls up, perhaps up to an end cap
    if tan_lambda:
        to_end = ((ECL_FRONT_CM if tan_lambda > 0 else ECL_BACK_CM) - z0) / tan_lambda
        end = min(end, to_end) if to_end > 0 else end
    return np.array([position(d0, phi0, omega, z0, tan_lambda, arc) for arc in np.linspace(0.0, end, steps)])


def cluster_points(batch: EventBatch) -> Array:
    """Return (n, 3) places of the clusters."""
    r, theta, phi = (batch[f"clusters.{name}"].astype(float) for name in ("r_cm", "theta", "phi"))
    return np.stack([r * np.sin(theta) * np.cos(phi), r * np.sin(theta) * np.sin(phi), r * np.cos(theta)], axis=1)


# ---- as a figure


def draw(batch: EventBatch, title: str) -> Figure:
    """Return the figure of one event: r-phi seen from +z on the left, r-z on the right, r signed by the side of y."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(12.6, 6.6), layout="constrained")
        across, along = figure.subplots(1, 2, width_ratios=[1.0, 1.12])
        _detector_across(across, batch)
        _detector_along(along)
        for track in range(batch["tracks.charge"].size):
            points = track_points(batch, track)
            colour = ORANGE if batch["tracks.charge"][track] > 0 else BLUE
            label = _track_label(batch, track)
            across.plot(points[:, 0], points[:, 1], color=colour, lw=1.4, label=label)
            along.plot(points[:, 2], _signed_radius(points), color=colour, lw=1.4)
        _cells(across, along, batch)
        _clusters(across, along, batch)
        across.plot([], [], color=GREEN, lw=3.2, label="cluster [GeV]")
        across.plot([], [], color=GREY, lw=3.2, label="cluster out of time")
        figure.legend(*across.get_legend_handles_labels(), loc="outside lower center", ncols=6, fontsize=9.5)
        figure.suptitle(title, fontsize=12.5)
        return figure


def _track_label(batch: EventBatch, track: int) -> str:
    pt = transverse_gev(float(batch["tracks.omega_per_cm"][track]))
    momentum = pt * math.hypot(1.0, float(batch["tracks.tan_lambda"][track]))
    likelihoods = {name: float(batch[f"tracks.pid_{name}"][track]) for name in ("e", "mu", "pi", "k", "p")}
    best = max(likelihoods, key=lambda name: likelihoods[name])
    name = {"mu": r"\mu", "pi": r"\pi", "k": "K"}.get(best, best)
    return rf"${name}^{'+' if batch['tracks.charge'][track] > 0 else '-'}$ {momentum:.2f} GeV"


def _signed_radius(points: Array) -> Array:
    """Return the distance from the z axis, positive for what ends at positive y."""
    side = 1.0 if points[-1, 1] >= 0 else -1.0
    signed: Array = side * np.hypot(points[:, 0], points[:, 1])
    return signed


def _detector_across(axes: Axes, batch: EventBatch) -> None:
    for radius in (SUPERLAYERS[0, 0] - 4, *SUPERLAYERS[::2, 0], SUPERLAYERS[-1, 0] + 4):
        axes.add_patch(Circle((0, 0), radius, fill=False, ec=GREY, lw=0.4, alpha=0.6))
    axes.add_patch(Circle((0, 0), ECL_RADIUS_CM, fill=False, ec=INK, lw=1.2))
    fired = int(batch["bklm_mask_fwd"][0]) | int(batch["bklm_mask_bwd"][0])
    for sector in range(8):
        is_on = bool(fired >> sector & 1)
        middle = 45.0 * sector
        axes.add_patch(
            Wedge(
                (0, 0), _KLM_CM + 15, middle - 22, middle + 22, width=15, ec=GREY, lw=0.5,
                fc=ORANGE if is_on else "none", alpha=0.7 if is_on else 0.5,
            )
        )  # fmt: skip
    axes.set(xlabel="$x$ [cm]", ylabel="$y$ [cm]", xlim=(-230, 230), ylim=(-230, 230), aspect="equal")


def _detector_along(axes: Axes) -> None:
    back, front = SUPERLAYERS[:, 1], SUPERLAYERS[:, 2]
    for side in (1.0, -1.0):
        axes.plot([*back, *front[::-1], back[0]], side * np.array([*SUPERLAYERS[:, 0], *SUPERLAYERS[::-1, 0],
                  SUPERLAYERS[0, 0]]), color=GREY, lw=0.5, alpha=0.8)  # fmt: skip
    width, height = ECL_FRONT_CM - ECL_BACK_CM, 2 * ECL_RADIUS_CM
    axes.add_patch(Rectangle((ECL_BACK_CM, -ECL_RADIUS_CM), width, height, fill=False, ec=INK, lw=1.2))
    axes.set(xlabel="$z$ [cm]", ylabel=r"$\pm\sqrt{x^2+y^2}$ [cm]", xlim=(-190, 290), ylim=(-215, 215), aspect="equal")


def _cells(across: Axes, along: Axes, batch: EventBatch) -> None:
    places = trigger_cells().positions[batch["tc.id"].astype(int) - 1]
    for axes, x, y in (
        (across, places[:, 0], places[:, 1]),
        (along, places[:, 2], np.where(places[:, 1] >= 0, 1, -1) * np.hypot(places[:, 0], places[:, 1])),
    ):
        axes.scatter(
            x, y, s=46, marker="s", facecolors="none", edgecolors=INK, linewidths=0.8, label="ECL trigger cell"
        )


def _clusters(across: Axes, along: Axes, batch: EventBatch) -> None:
    """Draw clusters as bars that point outwards, as long as the root of their energy; those out of time in grey."""
    energies = batch["clusters.energy_gev"].astype(float)
    if not energies.size:
        return
    lengths = _BAR_CM * np.sqrt(np.maximum(energies, 0.0) / max(energies.max(), 1e-9)) + 2.0
    late = np.abs(batch["clusters.time_ns"]) > _OUT_OF_TIME * batch["clusters.dt99_ns"]
    for place, length, energy, is_late in zip(cluster_points(batch), lengths, energies, late, strict=True):
        x, y, z = place
        rho = math.hypot(x, y)
        colour = GREY if is_late else GREEN
        outwards = np.array([x, y]) / rho
        tip = np.array([x, y]) + length * outwards
        across.plot([x, tip[0]], [y, tip[1]], color=colour, lw=3.2, solid_capstyle="butt")
        signed, r = math.copysign(rho, y), math.hypot(rho, z)
        end = (z + length * z / r, signed + length * signed / r)
        along.plot([z, end[0]], [signed, end[1]], color=colour, lw=3.2, solid_capstyle="butt")
        if energy > 0.1:
            along.annotate(f"{energy:.2f}", end, fontsize=8, color=INK, ha="center", va="center",
                           xytext=(9 * z / r, 9 * signed / r), textcoords="offset points")  # fmt: skip


# ---- as characters


def characters(batch: EventBatch) -> list[str]:
    """Return the event in r-phi as lines of text; the first says what the marks are."""
    canvas = [[" "] * (2 * _ROWS + 1) for _ in range(_ROWS)]
    scale = (_ROWS // 2) / (ECL_RADIUS_CM * 1.08)

    def put(x: float, y: float, mark: str) -> None:
        row, column = round(_ROWS // 2 - y * scale), round(_ROWS + 2 * x * scale)
        if 0 <= row < _ROWS and 0 <= column <= 2 * _ROWS:
            canvas[row][column] = mark

    for turn in np.linspace(0, 2 * math.pi, 240):
        put(ECL_RADIUS_CM * math.cos(turn), ECL_RADIUS_CM * math.sin(turn), ".")
    put(0.0, 0.0, "o")
    for track in range(batch["tracks.charge"].size):
        for x, y, _ in track_points(batch, track):
            put(x, y, chr(ord("a") + track % 26))
    for number, (x, y, _) in enumerate(cluster_points(batch), start=1):
        out = 1.06 * max(1.0, 0.25 * ECL_RADIUS_CM / max(1e-9, math.hypot(x, y)))
        put(out * x, out * y, str(number % 10))
    legend = "r-phi, seen from +z: letters are tracks, digits clusters (the last of their number), dots the barrel ECL"
    return [legend, *("".join(line).rstrip() for line in canvas)]
