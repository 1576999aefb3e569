"""The vertex of two helices from where their circles cross: least squares with the momenta taken along.

The same constraints as in KFit, but on the five helix parameters with their full covariance, from a start that is near
the answer, iterated until the vertex moves by less than a hundredth of its error. What comes out are the vertex with
its covariance, and the momenta that both tracks have there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel, kernel_inline
from hlt.constraints import Linear, Point, linear, pulls, solve, vertex_covariance
from hlt.displaced.helix import Five, constraints, crossings, turn_at, z_at
from hlt.kinematics import pt_at_curvature

NO_PAIR, FITTED, NO_CROSSING, SINGULAR, NOT_CONVERGED = -1, 0, 1, 2, 3
"""Status of a fit; no crossing: the circles neither cross nor come near inside of the tracking volume."""


class Vertex(NamedTuple):
    """A fitted vertex [cm] and the momenta of its tracks there [GeV/c]."""

    status: int
    chi2: float
    x: float
    y: float
    z: float
    xx: float  # covariance
    xy: float
    xz: float
    yy: float
    yz: float
    zz: float
    p1: Point
    p2: Point


@kernel
def no_vertex(status: int) -> Vertex:
    """Return a vertex that is none."""
    nan, nowhere = np.nan, (np.nan, np.nan, np.nan)
    return Vertex(status, nan, nan, nan, nan, nan, nan, nan, nan, nan, nan, nowhere, nowhere)


@kernel
def fit_crossing(one: Five, two: Five, cov: Array, t_1: int, t_2: int, enough: float, max_radius_cm: float) -> Vertex:
    """Fit two helices; start at the crossing where they are closest in z, then, if chi2 > ``enough``, at the other.

    ``cov[t]`` is the covariance of a helix: 15 numbers, upper triangle row by row. The smaller chi2 is returned.
    """
    at = crossings(one, two)
    gap_1 = abs(z_at(one, at.x1, at.y1) - z_at(two, at.x1, at.y1))
    gap_2 = abs(z_at(one, at.x2, at.y2) - z_at(two, at.x2, at.y2))
    near_1 = at.x1 * at.x1 + at.y1 * at.y1 < max_radius_cm * max_radius_cm
    near_2 = at.x2 * at.x2 + at.y2 * at.y2 < max_radius_cm * max_radius_cm
    first_is_1 = near_1 and (gap_1 <= gap_2 or not near_2)
    if not (near_1 or near_2):
        return no_vertex(NO_CROSSING)
    x, y = (at.x1, at.y1) if first_is_1 else (at.x2, at.y2)
    first = _fit_from(one, two, cov, t_1, t_2, x, y, max_radius_cm)
    if (first.status == FITTED and first.chi2 <= enough) or not (near_1 and near_2):
        return first
    x, y = (at.x2, at.y2) if first_is_1 else (at.x1, at.y1)
    second = _fit_from(one, two, cov, t_1, t_2, x, y, max_radius_cm)
    if second.status == FITTED and not (first.status == FITTED and first.chi2 <= second.chi2):
        return second
    return first


@kernel
def _fit_from(one: Five, two: Five, cov: Array, t_1: int, t_2: int, x: float, y: float, max_radius_cm: float) -> Vertex:
    vertex = (x, y, 0.5 * (z_at(one, x, y) + z_at(two, x, y)))
    now_1, now_2 = one, two
    for _ in range(15):
        ok_1, track_1 = _linear(one, now_1, cov, t_1, vertex)
        ok_2, track_2 = _linear(two, now_2, cov, t_2, vertex)
        ok, step = solve(track_1, track_2)
        if not (ok_1 and ok_2 and ok and math.isfinite(step[0] + step[1] + step[2])):
            return no_vertex(SINGULAR)
        vertex = (vertex[0] - step[0], vertex[1] - step[1], vertex[2] - step[2])
        pull_1, pull_2 = pulls(track_1, step), pulls(track_2, step)
        now_1, now_2 = _moved(one, track_1, pull_1), _moved(two, track_2, pull_2)
        if now_1[2] * one[2] <= 0.0 or now_2[2] * two[2] <= 0.0:  # a track would change its charge
            return no_vertex(SINGULAR)
        if vertex[0] * vertex[0] + vertex[1] * vertex[1] > 4.0 * max_radius_cm * max_radius_cm:
            return no_vertex(NOT_CONVERGED)
        moved = _square(track_1, step) + _square(track_2, step)
        if moved < 1e-4:
            _, xx, xy, xz, yy, yz, zz = vertex_covariance(track_1, track_2)
            chi2 = _after(track_1, step, pull_1) + _after(track_2, step, pull_2)
            if not (chi2 > -1e-9 and xx > 0.0 and yy > 0.0 and zz > 0.0):  # the covariance of a track was none
                return no_vertex(SINGULAR)
            return Vertex(
                FITTED, max(chi2, 0.0), vertex[0], vertex[1], vertex[2], xx, xy, xz, yy, yz, zz,
                _momentum_at(now_1, vertex), _momentum_at(now_2, vertex),
            )  # fmt: skip
    return no_vertex(NOT_CONVERGED)


@kernel_inline
def _linear(measured: Five, now: Five, cov: Array, t: int, vertex: Point) -> tuple[bool, Linear]:
    """Return the constraints of a track, linear about ``now`` and the vertex, carried back to ``measured``."""
    g1, g2, d1, d2, e1, e2 = constraints(now, vertex)
    h1, h2 = _times(cov, t, d1), _times(cov, t, d2)
    back = (
        measured[0] - now[0],
        measured[1] - now[1],
        measured[2] - now[2],
        measured[3] - now[3],
        measured[4] - now[4],
    )
    r1, r2 = g1 + _dot(d1, back), g2 + _dot(d2, back)
    return linear(e1, e2, _dot(d1, h1), _dot(d1, h2), _dot(d2, h2), r1, r2, h1, h2)


@kernel_inline
def _times(cov: Array, t: int, d: Five) -> Five:
    return (
        cov[t, 0] * d[0] + cov[t, 1] * d[1] + cov[t, 2] * d[2] + cov[t, 3] * d[3] + cov[t, 4] * d[4],
        cov[t, 1] * d[0] + cov[t, 5] * d[1] + cov[t, 6] * d[2] + cov[t, 7] * d[3] + cov[t, 8] * d[4],
        cov[t, 2] * d[0] + cov[t, 6] * d[1] + cov[t, 9] * d[2] + cov[t, 10] * d[3] + cov[t, 11] * d[4],
        cov[t, 3] * d[0] + cov[t, 7] * d[1] + cov[t, 10] * d[2] + cov[t, 12] * d[3] + cov[t, 13] * d[4],
        cov[t, 4] * d[0] + cov[t, 8] * d[1] + cov[t, 11] * d[2] + cov[t, 13] * d[3] + cov[t, 14] * d[4],
    )


@kernel_inline
def _dot(a: Five, b: Five) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] + a[4] * b[4]


@kernel_inline
def _moved(measured: Five, track: Linear, pull: tuple[float, float]) -> Five:
    """Return the helix that meets the constraints after the vertex' step."""
    l1, l2 = pull
    h1, h2 = track.h1, track.h2
    return (
        measured[0] - h1[0] * l1 - h2[0] * l2,
        measured[1] - h1[1] * l1 - h2[1] * l2,
        measured[2] - h1[2] * l1 - h2[2] * l2,
        measured[3] - h1[3] * l1 - h2[3] * l2,
        measured[4] - h1[4] * l1 - h2[4] * l2,
    )


@kernel_inline
def _square(t: Linear, step: Point) -> float:
    """Return the square of a step of the vertex in units of the constraints' errors."""
    q1 = t.e1x * step[0] + t.e1y * step[1]
    q2 = t.e2x * step[0] + t.e2y * step[1] + t.e2z * step[2]
    return q1 * (t.w11 * q1 + t.w12 * q2) + q2 * (t.w12 * q1 + t.w22 * q2)


@kernel_inline
def _after(t: Linear, step: Point, pull: tuple[float, float]) -> float:
    """Return the contribution of a track to chi2 after the step."""
    q1 = t.r1 - t.e1x * step[0] - t.e1y * step[1]
    q2 = t.r2 - t.e2x * step[0] - t.e2y * step[1] - t.e2z * step[2]
    return q1 * pull[0] + q2 * pull[1]


@kernel_inline
def _momentum_at(helix: Five, vertex: Point) -> Point:
    phi = helix[1] - turn_at(helix, vertex[0], vertex[1])
    pt = pt_at_curvature(helix[2])
    return pt * math.cos(phi), pt * math.sin(phi), pt * helix[4]
