"""The numbers of the response, one table a sub-detector; what no comment gives a source for is a surrogate.

Lengths in cm, energies in GeV, times in ns, angles in rad. Edges in polar angle are kept as cotangents, falling from
the forward to the backward end, so that the kernels need no arccosine. Sources: PB is the Belle II Physics Book
(arXiv:1808.10567), TDR the technical design report (arXiv:1011.0352); a number "as quoted" is one that Belle or Belle
II quote for their analyses and that `darkline validate source` compares with.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np


def cot(degrees: float) -> float:
    """Return the cotangent of an angle in degrees."""
    return 1.0 / math.tan(math.radians(degrees))


class Tracking(NamedTuple):
    """Charged particles: acceptance, efficiency, errors of the helix."""

    cot_forward: float = cot(17.0)  # PB: CDC and tracking, 17-150 deg
    cot_backward: float = cot(150.0)
    efficiency: float = 0.95  # as quoted for prompt tracks
    rho_cm: float = (
        60.0  # efficiency falls with the production radius as exp(-rho^2 / 2 rho_cm^2): half of a vertex' loss
    )
    pt_min: float = 0.05
    pt_turn_on: float = 0.05  # efficiency rises with pT as 1 - exp(-((pT - pt_min) / this)^2)
    hits_min: int = 10  # fewer CDC hits: found by the vertex detectors alone, if produced inside them
    layer_efficiency: float = 0.95
    few_layers: float = 20.0  # with fewer CDC layers the efficiency falls, at none by few_layers_loss
    few_layers_loss: float = 0.2
    time: float = 1.0
    # sigma(pT)/pT = 0.0011 pT + 0.0030/beta, sigma(d0) = 10 um + 15 um/(p sin^1.5), in quadrature (as quoted). The rest
    # is of the same form: a term of the measurement, and one of multiple scattering that falls with momentum.
    pt_per_gev: float = 0.0011
    pt_constant: float = 0.0030
    d0_constant: float = 0.0010
    d0_per_gev: float = 0.0015
    z0_constant: float = 0.0015
    z0_per_gev: float = 0.0025
    angle_constant: float = 0.0003
    angle_per_gev: float = 0.0010
    # Errors of the position where a particle begins behind the pixels, and behind the strips.
    pixels_cm: float = 3.8
    strips_cm: float = 13.5
    d0_strips: float = 0.0050
    z0_strips: float = 0.0150
    d0_drift: float = 0.0200
    z0_drift: float = 0.2000
    # Correlations where a track begins. Measurement: those of a parabola (r-phi) and a line (r-z) through many equally
    # spaced points of equal error, at the first: 36/sqrt(1728), 30/sqrt(1620), 180/sqrt(34560), 6/sqrt(48).
    d0_phi0: float = 0.8660254
    d0_omega: float = 0.7453560
    phi0_omega: float = 0.9682458
    z0_tan_lambda: float = -0.8660254
    # Scattering, most of it in the first layers, turns direction and position at the beam line together.
    scattered_d0_phi0: float = 0.8
    scattered_d0_omega: float = 0.2
    scattered_phi0_omega: float = 0.4
    scattered_z0_tan_lambda: float = -0.8


class Identification(NamedTuple):
    """Likelihoods, and hits in the KLM. Separations from the pion in standard deviations: see `identification`."""

    electron: float = 3.7324  # 86 % at 0.4 % of the pions, as quoted: the normal quantiles of 0.86 and 0.996 added
    muon: float = 2.7573  # 90 % at 7 %
    kaon: float = 2.8363  # 90 % at 6 %
    proton: float = 2.8363  # no number: as for kaons
    cot_forward: float = cot(14.0)  # PB: TOP and ARICH, 14-124 deg
    cot_backward: float = cot(124.0)
    cot_electron_forward: float = cot(12.0)  # ECL, 12-155 deg
    cot_electron_backward: float = cot(155.0)
    cherenkov_p: float = 3.0  # separation of hadrons falls as 1/p^2 above: difference of Cherenkov angles
    cherenkov_outside: float = 0.3  # share of the separation that is left where only dE/dx sees the track
    cot_klm_forward: float = cot(20.0)  # TDR: end caps 20-45 and 125-155 deg, barrel between
    cot_klm_backward: float = cot(155.0)
    klm_p_min: float = 0.6  # threshold and plateau as quoted (Belle)
    klm_p_plateau: float = 1.0
    klm_layers_per_gev: float = 20.0
    klm_layers_max: int = 14  # TDR: detector layers of the end cap; 15 in the barrel
    punch_through: float = 1.6449  # hadrons this far from a pion leave KLM hits, muons this far from a muon do not: 5 %


class Calorimeter(NamedTuple):
    """Clusters: where crystals are, how much of the energy is seen, and how well."""

    # Ends of forward end cap, barrel and backward end cap (as quoted): nothing beyond, nor in the two gaps.
    cot_edges: tuple[float, float, float, float, float, float] = (
        cot(12.4), cot(31.4), cot(32.2), cot(128.7), cot(130.7), cot(155.1),
    )  # fmt: skip
    edge_loss: float = 0.5  # share of a shower on an edge that leaks into the gap
    edge_rad: float = 0.008  # and this much further in a factor e less
    cot_crack: float = cot(74.2)  # the gap between crystals at 90 deg in the CM: cos(theta) = 0.2725 in the lab
    crack_rad: float = 0.002  # half of its width
    crack_loss: float = 0.9  # photons and electrons lost in it
    efficiency: float = 0.97  # of one photon that reaches crystals
    turn_on: float = 0.03  # efficiency = plateau (1 - exp(-(E / this)^2))
    # Resolution: 3 % at 0.65 GeV and 2 % above 1 GeV as quoted by Belle II for 2018 data (PRL 125, 161806).
    energy_noise: float = 0.016
    energy_constant: float = 0.016
    tail_fraction: float = 0.15  # of the showers that leak
    tail_mean: float = 0.02  # mean share that they lose
    position_rad: float = 0.005  # as quoted
    cluster_min: float = 0.02
    merge_rad: float = 0.06
    match_rad: float = 0.08
    time_constant: float = 0.8
    time_noise: float = 0.25  # times GeV / E
    dt99: float = 2.5758  # half-width that holds 99 % of a normal distribution, in standard deviations
    shower_power: float = 0.177  # 2 % of photons have a shower shape below 0.5, as quoted for the single-photon line
    mip: float = 0.19  # most probable loss of a minimum-ionising particle
    mip_tail: float = 0.02
    hadron_showers: float = 0.4  # share of charged hadrons that shower
    neutral_hadron_showers: float = 0.5
    # Split-offs: a second cluster near a shower.
    split_hadron: float = 0.15
    split_photon: float = 0.01
    split_mean: float = 0.05  # mean energy
    split_share_max: float = 0.3  # of the shower's energy
    split_rad: float = 0.12  # nearest; mean distance beyond it is the same again


class Material(NamedTuple):
    """What stands in the way of a photon: cylinders, their radii [cm] and thickness [radiation lengths].

    Beam pipe, two pixel and four strip layers, inner wall of the CDC (TDR); the thickness is a surrogate, 4.6 % in all.
    What lies behind the CDC is left out: a photon that converts there is still one cluster.
    """

    radii: tuple[float, ...] = (1.0, 1.4, 2.2, 3.9, 8.0, 10.4, 13.5, 16.0)
    lengths: tuple[float, ...] = (0.008, 0.002, 0.002, 0.006, 0.006, 0.006, 0.006, 0.010)


def as_record(numbers: NamedTuple) -> Any:
    """Return a table of numbers as an array of one record: kernels read its fields by name."""
    values = numbers._asdict()
    fields: list[tuple[Any, ...]] = []
    for name, value in values.items():
        kind = "i8" if isinstance(value, int) else "f8"
        fields.append((name, kind, (len(value),)) if isinstance(value, tuple) else (name, kind))
    return np.array([tuple(values.values())], dtype=fields)


class Response(NamedTuple):
    """All tables of the response."""

    tracking: Tracking = Tracking()
    identification: Identification = Identification()
    calorimeter: Calorimeter = Calorimeter()
    material: Material = Material()


@functools.cache
def records(response: Response) -> tuple[Any, Any, Any, Any]:
    """Return the tables of a response as `as_record` makes them, in their order."""
    return tuple(as_record(table) for table in response)
