"""Tables as requests: what is wrong is found, and what is right is read, whether quickly or not."""

import io
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contract import rules
from assay.contract.spec import Contract
from assay.data.columns import from_rows
from assay.inference.answers import Told, record
from assay.properties.strategies import as_table, breaches, rows
from assay.serve import tables
from assay.serve.refusal import Refused
from assay.serve.tables import PARQUET, STREAM, prediction_ids, read_table, write_table
from examples import contract, row, small
from served import sent_as

WARD = contract()
MOST = 5


def encoded(table: pa.Table, kind: bytes = STREAM) -> bytes:
    return sent_as(kind.decode(), table)


def read(table: pa.Table, made: Contract = WARD) -> tuple[Any, list[str]]:
    """Return the columns of a table and what is wrong with it; where nothing is, slowly and quickly are the same."""
    data, violations = read_table(encoded(table), STREAM, made, MOST)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_right", lambda table, contract: None)
        slow, found = read_table(encoded(table), STREAM, made, MOST)
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


@given(data=st.lists(rows(WARD), min_size=1, max_size=MOST), kind=st.sampled_from([STREAM, PARQUET]))
def test_rows_of_the_contract_are_read_as_they_are(data: list[dict[str, Any]], kind: bytes) -> None:
    found, violations = read_table(encoded(features(data), kind), kind, WARD, MOST)
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


OTHERS = [pa.float32(), pa.int64(), pa.string(), pa.large_string(), pa.dictionary(pa.int8(), pa.string())]


@pytest.mark.parametrize("kind", OTHERS)
def test_values_may_have_another_type_that_holds_the_same(kind: pa.DataType) -> None:
    table = features([row(**{"1st": 3.0})])
    place = table.column_names.index("1st")
    if pa.types.is_dictionary(kind) or pa.types.is_large_string(kind):
        place = table.column_names.index("c0")
    changed = table.set_column(place, table.column_names[place], table.column(place).cast(kind))
    same(read(changed)[0], read(table)[0])


def test_a_whole_number_that_no_float_holds_is_refused() -> None:
    (violation,) = read(features([row(count=2**53 + 1)]))[1]
    assert "above the range" in violation


CUT = [encoded(features([row()]))[:-50], encoded(features([row()]), PARQUET)[:-5]]


