"""The toy search of this room: made once, used by all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from offline.dataset import Dataset
from offline.limits import LimitResult, limit
from offline.scan import ScanResult, scan
from offline.search import Search, load_search
from offline.shapes import Shapes
from tests.offline import toy

INJECTED_GEV = 3.3
INJECTED_EVENTS = 700


@pytest.fixture(scope="session")
def search() -> Search:
    """Return the three-photon search on the trigger lines of the toy."""
    return toy.toy_search(load_search("alp_three_photon"))


@pytest.fixture(scope="session")
def shapes(search: Search) -> Shapes:
    """Return the shapes of the toy detector."""
    return toy.toy_shapes(search, 4000)


@pytest.fixture(scope="session")
def toy_events() -> pl.DataFrame:
    """Return background with an injected signal."""
    rng = np.random.default_rng(toy.SEED + 1)
    photons = np.concatenate([toy.background(40_000, rng), toy.signal(INJECTED_GEV, INJECTED_EVENTS, rng)])
    return toy.reconstructed(photons, rng)


@pytest.fixture(scope="session")
def dataset(toy_events: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Return the toy events as an opened run."""
    directory: Path = tmp_path_factory.mktemp("runs") / "toy"
    return Dataset.open(toy.write_run(directory, toy_events))


@pytest.fixture(scope="session")
def scanned(search: Search, dataset: Dataset, shapes: Shapes) -> ScanResult:
    """Return a full scan of the toy run."""
    return scan(search, dataset, shapes)


@pytest.fixture(scope="session")
def limits(search: Search, dataset: Dataset, shapes: Shapes) -> LimitResult:
    """Return limits of the toy run at 60 masses."""
    return limit(scan(search, dataset, shapes, max_points=60))
