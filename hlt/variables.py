"""The filter variables: what the lines of a menu may cut on.

Names, definitions, thresholds and quirks are those of the FilterCalculator of the Belle II public software (basf2,
hlt/softwaretrigger/calculations); counts and flags agree with it exactly. The work is done event by
event: tracks and clusters one by one (`hlt.objects`), their pairs (`hlt.pairs`), the vertex (`hlt.vertex`).

Approximate: the interaction point is the origin; ``l1_trg_NN_info`` is 1 when a neural track exists, where the
experiment asks for the debug stream of one event in 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from daq.event import TimType
from daq.jit import Array, kernel, kernel_inline, read_only
from hlt.kinematics import Frame, pt_at_curvature
from hlt.objects import ANY, FASTEST, LOOSE, Clusters, Thresholds, Tracks, leg_of, survey_clusters, survey_tracks
from hlt.pairs import cosmic, fastest_legs, flat_bhabha, one_leg, single_tag, two_clusters, two_legs
from hlt.vertex import FIT, NO_PAIR, Six, fit_vertex, is_displaced, perigee, perigee_covariance

_NAMES = """
    nTrkLoose nTrkTight netChargeLoose maximumPCMS maximumPLab
    nTrkLooseB nTrkTightB netChargeLooseB maximumPCMSB
    nTrackC maximumPCMSC pCmsNegC clusterENegC pCmsPosC clusterEPosC dPhiCmsC
    nElow nEmedium nEhigh nVetoClust nE180Lab nE300Lab nE500Lab nE2000CMS nE4000CMS nE250Lab
    chrgClust2GeV neutClust045GeVAcc neutClust045GeVBarrel nMaxEPhotonAcc dphiCmsClust
    nEsingleClust nEsinglePhotonBarrel nEsinglePhotonExtendedBarrel nEsinglePhotonEndcap
    nEsingleElectronBarrel nEsingleElectronExtendedBarrel nReducedEsinglePhotonReducedBarrel
    n2GeVNeutBarrel n2GeVNeutEndcap n2GeVChrg nEhighLowAng n2GeVPhotonBarrel n2GeVPhotonEndcap
    ee2leg ee1leg ee1leg1trk ee1leg1clst ee1leg1e ee2clst gg2clst eexx eexxSelect eeee eemm eeBrem eeBremB
    radBhabha radBhabhaB isrRadBhabha muonPairV muonPairVB muonPairECL selectmumu singleMuon
    selectee1leg1trk selectee1leg1clst selectee eeOneClust
    eeFlat0 eeFlat1 eeFlat2 eeFlat3 eeFlat4 eeFlat5 eeFlat6 eeFlat7 eeFlat8
    ggHighPt ggBarrelVL ggBarrelLoose ggBarrelTight ggEndcapVL ggEndcapLoose ggEndcapTight
    singleTagLowMass singleTagHighMass singleTagLowMassB singleTagHighMassB
    cosmic displacedVertex
    l1_trigger_random l1_trigger_delayed_bhabha l1_trigger_poisson bha3d bhapur bhapur_lml1 l1_bit_f l1_trg_NN_info
    true false
"""
_NAN_NAMES = """
    maximumPCMS maximumPLab maximumPCMSB maximumPCMSC pCmsNegC clusterENegC pCmsPosC clusterEPosC dPhiCmsC dphiCmsClust
"""
VARIABLES: tuple[str, ...] = tuple(_NAMES.split())
VERTEX_VARIABLES: tuple[str, ...] = ()
"""Further variables of menus with the vertex seed "circles"."""
UNDEFINED_IS_NAN: tuple[str, ...] = tuple(_NAN_NAMES.split())
"""Variables that are NaN, not 0, in an event that does not define them."""
TABLE: np.dtype[Any] = np.dtype([(name, "<f8") for name in VARIABLES])
"""One event's variables, float64 all of them; ``table.view(float64)`` has shape (N, number of variables)."""


THRESHOLDS = Thresholds()
L1_BITS = ("bha3d", "bhapur", "lml1", "fpre", "raw_bhapur")
"""The bits of the first level that the variables need: prescaled, and before the prescale with the prefix ``raw_``."""

# Columns of the event model, in the order of the fields of `Tracks` and `Clusters`.
_TRACK_COLUMNS = (
    *("offsets", "charge", "d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda", "cov", "n_cdc_hits", "time_ns"),
    *("clusters.offsets", "clusters"),
)
_CLUSTER_COLUMNS = (
    *("offsets", "energy_gev", "theta", "phi", "time_ns", "dt99_ns", "zernike_mva"),
    *("is_track", "has_photon_hypothesis"),
)


class Columns(Protocol):
    """Arrays by name: an `EventBatch`, or a dictionary that holds the same names (in float32 or float64)."""

    def __getitem__(self, name: str, /) -> Array: ...


