"""How much a table unpacks to, known before it is: a thousand bytes may else ask for gigabytes.

pyarrow has no limit for what it unpacks, and does not tell what the parts of a table say of themselves. So that is read
here: the messages of a stream (Message.fbs and Schema.fbs of Arrow, as a flatbuffer has them), and the headers of the
pages of a Parquet file (PageHeader of parquet.thrift, in Thrift's compact protocol), for what the end of such a file
says of sizes is not what is gone by when it is read.
"""

import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from assay.serve.refusal import Refused

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

# A table may unpack to four times its size, and to so many bytes for each cell that a request may hold, and these.
CELL, FREE = 64, 2**20
# A page of a Parquet file counts for so many bytes at least: each takes a while to look at. Its header has no more
# fields, and none deeper: PageHeader, DataPageHeader, Statistics.
PAGE, FIELDS, DEPTH = 2**14, 16, 3
# No number of a fixed number of bytes has more.
WIDEST = 32


def most_unpacked(body: bytes, max_rows: int, columns: int) -> int:
    """Return how many bytes a table may unpack to, given the rows and columns that a request may hold."""
    return 4 * len(body) + (CELL * max_rows + 4 * PAGE) * columns + FREE


def too_many(rows: int, most: int) -> Refused:
    """Return the refusal of so many rows."""
    return Refused(413, f"at most {most} rows are answered at once, got {rows}", reason="too large")


def too_large(most: int) -> Refused:
    """Return the refusal of a table that unpacks to more than `most` bytes."""
    return Refused(413, f"the table unpacks to more than the {most} bytes that one of its size may", reason="too large")


def rows_of_stream(body: bytes, max_rows: int, most: int) -> int:
    """Return the number of rows of a stream, as its messages say before anything is unpacked.

    Raises Refused for too many of them, and for what would unpack to more than `most` bytes.
    """
    import pyarrow as pa

    rows = unpacked = words = 0
    for message in pa.ipc.MessageReader.open_stream(pa.BufferReader(body)):
        said = message.metadata.to_pybytes()
        root = _offset(said, 0)
        batch = _offset(said, _field(said, root, 2))
        if message.type == "dictionary":
            is_more, batch = _field(said, batch, 2), _offset(said, _field(said, batch, 1))
            if is_more and said[is_more]:
                # Together with what there was before it is a dictionary of its own.
                unpacked += words
        elif message.type == "record batch":
            length = _field(said, batch, 0)
            rows += max(struct.unpack_from("<q", said, length)[0], 0) if length else 0
            if rows > max_rows:
                raise too_many(rows, max_rows)
            # Each batch has all the words, and they are looked at with it.
            unpacked += words
        else:
            continue
        # What is not compressed is not copied.
        size = _compressed(message, _offset(said, _field(said, batch, 2))) if _field(said, batch, 3) else 0
        unpacked += size
        words += max(size, len(message.body or b"")) if message.type == "dictionary" else 0
        if unpacked > most:
            raise too_large(most)
    return rows


def _compressed(message: "pa.ipc.Message", buffers: int) -> int:
    """Return how many bytes the buffers of a message unpack to, given where it lists them."""
    said, body, unpacked = message.metadata, message.body or b"", 0
    for number in range(struct.unpack_from("<I", said, buffers)[0]):
        start, size = struct.unpack_from("<qq", said, buffers + 4 + 16 * number)
        if size:
            # It begins with the number of bytes that it unpacks to.
            unpacked += max(size, struct.unpack_from("<q", body, start)[0])
    return unpacked


def _field(said: bytes, table: int, number: int) -> int:
    """Return where a field of a table of a flatbuffer is, 0 where it has none."""
    fields = table - struct.unpack_from("<i", said, table)[0]
    place = 4 + 2 * number
    size = struct.unpack_from("<H", said, fields)[0]
    offset = struct.unpack_from("<H", said, fields + place)[0] if place < size else 0
    return table + int(offset) if offset else 0


def _offset(said: bytes, place: int) -> int:
    """Return where what a place of a flatbuffer points to is."""
    return int(place + struct.unpack_from("<I", said, place)[0])


def flat_columns(file: "pq.ParquetFile", kinds: "Mapping[str, pa.DataType]") -> dict[str, int]:
    """Return where those columns of a Parquet file are that hold a number, a time or a text in each row."""
    import pyarrow as pa

    found = {}
    leaves = [file.schema.column(number) for number in range(len(file.schema))]
    # A column with a dot in its name may be called as one inside another.
    paths = Counter(leaf.path for leaf in leaves)
    for number, leaf in enumerate(leaves):
        kind = kinds.get(leaf.path)
        if kind is None or pa.types.is_nested(kind) or leaf.max_repetition_level or paths[leaf.path] > 1:
            continue
        match leaf.physical_type:
            case "BYTE_ARRAY":
                is_flat = not pa.types.is_decimal(kind)
            case "FIXED_LEN_BYTE_ARRAY":
                is_flat = leaf.length <= WIDEST
            case _:
                is_flat = True
        if is_flat:
            found[leaf.path] = number
    return found


