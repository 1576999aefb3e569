"""The frame of the collision against published numbers and its own definition."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from daq.settings import BeamSettings
from daq.source.kinematics import boosted, collision_frame, direction_about

# Lab to CM for 7.004 on 4.002 GeV and 83 mrad, order (px, py, pz, energy): published with the HLT reference vectors.
PUBLISHED = [
    [1.0008617433706586, 0, -1.140893039763835e-10, -0.04152384065756029],
    [0, 1, 0, 0],
    [0.011772443201292455, 0, 1.0394124204537218, -0.2837547712592553],
    [-0.043160395756782793, 0, -0.2835104579966401, 1.0403081272177714],
]
cosines, azimuths = st.floats(-1, 1), st.floats(0, 6.28)


def test_frame_agrees_with_the_published_matrix():
    """Boost, then the turn that puts the electron on +z: the convention of the HLT variables."""
    frame = collision_frame(BeamSettings(electron_gev=7.004, positron_gev=4.002))
    assert np.allclose(frame.to_cm, PUBLISHED, rtol=0, atol=1e-12)
    assert math.isclose(frame.sqrt_s_gev, 10.579557836806245, rel_tol=1e-12)


def test_superkekb_collides_at_the_upsilon_4s():
    """7.007 on 4.000 GeV at 83 mrad: 10.579 GeV, and a boost that is along neither beam nor axis."""
    frame = collision_frame(BeamSettings())
    assert abs(frame.sqrt_s_gev - 10.579) < 5e-4
    assert np.allclose(frame.boost, [0.0415, 0, 0.2730], atol=1e-4)
    assert np.allclose(frame.to_lab @ frame.to_cm, np.eye(4), atol=1e-14)


def test_electron_runs_along_z_in_the_cm():
    """The CM frame has the electron on +z and the positron on -z."""
    frame = collision_frame(BeamSettings())
    for energy, z in ((7.007, 1.0), (4.000, -1.0)):
        beam = energy * np.array([math.sin(0.0415), 0, z * math.cos(0.0415), 1])
        x, y, along, _ = frame.to_cm @ beam
        assert abs(x) < 1e-7
        assert y == 0
        assert along * z > 5


@given(cosines, azimuths, cosines, azimuths)
def test_direction_about_keeps_the_angle(axis_cosine, axis_azimuth, cosine, azimuth):
    """The direction is a unit vector at the asked angle to the axis, whatever the axis."""
    axis = direction_about((0.0, 0.0, 1.0), axis_cosine, axis_azimuth)
    direction = direction_about(axis, cosine, azimuth)
    assert math.isclose(np.dot(direction, direction), 1, abs_tol=1e-9)
    assert math.isclose(np.dot(direction, axis), cosine, abs_tol=1e-9)


@given(cosines, azimuths, st.floats(0.1, 5), st.floats(0, 20))
def test_boost_of_a_body_at_rest_is_the_frame(cosine, azimuth, mass, momentum):
    """What rests in the moving frame has the velocity of the frame; invariant masses stay."""
    x, y, z = (momentum * component for component in direction_about((0.0, 0.0, 1.0), cosine, azimuth))
    frame = (x, y, z, math.hypot(momentum, mass))
    assert np.allclose(boosted((0.0, 0.0, 0.0, mass), frame, mass), frame, atol=1e-9)
    px, py, pz, energy = boosted((0.3, -0.4, 1.2, 1.3), frame, mass)
    assert abs(energy**2 - px**2 - py**2 - pz**2) < 1e-9 * energy**2
