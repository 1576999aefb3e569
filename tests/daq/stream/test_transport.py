"""Grants bound what is under way, whoever is restarted; damaged messages are counted, not fatal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from daq.errors import WireError
from daq.event import EventBatch
from daq.stream.statistics import Statistics
from daq.stream.wire.codec import Block, Codec
from daq.stream.wire.messages import Again, Grant, Parcel, seal
from daq.stream.wire.transport import Inlet, Outlet, Port

KEY = 7


class Bench:
    """Sockets that are closed at the end, and patience with those that connect in the background."""

    def __init__(self, directory: Path):
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.endpoint = f"ipc://{directory}/here"
        self.ports: list[Port] = []

    def bind(self) -> Port:
        """Return a listening port."""
        self.ports.append(Port.bind(self.context, self.endpoint, key=KEY, hwm=100))
        return self.ports[-1]

    def connect(self, name: str, peer: str) -> Port:
        """Return a port that is connected."""
        self.ports.append(Port.connect(self.context, self.endpoint, name=name, peer=peer, key=KEY, hwm=100))
        assert self.ports[-1].socket.poll(5000, zmq.POLLOUT)
        return self.ports[-1]

    def close(self) -> None:
        """Close all sockets."""
        for port in self.ports:
            port.socket.close(linger=0)
        self.context.term()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Return a bench that is cleaned up."""
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def block(number: int) -> Block:
    """Return an empty block."""
    return Block(number, number, 1, EventBatch(0, {}))


def codec() -> Codec:
    """Return a codec that knows nothing yet."""
    return Codec(run=1, menu_hash=2)


def outlet_of(port: Port, numbers: range) -> Outlet:
    """Return a sender with blocks to be sent."""
    outlet = Outlet(port, codec(), Statistics())
    for number in numbers:
        outlet.put(block(number))
    return outlet


def hear(outlet: Outlet) -> list[object]:
    """Wait for something to come to a sender and take it in; return what is no grant."""
    assert outlet.port.socket.poll(5000)
    return [delivery.message for delivery in outlet.receive()]


def take(inlet: Inlet, n: int) -> list[int]:
    """Wait for ``n`` blocks and return their numbers; they are not finished."""
    numbers = []
    for _ in range(n):
        assert inlet.port.socket.poll(5000)
        received = inlet.receive()
        assert received is not None
        numbers.append(received.number)
    return numbers


def test_no_more_is_sent_than_granted(bench: Bench):
    """Blocks wait at the sender until the receiver has announced slots, and again when they are used up."""
    outlet = outlet_of(bench.bind(), range(5))
    inlet = Inlet(bench.connect("l1-0", "source"), codec(), Statistics(), slots=2)
    assert outlet.flush() == []
    inlet.announce()
    hear(outlet)
    assert outlet.flush() == [0, 1]
    assert outlet.flush() == []
    assert take(inlet, 1) == [0]
    inlet.finish()
    hear(outlet)
    assert outlet.flush() == [2]
    for _ in range(3):  # grants that come again and again grant nothing new
        inlet.announce()
        hear(outlet)
    assert outlet.flush() == []


def test_a_new_receiver_starts_at_zero_and_the_loss_is_known(bench: Bench):
    """A receiver that is replaced under its name gets its own slots; what went to the old one is asked for again."""
    outlet = outlet_of(bench.bind(), range(4))
    first = Inlet(bench.connect("l1-0", "source"), codec(), Statistics(), slots=2)
    first.announce()
    assert hear(outlet) == []
    assert outlet.flush() == [0, 1]
    first.port.socket.close(linger=0)
    second = Inlet(bench.connect("l1-0", "source"), codec(), Statistics(), slots=2)
    second.announce()
    assert hear(outlet) == [Again()]
    assert outlet.flush() == [2, 3]
    assert take(second, 2) == [2, 3]


