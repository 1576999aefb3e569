"""The filter variables: what the lines of a menu may cut on.

Names, definitions, thresholds and quirks are those of the FilterCalculator of the Belle II public software (basf2,
hlt/softwaretrigger/calculations); counts and flags agree with it exactly. The work is done event by
event: tracks and clusters one by one (`hlt.objects`), their pairs (`hlt.pairs`), the vertex (`hlt.vertex`).

Approximate: the interaction point is the origin; ``l1_trg_NN_info`` is 1 when a neural track exists, where the
experiment asks for the debug stream of one event in 256.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np

from daq.event import TimType
from daq.jit import Array, kernel, kernel_inline, read_only
from hlt.counts import Thresholds, count_clusters, count_tracks
from hlt.displaced.settings import VertexSettings
from hlt.displaced.variables import VERTEX_TABLE, VERTEX_VARIABLES, vertex_variables
from hlt.kinematics import Frame, dphi_deg
from hlt.objects import LEG, SHOWER, Clusters, Tracks, make_legs, make_showers
from hlt.pairs import cosmic, fastest_legs, flat_bhabha, one_leg, single_tag, two_clusters, two_legs
from hlt.vertex import FIT, FITTED, fit_pairs, is_displaced

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
UNDEFINED_IS_NAN: tuple[str, ...] = tuple(_NAN_NAMES.split())
"""Variables that are NaN, not 0, in an event that does not define them."""
TABLE: np.dtype[Any] = np.dtype([(name, "<f8") for name in VARIABLES])
"""One event's variables, float64 all of them; ``table.view(float64)`` has shape (N, number of variables)."""
WIDE_TABLE: np.dtype[Any] = np.dtype([*TABLE.descr, *VERTEX_TABLE.descr])
"""The same with the `VERTEX_VARIABLES` of the vertex seed "circles"."""


def _defaults() -> Array:
    row = np.zeros(1, dtype=TABLE)
    for name in UNDEFINED_IS_NAN:
        row[name] = np.nan
    return read_only(row)


_DEFAULTS = _defaults()

THRESHOLDS = Thresholds()
L1_BITS = ("bha3d", "bhapur", "lml1", "fpre", "raw_bhapur")
"""The bits of the first level that the variables need: prescaled, and before the prescale with the prefix ``raw_``."""

TIM_RANDOM, TIM_DELAYED_BHABHA, TIM_POISSON = int(TimType.RANDOM), int(TimType.DELAYED_BHABHA), int(TimType.POISSON)

TRACK_COLUMNS = (
    *("offsets", "charge", "d0_cm", "phi0", "omega_per_cm", "z0_cm", "tan_lambda", "cov", "n_cdc_hits", "time_ns"),
    *("clusters.offsets", "clusters"),
)
"""Columns of the group ``tracks`` in the order of the fields of `Tracks`."""
CLUSTER_COLUMNS = (
    *("offsets", "energy_gev", "theta", "phi", "time_ns", "dt99_ns", "zernike_mva"),
    *("is_track", "has_photon_hypothesis"),
)
"""The same of `Clusters`."""


class Columns(Protocol):
    """Arrays by name: an `EventBatch`, or a dictionary that holds the same names (in float32 or float64)."""

    def __getitem__(self, name: str, /) -> Array: ...


