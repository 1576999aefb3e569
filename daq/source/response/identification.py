"""Which particle a track is: five likelihoods, and the hits in the KLM that go with them.

Four measurements are modelled, each a normal number of width 1: it has mean 0 for a pion, and mean ``separation`` for
the one particle that it tells from a pion: electrons by E/p and dE/dx, muons by the KLM, kaons and protons by Cherenkov
light and dE/dx. The likelihood ratio to the pion is then exp(separation x - separation^2 / 2), and a cut on it has
the quoted efficiency and mis-identification rate together: separation = quantile(efficiency) + quantile(1 - rate). The
likelihoods are normalised to sum 1. Efficiencies of a cut on the ratio to the pion, P / (P + P_pi), are exact:

    electron 86 % / 0.4 % above 0.949,  muon 90 % / 7 % above 0.567,  kaon 90 % / 6 % above 0.596.

A measurement outside of its acceptance, or of a muon below the threshold of the KLM, has separation 0: it says nothing.
The proton's separation is a surrogate; hypotheses other than the pion are told apart by both of their measurements.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from daq.jit import Array, kernel_lean
from daq.philox import normal, uniform
from daq.source.single import exp_32


@kernel_lean
def identify(draws: Any, species: int, momentum: float, cot: float, numbers: Any, columns: Array, slot: int) -> int:
    """Write the likelihoods of e, mu, pi, K, p into ``columns[6:, slot]``; return the number of KLM layers.

    ``species`` counts in that order.
    """
    electron = numbers.electron if numbers.cot_electron_backward <= cot <= numbers.cot_electron_forward else 0.0
    share = 1.0 if numbers.cot_backward <= cot <= numbers.cot_forward else numbers.cherenkov_outside
    if momentum > numbers.cherenkov_p:
        share *= (numbers.cherenkov_p / momentum) ** 2
    kaon, proton = numbers.kaon * share, numbers.proton * share
    muon, layers = 0.0, 0
    if momentum > numbers.klm_p_min and numbers.cot_klm_backward <= cot <= numbers.cot_klm_forward:
        reach = (momentum - numbers.klm_p_min) / (numbers.klm_p_plateau - numbers.klm_p_min)
        muon = numbers.muon * min(1.0, reach)
        seen = normal(draws)
        if species == 1:
            if seen > -numbers.punch_through:
                range_in_layers = 1.0 + numbers.klm_layers_per_gev * (momentum - numbers.klm_p_min) + normal(draws)
                layers = min(max(int(range_in_layers), 1), numbers.klm_layers_max)
            seen += muon
        elif seen > numbers.punch_through:
            layers = 1 + int(4.0 * uniform(draws)) if species != 0 else 0
        l_mu = float(exp_32(np.float32(muon * (seen - 0.5 * muon))))
    else:
        l_mu = 1.0
    l_e = _ratio(draws, electron, species == 0)
    l_k = _ratio(draws, kaon, species == 3)
    l_p = _ratio(draws, proton, species == 4)
    scale = 1.0 / (l_e + l_mu + 1.0 + l_k + l_p)
    columns[6, slot], columns[7, slot], columns[8, slot] = l_e * scale, l_mu * scale, scale
    columns[9, slot], columns[10, slot] = l_k * scale, l_p * scale
    return layers


@kernel_lean
def _ratio(draws: Any, separation: float, is_it: bool) -> float:
    """Return a drawn likelihood ratio to the pion."""
    if separation == 0.0:
        return 1.0
    seen = normal(draws) + (separation if is_it else 0.0)
    return float(exp_32(np.float32(separation * (seen - 0.5 * separation))))
