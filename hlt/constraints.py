"""A point on two tracks as a least-squares problem with constraints: the algebra that both vertex fits share.

Each track has two constraints g (in the bending plane and along the beam) on its parameters a and the vertex v, made
linear: g = r + D (a - a0) + E (v - v0), where r is g carried back to the measured a0. With W the inverse covariance of
g, the vertex minimises the sum of g^T W g over the tracks. All inverses are of 2 x 2 and 3 x 3 matrices.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from daq.jit import kernel_inline

Point = tuple[float, float, float]


class Linear(NamedTuple):
    """The linear constraints of one track; the first one does not depend on the vertex' z."""

    e1x: float
    e1y: float
    e2x: float
    e2y: float
    e2z: float
    w11: float  # inverse covariance of the constraints
    w12: float
    w22: float
    r1: float
    r2: float
    h1: Any  # covariance of the track times the derivatives of the first constraint
    h2: Any


@kernel_inline
def linear(
    e1: tuple[float, float], e2: Point, s11: float, s12: float, s22: float, r1: float, r2: float, h1: Any, h2: Any
) -> tuple[bool, Linear]:
    """Return the constraints of a track whose covariance is ``s``; False if that has no inverse."""
    det = s11 * s22 - s12 * s12
    inverse = 1.0 / det
    return det != 0.0 and math.isfinite(det), Linear(
        e1[0], e1[1], e2[0], e2[1], e2[2], s22 * inverse, -s12 * inverse, s11 * inverse, r1, r2, h1, h2
    )


@kernel_inline
def chi2_of(t: Linear) -> float:
    """Return the contribution of a track to chi2, at the vertex where its constraints were made linear."""
    return t.r1 * (t.w11 * t.r1 + t.w12 * t.r2) + t.r2 * (t.w12 * t.r1 + t.w22 * t.r2)


@kernel_inline
def solve(one: Linear, two: Linear) -> tuple[bool, Point]:
    """Return minus the step of the vertex that minimises chi2; False if it is undetermined."""
    gx = gy = gz = 0.0
    for t in (one, two):
        f1, f2 = t.w11 * t.r1 + t.w12 * t.r2, t.w12 * t.r1 + t.w22 * t.r2
        gx += t.e1x * f1 + t.e2x * f2
        gy += t.e1y * f1 + t.e2y * f2
        gz += t.e2z * f2
    ok, xx, xy, xz, yy, yz, zz = vertex_covariance(one, two)
    return ok, (xx * gx + xy * gy + xz * gz, xy * gx + yy * gy + yz * gz, xz * gx + yz * gy + zz * gz)


@kernel_inline
def vertex_covariance(one: Linear, two: Linear) -> tuple[bool, float, float, float, float, float, float]:
    """Return xx, xy, xz, yy, yz, zz of the covariance of the vertex; False if it is infinite."""
    xx = xy = yy = xz = yz = zz = 0.0
    for t in (one, two):
        fx1, fx2 = t.w11 * t.e1x + t.w12 * t.e2x, t.w12 * t.e1x + t.w22 * t.e2x
        fy1, fy2 = t.w11 * t.e1y + t.w12 * t.e2y, t.w12 * t.e1y + t.w22 * t.e2y
        fz1, fz2 = t.w12 * t.e2z, t.w22 * t.e2z
        xx += t.e1x * fx1 + t.e2x * fx2
        xy += t.e1x * fy1 + t.e2x * fy2
        yy += t.e1y * fy1 + t.e2y * fy2
        xz += t.e1x * fz1 + t.e2x * fz2
        yz += t.e1y * fz1 + t.e2y * fz2
        zz += t.e2z * fz2
    c_xx, c_xy, c_xz = yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy
    c_yy, c_yz, c_zz = xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy
    det = xx * c_xx + xy * c_xy + xz * c_xz
    inverse = 1.0 / det
    ok = det != 0.0 and math.isfinite(det)
    return ok, c_xx * inverse, c_xy * inverse, c_xz * inverse, c_yy * inverse, c_yz * inverse, c_zz * inverse


@kernel_inline
def pulls(t: Linear, step: Point) -> tuple[float, float]:
    """Return the Lagrange multipliers of a track's constraints after ``step = solve(...)``."""
    q1 = t.r1 - t.e1x * step[0] - t.e1y * step[1]
    q2 = t.r2 - t.e2x * step[0] - t.e2y * step[1] - t.e2z * step[2]
    return t.w11 * q1 + t.w12 * q2, t.w12 * q1 + t.w22 * q2
