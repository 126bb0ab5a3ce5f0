"""Reading any common file, folder, address or database into a table."""

import bz2
import gzip
import io
import json
import lzma
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assay.base.errors import InputError, one_line
from assay.base.words import public
from assay.data.addresses import fetched, path_or_address
from assay.data.delimited import delimited_in_parts, read_delimited
from assay.data.dialect import MOST_COLUMNS
from assay.data.rows import below_header, data_only, data_stored, joined
from assay.data.stored import Stored, is_large

READERS = "`pip install -r requirements/init.txt`"
DATABASES = re.compile(
    r"(sqlite|postgres(ql)?|mysql|mariadb|oracle|mssql|duckdb|snowflake|bigquery|redshift)(\+\w+)?://"
)
COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.decompress,
    "bz2": bz2.decompress,
    "xz": lzma.decompress,
}
MAGIC = {
    b"\x1f\x8b": "gz",
    b"BZh": "bz2",
    b"\xfd7zXZ": "xz",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"SQLite format 3\0": "sqlite",
    b"\xd0\xcf\x11\xe0": "excel",
    b"PK\x03\x04": "zip",
}


@dataclass(frozen=True)
class Source:
    """What to read, to predict the column `target`.

    `location` is a file, folder, address or database URL; `table` names a table of a database, a sheet or a file in an
    archive; `as_text` names columns whose texts stay as they are.
    """

    location: str
    target: str
    table: str | None = None
    encoding: str | None = None
    as_text: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the location as messages name it: without a password."""
        return public(self.location)


def read(source: Source) -> tuple[pa.Table, list[str]]:
    """Return the table of a source and notes on how it was read.

    Columns have the types int64, float64, bool, string, date32, time64[us] and timestamp[us], in UTC if the file has a
    zone; columns of other types are left out with a note. Raises InputError if the source is not a usable table, and if
    it needs an optional package, with the command that installs it.
    """
    table, notes = _from_anywhere(source)
    table = _flat(table)
    if table.num_columns > MOST_COLUMNS:
        raise InputError(f"{source.name}: {table.num_columns} columns; at most {MOST_COLUMNS} are supported")
    twice = sorted(name for name, times in Counter(table.column_names).items() if times > 1)
    if twice:
        raise InputError(f"{source.name}: column {twice[0]!r} occurs twice; rename one in the file")
    table, more = _plain(table, notes)
    table, without = data_only(table)
    return table, more + without


def read_stored(source: Source, folder: Path) -> tuple[pa.Table | Stored, list[str]]:
    """Return the table that `read` does; the rows of a large text file are stored in a folder, not in memory."""
    path = Path(path_or_address(source.location))
    if not path.is_file() or not is_large(path.stat().st_size) or not _is_table_of_text(path):
        return read(source)
    schema, tables, notes = delimited_in_parts(path, source.name, source.target, source.encoding, source.as_text)
    empty, notes = _plain(schema.empty_table(), notes)
    rows, without = data_stored((_plain(table, [])[0] for table in tables), empty.schema, folder)
    return rows, notes + without


def _from_anywhere(source: Source) -> tuple[pa.Table, list[str]]:
    location = path_or_address(source.location)
    if DATABASES.match(location):
        return _database(location, source), []
    if "://" in location:
        with tempfile.TemporaryDirectory() as folder, fetched(location, Path(folder)) as copy:
            return _local(copy, source)
    path = Path(location).expanduser()
    if not path.exists():
        raise InputError(f"{source.name}: there is no such file")
    return _local(path, source)


def _local(path: Path, source: Source) -> tuple[pa.Table, list[str]]:
    if path.is_dir():
        return _folder(path, source), []
    if path.stat().st_size == 0:
        raise InputError(f"{source.name}: the file is empty")
    with path.open("rb") as file:
        kind = _kind(file.read(16))
    if kind == "zip" and _is_workbook(path, source):
        kind = "excel"
    match kind:
        case "parquet" | "arrow":
            return _columnar(path, kind, source), []
        case "sqlite":
            return _database(f"sqlite:///{path.resolve()}", source), []
        case "excel":
            return _workbook(path, source)
        case "zip":
            return _inside(_unzipped(path, source), source)
        case None:
            return _text(path, source)
        case _:
            try:
                return _inside(COMPRESSED[kind](path.read_bytes()), source)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise InputError(f"{source.name}: the compressed file is damaged: {error}") from None


def _kind(start: bytes) -> str | None:
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def _inside(content: bytes, source: Source) -> tuple[pa.Table, list[str]]:
    """Read the content of an archive."""
    kind = _kind(content[:16])
    if kind is None:
        return _text(content, source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"content.{kind}")
        path.write_bytes(content)
        return _local(path, source)


def _is_table_of_text(path: Path) -> bool:
    with path.open("rb") as file:
        return _kind(file.read(16)) is None and _start(path) not in (b"{", b"[")


def _start(given: bytes | Path) -> bytes:
    """Return the first byte of a text after spaces."""
    with given.open("rb") if isinstance(given, Path) else io.BytesIO(given) as file:
        for block in iter(lambda: file.read(1000), b""):
            if text := block.lstrip(b"\xef\xbb\xbf \t\r\n"):
                return text[:1]
    return b""


def _text(given: bytes | Path, source: Source) -> tuple[pa.Table, list[str]]:
    start = _start(given)
    if not start:
        raise InputError(f"{source.name}: the file is empty")
    if start in b"{[":
        table = _json(given.read_bytes() if isinstance(given, Path) else given, start)
        if table is not None:
            return table, ["JSON: nested objects became columns"]
    return read_delimited(given, source.name, source.target, source.encoding, source.as_text)


def _json(content: bytes, start: bytes) -> pa.Table | None:
    """Return the table of JSON lines or of a list of objects; None if it is neither."""
    import pyarrow.json as pajson

    try:
        if start == b"[":
            rows = json.loads(content)
            return pa.Table.from_pylist(rows) if rows and all(isinstance(row, dict) for row in rows) else None
        return pajson.read_json(pa.BufferReader(content))
    except (ValueError, pa.ArrowException):
        return None


def _columnar(path: Path, kind: str, source: Source) -> pa.Table:
    import pyarrow.parquet as pq
    from pyarrow import feather

    try:
        return pq.read_table(path) if kind == "parquet" else feather.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.name}: not a complete {kind.capitalize()} file: {one_line(error)}") from None


def _folder(path: Path, source: Source) -> pa.Table:
    from pyarrow import dataset

    if (path / "_delta_log").is_dir():
        delta = _optional("deltalake", source, "a Delta table")
        try:
            return pa.table(delta.DeltaTable(str(path)).to_pyarrow_table())
        except Exception as error:
            raise InputError(f"{source.name}: not a complete Delta table: {one_line(error)}") from None
    if not any(path.rglob("*.parquet")):
        raise InputError(f"{source.name}: a folder without Parquet files; give a file")
    try:
        return dataset.dataset(path, format="parquet", partitioning="hive", exclude_invalid_files=False).to_table()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{source.name}: the files do not form one table: {one_line(error)}") from None


def _is_workbook(path: Path, source: Source) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{source.name}: the archive is damaged: {error}") from None
    return any(name in names for name in ("xl/workbook.xml", "xl/workbook.bin", "content.xml"))


def _unzipped(path: Path, source: Source) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
            if source.table:
                names = [name for name in names if name == source.table]
            if len(names) != 1:
                listed = ", ".join(names[:5])
                raise InputError(f"{source.name}: holds {len(names)} files ({listed}); choose one with --table")
            return archive.read(names[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{source.name}: the archive cannot be opened: {error}") from None


def _workbook(path: Path, source: Source) -> tuple[pa.Table, list[str]]:
    calamine = _optional("python_calamine", source, "an Excel file")
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        if source.table and source.table not in book.sheet_names:
            listed = ", ".join(book.sheet_names)
            raise InputError(f"{source.name}: no sheet {source.table!r}; the sheets are {listed}")
        sheets = {name: _rows_of(book, name) for name in ([source.table] if source.table else book.sheet_names)}
    except (calamine.CalamineError, OSError) as error:
        raise InputError(f"{source.name}: not a complete Excel file: {one_line(error)}") from None
    name = next((name for name in sheets if _header_of(sheets[name], source.target) is not None), next(iter(sheets)))
    rows = sheets[name]
    if len(rows) < 2:
        raise InputError(f"{source.name}: sheet {name!r} has no rows below its header")
    start = _header_of(rows, source.target) or 0
    names = [str(cell).strip() for cell in rows[start]]
    notes = [f"sheet {name!r} was read; --table chooses another"] if len(book.sheet_names) > 1 else []
    if more := below_header([[str(cell) for cell in row] for row in rows[start + 1 : start + 1000]]):
        notes.append(f"what stands below the header is no data: left out (rows: {more})")
        names = names if all(names) else joined(names, [str(cell) for cell in rows[start + 1]])
        start += more
    arrays: dict[str, pa.Array] = {}
    for index, column in enumerate(names):
        cells = [None if row[index] == "" else row[index] for row in rows[start + 1 :]]
        if not column and all(cell is None for cell in cells):
            continue
        if not column:
            shown = next(cell for cell in cells if cell is not None)
            where = f"{source.name}: column {index + 1} ({shown!r}, ...)"
            raise InputError(f"{where} has no name; give it one in the header")
        if column in arrays:
            raise InputError(f"{source.name}: column {column!r} occurs twice; rename one in the file")
        arrays[column] = _array(cells)
    return pa.table(arrays), notes


def _rows_of(book: Any, name: str) -> list[list[Any]]:
    """Return the rows of a sheet that are not empty."""
    return [row for row in book.get_sheet_by_name(name).to_python() if any(cell not in ("", None) for cell in row)]


def _header_of(rows: list[list[Any]], target: str) -> int | None:
    """Return the row that names the target, None if none of the first does."""
    return next((i for i, row in enumerate(rows[:50]) if target in (str(cell).strip() for cell in row)), None)


def _array(cells: list[Any]) -> pa.Array:
    """Return cells of one type in that type, cells of several types as text."""
    whole = all(cell is None or (isinstance(cell, float) and cell.is_integer()) for cell in cells)
    try:
        return pa.array([None if cell is None else int(cell) for cell in cells] if whole else cells)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if cell is None else _shown(cell) for cell in cells], pa.string())


def _shown(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _database(url: str, source: Source) -> pa.Table:
    import sqlalchemy

    try:
        where = sqlalchemy.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise InputError(f"{source.name}: not an address of a database") from None
    try:
        # Connecting would make the file.
        if where.get_backend_name() == "sqlite" and where.database and not Path(where.database).exists():
            raise InputError(f"{source.name}: there is no such file")
        engine = sqlalchemy.create_engine(where)
        names = sqlalchemy.inspect(engine).get_table_names() + sqlalchemy.inspect(engine).get_view_names()
        wanted = [source.table] if source.table else names
        if len(wanted) != 1 or wanted[0] not in names:
            listed = ", ".join(names[:10]) or "none"
            raise InputError(f"{source.name}: choose one of its tables with --table: {listed}")
        table = sqlalchemy.Table(wanted[0], sqlalchemy.MetaData(), autoload_with=engine)
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.select(table)).all()
        arrays = {column.name: _array([row[i] for row in rows]) for i, column in enumerate(table.columns)}
    except ModuleNotFoundError as error:
        raise InputError(f"{source.name}: install its driver, the package {error.name}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise InputError(f"{source.name}: cannot be read: {one_line(error)}") from None
    finally:
        if "engine" in locals():
            engine.dispose()
    return pa.table(arrays)


def _optional(module: str, source: Source, what: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"{source.name}: {what} needs an optional package; install it with {READERS}") from None


def _flat(table: pa.Table) -> pa.Table:
    """Return the table with names without spaces around them, and a column for each part of a nested column."""
    table = table.rename_columns([name.strip() for name in table.column_names])
    while any(pa.types.is_struct(field.type) for field in table.schema):
        names: list[str] = []
        for field in table.schema:
            is_nested = pa.types.is_struct(field.type)
            names += [f"{field.name}.{part.name.strip()}" for part in field.type] if is_nested else [field.name]
        table = table.flatten().rename_columns(names)
    return table


def _plain(table: pa.Table, notes: list[str]) -> tuple[pa.Table, list[str]]:
    """Return the table in the few types that the other modules expect."""
    notes = list(notes)
    arrays: dict[str, pa.ChunkedArray] = {}
    for name, given in zip(table.column_names, table.columns, strict=True):
        values = given
        wanted = _plain_type(values.type)
        if wanted is None:
            notes.append(f"column {name!r} has type {values.type}, which is not supported: left out")
            continue
        if pa.types.is_timestamp(values.type) and values.type.tz is not None:
            notes.append(f"times in {name!r} were converted to UTC")
            # A cast between zones keeps the moment.
            wanted = pa.timestamp("us", "UTC")
        try:
            arrays[name] = values if values.type == wanted else values.cast(wanted, safe=False)
        except pa.ArrowException:
            notes.append(f"column {name!r} has type {values.type} and cannot be read: left out")
            continue
        if pa.types.is_floating(wanted):
            found = pc.is_nan(arrays[name])
            if pc.any(found).as_py():
                arrays[name] = pc.if_else(found, None, arrays[name])
    return pa.table(arrays).replace_schema_metadata(table.schema.metadata), notes


def _plain_type(given: pa.DataType) -> pa.DataType | None:
    kinds = pa.types
    if kinds.is_dictionary(given):
        return _plain_type(given.value_type)
    if kinds.is_boolean(given) or kinds.is_null(given):
        return given if kinds.is_boolean(given) else pa.string()
    if kinds.is_integer(given):
        return pa.int64()
    if kinds.is_floating(given) or kinds.is_decimal(given):
        return pa.float64()
    if kinds.is_string(given) or kinds.is_large_string(given) or kinds.is_string_view(given):
        return pa.string()
    if kinds.is_date(given):
        return pa.date32()
    if kinds.is_time(given):
        return pa.time64("us")
    return pa.timestamp("us") if kinds.is_timestamp(given) else None
