// The two-track fit of hlt/vertex.py as one would write it in plain C++: one pair after the other, small arrays, loops.
//
// KFit as Belle II's trigger runs it: seed at the origin, two nested loops of at most 15 turns, 2 x 2 and 3 x 3 inverses
// only, errors of momentum and position rounded to float. Built and called by benchmarks/hlt.py.

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>

namespace {

using Six = std::array<double, 6>;
using Point = std::array<double, 3>;

enum Status : int32_t { fitted = 0, singular = 32, arcsine = 33 };

constexpr double bending = 1.5 * 29.9792458e-4;  // GeV/c per cm: 1.5 T and the speed of light
constexpr double infinity = std::numeric_limits<double>::infinity();

struct Track {
  Six a;  // px, py, pz, x, y, z at the perigee
  double kappa;
  double cov[6][6];
};

struct Linear {
  double d[2][6];  // derivatives of the two constraints with respect to the track
  double e[2][3];  // and to the vertex
  double h[2][6];  // covariance times d
  double w[2][2];  // inverse covariance of the constraints
  double r[2];
};

Track measured(const double* helix, const double* packed) {
  const double d0 = helix[0], phi0 = helix[1], omega = helix[2], z0 = helix[3], tan_lambda = helix[4];
  const double pt = bending / std::abs(omega), s = std::sin(phi0), c = std::cos(phi0);
  Track t;
  t.a = {pt * c, pt * s, pt * tan_lambda, d0 * s, -d0 * c, z0};
  t.kappa = omega > 0 ? -bending : bending;
  double full[5][5];
  for (int i = 0, k = 0; i < 5; ++i)
    for (int j = i; j < 5; ++j) full[i][j] = full[j][i] = packed[k++];
  const double jacobian[6][5] = {{0, -t.a[1], -t.a[0] / omega, 0, 0},
                                 {0, t.a[0], -t.a[1] / omega, 0, 0},
                                 {0, 0, -t.a[2] / omega, 0, pt},
                                 {s, -t.a[4], 0, 0, 0},
                                 {-c, t.a[3], 0, 0, 0},
                                 {0, 0, 0, 1, 0}};
  double half[6][5] = {};
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j < 5; ++j)
      for (int k = 0; k < 5; ++k) half[i][j] += jacobian[i][k] * full[k][j];
  for (int i = 0; i < 6; ++i)
    for (int j = 0; j <= i; ++j) {
      double sum = 0;
      for (int k = 0; k < 5; ++k) sum += half[i][k] * jacobian[j][k];
      t.cov[i][j] = t.cov[j][i] = static_cast<float>(sum);
    }
  return t;
}

double bend_of(const Six& a, double kappa, const Point& v) {
  return kappa * ((v[0] - a[3]) * a[0] + (v[1] - a[4]) * a[1]) / (a[0] * a[0] + a[1] * a[1]);
}

bool linearise(const Track& t, const Six& a, double bend, const Point& v, Linear& out) {
  const double px = a[0], py = a[1], pz = a[2], k = t.kappa;
  const double dx = v[0] - a[3], dy = v[1] - a[4], dz = v[2] - a[5];
  const double pt2 = px * px + py * py, pt = std::sqrt(pt2), along = dx * px + dy * py;
  const double arc = std::asin(bend) / k, slope = 1 / (pt2 * std::sqrt(1 - bend * bend)), height = dz - pz * arc;
  const double turn_x = dx - 2 * px * along / pt2, turn_y = dy - 2 * py * along / pt2, pull = pz * pt * slope;
  const double d[2][6] = {{dy, -dx, 0, py + k * dx, -px + k * dy, 0},
                          {-pull * turn_x + height * px / pt, -pull * turn_y + height * py / pt, -arc * pt, px * pull,
                           py * pull, -pt}};
  const double e[2][3] = {{-py - k * dx, px - k * dy, 0}, {-px * pull, -py * pull, pt}};
  const double constraint[2] = {dy * px - dx * py - 0.5 * k * (dx * dx + dy * dy), pt * height};
  for (int m = 0; m < 2; ++m) {
    out.r[m] = constraint[m];
    for (int i = 0; i < 6; ++i) {
      out.d[m][i] = d[m][i];
      out.h[m][i] = 0;
      for (int j = 0; j < 6; ++j) out.h[m][i] += t.cov[j][i] * d[m][j];
      out.r[m] += d[m][i] * (t.a[i] - a[i]);
    }
    for (int i = 0; i < 3; ++i) out.e[m][i] = e[m][i];
  }
  double s11 = 0, s12 = 0, s22 = 0;
  for (int i = 0; i < 6; ++i) {
    s11 += d[0][i] * out.h[0][i];
    s12 += d[0][i] * out.h[1][i];
    s22 += d[1][i] * out.h[1][i];
  }
  const double det = s11 * s22 - s12 * s12;
  out.w[0][0] = s22 / det;
  out.w[0][1] = out.w[1][0] = -s12 / det;
  out.w[1][1] = s11 / det;
  return det != 0 && std::isfinite(det);
}

