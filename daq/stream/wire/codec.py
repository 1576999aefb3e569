"""Blocks on the wire: a fixed header, one packed body, a checksum.

A block is the unit of work: a fixed range of events and what has been decided about them so far. It travels as

======== ============================================================================================
header   `HEADER`: who, which run, which block, which schema and menu, how much follows
body     rows of every array (u64 each), the arrays, the notes; each section starts at a multiple of 64
trailer  xxh3-64 over header and body
schema   names, types and row shapes of the arrays; only until the peer has seen its hash once
======== ============================================================================================

Offsets are not sent: they follow from the schema and the rows, and what does not add up to the length of the body is
a `WireError`. Decoding copies nothing: arrays look into the received body. They are therefore always read-only,
C-contiguous and aligned, and since numba compiles read-only arrays as a type of their own, kernels are warmed up with
blocks of this same form, which `as_received` gives.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any, NamedTuple

import msgspec
import numpy as np
import xxhash

from daq.errors import EventError, WireError
from daq.event import BY_PATH, LAYOUT, Array, EventBatch

MAGIC = b"DKLN"
VERSION = 1
ALIGN = 64
MAX_BODY_BYTES = 1 << 30  # a thousand times a usual block: beyond it a length is a mistake, not a block
MAX_NOTES_BYTES = 1 << 20
MAX_SCHEMA_BYTES = 1 << 16
MAX_SECTIONS = 512
MAX_ROW_BYTES = 1 << 16
MAX_SCHEMAS = 16  # remembered at a time: a run has one for each stage

HEADER = struct.Struct("<4sHHIIQQQQIIIIQ")
"""magic, version, attempt, run, arrays, block, first event, schema hash, menu hash, events, alive, notes bytes,
reserved (0), body bytes."""
TRAILER = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class Block:
    """A fixed range of events of a run, with those still alive and what was decided about all of them.

    ``tables`` named ``all.<name>`` have a row for each event of the range, ``kept.<name>`` a row for each alive one.
    ``notes`` are small and of plain types.
    """

    number: int
    first_event: int
    n_events: int
    events: EventBatch
    tables: dict[str, Array] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)
    attempt: int = 0  # how often the source had sent it before


class Encoded(NamedTuple):
    """A block as bytes; ``schema`` is sent along only to peers that do not know it."""

    schema_hash: int
    schema: bytes
    frames: tuple[bytes, memoryview, bytes]

    @property
    def size(self) -> int:
        """Return the bytes of header, body and trailer."""
        return sum(len(frame) for frame in self.frames)


@dataclass(frozen=True)
class Section:
    """One array of a body."""

    name: str
    dtype: np.dtype[Any]
    row_shape: tuple[int, ...]

    @cached_property
    def row_bytes(self) -> int:
        """Return the bytes of one row."""
        return self.dtype.itemsize * math.prod(self.row_shape)


_EVENT_SECTIONS = tuple(
    Section(name, dtype, (BY_PATH[name].length,) if name in BY_PATH and BY_PATH[name].length > 1 else ())
    for name, dtype in LAYOUT.items()
)


@lru_cache(maxsize=64)
def _describe(tables: tuple[Section, ...]) -> tuple[int, bytes]:
    """Return (hash, bytes) of the schema with these tables after the arrays of the event model."""
    sections = [(s.name, s.dtype.str, s.row_shape) for s in (*_EVENT_SECTIONS, *tables)]
    schema = msgspec.msgpack.encode(sections)
    return xxhash.xxh3_64_intdigest(schema), schema


_PADDING = tuple(bytes(size) for size in range(ALIGN))


def _padded(size: int) -> int:
    return -(-size // ALIGN) * ALIGN


def _rows_of_table(name: str, *, n_events: int, n_alive: int) -> int | None:
    """Return the rows that a table must have by its name, None if the name is none of ours."""
    return {"all": n_events, "kept": n_alive}.get(name.partition(".")[0]) if "." in name else None


class Codec:
    """Turns the blocks of one run into bytes and back; remembers the schemas that peers have sent.

    ``contract`` raises `ValueError` for a block that is whole but cannot be one of the run's
    (`daq.stream.wire.contract`).
    """

    def __init__(self, *, run: int, menu_hash: int, contract: Callable[[Block], None] = lambda block: None):
        self.run, self.menu_hash, self.contract = run, menu_hash, contract
        self._schemas: dict[int, tuple[Section, ...]] = {}

    def encode(self, block: Block) -> Encoded:
        """Return the block as bytes; raise `ValueError` if a table has not the rows that its name promises."""
        n_alive = len(block.events)
        tables = {name: np.ascontiguousarray(array) for name, array in sorted(block.tables.items())}
        for name, table in tables.items():
            rows = _rows_of_table(name, n_events=block.n_events, n_alive=n_alive)
            if rows != table.shape[0]:
                raise ValueError(f"block {block.number}: table {name!r} has {table.shape[0]} rows, must have {rows}")
        schema_hash, schema = _describe(tuple(Section(n, t.dtype, t.shape[1:]) for n, t in tables.items()))

        arrays = [*block.events.arrays().values(), *tables.values()]
        notes = msgspec.msgpack.encode(block.notes)
        counts = np.array([array.shape[0] for array in arrays], dtype=np.uint64)
        parts: list[Any] = []
        for section in (counts, *arrays):
            parts += section, _PADDING[-section.nbytes % ALIGN]
        body = b"".join([*parts, notes, _PADDING[-len(notes) % ALIGN]])

        header = HEADER.pack(
            MAGIC, VERSION, block.attempt, self.run, len(arrays), block.number, block.first_event,
            schema_hash, self.menu_hash, block.n_events, n_alive, len(notes), 0, len(body),
        )  # fmt: skip
        return Encoded(schema_hash, schema, (header, memoryview(body), _checksum(header, body)))

    def decode(self, frames: Sequence[Any], *, peer: str) -> Block:
        """Return the block of these frames (any buffers: header, body, trailer, perhaps schema).

        Raises
        ------
        WireError
            If anything does not check out: frames missing, magic, version, length, checksum, run, menu, a schema that
            is unknown or not ours, rows that do not fill the body, offsets that run backwards, notes that are none,
            and whatever the contract of the run says.
        """
        if len(frames) not in (3, 4):
            raise WireError(f"{peer}: a block has 3 or 4 frames, this has {len(frames)}", peer=peer)
        header, body, trailer = (memoryview(frame) for frame in frames[:3])
        if len(header) != HEADER.size:
            raise WireError(f"{peer}: header has {len(header)} bytes, must have {HEADER.size}", peer=peer)
        head = _Head(*HEADER.unpack(header))
        damage = f"{peer}: block {head.number}"  # as far as it can be read: nobody acts on this number
        if head.magic != MAGIC:
            raise WireError(f"{peer}: magic {head.magic!r}, must be {MAGIC!r}", peer=peer)
        if head.version != VERSION:
            raise WireError(f"{peer}: wire version {head.version}, must be {VERSION}", peer=peer)
        if head.body_bytes != len(body) or not 0 < len(body) <= MAX_BODY_BYTES:
            rule = f"body has {len(body)} bytes, header says {head.body_bytes}, the most is {MAX_BODY_BYTES}"
            raise WireError(f"{damage}: {rule}", peer=peer)
        if _checksum(header, body) != bytes(trailer):
            raise WireError(f"{damage}: checksum differs", peer=peer)
        return _Decoder(self, head, peer).decode(body, frames[3] if len(frames) == 4 else None)

    def sections(self, schema_hash: int) -> tuple[Section, ...] | None:
        """Return the arrays that a schema names, None if it was not seen yet."""
        return self._schemas.get(schema_hash)

    def learn(self, schema_hash: int, schema: Any) -> None:
        """Remember a schema; raise `ValueError` if it is damaged, or not that of our event model."""
        if len(schema) > MAX_SCHEMA_BYTES:
            raise ValueError(f"schema has {len(schema)} bytes, the most is {MAX_SCHEMA_BYTES}")
        if xxhash.xxh3_64_intdigest(schema) != schema_hash:
            raise ValueError("schema does not have the hash in the header")
        if schema_hash in self._schemas:
            return
        named = msgspec.msgpack.decode(schema, type=list[tuple[str, str, tuple[int, ...]]])
        if len(named) > MAX_SECTIONS:
            raise ValueError(f"schema has {len(named)} arrays, the most is {MAX_SECTIONS}")
        sections = tuple(Section(name, _plain_dtype(dtype), shape) for name, dtype, shape in named)
        if sections[: len(_EVENT_SECTIONS)] != _EVENT_SECTIONS:
            raise ValueError("schema does not begin with the arrays of our event model")
        _check_tables(sections[len(_EVENT_SECTIONS) :])
        while len(self._schemas) >= MAX_SCHEMAS:
            del self._schemas[next(iter(self._schemas))]
        self._schemas[schema_hash] = sections


class _Head(NamedTuple):
    """The fields of `HEADER`."""

    magic: bytes
    version: int
    attempt: int
    run: int
    n_arrays: int
    number: int
    first_event: int
    schema_hash: int
    menu_hash: int
    n_events: int
    n_alive: int
    notes_bytes: int
    reserved: int
    body_bytes: int


class _Decoder:
    """Reads one body whose checksum is right; what is wrong from here on is a peer that means something else."""

    def __init__(self, codec: Codec, head: _Head, peer: str):
        self.codec, self.head, self.peer = codec, head, peer

    def _error(self, rule: str, *, foreign: bool = False) -> WireError:
        text = f"{self.peer}: block {self.head.number}: {rule}"
        return WireError(text, block=self.head.number, peer=self.peer, foreign=foreign)

    def decode(self, body: memoryview, schema: Any) -> Block:
        head = self.head
        if head.run != self.codec.run:
            raise self._error(f"run {head.run}, must be {self.codec.run}", foreign=True)
        if head.menu_hash != self.codec.menu_hash:
            raise self._error(f"menu {head.menu_hash:016x}, must be {self.codec.menu_hash:016x}", foreign=True)
        if head.reserved != 0:
            raise self._error(f"reserved field is {head.reserved}, must be 0")
        if head.notes_bytes > MAX_NOTES_BYTES:
            raise self._error(f"notes have {head.notes_bytes} bytes, the most is {MAX_NOTES_BYTES}")
        if head.n_alive > head.n_events:
            raise self._error(f"{head.n_alive} events alive of {head.n_events}")
        sections = self._sections(schema)
        arrays, notes = self._unpack(_as_bytes(body), sections)
        n_model = len(_EVENT_SECTIONS)
        tables = dict(zip((section.name for section in sections[n_model:]), arrays[n_model:], strict=True))
        for name, table in tables.items():
            rows = _rows_of_table(name, n_events=head.n_events, n_alive=head.n_alive)
            if table.shape[0] != rows:
                raise self._error(f"table {name!r} has {table.shape[0]} rows, must have {rows}")
        try:
            events = EventBatch.of_columns(head.n_alive, dict(zip(LAYOUT, arrays, strict=False)))
            events.check()
        except EventError as error:
            raise self._error(str(error)) from None
        block = Block(head.number, head.first_event, head.n_events, events, tables, notes, head.attempt)
        try:
            self.codec.contract(block)
        except ValueError as error:
            raise self._error(str(error)) from None
        return block

    def _sections(self, schema: Any) -> tuple[Section, ...]:
        head = self.head
        try:
            if schema is not None:
                self.codec.learn(head.schema_hash, memoryview(schema))
        except _UNREADABLE as error:
            raise self._error(str(error)) from None
        sections = self.codec.sections(head.schema_hash)
        if sections is None:
            raise self._error(f"unknown schema {head.schema_hash:016x}")
        if len(sections) != head.n_arrays:
            raise self._error(f"header announces {head.n_arrays} arrays, schema has {len(sections)}")
        return sections

    def _unpack(self, body: Array, sections: tuple[Section, ...]) -> tuple[list[Array], dict[str, Any]]:
        table_bytes = 8 * len(sections)
        if table_bytes > body.nbytes:
            raise self._error("body ends inside the table of rows")
        rows = body[:table_bytes].view(np.uint64).tolist()
        sizes = [table_bytes, *(n * section.row_bytes for n, section in zip(rows, sections, strict=True))]
        *offsets, at = accumulate((size + ALIGN - 1) // ALIGN * ALIGN for size in sizes)
        if (end := at + _padded(self.head.notes_bytes)) != body.nbytes:
            raise self._error(f"sections end at byte {end}, body has {body.nbytes}")
        arrays = [
            np.ndarray((n, *section.row_shape), section.dtype, body, offset)
            for n, section, offset in zip(rows, sections, offsets, strict=True)
        ]
        try:
            notes = _notes.decode(body[at : at + self.head.notes_bytes].data)
        except _UNREADABLE as error:
            raise self._error(f"notes: {error}") from None
        for section, array in zip(sections, arrays, strict=True):
            if section.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
                raise self._error(f"array {section.name!r}: a truth value that is neither 0 nor 1")
        return arrays, notes


def _checksum(header: Any, body: Any) -> bytes:
    digest = xxhash.xxh3_64(header)
    digest.update(body)
    return TRAILER.pack(digest.intdigest())


_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
"""What msgspec raises for bytes of strangers: not its own, text that is not UTF-8, nesting without end."""


def _no_extension(code: int, _: memoryview) -> None:
    raise ValueError(f"extension type {code}")


_notes = msgspec.msgpack.Decoder(dict[str, Any], ext_hook=_no_extension)
_DTYPES: dict[str, np.dtype[Any]] = {np.dtype(code).str: np.dtype(code) for code in ("?", *"bBhHiIlLfd")}
_TABLE = re.compile(r"(all|kept)\.[a-z0-9_]{1,64}")


def _plain_dtype(text: str) -> np.dtype[Any]:
    if text not in _DTYPES:  # never ask numpy what else it could mean
        raise ValueError(f"array of type {text[:40]!r}: only numbers of this machine's order travel")
    return _DTYPES[text]


def _check_tables(tables: Sequence[Section]) -> None:
    if len({table.name for table in tables}) != len(tables):
        raise ValueError("schema names a table twice")
    for table in tables:
        if not _TABLE.fullmatch(table.name):
            raise ValueError(f"table {table.name[:80]!r}: must be named all.<name> or kept.<name>")
        if any(extent < 1 for extent in table.row_shape) or len(table.row_shape) > 4:
            raise ValueError(f"rows of shape {table.row_shape[:9]}: at most 4 extents, each at least 1")
        if table.row_bytes > MAX_ROW_BYTES:
            raise ValueError(f"table {table.name!r}: rows of {table.row_bytes} bytes, the most is {MAX_ROW_BYTES}")


def _as_bytes(body: memoryview) -> Array:
    """Return the body as read-only bytes at an address that suits every dtype."""
    raw = np.frombuffer(body, dtype=np.uint8)
    if raw.ctypes.data % 8:  # small messages lie anywhere in the receive buffer of the socket
        aligned = np.empty(raw.size // 8 + 1, dtype=np.uint64).view(np.uint8)[: raw.size]
        aligned[:] = raw
        raw = aligned
    raw.flags.writeable = False
    return raw


def as_received(block: Block) -> Block:
    """Return the block as a peer gets it: read-only arrays that look into one packed body."""
    codec = Codec(run=0, menu_hash=0)
    encoded = codec.encode(block)
    return codec.decode((*encoded.frames, encoded.schema), peer="here")
