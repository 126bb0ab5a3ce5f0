"""Where a large table goes: a file here or at an address, a table of a database, or a Delta table; whole, or not."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from assay.base.errors import InputError, one_line
from assay.base.words import public
from assay.data.addresses import is_address, require_store, send

if TYPE_CHECKING:
    import sqlalchemy

KINDS = (".csv", ".parquet", ".arrow")
DATABASE = re.compile(r"(?P<url>[a-z0-9]+(\+\w+)?://[^#]*)(#(?P<table>[^#]*))?")
# These make tables inside a transaction.
BACKENDS = ("sqlite", "postgresql")
ROWS = 10_000
# Readers of Parquet and Arrow are slow with groups of few rows.
GROUP = 1 << 16


@dataclass(frozen=True)
class Output:
    """An output, by its name in messages.

    `file` is the output itself, or names the file that becomes the table. `require` takes the columns to write, and
    raises InputError if they cannot be written there; `publish` moves a complete file to the output.
    """

    name: str
    file: Path
    require: Callable[[Sequence[str]], None]
    publish: Callable[[Path], None]


def output_of(given: str, mark: Sequence[str]) -> Output:
    """Return the output that a path or address means; of tables only one with the columns `mark` is replaced."""
    if is_address(given):
        return _address(given)
    if "://" in given:
        return _database(given, mark)
    path = Path(given)
    if path.suffix == ".delta" or (path / "_delta_log").is_dir():
        file = path.with_name(f"{path.stem}.parquet")
        return Output(given, file, partial(_require_delta, path, mark), partial(_to_delta, path))
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: expected a .csv, .parquet, .arrow or .delta name, or DATABASE-URL#TABLE")
    return Output(given, path, partial(_require_no_folder, path), partial(_to_file, path))


def _address(given: str) -> Output:
    name = public(given)
    file = Path(Path(given).name)
    if file.suffix.lower() not in KINDS:
        raise InputError(f"{name}: expected a .csv, .parquet or .arrow name")
    return Output(name, file, lambda _: require_store(given), lambda made: send(made, given))


def _require_no_folder(path: Path, names: Sequence[str]) -> None:
    if path.is_dir():
        raise InputError(f"{path}: this is a folder; name another output")


def _to_file(path: Path, made: Path) -> None:
    made.replace(path)


@contextmanager
def writer(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Yield a function that writes a table to a .csv, .parquet or .arrow file, which is complete after the block."""
    made: Any
    match path.suffix.lower():
        case ".csv":
            made = pacsv.CSVWriter(path, schema)
        case ".parquet":
            made = pq.ParquetWriter(path, schema)
        case _:
            made = pa.ipc.new_file(path, schema)
    waiting: list[pa.Table] = []
    rows = 0

    def flush() -> None:
        nonlocal rows
        made.write_table(pa.concat_tables(waiting).combine_chunks())
        waiting.clear()
        rows = 0

    def write(table: pa.Table) -> None:
        nonlocal rows
        if table.num_rows:
            waiting.append(table)
            rows += table.num_rows
        if rows >= GROUP:
            flush()

    with made:
        yield write
        if waiting:
            flush()


def _database(given: str, mark: Sequence[str]) -> Output:
    import sqlalchemy

    found = DATABASE.fullmatch(given)
    try:
        url = sqlalchemy.make_url(found["url"] if found else given)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # It may hold a password, so it is not shown.
        raise InputError(
            "the output is not an address of a database: expected sqlite:///FILE#TABLE or postgresql://…#TABLE"
        ) from None
    name = public(url.render_as_string())
    if url.get_backend_name() not in BACKENDS:
        raise InputError(f"{name}: expected an address of {' or '.join(BACKENDS)} as output")
    if not found or not found["table"] or not re.fullmatch(r"[\w.$ -]+", found["table"]):
        raise InputError(f"{name}: name the table after it: {name}#TABLE")
    schema, _, table = found["table"].rpartition(".")
    target = _Table(f"{name}#{found['table']}", url, table, schema or None)
    return Output(
        target.name,
        Path(f"{found['table']}.parquet"),
        partial(_require_table, target, mark),
        partial(_to_table, target, mark),
    )


@dataclass(frozen=True)
class _Table:
    name: str
    url: "sqlalchemy.URL"
    table: str
    schema: str | None


@contextmanager
def connected(name: str, url: "sqlalchemy.URL") -> "Iterator[sqlalchemy.Connection]":
    """Yield a connection in a transaction, which ends with the block; `name` says in an error what it is to."""
    import sqlalchemy

    try:
        engine = _engine(name, url)
        try:
            with engine.begin() as connection:
                if url.get_backend_name() == "sqlite":
                    # The driver begins a transaction with the first row only, after the table was made.
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        finally:
            engine.dispose()
    except ModuleNotFoundError as error:
        raise InputError(f"{name}: install its driver, the package {error.name}") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise InputError(f"{name}: cannot be written: {_said(error)}") from None


