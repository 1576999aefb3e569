"""The habits of the house hold: style, types, and who may import whom."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["lint-imports"]],
    ids=["lint", "format", "types", "imports"],
)
def test_tool_is_content(command: list[str]):
    """ruff, mypy (strict) and the import contracts pass on the whole tree."""
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_locks_have_hashes_and_no_address():
    """Each pinned package has a hash, and the lock does not say where it was found."""
    for lock in ("requirements.lock", "requirements-gen.lock", "requirements-scale.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        assert "://" not in text
        for package in re.findall(r"^[^\s#][^\n]*(?:\n\s[^\n]*)*", text, re.MULTILINE):
            assert "--hash=sha256:" in package, package


def test_help_needs_no_heavy_import():
    """`darkline --help` answers at once because numpy, numba, polars and the rest are imported inside commands."""
    code = (
        "import sys, darkline\n"
        "heavy = {'numpy', 'numba', 'polars', 'pyarrow', 'zmq', 'matplotlib', 'scipy', 'iminuit', 'pydantic'}\n"
        "sys.exit(', '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