@pytest.mark.parametrize("body", [b"", b"no table", *CUT])
@pytest.mark.parametrize("kind", [STREAM, PARQUET])
def test_what_is_no_whole_table_is_refused(body: bytes, kind: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_table(body, kind, WARD, MOST)
    assert refused.value.status == 400


@pytest.mark.parametrize("kind", [STREAM, PARQUET])
def test_more_rows_than_are_taken_are_too_large(kind: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_table(encoded(features([row()] * (MOST + 1)), kind), kind, WARD, MOST)
    assert refused.value.status == 413


def refused(body: bytes, kind: bytes = STREAM, made: Contract = WARD, most: int = MOST) -> Refused:
    with pytest.raises(Refused) as caught:
        read_table(body, kind, made, most)
    assert "\n" not in caught.value.error
    return caught.value


def streamed(*batches: pa.RecordBatch, compression: str | None = None) -> bytes:
    sink = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(compression=compression)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    return sink.getvalue()


def as_parquet(table: pa.Table, compression: str = "none", **how: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression=compression, write_statistics=False, **how)
    return sink.getvalue()


# What was taken from a pool is given back to it, however late.
POOLS: list[pa.MemoryPool] = []


def allocated(read: Callable[[], Any]) -> int:
    """Return how many bytes Arrow has at most while something is read."""
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


@pytest.mark.parametrize("compression", ["zstd", "lz4"])
@pytest.mark.parametrize("name", ["note", "other"])
def test_a_stream_that_unpacks_to_much_more_is_refused_before_it_is_unpacked(compression: str, name: str) -> None:
    (batch,) = pa.table({name: [LONG]}).to_batches()
    body = streamed(batch, compression=compression)
    assert len(body) < len(LONG) / 100
    assert allocated(lambda: refused(body)) < len(LONG) / 10
    assert refused(body).status == 413


def test_a_dictionary_of_a_stream_that_unpacks_to_much_more_is_refused() -> None:
    (batch,) = pa.table({"note": pa.array([LONG]).dictionary_encode()}).to_batches()
    body = streamed(batch, compression="zstd")
    assert allocated(lambda: refused(body)) < len(LONG) / 10
    assert refused(body).status == 413


def test_batches_of_a_stream_are_counted_before_any_is_unpacked() -> None:
    (batch,) = features([row()]).to_batches()
    body = streamed(*[batch] * (MOST + 1), batch.slice(0, 0))
    assert refused(body[:-100]).status == 413


def test_a_stream_that_is_compressed_is_read_as_one_that_is_not() -> None:
    (batch,) = features([row(note="w" * 50)] * MOST).to_batches()
    found, violations = read_table(streamed(batch, compression="zstd"), STREAM, WARD, MOST)
    assert not violations
    same(found, read_table(streamed(batch), STREAM, WARD, MOST)[0])


@pytest.mark.parametrize("compression", ["zstd", "gzip", "brotli", "lz4", "snappy"])
@pytest.mark.parametrize("coded", [True, False])
def test_parquet_that_unpacks_to_much_more_is_refused_before_it_is_unpacked(compression: str, coded: bool) -> None:
    body = as_parquet(pa.table({"note": [LONG]}), compression, use_dictionary=coded)
    assert len(body) < len(LONG) / 10
    assert allocated(lambda: refused(body, PARQUET)) < len(LONG) / 10
    assert refused(body, PARQUET).status == 413


def varint(number: int, size: int) -> bytes:
    """Return twice a number as Parquet writes it, in so many bytes."""
    number *= 2
    return bytes([(number >> 7 * place) & 127 | (128 if place < size - 1 else 0) for place in range(size)])


def test_what_a_parquet_file_says_of_its_size_is_not_believed() -> None:
    body = as_parquet(pa.table({"note": [LONG]}), "zstd", use_dictionary=False)
    size = pq.ParquetFile(pa.BufferReader(body)).metadata.row_group(0).column(0).total_uncompressed_size
    lying = body.replace(varint(size, 4), varint(100, 4))
    assert pq.ParquetFile(pa.BufferReader(lying)).metadata.row_group(0).column(0).total_uncompressed_size == 100
    assert allocated(lambda: refused(lying, PARQUET)) < len(LONG) / 10
    assert refused(lying, PARQUET).status == 413


def test_columns_of_a_parquet_file_that_are_not_asked_for_are_not_read() -> None:
    table = features([row()]).append_column("scribble", [[LONG]])
    assert not read_table(as_parquet(table, "zstd"), PARQUET, WARD, MOST)[1]
    body = as_parquet(table.append_column("99", [[LONG]]), "zstd")
    assert allocated(lambda: read_table(body, PARQUET, WARD, MOST)) < len(LONG) / 10
    (violation,) = read_table(body, PARQUET, WARD, MOST)[1]
    assert str(violation) == "column '99': unknown column: not in the contract; 1 row"


def test_columns_of_a_parquet_file_may_be_called_as_others_with_a_dot() -> None:
    made = small({"a": {"kind": "number"}, "a.b": {"kind": "text"}, "c.d": {"kind": "number"}})
    table = pa.table({"a": [1.0], "a.b": ["x"], "c.d": [2.0]})
    assert not read_table(as_parquet(table), PARQUET, made, MOST)[1]
    inside = table.drop_columns(["c.d"]).append_column("c", pa.array([{"d": 2.0}]))
    assert [one.column for one in read_table(as_parquet(inside), PARQUET, made, MOST)[1]] == ["c", "c.d"]


def test_what_a_parquet_file_says_of_its_columns_does_not_end_the_process() -> None:
    # A column that may have gaps becomes one that may not, beside what is said of its gaps.
    body = as_parquet(pa.table({"size": ["S"]}))
    end = body.index(b"size", len(body) - int.from_bytes(body[-8:-4], "little") - 8)
    for place in range(end - 10, end):
        changed = body[:place] + bytes([body[place] ^ 2]) + body[place + 1 :]
        assert answered(changed, PARQUET)[0] in (200, 400, 413, 422)


@pytest.mark.parametrize("kind", [STREAM, PARQUET])
@pytest.mark.parametrize("name", ["99", "patient"])
def test_a_table_with_none_of_the_columns_is_refused(kind: bytes, name: str) -> None:
    status, said = answered(encoded(pa.table({name: ["a", "b"]}), kind), kind)
    assert status == 422
    assert "column '1st': missing column: not in the data" in "; ".join(said)


@pytest.mark.parametrize("header", [b"\x1c" * 10_000, b"\x15\x00" * 5_000, b"\x15\x00\x15" + b"\xff" * 30])
def test_a_page_of_a_parquet_file_with_a_header_without_end_is_refused(header: bytes) -> None:
    body = as_parquet(pa.table({"note": ["x" * 20_000]}), use_dictionary=False)
    assert refused(body[:4] + header + body[4 + len(header) :], PARQUET).status == 400


SHARED = "x" * 100_000


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.string_view()])
def test_one_long_text_is_not_made_many(kind: pa.DataType) -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 1000, pa.int16()), pa.array([SHARED], kind))
    body = streamed(*pa.table({"note": words}).to_batches())
    assert allocated(lambda: refused(body, most=1000)) < 20 * len(SHARED)
    assert refused(body, most=1000).status == 413


