"""Strangers stay out: keys, the list of those let in, and endpoints that must not be used without them."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zmq

from daq.endpoints import parse_endpoint
from daq.errors import InputError, WireError
from daq.run_directory import RunFile
from daq.settings import StreamSettings, parse
from daq.stream.statistics import Statistics
from daq.stream.wire.keys import ALLOWED, Keyring, make_keys, read_allowed
from daq.stream.wire.messages import Again, Delivery, seal
from daq.stream.wire.sockets import Wire
from daq.stream.wire.transport import Port
from tests.commands.cli import refused, run
from tests.daq.stream import toy
from tests.daq.stream.test_run import same_spool
from tests.waiting import wait_for

KEY = 77
NAMES = ["source", "l1", "hlt", "spool", "supervisor"]


def free_ports(n: int) -> list[int]:
    """Return ports of the loopback that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def secrets_in(directory: Path) -> list[bytes]:
    """Return the secret keys of a folder."""
    files = [path.read_text() for path in directory.glob("*.secret")]
    return [text.split('secret = "')[1].split('"')[0].encode() for text in files]


# ---- endpoints


@pytest.mark.parametrize(
    ("text", "is_local", "bind_to"),
    [
        ("ipc:///run/x/source", True, "ipc:///run/x/source"),
        ("tcp://127.0.0.1:5000", True, "tcp://127.0.0.1:5000"),
        ("tcp://127.9.9.9:5000", True, "tcp://127.9.9.9:5000"),
        ("tcp://localhost:5000", True, "tcp://127.0.0.1:5000"),
        ("tcp://[::1]:5000", True, "tcp://[::1]:5000"),
        ("tcp://10.0.0.1:5000", False, "tcp://10.0.0.1:5000"),
        ("tcp://0.0.0.0:5000", False, "tcp://0.0.0.0:5000"),
        ("tcp://daq1.example.org:5000", False, "tcp://*:5000"),
        ("tcp://localhost.example.org:5000", False, "tcp://*:5000"),
        ("tcp://[fe80::1]:65535", False, "tcp://[fe80::1]:65535"),
    ],
)
def test_endpoints(text: str, is_local: bool, bind_to: str):
    """Loopback and ipc are local, and nothing else; a name stands for all interfaces where it is bound."""
    endpoint = parse_endpoint(text)
    assert (endpoint.is_local, endpoint.bind_to) == (is_local, bind_to)
    assert parse_endpoint(endpoint.connect_to) == endpoint


@pytest.mark.parametrize(
    "text",
    ["", "x", "tcp://", "tcp://host", "tcp://host:0", "tcp://host:65536", "tcp://host:5\n", "tcp://*:5000", "udp://h:1",
     "tcp://1.2.3.4.5:1", "tcp://a b:1", "ipc://relative", "ipc:///" + "x" * 200, "inproc://x", "tcp://h;eth0:1",
     "tcp://host:-1", "tcp://host:\u0663", "ipc:///a\nb", "tcp://eth0;1.2.3.4:5"],
)  # fmt: skip
def test_what_is_no_endpoint(text: str):
    """Nothing else reaches ZeroMQ."""
    with pytest.raises(ValueError, match=r"tcp://HOST:PORT|bytes"):
        parse_endpoint(text)


def test_no_endpoint_leaves_the_machine_without_keys():
    """The configuration is refused when it is read, in one line with file, key and rule."""
    far = {"endpoints": {"source": "tcp://10.1.1.1:5000"}}
    with pytest.raises(InputError, match=r"run.toml: .*source = 'tcp://10.1.1.1:5000': .* needs keys") as error:
        parse(far, StreamSettings, file=Path("run.toml"))
    assert "\n" not in str(error.value)
    assert parse({**far, "keys": "/keys"}, StreamSettings, file=Path("run.toml")).keys == "/keys"
    with pytest.raises(InputError, match=r"endpoints.hlt: nobody listens there"):
        parse({"endpoints": {"hlt": "tcp://127.0.0.1:1"}}, StreamSettings, file=Path("run.toml"))
    with pytest.raises(InputError, match=r"endpoints.l1 = 'nonsense': must be"):
        parse({"endpoints": {"l1": "nonsense"}}, StreamSettings, file=Path("run.toml"))