def filter_variables(
    events: Columns, l1: Mapping[str, Array], frame: Frame, skip: Array | None = None
) -> tuple[Array, Array]:
    """Compute the filter variables and the two-track vertices of N events.

    Parameters
    ----------
    events
        The arrays of the event model: ``tracks.*``, ``clusters.*``, ``tim_type``, ``trknn.offsets``.
    l1
        (N,) bool by name: the prescaled L1 bits ``bha3d``, ``bhapur``, ``lml1``, ``fpre`` and, before the prescale,
        ``raw_bhapur``. A bit that is not there is false.
    frame
        Centre-of-mass frame of the beams.
    skip
        (N,) bool: events left at their defaults (counts and flags 0, the rest NaN).

    Returns
    -------
    (N,) `TABLE`, (N,) `hlt.vertex.FIT`
        Variables; vertex of the displaced-vertex pair.
    """
    clusters = Clusters(*(read_only(events[f"clusters.{name}"]) for name in _CLUSTER_COLUMNS))
    tracks = Tracks(*(read_only(events[f"tracks.{name}"]) for name in _TRACK_COLUMNS))
    n_events = tracks.offsets.size - 1
    table = np.zeros(n_events, dtype=TABLE)
    for name in UNDEFINED_IS_NAN:
        table[name] = np.nan
    skipped = np.zeros(n_events, dtype=np.bool_) if skip is None else skip
    fits = np.full(n_events, np.array((NO_PAIR, np.nan, np.nan, np.nan, np.nan), dtype=FIT))
    _fill(table, fits, read_only(skipped), tracks, clusters, frame, THRESHOLDS)
    _copy_l1(table, events, l1, ~skipped)
    return table, fits


def _copy_l1(table: Array, events: Columns, l1: Mapping[str, Array], live: Array) -> None:
    tim_type = events["tim_type"]
    table["true"] = live
    table["l1_trigger_random"] = live & (tim_type == TimType.RANDOM)
    table["l1_trigger_delayed_bhabha"] = live & (tim_type == TimType.DELAYED_BHABHA)
    table["l1_trigger_poisson"] = live & (tim_type == TimType.POISSON)
    table["l1_trg_NN_info"] = live & (np.diff(events["trknn.offsets"]) > 0)
    never = np.zeros(table.size, dtype=np.bool_)
    for variable, bit in (("bha3d", "bha3d"), ("bhapur", "bhapur"), ("l1_bit_f", "fpre")):
        table[variable] = live & l1.get(bit, never)
    table["bhapur_lml1"] = live & l1.get("lml1", never) & l1.get("raw_bhapur", never)


@kernel
def _fill(
    table: Array, fits: Array, skip: Array, tracks: Tracks, clusters: Clusters, frame: Frame, cut: Thresholds
) -> None:
    best, largest = np.empty((3, 2), dtype=np.int64), np.empty((3, 2))
    covariances, matrix = np.empty((2, 6, 6)), frame.matrix
    for i in range(table.size):
        if skip[i]:
            continue
        row = table[i]
        survey_tracks(row, best, largest, i, tracks, matrix, cut)
        n = leg_of(tracks, best[LOOSE, 0], clusters, i, matrix)
        p = leg_of(tracks, best[LOOSE, 1], clusters, i, matrix)
        # Mostly the same two tracks are the best of all kinds; a call with all these arrays is worth a comparison.
        any_n = n if best[ANY, 0] == best[LOOSE, 0] else leg_of(tracks, best[ANY, 0], clusters, i, matrix)
        any_p = p if best[ANY, 1] == best[LOOSE, 1] else leg_of(tracks, best[ANY, 1], clusters, i, matrix)
        fast_n = n if best[FASTEST, 0] == best[LOOSE, 0] else leg_of(tracks, best[FASTEST, 0], clusters, i, matrix)
        fast_p = p if best[FASTEST, 1] == best[LOOSE, 1] else leg_of(tracks, best[FASTEST, 1], clusters, i, matrix)
        first, second, neutral_1, neutral_2 = survey_clusters(row, i, clusters, matrix, cut)
        fastest_legs(row, fast_n, fast_p)
        one_leg(row, n, p)
        if n.charge != 0 and p.charge != 0:
            two_legs(row, n, p, frame.sqrt_s_gev)
        if second.lab.e > 0.0:
            two_clusters(row, first, second)
        if n.charge != 0 or p.charge != 0:
            flat_bhabha(row, i, n, p, clusters)
        if neutral_2.lab.e > 0.0:
            single_tag(row, n if n.charge != 0 else p, neutral_1, neutral_2, frame.sqrt_s_gev)
        if any_n.charge != 0 and any_p.charge != 0:
            if tracks.offsets[i + 1] - tracks.offsets[i] == 2:  # tracks without a fit count here
                cosmic(row, any_n, any_p, cut)
            _fit(fits[i], tracks, best[ANY, 0], best[ANY, 1], covariances)
            row.displacedVertex = is_displaced(fits[i], any_n.lab, any_p.lab)


@kernel_inline
def _fit(fit: Any, tracks: Tracks, negative: int, positive: int, covariances: Array) -> None:
    a_n = _measured(tracks, negative, covariances[0])
    a_p = _measured(tracks, positive, covariances[1])
    kappa = pt_at_curvature(1.0)
    fit_vertex(fit, a_n, a_p, kappa, -kappa, covariances[0], covariances[1])


@kernel_inline
def _measured(tracks: Tracks, t: int, covariance: Array) -> Six:
    omega = np.float64(tracks.omega[t])
    a = perigee(
        np.float64(tracks.d0[t]),
        np.float64(tracks.phi0[t]),
        omega,
        np.float64(tracks.z0[t]),
        np.float64(tracks.tan_lambda[t]),
    )
    perigee_covariance(a, omega, tracks.cov[t], covariance)
    return a
