"""The functions in single precision against NumPy in double, within the errors that they promise."""

import math

import numpy as np
import pytest
from scipy import stats

from daq.jit import kernel
from daq.source.angles import angle_of
from daq.source.single import (
    acos_32,
    arc_per_chord_32,
    asin_32,
    atan2_32,
    exp_32,
    fraction,
    log_32,
    normals_32,
    sincos_32,
)


@kernel
def each(which, x, out):
    """Fill ``out`` with a function of each number."""
    for j in range(x.size):
        if which == 0:
            out[j] = log_32(x[j])
        elif which == 1:
            out[j] = exp_32(x[j])
        elif which == 2:
            out[j] = acos_32(x[j])
        elif which == 3:
            out[j] = sincos_32(x[j])[0]
        elif which == 4:
            out[j] = sincos_32(x[j])[1]
        elif which == 5:
            out[j] = asin_32(x[j])
        else:
            out[j] = arc_per_chord_32(x[j])


@kernel
def draw(words, uniform, normal):
    """Fill ``uniform`` and ``normal`` from pairs of words."""
    for j in range(uniform.size):
        uniform[j] = fraction(words[2 * j])
        normal[2 * j], normal[2 * j + 1] = normals_32(words[2 * j], words[2 * j + 1])


@pytest.mark.parametrize(
    ("which", "function", "arguments"),
    [
        (0, np.log, np.geomspace(1e-37, 1e37, 20_001)),
        (0, np.log, np.linspace(0.5, 2.0, 20_001)),
        (1, np.exp, np.linspace(-87.0, 87.0, 20_001)),
        (2, np.arccos, np.linspace(-1.0, 1.0, 20_001)),
        (3, np.sin, np.linspace(-10.0, 10.0, 20_001)),
        (4, np.cos, np.linspace(-10.0, 10.0, 20_001)),
        (5, np.arcsin, np.linspace(-1.0, 1.0, 20_001)),
        (5, np.arcsin, np.array([-0.5, 0.5, 0.5000001, -0.5000001, 0.0])),
        (6, lambda u: np.arcsin(np.sqrt(u)) / np.sqrt(u), np.geomspace(1e-12, 0.25, 20_001)),
    ],
)
def test_functions_are_those_of_numpy(which, function, arguments):
    """To 5e-7 of the value or of 1, whichever is more; exponentials to that of themselves."""
    x = arguments.astype(np.float32)
    out, exact = np.empty_like(x), function(x.astype(float))
    each(which, x, out)
    scale = np.abs(exact) if which == 1 else np.maximum(1.0, np.abs(exact))
    assert np.abs((out - exact) / scale).max() < 5e-7


@kernel
def directions(y, x, out):
    """Fill ``out`` with the angles of (x, y), in single precision and in double."""
    for j in range(x.size):
        out[0, j], out[1, j] = atan2_32(np.float32(y[j]), np.float32(x[j])), angle_of(y[j], x[j])


def test_angles_in_all_directions():
    """Single precision to 5e-7, double to 1e-9, in all quadrants, on the axes, and whatever the length."""
    angle = np.concatenate([np.linspace(-math.pi, math.pi, 20_001)[1:-1], np.array([-1, 0, 1, 2]) * math.pi / 2])
    for length in (1e-3, 1.0, 300.0):
        x, y = (length * np.cos(angle)).astype(np.float32), (length * np.sin(angle)).astype(np.float32)
        out, exact = np.empty((2, angle.size)), np.arctan2(y.astype(float), x.astype(float))
        directions(y.astype(float), x.astype(float), out)
        assert np.abs(out[0] - exact).max() < 5e-7
        assert np.abs(out[1] - exact).max() < 1e-9


def test_exponentials_of_large_negative_numbers_vanish():
    """Whatever is below -87 gives no more than at -87, and no nonsense."""
    x = np.array([-88.0, -1e4, -np.inf], dtype=np.float32)
    out = np.empty_like(x)
    each(1, x, out)
    assert np.all((out > 0) & (out < 2e-38))


def test_numbers_of_words_follow_their_laws():
    """Uniform and normal by Kolmogorov and Smirnov; the two of a pair are independent."""
    words = np.random.default_rng(3).integers(0, 2**32, 400_000, dtype=np.uint32)
    uniform, normal = np.empty(200_000, np.float32), np.empty(400_000, np.float32)
    draw(words, uniform, normal)
    assert stats.kstest(uniform, "uniform").pvalue > 1e-4
    assert stats.kstest(normal, "norm").pvalue > 1e-4
    pairs = normal.reshape(-1, 2)
    assert abs(np.corrcoef(pairs.T)[0, 1]) < 5 / math.sqrt(len(pairs))
    assert abs(np.corrcoef(pairs.T**2)[0, 1]) < 5 / math.sqrt(len(pairs))


def test_extreme_words_give_finite_numbers():
    """All bits clear or set: inside of the open interval, and no infinite normal number."""
    words = np.array([0, 0, 0xFFFFFFFF, 0xFFFFFFFF], dtype=np.uint32)
    uniform, normal = np.empty(2, np.float32), np.empty(4, np.float32)
    draw(words, uniform, normal)
    assert np.all((uniform > 0) & (uniform < 1))
    assert np.all(np.abs(normal) < 6.8)
