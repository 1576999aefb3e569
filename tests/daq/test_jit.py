"""The kernel cache never serves stale code: it is named after the source of all kernels."""

from __future__ import annotations

from pathlib import Path

import pytest

from daq import jit


def test_an_edited_kernel_file_gets_a_new_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """numba does not see that a callee in another file changed; the folder name does."""
    room = tmp_path / "daq"
    room.mkdir()
    source = room / "callee.py"
    monkeypatch.setattr(jit, "_ROOT", tmp_path)
    source.write_text("@kernel\ndef f(x): return x + 1\n")
    before = jit._kernel_hash()
    source.write_text("@kernel\ndef f(x): return x + 2\n")
    assert jit._kernel_hash() != before
    source.write_text("@kernel\ndef f(x): return x + 1\n")
    assert jit._kernel_hash() == before
    (room / "no_kernels.py").write_text("x = 1\n")
    assert jit._kernel_hash() == before
