"""The wire is hostile: whatever comes, a receiver says `WireError` or takes a block that is what its number says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import zmq

from daq.errors import WireError
from daq.run_directory import RunFile
from daq.stream.ledger import Span
from daq.stream.statistics import Statistics
from daq.stream.wire import peers
from daq.stream.wire.codec import Block, Codec
from daq.stream.wire.contract import Contract, check_durable, run_key
from daq.stream.wire.frames import read_frame, write_frame
from daq.stream.wire.messages import Again, Grant, Hello, Lost, Mark, Parcel, read_message, seal
from daq.stream.wire.transport import Inlet, Outlet, Port
from tests.daq.stream import hostile, toy
from tests.daq.stream.test_run import same_spool

RUN = toy.toy_run(4 * 64)
PLAIN = Codec(run=RUN.settings.run, menu_hash=RUN.menu_hash)
SENT = hostile.good_blocks(RUN)
CORPUS = [(role, *each) for role, blocks in SENT.items() for each in hostile.corpus(PLAIN, blocks[1])]


def codec(sender: str) -> Codec:
    """Return the codec of whoever receives from a role, which has seen a good block."""
    receiver = Codec(run=RUN.settings.run, menu_hash=RUN.menu_hash, contract=Contract(RUN, sender=sender))
    receiver.decode(hostile.frames_of(PLAIN, SENT[sender][0]), peer=sender)
    return receiver


@pytest.mark.parametrize(("role", "name", "frames"), CORPUS, ids=[f"{role}: {name}" for role, name, _ in CORPUS])
def test_corpus(role: str, name: str, frames: list[bytes]):
    """Each is refused with the peer's name; a good block is taken after it as before."""
    receiver = codec(role)
    with pytest.raises(WireError, match=rf"^{role}: .{{4,400}}$"):
        receiver.decode(frames, peer=role)
    good = receiver.decode(hostile.frames_of(PLAIN, SENT[role][1]), peer=role)
    assert good.number == 1


@pytest.mark.parametrize(
    ("name", "frames"), list(hostile.messages(1, 1)), ids=[name for name, _ in hostile.messages(1, 1)]
)
def test_messages(name: str, frames: list[bytes]):
    """What is no message, or says what cannot be, is refused or changes nothing."""
    port = hostile.FakePort("l1-0")
    outlet = Outlet(port, PLAIN, Statistics())  # type: ignore[arg-type]
    outlet.put(SENT["source"][0])
    port.inbox.append(frames)
    try:
        assert list(outlet.receive()) == []
    except WireError as error:
        assert str(error).startswith("l1-0: ")
    assert outlet.flush() == [] or name == "more finished than sent"
    inlet_port = hostile.FakePort("source")
    inlet = Inlet(inlet_port, codec("source"), Statistics(), slots=4)  # type: ignore[arg-type]
    inlet.announce()
    inlet_port.inbox.append(frames)
    try:
        assert inlet.receive() is None
    except WireError as error:
        assert str(error).startswith("source: ")
    assert inlet_port.last_grant.finished == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_fifty_thousand_mutants(seed: int):
    """No mutant breaks a rule; enough of them get as far as the rules that come after the checksum."""
    said = hostile.try_mutants(50_000, seed)
    assert said["WireError"] > 40_000
    assert said["let through"] > 100  # a copy, or the schema left out: the block itself is whole
    assert said["signed, let through"] > 1000


def test_the_judge_has_teeth(monkeypatch: pytest.MonkeyPatch):
    """With any of the checks taken away the mutants break a rule."""
    monkeypatch.setattr(Contract, "__call__", lambda self, block: None)
    with pytest.raises(hostile.Broken, match=r"seed 1, mutant .*: block .* has events that are not its own"):
        hostile.try_mutants(50_000, 1)
    monkeypatch.undo()
    monkeypatch.setattr("daq.stream.wire.codec._checksum", lambda header, body: bytes(8))
    monkeypatch.setattr("tests.daq.stream.hostile._checksum", lambda header, body: bytes(8))
    with pytest.raises(hostile.Broken, match="is not the one that was sent"):
        hostile.try_mutants(50_000, 1)


# ---- peers


@pytest.mark.parametrize(
    "identity",
    [b"", b"\xff\xfe", b"../hlt-0", b"hlt-0\0", b"hlt-0\n", b"hlt-10000", b"HLT-0", "hlt-\u0663".encode(), b"x" * 255],
)
def test_names_that_nobody_has(identity: bytes):
    """A name is a role and a slot; everything else is nobody."""
    assert peers.name_of(identity) is None
    assert peers.name_of(b"hlt-0") == "hlt-0"


