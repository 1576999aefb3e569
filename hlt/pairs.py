"""Legs and pairs: Bhabha, two-photon, muon pair, single tag and cosmic flags.

Definitions of the FilterCalculator of the Belle II public software; ``row`` is one record of `hlt.variables.TABLE`,
``n`` and ``p`` are the best negative and positive track (`hlt.objects.LEG`; charge 0: there is none), ``a`` and ``b``
clusters (`hlt.objects.SHOWER`). All angles are in degrees. Angles that few events need are computed for those alone.
"""

from __future__ import annotations

from typing import Any

from daq.jit import Array, kernel, kernel_inline
from hlt.counts import Thresholds
from hlt.kinematics import P4, add, dphi_deg, mass_square, momentum, opening_deg, pt, theta_deg, theta_sum_deg


@kernel
def cosmic(row: Any, n: Any, p: Any, cut: Thresholds) -> None:
    """Two soft-deposit tracks in one line; the caller asks that there is no third track."""
    row.cosmic = (
        n.pt > cut.cosmic_pt_gev
        and p.pt > cut.cosmic_pt_gev
        and n.cluster_gev < cut.cosmic_cluster_gev
        and p.cluster_gev < cut.cosmic_cluster_gev
        # z0 is signed here: any track from the negative side passes.
        and (n.z0 < cut.cosmic_z0_cm or abs(n.d0) > cut.cosmic_d0_cm)
        and (p.z0 < cut.cosmic_z0_cm or abs(p.d0) > cut.cosmic_d0_cm)
        and 180.0 - dphi_deg(n.lab, p.lab) < 2.0
        and abs(180.0 - theta_sum_deg(n.lab, p.lab)) < 2.0
    )


@kernel
def fastest_legs(row: Any, n: Any, p: Any) -> None:
    """Momenta, clusters and azimuth of the "C" pair: the fastest tracks of either charge, whatever their hits."""
    if n.charge != 0:
        row.pCmsNegC, row.clusterENegC = n.p_cm, n.cluster_gev
    if p.charge != 0:
        row.pCmsPosC, row.clusterEPosC = p.p_cm, p.cluster_gev
    if n.charge != 0 and p.charge != 0:
        row.dPhiCmsC = dphi_deg(n.cm, p.cm)


@kernel
def one_leg(row: Any, n: Any, p: Any) -> None:
    """Flags of either leg; a leg that does not exist has no momentum and no cluster."""
    row.ee1leg = n.cluster_cm_gev > 4.5 or p.cluster_cm_gev > 4.5
    row.singleMuon = (n.p_cm > 3.0 and 0.0 < n.cluster_gev < 1.0) or (p.p_cm > 3.0 and 0.0 < p.cluster_gev < 1.0)


