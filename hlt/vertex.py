"""The two-track vertex of the displaced-vertex line: KFit as the Belle II public software runs it on the trigger.

A least-squares fit of one point to two helices in a field of 1.5 T, no mass, beam-spot or pointing constraint
(analysis/VertexFitting/KFit, mode without track correlations; one degree of freedom). Its starting point, the origin,
and its stop rule decide which of two crossings it finds, and whether it fails; both are kept, so a better fit would
be a wrong one here.

Four pairs are fitted side by side, each in a lane of its own: a fit is a long chain of operations that wait for each
other, and the processor does those of four fits at the price of little more than one. Every lane goes its own way
through the loops of the procedure; when its fit is done it takes the next pair. No lane depends on its neighbours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel, kernel_inline
from hlt.constraints import Linear, Point, chi2_of, linear, pulls, solve
from hlt.kinematics import dphi_deg, pt_at_curvature, theta_sum_deg
from hlt.trigonometry import arcsine

NO_PAIR, FITTED, SINGULAR, ARCSINE = -1, 0, 32, 33
"""Status of a fit; 32 and 33 are KFit's error codes: a matrix has no inverse, the vertex is out of a helix' reach."""

FIT: np.dtype[Any] = np.dtype(
    [
        ("status", "<i4"),
        ("chi2", "<f8"),  # -1 if the fit failed, NaN if there is no pair
        ("x_cm", "<f8"),  # 0 if the fit failed, NaN if there is no pair
        ("y_cm", "<f8"),
        ("z_cm", "<f8"),
        ("over_iteration", "?"),  # an inner loop took all its turns, which is no error
    ]
)

Six = tuple[float, float, float, float, float, float]
Four = tuple[float, float, float, float]
Five = tuple[float, float, float, float, float]
Symmetric = tuple[
    float, float, float, float, float, float, float, float, float, float, float,
    float, float, float, float, float, float, float, float, float, float,
]  # fmt: skip
"""A symmetric (6, 6) matrix: 21 numbers, lower triangle row by row."""

LANES = 4
# The state of all lanes: rows of LANES numbers. Tracks are (px, py, pz, x, y, z), first that of the first track.
MEASURED = 0  # 12 rows
LINEAR_AT = 12  # 12 rows: where the constraints are made linear, the same for all turns of the inner loop
IMPROVED = 24  # 12 rows: the tracks that meet the constraints after the last good turn
COVARIANCE = 36  # 42 rows: two `Symmetric`
KAPPA = 78  # 2 rows: bending constants, -0.00449688687 x charge [GeV/c per cm]
VERTEX = 80  # 3 rows
BEST = 83  # 3 rows: vertex of the last good turn of the outer loop
CHI2, BEST_CHI2 = 86, 87  # of the last good turn of the inner and of the outer loop
TURN, OUTER_TURN = 88, 89
STATUS = 90
OVER_ITERATION = 91
ROWS = 92
GOING = -2.0  # status of a fit that is not done


@kernel
def fit_pairs(fits: Array, pairs: Array, legs: Array, cov: Array) -> None:
    """Fit the vertex of each pair.

    Two nested loops of at most 15 turns: the inner one moves the vertex at fixed points of linearisation, the outer
    one moves those. Each ends when chi2 no longer falls, and then goes back to the turn before.

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
    # Ones, not zeros: a lane without a pair computes as well, and should not have to divide by zero.
    state, owner = np.ones(ROWS * LANES), np.full(LANES, -1)
    following = 0
    for lane in range(LANES):
        following = _take(state, owner, lane, following, fits, pairs, legs, cov)
    while owner.max() >= 0:
        _advance(state)
        for lane in range(LANES):
            if owner[lane] >= 0 and state[STATUS * LANES + lane] != GOING:
                _finish(fits[owner[lane]], state, lane)
                following = _take(state, owner, lane, following, fits, pairs, legs, cov)