def filter_variables(
    events: Columns,
    l1: Mapping[str, Array],
    frame: Frame,
    skip: Array | None = None,
    vertex: VertexSettings | None = None,
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
    vertex
        With the seed "circles" the table has also the `VERTEX_VARIABLES`.

    Returns
    -------
    (N,) `TABLE` or `WIDE_TABLE`, (N,) `hlt.vertex.FIT`
        Variables; vertex of the displaced-vertex pair, always as Belle II fits it.
    """
    tracks = Tracks(*(read_only(events[f"tracks.{name}"]) for name in TRACK_COLUMNS))
    clusters = Clusters(*(read_only(events[f"clusters.{name}"]) for name in CLUSTER_COLUMNS))
    never = read_only(np.zeros(tracks.offsets.size - 1, dtype=np.bool_))
    skipped = never if skip is None else read_only(skip)
    tim_type, neural = read_only(events["tim_type"]), read_only(events["trknn.offsets"])
    bits = FirstLevel(tim_type, neural, *(read_only(l1.get(name, never)) for name in L1_BITS))
    table, fits, legs = _process(_DEFAULTS, skipped, tracks, clusters, bits, frame, THRESHOLDS)
    if vertex is None or vertex.seed == "kfit":
        return table, fits
    return _beside(table, vertex_variables(tracks, legs, skipped, vertex.windows())), fits


def _beside(table: Array, more: Array) -> Array:
    """Return the columns of both tables as a `WIDE_TABLE`."""
    wide = np.empty(table.size, dtype=WIDE_TABLE)
    numbers = wide.view(np.float64).reshape(table.size, len(VARIABLES) + len(VERTEX_VARIABLES))
    numbers[:, : len(VARIABLES)] = table.view(np.float64).reshape(table.size, len(VARIABLES))
    numbers[:, len(VARIABLES) :] = more.view(np.float64).reshape(table.size, len(VERTEX_VARIABLES))
    return wide


class FirstLevel(NamedTuple):
    """What the first level says of the events of a block."""

    tim_type: Array
    neural_offsets: Array
    bha3d: Array
    bhapur: Array
    lml1: Array
    fpre: Array
    raw_bhapur: Array


@kernel
def _process(
    defaults: Array,
    skip: Array,
    tracks: Tracks,
    clusters: Clusters,
    bits: FirstLevel,
    frame: Frame,
    cut: Thresholds,
) -> tuple[Array, Array, Array]:
    n_events = skip.size
    legs, showers = np.zeros(tracks.phi0.size + 1, LEG), np.zeros(clusters.theta.size + 1, SHOWER)
    make_legs(legs, tracks, clusters, frame.matrix)
    make_showers(showers, clusters, frame.matrix)
    table, fits, pairs = np.empty(n_events, TABLE), np.empty(n_events, FIT), np.full((n_events, 2), -1)
    for i in range(n_events):
        table[i] = defaults[0]
        if skip[i]:
            continue
        row = table[i]
        _copy_first_level(row, i, bits)
        n_tracks = tracks.offsets[i + 1] - tracks.offsets[i]  # those without a fit count here
        n, p = _fill(
            row, legs, tracks.offsets[i], tracks.offsets[i + 1], showers, clusters.offsets[i], clusters.offsets[i + 1],
            frame.sqrt_s_gev, cut,
        )  # fmt: skip
        if n >= 0 and p >= 0:
            pairs[i, 0], pairs[i, 1] = n, p
            if n_tracks == 2:
                cosmic(row, legs[n], legs[p], cut)
    fit_pairs(fits, pairs, legs, tracks.cov)
    for i in range(n_events):
        if fits[i].status == FITTED:
            table[i].displacedVertex = is_displaced(fits[i], legs[pairs[i, 0]].lab, legs[pairs[i, 1]].lab)
    return table, fits, legs


@kernel_inline
def _copy_first_level(row: Any, i: int, bits: FirstLevel) -> None:
    tim_type = bits.tim_type[i]
    row.true = 1
    row.l1_trigger_random = tim_type == TIM_RANDOM
    row.l1_trigger_delayed_bhabha = tim_type == TIM_DELAYED_BHABHA
    row.l1_trigger_poisson = tim_type == TIM_POISSON
    row.l1_trg_NN_info = bits.neural_offsets[i + 1] > bits.neural_offsets[i]
    row.bha3d, row.bhapur, row.l1_bit_f = bits.bha3d[i], bits.bhapur[i], bits.fpre[i]
    row.bhapur_lml1 = bits.lml1[i] and bits.raw_bhapur[i]


@kernel_inline
def _fill(
    row: Any,
    legs: Array,
    first_track: int,
    end_track: int,
    showers: Array,
    first_cluster: int,
    end_cluster: int,
    sqrt_s_gev: float,
    cut: Thresholds,
) -> tuple[int, int]:
    """Fill all that needs no vertex; return the best negative and positive track with a drift-chamber hit, or -1."""
    best = count_tracks(row, legs, first_track, end_track, cut)
    leading = count_clusters(row, showers, first_cluster, end_cluster, cut)
    n, p = legs[best.loose_negative], legs[best.loose_positive]
    fastest_n, fastest_p = legs[best.fastest_negative], legs[best.fastest_positive]
    fastest_legs(row, fastest_n, fastest_p)
    one_leg(row, n, p)
    if n.charge != 0 and p.charge != 0:
        two_legs(row, n, p, dphi_deg(n.cm, p.cm), sqrt_s_gev)
    if leading.second < showers.size - 1:
        two_clusters(row, showers[leading.first], showers[leading.second])
    if n.charge != 0 or p.charge != 0:
        flat_bhabha(row, n, p, showers, first_cluster, end_cluster)
    if leading.second_neutral < showers.size - 1:
        neutrals = showers[leading.first_neutral], showers[leading.second_neutral]
        single_tag(row, n if n.charge != 0 else p, neutrals[0], neutrals[1], sqrt_s_gev)
    none = legs.size - 1
    return best.any_negative if best.any_negative < none else -1, best.any_positive if best.any_positive < none else -1