def read_parquet(body: bytes, file: "pq.ParquetFile", flat: Mapping[str, int], max_rows: int, most: int) -> "pa.Table":
    """Return columns of a Parquet file, given where they are.

    Raises Refused for what would unpack to more than `most` bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not flat:
        # Arrow would divide the rows by those of a batch.
        return pa.table({})
    read = sorted(flat.values())
    groups = range(file.metadata.num_row_groups)
    unpacked = PAGE * len(read) * len(groups)
    if unpacked > most:
        raise too_large(most)
    for group in groups:
        # No rows are read. But columns that are not right are an error here, and below they would end the process.
        list(file.reader.iter_batches(0, row_groups=[group], column_indices=read))
    for number in read:
        cells = 0
        for group in groups:
            chunk = file.metadata.row_group(group).column(number)
            cells += chunk.num_values
            if chunk.num_values < 0 or cells > max_rows:
                raise too_many(cells, max_rows)
            # What the end of the file says of sizes is not what is gone by when it is read.
            for size in _page_sizes(body, chunk):
                unpacked += max(size, PAGE)
                if unpacked > most:
                    raise too_large(most)
    # A text that is there once is not to be made many.
    words = [name for name, number in flat.items() if file.schema.column(number).physical_type == "BYTE_ARRAY"]
    whole = pq.ParquetFile(pa.BufferReader(body), metadata=file.metadata, read_dictionary=words)
    # By their places: by its name a column is read with all that is called as it before a dot.
    return whole.reader.read_all(column_indices=read)


def _page_sizes(body: bytes, chunk: "pq.ColumnChunkMetaData") -> Iterator[int]:
    """Yield how many bytes each page of a column of a Parquet file unpacks to, as the header before it says."""
    at = chunk.data_page_offset
    if chunk.has_dictionary_page and 0 < chunk.dictionary_page_offset < at:
        at = chunk.dictionary_page_offset
    end = at + chunk.total_compressed_size
    while at < end:
        said, at = _struct(body, at)
        # As PageHeader of parquet.thrift has them: 32 bits each.
        unpacked, packed = said[2, 5], said[3, 5]
        if unpacked < 0 or packed < 0:
            raise ValueError("a page of less than no bytes")
        yield max(unpacked, packed)
        at += packed


def _struct(body: bytes, at: int, depth: int = 1) -> tuple[dict[tuple[int, int], int], int]:
    """Return the numbers of a struct of Thrift's compact protocol, by field and kind, and where it ends."""
    found: dict[tuple[int, int], int] = {}
    number = fields = 0
    while kind := _byte(body, at) & 15:
        fields += 1
        if fields > FIELDS or depth > DEPTH:
            raise ValueError("a page with too long a header")
        step = body[at] >> 4
        at += 1
        if step:
            number += step
        else:
            number, at = _whole(body, at)
        match kind:
            case 1 | 2:
                # The kind is the value, true or false.
                pass
            case 3:
                at += 1
            case 4 | 5 | 6:
                found[number, kind], at = _whole(body, at)
            case 7:
                at += 8
            case 8:
                size, at = _varint(body, at)
                at += size
            case 12:
                _, at = _struct(body, at, depth + 1)
            case _:
                raise ValueError("a page with a header of another kind")
    return found, at + 1


def _whole(body: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(body, at)
    return number >> 1 ^ -(number & 1), at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    number = shift = 0
    while (byte := _byte(body, at)) & 128 and shift < 63:
        number |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
    return number | byte << shift, at + 1


def _byte(body: bytes, at: int) -> int:
    if at < 0:
        raise ValueError("a page before the file")
    return body[at]


def is_words(kind: "pa.DataType") -> bool:
    """Say whether values of a type may have bytes in common."""
    import pyarrow as pa

    return bool(pa.types.is_dictionary(kind) or pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def plain_bytes(values: "pa.ChunkedArray") -> int:
    """Return how many bytes the values of a column have if none has any in common with another."""
    import pyarrow as pa

    total = 0
    for chunk in values.chunks if is_words(values.type) else ():
        if pa.types.is_dictionary(chunk.type):
            sizes = _sizes(chunk.dictionary)
            total += int(sizes.sum()) + int(sizes[chunk.indices.drop_null().to_numpy()].sum())
        else:
            total += int(_sizes(chunk).sum())
    return total


def _sizes(values: "pa.Array") -> np.ndarray:
    """Return how many bytes each value has, 0 for one that is no text."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = values.type
    if not len(values):
        # There may be no buffers.
        return np.zeros(0, np.int64)
    if pa.types.is_string_view(kind) or pa.types.is_binary_view(kind):
        # Sixteen bytes for each value, of which the first four are its length.
        views = np.frombuffer(values.buffers()[1], np.int32)[::4][values.offset :][: len(values)]
        return np.where(values.is_null().to_numpy(zero_copy_only=False), 0, views).astype(np.int64)
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_text or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return np.array(pc.fill_null(pc.binary_length(values), 0).to_numpy(zero_copy_only=False), np.int64)
    return np.zeros(len(values), np.int64)