def _engine(name: str, url: "sqlalchemy.URL") -> "sqlalchemy.Engine":
    import sqlalchemy

    try:
        return sqlalchemy.create_engine(url)
    except (TypeError, ValueError):
        raise InputError(f"{name}: the address has a parameter that is not possible") from None


def _said(error: Exception) -> str:
    # The database's own words, without the statement.
    return one_line(getattr(error, "orig", None) or error)


def _require_table(target: _Table, mark: Sequence[str], names: Sequence[str]) -> None:
    import sqlalchemy

    lowered = [name.lower() for name in names]
    if twice := [name for name in names if lowered.count(name.lower()) > 1]:
        raise InputError(f"{target.name}: two columns would have the name {twice[0]!r}; write a file")
    file = target.url.database
    if file == ":memory:":
        raise InputError(f"{target.name}: a database in memory is lost at the end; name a file")
    if target.url.get_backend_name() == "sqlite" and not (file and Path(file).exists()):
        # Connecting would make the file.
        if not file or not Path(file).parent.is_dir():
            raise InputError(f"{target.name}: there is no folder for this file")
        return
    with connected(target.name, target.url) as connection:
        longest = connection.dialect.max_identifier_length
        inspector = sqlalchemy.inspect(connection)
        if target.schema and target.schema not in inspector.get_schema_names():
            raise InputError(f"{target.name}: the database has no schema {target.schema!r}")
        kind = "view" if target.table in inspector.get_view_names(target.schema) else "table"
        is_there = kind == "view" or inspector.has_table(target.table, target.schema)
        there = [one["name"] for one in inspector.get_columns(target.table, target.schema)] if is_there else None
    if too_long := [name for name in names if len(name.encode()) > longest]:
        raise InputError(f"{target.name}: a column cannot have the name {too_long[0]!r}: longer than {longest} bytes")
    _require_ours(target.name, there, mark)
    if kind == "view":
        raise InputError(f"{target.name}: this is a view; name another table")


def _require_ours(name: str, there: Sequence[str] | None, mark: Sequence[str]) -> None:
    if there is not None and not set(mark) <= set(there):
        raise InputError(f"{name}: the table is there, and holds something else; name another table")


def _to_table(target: _Table, mark: Sequence[str], made: Path) -> None:
    """Replace a table by the rows of a Parquet file, in one transaction."""
    import sqlalchemy
    from sqlalchemy import BigInteger, Column, Double, Text

    types = {pa.int64(): BigInteger, pa.float64(): Double, pa.string(): Text}
    file = pq.ParquetFile(made)
    columns = [Column(one.name, types[one.type]) for one in file.schema_arrow]
    table = sqlalchemy.Table(target.table, sqlalchemy.MetaData(), *columns, schema=target.schema)
    with connected(target.name, target.url) as connection:
        inspector = sqlalchemy.inspect(connection)
        is_there = inspector.has_table(target.table, target.schema)
        there = [one["name"] for one in inspector.get_columns(target.table, target.schema)] if is_there else []
        # Somebody may have made it since the beginning.
        _require_ours(target.name, there if is_there else None, mark)
        if there == [column.name for column in columns]:
            if target.url.get_backend_name() == "postgresql":
                # Of two at once the second waits, and readers do not; SQLite has one writer.
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE")
            # Its views, indexes and permissions stay.
            connection.execute(table.delete())
        else:
            table.drop(connection, checkfirst=True)
            table.create(connection)
        for batch in file.iter_batches(ROWS):
            connection.execute(table.insert(), _without_zeros(batch).to_pylist())


def _without_zeros(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a batch whose texts have U+FFFD for a zero byte, which PostgreSQL cannot hold."""
    columns = [
        pc.replace_substring(values, "\0", "\ufffd") if pa.types.is_string(values.type) else values
        for values in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _require_delta(path: Path, mark: Sequence[str], names: Sequence[str]) -> None:
    delta = _deltalake(path)
    if path.exists():
        try:
            there = [one.name for one in delta.DeltaTable(str(path)).schema().fields]
        except Exception as error:
            raise InputError(f"{path}: not a complete Delta table: {one_line(error)}") from None
        _require_ours(str(path), there, mark)


def _to_delta(path: Path, made: Path) -> None:
    """Replace a Delta table by the rows of a Parquet file: a new version of it."""
    delta = _deltalake(path)
    file = pq.ParquetFile(made)
    rows = pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())
    try:
        delta.write_deltalake(str(path), rows, mode="overwrite", schema_mode="overwrite")
    except Exception as error:
        raise InputError(f"{path}: cannot be written: {one_line(error)}") from None


def _deltalake(path: Path) -> Any:
    try:
        import deltalake
    except ImportError:
        raise InputError(
            f"{path}: a Delta table needs an optional package; install it with `pip install -r requirements/init.txt`"
        ) from None
    return deltalake
