"""The command line as a fixture."""

from __future__ import annotations

import functools

import pytest

from tests.commands.cli import Command, run


@pytest.fixture
def darkline(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return the command line, in this process."""
    return functools.partial(run, capsys, monkeypatch)
