"""Hostile frames: a corpus of named ones, and mutations of good ones by the hundred thousand.

    python -m tests.daq.stream.hostile --mutations 1000000 --seed 7

A *mutant* is a good message (a parcel with its block, a grant, a status frame, ...) with one to three things changed.
Half of the changed blocks are signed anew, as a peer would that means something else: those get past the checksum. The
rules that no mutant may break stand in `Judge`.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import xxhash

from daq.errors import WireError
from daq.event import EventBatch
from daq.run_directory import RunFile
from daq.stream.ledger import Span
from daq.stream.statistics import Statistics
from daq.stream.wire.codec import HEADER, Block, Codec, _checksum, as_received
from daq.stream.wire.contract import Contract
from daq.stream.wire.frames import read_frame, write_frame
from daq.stream.wire.messages import (
    _DIGEST,
    Again,
    Conduct,
    Delivery,
    Durable,
    Grant,
    Hello,
    Lost,
    Mark,
    Parcel,
    read_message,
    seal,
)
from daq.stream.wire.peers import Standing
from daq.stream.wire.transport import Inlet, Outlet
from tests.daq.stream import toy

Frames = list[bytes]
KEY = 0xFEED
NASTY = [0, 1, 2, 63, 64, 255, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1]
NASTY_NOTES: list[Any] = [
    None, -1, 2**63, 2**64 - 1, 1.5, float("nan"), True, "", "7", "x" * 70_000, b"\xff", [], [None], ["1"], [[1], [2]],
    [2**64 - 1], {}, {"section": 1}, {"section": [0], "generated": []}, {"section": [-1]}, {"": [1]}, [0] * 5000,
    {"decided": [1]}, {"block_bins": [500], "block_counts": [1]}, msgspec.msgpack.Ext(5, b"boo"),
]  # fmt: skip


class FakePort:
    """A port without a socket: what a peer sends is put into ``inbox``; what is said to it lies in ``said``."""

    def __init__(self, peer: str):
        self.peer, self.inbox, self.said = peer, deque[Frames](), deque[Any](maxlen=100)
        self.standing, self.refused, self.last_grant = Standing(), 0, Grant(0, 0, 0, 0)

    def send(self, peer: str, message: Any, *frames: Any) -> bool:
        """Take what is said to the peer."""
        self.said.append((peer, message, frames))
        if isinstance(message, Grant):
            self.last_grant = message
        return True

    def reaches(self, peer: str, message: Any) -> bool:
        """Take what is said to the peer, who is there."""
        return self.send(peer, message)

    def receive(self) -> Delivery | None:
        """Return the next message as `daq.stream.wire.transport.Port` does."""
        return read_message(self.peer, self.inbox.popleft(), KEY) if self.inbox else None

    def blame(self, _: WireError) -> None:
        """Forgive: the next mutant must be looked at too."""

    def accuse(self, peer: str, rule: str) -> WireError:
        """Return the error of a peer."""
        return WireError(f"{peer}: {rule}", peer=peer)

    def take_refused(self) -> int:
        """Return 0: nobody is barred."""
        return 0


def good_blocks(run: RunFile) -> dict[str, list[Block]]:
    """Return blocks as each role of a toy run sends them."""
    sent: dict[str, list[Block]] = {"source": [], "l1": [], "hlt": []}
    state: list[int] | None = None
    for number in range(4):
        made = toy.make_block(run, number)
        triggered, state = toy.l1(as_received(made), state)
        triggered = replace(triggered, notes={**triggered.notes, "l1_state": state})
        for role, block in zip(sent, (made, triggered, toy.hlt(as_received(triggered))), strict=True):
            sent[role].append(block)
    return sent


def sealed(payload: bytes) -> bytes:
    """Return bytes as a message of the run that they are no message of."""
    return payload + _DIGEST.pack(xxhash.xxh3_64_intdigest(payload, seed=KEY))


def frames_of(codec: Codec, block: Block) -> Frames:
    """Return header, body, trailer and schema of a block."""
    encoded = codec.encode(block)
    return [bytes(frame) for frame in (*encoded.frames, encoded.schema)]


def signed(frames: Frames) -> Frames:
    """Return the frames with a checksum, and a schema hash, that are right for what they are now."""
    header, body, _, *schema = frames
    if len(header) == HEADER.size:
        head = list(HEADER.unpack(header))
        head[-1] = len(body)
        if schema:
            head[7] = xxhash.xxh3_64_intdigest(schema[0])
        header = HEADER.pack(*head)
    return [header, body, _checksum(header, body), *schema]


# ---- the corpus


def corpus(codec: Codec, block: Block) -> Iterator[tuple[str, Frames]]:
    """Yield (name, frames) of blocks that nobody may take: each is the good one with one thing wrong, duly signed."""
    good = frames_of(codec, block)
    header, body, trailer, schema = good
    head = HEADER.unpack(header)

    def with_head(**changes: Any) -> Frames:
        names = ("magic", "version", "attempt", "run", "arrays", "number", "first", "schema", "menu", "events", "alive",
                 "notes", "reserved", "body")  # fmt: skip
        changed = HEADER.pack(*(changes.get(name, value) for name, value in zip(names, head, strict=True)))
        return [changed, body, _checksum(changed, body), schema]

    def with_schema(sections: Any) -> Frames:
        return signed([header, body, trailer, msgspec.msgpack.encode(sections)])

    def with_notes(notes: bytes) -> Frames:
        sent = frames_of(codec, replace(block, notes={}))
        room = -(-len(notes) // 64) * 64
        changed = sent[1][:-64] + notes.ljust(room, b"\0")
        fields = list(HEADER.unpack(sent[0]))
        fields[11], fields[13] = len(notes), len(changed)
        head_then = HEADER.pack(*fields)
        return [head_then, changed, _checksum(head_then, changed), sent[3]]

    def with_block(**changes: Any) -> Frames:
        return frames_of(codec, replace(block, **changes))

    def with_arrays(**changes: Any) -> Frames:
        events = block.events.replaced({name.replace("__", "."): value for name, value in changes.items()})
        return with_block(events=events)

    yield "no frames at all", []
    yield "one frame", [header]
    yield "five frames", [*good, schema]
    yield "frames in another order", [body, header, trailer, schema]
    yield "empty frames", [b"", b"", b"", b""]
    for name, frame in zip(("header", "body", "trailer", "schema"), range(4), strict=True):
        yield f"{name} cut", [f[:-1] if i == frame else f for i, f in enumerate(good)]
        yield f"{name} longer", [f + b"\0" if i == frame else f for i, f in enumerate(good)]
    yield "trailer of another block", [header, body, bytes(8), schema]
    yield "another protocol", with_head(magic=b"HTTP")
    yield "another version", with_head(version=2)
    yield "another run", with_head(run=head[3] + 1)
    yield "another menu", with_head(menu=head[8] ^ 1)
    yield "another schema hash", with_head(schema=head[7] ^ 1)
    yield "block beyond the run", with_head(number=2**63)
    yield "block that another number belongs to", with_head(number=head[5] + 1)
    yield "range of another block", with_head(first=head[6] + 64)
    yield "more events than the block has", with_head(events=head[9] + 1)
    yield "more alive than there are", with_head(alive=head[9] + 1)
    yield "four thousand million alive", with_head(alive=2**32 - 1, events=2**32 - 1)
    yield "arrays that are not there", with_head(arrays=head[4] + 1)
    yield "no arrays", with_head(arrays=0)
    yield "reserved field", with_head(reserved=1)
    yield "notes of gigabytes", with_head(notes=2**32 - 1)
    yield "body of exabytes", with_head(body=2**63)
    for rows in (2**32, 2**61, 2**64 - 1):
        yield f"{rows} rows", signed([header, rows.to_bytes(8, "little") + body[8:], trailer, schema])

    sections = msgspec.msgpack.decode(schema)
    yield "a million arrays", with_schema([["all.x", "<f8", []]] * 1_000_000)
    yield "schema that is no list", with_schema({"a": 1})
    yield "schema nested without end", signed([header, body, trailer, b"\x91" * 50_000 + b"\x90"])
    yield "schema that is not text", signed([header, body, trailer, b"\x91\x93\xa1\xff\xa3<f8\x90"])
    yield "schema of another event model", with_schema(sections[1:])
    for dtype in ("O", "f8,f8", "(1000000000,)f8", "V8", "S0", "U0", "M8[ns]", "{'names': ['a']}", ">f8", "f8" * 9999,
                  "<f2", "", "\0", "c16", "__import__('os')"):  # fmt: skip
        yield f"dtype {dtype[:20]!r}", with_schema([*sections, ["all.x", dtype, []]])
    for shape in ([0], [-1], [2**63], [2**32, 2**32], [1] * 40, [1 << 20]):
        yield f"rows of shape {shape[:3]}", with_schema([*sections, ["all.x", "<f8", shape]])
    for name in ("", "x", "all.", "other.x", "../../etc/passwd", "all.\0", "all." + "x" * 99, "kept.x/../y", "all.x\n"):
        yield f"table {name[:20]!r}", with_schema([*sections, [name, "<f8", []]])
    yield "a table twice", with_schema([*sections, ["all.x", "|u1", []], ["all.x", "|u1", []]])

    yield "notes that are no map", with_notes(b"\x93\x01\x02\x03")
    yield "notes cut", with_notes(b"\x85\xa1a")
    yield "notes nested without end", with_notes(b"\x81\xa1a" + b"\x91" * 60_000 + b"\x90")
    yield "notes that are not text", with_notes(b"\x81\xa1\xff\x01")
    yield "notes of an extension type", with_notes(b"\x81\xa1a\xc7\x00\x05")
    yield "notes with a list of four thousand million", with_notes(b"\x81\xa1a\xdd\xff\xff\xff\xff")
    yield "notes of two megabytes", with_block(notes={**block.notes, "x": "x" * 2_000_000})
    yield "no notes", with_block(notes={})
    for note, value in (
        ("begin_ns", "now"), ("begin_ns", -1), ("begin_ns", 2**63), ("begin_ns", None), ("end_ns", 1.5),
        ("end_ns", 2**62), ("end_ns", [1]), ("state", ["a"]), ("state", 3), ("l1_state", [2**63]), ("l1_state", {}),
        ("sections", [1]), ("sections", {"section": "0"}), ("sections", {"section": [0], "generated": [1, 2]}),
        ("sections", {"generated": [1]}), ("sections", {"section": [-1]}), ("sections", {"section": [2**60]}),
        ("hlt", [1]), ("hlt", {"decided": [1]}), ("hlt", {"decided": "kept"}),
    ):  # fmt: skip
        is_read = note not in ("sections", "hlt") or not isinstance(value, dict) or "l1_state" in block.notes
        if is_read:
            yield f"note {note} = {value!r}", with_block(notes={**block.notes, note: value})
    yield "time that runs backwards", with_block(notes={**block.notes, "begin_ns": block.notes["end_ns"] + 1})

    events = block.events
    yield "events of another run", with_arrays(run=events["run"] + np.uint32(1))
    yield "an event of another block", with_arrays(event=events["event"] + np.uint64(1))
    yield "an event twice", with_arrays(event=np.full_like(events["event"], events["event"][0]))
    yield "events in another order", with_arrays(event=events["event"][::-1])
    backwards = events["clusters.offsets"].copy()
    backwards[1] = 2**31 - 1
    yield "offsets that run backwards", with_arrays(clusters__offsets=backwards)
    yield "offsets that do not start at 0", with_arrays(clusters__offsets=events["clusters.offsets"] + np.int32(1))
    truth = events["clusters.is_track"].copy().view(np.uint8)
    truth[0] = 2
    yield "neither true nor false", with_arrays(clusters__is_track=truth.view(np.bool_))
    if "all.outcome" in block.tables:
        tables = block.tables
        yield "no outcome", with_block(tables={n: t for n, t in tables.items() if n != "all.outcome"})
        yield (
            "an outcome that is none",
            with_block(tables={**tables, "all.outcome": tables["all.outcome"] | np.uint8(64)}),
        )
        yield (
            "outcomes of another type",
            with_block(tables={**tables, "all.outcome": tables["all.outcome"].astype("u8")}),
        )
        yield (
            "all dead, and yet there",
            with_block(tables={**tables, "all.outcome": np.zeros_like(tables["all.outcome"])}),
        )
        yield (
            "one event fewer",
            with_block(
                events=events.take(np.arange(len(events) - 1)),
                tables={n: t[:-1] if n.startswith("kept.") else t for n, t in tables.items()},
            ),
        )
    else:
        yield "decisions of a source", with_block(tables={"all.outcome": np.zeros(block.n_events, np.uint8)})
        yield "no events", with_block(events=EventBatch(0, {}))


def messages(session: int, epoch: int) -> Iterator[tuple[str, Frames]]:
    """Yield (name, frames) of messages that are none, or that nobody should believe."""
    for name, payload in _payloads(session, epoch):
        yield name, [sealed(payload)]
    yield "nothing", []
    yield "an empty frame, unsealed", [b""]
    yield "sealed for another run", [seal(Again(), KEY + 1)]
    yield "no seal", [msgspec.msgpack.encode(Again())]


def _payloads(session: int, epoch: int) -> Iterator[tuple[str, bytes]]:
    encode = msgspec.msgpack.encode
    yield "an empty frame", b""
    yield "noise", b"\xc1\x00\xff"
    yield "text", b"GET / HTTP/1.1\r\n\r\n"
    yield "a number", encode(7)
    yield "no tag", encode({"session": session})
    yield "another tag", encode({"type": "shutdown"})
    yield "a tag that is no text", b"\x81\xa4type\xa1\xff"
    yield "nested without end", b"\x81\xa1a" + b"\x91" * 100_000 + b"\x90"
    yield "a field of another type", encode({"type": "again", "block": "all"})
    yield "a negative block", encode({"type": "again", "block": -1})
    yield "a block that does not fit", encode({"type": "again", "block": 2**64 - 1})
    yield "endless slots", encode({"type": "grant", "session": 1, "epoch": 1, "finished": 0, "slots": 2**62})
    yield "negative slots", encode({"type": "grant", "session": 1, "epoch": 1, "finished": 0, "slots": -1})
    yield "more finished than sent", encode(Grant(session, epoch, 2**63 - 1, 4))
    yield "serial from the future", encode(Mark(session, epoch, 2**63 - 1))
    yield "parcel without serial", encode({"type": "parcel", "session": session, "epoch": epoch})


# ---- mutations


def mutate(rng: np.random.Generator, frames: Frames, others: list[Frames]) -> Frames:
    """Return the frames with one to three things changed."""
    changed = list(frames)
    for _ in range(int(rng.integers(1, 4))):
        if not changed:
            return [rng.bytes(int(rng.integers(0, 90)))]
        which = int(rng.integers(len(changed)))
        changed[which : which + 1] = _MUTATIONS[int(rng.integers(len(_MUTATIONS)))](rng, changed[which], others)
    return changed


def _flip(rng: np.random.Generator, frame: bytes, _: list[Frames]) -> Frames:
    damaged = bytearray(frame)
    for _ in range(int(rng.integers(1, 4)) if frame else 0):
        damaged[int(rng.integers(len(frame)))] ^= 1 << int(rng.integers(8))
    return [bytes(damaged)]


def _cut(rng: np.random.Generator, frame: bytes, _: list[Frames]) -> Frames:
    return [frame[: int(rng.integers(len(frame) + 1))]]


def _grow(rng: np.random.Generator, frame: bytes, _: list[Frames]) -> Frames:
    return [frame + rng.bytes(int(rng.integers(1, 130)))]


def _overwrite(rng: np.random.Generator, frame: bytes, _: list[Frames]) -> Frames:
    """Put a nasty number where a number could be: headers and tables of rows are made of them."""
    if len(frame) < 8:
        return [frame[::-1]]
    size = int(rng.choice([1, 2, 4, 8]))
    value = NASTY[int(rng.integers(len(NASTY)))] % 256**size
    reach = min(len(frame) - size, int(rng.choice([80, 1024, 2**30])))
    at = int(rng.integers(reach // size + 1)) * size
    return [frame[:at] + value.to_bytes(size, "little") + frame[at + size :]]


def _splice(rng: np.random.Generator, frame: bytes, others: list[Frames]) -> Frames:
    donor = others[int(rng.integers(len(others)))]
    other = donor[int(rng.integers(len(donor)))]
    at, to = int(rng.integers(len(frame) + 1)), int(rng.integers(len(other) + 1))
    return [frame[:at] + other[to:]]


def _swap(rng: np.random.Generator, _: bytes, others: list[Frames]) -> Frames:
    donor = others[int(rng.integers(len(others)))]
    return [donor[int(rng.integers(len(donor)))]]


def _drop(_: np.random.Generator, __: bytes, ___: list[Frames]) -> Frames:
    return []


def _double(_: np.random.Generator, frame: bytes, __: list[Frames]) -> Frames:
    return [frame, frame]


_MUTATIONS: list[Callable[[np.random.Generator, bytes, list[Frames]], Frames]] = [
    _flip, _flip, _cut, _grow, _overwrite, _overwrite, _overwrite, _splice, _swap, _drop, _double,
]  # fmt: skip


def forged(rng: np.random.Generator, codec: Codec, block: Block) -> Frames:
    """Return a block with a note or a table that means something else, encoded as a peer of ours would."""
    notes = dict(block.notes)
    note = ["begin_ns", "end_ns", "state", "l1_state", "sections", "hlt", "x"][int(rng.integers(7))]
    notes[note] = NASTY_NOTES[int(rng.integers(len(NASTY_NOTES)))]
    if isinstance(notes[note], int) and not -(2**63) <= notes[note] < 2**64:
        notes[note] = -1
    tables = dict(block.tables)
    if tables and rng.random() < 0.3:
        name = sorted(tables)[int(rng.integers(len(tables)))]
        tables[name] = rng.permutation(tables[name].reshape(-1)).reshape(tables[name].shape)
    return frames_of(codec, replace(block, notes=notes, tables=tables))


class Broken(AssertionError):
    """A rule was broken; the text has all that is needed to do it again."""


class Judge:
    """Holds receivers of all kinds against mutants, and counts what they said.

    The rules: nothing but `WireError` is ever raised; a block that is let through and was not signed anew is, bit for
    bit, the one with its number; one that was signed anew has the events that its number says; what a receiver
    remembers is bounded.
    """

    def __init__(self, seed: int):
        self.seed, self.rng = seed, np.random.default_rng(seed)
        self.run = toy.toy_run(4 * 64)
        self.good = good_blocks(self.run)
        self.said: Counter[str] = Counter()
        self._plain = Codec(run=self.run.settings.run, menu_hash=self.run.menu_hash)
        self._frames = {role: [frames_of(self._plain, block) for block in blocks] for role, blocks in self.good.items()}
        self._all = [frames for each in self._frames.values() for frames in each]
        self._inlets = {role: self._inlet(role) for role in self.good}
        self._digests = {role: {block.number: _digest(block) for block in blocks} for role, blocks in self.good.items()}
        self._sources = [*self.good]
        self._outlet_port = FakePort("l1-0")
        self._outlet = Outlet(self._outlet_port, self._plain, Statistics())  # type: ignore[arg-type]

    def _inlet(self, role: str) -> SimpleNamespace:
        port = FakePort(role)
        codec = Codec(run=self.run.settings.run, menu_hash=self.run.menu_hash, contract=Contract(self.run, sender=role))
        inlet = Inlet(port, codec, Statistics(), slots=16)  # type: ignore[arg-type]
        inlet.announce()
        judged = SimpleNamespace(port=port, codec=codec, inlet=inlet)
        self._offer(judged, self._frames[role][0], epoch=1)  # the first one sets the form
        return judged

    def _offer(self, judged: SimpleNamespace, frames: Frames, epoch: int, raw: Frames | None = None) -> Block | None:
        grant = judged.port.last_grant
        serial = grant.finished + 1 if grant.epoch == epoch else 1
        parcel = seal(Parcel(grant.session, epoch, serial), KEY)
        judged.port.inbox.append(raw if raw is not None else [parcel, *frames])
        block: Block | None = judged.inlet.receive()
        if block is not None:
            judged.inlet.finish()
        return block

    def attempt(self, number: int) -> None:
        """Try the mutant of this number; raise `Broken` if a rule is."""
        kind = int(self.rng.integers(10))
        try:
            if kind == 0:
                self._control()
            elif kind == 1:
                self._status()
            else:
                self._block(kind)
        except WireError as error:
            if not str(error):
                raise Broken(f"seed {self.seed}, mutant {number}: an error without text") from None
            self.said["WireError"] += 1
        except Broken as error:
            raise Broken(f"seed {self.seed}, mutant {number}: {error}") from None
        except Exception as error:
            raise Broken(f"seed {self.seed}, mutant {number}: {type(error).__name__}: {error}") from error

    def _block(self, kind: int) -> None:
        role = self._sources[int(self.rng.integers(len(self._sources)))]
        judged, which = self._inlets[role], int(self.rng.integers(4))
        frames, is_signed = self._frames[role][which], kind >= 6
        if kind == 9:
            changed = forged(self.rng, self._plain, self.good[role][which])
        else:
            changed = mutate(self.rng, frames, self._all)
        if is_signed and len(changed) in (3, 4):
            changed = signed(changed)
        block = self._offer(judged, changed, epoch=1)
        if len(judged.codec._schemas) > 16:
            raise Broken("schemas are remembered without bound")
        if block is None:
            return
        self.said["signed, let through" if is_signed else "let through"] += 1
        if is_signed:
            self._check_range(block)
        elif _digest(block) != self._digests[role].get(block.number):
            raise Broken(f"block {block.number} of {role} is not the one that was sent")

    def _check_range(self, block: Block) -> None:
        first, count = self.run.block_range(block.number)
        numbers = block.events["event"].tolist()
        if (block.first_event, block.n_events) != (first, count) or not set(numbers) <= set(
            range(first, first + count)
        ):
            raise Broken(f"block {block.number} has events that are not its own")
        as_received(block)  # a stage can do what it does to every block

    def _control(self) -> None:
        """Mutate what is said between blocks, in both directions."""
        judged = self._inlets[self._sources[int(self.rng.integers(3))]]
        grant = judged.port.last_grant
        good = [
            Hello(), Mark(grant.session, 1, grant.finished + 3), Parcel(grant.session, 1, grant.finished + 2),
            Grant(1, self._outlet._epoch, 1, 2), Lost(self._outlet._epoch, 1, 9), Again(3), Again(),
            Durable([Span(0, 4, [1, 2])]), Conduct(),
        ]  # fmt: skip
        payload = msgspec.msgpack.encode(good[int(self.rng.integers(len(good)))])
        if self.rng.random() < 0.5:
            changed = mutate(self.rng, [sealed(payload)], [[payload], *self._all])
        else:
            changed = [sealed(each) for each in mutate(self.rng, [payload], [[payload], *self._all])]
        self.said["control"] += 1
        self._outlet_port.inbox.append(changed)
        try:
            for delivery in self._outlet.receive():
                if delivery.peer != "l1-0":
                    raise Broken(f"a message of {delivery.peer}")
        except WireError:
            self.said["WireError"] += 1
        if len(self._outlet._receivers) > 1:
            raise Broken("receivers out of nothing")
        self._offer(judged, [], epoch=1, raw=changed)

    def _status(self) -> None:
        statistics = Statistics().snapshot()
        facts = {"role": "hlt", "slot": 0, "pid": 7, "done": 3, "finished": False, "statistics": statistics}
        frame = write_frame(facts)
        changed = mutate(self.rng, [frame], [[frame], *self._all])
        self.said["status"] += 1
        for each in changed:
            name, read = read_frame(each)
            if (name, type(read["pid"])) != (f"{read['role']}-{read['slot']}", int):
                raise Broken("a status frame of nobody")


def _digest(block: Block) -> bytes:
    """Return a digest of all that a block says."""
    digest = xxhash.xxh3_128()
    digest.update(msgspec.msgpack.encode([block.number, block.first_event, block.n_events, block.attempt, block.notes]))
    for name, array in sorted({**block.events.arrays(), **block.tables}.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.digest()


def try_mutants(n: int, seed: int, progress: Callable[[str], None] = lambda _: None) -> Counter[str]:
    """Try ``n`` mutants; return what the receivers said; raise `Broken` at the first that breaks a rule."""
    judge = Judge(seed)
    for number in range(n):
        judge.attempt(number)
        if number % 100_000 == 99_999:
            progress(f"{number + 1:,} mutants: {dict(judge.said)}")
    return judge.said


def main() -> int:
    """Try as many mutants as asked for."""
    parser = argparse.ArgumentParser(description="Mutate frames of the stream; nothing but WireError may come of it.")
    parser.add_argument("--mutations", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    try:
        said = try_mutants(given.mutations, given.seed, print)
    except Broken as error:
        print(f"BROKEN: {error}", file=sys.stderr)
        return 1
    print(f"{given.mutations:,} mutants, seed {given.seed}: {dict(said)}; no rule was broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
