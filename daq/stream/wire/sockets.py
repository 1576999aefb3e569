"""The sockets of one process: where to bind and connect, with which keys, and what ZeroMQ would not say of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import zmq

from daq.endpoints import Endpoint, parse_endpoint
from daq.errors import InputError
from daq.settings import StreamSettings
from daq.stream.statistics import Statistics
from daq.stream.wire.gate import Gate, Refusal, Watch
from daq.stream.wire.keys import Keyring
from daq.stream.wire.transport import Port

_HEARTBEAT_MS, _GONE_MS = 1000, 3000
_HANDSHAKE_MS = 5000
_SLOWEST_RECONNECT_MS = 1000


class Wire:
    """Makes the ports of a process of a run.

    Parameters
    ----------
    name : str
        Of the process, such as ``hlt-0``.
    default : callable
        Role -> endpoint where the settings name none.
    key : int
        Of the run (`daq.stream.wire.contract.run_key`).
    """

    def __init__(self, stream: StreamSettings, name: str, default: Callable[[str], str], *, key: int, hwm: int):
        self.context: zmq.Context[Any] = zmq.Context()
        self._stream, self._name, self._default, self._key, self._hwm = stream, name, default, key, hwm
        self._watches: list[Watch] = []
        self._gate: Gate | None = None
        self._said: Counter[str] = Counter()
        self._warnings: list[str] = []
        self.keyring: Keyring | None = None
        if stream.keys is not None and any(text.startswith("tcp:") for text in stream.endpoints.values()):
            self.keyring = Keyring(Path(stream.keys), name, self._warnings.append)

    def endpoint(self, role: str) -> Endpoint:
        """Return where a role listens."""
        return parse_endpoint(self._stream.endpoints.get(role) or self._default(role))

    def bind(self, role: str) -> Port:
        """Listen as a role."""
        endpoint = self.endpoint(role)
        prepare, keyring = self._prepare(endpoint, role, True), self.keyring
        with self._naming(role):
            return Port.bind(
                self.context, endpoint.bind_to, key=self._key, hwm=self._hwm, prepare=prepare,
                keyring=keyring if self._is_locked(endpoint, role) else None,
            )  # fmt: skip

    def connect(self, role: str) -> Port:
        """Connect to where a role listens."""
        endpoint = self.endpoint(role)
        return Port.connect(
            self.context, endpoint.connect_to, name=self._name, peer=role, key=self._key, hwm=self._hwm,
            prepare=self._prepare(endpoint, role, False),
        )  # fmt: skip

    def publisher(self) -> zmq.Socket[bytes]:
        """Return the socket for status frames, connected to whoever watches."""
        socket: zmq.Socket[bytes] = self.context.socket(zmq.PUB)
        socket.setsockopt(zmq.LINGER, 0)
        endpoint = self.endpoint("status")
        if self._is_locked(endpoint, "status") and self.keyring is not None:
            self.keyring.call(socket, "supervisor")
        socket.connect(endpoint.connect_to)
        return socket

    def subscriber(self, longest: int) -> zmq.Socket[bytes]:
        """Return the socket on which whoever watches listens for status frames of at most ``longest`` bytes."""
        socket: zmq.Socket[bytes] = self.context.socket(zmq.SUB)
        socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.setsockopt(zmq.MAXMSGSIZE, longest)
        endpoint = self.endpoint("status")
        self._prepare(endpoint, "status", True)(socket)
        with self._naming("status"):
            socket.bind(endpoint.bind_to)
        return socket

    @contextmanager
    def _naming(self, role: str) -> Iterator[None]:
        try:
            yield
        except zmq.ZMQError as error:
            where = self.endpoint(role).connect_to
            raise InputError(f"cannot listen there: {error}", key=f"stream.endpoints.{role}", value=where) from None

    def _is_locked(self, endpoint: Endpoint, role: str) -> bool:
        """Return whether an endpoint is used with keys; one that leaves the machine never is without."""
        if endpoint.scheme == "ipc":
            return False
        if self.keyring is None and not endpoint.is_local:
            raise InputError("leaves this machine, and there are no keys", key=f"stream.endpoints.{role}")
        return self.keyring is not None

    def _prepare(self, endpoint: Endpoint, role: str, is_server: bool) -> Callable[[zmq.Socket[bytes]], None]:
        def prepare(socket: zmq.Socket[bytes]) -> None:
            if endpoint.scheme == "ipc":
                return
            socket.setsockopt(zmq.IPV6, int(":" in endpoint.host))
            # A pulled cable says nothing: without these a dead connection would be held for hours.
            socket.setsockopt(zmq.HEARTBEAT_IVL, _HEARTBEAT_MS)
            socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, _GONE_MS)
            socket.setsockopt(zmq.HEARTBEAT_TTL, _GONE_MS)
            socket.setsockopt(zmq.CONNECT_TIMEOUT, _GONE_MS)
            socket.setsockopt(zmq.HANDSHAKE_IVL, _HANDSHAKE_MS)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, _SLOWEST_RECONNECT_MS)
            if not self._is_locked(endpoint, role) or self.keyring is None:
                return
            if is_server:
                if self._gate is None:
                    self._gate = Gate(self.context, self.keyring)
                    self._gate.start()
                self.keyring.listen(socket)
            else:
                self.keyring.call(socket, role)
            self._watches.append(Watch(socket, is_server=is_server, role=role))

        return prepare

    def look(self, statistics: Statistics, log: Any) -> None:
        """Count and log who was refused since the last look; the same thing is logged the 1st, 2nd, 4th, ... time."""
        if self.keyring is None:
            return
        self.keyring.refresh()
        found: list[Refusal] = list(self._gate.refusals()) if self._gate is not None else []
        for watch in self._watches:
            with suppress(zmq.ZMQError):  # a socket that is closed has no news
                found += watch.failures()
        for text, facts, is_ours in found:
            statistics["refused"] += is_ours
            self._said[f"{text} {facts}"[:200]] += 1
            if len(self._said) > 1000:  # keys and addresses of strangers are theirs to choose
                self._said.clear()
            count = self._said[f"{text} {facts}"[:200]]
            if count & (count - 1) == 0:
                log.warning(text, **facts, times=count)
        while self._warnings:
            log.warning(self._warnings.pop(0))

    def close(self, linger_ms: int = 1000) -> None:
        """Close all sockets; what is under way gets so much time [ms]."""
        if self._gate is not None:
            self._gate.end()
        self.context.destroy(linger=linger_ms)