@kernel
def two_legs(row: Any, n: Any, p: Any, dphi: float, sqrt_s_gev: float) -> None:
    """Flags of a loose pair of opposite charge that is ``dphi`` apart in the CM frame."""
    theta_sum = theta_sum_deg(n.cm, p.cm) if dphi > 175.0 else 0.0  # otherwise no flag asks for it
    back_to_back = dphi > 175.0 and abs(theta_sum - 180.0) < 15.0
    missing = P4(-n.cm.x - p.cm.x, -n.cm.y - p.cm.y, -n.cm.z - p.cm.z, sqrt_s_gev - n.cm.e - p.cm.e)
    missing_p, missing_theta = momentum(missing), theta_deg(missing)
    high_p, low_p = max(n.p_cm, p.p_cm), min(n.p_cm, p.p_cm)
    e_n, e_p = n.cluster_cm_gev, p.cluster_cm_gev
    electron = e_p > 0.8 * p.p_cm or e_n > 0.8 * n.p_cm

    row.ee2leg = back_to_back and e_n > 3.0 and e_p > 3.0 and (e_n > 4.5 or e_p > 4.5)
    row.ee1leg1trk = back_to_back and ((e_n > 4.5 and p.p_cm > 3.0) or (e_p > 4.5 and n.p_cm > 3.0))
    row.ee1leg1e = (e_n > 4.5 and e_p > 0.8 * p.p_cm) or (e_p > 4.5 and e_n > 0.8 * n.p_cm)

    # The largest momentum is that of all loose tracks, not of the pair.
    largest = row.maximumPCMS
    two_photon = largest < 2.0 and dphi > 160.0 and (missing_theta < 25.0 or missing_theta > 155.0)
    row.eexxSelect = two_photon
    row.eeee = two_photon and electron
    row.eemm = two_photon and not electron
    row.eexx = (missing_theta < 20.0 or missing_theta > 160.0) and (
        (largest < 1.2 and dphi > 150.0) or (largest < 2.0 and dphi > 175.0)
    )

    two_loose, two_loose_b = row.nTrkLoose == 2, row.nTrkLooseB == 2
    radiative = low_p > 1.0 and 10.0 < missing_theta < 170.0 and dphi < 170.0 and missing_p > 1.0 and electron
    row.radBhabha = radiative and two_loose and row.nTrkTight >= 1
    row.radBhabhaB = radiative and two_loose_b and row.nTrkTightB >= 1
    row.isrRadBhabha = (
        low_p > 2.0
        and two_loose
        and row.nTrkTight >= 1
        and dphi > 175.0
        and (missing_theta < 5.0 or missing_theta > 175.0)
        and electron
    )
    brems = (
        high_p > 4.5
        and (n.cluster_gev > 1.0 or p.cluster_gev > 1.0)
        and missing_p > 1.0
        and (opening_deg(missing, n.cm) < 5.0 or opening_deg(missing, p.cm) < 5.0)
    )
    row.eeBrem = brems and two_loose
    row.eeBremB = brems and row.nTrkLooseB >= 1
    muons = high_p > 4.5 and n.cluster_gev < 0.5 and p.cluster_gev < 0.5 and 175.0 < theta_sum < 185.0 and dphi > 175.0
    row.muonPairV = muons and two_loose
    row.muonPairVB = muons and two_loose_b
    row.selectmumu = (
        high_p > 3.0 and low_p > 2.5 and dphi > 165.0 and (0.0 < n.cluster_gev < 1.0 or 0.0 < p.cluster_gev < 1.0)
    )


@kernel
def two_clusters(row: Any, a: Any, b: Any) -> None:
    """Flags of the two selected clusters of highest e_cm; after `one_leg`."""
    a_neutral, b_neutral = a.is_track == 0, b.is_track == 0
    dphi = dphi_deg(a.cm, b.cm)
    theta_sum = theta_sum_deg(a.cm, b.cm) if dphi > 155.0 else 0.0  # otherwise no flag asks for it
    back_to_back = abs(theta_sum - 180.0) < 15.0
    row.dphiCmsClust = dphi
    row.nMaxEPhotonAcc += a.is_compact != 0 and a_neutral and 17.0 < a.theta_deg < 150.0
    row.nMaxEPhotonAcc += b.is_compact != 0 and b_neutral and 17.0 < b.theta_deg < 150.0

    both_high = a.cm.e > 3.0 and b.cm.e > 3.0 and (a.cm.e > 4.5 or b.cm.e > 4.5)
    row.ee2clst = 160.0 < dphi < 178.0 and back_to_back and both_high
    row.gg2clst = dphi > 178.0 and back_to_back and both_high
    row.ee1leg1clst = (row.ee2clst > 0.0 or row.gg2clst > 0.0) and row.ee1leg > 0.0

    barrel = 32.0 < a.theta_deg < 130.0 or 32.0 < b.theta_deg < 130.0
    both_2gev, one_4gev = a.cm.e > 2.0 and b.cm.e > 2.0, a.cm.e > 4.0 or b.cm.e > 4.0
    one_neutral, both_neutral = a_neutral or b_neutral, a_neutral and b_neutral
    very_loose = both_2gev and dphi > 175.0 and one_neutral
    loose = both_2gev and one_4gev and dphi > 177.0 and one_neutral
    tight = both_2gev and one_4gev and dphi > 177.5 and both_neutral
    row.ggBarrelVL, row.ggEndcapVL = very_loose and barrel, very_loose and not barrel
    row.ggBarrelLoose, row.ggEndcapLoose = loose and barrel, loose and not barrel
    row.ggBarrelTight, row.ggEndcapTight = tight and barrel, tight and not barrel

    row.muonPairECL = dphi > 155.0 and 165.0 < theta_sum < 195.0 and 0.15 < a.lab.e < 0.5 and 0.15 < b.lab.e < 0.5
    row.ggHighPt = (
        b.cm.e > 0.3
        and 26.0 < a.theta_deg < 130.0
        and 26.0 < b.theta_deg < 130.0
        and both_neutral
        and pt(add(a.cm, b.cm)) > 1.0
    )


