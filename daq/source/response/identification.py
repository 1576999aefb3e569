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
from daq.source.response.helices import SPECIES, TILE
from daq.source.single import exp_32, fraction


@kernel_lean
def identify(tracks: Array, normals: Array, words: Array, numbers: Any, out: Array) -> None:
    """Write the likelihoods of e, mu, pi, K, p and the number of KLM layers of the tracks of a tile into ``out``.

    ``tracks``, ``normals`` and ``out`` are tiles as `daq.source.response.helices` has them, species in that order.
    ``words`` are random, four a track; the first is used.
    """
    one, half, zero = np.float32(1.0), np.float32(0.5), np.float32(0.0)
    electron, muon, kaon = np.float32(numbers.electron), np.float32(numbers.muon), np.float32(numbers.kaon)
    proton, outside = np.float32(numbers.proton), np.float32(numbers.cherenkov_outside)
    e_back, e_front = np.float32(numbers.cot_electron_backward), np.float32(numbers.cot_electron_forward)
    back, front = np.float32(numbers.cot_backward), np.float32(numbers.cot_forward)
    klm_back, klm_front = np.float32(numbers.cot_klm_backward), np.float32(numbers.cot_klm_forward)
    cherenkov_p, p_min = np.float32(numbers.cherenkov_p), np.float32(numbers.klm_p_min)
    rise = np.float32(1.0 / (numbers.klm_p_plateau - numbers.klm_p_min))
    per_gev, most = np.float32(numbers.klm_layers_per_gev), np.float32(numbers.klm_layers_max)
    punch_through = np.float32(numbers.punch_through)
    for j in range(TILE):
        species, momentum = np.float32(tracks[SPECIES * TILE + j]), np.float32(tracks[9 * TILE + j])
        cot = np.float32(tracks[5 * TILE + j])
        is_electron, is_muon = species == zero, species == one
        is_kaon, is_proton = species == np.float32(3.0), species == np.float32(4.0)
        ratio = cherenkov_p / momentum
        share = one if (back <= cot) & (cot <= front) else outside
        share *= ratio * ratio if momentum > cherenkov_p else one
        of_kaon, of_proton = kaon * share, proton * share
        of_electron = electron if (e_back <= cot) & (cot <= e_front) else zero
        in_klm = (momentum > p_min) & (klm_back <= cot) & (cot <= klm_front)
        of_muon = muon * min(one, (momentum - p_min) * rise) if in_klm else zero
        # The KLM, by the same number that the likelihood is made of.
        seen = normals[6 * TILE + j]
        range_in_layers = one + per_gev * (momentum - p_min) + normals[7 * TILE + j]
        drawn = np.floor(min(max(range_in_layers, one), most))
        few = one + np.floor(np.float32(4.0) * fraction(words[4 * j] >> np.uint32(9)))
        of_a_muon = drawn if seen > -punch_through else zero
        of_another = few if (seen > punch_through) & (not is_electron) else zero
        layers = of_a_muon if is_muon else of_another
        seen += of_muon if is_muon else zero
        l_mu = exp_32(of_muon * (seen - half * of_muon))
        l_e = _ratio(normals[8 * TILE + j], of_electron, is_electron)
        l_k = _ratio(normals[9 * TILE + j], of_kaon, is_kaon)
        l_p = _ratio(normals[10 * TILE + j], of_proton, is_proton)
        scale = one / (l_e + l_mu + one + l_k + l_p)
        out[6 * TILE + j], out[7 * TILE + j], out[8 * TILE + j] = l_e * scale, l_mu * scale, scale
        out[9 * TILE + j], out[10 * TILE + j] = l_k * scale, l_p * scale
        out[11 * TILE + j] = layers if in_klm else zero


@kernel_lean
def _ratio(drawn: Any, separation: Any, is_it: bool) -> Any:
    """Return a likelihood ratio to the pion, 1 for no separation."""
    seen = drawn + (separation if is_it else np.float32(0.0))
    return exp_32(separation * (seen - np.float32(0.5) * separation))
