"""All input bits together: against the public simulation, in either reading of its quirks, on whatever comes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from daq.errors import EventError
from daq.event import EventBatch
from daq.jit import Array
from tests.batches import random_batch
from tests.triggers.vectors import ECL_SAMPLE, GRL_SAMPLE, TABLE, bits_of, columns_of, ready_of, sample_batch
from triggers.bits import words_of
from triggers.input_bits import origin_of
from triggers.inputs import INPUT_MEANINGS, INPUT_NAMES, QUIRKS, input_planes

SAMPLES = {"ecl": ECL_SAMPLE, "grl": GRL_SAMPLE}
N_BITS = {"ecl": 64, "grl": 127}  # of the reference that we compute: 63 and 127 bits, and bhabha2d


def compared(table: pa.Table) -> list[str]:
    """Return the bits that a file and we have; ``i2io`` is a counter there, which is copied to no bit."""
    return [name for name in INPUT_NAMES if name in table.column_names and table[name].type == pa.bool_()]


def assert_exact(table: pa.Table, dtype: type, n_bits: int) -> None:
    """Fail unless every bit of every event is that of the reference."""
    bits, malformed = bits_of(table, dtype)
    names = compared(table)
    assert len(names) == n_bits
    wrong = {name: np.flatnonzero(bits[name] != table[name].to_numpy())[:5].tolist() for name in names}
    assert not any(wrong.values()), {name: rows for name, rows in wrong.items() if rows}
    assert not malformed.any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", SAMPLES)
def test_sample_of_the_public_simulation(kind: str, dtype: type):
    """Every bit of every event is that of the reference, in either precision, from cells and from ready clusters."""
    assert_exact(pq.read_table(SAMPLES[kind]), dtype, N_BITS[kind])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "n_events"), [("ecl", 4000), ("grl", 3800)])
def test_all_vectors_of_the_public_simulation(shared: Path, kind: str, n_events: int, dtype: type):
    """Every bit of all shared events is that of the reference."""
    table = pq.read_table(shared / "data" / f"l1_{kind}_vectors.parquet")
    assert table.num_rows == n_events
    assert_exact(table, dtype, N_BITS[kind])


@pytest.mark.parametrize("kind", SAMPLES)
def test_sample_has_every_bit_set_and_unset(kind: str):
    """The sample would notice a bit that is stuck."""
    table = pq.read_table(SAMPLES[kind])
    stuck = {"ecl": {"ecl_bha", "bha_type_0", "clst_3"}, "grl": set()}[kind]
    for name in set(compared(table)) - stuck:
        assert 4 <= table[name].to_numpy().sum() <= table.num_rows - 4, name


def check_ideal_ecl(table: pa.Table) -> None:
    """Fail unless the ideal bits of the 2D Bhabha are the hidden decision and the raw combinations, in their order."""
    bits, _ = bits_of(table, quirks="ideal")
    assert_array_equal(bits["ecl_bha"], table["bhabha2d"].to_numpy())
    combinations = np.array(table["bhabha2d_comb"].to_pylist())
    assert combinations.any(axis=0).all()
    for k in range(14):
        assert_array_equal(bits[f"bha_type_{k}"], combinations[:, k])


def check_ideal_grl(table: pa.Table) -> None:
    """Fail unless the ideal bits are those of the counters that the simulation makes and does not send."""
    bits, _ = bits_of(table, quirks="ideal")
    counts = {name: table[name].to_numpy().astype(int) for name in table.column_names if name.startswith("n_")}
    assert_array_equal(bits["i2io"], table["i2io"].to_numpy() > 0)
    assert_array_equal(bits["iecl_0"], counts["n_iecl"] > 0)
    assert_array_equal(bits["iecl_1"], counts["n_iecl"] > 1)
    assert_array_equal(bits["ecleklm"], counts["n_ecleklm"] > 0)
    assert_array_equal(bits["seklm_0"], counts["n_sklm_fwd"] + counts["n_sklm_bwd"] == 1)
    assert_array_equal(bits["seklm_1"], counts["n_sklm_fwd"] + counts["n_sklm_bwd"] > 1)
    masks = {name: table[f"{name}_fwd"].to_numpy().astype(int) for name in ("bklm_mask", "eklm_mask")}
    barrel = masks["bklm_mask"] | table["bklm_mask_bwd"].to_numpy()
    n_barrel = sum(barrel >> k & 1 for k in range(8))
    n_endcap = sum((masks["eklm_mask"] >> k & 1) + (table["eklm_mask_bwd"].to_numpy() >> k & 1) for k in range(4))
    for part, count in (("klm", n_barrel), ("eklm", n_endcap)):
        assert_array_equal(bits[f"{part}_hit"], count > 0)
        for k in range(3):
            assert_array_equal(bits[f"{part}_{k}"], count >> k & 1 == 1)


CHECKS: dict[str, Callable[[pa.Table], None]] = {"ecl": check_ideal_ecl, "grl": check_ideal_grl}


@pytest.mark.parametrize("kind", SAMPLES)
def test_ideal_bits_of_the_sample(kind: str):
    """What the simulation hides comes out."""
    CHECKS[kind](pq.read_table(SAMPLES[kind]))


@pytest.mark.parametrize("kind", SAMPLES)
def test_ideal_bits_of_all_vectors(shared: Path, kind: str):
    """What the simulation hides comes out, in all shared events."""
    CHECKS[kind](pq.read_table(shared / "data" / f"l1_{kind}_vectors.parquet"))


@pytest.mark.parametrize("kind", SAMPLES)
def test_quirks_change_the_bits_that_they_name_and_no_others(kind: str):
    """The switch touches what its table lists; each bit of the table that the file can show does change."""
    table = pq.read_table(SAMPLES[kind])
    belle2, ideal = bits_of(table)[0], bits_of(table, quirks="ideal")[0]
    changed = {name for name in INPUT_NAMES if (belle2[name] != ideal[name]).any()}
    assert changed <= set(QUIRKS)
    shown = {"ecl": ("ecl_bha", "bha_type"), "grl": ("klm", "eklm", "seklm", "i2io", "iecl_", "ecleklm")}[kind]
    quiet = {"ieklm"}  # the reference has no event where the missing bin matters
    assert {name for name in QUIRKS if name.startswith(shown)} - quiet <= changed
    constant = {name for name, quirk in QUIRKS.items() if quirk.is_constant}
    for name in constant - ({"ecl_bha", "bha_type_0"} if kind == "grl" else set()):
        assert not belle2[name].any(), name


def test_every_input_of_the_menus_is_computed_or_constant_with_a_reason(shared: Path):
    """No bit of a shared menu is 0 without a word; constants that we do not compute at all are not among the bits."""
    for version in ("0010", "0021", "0036"):
        lines = (shared / "data" / "gdl" / f"ftd_{version}.inp").read_text(encoding="utf-8").splitlines()
        names = {line.split()[1] for line in lines if line.strip()}
        for name in names - set(INPUT_NAMES):
            assert origin_of(name).constant, name
            assert origin_of(name).meaning != "not known", name
    assert set(QUIRKS) <= set(INPUT_NAMES)
    assert all(INPUT_MEANINGS.values())
    assert INPUT_NAMES[-1] == "veto"


BATCH = sample_batch()


@given(st.lists(st.integers(0, BATCH.size), max_size=3))
@settings(max_examples=20)
def test_blocks_do_not_matter(cuts: list[int]):
    """One block or up to four: the same bits, the same malformed events."""
    whole, malformed = input_planes(BATCH, BATCH.size, TABLE)
    words, bad = [], []
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), BATCH.size], strict=True):
        planes, flags = input_planes(BATCH.take(np.arange(begin, end)), end - begin, TABLE)
        words.append(words_of(planes, end - begin))
        bad.append(flags)
    assert_array_equal(np.concatenate(words), words_of(whole, BATCH.size))
    assert_array_equal(np.concatenate(bad), malformed)


def test_a_mapping_gives_what_a_batch_gives():
    """Any integers, either precision; groups that are not there are empty."""
    planes, _ = input_planes(BATCH, BATCH.size, TABLE)
    mapping = {
        name: BATCH[name].astype(np.int64 if BATCH[name].dtype.kind in "iu" else "f4") for name in BATCH.arrays()
    }
    assert_array_equal(input_planes(mapping, BATCH.size, TABLE)[0], planes)
    empty, malformed = input_planes({}, 3, TABLE)
    assert [name for name, plane in zip(INPUT_NAMES, empty, strict=True) if plane[0]] == ["seklm_0"]
    assert not malformed.any()


@given(st.integers(0, 2**32 - 1), st.integers(0, 70), st.sampled_from(["belle2", "ideal"]))
@settings(max_examples=40)
def test_whatever_comes_is_survived(seed: int, size: int, quirks: str):
    """Random numbers in every array, with some that are none: bits for every event, the same each time."""
    rng = np.random.default_rng(seed)
    arrays = random_batch(size, rng).arrays()
    for name, array in arrays.items():
        if array.dtype.kind == "f" and array.size:
            strange = rng.choice([np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30], array.shape)
            arrays[name] = np.where(rng.random(array.shape) < 0.2, strange, array).astype(array.dtype)
    batch = EventBatch(size, arrays)
    planes, malformed = input_planes(batch, size, TABLE, quirks=quirks)  # type: ignore[arg-type]
    assert planes.shape == (len(INPUT_NAMES), -(-size // 64))
    assert_array_equal(planes, input_planes(batch, size, TABLE, quirks=quirks)[0])  # type: ignore[arg-type]
    for k in range(size):
        hits = slice(*arrays["tc.offsets"][k : k + 2])
        ids, gev = arrays["tc.id"][hits].astype(int), arrays["tc.energy_gev"][hits]
        sound = np.isfinite(gev).all() and (gev > 0).all() and np.isfinite(arrays["tc.time_ns"][hits]).all()
        sound &= (np.diff(ids, prepend=0) > 0).all() and (ids <= 576).all()
        tracks = slice(*arrays["trknn.offsets"][k : k + 2])
        sound &= all(np.isfinite(arrays[f"trknn.{name}"][tracks]).all() for name in ("phi0", "omega", "z0_cm"))
        sound &= (arrays["klm_track_sectors"][slice(*arrays["klm_track_sectors.offsets"][k : k + 2])] < 8).all()
        assert sound or malformed[k]


def changed(table: pa.Table, name: str, value: object) -> dict[str, Array]:
    """Return the primitives of a file with another first number in one array."""
    arrays = columns_of(table)
    array = arrays[name].astype(np.float64 if isinstance(value, float) else np.int64)
    array[0] = value
    return arrays | {name: array}


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("ecl", "tc.id", 0),
        ("ecl", "tc.id", 577),
        ("ecl", "tc.id", -1),
        ("ecl", "tc.id", 2**40 + 1),
        ("ecl", "tc.energy_gev", np.nan),
        ("ecl", "tc.energy_gev", np.inf),
        ("ecl", "tc.energy_gev", -0.5),
        ("ecl", "tc.energy_gev", 0.0),
        ("ecl", "tc.time_ns", np.nan),
        ("ecl", "tc.time_ns", -np.inf),
        ("grl", "trk2d.phi0", np.nan),
        ("grl", "trk3d.omega", 2.0),
        ("grl", "trknn.cot_theta", np.inf),
        ("grl", "segments", 2336),
        ("grl", "segments", -1),
        ("grl", "klm_track_sectors", 8),
        ("grl", "klm_track_sectors", -1),
        ("grl", "bklm_mask_fwd", 256),
        ("grl", "eklm_mask_bwd", 16),
        ("grl", "eklm_mask_fwd", -1),
    ],
)
def test_what_cannot_be_is_flagged(kind: str, name: str, value: float):
    """The event that has it is malformed, and no other."""
    table = pq.read_table(SAMPLES[kind])
    _, malformed = input_planes(changed(table, name, value), table.num_rows, TABLE, ready=ready_of(table))
    group = name.split(".", maxsplit=1)[0]
    offsets = columns_of(table).get(f"{group}.offsets", np.arange(table.num_rows + 1))
    assert np.flatnonzero(malformed).tolist() == [int(np.flatnonzero(offsets[1:] > 0)[0])]


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("tc.offsets", [0, 2, 1, 3], r"tc\.offsets\[2\]: must not run backwards"),
        ("tc.offsets", [1, 2, 3, 3], r"tc\.offsets\[0\] = 1: must start at 0"),
        ("tc.offsets", [0, 1, 2, 4], r"tc\.offsets\[-1\] = 4: must end at the number of objects, 3"),
        ("tc.offsets", [0, 1, 3], r"shape of tc\.offsets = \(3,\): must have shape \(4,\)"),
        ("tc.offsets", [0.0, 1.0, 2.0, 3.0], "type of tc.offsets = 'float64': must be int64"),
        ("tc.energy_gev", [1.0, 1.0], r"shape of tc\.energy_gev = \(2,\): must have shape \(3,\)"),
        ("tc.energy_gev", ["a", "b", "c"], "type of tc.energy_gev = '<U1': must be float64"),
        ("tc.id", [1.0, 2.0, 3.0], "type of tc.id = 'float64': must be int64"),
        ("cdc_t0", [1, 2], r"shape of cdc_t0 = \(2,\): must have shape \(3,\)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, value: list[object], rule: str):
    """No kernel sees them; the error names array, value and rule."""
    arrays = {
        "tc.offsets": np.array([0, 1, 2, 3]),
        "tc.id": np.array([90, 90, 90]),
        "tc.energy_gev": np.array([1.0, 1.0, 1.0]),
        "tc.time_ns": np.zeros(3),
    }
    input_planes(arrays, 3, TABLE)
    with pytest.raises(EventError, match=rule):
        input_planes(arrays | {name: np.array(value)}, 3, TABLE)


def test_sizes_must_agree():
    """A batch or ready objects of another number of events are refused."""
    with pytest.raises(EventError, match="must hold 5 events"):
        input_planes(BATCH, 5, TABLE)
    with pytest.raises(EventError, match="must hold 5 events"):
        input_planes({}, 5, TABLE, ready=ready_of(pq.read_table(GRL_SAMPLE)))
