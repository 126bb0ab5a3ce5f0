"""Tables as requests: what is wrong is found, and what is right is read, whether quickly or not."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contract import rules
from assay.contract.spec import Contract
from assay.data.columns import from_rows
from assay.inference import tables
from assay.inference.predictor import PredictionBatch, record
from assay.properties.strategies import as_table, breaches, rows
from assay.serve.arrow import read_table, write_table
from assay.serve.refusal import Refused
from examples import contract, row
from served import sent

WARD = contract()
MOST = 5


def encoded(table: pa.Table) -> bytes:
    return sent(table)


def read(table: pa.Table, made: Contract = WARD) -> tuple[Any, list[str]]:
    """Return the columns of a table and what is wrong with it; where nothing is, slowly and quickly are the same."""
    data, violations = read_table(encoded(table), made, MOST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_right", lambda table, contract: None)
        slow, found = read_table(encoded(table), made, MOST)
    assert violations == found
    same(data, slow)
    return data, [str(violation) for violation in violations]


def same(data: Any, wanted: Any) -> None:
    assert data.keys() == wanted.keys()
    for name, values in wanted.items():
        np.testing.assert_array_equal(data[name], values)
        assert data[name].dtype == values.dtype


def features(made: list[dict[str, Any]]) -> pa.Table:
    table = as_table(made, WARD)
    return table.select(list(WARD.features))


@given(data=st.lists(rows(WARD), min_size=1, max_size=MOST))
def test_rows_of_the_contract_are_read_as_they_are(data: list[dict[str, Any]]) -> None:
    found, violations = read_table(encoded(features(data)), WARD, MOST)
    assert not violations
    same(found, {name: values for name, values in from_rows(data, WARD).items() if name in WARD.features})


def test_a_table_of_the_types_of_the_contract_is_read_quickly() -> None:
    only = WARD.model_copy(update={"columns": WARD.features})
    assert tables._right(features([row(), row()]), only) is not None


@pytest.mark.parametrize(("name", "rule", "values"), [one for one in breaches(WARD) if one[0] in WARD.features])
@settings(max_examples=10)
@given(data=st.data())
def test_a_value_that_breaks_the_contract_is_named(name: str, rule: str, values: Any, data: st.DataObject) -> None:
    (violation,) = read(features([row(), row(**{name: data.draw(values)})]))[1]
    assert violation.startswith(f"column {name!r}")
    assert rule in violation


def test_the_ends_of_a_range_belong_to_it_and_what_is_next_to_them_does_not() -> None:
    lowest, highest = -1.5, 60.0
    for inside, outside in ((lowest, np.nextafter(lowest, -2)), (highest, np.nextafter(highest, 61))):
        assert not read(features([row(**{"1st": inside})]))[1]
        assert read(features([row(**{"1st": outside})]))[1]


@pytest.mark.parametrize("name", [name for name, column in WARD.features.items() if column.missing == "allow"])
def test_a_column_that_may_have_gaps_may_have_nothing_else(name: str) -> None:
    assert not read(features([row(**{name: None})]))[1]


@pytest.mark.parametrize("name", [name for name, column in WARD.features.items() if column.missing == "refuse"])
def test_a_gap_is_refused_where_the_contract_has_none(name: str) -> None:
    (violation,) = read(features([row(), row(**{name: None})]))[1]
    assert "missing value" in violation
    assert read(features([row(**{name: None})]))[1]


def test_columns_that_the_model_does_not_use_may_be_there_and_no_others() -> None:
    table = as_table([row()], WARD)
    assert set(table.column_names) > set(WARD.features)
    assert not read(table)[1]
    (violation,) = read(table.append_column("other", pa.array([1])))[1]
    assert "column 'other': unknown column" in violation
    (violation,) = read(table.drop_columns(["schema"]))[1]
    assert "missing column" in violation


@pytest.mark.parametrize(("values", "kept"), [(["0815"], [["0815"]]), ([7], [[7]]), ([7.5], ()), (None, ())])
def test_ids_are_kept_for_the_log_as_texts_and_whole_numbers(values: Any, kept: Any) -> None:
    table = features([row()])
    if values:
        table = table.append_column("patient", pa.array(values))
    assert read_table(encoded(table), WARD, MOST)[0].ids == kept  # type: ignore[attr-defined]


OTHERS = [pa.float32(), pa.int64(), pa.string(), pa.large_string()]


@pytest.mark.parametrize("kind", OTHERS)
def test_values_may_have_another_type_that_holds_the_same(kind: pa.DataType) -> None:
    table = features([row(**{"1st": 3.0})])
    place = table.column_names.index("1st")
    if pa.types.is_large_string(kind):
        place = table.column_names.index("c0")
    changed = table.set_column(place, table.column_names[place], table.column(place).cast(kind))
    same(read(changed)[0], read(table)[0])


def test_a_whole_number_that_no_float_holds_is_refused() -> None:
    (violation,) = read(features([row(count=2**53 + 1)]))[1]
    assert "above the range" in violation


@pytest.mark.parametrize("body", [b"", b"no table", encoded(features([row()]))[:-50]])
def test_a_body_that_is_not_a_complete_table_is_refused(body: bytes) -> None:
    found = refused(body)
    assert found.status == 400
    assert found.error.startswith("the body is not a complete Arrow stream: ")


def test_more_rows_than_are_accepted_are_too_large() -> None:
    assert refused(encoded(features([row()] * (MOST + 1)))).status == 413


def refused(body: bytes, made: Contract = WARD, most: int = MOST) -> Refused:
    with pytest.raises(Refused) as caught:
        read_table(body, made, most)
    assert "\n" not in caught.value.error
    return caught.value


def streamed(*batches: pa.RecordBatch, **how: Any) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, batches[0].schema, options=pa.ipc.IpcWriteOptions(**how)) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


# A pool has to outlive all that was taken from it.
POOLS: list[pa.MemoryPool] = []


def allocated(read: Callable[[], Any]) -> int:
    """Return how many bytes Arrow allocates at most while something is read."""
    pool = pa.proxy_memory_pool(pa.default_memory_pool())
    POOLS.append(pool)
    before = pa.default_memory_pool()
    pa.set_memory_pool(pool)
    try:
        read()
    finally:
        pa.set_memory_pool(before)
    return int(pool.max_memory())


LONG = "x" * 20_000_000
# What a stream ends with.
END = b"\xff\xff\xff\xff\x00\x00\x00\x00"
COMPRESSED = ("the table is compressed, or its buffers are out of bounds; send it uncompressed", 400)


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
def test_a_compressed_table_is_refused_before_it_is_unpacked(compression: str) -> None:
    (batch,) = pa.table({"note": [LONG]}).to_batches()
    body = streamed(batch, compression=compression)
    assert len(body) < len(LONG) / 100
    assert allocated(lambda: refused(body)) < len(LONG) / 100
    found = refused(body)
    assert (found.error, found.status) == COMPRESSED


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("name", WARD.features)
def test_a_table_is_refused_for_one_compressed_column_of_any_kind(name: str, compression: str) -> None:
    (batch,) = features([row()] * MOST).select([name]).to_batches()
    found = refused(streamed(batch, compression=compression))
    assert (found.error, found.status) == COMPRESSED


def test_a_compressed_column_that_is_not_asked_for_is_not_unpacked() -> None:
    (batch,) = pa.table({"other": [LONG]}).to_batches()
    body = streamed(batch, compression="zstd")
    assert allocated(lambda: read_table(body, WARD, MOST)) < len(LONG) / 100


def test_a_compressed_batch_after_others_is_refused() -> None:
    (batch,) = features([row()]).to_batches()
    plain, packed = streamed(batch), streamed(batch, compression="zstd")
    schema = pa.ipc.MessageReader.open_stream(packed).read_next_message().serialize().size
    found = refused(plain.removesuffix(END) + packed[schema:])
    assert (found.error, found.status) == COMPRESSED


def test_rows_of_all_batches_are_counted_before_any_is_read() -> None:
    (batch,) = features([row()]).to_batches()
    body = streamed(*[batch] * (MOST + 1), batch.slice(0, 0))
    assert refused(body[:-100]).status == 413


@pytest.mark.parametrize("name", ["99", "patient"])
def test_a_table_with_none_of_the_columns_is_refused(name: str) -> None:
    status, said = answered(encoded(pa.table({name: ["a", "b"]})))
    assert status == 422
    assert "column '1st': missing column: not in the data" in "; ".join(said)


EXPANDING = {
    "dictionary": pa.array(["red"] * MOST).dictionary_encode(),
    "dictionary of views": pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(["red"], pa.string_view())),
    "string_view": pa.array(["red"] * MOST, pa.string_view()),
    "binary_view": pa.array([b"red"] * MOST, pa.binary_view()),
}


@pytest.mark.parametrize("kind", EXPANDING)
@pytest.mark.parametrize("name", ["c0", "other"])
def test_values_that_may_stand_for_many_are_refused_with_what_to_send(name: str, kind: str) -> None:
    body = encoded(pa.table({name: EXPANDING[kind]}))
    if name == "other" and "view" in kind and "dictionary" not in kind:
        # It is not read, and only its name is wrong.
        assert answered(body)[0] == 422
        return
    found = refused(body)
    assert found.status == 400
    assert "send " in found.error
    assert "plain values" in found.error


SIZES = {
    "nothing at all": pa.RecordBatch.from_arrays([pa.nulls(1)], ["1st"]),
    "numbers": pa.RecordBatch.from_arrays([pa.array([1.0])], ["1st"]),
    "texts": pa.RecordBatch.from_arrays([pa.array(["x"])], ["note"]),
    "empty bytes": pa.RecordBatch.from_arrays([pa.array([b""], pa.binary(0))], ["c0"]),
    "a struct of nothing": pa.RecordBatch.from_arrays([pa.array([{}], pa.struct([]))], ["c0"]),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("rows", [2, 10**6, 2**31 - 1, 2**62, -1, -(2**62)])
@pytest.mark.parametrize("most", [MOST, 10**7])
def test_a_batch_that_lies_about_its_rows_is_refused(name: str, rows: int, most: int) -> None:
    body = streamed(SIZES[name])
    schema = pa.ipc.open_stream(body).schema
    start = pa.ipc.MessageReader.open_stream(body).read_next_message().serialize().size
    assert schema == SIZES[name].schema
    one = (1).to_bytes(8, "little")
    places = [place for place in range(start, len(body) - 8) if body[place : place + 8] == one]
    assert places
    for changed in ([place] for place in places), [places]:
        for which in changed:
            lying = bytearray(body)
            for place in which:
                lying[place : place + 8] = rows.to_bytes(8, "little", signed=True)
            assert answered(bytes(lying), most)[0] in (200, 400, 413, 422)
            assert allocated(lambda: answered(bytes(lying), most)) < 10**6 or rows <= most  # noqa: B023


def test_buffers_that_overlap_are_refused() -> None:
    body = encoded(pa.table({"c0": ["x" * 10_000], "note": ["y"]}))
    message = list(pa.ipc.MessageReader.open_stream(body))[1]
    content = message.body.to_pybytes()
    long, short = (
        body.index(struct.pack("<qq", content.index(letter), size)) for letter, size in ((b"x", 10_000), (b"y", 1))
    )
    # The ends of the texts, and the texts themselves, of one column become those of the other.
    body = body[: short - 16] + body[long - 16 : long + 16] + body[short + 16 :]
    found = refused(body)
    assert (found.status, found.error) == (400, "the body is not a complete Arrow stream: its buffers overlap")


@pytest.mark.parametrize("names", [["c0", "c0"], ["other", "other"], ["patient", "patient"]])
def test_a_column_that_occurs_twice_is_refused(names: list[str]) -> None:
    found = refused(encoded(pa.table([["a"], ["a"]], names)))
    assert (found.status, found.error) == (422, f"column {names[0]!r} occurs twice")


@pytest.mark.parametrize("table", [features([row()]).slice(0, 0), as_table([], WARD), pa.table({"other": []})])
def test_a_table_without_rows_is_refused_as_a_list_without_rows_is(table: pa.Table) -> None:
    found = refused(encoded(table))
    assert (found.status, found.error) == (422, "rows: expected at least 1 row, got none")
    assert found.reason == "contract"


def test_a_stream_without_batches_is_one_without_rows() -> None:
    sink = io.BytesIO()
    pa.ipc.new_stream(sink, features([row()]).schema).close()
    assert refused(sink.getvalue()).status == 422


HOSTILE = """
import io, resource, sys
import pyarrow as pa
from assay.serve.arrow import read_table
from assay.serve.refusal import Refused
from examples import contract, row
from assay.properties.strategies import as_table

