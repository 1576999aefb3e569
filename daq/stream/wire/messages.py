"""What processes say to each other: one small frame each, MessagePack with a checksum; docs/stream.md has the table.

A frame from the wire is read by `read_message` only: what is damaged, of another run, no message of ours, or not for
this peer to say is a `WireError`.
"""

from __future__ import annotations

import struct
from typing import Annotated, Any, NamedTuple

import msgspec
import xxhash

from daq.errors import WireError
from daq.stream.ledger import Span
from daq.stream.wire.peers import SPEAKERS, role_of

_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
_Slots = Annotated[int, msgspec.Meta(ge=0, le=1 << 16)]


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """Sender to a bound receiver: I am here, grant me something."""


class Grant(msgspec.Struct, tag="grant", frozen=True):
    """Receiver to sender: how many blocks I may be sent."""

    session: _Id
    epoch: _Id
    finished: _Id
    slots: _Slots


class Parcel(msgspec.Struct, tag="parcel", frozen=True):
    """Sender to receiver: the frames of a block follow; it is the ``serial``-th of the epoch to this session."""

    session: _Id
    epoch: _Id
    serial: _Id


class Mark(msgspec.Struct, tag="mark", frozen=True):
    """Sender to receiver: this is the serial of the last block that I sent to you."""

    session: _Id
    epoch: _Id
    serial: _Id


class Lost(msgspec.Struct, tag="lost", frozen=True):
    """Receiver to sender: these serials, first to last, did not come, or did not check out."""

    epoch: _Id
    first: _Id
    last: _Id


class Again(msgspec.Struct, tag="again", frozen=True):
    """Towards the source: send this block, or all that are not done, once more, with the schema."""

    block: _Id | None = None


class Durable(msgspec.Struct, tag="durable", frozen=True):
    """Spool to source: all that is on disk."""

    spans: list[Span]


class Conduct(msgspec.Struct, tag="conduct", frozen=True):
    """Whoever conducts the run to the source: how things shall be. A source that has heard nothing makes no block."""

    paused: bool = False
    stopping: bool = False
    """Make no more blocks than it takes to complete the part at hand; not taken back."""


class End(msgspec.Struct, tag="end", frozen=True):
    """Down the stream, where nobody supervises: all blocks of the run are durable, or it has failed. Said again."""

    n_blocks: _Id
    failure: str = ""
    resends: _Id = 0
    """Blocks that the source sent once more, for the summary."""


class Ended(msgspec.Struct, tag="ended", frozen=True):
    """Answer to `End`: I know, and so does everybody whom I have to tell."""


Message = Hello | Grant | Parcel | Mark | Lost | Again | Durable | Conduct | End | Ended
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


def read_message(peer: str, frames: list[Any], key: int) -> Delivery:
    """Return what the frames of a peer say; raise `WireError` if it is no message, or not for this peer to say."""
    if not frames:
        raise WireError(f"{peer}: empty message", peer=peer)
    try:
        message = unseal(frames[0], key)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WireError(f"{peer}: message: {error}", peer=peer) from None
    tag = str(message.__struct_config__.tag)
    if role_of(peer) not in SPEAKERS[tag]:
        raise WireError(f"{peer}: says {tag!r}, which is not for it to say", peer=peer)
    return Delivery(peer, message, frames[1:])