bool solve(const Linear (&tracks)[2], Point& step) {
  double m[3][3] = {}, g[3] = {};
  for (const Linear& t : tracks)
    for (int i = 0; i < 3; ++i) {
      const double f[2] = {t.w[0][0] * t.e[0][i] + t.w[0][1] * t.e[1][i], t.w[1][0] * t.e[0][i] + t.w[1][1] * t.e[1][i]};
      for (int j = 0; j < 3; ++j) m[i][j] += f[0] * t.e[0][j] + f[1] * t.e[1][j];
      g[i] += f[0] * t.r[0] + f[1] * t.r[1];
    }
  const double xx = m[1][1] * m[2][2] - m[1][2] * m[1][2], xy = m[0][2] * m[1][2] - m[0][1] * m[2][2],
               xz = m[0][1] * m[1][2] - m[0][2] * m[1][1], yy = m[0][0] * m[2][2] - m[0][2] * m[0][2],
               yz = m[0][1] * m[0][2] - m[0][0] * m[1][2], zz = m[0][0] * m[1][1] - m[0][1] * m[0][1];
  const double det = m[0][0] * xx + m[0][1] * xy + m[0][2] * xz;
  step = {(xx * g[0] + xy * g[1] + xz * g[2]) / det, (xy * g[0] + yy * g[1] + yz * g[2]) / det,
          (xz * g[0] + yz * g[1] + zz * g[2]) / det};
  return det != 0 && std::isfinite(det);
}

Six pulled(const Track& t, const Linear& at, const Point& step) {
  double q[2], l[2];
  for (int m = 0; m < 2; ++m) q[m] = at.r[m] - at.e[m][0] * step[0] - at.e[m][1] * step[1] - at.e[m][2] * step[2];
  for (int m = 0; m < 2; ++m) l[m] = at.w[m][0] * q[0] + at.w[m][1] * q[1];
  Six a;
  for (int i = 0; i < 6; ++i) a[i] = t.a[i] - at.h[0][i] * l[0] - at.h[1][i] * l[1];
  return a;
}

Status fit(const Track (&t)[2], double& chi2_out, Point& vertex_out) {
  chi2_out = -1;
  vertex_out = {0, 0, 0};
  Six a[2] = {t[0].a, t[1].a};
  Point vertex{}, best{};
  double best_chi2 = infinity;
  for (int outer = 0; outer < 15; ++outer) {
    double inner_chi2 = infinity;
    Six improved[2] = {a[0], a[1]};
    for (int turn = 0; turn < 15; ++turn) {
      const double bend[2] = {bend_of(a[0], t[0].kappa, vertex), bend_of(a[1], t[1].kappa, vertex)};
      if (!(std::abs(bend[0]) < 1 && std::abs(bend[1]) < 1)) return arcsine;
      Linear at[2];
      Point step;
      if (!linearise(t[0], a[0], bend[0], vertex, at[0]) || !linearise(t[1], a[1], bend[1], vertex, at[1])) return singular;
      if (!solve(at, step)) return singular;
      double chi2 = 0;
      for (const Linear& l : at)
        chi2 += l.r[0] * (l.w[0][0] * l.r[0] + l.w[0][1] * l.r[1]) + l.r[1] * (l.w[1][0] * l.r[0] + l.w[1][1] * l.r[1]);
      if (!(chi2 < inner_chi2)) break;
      inner_chi2 = chi2;
      for (int i = 0; i < 3; ++i) vertex[i] -= step[i];
      for (int k = 0; k < 2; ++k) improved[k] = pulled(t[k], at[k], step);
    }
    a[0] = improved[0];
    a[1] = improved[1];
    if (!(inner_chi2 < best_chi2)) break;
    best_chi2 = inner_chi2;
    best = vertex;
  }
  if (!std::isfinite(best_chi2)) return singular;
  chi2_out = best_chi2;
  vertex_out = best;
  return fitted;
}

}  // namespace

// helix: (n, 2, 5) d0, phi0, omega, z0, tan_lambda; cov: (n, 2, 15); status: (n); out: (n, 4) chi2, x, y, z.
extern "C" void fit_pairs(int64_t n, const double* helix, const double* cov, int32_t* status, double* out) {
  for (int64_t i = 0; i < n; ++i) {
    const Track tracks[2] = {measured(helix + 10 * i, cov + 30 * i), measured(helix + 10 * i + 5, cov + 30 * i + 15)};
    Point vertex;
    status[i] = fit(tracks, out[4 * i], vertex);
    for (int k = 0; k < 3; ++k) out[4 * i + 1 + k] = vertex[k];
  }
}
