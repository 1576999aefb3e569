"""The two-track vertex of the displaced-vertex line: KFit as the Belle II public software runs it on the trigger.

A least-squares fit of one point to two helices in a field of 1.5 T, no mass, beam-spot or pointing constraint
(analysis/VertexFitting/KFit, mode without track correlations; one degree of freedom). Its starting point, the origin,
and its stop rule decide which of two crossings it finds, and whether it fails; both are kept, so a better fit would
be a wrong one here.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel, kernel_inline
from hlt.constraints import Linear, Point, chi2_of, linear, pulls, solve
from hlt.kinematics import dphi_deg, pt_at_curvature, theta_sum_deg

NO_PAIR, FITTED, SINGULAR, ARCSINE = -1, 0, 32, 33
"""Status of a fit; 32 and 33 are KFit's error codes: a matrix has no inverse, the vertex is out of a helix' reach."""

FIT: np.dtype[Any] = np.dtype(
    [
        ("status", "<i4"),
        ("chi2", "<f8"),  # -1 if the fit failed, NaN if there is no pair
        ("x_cm", "<f8"),  # 0 if the fit failed, NaN if there is no pair
        ("y_cm", "<f8"),
        ("z_cm", "<f8"),
    ]
)

Six = tuple[float, float, float, float, float, float]


@kernel
def fit_pairs(fits: Array, pairs: Array, legs: Array, cov: Array) -> None:
    """Fit the vertex of each pair.

    Parameters
    ----------
    fits
        (N,) `FIT`, filled here.
    pairs
        (N, 2) int: the tracks of each pair; -1 for none.
    legs
        (n_tracks,) `hlt.objects.LEG`.
    cov
        (n_tracks, 15): covariance of (d0, phi0, omega, z0, tan_lambda), upper triangle row by row.
    """
    covariances = np.empty((2, 6, 6))
    kappa = pt_at_curvature(1.0)
    for i in range(fits.size):
        one, two = pairs[i, 0], pairs[i, 1]
        if one < 0 or two < 0:
            fits[i].status = NO_PAIR
            fits[i].chi2 = fits[i].x_cm = fits[i].y_cm = fits[i].z_cm = np.nan
            continue
        a_1, a_2 = perigee(legs[one]), perigee(legs[two])
        perigee_covariance(covariances, 0, legs[one], a_1, cov, one)
        perigee_covariance(covariances, 1, legs[two], a_2, cov, two)
        fit_vertex(
            fits[i], a_1, a_2, -kappa * legs[one].charge, -kappa * legs[two].charge, covariances[0], covariances[1]
        )


@kernel_inline
def perigee(leg: Any) -> Six:
    """Return (px, py, pz, x, y, z) of a helix at its perigee [GeV/c, cm]."""
    p = leg.lab
    return p.x, p.y, p.z, leg.d0 * p.y / leg.pt, -leg.d0 * p.x / leg.pt, leg.z0


@kernel_inline
def perigee_covariance(out: Array, k: int, leg: Any, a: Six, packed: Array, t: int) -> None:
    """Write the (6, 6) covariance of ``a = perigee(leg)`` into ``out[k]``, rounded to float32 as the software does.

    ``packed[t]`` is the covariance of (d0, phi0, omega, z0, tan_lambda): 15 numbers, upper triangle row by row.
    """
    px, py, pz, x, y, _ = a
    pt = leg.pt
    bend = -leg.charge * pt / pt_at_curvature(1.0)  # derivative of log(pt) with respect to omega
    d_d, d_p, d_o = np.float64(packed[t, 0]), np.float64(packed[t, 1]), np.float64(packed[t, 2])
    d_z, d_t, p_p = np.float64(packed[t, 3]), np.float64(packed[t, 4]), np.float64(packed[t, 5])
    p_o, p_z, p_t = np.float64(packed[t, 6]), np.float64(packed[t, 7]), np.float64(packed[t, 8])
    o_o, o_z, o_t = np.float64(packed[t, 9]), np.float64(packed[t, 10]), np.float64(packed[t, 11])
    z_z, z_t, t_t = np.float64(packed[t, 12]), np.float64(packed[t, 13]), np.float64(packed[t, 14])
    # Each component depends on at most two helix parameters:
    # px: -py phi0 + px bend omega; py: px phi0 + py bend omega; pz: pz bend omega + pt tan_lambda;
    # x: py/pt d0 - y phi0; y: -px/pt d0 + x phi0; z: z0.
    u, v = py / pt, -px / pt
    bx, by, bz = px * bend, py * bend, pz * bend
    rows = (
        _combine(-py, (d_p, p_p, p_o, p_z, p_t), bx, (d_o, p_o, o_o, o_z, o_t)),
        _combine(px, (d_p, p_p, p_o, p_z, p_t), by, (d_o, p_o, o_o, o_z, o_t)),
        _combine(bz, (d_o, p_o, o_o, o_z, o_t), pt, (d_t, p_t, o_t, z_t, t_t)),
        _combine(u, (d_d, d_p, d_o, d_z, d_t), -y, (d_p, p_p, p_o, p_z, p_t)),
        _combine(v, (d_d, d_p, d_o, d_z, d_t), x, (d_p, p_p, p_o, p_z, p_t)),
        (d_z, p_z, o_z, z_z, z_t),
    )
    for i in range(6):
        d, p, o, z, tl = rows[i]
        column = (-py * p + bx * o, px * p + by * o, bz * o + pt * tl, u * d - y * p, v * d + x * p, z)
        for j in range(6):
            out[k, i, j] = np.float64(np.float32(column[j]))


@kernel_inline
def _combine(
    a: float, u: tuple[float, float, float, float, float], b: float, v: tuple[float, float, float, float, float]
) -> tuple[float, float, float, float, float]:
    return a * u[0] + b * v[0], a * u[1] + b * v[1], a * u[2] + b * v[2], a * u[3] + b * v[3], a * u[4] + b * v[4]


@kernel
def fit_vertex(fit: Any, a0_1: Six, a0_2: Six, kappa_1: float, kappa_2: float, cov_1: Array, cov_2: Array) -> None:
    """Fit the vertex of two tracks and write it into the `FIT` record.

    Two nested loops of at most 15 turns: the inner one moves the vertex at fixed points of linearisation, the outer
    one moves those. Each ends when chi2 no longer falls and then goes back to the turn before.

    ``a0`` are the measured (px, py, pz, x, y, z), ``cov`` their (6, 6) covariances, ``kappa`` the bending constants
    -0.00449688687 x charge [GeV/c per cm].
    """
    fit.status, fit.chi2 = FITTED, -1.0
    fit.x_cm = fit.y_cm = fit.z_cm = 0.0
    a_1, a_2 = a0_1, a0_2
    vertex = best = (0.0, 0.0, 0.0)
    chi2 = best_chi2 = np.inf
    for _ in range(15):
        inner_chi2 = np.inf
        inner, inner_1, inner_2 = vertex, a_1, a_2
        for _ in range(15):
            # The arcsine is tested for both tracks before any matrix is inverted.
            bend_1, bend_2 = _bend(a_1, kappa_1, vertex), _bend(a_2, kappa_2, vertex)
            if not (abs(bend_1) < 1.0 and abs(bend_2) < 1.0):
                fit.status = ARCSINE
                return
            ok_1, one = _linear(a0_1, a_1, kappa_1, bend_1, cov_1, vertex)
            ok_2, two = _linear(a0_2, a_2, kappa_2, bend_2, cov_2, vertex)
            ok, step = solve(one, two)
            if not (ok_1 and ok_2 and ok):
                fit.status = SINGULAR
                return
            chi2 = chi2_of(one) + chi2_of(two)  # before the step
            if not chi2 < inner_chi2:
                break
            vertex = (vertex[0] - step[0], vertex[1] - step[1], vertex[2] - step[2])
            inner_chi2, inner, inner_1, inner_2 = chi2, vertex, _pulled(a0_1, one, step), _pulled(a0_2, two, step)
        chi2, vertex, a_1, a_2 = inner_chi2, inner, inner_1, inner_2
        if not chi2 < best_chi2:
            break
        best_chi2, best = chi2, vertex
    if not math.isfinite(best_chi2):
        fit.status = SINGULAR
        return
    fit.chi2 = best_chi2
    fit.x_cm, fit.y_cm, fit.z_cm = best


@kernel_inline
def _bend(a: Six, kappa: float, vertex: Point) -> float:
    """Return the sine of the turning angle between the track's point and the vertex."""
    return kappa * ((vertex[0] - a[3]) * a[0] + (vertex[1] - a[4]) * a[1]) / (a[0] * a[0] + a[1] * a[1])


