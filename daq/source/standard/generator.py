"""From the processes of a run to particles: one kernel call a block, which chooses, samples and writes in one pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from daq.errors import InputError
from daq.event import OFFSET
from daq.jit import Array, kernel_lean
from daq.philox import STREAM_CHOICE, STREAM_PROCESS, fill_words, new_draws, start
from daq.source.cascade import Chains, scratch_of, walk
from daq.source.compiled import join
from daq.source.kinematics import ELECTRON_GEV, MUON_GEV, CollisionFrame
from daq.source.particles import Particles
from daq.source.radiation import radiator_exponent
from daq.source.signals import Signal
from daq.source.species import standard_model
from daq.source.standard.cosmic import COSMIC_SLOTS, make_cosmic
from daq.source.standard.electron_photon import ELECTRON_PHOTON_SLOTS, electron_photon_table, make_electron_photon
from daq.source.standard.pairs import PAIR_SLOTS, final_most, flat_variable, make_pair
from daq.source.standard.process import Process
from daq.source.standard.rows import CELLS, ROW, Beams, Kind
from daq.source.standard.sample import Pool, draw_event, pool_of
from daq.source.standard.two_photon import TWO_PHOTON_SLOTS, make_two_photon, rapidity_range, two_photon_table

_PRODUCTS = {"e": (11, ELECTRON_GEV), "mu": (13, MUON_GEV), "pi": (-211, standard_model().mass_gev("pi+"))}
_PAIRS = {Kind.BHABHA: "e", Kind.MU_PAIR: "mu"}


class Tables(NamedTuple):
    """All that the kernel reads, of all processes of a run."""

    row: Array  # ROW, one a process
    spectrum: Array  # (n, 3, CELLS + 1)
    pool: Pool
    chains: Chains


@dataclass(frozen=True, slots=True)
class Generator:
    """Makes the particles of any events of a run; a function of the settings and the event numbers alone."""

    tables: Tables
    shares: Array
    """Cumulative shares of the processes."""
    truth: Array
    """(2, processes) float32: mass [GeV] and proper decay length [cm] of the new particle, 0 where there is none."""
    beams: Beams
    frame: CollisionFrame
    seed: int
    run: int

    def particles(self, first: int, count: int) -> Particles:
        """Return the particles of ``count`` events from number ``first``, in the lab, before the detector."""
        room = count * int(self.tables.row["slots"].max())
        columns, pdg = np.empty((7, room)), np.empty(room, dtype=np.int32)
        process, offsets = np.empty(count, dtype=np.uint16), np.zeros(count + 1, dtype=OFFSET)
        chances = np.arange(count), np.zeros(count, dtype=np.int64), np.empty(4 * count, dtype=np.uint32)
        _generate(
            (self.seed, self.run, STREAM_CHOICE, STREAM_PROCESS), new_draws(), first, self.shares, self.tables,
            self.beams, (self.frame.to_lab, self.frame.to_cm), (*scratch_of(self.tables.chains), np.empty((4, 4))),
            chances, process, offsets, columns, pdg,
        )  # fmt: skip
        px, py, pz, energy, x, y, z = columns[:, : offsets[-1]]
        mass, ctau = self.truth.take(process, axis=1)
        return Particles(
            offsets=offsets, pdg=pdg[: offsets[-1]], px=px, py=py, pz=pz, energy=energy, x=x, y=y, z=z,
            process=process, weight=np.ones(count, dtype=np.float32), mass_gev=mass, ctau_cm=ctau,
        )  # fmt: skip


def make_generator(
    processes: Sequence[Process | Signal], shares: Sequence[float], *, frame: CollisionFrame, seed: int, run: int
) -> Generator:
    """Return the generator of a run.

    Parameters
    ----------
    processes
        The column ``process`` of the events counts them from 0.
    shares : (n_processes,)
        Their relative rates, in any unit.
    frame
        The frame of the collision.
    seed, run
        Of the run.
    """
    sqrt_s = frame.sqrt_s_gev
    beams = Beams.of(sqrt_s)
    row = np.zeros(len(processes), ROW)
    spectra: list[Array] = []
    samples: list[Particles] = []
    chains: list[Chains] = []
    for entry, one in zip(row, processes, strict=True):
        if isinstance(one, Signal):
            entry["kind"], entry["table"] = Kind.CHAIN, len(chains)
            entry["slots"] = int(one.chains.chain["slots"][0])
            chains.append(one.chains)
            continue
        _fill(entry, one, beams)
        if one.sample is not None:
            entry["table"], entry["size"] = sum(len(each) for each in samples), len(one.sample)
            entry["slots"] = int(np.diff(one.sample.offsets).max())
            samples.append(one.sample)
        elif (spectrum := _spectrum(entry, one, sqrt_s)) is not None:
            if not spectrum[1, -1] > 0:
                raise InputError("has no event in its acceptance", key="[source] process", value=one.name)
            entry["table"] = len(spectra)
            spectra.append(spectrum)
    truth = [(one.mass_gev, one.ctau_cm) if isinstance(one, Signal) else (0.0, 0.0) for one in processes]
    tables = Tables(row, np.array(spectra).reshape(-1, 3, CELLS + 1), pool_of(samples), join(chains))
    return Generator(
        tables, np.cumsum(shares) / np.sum(shares), np.array(truth, dtype=np.float32).T.copy(), beams, frame, seed, run
    )


def _fill(entry: Any, one: Process, beams: Beams) -> None:
    """Write what the settings of a process say to its row."""
    settings, kind = one.settings, one.kind
    slots = {Kind.TWO_PHOTON: TWO_PHOTON_SLOTS, Kind.ELECTRON_PHOTON: ELECTRON_PHOTON_SLOTS, Kind.COSMIC: COSMIC_SLOTS}
    entry["kind"], entry["slots"] = kind, slots.get(kind, PAIR_SLOTS)
    product = settings.product or _PAIRS.get(kind)
    entry["code"], entry["mass"] = _PRODUCTS[product] if product is not None else (22, 0.0)
    if kind is Kind.COSMIC:
        entry["mass"] = MUON_GEV
    entry["cosine"] = np.cos(np.radians(settings.acceptance_deg))[::-1]
    entry["energy_min"] = settings.energy_min_gev
    entry["lost"] = math.radians(settings.lost_deg)
    entry["region"] = settings.region_cm
    low, high = (float(cosine) for cosine in entry["cosine"])
    mass = float(entry["mass"])
    if kind is Kind.TWO_PHOTON:
        entry["flat"] = rapidity_range(low, high, mass, beams.sqrt_s)
    if kind not in (Kind.BHABHA, Kind.GAMMA_GAMMA, Kind.MU_PAIR):
        return
    begin, end = (flat_variable(int(kind), cosine) for cosine in (low, high))
    entry["flat"] = begin, end - begin
    x_max = 1 - (settings.pair_mass_min_gev / beams.sqrt_s) ** 2
    entry["x_max"], entry["soft"] = x_max, x_max**beams.slope
    entry["hard"] = -0.5 * beams.slope * math.log(1 - x_max)
    entry["silent"] = (beams.cut_off / x_max) ** beams.slope
    if mass > 0:
        share = 4 * (mass / beams.sqrt_s) ** 2
        entry["final_slope"] = slope = radiator_exponent(beams.alpha, share)
        entry["final_silent"] = (beams.cut_off / final_most(share)) ** slope


def _spectrum(entry: Any, one: Process, sqrt_s_gev: float) -> Array | None:
    """Return the table of a sampler that has one."""
    mass, code = float(entry["mass"]), int(entry["code"])
    if one.kind is Kind.TWO_PHOTON:
        least, rapidity = one.settings.pair_mass_min_gev, float(entry["flat"][1])
        return two_photon_table(sqrt_s_gev, mass, least, rapidity=rapidity, scalar=code < 0)
    if one.kind is Kind.ELECTRON_PHOTON:
        energy, lost = float(entry["energy_min"]), float(entry["lost"])
        return electron_photon_table(sqrt_s_gev, float(entry["cosine"][1]), energy, lost)
    return None


@kernel_lean
def _generate(
    key: tuple[int, int, int, int], states: Array, first: int, shares: Array, tables: Tables, beams: Beams,
    frame: tuple[Array, Array], scratch: tuple[Array, Array, Array],
    chances: tuple[Array, Array, Array], process: Array, offsets: Array, columns: Array, pdg: Array,
) -> None:  # fmt: skip
    """Choose the process of each event and write its particles."""
    seed, run, choice, stream = key
    to_lab, to_cm = frame
    slot, family, turn = scratch
    constants = (beams.alpha, beams.electron_mass, beams.cut_off)
    draws = states[0]
    owner, number, words = chances
    fill_words((seed, run, choice), first, owner, number, words)
    out = 0
    for i in range(process.size):
        p = 0
        if shares.size > 1:
            p = _chosen(shares, (np.float64(words[4 * i]) + 0.5) * (1.0 / 4294967296.0))
        process[i] = p
        start(draws, seed, run, first + i, stream)
        row = tables.row[p]
        kind = row.kind
        if kind <= 2:
            out = make_pair(draws, row, beams, to_lab, columns, pdg, out)
        elif kind == 3:
            out = make_two_photon(draws, row, beams, tables.spectrum[row.table], to_lab, columns, pdg, out)
        elif kind == 4:
            out = make_electron_photon(draws, row, beams, tables.spectrum[row.table], to_lab, columns, pdg, out)
        elif kind == 5:
            out = make_cosmic(draws, row, columns, pdg, out)
        elif kind == 6:
            out = draw_event(draws, row, tables.pool, to_lab, to_cm, turn, columns, pdg, out)
        else:
            out = walk(
                draws, tables.chains, row.table, constants, beams.sqrt_s, to_lab, slot, family, columns, pdg, out
            )
        offsets[i + 1] = out


@kernel_lean
def _chosen(shares: Array, chance: float) -> int:
    """Return the first process whose cumulative share is not below ``chance``."""
    p = 0
    while p < shares.size - 1 and shares[p] < chance:
        p += 1
    return p
