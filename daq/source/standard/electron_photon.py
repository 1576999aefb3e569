"""e+e- -> e+e- gamma with electrons lost down the beam pipe: a quasi-real photon of one beam scatters off the other.

The beam that is lost (the spectator) radiates a photon of energy fraction y with the spectrum of
`daq.source.standard.two_photon`, its angle below ``lost_deg``: Q2max = min(ys/4, s (1 - y) sin^2(lost/2)). The photon
scatters off the other electron (Klein and Nishina at high energy; Peskin and Schroeder, ch. 5.5):

    dsigma/dc = (pi alpha^2/ys) [(1 - c)/2 + 2/(1 - c)],  c between incoming electron and outgoing photon.

The final photon is in the acceptance, by its angle and its energy in the CM, and the scattered electron is anywhere:
seen with the photon, or lost like the spectator, which leaves a single photon.

Approximate: the spectator has no transverse momentum; no further photon. An event with both electrons at large angles
is one of Bhabha scattering, which has its own sampler; hard radiation is counted twice where the two overlap.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import uniform
from daq.source.kinematics import ALPHA, ELECTRON_GEV, boosted
from daq.source.radiation import equivalent_photons
from daq.source.standard.rows import CELLS, Beams, circle, draw_cell, emit, spectrum

ELECTRON_PHOTON_SLOTS = 3


def electron_photon_table(sqrt_s_gev: float, cosine: float, energy_min_gev: float, lost_rad: float) -> Array:
    """Return the proposal in ln y (see `daq.source.standard.rows.spectrum`), its integral in 1/GeV2.

    The photon has at least ``energy_min_gev`` in the CM, and a polar angle whose cosine is within ``cosine`` of 0.
    """
    high = (1 + cosine) / (1 - cosine)  # the ratio of the photon's light-cone components
    top = 1 - 10 * ELECTRON_GEV / (0.5 * sqrt_s_gev)
    # A photon at this angle has at most the energy sqrt(s)/2 y (1 + ratio).
    least = 2 * energy_min_gev / sqrt_s_gev / (1 + high)
    edges = np.linspace(math.log(least), math.log(top), CELLS + 1)
    points = np.exp(edges[:-1, None] + np.diff(edges)[:, None] * np.array([0.0, 0.5, 1.0]))
    fluxes = np.vectorize(spectator_flux)(points, sqrt_s_gev, lost_rad, ALPHA, ELECTRON_GEV)
    born = math.pi * ALPHA**2 / sqrt_s_gev**2
    bounds = 1.01 * (4 * born / points * np.log((1 + points * high) / (1 + points / high)) * fluxes)
    return spectrum(edges, bounds.max(axis=1))


@kernel_lean
def spectator_flux(y: float, sqrt_s: float, lost: float, alpha: float, electron_mass: float) -> float:
    """Return y N(y) of a beam whose electron stays below the angle ``lost`` [rad]."""
    s = sqrt_s * sqrt_s
    highest = min(0.25 * y * s, s * (1.0 - y) * math.sin(0.5 * lost) ** 2)
    return equivalent_photons(y, highest, alpha, electron_mass)


@kernel_lean
def make_electron_photon(
    draws: Any, row: Any, beams: Beams, table: Array, to_lab: Array, columns: Array, pdg: Array, out: int
) -> int:  # fmt: skip
    """Write the scattered electron, the spectator and the photon; each of the two is the electron half of the time."""
    sqrt_s = beams.sqrt_s
    half, m2 = 0.5 * sqrt_s, beams.electron_mass * beams.electron_mass
    # The acceptance is symmetric, so both sides are alike: z is along the beam that scatters until all is done.
    side = 1.0 if uniform(draws) < 0.5 else -1.0
    most = (1.0 + row.cosine[1]) / (1.0 - row.cosine[1])
    least = 1.0 / most
    while True:
        log_y, height = draw_cell(draws, table)
        y = math.exp(log_y)
        # The ratio of the photon's light-cone components, from d ln(1 + y ratio).
        begin = 1.0 + y * least
        logs = math.log((1.0 + y * most) / begin)
        ratio = (begin * math.exp(logs * uniform(draws)) - 1.0) / y
        cosine = (y * ratio - 1.0) / (y * ratio + 1.0)
        if 0.25 * sqrt_s * ((1.0 + cosine) + y * (1.0 - cosine)) < row.energy_min:
            continue
        flux = spectator_flux(y, sqrt_s, row.lost, beams.alpha, beams.electron_mass)
        born = math.pi * beams.alpha * beams.alpha / (sqrt_s * sqrt_s)
        weight = flux * born / y * logs * (0.5 * (1.0 - cosine) ** 2 + 2.0)
        if uniform(draws) * height < weight:
            break
    lost = half * (1.0 - y)
    p_lost = -math.sqrt(lost * lost - m2)
    system = (0.0, 0.0, -p_lost, sqrt_s - lost)
    mass = math.sqrt(system[3] * system[3] - system[2] * system[2])
    energy = 0.5 * (mass - m2 / mass)
    u, v = circle(uniform(draws))
    sine = math.sqrt(max(0.0, (1.0 - cosine) * (1.0 + cosine)))
    px, py, pz = energy * sine * u, energy * sine * v, energy * cosine
    photon = boosted((px, py, pz, energy), system, mass)
    scattered = boosted((-px, -py, -pz, mass - energy), system, mass)
    code = 11 if side > 0.0 else -11
    out = emit(to_lab, columns, pdg, out, code, (scattered[0], scattered[1], side * scattered[2], scattered[3]))
    out = emit(to_lab, columns, pdg, out, -code, (0.0, 0.0, side * p_lost, lost))
    return emit(to_lab, columns, pdg, out, 22, (photon[0], photon[1], side * photon[2], photon[3]))