def test_one_long_text_that_many_cells_look_at_is_not_made_many() -> None:
    (view,) = pa.array([SHARED], pa.string_view()).buffers()[1:2]
    buffers = [None, pa.py_buffer(view.to_pybytes() * 1000), *pa.array([SHARED], pa.string_view()).buffers()[2:]]
    body = streamed(*pa.table({"note": pa.Array.from_buffers(pa.string_view(), 1000, buffers)}).to_batches())
    assert allocated(lambda: refused(body, most=1000)) < 20 * len(SHARED)
    assert refused(body, most=1000).status == 413


def test_a_dictionary_to_which_batches_add_is_not_copied_for_each() -> None:
    sink = io.BytesIO()
    words = [SHARED, *map(str, range(500))]
    batches = [
        pa.record_batch([pa.DictionaryArray.from_arrays(pa.array([0]), pa.array(words[:size]))], ["note"])
        for size in range(1, len(words))
    ]
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(sink, batches[0].schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert len(sink.getvalue()) < 5 * len(SHARED)
    assert allocated(lambda: refused(sink.getvalue(), most=500)) < 20 * len(SHARED)
    assert refused(sink.getvalue(), most=500).status == 413


def test_a_long_dictionary_is_not_looked_at_for_each_of_many_batches() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0]), pa.array([""] * 100_000))
    body = streamed(*[pa.record_batch([words], ["note"])] * 100)
    assert refused(body, most=100).status == 413


@pytest.mark.parametrize("encoding", [None, "DELTA_BYTE_ARRAY"])
def test_one_long_text_in_a_parquet_file_is_not_made_many(encoding: str | None) -> None:
    how = {"use_dictionary": False, "column_encoding": {"note": encoding}} if encoding else {}
    body = as_parquet(pa.table({"note": [SHARED] * 1000}), **how)
    assert len(body) < 2 * len(SHARED)
    assert allocated(lambda: refused(body, PARQUET, most=1000)) < 20 * len(SHARED)
    assert refused(body, PARQUET, most=1000).status in (400, 413)


@pytest.mark.parametrize("kind", [pa.string_view(), pa.dictionary(pa.int8(), pa.string_view())])
def test_views_are_texts(kind: pa.DataType) -> None:
    table = features([row(), row(c0="green")])
    values = table["c0"].combine_chunks()
    changed = values.cast(pa.string_view())
    if pa.types.is_dictionary(kind):
        changed = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), changed)
    place = table.column_names.index("c0")
    same(read(table.set_column(place, "c0", changed))[0], read(table)[0])


@pytest.mark.parametrize("kind", [STREAM, PARQUET])
@pytest.mark.parametrize("names", [["c0", "c0"], ["other", "other"], ["patient", "patient"]])
def test_a_column_that_is_there_twice_is_refused(names: list[str], kind: bytes) -> None:
    found = refused(encoded(pa.table([["a"], ["a"]], names), kind), kind)
    assert (found.status, found.error) == (422, f"column {names[0]!r} is there twice")


@pytest.mark.parametrize("kind", [STREAM, PARQUET])
@pytest.mark.parametrize("table", [features([row()]).slice(0, 0), as_table([], WARD), pa.table({"other": []})])
def test_a_table_without_rows_is_refused_as_a_list_without_rows_is(table: pa.Table, kind: bytes) -> None:
    found = refused(encoded(table, kind), kind)
    assert (found.status, found.error) == (422, "rows: expected at least 1 row, got none")
    assert found.reason == "contract"


