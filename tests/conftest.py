"""What all tests share: where the reference data lie, and how hypothesis runs."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"

# Speed is never tested: no deadlines. CI runs the same examples each time, so that a red run can be repeated.
settings.register_profile("ci", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """Return the folder of reference data beside the checkout, or skip loudly."""
    if not (SHARED / "data").is_dir():
        pytest.skip("REFERENCE DATA ABSENT: ../shared/data is not there, this comparison was NOT made")
    return SHARED
