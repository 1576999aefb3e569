"""Photons that become an electron and a positron in the material before the drift chamber.

The probability of a layer is 1 - exp(-7/9 t / sin(theta)) for t radiation lengths (high energy). The energy is shared
as 1 - 4/3 u (1 - u), the Bethe-Heitler spectrum with complete screening; both fly on in the direction of the photon,
whose angle to them, about m_e / E, is left out. Source of both: PDG review "Passage of particles through matter".
"""

from __future__ import annotations

import math
from typing import Any

from daq.jit import kernel_lean
from daq.philox import uniform


@kernel_lean
def conversion_radius(draws: Any, rho: float, stretch: float, numbers: Any) -> float:
    """Return the radius at which a photon from radius ``rho`` converts, 0 if it does not; ``stretch`` is p / pT."""
    # 1 - exp(-depth) is below depth: most photons are settled by one comparison, most others without an exponential.
    drawn, per_length, thickness = uniform(draws), 7.0 / 9.0 * stretch, 0.0
    for i in range(numbers.lengths.size):
        thickness += numbers.lengths[i]
    if drawn >= per_length * thickness:
        return 0.0
    depth = 0.0
    for i in range(numbers.radii.size):
        if numbers.radii[i] > rho:
            depth += per_length * numbers.lengths[i]
    if drawn >= depth:
        return 0.0
    drawn = -math.log(1.0 - drawn)
    if drawn >= depth:
        return 0.0
    # The depth at which it happens is a sum over layers: walk to the one that it lies in.
    radius = 0.0
    for i in range(numbers.radii.size):
        if numbers.radii[i] > rho and drawn >= 0.0:
            radius = numbers.radii[i]
            drawn -= per_length * numbers.lengths[i]
    return radius


@kernel_lean
def electron_share(draws: Any) -> float:
    """Return the share of the photon's energy that the electron takes."""
    share = uniform(draws)
    while uniform(draws) > 1.0 - 4.0 / 3.0 * share * (1.0 - share):
        share = uniform(draws)
    return share


@kernel_lean
def step_to_radius(x: float, y: float, px: float, py: float, radius: float) -> float:
    """Return the step, in units of the momentum, at which a straight line leaves a cylinder that it is inside of."""
    pt2, inward = px * px + py * py, x * px + y * py
    return (math.sqrt(inward * inward + pt2 * (radius * radius - x * x - y * y)) - inward) / pt2
