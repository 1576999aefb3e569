"""Compile options of every kernel, in one place.

numba's cache looks only at the file of the function that it compiles: an edited callee in another file, or a changed
global constant, goes unseen and gives silently wrong answers. So all kernels are cached in a folder named after a hash
of the source of *every* kernel file; any edit of any of them starts a fresh cache. Thresholds are arguments, never
globals.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
import xxhash
from numpy.typing import NDArray

Array = NDArray[Any]
F = TypeVar("F", bound=Callable[..., Any])

_ROOT = Path(__file__).resolve().parent.parent
_ROOMS = ("daq", "triggers", "hlt", "monitors", "offline")


def _kernel_hash() -> str:
    """Return a hash over all source files that define kernels."""
    digest = xxhash.xxh3_64(f"{numba.__version__} {np.__version__}".encode())
    for room in _ROOMS:
        for path in sorted((_ROOT / room).rglob("*.py")):
            source = path.read_bytes()
            if b"@kernel" in source:
                digest.update(str(path.relative_to(_ROOT)).encode())
                digest.update(source)
    return digest.hexdigest()


def _cache_dir() -> Path:
    """Choose the cache folder of this set of kernels, and drop the folders of sets long unused."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "darkline" / "kernels"
    own = base / _kernel_hash()
    own.mkdir(parents=True, exist_ok=True)
    os.utime(own)
    sets = sorted(base.iterdir(), key=lambda path: path.stat().st_mtime)
    for stale in sets[:-8]:  # several checkouts may share the machine: keep the eight newest sets
        shutil.rmtree(stale, ignore_errors=True)
    return own


if "NUMBA_CACHE_DIR" not in os.environ:
    vars(numba.config)["CACHE_DIR"] = str(_cache_dir())


def kernel(function: F) -> F:
    """Compile ``function``: cached on disk, without the GIL, IEEE arithmetic (decisions must not depend on the CPU)."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy")(function))


def kernel_inline(function: F) -> F:
    """Compile as `kernel`, but pasted into its callers: for the small steps of a hot loop, where calls cost most."""
    return cast(F, numba.njit(cache=True, nogil=True, error_model="numpy", inline="always")(function))


def kernel_lean(function: F) -> F:
    """Compile as `kernel`, but without counting references to arrays: for the steps of a loop that pass arrays down.

    The counts are atomic operations at each call, dearer than most of the steps themselves. Such a kernel allocates
    nothing and returns no array; its arrays are its caller's.
    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy", "_nrt": False}
    return cast(F, numba.njit(**options)(function))


def read_only(array: Array) -> Array:
    """Return a contiguous, aligned, read-only view of an array (a copy only if it is not contiguous and aligned).

    To numba a writeable array and a read-only one are two types, and every combination of them is a compilation of its
    own; kernels that only read their columns are given all of them so.
    """
    if array.flags.c_contiguous and array.flags.aligned and not array.flags.writeable:
        return array
    view = np.ascontiguousarray(array)
    view = view.view() if view.flags.aligned else view.copy()
    view.setflags(write=False)
    return view