def test_nobody_says_what_is_not_for_him_to_say():
    """A worker can't make the source forget blocks, nor stop it."""
    for peer, message in (("hlt-0", b"durable"), ("l1-0", b"conduct"), ("source", b"grant"), ("spool-0", b"parcel")):
        fields = {"type": message.decode(), "session": 1, "epoch": 1, "serial": 1, "finished": 0, "slots": 1}
        with pytest.raises(WireError, match=peer):
            read_message(peer, [hostile.sealed(msgspec.msgpack.encode({**fields, "spans": []}))], hostile.KEY)


def test_a_peer_that_only_errs_is_barred_for_a_while():
    """After so many errors in a row a peer is not heard; one good block between them clears its name."""
    now = 0.0
    standing = peers.Standing(clock=lambda: now)
    for _ in range(3 * peers.MOST_ERRORS):
        standing.blame("hlt-0")
        standing.praise("hlt-0")
    assert not standing.is_barred("hlt-0")
    for _ in range(peers.MOST_ERRORS):
        standing.blame("hlt-0")
    assert standing.is_barred("hlt-0")
    assert not standing.is_barred("hlt-1")
    now = peers.BARRED_S
    assert not standing.is_barred("hlt-0")
    standing.blame("hlt-0", foreign=True)  # of another run: one is enough
    assert standing.is_barred("hlt-0")


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[tuple[Port, Any]]:
    """Return a bound port and a function that connects a socket with an identity."""
    context: zmq.Context[Any] = zmq.Context()
    endpoint = f"ipc://{tmp_path}/here"
    sockets = []

    def connect(identity: bytes) -> zmq.Socket[bytes]:
        socket = context.socket(zmq.DEALER)
        socket.setsockopt(zmq.IDENTITY, identity)
        socket.connect(endpoint)
        sockets.append(socket)
        return socket

    port = Port.bind(context, endpoint, key=hostile.KEY, hwm=5000)
    yield port, connect
    for socket in (port.socket, *sockets):
        socket.close(linger=0)
    context.term()


def test_a_barred_peer_is_dropped_unread_and_counted(wire: tuple[Port, Any]):
    """A flood of noise costs sixteen errors; the rest is counted as refused, and nothing is granted."""
    port, connect = wire
    statistics = Statistics()
    inlet = Inlet(port, codec("hlt"), statistics, slots=2)
    flooder = connect(b"hlt-7")
    errors = 0
    for _ in range(200):
        flooder.send(b"noise")
    while errors + statistics["refused"] < 200:
        port.socket.poll(1000)
        try:
            assert inlet.receive() is None
        except WireError:
            errors += 1
    assert errors == peers.MOST_ERRORS
    inlet.announce()
    assert not flooder.poll(50)


def test_a_thousand_names_and_more(wire: tuple[Port, Any]):
    """Hellos under ever new names: those that can't be are refused, and the table of the others is bounded."""
    port, connect = wire
    inlet = Inlet(port, codec("hlt"), Statistics(), slots=2)
    names = [f"hlt-{n}" for n in range(0, 1000, 50)] + [f"worker-{n}" for n in range(40)]
    for name in names:
        connect(name.encode()).send(seal(Hello(), hostile.KEY))
    errors = 0
    while errors < 40 or len(inlet._senders) < 20:
        assert port.socket.poll(5000)
        try:
            inlet.receive()
        except WireError:
            errors += 1
    assert sorted(inlet._senders) == sorted(names[:20])


@pytest.mark.parametrize(
    "spans",
    [
        [(0, 3, None)], [(1, 4, None)], [(0, 8, None)], [(2, 2, None)], [(4, 0, None)], [(-4, 4, None)],
        [(0, 2**62, [1])], [(2**40, 2**40 + 2, None)], [(2, 4, None), (0, 2, None)], [(0, 4, None), (2, 4, None)],
    ],
)  # fmt: skip
def test_what_cannot_be_durable(spans: list[Any]):
    """The source forgets a block only for whole parts of its own run, however the spool came to say otherwise."""
    run = toy.toy_run(4 * 64, blocks_per_part=2)
    check_durable(run, [Span(0, 2, [7]), Span(2, 4, None)])
    check_durable(run, [Span(0, 4, [7])])
    with pytest.raises(ValueError, match=r"durable blocks .* (not in the run|not whole parts)"):
        check_durable(run, [Span(*span) for span in spans])


# ---- what gets lost becomes known


def pair(slots: int = 4) -> tuple[Outlet, Inlet, hostile.FakePort, hostile.FakePort]:
    """Return a sender and a receiver with nothing between them: the test carries their messages."""
    down, up = hostile.FakePort("l1-0"), hostile.FakePort("source")
    outlet = Outlet(down, PLAIN, Statistics())  # type: ignore[arg-type]
    inlet = Inlet(up, codec("source"), Statistics(), slots=slots)  # type: ignore[arg-type]
    return outlet, inlet, down, up


