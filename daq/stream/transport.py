"""How blocks and control messages pass between processes: ROUTER/DEALER sockets with grants.

Blocks flow down through an `Outlet` into an `Inlet`; which of the two binds does not matter. The inlet *grants*: it
announces its session, the epoch of the sender that it has seen, how many blocks of that epoch it has finished, and how
many it will hold at a time (slots). It does so on every change and as a heartbeat. The outlet may send to a session
while ``sent - finished < slots``. A grant says how things are, not what changed: one that is lost, late or doubled
does no harm. A restarted receiver has a new session, a restarted sender a new epoch; both begin at zero without a
handshake. A block that was addressed to another session is dropped.

So no queue grows beyond its grants. Nothing here retries: a sender that sees a new session of a receiver knows that
what it had sent to the old one may be lost, and says `Again` up the stream, to the source that owns all blocks.
"""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec
import xxhash
import zmq

from daq.errors import WireError
from daq.stream.codec import MAX_BODY_BYTES, Block, Codec
from daq.stream.ledger import Span
from daq.stream.statistics import Statistics

HEARTBEAT_S = 0.2
_RECONNECT_MS = 10
_LINGER_MS = 200


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """Sender to a bound receiver: I am here, grant me something."""


class Grant(msgspec.Struct, tag="grant", frozen=True):
    """Receiver to sender: how many blocks I may be sent."""

    session: int
    epoch: int
    finished: int
    slots: int


class Parcel(msgspec.Struct, tag="parcel", frozen=True):
    """Sender to receiver: the frames of a block follow."""

    session: int
    epoch: int


class Again(msgspec.Struct, tag="again", frozen=True):
    """Towards the source: send this block, or all that are not done, once more, with the schema."""

    block: int | None = None


class Durable(msgspec.Struct, tag="durable", frozen=True):
    """Spool to source: all that is on disk."""

    spans: list[Span]


class Conduct(msgspec.Struct, tag="conduct", frozen=True):
    """Whoever conducts the run to the source: how things shall be. A source that has heard nothing makes no block."""

    paused: bool = False
    stopping: bool = False
    """Make no more blocks than it takes to complete the part at hand; not taken back."""


Message = Hello | Grant | Parcel | Again | Durable | Conduct
_decoder = msgspec.msgpack.Decoder(Message)
_DIGEST = struct.Struct("<Q")


def seal(message: Message, key: int) -> bytes:
    """Return a message as one frame: msgpack, then its xxh3-64 with the key of the run as seed."""
    payload = msgspec.msgpack.encode(message)
    return payload + _DIGEST.pack(xxhash.xxh3_64_intdigest(payload, seed=key))


def unseal(frame: Any, key: int) -> Message:
    """Return the message of a frame; raise `ValueError` or `MsgspecError` if it is damaged or of another run."""
    payload, digest = frame[: -_DIGEST.size], frame[-_DIGEST.size :]
    if len(digest) < _DIGEST.size or _DIGEST.unpack(digest)[0] != xxhash.xxh3_64_intdigest(payload, seed=key):
        raise ValueError("checksum differs, or it is of another run")
    message: Message = _decoder.decode(payload)
    return message


class Delivery(NamedTuple):
    """A message with who sent it, and the frames that came with it."""

    peer: str
    message: Message
    frames: list[Any]