def test_a_stream_without_batches_is_one_without_rows() -> None:
    sink = io.BytesIO()
    pa.ipc.new_stream(sink, features([row()]).schema).close()
    assert refused(sink.getvalue()).status == 422


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.string_view(), pa.binary_view(), pa.float64()])
def test_a_dictionary_without_words_is_one_without_values(kind: pa.DataType) -> None:
    nothing = pa.DictionaryArray.from_arrays(pa.array([None], pa.int8()), pa.array([], kind))
    for body in (pa.table({"size": nothing}), pa.table({"other": nothing})):
        assert answered(streamed(*body.to_batches(), compression="zstd"), STREAM)[0] == 422


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


def answered(body: bytes, kind: bytes) -> tuple[int, list[str]]:
    """Return the status of an answer to a table, and what is said of it, if that is all."""
    try:
        data, violations = read_table(body, kind, WARD, MOST)
    except Refused as error:
        return error.status, [error.error]
    assert violations or len({len(values) for values in data.values()}) == 1
    return 422 if violations else 200, [str(violation) for violation in violations]


@settings(max_examples=300, deadline=None)
@given(
    kind=KINDS,
    name=st.sampled_from(NAMES),
    size=st.integers(1, 3),
    data=NUMBERS,
    form=st.sampled_from([STREAM, PARQUET]),
)
def test_a_column_of_any_type_is_read_or_refused(
    kind: pa.DataType, name: str, size: int, data: bytes, form: bytes
) -> None:
    table = features([row()] * size)
    others = [one for one in table.column_names if one != name]
    try:
        odd = table.select(others).append_column(name, filled(kind, size, data))
        body = encoded(odd, form)
    except (pa.ArrowException, OSError):
        # Nobody can send what Arrow cannot write.
        return
    status, said = answered(body, form)
    assert status in (200, 400, 422)
    assert not [line for line in said if "\n" in line or (status == 422 and f"column {name!r}" not in line)]


UNREADABLE = [
    pa.array([[1], [2]]),
    pa.array([{"a": 1}, None]),
    pa.DictionaryArray.from_arrays(pa.array([0, 0]), pa.array([[1]])),
    pa.RunEndEncodedArray.from_arrays([2], ["red"]),
    pa.array([b"\xff", b""], pa.binary_view()),
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


@pytest.mark.parametrize("cut", range(0, 400, 7))
@pytest.mark.parametrize("kind", [STREAM, PARQUET])
def test_a_table_with_a_byte_that_is_not_right_is_read_or_refused(cut: int, kind: bytes) -> None:
    table = features([row(), row()]).select(["c0", "_x"])
    body = bytearray(encoded(table, kind) if kind == PARQUET else streamed(*table.to_batches(), compression="zstd"))
    for place in {cut, len(body) - 1 - cut} & {*range(len(body))}:
        body[place] ^= 0xFF
        assert answered(bytes(body), kind)[0] in (200, 400, 413, 422)
        body[place] ^= 0xFF


def test_answers_are_a_table_with_a_column_for_each_class() -> None:
    scores = np.array([[0.75, 0.25], [0.5, 0.5], [0.1, 0.9]])
    warnings = {2: ["age: 200", "noise: 20"], 0: ["age: 201"]}
    labels = np.array(["no", "yes"], dtype=object)
    told = Told("p", scores, warnings, labels, record(labels), np.array([0, 1, 1]), np.array([0, 0, 1]))
    table = pa.ipc.open_stream(write_table(told, ("no", "yes"), "v1", STREAM)).read_all()
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
    told = Told("p", np.array([1.5, 2.5]), {}, np.array([], dtype=object), record(()))
    table = pq.read_table(pa.BufferReader(write_table(told, (), "v1", PARQUET)))
    assert table.column_names == ["prediction", "prediction_id", "warnings"]
    assert table["prediction"].to_pylist() == [1.5, 2.5]


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=4))
def test_predictions_are_called_in_a_table_as_they_are_in_rows(sizes: list[int]) -> None:
    told = [Told(f"p{size}", np.zeros(size), {}, np.array([], dtype=object), record(())) for size in sizes]
    names = prediction_ids(told)
    names.validate(full=True)
    assert names.to_pylist() == [answer.prediction_id for one in told for answer in one.rows()]