@kernel_inline
def _take(
    state: Array, owner: Array, lane: int, following: int, fits: Array, pairs: Array, legs: Array, cov: Array
) -> int:
    """Load the next pair into a lane, if there is one; return the number of the pair after it."""
    while following < fits.size:
        one, two = pairs[following, 0], pairs[following, 1]
        if one >= 0 and two >= 0:
            break
        fits[following].status = NO_PAIR
        fits[following].over_iteration = False
        fits[following].chi2 = fits[following].x_cm = fits[following].y_cm = fits[following].z_cm = np.nan
        following += 1
    if following == fits.size:
        owner[lane] = -1
        return following
    owner[lane] = following
    _load_track(state, lane, 0, legs[one], cov, one)
    _load_track(state, lane, 1, legs[two], cov, two)
    for row in range(3):
        state[(VERTEX + row) * LANES + lane] = state[(BEST + row) * LANES + lane] = 0.0
    state[CHI2 * LANES + lane] = state[BEST_CHI2 * LANES + lane] = np.inf
    state[TURN * LANES + lane] = state[OUTER_TURN * LANES + lane] = 0.0
    state[STATUS * LANES + lane] = GOING
    state[OVER_ITERATION * LANES + lane] = 0.0
    return following + 1


@kernel_inline
def _finish(fit: Any, state: Array, lane: int) -> None:
    fit.status = np.int32(state[STATUS * LANES + lane])
    fit.over_iteration = state[OVER_ITERATION * LANES + lane] > 0.0
    fit.chi2 = -1.0
    fit.x_cm = fit.y_cm = fit.z_cm = 0.0
    if fit.status == FITTED:
        fit.chi2 = state[BEST_CHI2 * LANES + lane]
        fit.x_cm, fit.y_cm = state[BEST * LANES + lane], state[(BEST + 1) * LANES + lane]
        fit.z_cm = state[(BEST + 2) * LANES + lane]


@kernel_inline
def _load_track(state: Array, lane: int, k: int, leg: Any, packed: Array, t: int) -> None:
    """Write track k of a lane: (px, py, pz, x, y, z) at the perigee, and their covariance.

    ``packed[t]`` is the covariance of (d0, phi0, omega, z0, tan_lambda): 15 numbers, upper triangle row by row. That of
    the six is rounded to float32, as the software stores it.
    """
    px, py, pz, pt = leg.lab.x, leg.lab.y, leg.lab.z, leg.pt
    u, v = py / pt, -px / pt
    x, y = leg.d0 * u, leg.d0 * v
    six = (px, py, pz, x, y, leg.z0)
    for row in range(6):
        state[(MEASURED + 6 * k + row) * LANES + lane] = six[row]
        state[(LINEAR_AT + 6 * k + row) * LANES + lane] = six[row]
    state[(KAPPA + k) * LANES + lane] = -leg.charge * pt_at_curvature(1.0)
    d0, phi0, omega, z0, tan_lambda = _rows(packed, t)
    bend = -leg.charge * pt / pt_at_curvature(1.0)  # derivative of log(pt) with respect to omega
    bx, by, bz = px * bend, py * bend, pz * bend
    # Each of the six depends on at most two helix parameters: px on phi0 (-py) and omega (bx); py on phi0 (px) and
    # omega (by); pz on omega (bz) and tan_lambda (pt); x on d0 (u) and phi0 (-y); y on d0 (v) and phi0 (x); z on z0.
    rows = (
        _combine(-py, phi0, bx, omega),
        _combine(px, phi0, by, omega),
        _combine(bz, omega, pt, tan_lambda),
        _combine(u, d0, -y, phi0),
        _combine(v, d0, x, phi0),
        z0,
    )
    place = COVARIANCE + 21 * k
    for i in range(6):
        d, f, w, z, s = rows[i]
        column = (-py * f + bx * w, px * f + by * w, bz * w + pt * s, u * d - y * f, v * d + x * f, z)
        for j in range(i + 1):
            state[place * LANES + lane] = np.float64(np.float32(column[j]))
            place += 1


@kernel_inline
def _rows(packed: Array, t: int) -> tuple[Five, Five, Five, Five, Five]:
    """Return the rows of a symmetric (5, 5) matrix from its upper triangle ``packed[t]``."""
    return (
        _picked(packed, t, 0, 1, 2, 3, 4),
        _picked(packed, t, 1, 5, 6, 7, 8),
        _picked(packed, t, 2, 6, 9, 10, 11),
        _picked(packed, t, 3, 7, 10, 12, 13),
        _picked(packed, t, 4, 8, 11, 13, 14),
    )


@kernel_inline
def _picked(packed: Array, t: int, a: int, b: int, c: int, d: int, e: int) -> Five:
    return (
        np.float64(packed[t, a]),
        np.float64(packed[t, b]),
        np.float64(packed[t, c]),
        np.float64(packed[t, d]),
        np.float64(packed[t, e]),
    )