@kernel_inline
def _linear(a0: Six, a: Six, kappa: float, bend: float, cov: Array, vertex: Point) -> tuple[bool, Linear]:
    """Linearise the constraints of one track at ``a`` and the vertex; False if they have no inverse covariance."""
    px, py, pz, x, y, z = a
    dx, dy, dz = vertex[0] - x, vertex[1] - y, vertex[2] - z
    pt2 = px * px + py * py
    pt = math.sqrt(pt2)
    along = dx * px + dy * py
    arc = math.asin(bend) / kappa
    slope = 1.0 / (pt2 * math.sqrt(1.0 - bend * bend))
    height = dz - pz * arc
    constraint_1 = dy * px - dx * py - 0.5 * kappa * (dx * dx + dy * dy)
    constraint_2 = pt * height

    twice, lift, pull = 2.0 * along / pt2, height / pt, pz * pt * slope
    turn_x, turn_y = dx - twice * px, dy - twice * py
    d1 = (dy, -dx, 0.0, py + kappa * dx, -px + kappa * dy, 0.0)
    d2 = (
        lift * px - pull * turn_x,
        lift * py - pull * turn_y,
        -pt * arc,
        pull * px,
        pull * py,
        -pt,
    )
    h1, h2 = _times(cov, d1), _times(cov, d2)
    back = (a0[0] - px, a0[1] - py, a0[2] - pz, a0[3] - x, a0[4] - y, a0[5] - z)
    r1, r2 = _dot(d1, back) + constraint_1, _dot(d2, back) + constraint_2
    e1, e2 = (-d1[3], -d1[4]), (-d2[3], -d2[4], pt)
    return linear(e1, e2, _dot(d1, h1), _dot(d1, h2), _dot(d2, h2), r1, r2, h1, h2)


