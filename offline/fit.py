"""Binned extended Poisson fits of one spectrum.

The cost is NLL = sum_i [mu_i - (n_i + t) ln mu_i] + (a^2 + b^2)/2 with a pseudo-count t = 1e-6 in each bin. Without
nuisances it is convex, as the model is linear. The pseudo-count is an exact log barrier: without it an empty bin
rewards a negative mean, and the fit runs away or stops at a wrong place. No expected count can become zero or negative.

Damped Newton steps on the Gauss-Newton Hessian J^T diag((n + t)/mu^2) J, which is the exact one wherever the model is
linear, need 3-6 iterations; there is nothing for a general minimiser to find out. Where bins are empty, the minimum
often sits on the edge that the barrier holds up; it is approached through weaker and weaker barriers, the last one t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from daq.jit import Array
from offline.models import SpectrumModel

PSEUDO_COUNT = 1e-6
BARRIERS = (1e-2, 1e-4, PSEUDO_COUNT)
"""Pseudo-counts on the way to an edge; each minimum is the start of the next fit."""
EMPTY = 1e-2
"""Bins of fewer (Asimov) counts than this call for the way through the barriers."""
EDM_MAX, EDM_ACCEPTED = 1e-9, 1e-5
"""Where to stop; and what to accept if rounding stops the descent before."""
MAX_ITERATIONS = 300
EDGE_MEAN = 1e-3
"""A bin mean below this is held up by the barrier alone."""


@dataclass(frozen=True, slots=True)
class Fit:
    """One fit, with its status: look at ``valid`` before anything else."""

    valid: bool
    reason: str
    """Why the fit is not valid; empty if it is."""
    yield_events: float
    """Signal yield [events]."""
    yield_error: float
    """Standard deviation of the yield from the curvature; 0 if the yield was fixed."""
    nll: float
    edm: float
    """Estimated distance of the NLL to its minimum."""
    iterations: int
    at_edge: bool
    """Some bin mean is as good as zero: the minimum sits on the edge, ``yield_error`` is no more than a scale."""
    parameters: Array
    """(s, a, b, c_0, ...)."""


def fit(counts: Array, model: SpectrumModel, *, signal: float | None = None, start: Array | None = None) -> Fit:
    """Fit a spectrum, with the signal yield free or fixed.

    Parameters
    ----------
    counts : (bins,)
        Observed (or Asimov) counts.
    model
        Templates of the spectrum.
    signal
        Fix the yield to this; None leaves it free, also negative.
    start
        Parameters to start from, used if they give a positive spectrum.
    """
    counts = np.asarray(counts, dtype=np.float64)
    free = _free_parameters(model, signal)
    parameters = _start(counts, model, signal, start, free)
    iterations = 0
    for pseudo_count in BARRIERS if counts.min() < EMPTY else BARRIERS[-1:]:
        enough = EDM_MAX if pseudo_count == PSEUDO_COUNT else pseudo_count
        result = _descend(counts + pseudo_count, model, parameters, free, enough, iterations)
        parameters, iterations = result.parameters, result.iterations
    return result


def _descend(
    observed: Array, model: SpectrumModel, parameters: Array, free: Array, enough: float, iterations: int
) -> Fit:
    """Take Newton steps until the estimated distance to the minimum is below ``enough``."""
    mean = model.expected(parameters)
    nll = _nll(observed, mean, parameters)
    edm, reason, error = np.inf, "", 0.0
    while iterations < MAX_ITERATIONS:
        iterations += 1
        try:
            step, edm, error = _newton_step(observed, mean, model.jacobian(parameters), parameters, free)
        except np.linalg.LinAlgError:
            reason = "singular Hessian: the spectrum does not determine all parameters"
            break
        if edm < enough:
            break
        moved = _line_search(observed, model, parameters, mean, free, step, nll, edm)
        if moved is None:
            break
        parameters, mean, nll = moved
    if not reason and edm > EDM_ACCEPTED:
        reason = f"not converged after {iterations} iterations: edm {edm:.1e}"
    return Fit(
        valid=not reason,
        reason=reason,
        yield_events=float(parameters[0]),
        yield_error=error if free[0] == 0 and not reason else 0.0,
        nll=nll,
        edm=edm,
        iterations=iterations,
        at_edge=bool(mean.min() < EDGE_MEAN),
        parameters=parameters,
    )


def _free_parameters(model: SpectrumModel, signal: float | None) -> Array:
    """Return the indices of the parameters that the fit may move.

    With a free yield the efficiency is degenerate with it, its pull is exactly 0; with a yield of 0 no nuisance acts.
    """
    coefficients = range(3, 3 + model.background.shape[1])
    has_resolution = bool(np.any(model.resolution)) and signal != 0.0
    has_efficiency = model.efficiency_error > 0 and signal is not None and signal != 0.0
    first = [index for index, is_free in enumerate((signal is None, has_efficiency, has_resolution)) if is_free]
    return np.array([*first, *coefficients], dtype=np.int64)


def _start(counts: Array, model: SpectrumModel, signal: float | None, start: Array | None, free: Array) -> Array:
    if start is not None:
        parameters = start.copy()
        parameters[1:3][~np.isin([1, 2], free)] = 0.0  # a nuisance that does not act has no pull
        if signal is not None:
            parameters[0] = signal
        if model.expected(parameters).min() > 0:
            return parameters
    size = model.background.shape[1]
    flat = max(float(counts.sum()), 1.0) / size
    return np.array([signal or 0.0, 0.0, 0.0, *[flat] * size])


def _newton_step(
    observed: Array, mean: Array, jacobian: Array, parameters: Array, free: Array
) -> tuple[Array, float, float]:
    """Return (step, estimated distance to the minimum, standard deviation of the first free parameter).

    The step solves the weighted least-squares problem by QR: at an edge the weights of the bins differ by twelve orders
    of magnitude, and the normal equations would square that.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the Jacobian has not full rank.
    """
    weight = np.sqrt(observed) / mean
    nuisances = np.flatnonzero((free == 1) | (free == 2))
    prior = np.zeros((nuisances.size, free.size))
    prior[np.arange(nuisances.size), nuisances] = 1.0
    matrix = np.vstack([weight[:, np.newaxis] * jacobian[:, free], prior])
    target = np.concatenate([(observed - mean) / np.sqrt(observed), -parameters[free[nuisances]]])
    scale = np.linalg.norm(matrix, axis=0)
    if scale.min() == 0.0:
        raise np.linalg.LinAlgError
    q, r = np.linalg.qr(matrix / scale)
    if np.abs(np.diag(r)).min() < 1e-13:
        raise np.linalg.LinAlgError
    along = q.T @ target
    inverse = np.linalg.inv(r)
    return inverse @ along / scale, 0.5 * float(along @ along), float(np.linalg.norm(inverse[0]) / scale[0])


def _nll(observed: Array, mean: Array, parameters: Array) -> float:
    return float(np.sum(mean - observed * np.log(mean)) + 0.5 * (parameters[1] ** 2 + parameters[2] ** 2))


def _line_search(
    observed: Array,
    model: SpectrumModel,
    parameters: Array,
    mean: Array,
    free: Array,
    step: Array,
    nll: float,
    edm: float,
) -> tuple[Array, Array, float] | None:
    """Return (parameters, expected counts, NLL) after the longest halved step that improves; None if none does."""
    full = parameters.copy()
    full[free] += step
    change = model.expected(full) - mean
    falling = change < 0
    # Go 95 % of the way to the nearest edge at most.
    length = min(1.0, 0.95 * float(np.min(mean[falling] / -change[falling]))) if falling.any() else 1.0
    for _ in range(60):
        trial = parameters.copy()
        trial[free] += length * step
        trial_mean = model.expected(trial)
        if trial_mean.min() > 0:
            trial_nll = _nll(observed, trial_mean, trial)
            if trial_nll <= nll - 1e-4 * length * edm:
                return trial, trial_mean, trial_nll
        length *= 0.5
    return None