@kernel_inline
def _combine(a: float, u: Five, b: float, v: Five) -> Five:
    return a * u[0] + b * v[0], a * u[1] + b * v[1], a * u[2] + b * v[2], a * u[3] + b * v[3], a * u[4] + b * v[4]


@kernel
def _advance(state: Array) -> None:
    """Take one turn in every lane.

    One loop over the lanes without a branch, on one array with fixed strides: a form that the compiler turns into
    vector instructions.
    """
    for lane in range(LANES):
        measured_1, measured_2 = _six(state, MEASURED, lane), _six(state, MEASURED + 6, lane)
        a_1, a_2 = _six(state, LINEAR_AT, lane), _six(state, LINEAR_AT + 6, lane)
        kappa_1, kappa_2 = state[KAPPA * LANES + lane], state[(KAPPA + 1) * LANES + lane]
        vertex = _three(state, VERTEX, lane)
        near_1, ok_1, one = _linear(measured_1, a_1, kappa_1, _symmetric(state, COVARIANCE, lane), vertex)
        near_2, ok_2, two = _linear(measured_2, a_2, kappa_2, _symmetric(state, COVARIANCE + 21, lane), vertex)
        ok, step = solve(one, two)
        new_chi2 = chi2_of(one) + chi2_of(two)  # before the step

        chi2, best_chi2 = state[CHI2 * LANES + lane], state[BEST_CHI2 * LANES + lane]
        turn, outer_turn = state[TURN * LANES + lane], state[OUTER_TURN * LANES + lane]
        falls = new_chi2 < chi2
        chi2 = new_chi2 if falls else chi2
        turn = turn + 1.0 if falls else turn
        is_last = turn == 15.0
        inner_ends = (not falls) | is_last
        goes_on = inner_ends & (chi2 < best_chi2)
        outer_turn = outer_turn + 1.0 if goes_on else outer_turn
        ends = inner_ends & ((not goes_on) | (outer_turn == 15.0))
        best_chi2 = chi2 if goes_on else best_chi2
        for row in range(3):
            moved = vertex[row] - step[row] if falls else vertex[row]
            state[(VERTEX + row) * LANES + lane] = moved
            best = state[(BEST + row) * LANES + lane]
            state[(BEST + row) * LANES + lane] = moved if goes_on else best
        improved_1, improved_2 = _pulled(measured_1, one, step), _pulled(measured_2, two, step)
        for row in range(6):
            for k, a, improved in ((0, a_1, improved_1), (6, a_2, improved_2)):
                before = state[(IMPROVED + k + row) * LANES + lane]
                after = improved[row] if falls else before
                state[(IMPROVED + k + row) * LANES + lane] = after
                state[(LINEAR_AT + k + row) * LANES + lane] = after if goes_on else a[row]
        state[BEST_CHI2 * LANES + lane] = best_chi2
        state[CHI2 * LANES + lane] = np.inf if goes_on else chi2
        state[TURN * LANES + lane] = 0.0 if goes_on else turn
        state[OUTER_TURN * LANES + lane] = outer_turn
        # The arcsine is tested for both tracks before any matrix is inverted.
        fitted = FITTED if best_chi2 < np.inf else SINGULAR
        status = fitted if ends else GOING
        status = status if ok_1 & ok_2 & ok else SINGULAR
        status = status if near_1 & near_2 else ARCSINE
        state[STATUS * LANES + lane] = status
        is_over = falls & is_last & (status != SINGULAR) & (status != ARCSINE)
        over = state[OVER_ITERATION * LANES + lane]
        state[OVER_ITERATION * LANES + lane] = 1.0 if is_over else over


@kernel_inline
def _three(s: Array, row: int, lane: int) -> Point:
    return s[row * LANES + lane], s[(row + 1) * LANES + lane], s[(row + 2) * LANES + lane]


@kernel_inline
def _six(s: Array, row: int, lane: int) -> Six:
    a, b, c = _three(s, row, lane)
    d, e, f = _three(s, row + 3, lane)
    return a, b, c, d, e, f


@kernel_inline
def _symmetric(s: Array, row: int, lane: int) -> Symmetric:
    return (
        *_six(s, row, lane), *_six(s, row + 6, lane), *_six(s, row + 12, lane), *_three(s, row + 18, lane),
    )  # fmt: skip