# ---- making and reading keys


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_modes_of_the_files(umask: int, tmp_path: Path):
    """Secrets are for their owner only whatever the umask; the public list follows the umask."""
    before = os.umask(umask)
    try:
        make_keys(tmp_path / "keys", NAMES)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "keys").iterdir()}
    assert modes.pop(ALLOWED) == 0o666 & ~umask
    assert modes == {f"{name}.secret": 0o600 for name in NAMES}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """`darkline keys new` makes what `show` shows; neither ever prints a secret; nothing is overwritten."""
    directory = tmp_path / "keys"
    said = [
        run(capsys, monkeypatch, "keys", "new", directory),
        run(capsys, monkeypatch, "keys", "new", directory, "hlt-3", "--json"),
        run(capsys, monkeypatch, "keys", "show", directory),
        run(capsys, monkeypatch, "keys", "show", directory, "--json"),
    ]
    assert [done.code for done in said] == [0] * 4
    everything = "".join(done.out + done.err for done in said).encode()
    assert not any(secret in everything for secret in secrets_in(directory))
    assert all(key.encode() in everything for key in read_allowed(directory).values())
    before = {path: path.read_bytes() for path in directory.iterdir()}
    refused(run(capsys, monkeypatch, "keys", "new", directory, "hlt-4", "hlt"), "hlt.secret", "never overwritten")
    refused(run(capsys, monkeypatch, "keys", "new", directory, "hlt-4", "../hlt"), "../hlt")
    refused(run(capsys, monkeypatch, "keys", "new", directory, "hlt-4", "hlt-4"), "twice")
    refused(run(capsys, monkeypatch, "keys", "show", tmp_path), "no such file")
    (directory / "l1.secret").unlink()
    refused(run(capsys, monkeypatch, "keys", "new", directory, "l1"), "allowed.toml", "has a public key already")
    assert {path: path.read_bytes() for path in directory.iterdir()} == {
        path: text for path, text in before.items() if path.name != "l1.secret"
    }


@pytest.mark.parametrize(
    ("file", "change", "rule"),
    [
        ("hlt.secret", None, "no such file"),
        ("hlt.secret", lambda text: text.replace('name = "hlt"', 'name = "l1"'), "is no secret key of hlt-1"),
        ("hlt.secret", lambda text: text[:60], "is no secret key"),
        ("hlt.secret", lambda text: text.replace("public", "secret2"), "do not belong together"),
        ("hlt.secret", lambda text: text + "\x00", "is no secret key"),
        (ALLOWED, lambda text: text.replace("hlt =", "hlt2 ="), "no process has this name"),
        (ALLOWED, lambda text: text + 'l1-1 = "short"\n', "must be a public key"),
        (ALLOWED, lambda text: text + "l1-1 = 7\n", "must be a public key"),
        (ALLOWED, lambda text: text.replace("hlt =", "hlt-9 ="), "is not the key of the secret"),
        (ALLOWED, None, "no such file"),
    ],
)
def test_keys_that_are_wrong(file: str, change: Callable[[str], str] | None, rule: str, tmp_path: Path):
    """What is wrong with a file of keys is said, without its content."""
    make_keys(tmp_path, NAMES)
    secrets = secrets_in(tmp_path)
    if change is None:
        (tmp_path / file).unlink()
    else:
        (tmp_path / file).write_text(change((tmp_path / file).read_text()))
    with pytest.raises(InputError, match=rule) as error:
        Keyring(tmp_path, "hlt-1")
    assert not any(secret.decode() in str(error.value) for secret in secrets)


def test_a_secret_that_others_can_read_is_refused(tmp_path: Path):
    """As ssh does."""
    make_keys(tmp_path, NAMES)
    (tmp_path / "hlt.secret").chmod(0o640)
    with pytest.raises(InputError, match=r"hlt.secret: is readable by others: chmod 600"):
        Keyring(tmp_path, "hlt-1")


def test_nothing_shows_a_secret(tmp_path: Path):
    """Neither a representation nor the attributes that one prints by accident."""
    make_keys(tmp_path, ["hlt"])
    keyring = Keyring(tmp_path, "hlt-1")
    shown = f"{keyring!r} {keyring} {vars(keyring)!r} {keyring._secret!r} {keyring._secret}"
    (secret,) = secrets_in(tmp_path)
    assert keyring._secret.reveal() == secret
    assert secret.decode() not in shown


