"""Helices: the published sign conventions, and agreement with the circle that they describe."""

import math

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from daq.source.helix import SUPERLAYERS, arc_to_radius, crossing, ecl_entry, perigee, position, transverse_gev

places, momenta, charges = st.floats(-8, 8), st.floats(-3, 3), st.sampled_from([-1, 1])
SURFACE = (125.0, -102.0, 196.0)


def wrapped(angle: float) -> float:
    return math.remainder(angle, 2 * math.pi)


@given(places, places, places, momenta, momenta, momenta, charges)
def test_perigee_describes_the_particle(x, y, z, px, py, pz, charge):
    """Going along the helix from its perigee, one meets the particle, flying in its direction."""
    assume(math.hypot(px, py) > 0.1)
    d0, phi0, omega, z0, tan_lambda = perigee(x, y, z, px, py, pz, charge)
    assert math.isclose(transverse_gev(omega), math.hypot(px, py), rel_tol=1e-9)
    assert omega * charge > 0
    arc = -wrapped(math.atan2(py, px) - phi0) / omega
    assert np.allclose(position(d0, phi0, omega, z0, tan_lambda, arc), (x, y, z), atol=1e-6)


@given(places, places, momenta, momenta, charges)
def test_perigee_is_the_nearest_point(x, y, px, py, charge):
    """No point of the circle is nearer to the origin; d0 has the sign of (position x momentum)_z."""
    assume(math.hypot(px, py) > 0.1)
    d0, phi0, omega, z0, tan_lambda = perigee(x, y, 0.0, px, py, 0.0, charge)
    turn = 2 * math.pi / abs(omega)
    radii = [math.hypot(*position(d0, phi0, omega, z0, tan_lambda, f * turn)[:2]) for f in np.linspace(-0.5, 0.5, 41)]
    assert abs(d0) <= min(radii) + 1e-6
    px0, py0, _ = position(d0, phi0, omega, z0, tan_lambda, 0.0)
    assert math.isclose(px0 * math.sin(phi0) - py0 * math.cos(phi0), d0, abs_tol=1e-6)


def test_positive_tracks_turn_clockwise():
    """Seen from +z, with the field along +z."""
    d0, phi0, omega, z0, tan_lambda = perigee(0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1)
    assert position(d0, phi0, omega, z0, tan_lambda, 50.0)[1] < 0


@given(st.floats(-5, 5), st.floats(-0.012, 0.012), st.floats(10, 120))
def test_arc_ends_on_the_cylinder(d0, omega, radius):
    """The end of the arc is at the radius; there is none only where the track curls up before."""
    arc = arc_to_radius(d0, omega, radius)
    if math.isnan(arc):
        assert abs(d0 + 2 / omega) < radius * (1 + 1e-9)
    else:
        x, y, _ = position(d0, 0.7, omega, 0.0, 0.0, arc)
        assert math.isclose(math.hypot(x, y), radius, rel_tol=1e-6)


@given(st.floats(0.3, 2.6), st.floats(-3.1, 3.1), st.floats(-0.008, 0.008))
def test_ecl_entry_is_on_the_surface(theta, phi0, omega):
    """The first crossing is on the barrel between the end planes, or on an end plane inside the barrel."""
    reached, x, y, z = ecl_entry(0.0, phi0, omega, 0.0, 1 / math.tan(theta), SURFACE)
    if not reached:
        assert abs(2 / omega) < 125 * (1 + 1e-9)  # curls up inside the barrel
        return
    rho = math.hypot(x, y)
    on_barrel = math.isclose(rho, 125, rel_tol=1e-9) and -102 <= z <= 196
    on_end = rho <= 125 and (math.isclose(z, 196) or math.isclose(z, -102))
    assert on_barrel or on_end


def test_straight_line_enters_where_geometry_says():
    """A photon from the origin at 90 degrees meets the barrel at z = 0, one at 20 degrees the forward plane."""
    assert np.allclose(ecl_entry(0.0, 0.0, 0.0, 0.0, 0.0, SURFACE), (True, 125, 0, 0))
    reached, x, _, z = ecl_entry(0.0, 0.0, 0.0, 0.0, 1 / math.tan(math.radians(20)), SURFACE)
    assert reached
    assert math.isclose(x, 196 * math.tan(math.radians(20)))
    assert z == 196


def test_tracks_at_90_degrees_cross_all_superlayers():
    """And one at 20 degrees leaves through the end plate after the inner ones."""
    full = [crossing(0.0, 0.001, 0.0, 0.0, layer) > 0 for layer in SUPERLAYERS]
    forward = [crossing(0.0, 0.001, 0.0, 1 / math.tan(math.radians(20)), layer) > 0 for layer in SUPERLAYERS]
    assert all(full)
    assert 1 <= sum(forward) <= 4
    assert forward[0]
