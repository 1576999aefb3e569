// The ECL trigger written straight from its definition, to compare with in speed and in what it decides.
//
// Trigger cells -> clusters (at most six) -> energy bits, 3D Bhabha, mu pair and the low-multiplicity bits lml0-lml13.
// One event after the other, tables for the neighbours of a cell, no trick. Built with -O3 by benchmarks/l1.py and
// called through ctypes on the arrays of the event model. Source of the definition: Belle II public software, ECL
// trigger simulation (single decision window, clustering method 1).

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace {

constexpr int kCells = 576;
constexpr int kMaxClusters = 6;

struct Cell {
  int ring = 0;
  int neighbours[9] = {};  // itself first; 0 is no cell
  int veto_any[3] = {};    // no cluster starts here if one of these is hit
  int veto_both[2] = {};   // nor if both of these are
};

struct Cluster {
  int cell;
  double gev, x, y, z, ns;
};

Cell cells[kCells + 1];
int at[18][37];  // ring, azimuth number -> cell; a cell of ring 1 stands at two azimuth numbers

int ring_of(int id) {
  const int t = id - 1;
  if (t < 80) return t % 5 < 3 ? 1 + t % 5 : 6 - t % 5;
  if (t < 512) return (t - 80) % 12 + 4;
  return t == 512 || (t - 513) / 2 % 2 ? 17 : 16;
}

int azimuth_of(int id) {
  const int t = id - 1;
  if (t < 80) return t % 5 < 3 ? 1 + 2 * (t / 5) : 2 + 2 * (t / 5);
  if (t < 512) return 1 + (t - 80) / 12;
  const int h = (t - 512) / 2;
  return h % 2 ? h : h + 2;
}

int region(int ring) { return ring < 4 ? 0 : ring < 16 ? 1 : 2; }

// The cell at a step of ring and azimuth number from a cell, 0 if there is none in its region.
int step(int id, int left, int down) {
  const int ring = ring_of(id) + left;
  if (ring < 1 || ring > 17 || region(ring) != region(ring_of(id))) return 0;
  const int turn = region(ring) == 1 ? 36 : 32;
  return at[ring][(azimuth_of(id) - 1 + down + turn) % turn + 1];
}

template <int N>
void fill(int (&out)[N], int id, const int (*steps)[2], int count) {
  int n = 0;
  for (int k = 0; k < count; ++k) {
    const int other = step(id, steps[k][0], steps[k][1]);
    if (other && std::find(out, out + n, other) == out + n) out[n++] = other;
  }
}

}  // namespace

extern "C" void prepare() {
  static const int near[9][2] = {{0, 0}, {0, -1}, {-1, -1}, {-1, 0}, {-1, 1}, {0, 1}, {1, 1}, {1, 0}, {1, -1}};
  static const int any[2][2] = {{0, -1}, {1, 0}}, both[2][2] = {{0, 1}, {1, 1}};
  static const int near_1[7][2] = {{0, 0}, {0, -2}, {1, -1}, {1, 0}, {1, 1}, {1, 2}, {0, 2}};
  static const int any_1[3][2] = {{0, -2}, {1, 0}, {1, 1}}, both_1[2][2] = {{0, 2}, {1, 2}};
  for (int id = 1; id <= kCells; ++id) {
    at[ring_of(id)][azimuth_of(id)] = id;
    if (ring_of(id) == 1) at[1][azimuth_of(id) + 1] = id;
  }
  for (int id = 1; id <= kCells; ++id) {
    cells[id] = Cell{};
    cells[id].ring = ring_of(id);
    const bool innermost = cells[id].ring == 1;
    fill(cells[id].neighbours, id, innermost ? near_1 : near, innermost ? 7 : 9);
    fill(cells[id].veto_any, id, innermost ? any_1 : any, innermost ? 3 : 2);
    fill(cells[id].veto_both, id, innermost ? both_1 : both, 2);
  }
}

