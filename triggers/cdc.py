"""CDC trigger: tracks of the 2D finder, the 3D fitter and the neural network to decisions.

Source: Belle II public software, GRL trigger simulation, with its quirks: angles are binned by truncation towards zero
(so the bin at 0 is twice as wide), differences of azimuth are not folded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.grl.azimuth import any_within
from triggers.primitives import Primitives
from triggers.quirks import Bits

_NUMBERS = ("1", "2", "3", "more than 3")

CDC_BITS: Bits = {
    **{f"t2_{k}": f"tracks of the 2D finder: {number}" for k, number in enumerate(_NUMBERS)},
    **{f"t3_{k}": f"tracks of the 3D fitter with |z| below 35 cm: {number}" for k, number in enumerate(_NUMBERS)},
    **{f"ty_{k}": f"neural tracks with |z| below 20 cm: {number}" for k, number in enumerate(_NUMBERS)},
    "typ": "a neural track that passes the single-track cut: |z| below 15 cm, above 0.7 GeV",
    "cdc_open90": "two 2D tracks, 90 degrees apart in azimuth or more",
    "cdc_b2b3": "two 2D tracks back to back in azimuth: 17 to 19 bins of 10 degrees",
    "cdc_b2b5": "two 2D tracks back to back in azimuth: 16 to 20 bins",
    "cdc_b2b7": "two 2D tracks back to back in azimuth: 15 to 21 bins",
    "cdc_b2b9": "two 2D tracks back to back in azimuth: 14 to 22 bins",
    "f2f30": "two 2D tracks, 30 degrees apart in azimuth or more",
    "cdc_active": "the CDC gave an event time",
}
"""The decisions of the CDC."""


class CdcCuts(NamedTuple):
    """Cuts of the decisions: strict on z and momentum; windows of azimuth bins with both ends in."""

    z_3d_cm: float = 35.0
    z_neural_cm: float = 20.0
    z_single_cm: float = 15.0
    momentum_single: int = 7  # in 0.1 GeV
    omega_step_per_m: float = 0.044
    theta_step_rad: float = 0.098125
    open90_bins: tuple[int, int] = (9, 27)  # of 10 degrees
    b2b3_bins: tuple[int, int] = (17, 19)
    b2b5_bins: tuple[int, int] = (16, 20)
    b2b7_bins: tuple[int, int] = (15, 21)
    b2b9_bins: tuple[int, int] = (14, 22)
    open30_bins: tuple[int, int] = (3, 33)


@kernel
def momentum_bin(omega_per_cm: float, cot_theta: float, cuts: CdcCuts) -> int:
    """Return the momentum of a neural track in the trigger's arithmetic [0.1 GeV]; -1 where it overflows.

    Curvature and polar angle are truncated to their steps, the momentum (0.3 x 1.5 T x radius / sin theta) to a whole
    number. A track too stiff or too close to the axis for the steps has infinite momentum there, and fails every cut.
    """
    omega_per_m = math.trunc(100.0 * omega_per_cm / cuts.omega_step_per_m) * cuts.omega_step_per_m
    theta_rad = math.trunc(math.atan(1.0 / cot_theta) / cuts.theta_step_rad) * cuts.theta_step_rad
    if omega_per_m == 0.0 or theta_rad == 0.0:
        return -1
    return abs(math.trunc(10.0 * 0.3 * 1.5 / omega_per_m / math.sin(theta_rad)))


@kernel
def is_sound(phi0: float, omega: float) -> bool:
    """Return whether a track can be: an azimuth within two turns, a radius of more than 1 cm, no NaN."""
    return abs(phi0) <= 2.0 * math.pi and abs(omega) < 1.0  # false for NaN


@kernel
def cdc_words(primitives: Primitives, cuts: CdcCuts, words: Array, malformed: Array) -> None:
    """Fill the (N,) words of `CDC_BITS`.

    An event is malformed if a track has an azimuth beyond 2 pi, a curvature of 1/cm or more, or a number that is not
    finite; that track is ignored.
    """
    phi0_2d, omega_2d = primitives.trk2d_phi0, primitives.trk2d_omega
    z0_3d_cm, z0_nn_cm = primitives.trk3d_z0_cm, primitives.trknn_z0_cm
    omega_nn, cot_theta_nn = primitives.trknn_omega, primitives.trknn_cot_theta
    n_2d, n_3d, n_neural = np.zeros((3, words.size), dtype=np.int64)
    single = np.zeros(words.size, dtype=np.bool_)
    pairs = np.zeros(words.size, dtype=np.uint64)  # bit = difference of azimuth bins
    for event in range(words.size):
        for i in range(primitives.trk2d_offsets[event], primitives.trk2d_offsets[event + 1]):
            if not is_sound(phi0_2d[i], omega_2d[i]):
                malformed[event] = True
                continue
            n_2d[event] += 1
            bin_i = math.trunc(phi0_2d[i] * 18.0 / math.pi)
            for j in range(primitives.trk2d_offsets[event], i):
                if is_sound(phi0_2d[j], omega_2d[j]):
                    difference = abs(bin_i - math.trunc(phi0_2d[j] * 18.0 / math.pi))
                    pairs[event] |= np.uint64(1) << np.uint64(min(difference, 63))
        for i in range(primitives.trk3d_offsets[event], primitives.trk3d_offsets[event + 1]):
            if not (
                is_sound(primitives.trk3d_phi0[i], primitives.trk3d_omega[i])
                and math.isfinite(z0_3d_cm[i] + primitives.trk3d_cot_theta[i])
            ):
                malformed[event] = True
                continue
            n_3d[event] += abs(z0_3d_cm[i]) < cuts.z_3d_cm
        for i in range(primitives.trknn_offsets[event], primitives.trknn_offsets[event + 1]):
            if not (is_sound(primitives.trknn_phi0[i], omega_nn[i]) and math.isfinite(z0_nn_cm[i] + cot_theta_nn[i])):
                malformed[event] = True
                continue
            n_neural[event] += abs(z0_nn_cm[i]) < cuts.z_neural_cm
            single[event] |= (
                abs(z0_nn_cm[i]) < cuts.z_single_cm
                and momentum_bin(np.float64(omega_nn[i]), np.float64(cot_theta_nn[i]), cuts) > cuts.momentum_single
            )
    for event in range(words.size):  # a loop without branches does several events at a time
        words[event] = pack(
            (
                n_2d[event] == 1,  # t2_0
                n_2d[event] == 2,  # t2_1
                n_2d[event] == 3,  # t2_2
                n_2d[event] > 3,  # t2_3
                n_3d[event] == 1,  # t3_0
                n_3d[event] == 2,  # t3_1
                n_3d[event] == 3,  # t3_2
                n_3d[event] > 3,  # t3_3
                n_neural[event] == 1,  # ty_0
                n_neural[event] == 2,  # ty_1
                n_neural[event] == 3,  # ty_2
                n_neural[event] > 3,  # ty_3
                single[event],  # typ
                any_within(pairs[event], cuts.open90_bins),  # cdc_open90
                any_within(pairs[event], cuts.b2b3_bins),  # cdc_b2b3
                any_within(pairs[event], cuts.b2b5_bins),  # cdc_b2b5
                any_within(pairs[event], cuts.b2b7_bins),  # cdc_b2b7
                any_within(pairs[event], cuts.b2b9_bins),  # cdc_b2b9
                any_within(pairs[event], cuts.open30_bins),  # f2f30
                primitives.cdc_t0[event] != 0,  # cdc_active
            )
        )
