"""Tree amplitudes of gamma* -> l+ l- X from 4 x 4 matrices, as slow and as plain as can be."""

from __future__ import annotations

import numpy as np

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
GAMMA = np.array([np.block([[ONE, ZERO], [ZERO, -ONE]]), *(np.block([[ZERO, s], [-s, ZERO]]) for s in PAULI)])
GAMMA_5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]
METRIC = np.array([1.0, -1.0, -1.0, -1.0])


def slash(p):
    """Return p-slash of (energy, px, py, pz)."""
    return np.einsum("m,mij->ij", METRIC * p, GAMMA)


def hadron_tensor(model: str, first, second, lepton: float, boson: float, sqrt_s: float):
    """Return the space part of the spin-summed tensor of gamma* -> l-(first) l+(second) X, in the CM frame."""
    p1 = np.array([np.sqrt(first @ first + lepton**2), *first])
    p2 = np.array([np.sqrt(second @ second + lepton**2), *second])
    k = np.array([sqrt_s - p1[0] - p2[0], *(-first - second)])
    a = 2 * (METRIC * p1) @ k + boson**2
    b = 2 * (METRIC * p2) @ k + boson**2
    if model == "vector_fsr":
        vertices = [(GAMMA[i], -METRIC[i]) for i in range(4)]
    else:
        vertices = [(np.eye(4) if model == "scalar_fsr" else GAMMA_5, 1.0)]
    mass = lepton * np.eye(4)
    tensor = np.zeros((3, 3))
    for vertex, sign in vertices:
        amplitude = [
            vertex @ (slash(p1 + k) + mass) @ gamma / a + gamma @ (mass - slash(p2 + k)) @ vertex / b
            for gamma in GAMMA[1:]
        ]
        for i in range(3):
            for j in range(3):
                conjugate = GAMMA[0] @ amplitude[j].conj().T @ GAMMA[0]
                trace = np.trace((slash(p1) + mass) @ amplitude[i] @ (slash(p2) - mass) @ conjugate)
                tensor[i, j] += sign * trace.real
    return tensor