// Bits of a word: 0 elow, 1 ehigh, 2 elum, 3 burst, 4 active, 5-8 number of clusters, 9 overflow, 10 3D Bhabha,
// 11 mu pair, 12-25 lml0-lml13. xyz_cm (577, 3) and the columns of the CM table (577) are given; row 0 is no cell.
extern "C" void decide(int64_t n_events, const int32_t* offsets, const uint16_t* ids, const float* energies,
                       const float* times, const double* xyz_cm, const int64_t* theta_cm_deg,
                       const int64_t* phi_cm_deg, const double* elab_over_ecm, uint64_t* words, double* centroids) {
  double gev[kCells + 1] = {}, ns[kCells + 1] = {};
  int order[kCells];
  Cluster clusters[kMaxClusters];
  for (int64_t event = 0; event < n_events; ++event) {
    const int begin = offsets[event], end = offsets[event + 1];
    double inner = 0, total = 0;
    for (int k = begin; k < end; ++k) {
      const double energy = std::rint(1e6 * energies[k]) / 1e6;  // float is no finer than a keV
      gev[ids[k]] = energy;
      ns[ids[k]] = times[k];
      total += energy;
      if (cells[ids[k]].ring >= 2 && cells[ids[k]].ring <= 15) inner += energy;
    }
    int n_order = 0;
    for (int wanted : {1, 0, 2}) {  // barrel, forward, backward
      for (int k = begin; k < end; ++k) {
        if (region(cells[ids[k]].ring) == wanted) order[n_order++] = ids[k];
      }
    }

    int found = 0;
    for (int k = 0; k < n_order; ++k) {
      const Cell& seed = cells[order[k]];
      if (gev[seed.veto_any[0]] > 0 || gev[seed.veto_any[1]] > 0 || gev[seed.veto_any[2]] > 0) continue;
      if (gev[seed.veto_both[0]] > 0 && gev[seed.veto_both[1]] > 0) continue;
      if (++found > kMaxClusters) continue;
      int centre = order[k];
      for (int other : seed.neighbours) {
        if (gev[other] > gev[centre]) centre = other;
      }
      Cluster cluster{centre, 0, 0, 0, 0, 0};
      for (int other : cells[centre].neighbours) {
        if (gev[other] == 0) continue;
        cluster.gev += gev[other];
        cluster.x += gev[other] * xyz_cm[3 * other];
        cluster.y += gev[other] * xyz_cm[3 * other + 1];
        cluster.z += gev[other] * xyz_cm[3 * other + 2];
        cluster.ns += gev[other] * ns[other];
      }
      cluster.x /= cluster.gev;
      cluster.y /= cluster.gev;
      cluster.z /= cluster.gev;
      cluster.ns /= cluster.gev;
      clusters[found - 1] = cluster;
    }
    const int count = std::min(found, kMaxClusters);

    int n300 = 0, n2 = 0, n2_barrel = 0, n2_edge = 0, n2_extreme = 0, n1_barrel = 0, n1_edge = 0, n_inside = 0;
    int n500 = 0, n500_barrel = 0;
    for (int k = 0; k < count; ++k) {
      const int ring = cells[clusters[k].cell].ring;
      const double energy = clusters[k].gev, factor = elab_over_ecm[clusters[k].cell];
      if (energy > 0.3) ++n300;
      if (ring >= 2 && ring <= 16) {
        ++n_inside;
        if (energy > 0.5) ++n500;
      }
      if (energy > 0.5 * factor && ring >= 6 && ring <= 11) ++n500_barrel;
      if (energy > 1.0 * factor) {
        if (ring >= 4 && ring <= 15) ++n1_barrel;
        if (ring == 2 || ring == 3 || ring == 16) ++n1_edge;
      }
      if (energy > 2.0 * factor) {
        ++n2;
        if (ring >= 4 && ring <= 14) ++n2_barrel;
        if (ring == 2 || ring == 3 || ring == 15 || ring == 16) ++n2_edge;
        if (ring == 1 || ring == 17) ++n2_extreme;
      }
    }
    bool bhabha = false, mumu = false, both_soft = false, one_soft = false, back_to_back = false;
    for (int i = 0; i < count; ++i) {
      for (int j = i + 1; j < count; ++j) {
        const Cluster &one = clusters[i], &two = clusters[j];
        const int64_t dphi = std::llabs(phi_cm_deg[one.cell] - phi_cm_deg[two.cell]);
        const int64_t folded = std::min(dphi, 360 - dphi), tsum = theta_cm_deg[one.cell] + theta_cm_deg[two.cell];
        const double factor_1 = elab_over_ecm[one.cell], factor_2 = elab_over_ecm[two.cell];
        if (dphi > 160 && dphi < 200 && tsum > 165 && tsum < 190) {
          if (one.gev > 3.0 * factor_1 && two.gev > 3.0 * factor_2 &&
              (one.gev > 4.5 * factor_1 || two.gev > 4.5 * factor_2)) {
            bhabha = true;
          }
          if (one.gev < 2.0 * factor_1 && two.gev < 2.0 * factor_2) mumu = true;
        }
        if (folded > 170) {
          if (one.gev > 0.25 && two.gev > 0.25) both_soft = true;
          if ((one.gev > 0.25 && two.gev < 0.25) || (one.gev < 0.25 && two.gev > 0.25)) one_soft = true;
        }
        if (folded > 160 && tsum > 160 && tsum < 200) back_to_back = true;
      }
    }
    const bool bits[] = {
        inner > 0.5,
        inner > 1.0,
        inner > 3.0,
        total > 20.0,
        found > 0,
        (count & 1) != 0,
        (count & 2) != 0,
        (count & 4) != 0,
        (count & 8) != 0,
        found > kMaxClusters,
        bhabha,
        mumu,
        count >= 3 && n300 >= 1 && !bhabha,
        n2_barrel >= 1,
        n2_edge >= 1 && !bhabha,
        n2_edge >= 1 && bhabha,
        n2_extreme >= 1 && !bhabha,
        n2_extreme >= 1 && bhabha,
        n1_barrel == 1 && n300 == 1,
        n1_edge == 1 && n300 == 1,
        both_soft && n2 == 0,
        one_soft && n2 == 0,
        back_to_back && n2 == 0,
        found > 0 && n2 == 0,
        n_inside >= 3 && n500 >= 1 && !bhabha,
        n500_barrel == 1 && n300 == 1,
    };
    uint64_t word = 0;
    int number = 0;
    for (bool bit : bits) word |= uint64_t{bit} << number++;
    words[event] = word;
    for (int k = 0; k < count; ++k) {  // x, y, z, energy, time of the kept clusters
      double* out = centroids + 5 * (kMaxClusters * event + k);
      out[0] = clusters[k].x, out[1] = clusters[k].y, out[2] = clusters[k].z;
      out[3] = clusters[k].gev, out[4] = clusters[k].ns;
    }
    for (int k = begin; k < end; ++k) gev[ids[k]] = ns[ids[k]] = 0;
  }
}
