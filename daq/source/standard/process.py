"""A Standard Model process as a file of configs/processes, and as a part of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from daq.errors import InputError
from daq.settings import Settings
from daq.source.decay import ChainSettings
from daq.source.particles import Particles
from daq.source.standard.rows import Kind

_SYMMETRIC = ("electron_photon",)
_ON_BEAM = ("bhabha", "gamma_gamma", "electron_photon")  # their cross-sections diverge along the beams


class ProcessSettings(Settings):
    """One Standard Model process with a sampler of its own; decay chains are `daq.source.decay.ChainSettings`."""

    title: str
    """What happens, for people."""
    sampler: Literal["bhabha", "gamma_gamma", "mu_pair", "two_photon", "electron_photon", "cosmic", "sample"]
    """Which sampler makes the events; of ``sample`` they are drawn from a committed file."""
    source: str
    """Where the cross-section (or the model) comes from."""
    cross_section_nb: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Cross-section in the acceptance [nb]; a must for all but cosmic muons."""
    rate_hz: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Rate of what does not come from collisions [Hz]: cosmic muons."""
    acceptance_deg: tuple[float, float] = (0.0, 180.0)
    """Polar angles [deg]: of both particles of a pair where it rests, of at least one product of two photons in the CM,
    of the photon of ``electron_photon`` in the CM."""
    pair_mass_min_gev: float = Field(default=0.5, gt=0.25)
    """Smallest mass of the pair, after initial-state radiation or from two photons [GeV]."""
    product: Literal["e", "mu", "pi"] | None = None
    """What two photons make a pair of."""
    energy_min_gev: float = Field(default=0.5, gt=0, allow_inf_nan=False)
    """Smallest energy of the photon of ``electron_photon`` in the CM, smallest momentum of a cosmic muon [GeV]."""
    lost_deg: float = Field(default=15.0, gt=0, lt=90)
    """Largest angle in the CM of the electron that ``electron_photon`` loses [deg]."""
    region_cm: tuple[float, float] = (20.0, 50.0)
    """Cosmic muons pass the beam line at most so far away, at most so far along it from the collision point [cm]."""
    sample: str | None = None
    """Name of a file in configs/samples."""

    @model_validator(mode="after")
    def _consistent(self) -> ProcessSettings:
        low, high = self.acceptance_deg
        edge = 1e-3 if self.sampler in _ON_BEAM else 0.0
        if not edge <= low < high <= 180 - edge:
            raise ValueError(f"acceptance_deg must rise within {edge:g} and {180 - edge:g}")
        if self.sampler in _SYMMETRIC and abs(low + high - 180) > 1e-9:
            raise ValueError(f"acceptance_deg of {self.sampler} must be symmetric about 90")
        if self.sampler == "two_photon" and not low < 90 < high:
            raise ValueError("acceptance_deg of two_photon must include 90")
        for key, value, sampler in (("sample", self.sample, "sample"), ("product", self.product, "two_photon")):
            if (self.sampler == sampler) != (value is not None):
                raise ValueError(f'{key} must be given if, and only if, sampler is "{sampler}"')
        is_cosmic = self.sampler == "cosmic"
        if (self.cross_section_nb is None) != is_cosmic or (self.rate_hz is None) == is_cosmic:
            due, other = ("rate_hz", "cross_section_nb") if is_cosmic else ("cross_section_nb", "rate_hz")
            raise ValueError(f"{due} must be given, and no {other}")
        if min(self.region_cm) <= 0:
            raise ValueError("region_cm must be above 0")
        return self


def check_energy(name: str, settings: ProcessSettings, sqrt_s_gev: float) -> None:
    """Raise `InputError` if a process asks for more energy than the beams have."""
    limits = {"pair_mass_min_gev": 0.9 * sqrt_s_gev, "energy_min_gev": 0.4 * sqrt_s_gev}
    keys = {"electron_photon": "energy_min_gev", "cosmic": None, "sample": None}
    key = keys.get(settings.sampler, "pair_mass_min_gev")
    if key is not None and getattr(settings, key) > limits[key]:
        rule = f"must be at most {limits[key]:.4g} GeV at a collision energy of {sqrt_s_gev:.4g} GeV"
        raise InputError(rule, key=f"[source] process {name}, {key}", value=getattr(settings, key))


def acceptance_of(settings: ProcessSettings | ChainSettings) -> str:
    """Say in which acceptance the cross-section of a process holds."""
    low, high = settings.acceptance_deg
    angles = "all angles" if (low, high) == (0, 180) else f"{low:g}-{high:g} deg"
    if isinstance(settings, ChainSettings):
        return angles if angles == "all angles" else f"first product at {angles}"
    match settings.sampler:
        case "two_photon":
            return f"pair above {settings.pair_mass_min_gev:g} GeV, one of it at {angles}"
        case "electron_photon":
            return (
                f"photon above {settings.energy_min_gev:g} GeV at {angles}, an electron below {settings.lost_deg:g} deg"
            )
        case "cosmic":
            radius, length = settings.region_cm
            return f"above {settings.energy_min_gev:g} GeV, within {radius:g} cm of the beam line, |z| < {length:g} cm"
        case "sample":
            return "all angles"
    return f"{angles}, pair above {settings.pair_mass_min_gev:g} GeV"


@dataclass(frozen=True, slots=True)
class Process:
    """One such process of a run."""

    name: str
    settings: ProcessSettings
    cross_section_nb: float
    """Of cosmic muons: their rate over the luminosity of the run."""
    sample: Particles | None = None

    @property
    def kind(self) -> Kind:
        """Which sampler makes it."""
        return Kind[self.settings.sampler.upper()]