@kernel_inline
def _linear(a0: Six, a: Six, kappa: float, cov: Symmetric, vertex: Point) -> tuple[bool, bool, Linear]:
    """Make the constraints of one track linear at ``a`` and the vertex.

    Returns also whether the vertex is within reach of the helix, and whether the constraints have an inverse
    covariance.
    """
    px, py, pz, x, y, z = a
    dx, dy, dz = vertex[0] - x, vertex[1] - y, vertex[2] - z
    pt2 = px * px + py * py
    over_pt2 = 1.0 / pt2
    pt = math.sqrt(pt2)
    share = (dx * px + dy * py) * over_pt2
    bend = kappa * share  # sine of the turning angle between the track's point and the vertex
    arc = arcsine(bend) * (1.0 / kappa)
    slope = over_pt2 / math.sqrt(1.0 - bend * bend)
    height = dz - pz * arc
    constraint_1 = (dy * px - dx * py) - 0.5 * kappa * (dx * dx + dy * dy)
    constraint_2 = pt * height

    lift, pull = constraint_2 * over_pt2, pz * pt * slope
    turn_x, turn_y = dx - 2.0 * share * px, dy - 2.0 * share * py
    # Derivatives with respect to (px, py, x, y), then (px, py, pz, x, y, z); the first has none for pz and z.
    d1 = (dy, -dx, py + kappa * dx, -px + kappa * dy)
    d2 = (lift * px - pull * turn_x, lift * py - pull * turn_y, -pt * arc, pull * px, pull * py, -pt)
    h1, h2 = _times_four(cov, d1), _times(cov, d2)
    back = (a0[0] - px, a0[1] - py, a0[2] - pz, a0[3] - x, a0[4] - y, a0[5] - z)
    ok, track = linear(
        (-d1[2], -d1[3]),
        (-d2[3], -d2[4], pt),
        _dot_four(d1, h1),
        _dot_four(d1, h2),
        _dot(d2, h2),
        _dot_four(d1, back) + constraint_1,
        _dot(d2, back) + constraint_2,
        h1,
        h2,
    )
    return abs(bend) < 1.0, ok, track


@kernel_inline
def _times(c: Symmetric, d: Six) -> Six:
    return (
        (c[0] * d[0] + c[1] * d[1] + c[3] * d[2]) + (c[6] * d[3] + c[10] * d[4] + c[15] * d[5]),
        (c[1] * d[0] + c[2] * d[1] + c[4] * d[2]) + (c[7] * d[3] + c[11] * d[4] + c[16] * d[5]),
        (c[3] * d[0] + c[4] * d[1] + c[5] * d[2]) + (c[8] * d[3] + c[12] * d[4] + c[17] * d[5]),
        (c[6] * d[0] + c[7] * d[1] + c[8] * d[2]) + (c[9] * d[3] + c[13] * d[4] + c[18] * d[5]),
        (c[10] * d[0] + c[11] * d[1] + c[12] * d[2]) + (c[13] * d[3] + c[14] * d[4] + c[19] * d[5]),
        (c[15] * d[0] + c[16] * d[1] + c[17] * d[2]) + (c[18] * d[3] + c[19] * d[4] + c[20] * d[5]),
    )


@kernel_inline
def _times_four(c: Symmetric, d: Four) -> Six:
    """Return the matrix times (d0, d1, 0, d2, d3, 0)."""
    return (
        (c[0] * d[0] + c[1] * d[1]) + (c[6] * d[2] + c[10] * d[3]),
        (c[1] * d[0] + c[2] * d[1]) + (c[7] * d[2] + c[11] * d[3]),
        (c[3] * d[0] + c[4] * d[1]) + (c[8] * d[2] + c[12] * d[3]),
        (c[6] * d[0] + c[7] * d[1]) + (c[9] * d[2] + c[13] * d[3]),
        (c[10] * d[0] + c[11] * d[1]) + (c[13] * d[2] + c[14] * d[3]),
        (c[15] * d[0] + c[16] * d[1]) + (c[18] * d[2] + c[19] * d[3]),
    )


@kernel_inline
def _dot(a: Six, b: Six) -> float:
    return (a[0] * b[0] + a[1] * b[1] + a[2] * b[2]) + (a[3] * b[3] + a[4] * b[4] + a[5] * b[5])


@kernel_inline
def _dot_four(a: Four, b: Six) -> float:
    """Return the product of (a0, a1, 0, a2, a3, 0) and b."""
    return (a[0] * b[0] + a[1] * b[1]) + (a[2] * b[3] + a[3] * b[4])


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
