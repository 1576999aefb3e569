"""The generator of decay chains: one kernel walks compiled chains; what they are stands in arrays, not in code.

A chain (see `daq.source.decay`) is a tree of *nodes*, kinds of particles, with their *modes*, ways to decay. An event
is a list of slots that grows: slot 0 is the collision, and each slot that decays appends its products, until all that
is left is final. Momenta are kept in the CM frame; products are made in the rest frame of their parent and boosted.

* Two products: the cosine of the first follows a0 + a1 c + a2 c^2 about the direction in which the parent flies in the
  frame of *its* parent (helicity), or about the electron beam.
* Three products: phase space, flat in the Dalitz plane, times a weight of the mass of the last two; or the matrix
  element of a particle radiated off a lepton pair.
* A particle with a lifetime flies; one with a width gets a mass from a Breit-Wigner curve between its threshold and
  what is available (in a two-body decay times the momentum), and decays on the spot.

Approximate: spins are not carried from one decay to the next, beyond the axis of an angle; a chain radiates at most one
initial-state photon, see `daq.source.radiation`. Four-momentum is conserved to rounding.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from daq.event import OFFSET
from daq.jit import Array, kernel_lean
from daq.philox import STREAM_PROCESS, exponential, new_draws, start, uniform
from daq.source.fsr import fsr_along_beam, fsr_point, fsr_squared
from daq.source.kinematics import ALPHA, ELECTRON_GEV, CollisionFrame, boosted, direction_about
from daq.source.particles import Particles
from daq.source.radiation import CUT_OFF, draw_photon_cosine, photon_along, radiator_exponent, scattering_axis

# Shapes of a mode, known to the kernels.
FLAT, POLYNOMIAL, RADIATIVE, HIGGSSTRAHLUNG, FERMION_PAIR, PASS_ON, FSR = range(7)
HELICITY, BEAM = 0, 1
WEIGHT_KNOTS = 129  # pair masses at which the weight of a three-body decay is tabulated
FSR_KNOTS = 33  # collision energies at which the largest weight of a matrix element is tabulated

CHAIN = np.dtype(
    [
        (("node of the collision", "root"), "<i8"),
        (("row of the radiated fractions; -1: no initial-state radiation", "radiates"), "<i8"),
        (("whether half of the events are charge-conjugated", "conjugates"), "<i8"),
        (("most particles of an event, all generations", "slots"), "<i8"),
    ]
)
NODE = np.dtype(
    [
        (("code of the particle", "pdg"), "<i8"),
        (("code of the antiparticle", "anti_pdg"), "<i8"),
        (("its first mode", "first"), "<i8"),
        (("one past its last mode; as the first: the particle is final", "last"), "<i8"),
        (("mass [GeV]", "mass"), "<f8"),
        (("full width of its Breit-Wigner curve [GeV]", "width"), "<f8"),
        (("least mass of a wide particle [GeV]", "mass_min"), "<f8"),
        (("proper decay length [cm]", "ctau"), "<f8"),
    ]
)
MODE = np.dtype(
    [
        (("number of products: 1 (a resonance made by the collision), 2 or 3", "size"), "<i8"),
        (("nodes of the products", "product"), "<i8", (3,)),
        (("how the products are distributed", "shape"), "<i8"),
        (("what the angle is measured from", "axis"), "<i8"),
        (("row of a table of weights or matrix elements; -1: none", "table"), "<i8"),
        (("probability of this mode and those before it", "cumulative"), "<f8"),
        (("a0, a1, a2 of the cosine of the first product", "angle"), "<f8", (3,)),
        (("range of that cosine", "cosine"), "<f8", (2,)),
    ]
)
ELEMENT = np.dtype(
    [
        (("which matrix element", "kind"), "<i8"),
        (("range of ln(energy above threshold) [ln GeV]", "log_range"), "<f8", (2,)),
        (("largest weight over that range", "bound"), "<f8", (FSR_KNOTS,)),
    ]
)


class Chains(NamedTuple):
    """Compiled chains, all of one run in one set of tables."""

    chain: Array  # CHAIN
    node: Array  # NODE
    mode: Array  # MODE
    element: Array  # ELEMENT
    pair_weight: Array  # (n, WEIGHT_KNOTS) weight, at most 1, over (q - q_min)/(q_max - q_min)
    radiated: Array  # (n, 2, knots) x^beta and the probability to radiate less


def generate_chains(
    chains: Chains, chain: Array, events: Array, *, process: Array, mass_gev: Array, ctau_cm: Array,
    frame: CollisionFrame, seed: int, run: int,
) -> Particles:  # fmt: skip
    """Return the final states of the events, in the lab.

    Parameters
    ----------
    chains, chain : compiled chains and (N,) rows of them
        Which chain each event follows.
    events : (N,) uint64
        Event numbers: event k is a function of (seed, run, k, chain).
    process, mass_gev, ctau_cm : (N,)
        Truth columns of the events.
    frame
        The frame of the collision.
    seed, run
        Of the run.

    Returns
    -------
    Particles
        Final particles in the order of their generation, the initial-state photon last; also invisible ones.
    """
    room = int(chains.chain["slots"][chain].sum())
    offsets, pdg = np.zeros(events.size + 1, dtype=OFFSET), np.zeros(room, dtype=np.int32)
    columns = np.zeros((7, room))
    _generate(
        (seed, run, STREAM_PROCESS), new_draws(), events, chain, chains, (ALPHA, ELECTRON_GEV, CUT_OFF),
        frame.sqrt_s_gev, frame.to_lab, *scratch_of(chains), offsets, pdg, columns,
    )  # fmt: skip
    named = dict(zip(("px", "py", "pz", "energy", "x", "y", "z"), columns[:, : offsets[-1]], strict=True))
    return Particles.build(
        offsets, pdg=pdg[: offsets[-1]], process=process, mass_gev=mass_gev, ctau_cm=ctau_cm, **named
    )


def scratch_of(chains: Chains) -> tuple[Array, Array]:
    """Return the two arrays in which the kernel keeps the particles of an event."""
    slots = int(chains.chain["slots"].max(initial=0)) + 1
    return np.zeros((slots, 8)), np.zeros((slots, 2), dtype=np.int64)


# The kernels share two arrays: slot[k] is (px, py, pz, energy, mass, x, y, z) of a particle in the CM frame, its vertex
# in the lab; family[k] is (node, slot of the parent).


@kernel_lean
def _generate(
    key: tuple[int, int, int], states: Array, events: Array, chain: Array, chains: Chains,
    constants: tuple[float, float, float], sqrt_s: float, to_lab: Array, slot: Array, family: Array, offsets: Array,
    pdg: Array, columns: Array,
) -> None:  # fmt: skip
    """Walk the chain of each event."""
    draws = states[0]
    seed, run, stream = key
    out = 0
    for i in range(events.size):
        start(draws, seed, run, events[i], stream)
        out = walk(draws, chains, chain[i], constants, sqrt_s, to_lab, slot, family, columns, pdg, out)
        offsets[i + 1] = out


@kernel_lean
def walk(
    draws: Any, chains: Chains, chain: int, constants: tuple[float, float, float], sqrt_s: float, to_lab: Array,
    slot: Array, family: Array, columns: Array, pdg: Array, out: int,
) -> int:  # fmt: skip
    """Write the final particles of one event from column ``out`` on, return the next free column.

    ``constants`` are alpha, the electron's mass and the smallest radiated fraction; ``slot`` and ``family`` are scratch
    space (see `scratch_of`); ``columns`` has the rows px, py, pz, energy, x, y, z.
    """
    this = chains.chain[chain]
    conjugate = this.conjugates != 0 and uniform(draws) < 0.5
    photon, axis = (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    if this.radiates >= 0:
        photon, axis = _radiate(draws, sqrt_s, chains.radiated, this.radiates, constants)
    _put(slot, 0, (-photon[0], -photon[1], -photon[2], sqrt_s - photon[3]), sqrt_s)
    if photon[3] > 0.0:
        slot[0, 4] = math.sqrt(sqrt_s * (sqrt_s - 2.0 * photon[3]))
    slot[0, 5] = slot[0, 6] = slot[0, 7] = 0.0
    family[0, 0], family[0, 1] = this.root, -1
    k = family[0, 1] + 1  # 0; as a literal it would compile every kernel below a second time
    used = k + 1
    while k < used:
        node = chains.node[family[k, 0]]
        if node.first == node.last:
            pdg[out] = node.anti_pdg if conjugate else node.pdg
            _write(to_lab, slot, k, columns, out)
            out += 1
        else:
            made = _decay(draws, chains, k, used, slot, family, axis, constants[1])
            _place(draws, to_lab, node.ctau, k, used, made, slot)
            used += made
        k += 1
    if photon[3] > 0.0:
        pdg[out] = 22
        _put(slot, 0, photon, 0.0)
        _write(to_lab, slot, 0, columns, out)
        out += 1
    return out


@kernel_lean
def _put(slot: Array, k: int, p: tuple[float, float, float, float], mass: float) -> None:
    slot[k, 0], slot[k, 1], slot[k, 2], slot[k, 3] = p
    slot[k, 4] = mass


@kernel_lean
def _four_momentum(slot: Array, k: int) -> tuple[float, float, float, float]:
    return slot[k, 0], slot[k, 1], slot[k, 2], slot[k, 3]


@kernel_lean
def _lab_component(to_lab: Array, r: int, slot: Array, k: int) -> float:
    total: float = (
        to_lab[r, 0] * slot[k, 0] + to_lab[r, 1] * slot[k, 1] + to_lab[r, 2] * slot[k, 2] + to_lab[r, 3] * slot[k, 3]
    )
    return total


@kernel_lean
def _write(to_lab: Array, slot: Array, k: int, columns: Array, out: int) -> None:
    """Write a final particle: lab momentum and vertex."""
    for r in range(4):
        columns[r, out] = _lab_component(to_lab, r, slot, k)
    for r in range(3):
        columns[4 + r, out] = slot[k, 5 + r]


@kernel_lean
def _place(draws: Any, to_lab: Array, ctau: float, k: int, used: int, made: int, slot: Array) -> None:
    """Put the products where their parent decays."""
    flight = ctau / slot[k, 4] * exponential(draws) if ctau > 0.0 else 0.0  # [cm/GeV], times the momentum
    for r in range(3):
        end = slot[k, 5 + r]
        if flight > 0.0:
            end += flight * _lab_component(to_lab, r, slot, k)
        for j in range(used, used + made):
            slot[j, 5 + r] = end


@kernel_lean
def _radiate(
    draws: Any, sqrt_s: float, radiated: Array, table: int, constants: tuple[float, float, float]
) -> tuple[tuple[float, float, float, float], tuple[float, float, float]]:
    """Return the initial-state photon (energy 0: none) and the axis of the polar angle of what is left."""
    alpha, electron, cut_off = constants
    share = 4.0 * (electron / sqrt_s) ** 2
    chance = uniform(draws)
    low, high = 0, radiated.shape[2] - 1  # bisect to chance between two knots
    while high - low > 1:
        middle = (low + high) // 2
        if radiated[table, 1, middle] < chance:
            low = middle
        else:
            high = middle
    part = (chance - radiated[table, 1, low]) / (radiated[table, 1, high] - radiated[table, 1, low])
    power = radiated[table, 0, low] + part * (radiated[table, 0, high] - radiated[table, 0, low])
    x = math.pow(power, 1.0 / radiator_exponent(alpha, share))
    if x < cut_off:
        return (0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    cosine = draw_photon_cosine(draws, x, share)
    photon = photon_along(0.5 * x * sqrt_s, (0.0, 0.0, 1.0), cosine, 2.0 * math.pi * uniform(draws))
    rest = (-photon[0], -photon[1], -photon[2], sqrt_s - photon[3])
    return photon, scattering_axis(rest, sqrt_s * math.sqrt(1.0 - x), cosine > 0.0)


@kernel_lean
def _decay(
    draws: Any, chains: Chains, k: int, used: int, slot: Array, family: Array, beam: tuple[float, float, float],
    electron: float,
) -> int:  # fmt: skip
    """Append the products of slot ``k``; return how many."""
    node = chains.node[family[k, 0]]
    number = node.first
    if node.last - number > 1:
        chance = uniform(draws)
        while number < node.last - 1 and chance >= chains.mode[number].cumulative:
            number += 1
    mode = chains.mode[number]
    size: int = mode.size
    wide = False
    for j in range(size):
        product = chains.node[mode.product[j]]
        family[used + j, 0], family[used + j, 1] = mode.product[j], k
        slot[used + j, 4] = product.mass
        wide = wide or product.width > 0.0
    if mode.shape == PASS_ON:  # a resonance at rest: it takes what the collision has
        _put(slot, used, _four_momentum(slot, k), slot[k, 4])
        return size
    if wide:
        _draw_masses(draws, chains.node, mode, slot, k, used)
    if size == 2:
        axis = beam
        if k > 0:
            axis = (0.0, 0.0, 1.0) if mode.shape == FLAT else _decay_axis(slot, k, family[k, 1], mode.axis)
        cosine = _cosine(draws, mode, slot[k, 4], slot[used, 4], slot[used + 1, 4], electron)
        _back_to_back(slot, k, used, direction_about(axis, cosine, 2.0 * math.pi * uniform(draws)))
    elif mode.shape == FSR:
        _radiated_off(draws, chains.element[mode.table], slot, k, used, beam)
    else:
        _three_body(draws, chains.pair_weight, mode.table, slot, k, used)
    return size


@kernel_lean
def _draw_masses(draws: Any, nodes: Array, mode: Any, slot: Array, k: int, used: int) -> None:
    """Fill the masses of the products; wide ones in turn, each between its least mass and what the others leave."""
    available, size, least = slot[k, 4], mode.size, 0.0
    for j in range(size):
        node = nodes[mode.product[j]]
        if node.width > 0.0:
            slot[used + j, 4] = node.mass_min
        least += slot[used + j, 4]
    most = two_body_momentum(available, slot[used, 4], slot[used + 1, 4])
    while True:
        left = available - least
        for j in range(size):
            node = nodes[mode.product[j]]
            if node.width > 0.0:
                half, low = 0.5 * node.width, node.mass_min
                begin, end = math.atan((low - node.mass) / half), math.atan((low + left - node.mass) / half)
                drawn = node.mass + half * math.tan(begin + (end - begin) * uniform(draws))
                slot[used + j, 4] = min(max(drawn, low), low + left)
                left -= slot[used + j, 4] - low
        if size != 2 or uniform(draws) * most < two_body_momentum(available, slot[used, 4], slot[used + 1, 4]):
            return


@kernel_lean
def two_body_momentum(mass: float, first: float, second: float) -> float:
    """Return the momentum of two products in the rest frame of their parent; 0 below threshold."""
    product = (mass - first - second) * (mass + first + second) * (mass - first + second) * (mass + first - second)
    return math.sqrt(max(0.0, product)) / (2.0 * mass)


@kernel_lean
def _decay_axis(slot: Array, k: int, parent: int, axis: int) -> tuple[float, float, float]:
    """Return, in the rest frame of slot ``k``, its direction of flight in the frame of its parent, or the beam."""
    source, sign = _four_momentum(slot, parent), -1.0
    if axis == BEAM:
        source, sign = (0.0, 0.0, 1.0, 1.0), 1.0
    x, y, z, energy = boosted(source, (-slot[k, 0], -slot[k, 1], -slot[k, 2], slot[k, 3]), slot[k, 4])
    norm = math.sqrt(x * x + y * y + z * z)
    if norm < 1e-9 * energy:
        return 0.0, 0.0, 1.0
    return sign * x / norm, sign * y / norm, sign * z / norm


@kernel_lean
def _cosine(draws: Any, mode: Any, mass: float, first: float, second: float, electron: float) -> float:
    """Draw the cosine of the first of two products."""
    shape: int = mode.shape
    low: float = mode.cosine[0]
    high: float = mode.cosine[1]
    if shape == FLAT:
        return low + (high - low) * uniform(draws)
    if shape == RADIATIVE:
        return _radiative_cosine(draws, (second / mass) ** 2, 4.0 * (electron / mass) ** 2, low, high)
    a0, a1, a2 = mode.angle[0], mode.angle[1], mode.angle[2]
    r = (first / mass) ** 2
    if shape == HIGGSSTRAHLUNG:
        lam = 4.0 * (two_body_momentum(mass, first, second) / mass) ** 2
        a0, a1, a2 = lam + 8.0 * r, 0.0, -lam
    elif shape == FERMION_PAIR:
        a0, a1, a2 = 1.0 + 4.0 * r, 0.0, 1.0 - 4.0 * r
    most = a0 + abs(a1) + a2
    if a2 < 0.0 and abs(a1) < -2.0 * a2:
        most = a0 - 0.25 * a1 * a1 / a2
    while True:
        cosine = low + (high - low) * uniform(draws)
        if most * uniform(draws) < a0 + a1 * cosine + a2 * cosine * cosine:
            return cosine


@kernel_lean
def _radiative_cosine(draws: Any, x: float, share: float, low: float, high: float) -> float:
    """Draw the photon of e+e- -> gamma V from [1 + c^2 + 4x/(1 - x)^2]/(1 - c^2 + share), x = m_V^2/s."""
    edge, constant = math.sqrt(1.0 + share), 4.0 * x / (1.0 - x) ** 2
    begin, end = math.atanh(low / edge), math.atanh(high / edge)
    while True:
        cosine = min(max(edge * math.tanh(begin + (end - begin) * uniform(draws)), low), high)
        if uniform(draws) * (2.0 + constant) < 1.0 + cosine * cosine + constant:
            return cosine


@kernel_lean
def _back_to_back(slot: Array, k: int, used: int, direction: tuple[float, float, float]) -> None:
    """Fill the momenta of two products, the first along ``direction`` in the rest frame of the parent."""
    mass, first, second = slot[k, 4], slot[used, 4], slot[used + 1, 4]
    momentum = two_body_momentum(mass, first, second)
    energy = 0.5 * (mass + (first - second) * (first + second) / mass)
    px, py, pz = momentum * direction[0], momentum * direction[1], momentum * direction[2]
    frame = _four_momentum(slot, k)
    _put(slot, used, boosted((px, py, pz, energy), frame, mass), first)
    _put(slot, used + 1, boosted((-px, -py, -pz, mass - energy), frame, mass), second)


@kernel_lean
def _anywhere(draws: Any) -> tuple[float, float, float]:
    cosine = 2.0 * uniform(draws) - 1.0
    return direction_about((0.0, 0.0, 1.0), cosine, 2.0 * math.pi * uniform(draws))


@kernel_lean
def _three_body(draws: Any, pair_weight: Array, table: int, slot: Array, k: int, used: int) -> None:
    """Phase space: draw the mass q of the last two, which takes the momenta of both steps as weight."""
    mass, first, second, third = slot[k, 4], slot[used, 4], slot[used + 1, 4], slot[used + 2, 4]
    low, high = second + third, mass - first
    most = two_body_momentum(mass, first, low) * two_body_momentum(high, second, third)
    while True:
        part = uniform(draws)
        pair = low + (high - low) * part
        weight = two_body_momentum(mass, first, pair) * two_body_momentum(pair, second, third)
        if table >= 0:
            place = part * (pair_weight.shape[1] - 1)
            knot = int(place)
            below, above = pair_weight[table, knot], pair_weight[table, knot + 1]
            weight *= below + (place - knot) * (above - below)
        if uniform(draws) * most < weight:
            break
    # The pair takes the slot of the second product until it decays.
    slot[used + 1, 4] = pair
    _back_to_back(slot, k, used, _anywhere(draws))
    frame = _four_momentum(slot, used + 1)
    momentum = two_body_momentum(pair, second, third)
    energy = 0.5 * (pair + (second - third) * (second + third) / pair)
    nx, ny, nz = _anywhere(draws)
    px, py, pz = momentum * nx, momentum * ny, momentum * nz
    _put(slot, used + 1, boosted((px, py, pz, energy), frame, pair), second)
    _put(slot, used + 2, boosted((-px, -py, -pz, pair - energy), frame, pair), third)


@kernel_lean
def _radiated_off(draws: Any, element: Any, slot: Array, k: int, used: int, beam: tuple[float, float, float]) -> None:
    """A particle radiated off a lepton pair: the Dalitz plane from T, then the orientation from 1 - n.H.n/T."""
    kind, sqrt_s = element.kind, slot[k, 4]
    m1, m2, mass = slot[used, 4], slot[used + 1, 4], slot[used + 2, 4]
    lepton2, boson2, s = (m1 * m1 if m1 == m2 else 0.0), mass * mass, sqrt_s * sqrt_s
    bound = _bound(element, sqrt_s - m1 - m2 - mass)
    while True:
        weight, a, b = fsr_point(kind, uniform(draws), uniform(draws), sqrt_s, m1, m2, mass)
        if uniform(draws) * bound < weight:
            break
    e2, e1 = 0.5 * (s + m2 * m2 - m1 * m1 - a) / sqrt_s, 0.5 * (s + m1 * m1 - m2 * m2 - b) / sqrt_s
    p1, p2 = math.sqrt(max(0.0, e1 * e1 - m1 * m1)), math.sqrt(max(0.0, e2 * e2 - m2 * m2))
    e3 = sqrt_s - e1 - e2
    opening = ((e3 * e3 - boson2) - p1 * p1 - p2 * p2) / max(2.0 * p1 * p2, 1e-300)
    opening = min(1.0, max(-1.0, opening))
    squared = fsr_squared(kind, a, b, lepton2, boson2, s)
    while True:
        first = direction_about(beam, 2.0 * uniform(draws) - 1.0, 2.0 * math.pi * uniform(draws))
        second = direction_about(first, opening, 2.0 * math.pi * uniform(draws))
        z1 = p1 * (first[0] * beam[0] + first[1] * beam[1] + first[2] * beam[2])
        z2 = p2 * (second[0] * beam[0] + second[1] * beam[1] + second[2] * beam[2])
        if uniform(draws) * squared < squared - fsr_along_beam(kind, a, b, lepton2, boson2, s, z1, z2):
            break
    frame = _four_momentum(slot, k)
    x1, y1, w1 = p1 * first[0], p1 * first[1], p1 * first[2]
    x2, y2, w2 = p2 * second[0], p2 * second[1], p2 * second[2]
    _put(slot, used, boosted((x1, y1, w1, e1), frame, sqrt_s), m1)
    _put(slot, used + 1, boosted((x2, y2, w2, e2), frame, sqrt_s), m2)
    _put(slot, used + 2, boosted((-x1 - x2, -y1 - y2, -w1 - w2, e3), frame, sqrt_s), mass)


@kernel_lean
def _bound(element: Any, above: float) -> float:
    """Return the larger of the two tabulated bounds around an energy above threshold."""
    low, high = element.log_range[0], element.log_range[1]
    place = (math.log(above) - low) / (high - low) * (len(element.bound) - 1)
    knot = int(min(max(place, 0.0), len(element.bound) - 2.0))
    bound: float = max(element.bound[knot], element.bound[knot + 1])
    return bound