# ---- on the wire


class Log:
    """Remembers what was logged."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str, **facts: Any) -> None:
        """Take a line."""
        self.lines.append(f"{text} {facts}")


class Farm:
    """Processes that listen and connect over the loopback with keys."""

    def __init__(self, directory: Path):
        self.keys, self.wires = directory / "keys", []
        make_keys(self.keys, ["source", "l1", "hlt", "hlt-7", "spool"])
        (port,) = free_ports(1)
        self.endpoint = f"tcp://127.0.0.1:{port}"

    def wire(self, name: str, keys: Path | None = None) -> Wire:
        """Return the sockets of a process."""
        stream = StreamSettings(endpoints={"l1": self.endpoint}, keys=str(keys or self.keys))
        self.wires.append(Wire(stream, name, lambda role: f"ipc:///none/{role}", key=KEY, hwm=100))
        return self.wires[-1]

    def listen(self) -> tuple[Wire, Port, Statistics, Log]:
        """Return an L1 that listens."""
        wire = self.wire("l1-0")
        return wire, wire.bind("l1"), Statistics(), Log()


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    """Return a farm that is closed at the end."""
    farm = Farm(tmp_path)
    yield farm
    for wire in farm.wires:
        wire.close(linger_ms=0)


def heard(port: Port) -> Delivery:
    """Wait for a message."""
    delivery = wait_for(port.receive, "a message", 10)
    assert isinstance(delivery, Delivery)
    return delivery


def test_who_is_on_the_list_gets_in(farm: Farm):
    """A worker with the key of all workers, and one with its own."""
    _, port, _, _ = farm.listen()
    for name in ("hlt-0", "hlt-7"):
        worker = farm.wire(name).connect("l1")
        wait_for(lambda port=worker: port.send("l1", Again(3)), "a connection", 10)
        assert heard(port) == Delivery(name, Again(3), [])


def test_a_stranger_is_refused_counted_and_logged_with_key_and_address(farm: Farm, tmp_path: Path):
    """An unknown key gets nothing through; both ends say so; when it is put on the list it gets in by itself."""
    wire, port, statistics, log = farm.listen()
    make_keys(tmp_path / "others", ["hlt"])
    stranger_key = read_allowed(tmp_path / "others")["hlt"]
    (tmp_path / "others" / ALLOWED).write_text(
        (farm.keys / ALLOWED).read_text().replace(read_allowed(farm.keys)["hlt"], stranger_key)
    )
    stranger, refusals, complaints = farm.wire("hlt-0", tmp_path / "others"), Statistics(), Log()
    worker = stranger.connect("l1")

    def both_know() -> bool:
        wire.look(statistics, log)
        stranger.look(refusals, complaints)
        return bool(log.lines and complaints.lines)

    wait_for(both_know, "the refusal", 10)
    assert statistics["refused"] >= 1
    assert refusals["refused"] == 0
    assert stranger_key in log.lines[0]
    assert "127.0.0.1" in log.lines[0]
    assert "refused by l1: our key is not let in" in complaints.lines[0]
    assert not worker.send("l1", Again())
    assert port.receive() is None

    shutil.copy(tmp_path / "others" / ALLOWED, farm.keys / ALLOWED)

    def is_in() -> bool:
        stranger.look(refusals, complaints)
        return worker.send("l1", Again(5))

    wait_for(is_in, "being let in", 10)
    assert heard(port).message == Again(5)


def test_a_key_that_is_taken_off_the_list_is_out_at_once(farm: Farm):
    """Also on a connection that stands."""
    wire, port, statistics, log = farm.listen()
    worker = farm.wire("hlt-7").connect("l1")
    wait_for(lambda: worker.send("l1", Again(1)), "a connection", 10)
    assert heard(port).peer == "hlt-7"
    lines = (farm.keys / ALLOWED).read_text().splitlines()
    (farm.keys / ALLOWED).write_text("\n".join(line for line in lines if not line.startswith("hlt-7")) + "\n")
    wire.look(statistics, log)
    worker.send("l1", Again(2))
    with pytest.raises(WireError, match="hlt-7: its key 'hlt-7' was taken off the list"):
        wait_for(port.receive, "the message", 10)


def test_half_a_list_is_no_revocation(farm: Farm):
    """While the list cannot be read the one before stays in force, and that is said."""
    wire, _, statistics, log = farm.listen()
    (farm.keys / ALLOWED).write_text("hlt = ")
    wire.look(statistics, log)
    wire.look(statistics, log)
    assert len(log.lines) == 1
    assert "the list before stays in force" in log.lines[0]
    (farm.keys / ALLOWED).unlink()
    assert wire.keyring is not None
    assert wire.keyring.is_in_force("hlt")


def test_a_worker_cannot_take_the_name_of_another(farm: Farm):
    """The key says who one is: what is sent under another name is refused."""
    _, port, _, _ = farm.listen()
    impostor = farm.wire("hlt-7")
    impostor._name = "spool-0"
    pretended = impostor.connect("l1")
    wait_for(lambda: pretended.send("l1", Again()), "a connection", 10)
    with pytest.raises(WireError, match="spool-0: comes with the key of 'hlt-7'"):
        wait_for(port.receive, "the message", 10)


def test_who_has_no_key_or_expects_another_listener(farm: Farm, tmp_path: Path):
    """A client without CURVE, and one that expects another L1, get nothing in or out; both are counted."""
    wire, port, statistics, log = farm.listen()
    context: zmq.Context[Any] = zmq.Context()
    plain = context.socket(zmq.DEALER)
    plain.connect(farm.endpoint)
    plain.send(seal(Again(), KEY))
    make_keys(tmp_path / "others", ["l1"])
    others = tmp_path / "keys2"
    shutil.copytree(farm.keys, others)
    text = (others / ALLOWED).read_text()
    (others / ALLOWED).write_text(text.replace(read_allowed(others)["l1"], read_allowed(tmp_path / "others")["l1"]))
    deceived, complaints = farm.wire("hlt-0", others), Log()
    worker = deceived.connect("l1")

    def all_known() -> bool:
        wire.look(statistics, log)
        deceived.look(Statistics(), complaints)
        return statistics["refused"] >= 2 and bool(complaints.lines)

    wait_for(all_known, "the refusals", 20)
    assert any("handshake is not CURVE" in line for line in log.lines)
    assert not worker.send("l1", Again())
    assert port.receive() is None
    context.destroy(linger=0)


def test_a_listener_without_keys_stays_on_the_machine(tmp_path: Path):
    """Also when nobody checked the settings."""
    stream = StreamSettings.model_construct(endpoints={"l1": "tcp://10.255.255.1:5000"}, keys=None)
    wire = Wire(stream, "l1-0", lambda role: "ipc:///none", key=KEY, hwm=100)
    with pytest.raises(InputError, match="leaves this machine, and there are no keys"):
        wire.bind("l1")
    wire.close(linger_ms=0)


# ---- a whole run


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the directory of a run over ipc."""
    directory = tmp_path_factory.mktemp("ipc") / "run"
    toy.carry_through(directory, toy.toy_run(3000))
    return directory


def tcp_run(keys: Path | None) -> RunFile:
    """Return a run whose processes talk over the loopback."""
    endpoints = dict(zip(("source", "l1", "spool", "status"), free_ports(4), strict=True))
    addresses = {role: f"tcp://127.0.0.1:{port}" for role, port in endpoints.items()}
    return toy.toy_run(3000, endpoints=addresses, keys=None if keys is None else str(keys))  # type: ignore[arg-type]


@pytest.mark.parametrize("with_keys", [False, True], ids=["plain", "CURVE"])
def test_a_run_over_tcp(with_keys: bool, tmp_path: Path, reference: Path):
    """The same spool over tcp, with keys and without; a secret is in no file that the run leaves."""
    if with_keys:
        make_keys(tmp_path / "keys", NAMES)
    summary = toy.carry_through(tmp_path / "run", tcp_run(tmp_path / "keys" if with_keys else None))
    assert summary["reconciles"]
    assert summary["refused"] == summary["wire_errors"] == 0
    same_spool(tmp_path / "run", reference)
    left = [path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert len(left) > 5
    assert not any(secret in content for content in left for secret in secrets_in(tmp_path / "keys"))