def carry(source: hostile.FakePort, to: hostile.FakePort, lose: Any = lambda message: False) -> None:
    """Carry all messages from one port to the other, but for those that get lost."""
    while source.said:
        _, message, frames = source.said.popleft()
        if not lose(message):
            to.inbox.append([seal(message, hostile.KEY), *(bytes(frame) for frame in frames)])


def received(inlet: Inlet) -> list[int]:
    """Take in and finish all blocks that are there."""
    numbers = []
    while (block := inlet.receive()) is not None:
        numbers.append(block.number)
        inlet.finish()
    return numbers


@pytest.mark.parametrize("lost", [{1}, {2, 3}, {4}, {1, 2, 3, 4}])
def test_lost_parcels_are_asked_for_and_their_slots_come_back(lost: set[int]):
    """Whichever parcels a broken connection swallows, also the last ones: the sender learns which, and can go on."""
    outlet, inlet, down, up = pair()
    for block in SENT["source"]:
        outlet.put(block)
    inlet.announce()
    carry(up, down)
    assert list(outlet.receive()) == []
    assert outlet.flush() == [0, 1, 2, 3]
    carry(down, up, lose=lambda message: isinstance(message, Parcel) and message.serial in lost)
    assert received(inlet) == [n for n in range(4) if n + 1 not in lost]
    again: list[Any] = []
    for _ in range(3):  # heartbeats: grants without progress, answered by a mark
        inlet.announce()
        carry(up, down)
        again += [delivery.message for delivery in outlet.receive()]
        carry(down, up)
        assert received(inlet) == []
    assert again == [Again(serial - 1) for serial in sorted(lost)]
    for serial in sorted(lost):
        outlet.put(SENT["source"][serial - 1])
    assert outlet.flush() == [serial - 1 for serial in sorted(lost)]
    carry(down, up)
    assert received(inlet) == [serial - 1 for serial in sorted(lost)]


def test_a_parcel_that_comes_twice_is_dropped():
    """A replayed frame, or one that was given up as lost: counted as a stray, not done twice."""
    outlet, inlet, down, up = pair()
    outlet.put(SENT["source"][0])
    inlet.announce()
    carry(up, down)
    assert list(outlet.receive()) == []
    outlet.flush()
    copies = list(down.said)
    carry(down, up)
    assert received(inlet) == [0]
    down.said.extend(copies)
    carry(down, up)
    assert received(inlet) == []
    assert inlet._statistics["strays"] == 1


def test_damage_is_asked_for_by_number_even_if_the_number_cannot_be_read():
    """The sender knows which block it sent with a serial: a damaged header does not make all blocks come again."""
    outlet, inlet, down, up = pair()
    for block in SENT["source"][:2]:
        outlet.put(block)
    inlet.announce()
    carry(up, down)
    assert list(outlet.receive()) == []
    outlet.flush()
    carry(down, up)
    up.inbox[1][1] = bytes(len(up.inbox[1][1]))
    assert inlet.receive() is not None
    inlet.finish()
    with pytest.raises(WireError, match="magic"):
        inlet.receive()
    carry(up, down)
    assert [delivery.message for delivery in outlet.receive()] == [Again(1)]


def test_grants_cannot_be_forged_beyond_what_was_sent():
    """A receiver that says that it has finished more than it got is believed only as far as that."""
    outlet, _, down, _ = pair()
    for block in SENT["source"]:
        outlet.put(block)
    down.inbox.append([seal(Grant(5, outlet._epoch, 2**63 - 1, 1), hostile.KEY)])
    assert list(outlet.receive()) == []
    assert outlet.flush() == [0]
    assert outlet.flush() == []


def test_a_flipped_serial_cannot_shut_a_sender_out():
    """A serial from the future is refused; the next good parcel is taken."""
    outlet, inlet, down, up = pair()
    outlet.put(SENT["source"][0])
    inlet.announce()
    carry(up, down)
    assert list(outlet.receive()) == []
    outlet.flush()
    up.inbox.append([seal(Mark(up.last_grant.session, outlet._epoch, 2**40), hostile.KEY)])
    with pytest.raises(WireError, match="serial 1099511627776, 4 were granted"):
        inlet.receive()
    up.inbox.append([seal(Lost(1, 0, 2**63 - 1), hostile.KEY)])
    with pytest.raises(WireError, match="source: says 'lost'"):
        inlet.receive()
    carry(down, up)
    assert received(inlet) == [0]


# ---- status frames


STATISTICS = Statistics().snapshot()