def test_a_new_sender_starts_at_zero(bench: Bench):
    """What the receiver finished for the predecessor of a sender is no credit with the successor."""
    listening = bench.bind()
    inlet = Inlet(bench.connect("l1-0", "source"), codec(), Statistics(), slots=2)
    for numbers in (range(3), range(10, 13)):
        outlet = outlet_of(listening, numbers)
        inlet.announce()
        hear(outlet)
        assert outlet.flush() == list(numbers[:2])
        assert take(inlet, 2) == list(numbers[:2])
        inlet.finish()
        hear(outlet)


def test_what_was_meant_for_the_predecessor_is_dropped(bench: Bench):
    """A block that was addressed to another session is counted and gone: its owner sends it again."""
    sender, statistics = bench.bind(), Statistics()
    inlet = Inlet(bench.connect("l1-0", "source"), codec(), statistics, slots=2)
    inlet.announce()
    assert sender.socket.poll(5000)
    grant = sender.receive()
    assert grant is not None
    assert isinstance(grant.message, Grant)
    encoded = codec().encode(block(0))
    sender.send("l1-0", Parcel(grant.message.session + 1, 1, 1), *encoded.frames, encoded.schema)
    sender.send("l1-0", Parcel(grant.message.session, 1, 1), *encoded.frames, encoded.schema)
    assert inlet.port.socket.poll(5000)
    received = None
    while received is None:
        received = inlet.receive()
    assert received.number == 0
    assert statistics["strays"] == 1
    assert statistics["blocks_in"] == 1


def test_connected_sender_and_bound_receiver(bench: Bench):
    """It makes no difference which end binds: several senders to one receiver, each with grants of its own."""
    inlet = Inlet(bench.bind(), codec(), Statistics(), slots=1)
    outlets = [outlet_of(bench.connect(f"hlt-{slot}", "spool"), range(10 * slot, 10 * slot + 2)) for slot in (0, 1)]
    for slot, outlet in enumerate(outlets):
        outlet.hello()
        assert inlet.port.socket.poll(5000)
        assert inlet.receive() is None
        hear(outlet)
        assert outlet.flush() == [10 * slot]
        assert take(inlet, 1) == [10 * slot]


def test_damage_is_asked_for_again_with_the_schema(bench: Bench):
    """A block without its schema is asked for by number, and then comes with it; its slot is free again."""
    outlet = outlet_of(bench.bind(), range(2))
    forgetful = codec()
    inlet = Inlet(bench.connect("l1-0", "source"), forgetful, Statistics(), slots=1)
    inlet.announce()
    hear(outlet)
    assert outlet.flush() == [0]
    assert take(inlet, 1) == [0]
    inlet.finish()
    hear(outlet)
    forgetful._schemas.clear()
    assert outlet.flush() == [1]
    assert inlet.port.socket.poll(5000)
    with pytest.raises(WireError, match="source: block 1: unknown schema"):
        inlet.receive()
    messages: list[object] = []
    while not messages:
        messages = hear(outlet)
    assert messages == [Again(1)]
    outlet.put(block(1))
    assert outlet.flush() == [1]
    assert take(inlet, 1) == [1]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"noise"],
        [b"long enough for a checksum"],
        [msgspec.msgpack.encode(Again())],  # not sealed
        [seal(Again(), KEY + 1)],  # of another run
        [seal(Again("x"), KEY)],  # type: ignore[arg-type]
        [seal({"type": "nothing"}, KEY)],  # type: ignore[arg-type]
    ],
)
def test_messages_that_are_none_of_ours(bench: Bench, frames: list[bytes]):
    """Noise is a WireError that names the peer; the port goes on."""
    port = bench.bind()
    stranger = bench.connect("stranger", "source")
    stranger.socket.send_multipart(frames or [b""])
    assert port.socket.poll(5000)
    with pytest.raises(WireError, match="stranger"):
        port.receive()
    assert port.receive() is None


def test_nobody_there(bench: Bench):
    """Sending to a peer that is not there is refused, never a silent loss."""
    assert not bench.bind().send("nobody", Again())
