"""The gate of a process that listens with CURVE: asks the list of keys, and remembers who was sent away.

ZeroMQ asks a handler in the same context (ZAP, RFC 27) for each peer that wants in; ours is a thread that looks the
public key up. What it and the sockets' monitors notice is fetched by the process from its own loop, with `news`: of a
failed handshake neither side would hear anything otherwise.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import zmq
from zmq.utils import z85
from zmq.utils.monitor import recv_monitor_message

from daq.stream.wire.keys import Keyring

_LOOK_MS = 100
_ZAP = "inproc://zeromq.zap.01"
_FAILED: dict[int, str] = {
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "handshake broken off: another key than expected, or no CURVE at all",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "handshake is not CURVE with our key",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "our key is not let in",
}


class Refusal(NamedTuple):
    """A peer that was sent away, or who sent us away."""

    text: str
    facts: dict[str, str]
    is_ours: bool
    """Whether we refused; else we were refused."""


class Gate(threading.Thread):
    """Answers ZeroMQ's question who may come in; started before the first socket listens."""

    def __init__(self, context: zmq.Context[Any], keyring: Keyring):
        super().__init__(name="gate", daemon=True)
        self._keyring = keyring
        self._refused: deque[Refusal] = deque(maxlen=1000)
        self._ending = threading.Event()
        self._socket: zmq.Socket[bytes] = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ZAP)

    def run(self) -> None:
        """Answer until told to end."""
        while not self._ending.is_set():
            if not self._socket.poll(_LOOK_MS):
                continue
            version, request, _, address, _, mechanism, *credentials = self._socket.recv_multipart()
            name = self._admit(mechanism, credentials, address)
            answer = (b"200", b"OK", name.encode()) if name else (b"400", b"not let in", b"")
            self._socket.send_multipart([version, request, *answer, b""])
        self._socket.close()

    def end(self) -> None:
        """Stop answering; the thread has closed its socket when this returns."""
        self._ending.set()
        self.join()

    def _admit(self, mechanism: bytes, credentials: list[bytes], address: bytes) -> str | None:
        self._keyring.refresh()
        public = credentials[0] if mechanism == b"CURVE" and credentials else b""
        name = self._keyring.admits(public)
        if name is None:
            shown = z85.encode(public).decode() if len(public) == 32 else ""
            facts = {"key": shown, "address": address.decode(errors="replace")}
            self._refused.append(Refusal("peer refused: its key is not on the list", facts, True))
        return name

    def refusals(self) -> Iterator[Refusal]:
        """Yield whom it sent away since it was last asked."""
        while self._refused:
            yield self._refused.popleft()


class Watch:
    """Hears of the failed handshakes of one socket."""

    def __init__(self, socket: zmq.Socket[bytes], *, is_server: bool, role: str):
        self._socket, self._is_server, self._role = socket, is_server, role
        self._monitor = socket.get_monitor_socket(sum(_FAILED))

    def failures(self) -> Iterator[Refusal]:
        """Yield the handshakes that failed since it was last asked."""
        while self._monitor.poll(0):
            event = recv_monitor_message(self._monitor, zmq.NOBLOCK)
            kind, endpoint = event["event"], event["endpoint"].decode(errors="replace")
            if self._is_server:
                if kind != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # that one the gate has seen, with the key
                    yield Refusal(f"peer refused: {_FAILED[kind]}", {"endpoint": endpoint}, True)
                continue
            yield Refusal(f"refused by {self._role}: {_FAILED[kind]}", {"endpoint": endpoint}, False)
            if kind == zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # ZeroMQ gives up then; we may be let in later
                with suppress(zmq.ZMQError):
                    self._socket.disconnect(endpoint)
                self._socket.connect(endpoint)