def frame(**facts: Any) -> bytes:
    """Return a status frame that would be good but for these facts."""
    good = {"role": "hlt", "slot": 0, "pid": 1, "statistics": STATISTICS} | facts
    return write_frame({name: fact for name, fact in good.items() if fact is not ...})


@pytest.mark.parametrize(
    "frame",
    [
        b"", b"\xc1", b"\x91" * 90_000 + b"\x90", msgspec.msgpack.encode([1]), b"x" * 100_000,
        frame(role=...), frame(slot="0"), frame(role=["hlt"]), frame(pid=None), frame(role="../x"), frame(slot=True),
        frame(statistics=3), frame(statistics=...), frame(statistics={**STATISTICS, "blocks_in": "3"}),
        frame(statistics={}), frame(finished="yes"), frame(x=b"bytes"), frame(x=float("nan")), frame(x={7: 8}),
        frame(trouble=["no"]), frame(x=[[[[[[[[]]]]]]]]),
    ],
)  # fmt: skip
def test_status_frames_that_are_none(frame: bytes):
    """A damaged frame is an error, not the end of whoever reads it."""
    with pytest.raises(WireError, match="status frame"):
        read_frame(frame)


# ---- a live run under attack


class Attacker:
    """Sends the corpus, mutants and noise to every socket of a run, under all names; give it as ``on_status``."""

    def __init__(self, run: RunFile, rounds: int):
        self.run, self.rounds, self.sent = run, rounds, 0
        self._thread: threading.Thread | None = None

    def __call__(self, status: dict[str, Any]) -> None:
        endpoints = {entry["role"]: entry.get("endpoint") for entry in status["processes"]}
        if (
            self._thread is None
            and status["blocks_done"] >= 8
            and all(endpoints.get(r) for r in ("source", "l1", "spool"))
        ):
            self._thread = threading.Thread(target=self._attack, args=(endpoints,))
            self._thread.start()

    def _attack(self, endpoints: dict[str, str]) -> None:
        context: zmq.Context[Any] = zmq.Context()
        rng = np.random.default_rng(11)
        sockets = []
        for role, own in (
            ("source", "l1-9"),
            ("l1", "hlt-9"),
            ("spool", "hlt-9"),
            ("spool", "hlt-0"),
            ("l1", "\xff\x00"),
        ):
            socket = context.socket(zmq.DEALER)
            socket.setsockopt(zmq.IDENTITY, own.encode("latin-1"))
            socket.setsockopt(zmq.SNDTIMEO, 1000)
            socket.connect(endpoints[role])
            sockets.append(socket)
        status = context.socket(zmq.PUB)
        status.connect(endpoints["source"].replace("source", "status"))
        frames = [each for _, _, each in CORPUS]
        key = run_key(self.run)  # no secret: it tells runs apart, not friend from foe
        parcels = [seal(each, key) for each in (Parcel(1, 1, 1), Hello(), Mark(1, 1, 9), Again(7), Lost(1, 1, 9))]
        parcels += [sent[0] for _, sent in hostile.messages(1, 1) if sent]
        try:
            for _ in range(self.rounds):
                block = hostile.mutate(rng, frames[int(rng.integers(len(frames)))] or [b""], frames[5:6])
                message = [parcels[int(rng.integers(len(parcels)))], *(part for part in block if len(part) < 100_000)]
                for socket in sockets:
                    socket.send_multipart(message)
                    self.sent += 1
                status.send(rng.bytes(40))
        except zmq.Again:
            pass  # the run has ended
        for socket in (*sockets, status):
            socket.close(linger=0)
        context.term()

    def join(self) -> None:
        """Wait until the attack is over."""
        assert self._thread is not None
        self._thread.join()


def test_a_live_run_under_attack(tmp_path: Path):
    """Thousands of hostile messages to every socket of a run, some under the name of its worker: the same spool."""
    run = toy.toy_run(6000, lease_s=2.0)
    toy.carry_through(tmp_path / "reference", run)
    attacker = Attacker(run, rounds=200)
    summary = toy.carry_through(tmp_path / "run", run, on_status=attacker)
    attacker.join()
    assert attacker.sent > 500
    assert summary["wire_errors"] > 20
    assert summary["refused"] > 20
    assert summary["reconciles"]
    assert summary["restarts"] == 0
    same_spool(tmp_path / "run", tmp_path / "reference")


def test_block_is_a_block(tmp_path: Path):
    """The corpus is hostile and not just broken: what it is made from is taken."""
    for role, blocks in SENT.items():
        taken = [codec(role).decode(hostile.frames_of(PLAIN, block), peer=role) for block in blocks]
        assert [type(block) for block in taken] == [Block] * 4
