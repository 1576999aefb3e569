"""How the two-track vertices of a menu are fitted, and what counts as a known particle among them."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

from pydantic import AfterValidator, Field

from daq.settings import Settings


def _rising(window: tuple[float, float]) -> tuple[float, float]:
    if not window[0] < window[1]:
        raise ValueError("the lower end must lie below the upper one")
    return window


Window = Annotated[tuple[float, float], AfterValidator(_rising)]
Vector = tuple[float, float, float]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Windows(NamedTuple):
    """The numbers of `VertexSettings` as the kernels take them."""

    max_pairs: int
    min_probability: float
    max_radius_cm: float
    spot_x: float
    spot_y: float
    spot_z: float
    spot_sigma_x: float
    spot_sigma_y: float
    spot_sigma_z: float
    k0s_low: float
    k0s_high: float
    lambda_low: float
    lambda_high: float
    conversion_high: float
    conversion_radius: float


class VertexSettings(Settings):
    """The two-track vertices of a menu. All but the seed is about the variables ``dv_*``, which need "circles"."""

    seed: Literal["kfit", "circles"] = "kfit"
    """kfit: only Belle II's own fit, which starts at the origin. circles: also the fit that starts where the circles of
    two tracks cross, of every pair of opposite charge, with the variables ``dv_*``."""
    max_pairs: int = Field(default=32, ge=1, le=4096)
    """Pairs tried in an event, those of the highest transverse momenta first."""
    min_probability: float = Field(default=0.005, ge=0, lt=1)
    """Smallest chi2 probability of a good vertex; the default is that of Belle II's displaced-vertex line."""
    max_radius_cm: Positive = 113.0
    """Vertices farther from the beam are not looked for [cm]; the default is the outer wall of the CDC."""
    beam_spot_cm: Vector = (0.0, 0.0, 0.0)
    """Where flights begin [cm]; that of the emulated collisions and of the reference vectors is the origin."""
    beam_spot_size_cm: tuple[Positive, Positive, Positive] = (0.001, 0.00001, 0.03)
    """Standard deviations of the beam spot [cm]. No public number at hand: the order of SuperKEKB's design."""
    k0s_window_gev: Window = (0.467, 0.529)
    """Mass of pi+ pi- that is a K0S [GeV]: the veto of Belle II, arXiv:2505.09705."""
    lambda_window_gev: Window = (1.1107, 1.1207)
    """Mass of p pi that is a Lambda [GeV]: 1.115683 GeV (PDG) and 5 MeV to both sides. No public number at hand: the
    emulated detector measures 0.7 MeV at 10 cm, 1.1 MeV at 40 cm."""
    conversion_mass_gev: Positive = 0.07
    """Mass of e+ e- below which a vertex outside of ``conversion_radius_cm`` is a converted photon [GeV]. No public
    number at hand: holds 99 % of pairs of no mass that the emulated detector measures up to 40 cm."""
    conversion_radius_cm: float = Field(default=0.9, ge=0, allow_inf_nan=False)
    """The material begins here [cm]; the beam pipe has a radius of 1 cm."""

    def windows(self) -> Windows:
        """Return the numbers that the kernels need."""
        return Windows(
            self.max_pairs,
            self.min_probability,
            self.max_radius_cm,
            *self.beam_spot_cm,
            *self.beam_spot_size_cm,
            *self.k0s_window_gev,
            *self.lambda_window_gev,
            self.conversion_mass_gev,
            self.conversion_radius_cm,
        )
