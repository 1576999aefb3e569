"""Where processes are born: a child with everything imported and compiled, which forks on request.

The supervisor cannot fork safely, it has sockets and threads. So it starts the nursery as a fresh interpreter, whose
program calls `serve`; a process forked from there is at work within milliseconds, where a fresh one would need seconds
for its imports. Nobody lingers: when the supervisor is gone the nursery ends, and with the nursery all its children.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from daq.stream.node import Place

_PR_SET_PDEATHSIG = 1
_READY = b"ready\n"
_PATIENCE_S = 5.0  # for a fork, which takes milliseconds


class Nursery:
    """The supervisor's hold on a nursery; `wait_until_warm` and `fork` raise `ConnectionError` if it is lost."""

    def __init__(self, command: Sequence[str]):
        ours, theirs = socket.socketpair()
        with theirs:
            # A session of its own: Ctrl-C is for the supervisor, which lets the run drain.
            self._process = subprocess.Popen(command, stdin=theirs.fileno(), start_new_session=True)
        self.pidfd = os.pidfd_open(self._process.pid)
        self._channel = ours
        self._replies = ours.makefile("rb")

    def wait_until_warm(self) -> None:
        """Return when it is ready to fork."""
        self._reply()
        self._channel.settimeout(_PATIENCE_S)

    @property
    def pid(self) -> int:
        """Return the process id."""
        return self._process.pid

    def has_died(self) -> bool:
        """Return whether it is gone."""
        return self._process.poll() is not None

    def fork(self, place: Place) -> int:
        """Start a process; return its id."""
        request = {
            "role": place.role,
            "slot": place.slot,
            "run_directory": str(place.run_directory),
            "sockets": str(place.sockets),
        }
        self._channel.sendall(json.dumps(request).encode() + b"\n")
        return int(self._reply())

    def _reply(self) -> bytes:
        try:
            line = self._replies.readline()
        except TimeoutError:  # it is stopped, or worse
            line = b""
        if not line:
            raise ConnectionError("the nursery is gone")
        return line

    def close(self) -> int:
        """End the nursery and all that were born there; return its exit code (negative: the signal it died by)."""
        self._replies.close()
        self._channel.close()
        os.close(self.pidfd)
        try:
            return self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def serve(run_node: Callable[[Place], None], warm_up: Callable[[], object]) -> None:
    """Be the nursery: warm up, then fork a process for each request, until the supervisor is gone.

    ``run_node(place)`` is what each process does. ``warm_up`` imports and compiles; it must leave no thread behind.
    """
    channel = socket.socket(fileno=os.dup(0))
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a file descriptor is wanted, not a path
        os.dup2(nothing.fileno(), 0)
    warm_up()
    gc.freeze()  # pages that the collector leaves alone stay shared with the children
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies; the supervisor watches the children itself
    sockets: Path | None = None
    with suppress(BrokenPipeError):
        channel.sendall(_READY)
    for line in channel.makefile("rb"):
        request: dict[str, Any] = json.loads(line)
        sockets = Path(request["sockets"])
        place = Place(request["role"], request["slot"], Path(request["run_directory"]), sockets)
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            channel.close()
            _live(run_node, place, parent)
        channel.sendall(f"{pid}\n".encode())
    if sockets is not None:  # a supervisor that was killed could not clear up behind itself
        shutil.rmtree(sockets, ignore_errors=True)


def _live(run_node: Callable[[Place], None], place: Place, parent: int) -> None:
    """Be a process of the run, from fork to exit; does not return."""
    code = 1
    try:
        _die_with_parent()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        if os.getppid() == parent:  # else it died before we could ask to die with it
            run_node(place)
        code = 0
    except SystemExit:
        code = 0
    except BaseException:  # the last frame of a process: all that it can do is say why
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