class Port:
    """One ROUTER (bound) or DEALER (connected) socket; peers go by name, sending and receiving never block."""

    def __init__(self, socket: zmq.Socket[bytes], peer: str | None, key: int):
        self.socket = socket
        self.peer = peer  # the only peer of a DEALER
        self._key = key  # of the run: messages of another one do not check out

    @classmethod
    def bind(cls, context: zmq.Context[Any], endpoint: str, *, key: int, hwm: int) -> Port:
        """Listen for peers; a peer that comes back replaces its predecessor of the same name."""
        socket = _socket(context, zmq.ROUTER, hwm)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an unreachable peer is an error, never a silent loss
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.bind(endpoint)
        return cls(socket, None, key)

    @classmethod
    def connect(cls, context: zmq.Context[Any], endpoint: str, *, name: str, peer: str, key: int, hwm: int) -> Port:
        """Connect, and again whenever the peer comes back; nothing is queued for a peer that is not there."""
        socket = _socket(context, zmq.DEALER, hwm)
        socket.setsockopt(zmq.IDENTITY, name.encode())
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        socket.connect(endpoint)
        return cls(socket, peer, key)

    def send(self, peer: str, message: Message, *frames: Any) -> bool:
        """Send, or return False if the peer is not there or its queue is full."""
        parts = [seal(message, self._key), *frames]
        if self.peer is None:
            parts.insert(0, peer.encode())
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                return False
            raise
        return True

    def receive(self) -> Delivery | None:
        """Return the next message, None if there is none; raise `WireError` if it is not one of ours."""
        try:
            frames = [frame.buffer for frame in self.socket.recv_multipart(zmq.NOBLOCK, copy=False)]
        except zmq.Again:
            return None
        peer = self.peer or bytes(frames.pop(0)).decode(errors="replace")
        if not frames:
            raise WireError(f"{peer}: empty message")
        try:
            return Delivery(peer, unseal(frames[0], self._key), frames[1:])
        except (ValueError, msgspec.MsgspecError) as error:
            raise WireError(f"{peer}: message: {error}") from None


def _socket(context: zmq.Context[Any], kind: int, hwm: int) -> zmq.Socket[bytes]:
    socket: zmq.Socket[bytes] = context.socket(kind)
    socket.setsockopt(zmq.SNDHWM, hwm)
    socket.setsockopt(zmq.RCVHWM, hwm)
    socket.setsockopt(zmq.LINGER, _LINGER_MS)
    socket.setsockopt(zmq.MAXMSGSIZE, MAX_BODY_BYTES)
    return socket


@dataclass(slots=True)
class _Receiver:
    """What an outlet knows of one receiver."""

    session: int
    sent: int = 0
    finished: int = 0
    slots: int = 0
    schemas: set[int] = field(default_factory=set)

    @property
    def free(self) -> int:
        return self.slots - (self.sent - self.finished)


class Outlet:
    """The sending end: holds blocks until a receiver has a slot, then sends the oldest to the one with most slots.

    ``at_departure`` has the last word on each block: what it adds is true when the block leaves, not when it was put.
    """

    def __init__(
        self, port: Port, codec: Codec, statistics: Statistics, at_departure: Callable[[Block], Block] = lambda b: b
    ):
        self.port, self._at_departure = port, at_departure
        self.pending: dict[int, Block] = {}
        self._codec, self._statistics = codec, statistics
        self._epoch = secrets.randbits(63)
        self._receivers: dict[str, _Receiver] = {}

    def put(self, block: Block) -> None:
        """Take a block to be sent; an older copy of it that still waits is replaced."""
        self.pending[block.number] = block

    def drop(self, number: int) -> None:
        """Forget a block that need not be sent any more."""
        self.pending.pop(number, None)

    def flush(self) -> list[int]:
        """Send as many blocks as there are slots; return their numbers."""
        sent = []
        while self.pending and (peer := self._freest()) is not None:
            number, block = next(iter(self.pending.items()))
            if self._send(peer, block):
                del self.pending[number]
                sent.append(number)
        return sent

    @property
    def credits(self) -> int:
        """Return how many blocks could be sent now."""
        return sum(max(0, receiver.free) for receiver in self._receivers.values())

    def _freest(self) -> str | None:
        """Return the receiver with most free slots, None if no one has any."""
        peer = max(self._receivers, key=lambda name: self._receivers[name].free, default=None)
        return peer if peer is not None and self._receivers[peer].free > 0 else None

    def _send(self, peer: str, block: Block) -> bool:
        receiver = self._receivers[peer]
        encoded = self._codec.encode(self._at_departure(block))
        schema = () if encoded.schema_hash in receiver.schemas else (encoded.schema,)
        if not self.port.send(peer, Parcel(receiver.session, self._epoch), *encoded.frames, *schema):
            receiver.slots = 0  # it is gone, or clogged: its next grant tells
            return False
        receiver.sent += 1
        receiver.schemas.add(encoded.schema_hash)
        self._statistics["blocks_out"] += 1
        self._statistics["events_out"] += len(block.events)
        self._statistics["bytes_out"] += encoded.size
        return True

    def receive(self) -> Iterator[Delivery]:
        """Take in all grants that have come; yield the other messages, and `Again` for a receiver that was replaced.

        Raises
        ------
        WireError
            If a message is not one of ours; call again to go on with the next.
        """
        while (delivery := self.port.receive()) is not None:
            peer, message, _ = delivery
            known = self._receivers.get(peer)
            if isinstance(message, Grant):
                self._take(peer, message)
                if known is not None and known.session != message.session:
                    yield Delivery(peer, Again(), [])
                continue
            if isinstance(message, Again) and known is not None:
                known.schemas.clear()
            yield delivery

    def _take(self, peer: str, grant: Grant) -> None:
        receiver = self._receivers.get(peer)
        if receiver is None or receiver.session != grant.session:
            receiver = self._receivers[peer] = _Receiver(grant.session)
        # Blocks of another epoch are those of our predecessor: this receiver has seen none of ours yet.
        receiver.finished = grant.finished if grant.epoch == self._epoch else 0
        receiver.slots = grant.slots

    def hello(self) -> None:
        """Make a bound receiver aware of this sender; a bound sender need not, receivers come to it."""
        if self.port.peer is not None:
            self.port.send(self.port.peer, Hello())


