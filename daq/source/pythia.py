"""Events of Pythia 8 at SuperKEKB energies; the only file that imports the generator (extra ``gen``, GPL).

The incoming beams are given by their momentum components, so Pythia itself does the boost from the centre of mass:
without initial-state radiation every event sums to (0.457, 0, 3.004, 11.007) GeV.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from daq.errors import InputError, RunError
from daq.event import OFFSET, Array
from daq.settings import BeamSettings
from daq.source.particles import Particles

_UPSILON_4S = 300553
_Z0_ONLY = ("WeakSingleBoson:ffbar2gmZ = on", "23:onMode = off")
_PROCESSES: dict[str, tuple[str, ...]] = {
    "qqbar": (*_Z0_ONLY, "23:onIfAny = 1 2 3 4"),
    "tau_pair": (*_Z0_ONLY, "23:onIfAny = 15"),
    "mu_pair": (*_Z0_ONLY, "23:onIfAny = 13"),
    # The t-channel pole needs a smallest transverse momentum: 0.5 GeV is 5.4 degrees in the centre of mass.
    "gamma_gamma": ("PromptPhoton:ffbar2gammagamma = on", "PhaseSpace:pTHatMin = 0.5"),
    # Pythia does not know the Y(4S): name, spin type, charge, colour, mass, width, mass range, lifetime; two decays.
    "y4s_bbbar": (
        "ProcessLevel:all = off",
        f"{_UPSILON_4S}:new = Upsilon(4S) void 3 0 0 10.5794 0.0205 10.56 10.60 0",
        f"{_UPSILON_4S}:oneChannel = 1 0.514 0 521 -521",
        f"{_UPSILON_4S}:addChannel = 1 0.486 0 511 -511",
    ),
}
PROCESSES: tuple[str, ...] = tuple(_PROCESSES)
"""Processes that `generate` knows."""

_SEEDS = 900_000_000  # Pythia takes 1 .. 900,000,000
_TRIES = 100  # a generator that fails so often in a row will not recover


def generate(
    process: str, n_events: int, seed: int, *, isr: bool = False, beam: BeamSettings | None = None
) -> Particles:
    """Return generated events in the lab frame; the same arguments give the same events.

    Parameters
    ----------
    process : one of `PROCESSES`
        ``qqbar`` is the continuum of u, d, s and c; ``y4s_bbbar`` decays an unpolarised Y(4S) at rest in the centre of
        mass, its B mesons one without the other (no coherent mixing).
    n_events : from 0
        How many to generate.
    seed : from 0
        Seeds that differ by a multiple of 900,000,000 give the same events.
    isr : off by default
        Radiation from the incoming beams; the Y(4S) has none.
    beam
        Beam energies and crossing angle; the defaults of `BeamSettings` if not given.

    Returns
    -------
    Particles
        All final-state particles, neutrinos included; K_S, Lambda, pi0 and all that lives shorter has decayed, while
        mu, pi+-, K+-, K_L and n are stable. Production vertices relative to the collision; no spread of the beam spot.

    Raises
    ------
    InputError
        If the process is unknown, a number is negative, or the extra ``gen`` is not installed.
    RunError
        If Pythia refuses its settings or gives up.
    """
    if process not in _PROCESSES:
        raise InputError(f"must be one of {', '.join(PROCESSES)}", key="process", value=process)
    for key, number in (("n_events", n_events), ("seed", seed)):
        if number < 0:
            raise InputError("must not be negative", key=key, value=number)
    beam = beam or BeamSettings()
    pythia = _start(process, seed, isr, beam)
    offsets = np.zeros(n_events + 1, dtype=OFFSET)
    rows: list[tuple[float, ...]] = []
    for event in range(n_events):
        _next_event(pythia, process, beam)
        # mm, not cm, is Pythia's unit of length.
        rows.extend(
            (p.id(), p.px(), p.py(), p.pz(), p.e(), 0.1 * p.xProd(), 0.1 * p.yProd(), 0.1 * p.zProd())
            for p in pythia.event
            if p.isFinal()
        )
        offsets[event + 1] = len(rows)
    table: Array = np.array(rows, dtype=np.float64).reshape(-1, len(Particles.PARTICLE_FIELDS))
    return Particles.build(offsets, **dict(zip(Particles.PARTICLE_FIELDS, table.T, strict=True)))


def _start(process: str, seed: int, isr: bool, beam: BeamSettings) -> Any:
    """Return a Pythia that is ready for its first event."""
    try:
        import pythia8mc
    except ImportError:
        raise InputError("needs the generator: pip install 'darkline[gen]' (x86-64 Linux)", key="pythia8mc") from None
    half = 0.5e-3 * beam.crossing_mrad
    settings = (
        "Print:quiet = on",
        "Random:setSeed = on",
        f"Random:seed = {1 + seed % _SEEDS}",
        "Beams:idA = 11",
        "Beams:idB = -11",
        "Beams:frameType = 3",
        f"Beams:pxA = {beam.electron_gev * math.sin(half)!r}",
        f"Beams:pzA = {beam.electron_gev * math.cos(half)!r}",
        f"Beams:pxB = {beam.positron_gev * math.sin(half)!r}",
        f"Beams:pzB = {-beam.positron_gev * math.cos(half)!r}",
        f"PDF:lepton = {'on' if isr else 'off'}",
        *_PROCESSES[process],
    )
    pythia = pythia8mc.Pythia("", False)
    for setting in settings:
        if not pythia.readString(setting):
            raise RunError(f"Pythia refuses the setting '{setting}'")
    if not pythia.init():
        raise RunError(f"Pythia does not start for {process}")
    return pythia


def _next_event(pythia: Any, process: str, beam: BeamSettings) -> None:
    """Leave the next good event in ``pythia.event``."""
    for _ in range(_TRIES):
        if process == "y4s_bbbar":
            px, pz, energy = _sum_of_beams(beam)
            pythia.event.reset()
            pythia.event.append(_UPSILON_4S, 1, 0, 0, px, 0.0, pz, energy, math.sqrt(energy**2 - px**2 - pz**2))
        if pythia.next():
            return
    raise RunError(f"Pythia failed {_TRIES} times in a row at {process}")


def _sum_of_beams(beam: BeamSettings) -> tuple[float, float, float]:
    """Return px, pz and energy of the two beams together [GeV] (massless: 1e-8 of the energy)."""
    half = 0.5e-3 * beam.crossing_mrad
    energy = beam.electron_gev + beam.positron_gev
    return energy * math.sin(half), (beam.electron_gev - beam.positron_gev) * math.cos(half), energy
