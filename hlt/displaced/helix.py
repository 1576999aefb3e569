"""A point on a helix: the two constraints, their derivatives, and the crossings of two circles.

A helix is (d0, phi0, omega, z0, tan_lambda) about the origin, see `daq.event`. About its perigee P let t be the unit
vector along the momentum and n = (sin phi0, -cos phi0), so that P = d0 n and the centre is (d0 + 1/omega) n. A point v
in the plane has a = v.t and b = v.n - d0. It lies on the circle where b = omega (a^2 + b^2) / 2, and there the momentum
has turned by theta = atan2(omega a, 1 - omega b) after the arc length s = theta / omega.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from daq.jit import kernel, kernel_inline
from hlt.constraints import Point

Five = tuple[float, float, float, float, float]


class Crossings(NamedTuple):
    """Where two circles cross, or come closest if they do not (then both points are the same)."""

    x1: float
    y1: float
    x2: float
    y2: float


@kernel_inline
def turn_at(helix: Five, x: float, y: float) -> float:
    """Return by how much the momentum has turned from the perigee to the point nearest to (x, y): -pi to pi."""
    d0, phi0, omega, _, _ = helix
    sine, cosine = math.sin(phi0), math.cos(phi0)
    a, b = x * cosine + y * sine, x * sine - y * cosine - d0
    return math.atan2(omega * a, 1.0 - omega * b)


@kernel_inline
def z_at(helix: Five, x: float, y: float) -> float:
    """Return the height of the helix at its point nearest to (x, y), within half a turn of the perigee [cm]."""
    return helix[3] + helix[4] * turn_at(helix, x, y) / helix[2]


@kernel
def crossings(one: Five, two: Five) -> Crossings:
    """Return where the circles of two helices cross in the bending plane [cm]."""
    radius_1, radius_2 = 1.0 / one[2], 1.0 / two[2]  # signed
    x1, y1 = (one[0] + radius_1) * math.sin(one[1]), -(one[0] + radius_1) * math.cos(one[1])
    x2, y2 = (two[0] + radius_2) * math.sin(two[1]), -(two[0] + radius_2) * math.cos(two[1])
    radius_1, radius_2 = abs(radius_1), abs(radius_2)
    distance = math.sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2)
    ux, uy = (x2 - x1) / distance, (y2 - y1) / distance
    # Along the line of centres to the chord, and half of the chord; written so that large radii do not cancel.
    along = 0.5 * (distance + (radius_1 - radius_2) * (radius_1 + radius_2) / distance)
    half_square = (radius_1 - along) * (radius_1 + along)
    if half_square <= 0.0:  # apart, or one inside the other: half way between their nearest points
        if distance > radius_1 + radius_2:
            along = 0.5 * (distance + radius_1 - radius_2)
        elif radius_1 > radius_2:
            along = 0.5 * (radius_1 + distance + radius_2)
        else:
            along = 0.5 * (distance - radius_2 - radius_1)
    half = math.sqrt(max(half_square, 0.0))
    x, y = x1 + along * ux, y1 + along * uy
    return Crossings(x - half * uy, y + half * ux, x + half * uy, y - half * ux)


@kernel_inline
def constraints(helix: Five, vertex: Point) -> tuple[float, float, Five, Five, tuple[float, float], Point]:
    """Return (g1, g2, d1, d2, e1, e2): constraints and their derivatives with respect to helix and vertex.

    g1 is the distance from the circle, g2 the height above the helix, both 0 at a point on it and in cm.
    """
    d0, phi0, omega, z0, tan_lambda = helix
    x, y, z = vertex
    sine, cosine = math.sin(phi0), math.cos(phi0)
    a, b = x * cosine + y * sine, x * sine - y * cosine - d0
    u, w = omega * a, 1.0 - omega * b
    scale = 1.0 / (u * u + w * w)
    arc = math.atan2(u, w) / omega
    g1 = b - 0.5 * omega * (a * a + b * b)
    g2 = z - z0 - tan_lambda * arc
    arc_a, arc_b, arc_omega = w * scale, u * scale, (a * scale - arc) / omega
    # a and b change with phi0 by -(b + d0) and a, with d0 by 0 and -1.
    d1 = (-w, a * (1.0 + omega * d0), -0.5 * (a * a + b * b), 0.0, 0.0)
    d2 = (tan_lambda * arc_b, tan_lambda * (arc_a * (b + d0) - arc_b * a), -tan_lambda * arc_omega, -1.0, -arc)
    e1 = (w * sine - u * cosine, -w * cosine - u * sine)
    e2 = (-tan_lambda * (arc_a * cosine + arc_b * sine), -tan_lambda * (arc_a * sine - arc_b * cosine), 1.0)
    return g1, g2, d1, d2, e1, e2
