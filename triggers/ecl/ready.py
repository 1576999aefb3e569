"""ECL objects that come ready: clusters and packed words, where there are no cells.

What the ECL trigger sends to the GRL and the GDL: clusters with their centroid, four words of 32 bits, a time. Bit i of
the words is ECL bit number i; the numbers are those of the Belle II public software.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from daq.jit import Array, kernel
from triggers.ecl.cells import N_CELLS
from triggers.ecl.clusters import TANGENTS, ClusterCuts, Clusters, fill, room_for_clusters
from triggers.ecl.decisions import ECL_BITS
from triggers.primitives import check_offsets, check_shape

BIT_NUMBERS: dict[str, int] = {
    **{f"ecl_timing_{side}": 15 + k for k, side in enumerate(("fwd", "brl", "bwd"))},
    "ecl_phys": 18,
    "ecl_bha": 19,
    **{f"bha_type_{k}": 20 + k for k in range(14)},
    "elow": 47,
    "ehigh": 48,
    "elum": 49,
    **{f"ecl_bg_{k}": 57 + k for k in range(3)},
    "ecl_oflo": 60,
    "ecl_3dbha": 61,
    "bha_veto": 61,
    **{f"ecl_lml_{k}": 62 + k for k in range(12)},
    "ecl_bhapur": 74,
    "ecl_mumu": 75,
    "ecl_bst": 77,
    "ecl_lml_12": 78,
    "ecl_lml_13": 79,
    "bha_intrk": 86,
    "bha_theta_0": 87,
    "bha_theta_1": 88,
    "ecl_taub2b": 89,
    "hie1": 90,
    "hie2": 91,
    "hie3": 92,
    "ecl_taub2b2": 93,
    "ecl_taub2b3": 94,
    "hie4": 95,
}
"""Number of each decision in the ECL words; ``ecl_active`` and ``clst_*`` are not in them, nor is ``bhabha2d``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyEcl:
    """ECL objects of N events; the C clusters of event k are ``offsets[k]`` up to ``offsets[k + 1]``.

    Raises
    ------
    EventError
        If an array has not the length that it must have, or offsets do not rise from 0 to the number of clusters.
    """

    offsets: Array
    """(N + 1,) int."""
    x_cm: Array
    """(C,) centroid, float64 or float32, as are the four that follow."""
    y_cm: Array
    z_cm: Array
    energy_gev: Array
    """(C,) energy in the lab."""
    time_ns: Array
    """(C,)."""
    tc_id: Array
    """(C,) int number of the centre cell, 1 to 576."""
    theta_id: Array
    """(C,) int ring of the centre cell, 1 to 17."""
    ecl_words: Array
    """(N, 4) uint32 packed words; a record that is not present has none."""
    ecl_present: Array
    """(N,) bool: there is an ECL record."""
    ecl_time_ns: Array
    """(N,) time of the event by the ECL."""

    @property
    def size(self) -> int:
        """Return the number of events."""
        return int(self.ecl_present.size)

    def __post_init__(self) -> None:
        """Check the shapes."""
        check_offsets("clusters.offsets", self.offsets, self.size, self.x_cm.size)
        for name in ("x_cm", "y_cm", "z_cm", "energy_gev", "time_ns", "tc_id", "theta_id"):
            check_shape(f"clusters.{name}", getattr(self, name), (self.x_cm.size,))
        check_shape("ecl_words", self.ecl_words, (self.size, 4))
        check_shape("ecl_present", self.ecl_present, (self.size,))
        check_shape("ecl_time_ns", self.ecl_time_ns, (self.size,))


@kernel
def _ready_clusters(
    offsets: Array,
    xyz_cm: Array,
    energy_gev: Array,
    time_ns: Array,
    tc_id: Array,
    theta_id: Array,
    n_cells: int,
    tangents: Array,
    cuts: ClusterCuts,
    clusters: Clusters,
    malformed: Array,
) -> None:
    filled = 0
    for event in range(malformed.size):
        for k in range(offsets[event], offsets[event + 1]):
            x, y, z = xyz_cm[0, k], xyz_cm[1, k], xyz_cm[2, k]
            if not (
                0.0 < x * x + y * y < np.inf
                and math.isfinite(z)
                and math.isfinite(time_ns[k])
                and 0.0 < energy_gev[k] < np.inf
                and 1 <= tc_id[k] <= n_cells
                and 1 <= theta_id[k] <= 17
            ):
                malformed[event] = True
                continue
            fill(clusters, event, filled, x, y, z, energy_gev[k], time_ns[k], tc_id[k], theta_id[k], tangents, cuts)
            filled += 1
        clusters.offsets[event + 1] = filled


def ready_words(ready: ReadyEcl, cuts: ClusterCuts) -> tuple[Clusters, Array, Array]:
    """Return clusters and decisions of N events, and which events are malformed.

    The number of clusters counts to 15, and 16 are none, as the binary number in four bits says.

    Returns
    -------
    clusters : Clusters
    words : (N,) uint64
        Bit i is entry i of `triggers.ecl.decisions.ECL_BITS`.
    malformed : (N,) bool
        A cluster stands on the axis or nowhere, its energy is not positive and finite, its time is not finite, or its
        cell or ring does not exist: it is ignored. Or the time of the event is not finite.
    """
    clusters = room_for_clusters(ready.size, ready.x_cm.size)
    time_ns = ready.ecl_time_ns.astype(np.float64)
    present = ready.ecl_present.astype(np.bool_)
    clusters.event_time_ns[present] = time_ns[present]
    malformed: Array = present & ~np.isfinite(time_ns)
    _ready_clusters(
        ready.offsets.astype(np.int64),
        np.stack([ready.x_cm, ready.y_cm, ready.z_cm]).astype(np.float64),
        ready.energy_gev.astype(np.float64),
        ready.time_ns.astype(np.float64),
        ready.tc_id.astype(np.int64),
        ready.theta_id.astype(np.int64),
        N_CELLS,
        TANGENTS,
        cuts,
        clusters,
        malformed,
    )
    count = np.diff(clusters.offsets)
    decisions = {"ecl_active": present} | {f"clst_{k}": count >> k & 1 for k in range(4)}
    for name, number in BIT_NUMBERS.items():
        decisions[name] = present & (ready.ecl_words[:, number // 32] >> np.uint32(number % 32) & np.uint32(1) != 0)
    words: Array = np.zeros(ready.size, dtype=np.uint64)
    for k, name in enumerate(ECL_BITS):
        if name in decisions:
            words |= decisions[name].astype(np.uint64) << np.uint64(k)
    return clusters, words, malformed