@kernel_inline
def flat_bhabha(row: Any, n: Any, p: Any, showers: Array, begin: int, end: int) -> None:
    """Bhabha accept flags, flattened in the polar angle; the last rule that applies gives the angle.

    ``showers[begin:end]`` are those of the event.
    """
    theta = 0.0
    heaviest = _heaviest(n, showers, begin, end)
    if heaviest < end:
        row.selectee1leg1clst = 1
        theta = theta_deg(n.lab)
    heaviest = _heaviest(p, showers, begin, end)
    if heaviest < end:
        row.selectee1leg1clst = 1
        theta = theta_deg(showers[heaviest].lab)
    if n.charge != 0 and p.charge != 0:
        square, e_n, e_p = mass_square(add(n.lab, p.lab)), n.cluster_cm_gev, p.cluster_cm_gev
        row.selectee1leg1trk = square > 5.29**2 and (e_n > 1.5 or e_p > 1.5)
        row.eeOneClust = square > 9.0**2 and ((e_p > 4.5 and e_n < 1.0) or (e_n > 4.5 and e_p < 1.0))
        if row.selectee1leg1trk > 0.0 or row.selectee1leg1clst > 0.0:
            theta = theta_deg(n.lab)  # also when the pair failed its mass cut
    if row.selectee1leg1trk > 0.0 or row.selectee1leg1clst > 0.0:
        row.eeFlat0 = 0.0 <= theta < 19.0
        row.eeFlat1 = 19.0 <= theta < 22.0
        row.eeFlat2 = 22.0 <= theta < 25.0
        row.eeFlat3 = 25.0 <= theta < 30.0
        row.eeFlat4 = 30.0 <= theta < 35.0
        row.eeFlat5 = 35.0 <= theta < 45.0
        row.eeFlat6 = 45.0 <= theta < 60.0
        row.eeFlat7 = 60.0 <= theta < 90.0
        row.eeFlat8 = 90.0 <= theta < 180.0
        row.selectee = 0.0 <= theta < 180.0


@kernel_inline
def _heaviest(leg: Any, showers: Array, begin: int, end: int) -> int:
    """Return the cluster with which the leg has the largest mass (its own included), above 5.29 GeV; else ``end``."""
    found, largest = end, 5.29**2
    if leg.cluster_cm_gev > 1.5:
        for c in range(begin, end):
            square = mass_square(add(leg.lab, showers[c].lab))
            if showers[c].lab.e > 0.0 and square > largest:
                found, largest = c, square
    return found


@kernel
def single_tag(row: Any, track: Any, a: Any, b: Any, sqrt_s_gev: float) -> None:
    """One track against a pi0 or eta made of the two neutral clusters of highest e_cm."""
    # The track is the best loose one in both cases, which need not be the one B track.
    loose = row.nTrkLoose == 1 and row.maximumPCMS > 0.8
    loose_b = row.nTrkLooseB == 1 and row.maximumPCMSB > 0.8
    meson = add(a.cm, b.cm)
    if not ((loose or loose_b) and track.charge != 0 and 1.0 < meson.e < 0.525 * sqrt_s_gev):
        return
    theta_sum = theta_sum_deg(meson, track.cm)
    if not ((theta_sum < 170.0 or theta_sum > 190.0) and dphi_deg(meson, track.cm) > 160.0):
        return
    square = mass_square(meson)
    if loose:
        row.singleTagLowMass, row.singleTagHighMass = square < 0.7**2, square > 0.7**2
    if loose_b:
        row.singleTagLowMassB, row.singleTagHighMassB = square < 0.7**2, square > 0.7**2