@kernel_inline
def _times(cov: Array, d: Six) -> Six:
    # The covariance is symmetric: with the output as the last index neighbours in memory are summed side by side.
    return (
        cov[0, 0] * d[0] + cov[1, 0] * d[1] + cov[2, 0] * d[2] + cov[3, 0] * d[3] + cov[4, 0] * d[4] + cov[5, 0] * d[5],
        cov[0, 1] * d[0] + cov[1, 1] * d[1] + cov[2, 1] * d[2] + cov[3, 1] * d[3] + cov[4, 1] * d[4] + cov[5, 1] * d[5],
        cov[0, 2] * d[0] + cov[1, 2] * d[1] + cov[2, 2] * d[2] + cov[3, 2] * d[3] + cov[4, 2] * d[4] + cov[5, 2] * d[5],
        cov[0, 3] * d[0] + cov[1, 3] * d[1] + cov[2, 3] * d[2] + cov[3, 3] * d[3] + cov[4, 3] * d[4] + cov[5, 3] * d[5],
        cov[0, 4] * d[0] + cov[1, 4] * d[1] + cov[2, 4] * d[2] + cov[3, 4] * d[3] + cov[4, 4] * d[4] + cov[5, 4] * d[5],
        cov[0, 5] * d[0] + cov[1, 5] * d[1] + cov[2, 5] * d[2] + cov[3, 5] * d[3] + cov[4, 5] * d[4] + cov[5, 5] * d[5],
    )


@kernel_inline
def _dot(a: Six, b: Six) -> float:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3] + a[4] * b[4] + a[5] * b[5]


@kernel_inline
def _pulled(a0: Six, track: Linear, step: Point) -> Six:
    """Return the track that meets the constraints after the vertex' step."""
    l1, l2 = pulls(track, step)
    h1, h2 = track.h1, track.h2
    return (
        a0[0] - h1[0] * l1 - h2[0] * l2,
        a0[1] - h1[1] * l1 - h2[1] * l2,
        a0[2] - h1[2] * l1 - h2[2] * l2,
        a0[3] - h1[3] * l1 - h2[3] * l2,
        a0[4] - h1[4] * l1 - h2[4] * l2,
        a0[5] - h1[5] * l1 - h2[5] * l2,
    )


@kernel
def is_displaced(fit: Any, n: Any, p: Any) -> bool:
    """Return the flag ``displacedVertex`` of a fit and the lab momenta of its tracks at their perigees.

    Probability above 0.005, radius in (3, 60) cm and polar angle in (30, 120) degrees as seen from the origin, and not
    back to back within 10 degrees in both angles. A failed fit lies at radius 0.
    """
    radius = math.sqrt(fit.x_cm * fit.x_cm + fit.y_cm * fit.y_cm)
    return bool(
        3.0 < radius < 60.0
        and math.erfc(math.sqrt(0.5 * fit.chi2)) > 0.005  # of chi2 with one degree of freedom
        and 30.0 < math.degrees(math.atan2(radius, fit.z_cm)) < 120.0
        and not (abs(theta_sum_deg(n, p) - 180.0) < 10.0 and abs(dphi_deg(n, p) - 180.0) < 10.0)
    )
