"""Random event batches for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from daq.event import GROUPS, LAYOUT, SCALARS, EventBatch


def random_batch(size: int, rng: np.random.Generator, mean_objects: float = 1.5) -> EventBatch:
    """Return ``size`` events whose arrays hold random bit patterns of valid shape."""
    arrays: dict[str, np.ndarray] = {}

    def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
        dtype = LAYOUT[name]
        if dtype.kind == "b":
            return rng.integers(0, 2, shape).astype(dtype)
        if dtype.kind == "f":
            return rng.normal(size=shape).astype(dtype)
        return rng.integers(0, min(np.iinfo(dtype).max, 2**31), shape).astype(dtype)

    def offsets(rows: int) -> np.ndarray:
        return np.concatenate([[0], np.cumsum(rng.poisson(mean_objects, rows))])

    for column in SCALARS:
        arrays[column.path] = values(column.path, (size,))
    for group, columns in GROUPS.items():
        arrays[f"{group}.offsets"] = offsets(size)
        objects = int(arrays[f"{group}.offsets"][-1])
        for column in columns:
            rows = objects
            if column.length == 0:
                arrays[f"{column.path}.offsets"] = offsets(objects)
                rows = int(arrays[f"{column.path}.offsets"][-1])
            shape = (rows, column.length) if column.length > 1 else (rows,)
            arrays[column.path] = values(column.path, shape)
    return EventBatch(size, arrays)


@st.composite
def batches(draw: st.DrawFn, max_size: int = 12) -> EventBatch:
    """Strategy: batches of 0 to ``max_size`` events, from no objects at all to a few each."""
    size = draw(st.integers(0, max_size))
    mean = draw(st.sampled_from([0.0, 0.5, 3.0]))
    return random_batch(size, np.random.default_rng(draw(st.integers(0, 2**32 - 1))), mean)


def assert_same(one: EventBatch, other: EventBatch) -> None:
    """Fail unless both batches hold the same arrays, bit for bit."""
    assert one.size == other.size
    for name in LAYOUT:
        assert one[name].dtype == other[name].dtype, name
        assert one[name].tobytes() == other[name].tobytes(), name
        assert one[name].shape == other[name].shape, name
