"""Who may talk to a run from another machine: CURVE keys in a folder, and the list of those that are let in.

::

    KEYS/allowed.toml     public keys by name: the same on every host; who is not in it is not let in
    KEYS/source.secret    secret key of a role, or (hlt-3.secret) of one process; mode 0600, only on its own host

The name of a key says who may use it: ``hlt`` any worker, ``hlt-3`` that worker only. A process that connects expects
the key of the role that it connects to, so a stranger cannot pose as the source either. `darkline keys new` makes keys.

A secret is read into one object that never shows it, handed to ZeroMQ, and written nowhere.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

import zmq
from zmq.utils import z85

from daq.errors import InputError
from daq.settings import read_toml
from daq.stream.wire.peers import ROLES, role_of

ALLOWED = "allowed.toml"
_NAME = re.compile(rf"({'|'.join(ROLES)})(-[0-9]{{1,3}})?")
_KEY_CHARACTERS = 40
_HEAD = "# Public keys that are let in; taking a line out shuts its owner out at once.\n"
_SECRET_HEAD = "# Secret key of a darkline process: it stays on its host, readable by its owner only.\n"


class Secret:
    """A secret key; only ``reveal`` gives it away."""

    __slots__ = ("_key",)

    def __init__(self, key: str):
        self._key = key

    def __repr__(self) -> str:
        return "Secret(...)"

    def reveal(self) -> bytes:
        """Return the key in z85, for ZeroMQ."""
        return self._key.encode()


def check_name(name: str) -> str:
    """Return the name of a key; raise `InputError` if no process could use it."""
    if not _NAME.fullmatch(name):
        raise InputError(f"must be a role ({', '.join(ROLES)}), or one with a slot like hlt-3", key="name", value=name)
    return name


def belongs_to(key_name: str, process: str) -> bool:
    """Return whether a process may use the key of this name."""
    return key_name in (process, role_of(process))


# ---- making keys


def make_keys(directory: Path, names: Sequence[str]) -> dict[str, str]:
    """Make a key pair for each name and let it in; return the public keys.

    Raises
    ------
    InputError
        If a name can't be one, or has a key already; nothing is made then.
    """
    allowed = read_allowed(directory) if (directory / ALLOWED).exists() else {}
    for name in map(check_name, names):
        if (directory / f"{name}.secret").exists():
            raise InputError("exists already: a key is never overwritten", file=directory / f"{name}.secret")
        if name in allowed:
            raise InputError("has a public key already", file=directory / ALLOWED, key=name)
    if len(set(names)) != len(names):
        raise InputError("a name is given twice", key="names", value=" ".join(names))
    made = {}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name in names:
            public, secret = (key.decode() for key in zmq.curve_keypair())
            _write_secret(directory / f"{name}.secret", name, public, secret)
            made[name] = public
        _write_allowed(directory, allowed | made)
    except OSError as error:
        raise InputError(f"cannot be written: {error.strerror}", file=error.filename or directory) from None
    return made


def _write_secret(path: Path, name: str, public: str, secret: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)  # whatever the umask: never more than this
    with os.fdopen(fd, "w", encoding="ascii") as file:
        os.fchmod(fd, 0o600)
        file.write(f'{_SECRET_HEAD}name = "{name}"\npublic = "{public}"\nsecret = "{secret}"\n')


def _write_allowed(directory: Path, allowed: dict[str, str]) -> None:
    temporary = directory / f".{ALLOWED}.tmp"
    lines = "".join(f'{name} = "{key}"\n' for name, key in sorted(allowed.items()))
    temporary.write_text(_HEAD + lines, encoding="ascii")
    temporary.replace(directory / ALLOWED)


# ---- reading keys


def read_allowed(directory: Path) -> dict[str, str]:
    """Return the public keys (z85) that are let in, by name; raise `InputError` if the list is missing or wrong."""
    path = directory / ALLOWED
    allowed = {}
    for name, key in read_toml(path).items():
        if not _NAME.fullmatch(name):
            raise InputError("no process has this name", file=path, key=name)
        if not isinstance(key, str) or not is_key(key):
            raise InputError(f"must be a public key of {_KEY_CHARACTERS} characters", file=path, key=name)
        allowed[name] = key
    return allowed


def is_key(text: str) -> bool:
    """Return whether text is a CURVE key in z85."""
    try:
        return len(text) == _KEY_CHARACTERS and len(z85.decode(text.encode("ascii"))) == 32
    except (ValueError, KeyError, UnicodeEncodeError):
        return False


def _read_secret(directory: Path, process: str) -> tuple[str, str, Secret]:
    """Return (name, public key, secret key) of a process; messages never quote the file."""
    paths = [directory / f"{name}.secret" for name in dict.fromkeys((process, role_of(process)))]
    path = next((path for path in paths if path.exists()), None)
    if path is None:
        raise InputError("no such file: darkline keys new makes it", file=paths[-1])
    try:
        if path.stat().st_mode & 0o077:
            raise InputError("is readable by others: chmod 600", file=path)
        content = tomllib.loads(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise InputError(f"is no secret key ({type(error).__name__})", file=path) from None
    name, public, secret = (str(content.get(key)) for key in ("name", "public", "secret"))
    if not belongs_to(name, process):
        raise InputError(f"is no secret key of {process}", file=path)
    if not is_key(public) or not is_key(secret) or zmq.curve_public(secret.encode()) != public.encode():
        raise InputError("public and secret key do not belong together", file=path)
    return name, public, Secret(secret)


class Keyring:
    """The keys of one process: its own pair, and those of whom it talks to.

    The list of those let in is read again whenever its file changes. If it can't be read then, the list before stays
    in force and ``say`` is told why: half a file is no revocation.
    """

    def __init__(self, directory: Path, process: str, say: Callable[[str], None] = lambda text: None):
        self._path, self._say = directory / ALLOWED, say
        self.name, self.public, self._secret = _read_secret(directory, process)
        self._names: dict[bytes, str] = {}  # raw public key -> name
        self._allowed: dict[str, str] = {}
        self._stamp: tuple[int, ...] | None = None
        self._load()
        if self._allowed.get(self.name) != self.public:
            raise InputError("is not the key of the secret beside it", file=self._path, key=self.name)

    def __repr__(self) -> str:
        return f"Keyring({self.name!r}, {self.public!r})"

    def _load(self) -> None:
        self._stamp = self._stat()
        self._allowed = read_allowed(self._path.parent)
        self._names = {z85.decode(key.encode()): name for name, key in self._allowed.items()}

    def _stat(self) -> tuple[int, ...] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino

    def refresh(self) -> None:
        """Read the list again if its file has changed."""
        stamp = self._stat()
        if stamp == self._stamp:
            return
        try:
            self._load()
        except InputError as error:
            self._stamp = stamp
            self._say(f"{error}: the list before stays in force")

    def admits(self, public: bytes) -> str | None:
        """Return the name of a raw public key that is let in, None for a stranger."""
        return self._names.get(public)

    def is_in_force(self, name: str) -> bool:
        """Return whether the key of this name has not been taken off the list."""
        return name in self._allowed

    def listen(self, socket: zmq.Socket[bytes]) -> None:
        """Let only those of the list connect to a socket that is about to be bound."""
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret.reveal())
        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt(zmq.ZAP_DOMAIN, b"darkline")
        socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)  # without our gate nobody gets in, rather than everybody

    def call(self, socket: zmq.Socket[bytes], role: str) -> None:
        """Let a socket that is about to be connected talk to the real holder of a role only."""
        server = next((key for name, key in self._allowed.items() if role_of(name) == role), None)
        if server is None:
            raise InputError("has no key in the list, so nobody can connect to it", file=self._path, key=role)
        socket.setsockopt(zmq.CURVE_SECRETKEY, self._secret.reveal())
        socket.setsockopt(zmq.CURVE_PUBLICKEY, self.public.encode())
        socket.setsockopt(zmq.CURVE_SERVERKEY, server.encode())
