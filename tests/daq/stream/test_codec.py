"""Blocks come through the wire unchanged, and whatever is not a block of this run is a WireError."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daq.errors import WireError
from daq.event import EventBatch
from daq.stream.wire.codec import HEADER, TRAILER, Block, Codec, Encoded, _checksum, as_received
from tests.batches import assert_same, batches, random_batch

RUN, MENU = 7, 0xFEEDFACECAFEBEEF


def codec() -> Codec:
    """Return a codec of the run that has not seen anything yet."""
    return Codec(run=RUN, menu_hash=MENU)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Strategy: blocks with some events dead, tables of all kinds, notes."""
    events = draw(batches())
    n_events = events.size + draw(st.integers(0, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tables = {
        "all.outcome": rng.integers(0, 6, n_events).astype("u1"),
        "all.l1_words": rng.integers(0, 2**63, (n_events, 3)).astype("u8"),
        "kept.latency_us": rng.random(events.size).astype("f4"),
        "kept.flags": rng.random((events.size, 2, 2)) > 0.5,
    }
    chosen = draw(st.sets(st.sampled_from(sorted(tables))))
    notes = draw(st.dictionaries(st.text(max_size=4), st.integers(-(2**63), 2**63 - 1) | st.lists(st.text(max_size=3))))
    first = draw(st.integers(0, 2**63))
    return Block(
        draw(st.integers(0, 2**40)), first, n_events, events, {name: tables[name] for name in chosen}, notes, 3
    )


def frames(encoded: Encoded, *, schema: bool = True) -> list[bytes]:
    """Return the frames as bytes, as a socket gives them."""
    return [bytes(frame) for frame in (*encoded.frames, *([encoded.schema] if schema else []))]


@given(blocks())
def test_round_trip(block: Block):
    """A decoded block is the encoded one, bit for bit, in arrays that are read-only, contiguous and aligned."""
    decoded = codec().decode(frames(codec().encode(block)), peer="peer")
    assert_same(decoded.events, block.events)
    assert decoded.tables.keys() == block.tables.keys()
    for name, table in block.tables.items():
        assert decoded.tables[name].dtype == table.dtype
        assert decoded.tables[name].shape == table.shape
        assert decoded.tables[name].tobytes() == table.tobytes()
    assert decoded.notes == block.notes
    assert (decoded.number, decoded.first_event, decoded.n_events) == (block.number, block.first_event, block.n_events)
    assert decoded.attempt == 3
    for array in (*decoded.events.arrays().values(), *decoded.tables.values()):
        assert not array.flags.writeable
        assert array.flags.c_contiguous
        assert array.flags.aligned


@given(blocks())
def test_same_block_same_bytes(block: Block):
    """Encoding is a function of the block: also the padding."""
    assert frames(codec().encode(block)) == frames(codec().encode(as_received(block)))


@given(st.integers(0, 200))
def test_form_does_not_depend_on_where_the_message_lies(shift: int):
    """Also a body at an odd address is decoded into aligned arrays: kernels see one form only."""
    header, body, trailer, schema = frames(codec().encode(example()))
    moved = memoryview(bytes(shift) + body)[shift:]
    decoded = codec().decode([header, moved, trailer, schema], peer="peer")
    assert all(array.flags.aligned for array in decoded.events.arrays().values())
    assert_same(decoded.events, example().events)


def example() -> Block:
    """Return a block of a few events."""
    events = random_batch(5, np.random.default_rng(1))
    return Block(12, 100, 8, events, {"all.outcome": np.arange(8, dtype="u1")}, {"begin_ns": 5})


@given(st.integers(0, 3), st.data())
def test_cut_short_is_a_wire_error(which: int, data: st.DataObject):
    """Wherever a frame is cut, callers see WireError and nothing else."""
    parts = frames(codec().encode(example()))
    parts[which] = parts[which][: data.draw(st.integers(0, len(parts[which]) - 1))]
    with pytest.raises(WireError):
        codec().decode(parts, peer="peer")


@given(st.integers(0, 3), st.data())
def test_flipped_bit_is_a_wire_error(which: int, data: st.DataObject):
    """One flipped bit, anywhere, is found."""
    parts = frames(codec().encode(example()))
    at = data.draw(st.integers(0, 8 * len(parts[which]) - 1))
    damaged = bytearray(parts[which])
    damaged[at // 8] ^= 1 << at % 8
    parts[which] = bytes(damaged)
    with pytest.raises(WireError):
        codec().decode(parts, peer="peer")


@given(st.lists(st.binary(max_size=200), max_size=6))
def test_noise_is_a_wire_error(noise: list[bytes]):
    """Bytes that were never a block are refused."""
    with pytest.raises(WireError):
        codec().decode(noise, peer="peer")


def signed(header: bytes, body: bytes, schema: bytes) -> list[bytes]:
    """Return frames with a valid checksum: what a peer would send that means something else."""
    return [header, body, _checksum(header, body), schema]


FIELDS = [
    "magic",
    "version",
    "attempt",
    "run",
    "arrays",
    "block",
    "first",
    "schema",
    "menu",
    "events",
    "alive",
    "notes",
]


def with_field(name: str, value: object) -> list[bytes]:
    """Return a block whose header says something else, correctly signed."""
    header, body, _, schema = frames(codec().encode(example()))
    head = list(HEADER.unpack(header))
    head[FIELDS.index(name)] = value
    return signed(HEADER.pack(*head), body, schema)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("magic", b"NOPE", "magic b'NOPE'"),
        ("version", 2, "version 2, must be 1"),
        ("run", 8, "block 12: run 8, must be 7"),
        ("menu", 1, "block 12: menu 0000000000000001, must be feedfacecafebeef"),
        ("schema", 5, "block 12: schema does not have the hash"),
        ("arrays", 3, "block 12: header announces 3 arrays"),
        ("events", 4, "block 12: 5 events alive of 4"),
        ("events", 9, "block 12: table 'all.outcome' has 8 rows, must have 9"),
        ("alive", 4, "block 12: shape of run"),
        ("notes", 200, "block 12: sections end at byte"),
        ("notes", 3, "block 12: notes: "),
    ],
)
def test_what_belongs_elsewhere_is_named(name: str, value: object, rule: str):
    """A sound block of another run, menu, version or shape is refused with peer, block and field."""
    with pytest.raises(WireError, match=f"^l1-0: .*{rule}"):
        codec().decode(with_field(name, value), peer="l1-0")


def test_rows_that_do_not_fill_the_body():
    """A row count that does not fit the body, even an absurd one, is refused before anything is read."""
    header, body, _, schema = frames(codec().encode(example()))
    for rows in (600, 2**63, 2**64 - 1):
        changed = rows.to_bytes(8, "little") + body[8:]
        with pytest.raises(WireError, match="block 12: sections end at byte"):
            codec().decode(signed(header, changed, schema), peer="peer")


def test_offsets_that_run_backwards():
    """Offsets that no batch may have do not get past the codec."""
    good = random_batch(5, np.random.default_rng(1), mean_objects=3.0)
    backwards = good["clusters.offsets"].copy()
    backwards[2] = 99
    events = EventBatch(5, good.arrays() | {"clusters.offsets": backwards}, check=False)
    sent = frames(codec().encode(Block(12, 100, 8, events)))
    with pytest.raises(WireError, match=r"block 12: clusters.offsets\[3\]: must not run backwards"):
        codec().decode(sent, peer="peer")


def test_schema_travels_once():
    """Without schema the block is refused until the schema was seen once; the block can be asked for by number."""
    sent, receiver = codec().encode(example()), codec()
    with pytest.raises(WireError, match="block 12: unknown schema") as caught:
        receiver.decode(frames(sent, schema=False), peer="peer")
    assert caught.value.block == 12
    receiver.decode(frames(sent), peer="peer")
    assert receiver.decode(frames(sent, schema=False), peer="peer").number == 12


def test_a_number_is_trusted_only_if_the_checksum_is_right():
    """A damaged header can't make us ask for the wrong block."""
    header, body, _, schema = frames(codec().encode(example()))
    with pytest.raises(WireError, match="checksum differs") as caught:
        codec().decode([header, body, TRAILER.pack(0), schema], peer="peer")
    assert caught.value.block is None


def test_a_table_of_wrong_length_is_not_sent():
    """The mistake is reported where it was made."""
    with pytest.raises(ValueError, match=r"table 'kept.l1' has 4 rows, must have 5"):
        codec().encode(Block(0, 0, 8, example().events, {"kept.l1": np.zeros(4)}))
    with pytest.raises(ValueError, match="table 'other'"):
        codec().encode(Block(0, 0, 8, example().events, {"other": np.zeros(8)}))