def body(table, **how):
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**how)) as writer:
        writer.write_table(table)
    return sink.getvalue()

def ask(body):
    try:
        read_table(body, made, 10_000)
    except Refused:
        pass

made = contract()
table = as_table([row()], made).select(list(made.features))
ask(body(table))
text = "x" * 200_000_000
bombs = [
    body(pa.table({"note": [text]}), compression="zstd"),
    body(pa.table({"note": [text]}), compression="lz4"),
    body(pa.table({"note": pa.array([text]).dictionary_encode()}), compression="zstd"),
    body(pa.table({"note": pa.DictionaryArray.from_arrays(pa.array([0] * 10_000), pa.array(["x" * 100_000]))})),
    body(pa.table({"other": [text], "note": ["x"]}), compression="zstd"),
    body(pa.table({"note": pa.nulls(10**9)})),
    body(pa.table({f"other {number}": [1] for number in range(20_000)})),
]
assert max(map(len, bombs)) < 10_000_000
del text
print(*(len(bomb) for bomb in bombs))
sys.stdout.flush()
# What was used to make them counts no more.
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
def used():
    lines = dict(line.split(":") for line in open("/proc/self/status") if line.startswith(("VmHWM", "VmRSS")))
    return {name: 1024 * int(value.split()[0]) for name, value in lines.items()}
