"""Reference vectors as fixtures."""

from __future__ import annotations

import polars as pl
import pytest

from tests.hlt.vectors import FULL, SAMPLE


@pytest.fixture(scope="session", params=["sample", "full"])
def vectors(request: pytest.FixtureRequest) -> pl.DataFrame:
    """Return the committed sample, then all reference vectors where they are at hand."""
    path = SAMPLE if request.param == "sample" else FULL
    if not path.exists():
        pytest.skip(f"the full HLT reference vectors are not at hand ({path}): only the committed sample is checked")
    return pl.read_parquet(path)
