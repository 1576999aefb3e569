"""How blocks and control messages pass between processes: ROUTER/DEALER sockets with grants.

Blocks flow down through an `Outlet` into an `Inlet`; which of the two binds does not matter. The inlet *grants*: it
announces its session, the epoch of the sender that it has seen, up to which block of that epoch it has finished, and
how many it will hold at a time (slots). It does so on every change and as a heartbeat. The outlet may send to a session
while ``sent - finished < slots``. A grant says how things are, not what changed: one that is lost, late or doubled
does no harm. A restarted receiver has a new session, a restarted sender a new epoch; both begin at zero without a
handshake. A block that was addressed to another session is dropped.

So no queue grows beyond its grants. Nothing here retries, but every loss becomes known. The outlet numbers what it
sends to a session; a connection keeps the order, so the inlet sees a gap when one broke, and says what is `Lost`. That
nothing came after the gap shows too: the outlet answers a grant without progress with a `Mark`, the number that it
sent last. A receiver with a new session has lost all that was sent to the old one, and one that cannot be reached any
more all that it has not finished. Each loss becomes an `Again` up the stream, to the source that owns all blocks.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import zmq

from daq.errors import WireError
from daq.stream.statistics import Statistics
from daq.stream.wire.codec import MAX_BODY_BYTES, Block, Codec
from daq.stream.wire.keys import Keyring, belongs_to
from daq.stream.wire.messages import (
    Again,
    Delivery,
    End,
    Ended,
    Grant,
    Hello,
    Lost,
    Mark,
    Message,
    Parcel,
    read_message,
    seal,
)
from daq.stream.wire.peers import Standing, name_of

HEARTBEAT_S = 0.2
_RECONNECT_MS = 10
_LINGER_MS = 200
_PROBE_S = 1.0  # how long a receiver that holds blocks may be silent before it is seen to whether it is there
_MOST_AT_ONCE = 1000  # messages that are taken in before the process looks at something else


Prepare = Callable[[zmq.Socket[bytes]], None]
"""Sets what else a socket needs before it is bound or connected."""


class Port:
    """One ROUTER (bound) or DEALER (connected) socket; peers go by name, sending and receiving never block."""

    def __init__(self, socket: zmq.Socket[bytes], peer: str | None, key: int, keyring: Keyring | None = None):
        self.socket = socket
        self._keyring = keyring  # of a bound socket with CURVE: each message must come with a key that fits its peer
        self.peer = peer  # the only peer of a DEALER
        self._key = key  # of the run: messages of another one do not check out
        self.standing = Standing()
        self.refused = 0  # messages dropped unread

    @classmethod
    def bind(
        cls,
        context: zmq.Context[Any],
        endpoint: str,
        *,
        key: int,
        hwm: int,
        prepare: Prepare = lambda socket: None,
        keyring: Keyring | None = None,
    ) -> Port:
        """Listen for peers; a peer that comes back replaces its predecessor of the same name."""
        socket = _socket(context, zmq.ROUTER, hwm)
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # an unreachable peer is an error, never a silent loss
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        prepare(socket)
        socket.bind(endpoint)
        return cls(socket, None, key, keyring)

    @classmethod
    def connect(
        cls,
        context: zmq.Context[Any],
        endpoint: str,
        *,
        name: str,
        peer: str,
        key: int,
        hwm: int,
        prepare: Prepare = lambda socket: None,
    ) -> Port:
        """Connect, and again whenever the peer comes back; nothing is queued for a peer that is not there."""
        socket = _socket(context, zmq.DEALER, hwm)
        socket.setsockopt(zmq.IDENTITY, name.encode())
        socket.setsockopt(zmq.IMMEDIATE, 1)
        socket.setsockopt(zmq.RECONNECT_IVL, _RECONNECT_MS)
        prepare(socket)
        socket.connect(endpoint)
        return cls(socket, peer, key)

    def send(self, peer: str, message: Message, *frames: Any) -> bool:
        """Send, or return False if the peer is not there or its queue is full."""
        return self._send(peer, message, frames) == 0

    def reaches(self, peer: str, message: Message) -> bool:
        """Send; return False if there is nobody of that name (a full queue is somebody)."""
        return self._send(peer, message, ()) != zmq.EHOSTUNREACH

    def _send(self, peer: str, message: Message, frames: Sequence[Any]) -> int:
        parts = [seal(message, self._key), *frames]
        if self.peer is None:
            parts.insert(0, peer.encode())
        try:
            self.socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        except zmq.ZMQError as error:
            if error.errno in (zmq.EAGAIN, zmq.EHOSTUNREACH):
                return int(error.errno)
            raise
        return 0

    def receive(self) -> Delivery | None:
        """Return the next message, None if there is none; raise `WireError` if it is not one of ours."""
        for _ in range(_MOST_AT_ONCE):
            try:
                parts = self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return None
            frames = [part.buffer for part in parts]
            peer = self._peer(frames)
            if self._keyring is not None:
                self._check_key(peer, parts[0], self._keyring)
            if self.standing.is_barred(peer):
                self.refused += 1
                continue
            try:
                return read_message(peer, frames, self._key)
            except WireError as error:
                self.blame(error)
                raise
        return None

    def _peer(self, frames: list[Any]) -> str:
        if self.peer is not None:
            return self.peer
        identity = bytes(frames.pop(0))
        peer = name_of(identity)
        if peer is None:
            raise WireError(f"peer {identity[:40]!r}: no process of a run has this name")
        return peer

    def _check_key(self, peer: str, part: Any, keyring: Keyring) -> None:
        """Raise `WireError` if the key of the connection is not for this peer, or has been taken off the list."""
        name = str(part.get("User-Id"))  # what our gate said when the key was let in
        if not belongs_to(name, peer):
            raise WireError(f"{peer}: comes with the key of {name!r}")
        if not keyring.is_in_force(name):
            raise WireError(f"{peer}: its key {name!r} was taken off the list")

    def blame(self, error: WireError) -> None:
        """Hold an error against the peer that made it."""
        if error.peer:
            self.standing.blame(error.peer, foreign=error.foreign)

    def accuse(self, peer: str, rule: str) -> WireError:
        """Return the error of a peer that broke a rule, held against it."""
        error = WireError(f"{peer}: {rule}", peer=peer)
        self.blame(error)
        return error

    def take_refused(self) -> int:
        """Return how many messages were dropped unread since this was last asked."""
        refused, self.refused = self.refused, 0
        return refused


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
    under_way: dict[int, int] = field(default_factory=dict)  # serial -> block, of those not finished
    heard_s: float = 0.0

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
        self._probe_s = 0.0

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
    def has_receivers(self) -> bool:
        """Return whether anybody has ever wanted blocks."""
        return bool(self._receivers)

    @property
    def receivers(self) -> list[str]:
        """Return who has ever wanted blocks."""
        return list(self._receivers)

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
        parcel = Parcel(receiver.session, self._epoch, receiver.sent + 1)
        if not self.port.send(peer, parcel, *encoded.frames, *schema):
            receiver.slots = 0  # it is gone, or clogged: its next grant tells
            return False
        receiver.sent += 1
        receiver.under_way[receiver.sent] = block.number
        receiver.schemas.add(encoded.schema_hash)
        self._statistics["blocks_out"] += 1
        self._statistics["events_out"] += len(block.events)
        self._statistics["bytes_out"] += encoded.size
        return True

    def receive(self) -> Iterator[Delivery]:
        """Take in all grants that have come; yield the other messages, and an `Again` for whatever has been lost.

        Raises
        ------
        WireError
            If a message is not one of ours; call again to go on with the next.
        """
        now = time.monotonic()
        if now >= self._probe_s:
            self._probe_s = now + _PROBE_S
            for peer in self._gone(now):
                yield Delivery(peer, Again(), [])
        self._statistics["refused"] += self.port.take_refused()
        for _ in range(_MOST_AT_ONCE):
            if (delivery := self.port.receive()) is None:
                return
            peer, message, _ = delivery
            known = self._receivers.get(peer)
            match message:
                case Grant():
                    self._take(peer, message, now)
                    if known is not None and known.session != message.session:
                        yield Delivery(peer, Again(), [])
                case Lost(epoch, first, last):
                    if known is not None and epoch == self._epoch:
                        known.schemas.clear()
                        for serial in [each for each in known.under_way if first <= each <= last]:
                            yield Delivery(peer, Again(known.under_way.pop(serial)), [])
                case Again() if known is not None:
                    known.schemas.clear()
                    yield delivery
                case Hello() | Parcel() | Mark():
                    raise self.port.accuse(peer, f"sends {type(message).__name__}, must send grants")
                case _:
                    yield delivery

    def _take(self, peer: str, grant: Grant, now_s: float) -> None:
        receiver = self._receivers.get(peer)
        if receiver is None or receiver.session != grant.session:
            receiver = self._receivers[peer] = _Receiver(grant.session)
        # Blocks of another epoch are those of our predecessor: this receiver has seen none of ours yet.
        finished = min(grant.finished, receiver.sent) if grant.epoch == self._epoch else 0
        if finished == receiver.finished and receiver.sent > finished:
            self.port.send(peer, Mark(receiver.session, self._epoch, receiver.sent))
        for serial in [each for each in receiver.under_way if each <= finished]:
            del receiver.under_way[serial]
        receiver.finished, receiver.slots, receiver.heard_s = finished, grant.slots, now_s

    def _gone(self, now_s: float) -> list[str]:
        """Take back what was sent to receivers that are not there any more; return their names."""
        gone = []
        for peer, known in self._receivers.items():
            is_silent = known.under_way and now_s - known.heard_s > _PROBE_S
            if is_silent and not self.port.reaches(peer, Mark(known.session, self._epoch, known.sent)):
                known.slots = 0  # the rest stays: it may come back with the session that it had
                known.under_way.clear()
                gone.append(peer)
        return gone

    def hello(self) -> None:
        """Make a bound receiver aware of this sender; a bound sender need not, receivers come to it."""
        if self.port.peer is not None:
            self.port.send(self.port.peer, Hello())


@dataclass(slots=True)
class _Sender:
    """What an inlet knows of one sender."""

    epoch: int = 0
    finished: int = 0  # serial up to which every block of the epoch is finished, or lost
    at_hand: int = 0  # serial of the block received last


class Inlet:
    """The receiving end: grants slots, checks what comes in, asks again for what does not check out."""

    def __init__(self, port: Port, codec: Codec, statistics: Statistics, *, slots: int):
        self.port = port
        self._codec, self._statistics, self._slots = codec, statistics, slots
        self._session = secrets.randbits(63)
        self._senders: dict[str, _Sender] = {} if port.peer is None else {port.peer: _Sender()}
        self._current = ""
        self.end: End | None = None

    def receive(self) -> Block | None:
        """Return the next block, None if there is none; call `finish` before the next one.

        Raises
        ------
        WireError
            If what came does not check out; a block has been asked for again by then.
        """
        self._statistics["refused"] += self.port.take_refused()
        for _ in range(_MOST_AT_ONCE):
            if (delivery := self.port.receive()) is None:
                return None
            peer, message, frames = delivery
            match message:
                case Hello():
                    self._senders.setdefault(peer, _Sender())
                    self._announce(peer)
                case Parcel() | Mark() if message.session != self._session:
                    self._statistics["strays"] += 1  # meant for our predecessor; its owner sends it again
                case Parcel(_, epoch, serial):
                    if self._is_next(peer, epoch, serial):
                        return self._open(peer, frames)
                case Mark(_, epoch, serial):
                    self._lose_until(peer, epoch, serial)
                    self._announce(peer)
                case End():
                    self.end = message
                case _:
                    raise self.port.accuse(peer, f"sends {type(message).__name__}, must send blocks")
        return None

    def _is_next(self, peer: str, epoch: int, serial: int) -> bool:
        """Note that a block has come; return False if it had been finished before, or given up as lost."""
        sender = self._sender(peer, epoch)
        if serial <= sender.finished:
            self._statistics["strays"] += 1
            return False
        self._lose_until(peer, epoch, serial - 1)
        sender.at_hand = serial
        self._current = peer
        return True

    def _lose_until(self, peer: str, epoch: int, serial: int) -> None:
        """Give up all blocks that were sent up to this serial and are not here."""
        sender = self._sender(peer, epoch)
        if serial > sender.finished + self._slots:
            rule = f"serial {serial}, {sender.finished + self._slots} were granted"
            raise self.port.accuse(peer, rule)
        if serial > sender.finished:
            self.port.send(peer, Lost(epoch, sender.finished + 1, serial))
            sender.finished = serial

    def _sender(self, peer: str, epoch: int) -> _Sender:
        sender = self._senders.setdefault(peer, _Sender())
        if sender.epoch != epoch:
            sender.epoch, sender.finished = epoch, 0
        return sender

    def _open(self, peer: str, frames: list[Any]) -> Block:
        try:
            block = self._codec.decode(frames, peer=peer)
        except WireError as error:
            sender = self._senders[peer]
            self.port.send(peer, Lost(sender.epoch, sender.at_hand, sender.at_hand))
            self.port.blame(error)
            self.finish()
            raise
        self.port.standing.praise(peer)
        self._statistics["blocks_in"] += 1
        self._statistics["events_in"] += len(block.events)
        self._statistics["bytes_in"] += sum(len(frame) for frame in frames)
        return block

    def finish(self) -> None:
        """Give back the slot of the block received last."""
        sender = self._senders[self._current]
        sender.finished = sender.at_hand
        self._announce(self._current)

    def announce(self) -> None:
        """Repeat the grants to all senders."""
        for peer in self._senders:
            self._announce(peer)

    def _announce(self, peer: str) -> None:
        if self.port.standing.is_barred(peer):
            return
        sender = self._senders[peer]
        self.port.send(peer, Grant(self._session, sender.epoch, sender.finished, self._slots))

    def answer_end(self) -> None:
        """Say that the end of the run is known here and further down."""
        for peer in self._senders:
            self.port.send(peer, Ended())

    def ask_again(self, block: int | None) -> None:
        """Pass on, up the stream, that a block is needed once more."""
        for peer in self._senders:
            self.port.send(peer, Again(block))