before = used()["VmRSS"]
for bomb in bombs:
    ask(bomb)
print(used()["VmHWM"] - before)
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="the peak of memory can be read on Linux only")
def test_a_hostile_body_takes_no_more_memory_than_a_small_multiple_of_its_size() -> None:
    run = subprocess.run(
        [sys.executable, "-c", HOSTILE], cwd=Path(__file__).parents[1], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    sizes, grown = run.stdout.splitlines()
    assert int(grown) < 10 * max(map(int, sizes.split()))


UNITS = st.sampled_from(["s", "ms", "us", "ns"])
DECIMALS = st.sampled_from([(pa.decimal32, 9), (pa.decimal64, 18), (pa.decimal128, 38), (pa.decimal256, 76)])
PLAIN = st.one_of(
    st.sampled_from([pa.null(), pa.bool_(), pa.bool8(), pa.uuid(), pa.json_(), pa.month_day_nano_interval()]),
    st.sampled_from([pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64()]),
    st.sampled_from([pa.float16(), pa.float32(), pa.float64(), pa.date32(), pa.date64()]),
    st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
    st.sampled_from([pa.binary(), pa.large_binary(), pa.binary_view(), pa.binary(0), pa.binary(3)]),
    st.sampled_from([pa.time32("s"), pa.time32("ms"), pa.time64("us"), pa.time64("ns")]),
    UNITS.map(pa.duration),
    st.builds(pa.timestamp, UNITS, st.sampled_from([None, "UTC", "Europe/Berlin", "+01:00", "no zone"])),
    DECIMALS.flatmap(
        lambda made: st.builds(
            made[0], st.integers(1, made[1]), st.integers(-3, 80) | st.sampled_from([-(2**31), 2**31 - 1])
        )
    ),
)


def nested(inner: st.SearchStrategy[pa.DataType]) -> st.SearchStrategy[pa.DataType]:
    # pyarrow makes no union of nothing: it ends the process.
    fields = st.lists(inner, min_size=1, max_size=2).map(lambda kinds: [*map(pa.field, "ab", kinds)])
    return st.one_of(
        st.builds(pa.list_, inner, st.integers(-1, 2)),
        st.one_of(inner.map(pa.large_list), inner.map(pa.list_view), inner.map(pa.large_list_view)),
        fields.map(pa.struct),
        fields.map(pa.dense_union),
        fields.map(pa.sparse_union),
        st.builds(pa.map_, inner.filter(lambda kind: kind != pa.null()), inner),
        st.builds(pa.dictionary, st.sampled_from([pa.int8(), pa.uint64()]), inner),
        st.builds(pa.run_end_encoded, st.sampled_from([pa.int16(), pa.int64()]), inner),
    )


KINDS = st.recursive(PLAIN, nested, max_leaves=3)
NUMBERS = st.binary(min_size=64, max_size=64)


def filled(kind: pa.DataType, size: int, data: bytes) -> pa.Array:
    """Return some values of a type, of which nothing is said but that Arrow takes them for values."""
    if pa.types.is_dictionary(kind):
        words = filled(kind.value_type, 1, data)
        return pa.DictionaryArray.from_arrays(pa.array([0] * size, kind.index_type), words)
    if pa.types.is_run_end_encoded(kind):
        return pa.RunEndEncodedArray.from_arrays(
            pa.array([size], kind.run_end_type), filled(kind.value_type, 1, data), kind
        )
    if isinstance(kind, pa.BaseExtensionType):
        return pa.ExtensionArray.from_storage(kind, filled(kind.storage_type, size, data))
    if pa.types.is_struct(kind) and kind.num_fields:
        return pa.StructArray.from_arrays([filled(one.type, size, data) for one in kind], fields=list(kind))
    if pa.types.is_list(kind):
        ends = pa.array(range(size + 1), pa.int32())
        return pa.ListArray.from_arrays(ends, filled(kind.value_type, size, data), kind)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if is_text or kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
        text = data.hex()[: data[0] % 32]
        return pa.array([text if is_text else data[: data[0] % 32]] * size, kind)
    if pa.types.is_primitive(kind) or pa.types.is_decimal(kind) or pa.types.is_fixed_size_binary(kind):
        cell = data[: max(kind.bit_width // 8, 1)]
        return pa.Array.from_buffers(kind, size, [None, pa.py_buffer(cell * size)])
    return pa.nulls(size, kind)


NAMES = [*WARD.features, "patient", "scribble", "other"]


def answered(body: bytes, most: int = MOST) -> tuple[int, list[str]]:
    """Return the status of an answer to a table, and what is said of it, if that is all."""
    try:
        data, violations = read_table(body, WARD, most)
    except Refused as error:
        return error.status, [error.error]
    assert violations or len({len(values) for values in data.values()}) == 1
    return 422 if violations else 200, [str(violation) for violation in violations]


@settings(max_examples=max(100, settings().max_examples), deadline=None)
@given(
    kind=KINDS,
    name=st.sampled_from(NAMES),
    size=st.integers(1, 3),
    data=NUMBERS,
)
def test_a_column_of_any_type_is_read_or_refused(kind: pa.DataType, name: str, size: int, data: bytes) -> None:
    table = features([row()] * size)
    others = [one for one in table.column_names if one != name]
    try:
        odd = table.select(others).append_column(name, filled(kind, size, data))
        body = encoded(odd)
    except (pa.ArrowException, OSError):
        # Nobody can send what Arrow cannot write.
        return
    status, said = answered(body)
    assert status in (200, 400, 422)
    assert not [line for line in said if "\n" in line or (status == 422 and f"column {name!r}" not in line)]


UNREADABLE = [
    pa.array([[1], [2]]),
    pa.array([{"a": 1}, None]),
    pa.RunEndEncodedArray.from_arrays([2], ["red"]),
    pa.nulls(2, pa.dense_union([pa.field("a", pa.int8())])),
]


@pytest.mark.parametrize("values", UNREADABLE, ids=lambda values: str(values.type))
def test_a_column_of_a_type_that_holds_no_such_values_is_named(values: pa.Array) -> None:
    table = features([row(), row()])
    for name in ("c0", "_x"):
        (violation,) = read(table.drop_columns([name]).append_column(name, values))[1]
        assert violation.startswith(f"column {name!r}")
        assert rules.wrong_type(WARD.features[name]) in violation


def test_a_decimal_with_a_scale_beyond_all_bounds_is_no_number() -> None:
    kind = pa.decimal128(5, 2_000_000_000)
    values = pa.Array.from_buffers(kind, 1, [None, pa.py_buffer((12345).to_bytes(16, "little"))])
    (violation,) = read(features([row()]).drop_columns(["count"]).append_column("count", values))[1]
    assert violation.startswith("column 'count' (row 0): not a whole number")


@pytest.mark.parametrize("cut", range(0, 800, 7))
@pytest.mark.parametrize("compression", ["zstd", None])
def test_a_table_with_a_byte_that_is_not_right_is_read_or_refused(cut: int, compression: str | None) -> None:
    table = features([row(), row()]).select(["c0", "_x", "count"])
    body = bytearray(streamed(*table.to_batches(), compression=compression))
    for place in {cut, len(body) - 1 - cut} & {*range(len(body))}:
        for bits in (0xFF, 0x01, 0x80):
            body[place] ^= bits
            assert answered(bytes(body))[0] in (200, 400, 413, 422)
            body[place] ^= bits


def test_answers_are_a_table_with_a_column_for_each_class() -> None:
    scores = np.array([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
    warnings = {2: ["age: 200", "noise: 20"], 0: ["age: 201"]}
    labels = np.array(["no", "yes"], dtype=object)
    told = PredictionBatch(
        "p0,p1,p2", scores, warnings, labels, record(labels), np.array([0, 1, 1]), np.array([0, 0, 1])
    )
    table = pa.ipc.open_stream(write_table(told, ("no", "yes"), "v1")).read_all()
    assert table.to_pylist() == [
        {
            "prediction": one.prediction,
            "decision": one.decision,
            "prediction_id": one.prediction_id,
            "probability no": msgspec.to_builtins(one.probabilities)["no"],
            "probability yes": msgspec.to_builtins(one.probabilities)["yes"],
            "warnings": one.warnings,
        }
        for one in told.rows()
    ]
    assert table.schema.metadata == {b"model_version": b"v1"}


def test_numbers_that_are_answered_are_a_column() -> None:
    told = PredictionBatch("p0,p1", np.array([1.5, 2.5]), {}, np.array([], dtype=object), record(()))
    table = pa.ipc.open_stream(write_table(told, (), "v1")).read_all()
    assert table.column_names == ["prediction", "prediction_id", "warnings"]
    assert table["prediction"].to_pylist() == [1.5, 2.5]
