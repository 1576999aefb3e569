"""CDC trigger: tracks of the 2D finder, the 3D fitter and the neural network to decisions.

Source: Belle II public software, GRL trigger simulation, with its quirks: angles are binned by truncation towards zero
(so the bin at 0 is twice as wide), differences of azimuth are not folded.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from daq.event import EventBatch
from daq.jit import Array, kernel
from triggers.bits import pack
from triggers.grl.azimuth import any_within


class CdcBits(NamedTuple):
    """The decisions of the CDC, by the names of the GDL input bits; counts are one-hot: 1, 2, 3, more."""

    t2_0: bool  # tracks of the 2D finder
    t2_1: bool
    t2_2: bool
    t2_3: bool
    t3_0: bool  # tracks of the 3D fitter from near the beam spot
    t3_1: bool
    t3_2: bool
    t3_3: bool
    ty_0: bool  # neural tracks from near the beam spot
    ty_1: bool
    ty_2: bool
    ty_3: bool
    typ: bool  # a neural track that passes the single-track cut
    cdc_open90: bool  # two 2D tracks, 90 degrees apart in azimuth or more
    cdc_b2b3: bool  # two 2D tracks, back to back in azimuth, from the narrowest window to the widest
    cdc_b2b5: bool
    cdc_b2b7: bool
    cdc_b2b9: bool
    f2f30: bool  # two 2D tracks, 30 degrees apart in azimuth or more
    cdc_active: bool  # the CDC gave an event time


CDC_NAMES: tuple[str, ...] = CdcBits._fields


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


CUTS = CdcCuts()


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
def _cdc_words(
    offsets_2d: Array,
    phi0_2d: Array,
    omega_2d: Array,
    offsets_3d: Array,
    z0_3d_cm: Array,
    offsets_nn: Array,
    omega_nn: Array,
    z0_nn_cm: Array,
    cot_theta_nn: Array,
    cdc_t0: Array,
    cuts: CdcCuts,
    words: Array,
    malformed: Array,
) -> None:
    for event in range(words.size):
        n_2d = n_3d = n_neural = 0
        single = False
        pairs = np.uint64(0)  # bit = difference of azimuth bins
        for i in range(offsets_2d[event], offsets_2d[event + 1]):
            if not is_sound(phi0_2d[i], omega_2d[i]):
                malformed[event] = True
                continue
            n_2d += 1
            bin_i = math.trunc(phi0_2d[i] * 18.0 / math.pi)
            for j in range(offsets_2d[event], i):
                if is_sound(phi0_2d[j], omega_2d[j]):
                    difference = abs(bin_i - math.trunc(phi0_2d[j] * 18.0 / math.pi))
                    pairs |= np.uint64(1) << np.uint64(min(difference, 63))
        for i in range(offsets_3d[event], offsets_3d[event + 1]):
            malformed[event] |= not math.isfinite(z0_3d_cm[i])
            n_3d += abs(z0_3d_cm[i]) < cuts.z_3d_cm
        for i in range(offsets_nn[event], offsets_nn[event + 1]):
            if not (math.isfinite(z0_nn_cm[i]) and math.isfinite(cot_theta_nn[i]) and is_sound(0.0, omega_nn[i])):
                malformed[event] = True
                continue
            n_neural += abs(z0_nn_cm[i]) < cuts.z_neural_cm
            single |= (
                abs(z0_nn_cm[i]) < cuts.z_single_cm
                and momentum_bin(np.float64(omega_nn[i]), np.float64(cot_theta_nn[i]), cuts) > cuts.momentum_single
            )
        words[event] = pack(
            CdcBits(
                n_2d == 1,  # t2_0
                n_2d == 2,  # t2_1
                n_2d == 3,  # t2_2
                n_2d > 3,  # t2_3
                n_3d == 1,  # t3_0
                n_3d == 2,  # t3_1
                n_3d == 3,  # t3_2
                n_3d > 3,  # t3_3
                n_neural == 1,  # ty_0
                n_neural == 2,  # ty_1
                n_neural == 3,  # ty_2
                n_neural > 3,  # ty_3
                single,  # typ
                any_within(pairs, cuts.open90_bins),  # cdc_open90
                any_within(pairs, cuts.b2b3_bins),  # cdc_b2b3
                any_within(pairs, cuts.b2b5_bins),  # cdc_b2b5
                any_within(pairs, cuts.b2b7_bins),  # cdc_b2b7
                any_within(pairs, cuts.b2b9_bins),  # cdc_b2b9
                any_within(pairs, cuts.open30_bins),  # f2f30
                cdc_t0[event] != 0,  # cdc_active
            )
        )


def cdc_words(batch: EventBatch, cuts: CdcCuts = CUTS) -> tuple[Array, Array]:
    """Return the CDC decisions of each event, and which events are malformed.

    Returns
    -------
    words : (N, 1) uint64
        Bit i is field i of `CdcBits`.
    malformed : (N,) bool
        A track has an azimuth beyond 2 pi, a curvature of 1/cm or more, or a number that is not finite; it is ignored.
    """
    words: Array = np.zeros((batch.size, 1), dtype=np.uint64)
    malformed: Array = np.zeros(batch.size, dtype=np.bool_)
    _cdc_words(
        batch["trk2d.offsets"],
        batch["trk2d.phi0"],
        batch["trk2d.omega"],
        batch["trk3d.offsets"],
        batch["trk3d.z0_cm"],
        batch["trknn.offsets"],
        batch["trknn.omega"],
        batch["trknn.z0_cm"],
        batch["trknn.cot_theta"],
        batch["cdc_t0"],
        cuts,
        words[:, 0],
        malformed,
    )
    return words, malformed
