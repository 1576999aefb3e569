"""The filter variables agree with the reference code, event by event."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from daq.settings import BeamSettings
from hlt.kinematics import cm_frame
from hlt.variables import UNDEFINED_IS_NAN, VARIABLES, filter_variables
from tests.hlt.vectors import BEAM, events_of, l1_of


def test_the_frame_is_that_of_the_reference():
    """Boost and rotation of 7.004 on 4.002 GeV at 83 mrad, as the reference vectors used them."""
    frame = cm_frame(BEAM)
    expected = [
        [1.0008617433706586, 0, -1.140893039763835e-10, -0.04152384065756029],
        [0, 1, 0, 0],
        [0.011772443201292455, 0, 1.0394124204537218, -0.2837547712592553],
        [-0.043160395756782793, 0, -0.2835104579966401, 1.0403081272177714],
    ]
    assert_allclose(frame.matrix, expected, rtol=1e-12, atol=1e-15)
    assert frame.sqrt_s_gev == pytest.approx(10.579557836806245, rel=1e-14)


def test_the_frame_without_rotation_is_a_pure_boost():
    """The fact sheet's boost of 7.007 on 4.000 GeV; the electron is then 5.779 mrad off the axis, in the x-z plane."""
    beam = BeamSettings(electron_gev=7.007, positron_gev=4.0, crossing_mrad=83.0, cm_rotation=False)
    matrix, sqrt_s = cm_frame(beam)
    assert_allclose(matrix, matrix.T, atol=1e-15)
    assert_allclose(-matrix[:3, 3] / matrix[3, 3], [0.041488, 0, 0.272955], atol=5e-7)
    assert matrix[3, 3] == pytest.approx(1.040440, abs=5e-7)
    assert sqrt_s == pytest.approx(10.5792, abs=5e-5)
    electron = matrix @ (7.007 * np.array([np.sin(0.0415), 0, np.cos(0.0415), 1]))
    assert 1e3 * np.arctan2(electron[0], electron[2]) == pytest.approx(5.779, abs=5e-4)
    assert cm_frame(beam.model_copy(update={"cm_rotation": True})).sqrt_s_gev == sqrt_s


@pytest.mark.parametrize(("electron", "positron", "crossing"), [(7.0, 4.0, 83.0), (8.0, 3.5, 22.0), (5.0, 5.0, 0.0)])
def test_the_beams_meet_head_on_in_the_frame(electron, positron, crossing):
    """In the centre-of-mass frame the electron flies along +z and the pair has no momentum, whatever the beams."""
    frame = cm_frame(BeamSettings(electron_gev=electron, positron_gev=positron, crossing_mrad=crossing))
    half = crossing / 2000
    beam = np.array([electron * np.sin(half), 0, electron * np.cos(half), electron])
    other = np.array([positron * np.sin(half), 0, -positron * np.cos(half), positron])
    along, total = frame.matrix @ beam, frame.matrix @ (beam + other)
    assert_allclose(along[:2] / along[3], 0, atol=1e-6)
    assert along[2] > 0
    assert_allclose(total, [0, 0, 0, frame.sqrt_s_gev], atol=2e-6)


def test_every_variable_agrees_with_the_reference(vectors: pl.DataFrame):
    """Counts and flags are exact, the rest holds to 1e-9, and what is undefined is NaN in the same events."""
    table, _ = filter_variables(events_of(vectors), l1_of(vectors), cm_frame(BEAM))
    for name in VARIABLES:
        expected = vectors[name].to_numpy()
        if name in UNDEFINED_IS_NAN:
            assert_allclose(table[name], expected, rtol=1e-9, atol=0, equal_nan=True, err_msg=name)
        else:
            assert_array_equal(table[name], expected, err_msg=name)


def test_no_variable_of_the_reference_is_missing(vectors: pl.DataFrame):
    """The table has exactly the variables that the reference code puts out."""
    outputs = vectors.columns[vectors.columns.index("nTrkLoose") :]
    assert {name for name in outputs if not name.startswith("vtx_")} == set(VARIABLES)


def test_skipped_events_keep_their_defaults(vectors: pl.DataFrame):
    """An event that is skipped has no counts, no flags (not even ``true``), and does not disturb its neighbours."""
    events, l1, frame = events_of(vectors), l1_of(vectors), cm_frame(BEAM)
    skip = np.arange(len(vectors)) % 3 == 0
    table, fits = filter_variables(events, l1, frame, skip)
    whole, _ = filter_variables(events, l1, frame)
    for name in VARIABLES:
        default = np.nan if name in UNDEFINED_IS_NAN else 0.0
        assert_array_equal(table[name][skip], default, err_msg=name)
        assert_array_equal(table[name][~skip], whole[name][~skip], err_msg=name)
    assert (fits["status"][skip] == -1).all()