@dataclass(slots=True)
class _Sender:
    """What an inlet knows of one sender."""

    epoch: int = 0
    finished: int = 0


class Inlet:
    """The receiving end: grants slots, checks what comes in, asks again for what does not check out."""

    def __init__(self, port: Port, codec: Codec, statistics: Statistics, *, slots: int):
        self.port = port
        self._codec, self._statistics, self._slots = codec, statistics, slots
        self._session = secrets.randbits(63)
        self._senders: dict[str, _Sender] = {} if port.peer is None else {port.peer: _Sender()}
        self._current = ""

    def receive(self) -> Block | None:
        """Return the next block, None if there is none; call `finish` before the next one.

        Raises
        ------
        WireError
            If what came does not check out; a block has been asked for again by then.
        """
        while (delivery := self.port.receive()) is not None:
            peer, message, frames = delivery
            sender = self._senders.setdefault(peer, _Sender())
            if isinstance(message, Hello):
                self._announce(peer)
            elif not isinstance(message, Parcel):
                raise WireError(f"{peer}: sends {type(message).__name__}, must send blocks")
            elif message.session != self._session:
                self._statistics["strays"] += 1  # meant for our predecessor; its owner sends it again
            else:
                if sender.epoch != message.epoch:
                    sender.epoch, sender.finished = message.epoch, 0
                self._current = peer
                return self._open(peer, frames)
        return None

    def _open(self, peer: str, frames: list[Any]) -> Block:
        try:
            block = self._codec.decode(frames, peer=peer)
        except WireError as error:
            self.finish()
            self.port.send(peer, Again(error.block))
            raise
        self._statistics["blocks_in"] += 1
        self._statistics["events_in"] += len(block.events)
        self._statistics["bytes_in"] += sum(len(frame) for frame in frames)
        return block

    def finish(self) -> None:
        """Give back the slot of the block received last."""
        self._senders[self._current].finished += 1
        self._announce(self._current)

    def announce(self) -> None:
        """Repeat the grants to all senders."""
        for peer in self._senders:
            self._announce(peer)

    def _announce(self, peer: str) -> None:
        sender = self._senders[peer]
        self.port.send(peer, Grant(self._session, sender.epoch, sender.finished, self._slots))

    def ask_again(self, block: int | None) -> None:
        """Pass on, up the stream, that a block is needed once more."""
        for peer in self._senders:
            self.port.send(peer, Again(block))
