"""Where the processes of a run listen, as settings: ``ipc://PATH``, ``tcp://HOST:PORT``. Pure text, no sockets.

An endpoint is *local* if nobody on another machine can reach it: ipc, and tcp on the loopback addresses. Only those may
be used without keys. A host name other than ``localhost`` is never local, whatever it resolves to.
"""

from __future__ import annotations

import ipaddress
import re
from typing import NamedTuple

LISTENERS = ("source", "l1", "spool", "status")
"""Roles with an endpoint that others connect to; ``status`` is where whoever watches listens for status frames."""

_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_-]{1,63})*")
_LONGEST_IPC_PATH = 107


class Endpoint(NamedTuple):
    """An address that peers connect to."""

    scheme: str
    host: str  # or the path of an ipc socket
    port: int

    @property
    def is_local(self) -> bool:
        """Return whether it can be reached from this machine only."""
        if self.scheme == "ipc" or self.host == "localhost":
            return True
        address = _address(self.host)
        return address is not None and address.is_loopback

    @property
    def connect_to(self) -> str:
        """Return what a peer gives to ZeroMQ."""
        if self.scheme == "ipc":
            return f"ipc://{self.host}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"tcp://{host}:{self.port}"

    @property
    def bind_to(self) -> str:
        """Return what the listener gives to ZeroMQ, which takes no names there: a name stands for all interfaces."""
        if self.scheme == "ipc" or _address(self.host) is not None:
            return self.connect_to
        return f"tcp://{'127.0.0.1' if self.host == 'localhost' else '*'}:{self.port}"


def parse_endpoint(text: str) -> Endpoint:
    """Return the endpoint; raise `ValueError` with the rule if it is none."""
    scheme, separator, rest = text.partition("://")
    if scheme == "ipc" and rest.startswith("/") and rest.isprintable():
        if len(rest.encode()) > _LONGEST_IPC_PATH:
            raise ValueError(f"the path of an ipc socket may have {_LONGEST_IPC_PATH} bytes, this has {len(rest)}")
        return Endpoint("ipc", rest, 0)
    host, colon, port = rest.rpartition(":")
    host = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    is_host = _address(host) is not None or (_HOST.fullmatch(host) and not re.fullmatch(r"[0-9.]+", host))
    is_port = port.isascii() and port.isdigit() and 0 < int(port) < 65536
    if scheme != "tcp" or not separator or not colon or not is_host or not is_port:
        raise ValueError("must be tcp://HOST:PORT or ipc:///PATH")
    return Endpoint("tcp", host, int(port))


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None
