"""The variables ``dv_*`` of lines that Belle II does not have: all pairs of an event, and the best of them.

Pairs are two tracks of opposite charge with at least one hit in the drift chamber each, the negative one first. Tracks
are ranked by transverse momentum within their charge; pairs are tried by rising sum of the ranks, on equal terms that
with the faster negative track first, so the first pair is that of Belle II's own line. A vertex is *good* if its chi2
probability is above the setting and it lies inside the tracking volume. The best pair is, among the good ones, one that
is no K0S, Lambda or conversion before one that is, then the one of highest flight significance; the first on equal
terms.

Masses, momenta and angles are those at the vertex. In an event without a good vertex all but the counts, the flags and
``dv_status`` are NaN, so that no comparison holds.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.jit import Array, kernel, kernel_inline, read_only
from hlt.displaced.fit import FITTED, NO_PAIR, Vertex, fit_crossing
from hlt.displaced.helix import Five
from hlt.displaced.settings import Windows
from hlt.kinematics import P4, add, dphi_deg, mass_square, momentum, opening_deg, pt, theta_deg, theta_sum_deg
from hlt.objects import Tracks

MEANINGS: dict[str, str] = {
    "dv_n_pairs": "pairs tried",
    "dv_over_cap": "1: there were more pairs than are tried",
    "dv_n_good": "good vertices",
    "dv_n_k0s": "good vertices whose pi+ pi- mass is in the K0S window",
    "dv_n_lambda": "good vertices with a p pi mass in the Lambda window",
    "dv_n_conversion": "good vertices in the material whose e+ e- mass is that of a converted photon",
    "dv_status": "-1 no pair, 0 a good vertex; of the first pair: 1 no crossing, 2 singular, 3 not converged, 4 bad",
    "dv_k0s": "1: the best vertex is in the K0S window",
    "dv_lambda": "1: the best vertex is in the Lambda window, either charge",
    "dv_conversion": "1: the best vertex looks like a converted photon",
    "dv_chi2": "chi2 of the best vertex, one degree of freedom",
    "dv_probability": "chi2 probability",
    "dv_x_cm": "position [cm]",
    "dv_y_cm": "position [cm]",
    "dv_z_cm": "position [cm]",
    "dv_sigma_x_cm": "error of the position [cm]",
    "dv_sigma_y_cm": "error of the position [cm]",
    "dv_sigma_z_cm": "error of the position [cm]",
    "dv_radius_cm": "transverse distance from the origin [cm]",
    "dv_theta_deg": "polar angle seen from the beam spot [degrees]",
    "dv_flight_cm": "distance from the beam spot [cm]",
    "dv_flight_significance": "the same over its error, beam spot included",
    "dv_flight_xy_cm": "transverse distance from the beam spot [cm]",
    "dv_flight_xy_significance": "the same over its error, beam spot included",
    "dv_pointing_deg": "angle between the pair's momentum and its flight [degrees]",
    "dv_pointing_xy_deg": "the same in the transverse plane [degrees]",
    "dv_p_gev": "momentum of the pair [GeV]",
    "dv_pt_gev": "transverse momentum of the pair [GeV]",
    "dv_p_negative_gev": "momentum of the negative track [GeV]",
    "dv_p_positive_gev": "momentum of the positive track [GeV]",
    "dv_opening_deg": "angle between the two momenta [degrees]",
    "dv_dphi_deg": "azimuth difference of the two momenta [degrees]",
    "dv_theta_sum_deg": "sum of the polar angles of the two momenta [degrees]",
    "dv_mass_ee_gev": "mass as e+ e- [GeV]",
    "dv_mass_mumu_gev": "mass as mu+ mu- [GeV]",
    "dv_mass_pipi_gev": "mass as pi+ pi- [GeV]",
    "dv_mass_kk_gev": "mass as K+ K- [GeV]",
    "dv_mass_kpi_gev": "mass as K- pi+ [GeV]",
    "dv_mass_pik_gev": "mass as pi- K+ [GeV]",
    "dv_mass_ppi_gev": "mass as proton and pion, the proton the faster one as in a Lambda decay [GeV]",
}
"""Meaning of each variable, in the order of the table."""
VERTEX_VARIABLES: tuple[str, ...] = tuple(MEANINGS)
VERTEX_TABLE: np.dtype[Any] = np.dtype([(name, "<f8") for name in VERTEX_VARIABLES])
DEFINED = VERTEX_VARIABLES[: VERTEX_VARIABLES.index("dv_chi2")]
"""Variables that have a value in every event."""
BAD_VERTEX = 4
"""``dv_status`` of an event whose first pair has a vertex, but a bad one, and no other pair a good one."""

_DEFAULTS = np.zeros(1, dtype=VERTEX_TABLE)
for _name in VERTEX_VARIABLES:
    _DEFAULTS[_name] = 0.0 if _name in DEFINED else np.nan
_DEFAULTS["dv_status"] = NO_PAIR

ELECTRON_GEV, MUON_GEV, PION_GEV, KAON_GEV, PROTON_GEV = 0.51099895e-3, 0.1056583755, 0.13957039, 0.493677, 0.93827209


class Pair(NamedTuple):
    """What decides between the good vertices of an event."""

    flight_significance: float
    is_k0s: bool
    is_lambda: bool
    is_conversion: bool


def vertex_variables(tracks: Tracks, legs: Array, skip: Array, windows: Windows) -> Array:
    """Return the (N,) `VERTEX_TABLE` of the events; those of (N,) bool ``skip`` are left at their defaults."""
    table = np.repeat(_DEFAULTS, skip.size)
    _fill(table, tracks, read_only(legs), skip, windows)
    return table


@kernel
def _fill(table: Array, tracks: Tracks, legs: Array, skip: Array, windows: Windows) -> None:
    longest = 0
    for i in range(skip.size):
        longest = max(longest, tracks.offsets[i + 1] - tracks.offsets[i])
    negative, positive = np.empty(longest, dtype=np.int64), np.empty(longest, dtype=np.int64)
    enough = _chi2_at(windows.min_probability)
    for i in range(skip.size):
        if skip[i]:
            continue
        n_negative = _rank(legs, tracks.offsets[i], tracks.offsets[i + 1], -1, negative)
        n_positive = _rank(legs, tracks.offsets[i], tracks.offsets[i + 1], 1, positive)
        row = table[i]
        row.dv_n_pairs = min(n_negative * n_positive, windows.max_pairs)
        row.dv_over_cap = n_negative * n_positive > windows.max_pairs
        tried, best_significance, best_known = 0, -1.0, True
        for rank in range(n_negative + n_positive - 1):
            for k in range(max(0, rank - n_positive + 1), min(rank + 1, n_negative)):
                if tried == windows.max_pairs:
                    break
                t_n, t_p = negative[k], positive[rank - k]
                helix_n, helix_p = _helix(tracks, t_n), _helix(tracks, t_p)
                vertex = fit_crossing(helix_n, helix_p, tracks.cov, t_n, t_p, enough, windows.max_radius_cm)
                tried += 1
                if not _is_good(vertex, enough, windows.max_radius_cm):
                    if tried == 1:
                        row.dv_status = vertex.status if vertex.status != FITTED else BAD_VERTEX
                    continue
                pair = _judge(vertex, windows)
                row.dv_n_good += 1
                row.dv_n_k0s += pair.is_k0s
                row.dv_n_lambda += pair.is_lambda
                row.dv_n_conversion += pair.is_conversion
                is_known = pair.is_k0s or pair.is_lambda or pair.is_conversion
                is_longer = pair.flight_significance > best_significance
                if (best_known and not is_known) or (best_known == is_known and is_longer):
                    best_significance, best_known = pair.flight_significance, is_known
                    _describe(row, vertex, pair, windows)


@kernel
def _chi2_at(probability: float) -> float:
    """Return the chi2 of one degree of freedom that is exceeded with this probability."""
    low, high = 0.0, 1400.0  # where the probability reaches the smallest number
    for _ in range(64):
        middle = 0.5 * (low + high)
        if math.erfc(math.sqrt(0.5 * middle)) > probability:
            low = middle
        else:
            high = middle
    return low


@kernel_inline
def _rank(legs: Array, begin: int, end: int, charge: int, out: Array) -> int:
    """Fill ``out`` with the tracks of one charge that have a drift-chamber hit, by falling pt; return their number."""
    count = 0
    for t in range(begin, end):
        if legs[t].charge == charge and legs[t].n_cdc_hits > 0:
            place = count
            while place > 0 and legs[out[place - 1]].pt < legs[t].pt:
                out[place] = out[place - 1]
                place -= 1
            out[place] = t
            count += 1
    return count


@kernel_inline
def _helix(tracks: Tracks, t: int) -> Five:
    return (
        np.float64(tracks.d0[t]),
        np.float64(tracks.phi0[t]),
        np.float64(tracks.omega[t]),
        np.float64(tracks.z0[t]),
        np.float64(tracks.tan_lambda[t]),
    )


@kernel_inline
def _is_good(vertex: Vertex, enough: float, max_radius_cm: float) -> bool:
    inside = vertex.x * vertex.x + vertex.y * vertex.y < max_radius_cm * max_radius_cm
    return vertex.status == FITTED and vertex.chi2 < enough and inside


@kernel_inline
def _mass(vertex: Vertex, mass_1: float, mass_2: float) -> float:
    return math.sqrt(max(0.0, mass_square(add(_p4(vertex.p1, mass_1), _p4(vertex.p2, mass_2)))))


@kernel_inline
def _p4(p: Any, mass: float) -> P4:
    return P4(p[0], p[1], p[2], math.sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2] + mass * mass))


@kernel_inline
def _mass_ppi(vertex: Vertex) -> float:
    first = vertex.p1[0] ** 2 + vertex.p1[1] ** 2 + vertex.p1[2] ** 2
    second = vertex.p2[0] ** 2 + vertex.p2[1] ** 2 + vertex.p2[2] ** 2
    if first > second:
        return _mass(vertex, PROTON_GEV, PION_GEV)
    return _mass(vertex, PION_GEV, PROTON_GEV)


@kernel_inline
def _significance(vertex: Vertex, windows: Windows, in_z: float) -> float:
    """Return the flight over its error; only the transverse one if ``in_z`` is 0 instead of 1."""
    x, y, z = vertex.x - windows.spot_x, vertex.y - windows.spot_y, in_z * (vertex.z - windows.spot_z)
    xx, yy = vertex.xx + windows.spot_sigma_x**2, vertex.yy + windows.spot_sigma_y**2
    zz = vertex.zz + windows.spot_sigma_z**2
    variance = x * x * xx + y * y * yy + z * z * zz
    variance += 2.0 * (x * y * vertex.xy + x * z * vertex.xz + y * z * vertex.yz)
    return (x * x + y * y + z * z) / math.sqrt(variance) if variance > 0.0 else 0.0


@kernel
def _judge(vertex: Vertex, windows: Windows) -> Pair:
    mass_pipi, mass_ppi = _mass(vertex, PION_GEV, PION_GEV), _mass_ppi(vertex)
    in_material = vertex.x * vertex.x + vertex.y * vertex.y > windows.conversion_radius**2
    return Pair(
        _significance(vertex, windows, 1.0),
        windows.k0s_low < mass_pipi < windows.k0s_high,
        windows.lambda_low < mass_ppi < windows.lambda_high,
        in_material and _mass(vertex, ELECTRON_GEV, ELECTRON_GEV) < windows.conversion_high,
    )


@kernel
def _describe(row: Any, vertex: Vertex, pair: Pair, windows: Windows) -> None:
    row.dv_status = FITTED
    row.dv_k0s, row.dv_lambda, row.dv_conversion = pair.is_k0s, pair.is_lambda, pair.is_conversion
    row.dv_chi2, row.dv_probability = vertex.chi2, math.erfc(math.sqrt(0.5 * vertex.chi2))
    row.dv_x_cm, row.dv_y_cm, row.dv_z_cm = vertex.x, vertex.y, vertex.z
    row.dv_sigma_x_cm, row.dv_sigma_y_cm = math.sqrt(vertex.xx), math.sqrt(vertex.yy)
    row.dv_sigma_z_cm = math.sqrt(vertex.zz)
    row.dv_radius_cm = math.sqrt(vertex.x * vertex.x + vertex.y * vertex.y)
    flight = P4(vertex.x - windows.spot_x, vertex.y - windows.spot_y, vertex.z - windows.spot_z, 0.0)
    row.dv_theta_deg, row.dv_flight_cm, row.dv_flight_xy_cm = theta_deg(flight), momentum(flight), pt(flight)
    row.dv_flight_significance = pair.flight_significance
    row.dv_flight_xy_significance = _significance(vertex, windows, 0.0)
    n, p = _p4(vertex.p1, PION_GEV), _p4(vertex.p2, PION_GEV)
    both = add(n, p)
    row.dv_pointing_deg, row.dv_pointing_xy_deg = opening_deg(both, flight), dphi_deg(both, flight)
    row.dv_p_gev, row.dv_pt_gev = momentum(both), pt(both)
    row.dv_p_negative_gev, row.dv_p_positive_gev = momentum(n), momentum(p)
    row.dv_opening_deg, row.dv_dphi_deg, row.dv_theta_sum_deg = opening_deg(n, p), dphi_deg(n, p), theta_sum_deg(n, p)
    row.dv_mass_ee_gev = _mass(vertex, ELECTRON_GEV, ELECTRON_GEV)
    row.dv_mass_mumu_gev = _mass(vertex, MUON_GEV, MUON_GEV)
    row.dv_mass_pipi_gev = _mass(vertex, PION_GEV, PION_GEV)
    row.dv_mass_kk_gev = _mass(vertex, KAON_GEV, KAON_GEV)
    row.dv_mass_kpi_gev, row.dv_mass_pik_gev = _mass(vertex, KAON_GEV, PION_GEV), _mass(vertex, PION_GEV, KAON_GEV)
    row.dv_mass_ppi_gev = _mass_ppi(vertex)
