"""Spectra of three-body decays P -> 1 (2 3): phase space times a weight that depends on q^2 = m^2(2 3)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from daq.jit import Array
from daq.source.couplings import b_to_k_nunu_form_factors, kallen

PHOTON = "A'"  # the name that a dark photon must have where a weight asks for it

PairWeight = Callable[[Array, tuple[float, float, float, float], Mapping[str, float]], Array]
"""(q^2 [GeV2], masses of the parent and of the three products, masses of all new particles by name) -> weight."""


def _leptonic(q2: Array, masses: tuple[float, float, float, float], _: Mapping[str, float]) -> Array:
    """l -> l' nu nu by V - A, the pair being the neutrinos: x^2 (3 - 2x) for x = 1 - q^2/m^2 and a massless lepton."""
    z = q2 / masses[0] ** 2
    return (1 - z) * (1 + 2 * z)


def _dipion(q2: Array, masses: tuple[float, float, float, float], _: Mapping[str, float]) -> Array:
    """Upsilon' -> Upsilon pi pi: (q^2 - 2 m_pi^2)^2, the leading term of Yan, Phys. Rev. D22 (1980) 1652."""
    return (q2 - 2 * masses[2] * masses[3]) ** 2


def _virtual_photon(q2: Array, masses: tuple[float, float, float, float], new: Mapping[str, float]) -> Array:
    """chi2 -> chi1 l+l- by a virtual A', see `daq.source.couplings.idm_width_gev`."""
    heavy, light, lepton, _ = masses
    if new[PHOTON] <= heavy - light:
        raise ValueError(f"the A' of {new[PHOTON]:g} GeV would be real: list chi2 -> chi1 A' and the decays of the A'")
    current = ((heavy - light) ** 2 - q2) * ((heavy + light) ** 2 + 2 * q2) * (1 + 2 * lepton**2 / q2)
    return current / (new[PHOTON] ** 2 - q2) ** 2


def _b_to_k(operator: str) -> PairWeight:
    """B -> K nu nu by one operator, see `daq.source.couplings.b_to_k_nunu_density`."""

    def weight(q2: Array, masses: tuple[float, float, float, float], _: Mapping[str, float]) -> Array:
        lam = np.array([kallen(masses[0] ** 2, masses[1] ** 2, value) for value in q2])
        form = b_to_k_nunu_form_factors(q2)[operator] ** 2
        by_operator: dict[str, Array] = {"vector": lam * form, "scalar": q2 * form, "tensor": lam * q2 * form}
        return by_operator[operator]

    return weight


PAIR_NEEDS: Mapping[str, str] = {"virtual_photon": PHOTON}
"""New particles that a matrix element asks for besides those of its decay."""
PAIR_WEIGHTS: Mapping[str, PairWeight] = {
    "leptonic": _leptonic,
    "dipion": _dipion,
    "virtual_photon": _virtual_photon,
    "b_to_k_vector": _b_to_k("vector"),
    "b_to_k_scalar": _b_to_k("scalar"),
    "b_to_k_tensor": _b_to_k("tensor"),
}
"""Matrix elements of decays, by name; the pair is the last two products."""
