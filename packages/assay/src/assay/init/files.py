"""Reading what people have: any common kind of file, folder, address or database, into a table."""

import bz2
import gzip
import json
import lzma
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from assay.base.errors import InputError
from assay.init.delimited import MOST_COLUMNS, read_delimited

READERS = "`pip install -r requirements/init.txt`"
REMOTES = "`pip install -r requirements/remotes.txt`"
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
class Asked:
    """What to read: a file, folder, address or database, for the column `target`; `table` names a table or a sheet."""

    source: str
    target: str
    table: str | None = None
    encoding: str | None = None


def read(asked: Asked) -> tuple[pa.Table, list[str]]:
    """Return the table of a source and notes on how it was read.

    Columns are of the types int64, float64, bool, string, date32, time64[us] and timestamp[us] without a zone; columns
    of other types are left out with a note. Raises InputError for what is no table, or none that can be used, and
    where an optional package is needed, with the command that installs it.
    """
    table, notes = _from_anywhere(asked)
    if table.num_columns > MOST_COLUMNS:
        raise InputError(f"{asked.source}: {table.num_columns} columns, and at most {MOST_COLUMNS} can be handled")
    table = table.rename_columns([name.strip() for name in table.column_names])
    twice = sorted({name for name in table.column_names if table.column_names.count(name) > 1})
    if twice:
        raise InputError(f"{asked.source}: column {twice[0]!r} is there twice; rename one in the file")
    return _plain(table, notes)


def _from_anywhere(asked: Asked) -> tuple[pa.Table, list[str]]:
    source = asked.source
    if DATABASES.match(source):
        return _database(source, asked), []
    if "://" in source:
        with _fetched(source) as path:
            return _local(path, asked)
    path = Path(source).expanduser()
    if not path.exists():
        raise InputError(f"{source}: there is no such file")
    return _local(path, asked)


def _local(path: Path, asked: Asked) -> tuple[pa.Table, list[str]]:
    if path.is_dir():
        return _folder(path, asked), []
    if path.stat().st_size == 0:
        raise InputError(f"{asked.source}: the file is empty")
    with path.open("rb") as file:
        kind = _kind(file.read(16))
    if kind == "zip" and _is_workbook(path, asked):
        kind = "excel"
    match kind:
        case "parquet" | "arrow":
            return _columnar(path, kind, asked), []
        case "sqlite":
            return _database(f"sqlite:///{path.resolve()}", asked), []
        case "excel":
            return _workbook(path, asked)
        case "zip":
            return _inside(_unzipped(path, asked), asked)
        case None:
            return _text(path, asked)
        case _:
            try:
                return _inside(COMPRESSED[kind](path.read_bytes()), asked)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise InputError(f"{asked.source}: a compressed file that is not whole: {error}") from None


def _kind(start: bytes) -> str | None:
    return next((kind for magic, kind in MAGIC.items() if start.startswith(magic)), None)


def _inside(content: bytes, asked: Asked) -> tuple[pa.Table, list[str]]:
    """Read what came out of an archive."""
    kind = _kind(content[:16])
    if kind is None:
        return _text(content, asked)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"content.{kind}")
        path.write_bytes(content)
        return _local(path, asked)


def _text(given: bytes | Path, asked: Asked) -> tuple[pa.Table, list[str]]:
    if isinstance(given, Path):
        with given.open("rb") as file:
            head = file.read(1000)
    else:
        head = given[:1000]
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1]
    if not start:
        raise InputError(f"{asked.source}: the file is empty")
    if start in b"{[":
        table = _json(given.read_bytes() if isinstance(given, Path) else given, start)
        if table is not None:
            return table.flatten(), ["JSON, with nested objects as columns"]
    return read_delimited(given, asked.source, asked.target, asked.encoding)


def _json(content: bytes, start: bytes) -> pa.Table | None:
    """Return the table in JSON lines, or in a list of objects; None if it is neither."""
    import pyarrow.json as pajson

    try:
        if start == b"[":
            rows = json.loads(content)
            return pa.Table.from_pylist(rows) if rows and all(isinstance(row, dict) for row in rows) else None
        return pajson.read_json(pa.BufferReader(content))
    except (ValueError, pa.ArrowException):
        return None


def _columnar(path: Path, kind: str, asked: Asked) -> pa.Table:
    import pyarrow.parquet as pq
    from pyarrow import feather

    try:
        return pq.read_table(path) if kind == "parquet" else feather.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{asked.source}: not a whole {kind.capitalize()} file: {_one_line(error)}") from None


def _folder(path: Path, asked: Asked) -> pa.Table:
    from pyarrow import dataset

    if (path / "_delta_log").is_dir():
        delta = _optional("deltalake", asked, "a Delta table")
        try:
            return pa.table(delta.DeltaTable(str(path)).to_pyarrow_table())
        except Exception as error:
            raise InputError(f"{asked.source}: not a whole Delta table: {_one_line(error)}") from None
    if not any(path.rglob("*.parquet")):
        raise InputError(f"{asked.source}: a folder without Parquet files; name a file")
    try:
        return dataset.dataset(path, format="parquet", partitioning="hive", exclude_invalid_files=False).to_table()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{asked.source}: the files are not parts of one table: {_one_line(error)}") from None


def _is_workbook(path: Path, asked: Asked) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except zipfile.BadZipFile as error:
        raise InputError(f"{asked.source}: an archive that is not whole: {error}") from None
    return any(name in names for name in ("xl/workbook.xml", "xl/workbook.bin", "content.xml"))


def _unzipped(path: Path, asked: Asked) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/") and not n.startswith("__MACOSX")]
            if asked.table:
                names = [name for name in names if name == asked.table]
            if len(names) != 1:
                listed = ", ".join(names[:5])
                raise InputError(f"{asked.source}: holds {len(names)} files ({listed}); --table names the one to read")
            return archive.read(names[0])
    except (zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{asked.source}: an archive that cannot be opened: {error}") from None


def _workbook(path: Path, asked: Asked) -> tuple[pa.Table, list[str]]:
    calamine = _optional("python_calamine", asked, "an Excel file")
    try:
        book = calamine.CalamineWorkbook.from_path(str(path))
        name = asked.table or book.sheet_names[0]
        if name not in book.sheet_names:
            raise InputError(f"{asked.source}: no sheet {name!r}; it has {', '.join(book.sheet_names)}")
        rows = [row for row in book.get_sheet_by_name(name).to_python() if any(cell not in ("", None) for cell in row)]
    except (calamine.CalamineError, OSError) as error:
        raise InputError(f"{asked.source}: not a whole Excel file: {_one_line(error)}") from None
    if len(rows) < 2:
        raise InputError(f"{asked.source}: sheet {name!r} has no row below its header")
    start = next((i for i, row in enumerate(rows[:50]) if asked.target in map(str, row)), 0)
    names = [str(cell).strip() for cell in rows[start]]
    arrays: dict[str, pa.Array] = {}
    for place, column in enumerate(names):
        cells = [None if row[place] == "" else row[place] for row in rows[start + 1 :]]
        if not column and all(cell is None for cell in cells):
            continue
        if not column:
            raise InputError(f"{asked.source}: column {place + 1} has no name; give it one in the header")
        if column in arrays:
            raise InputError(f"{asked.source}: column {column!r} is there twice; rename one in the file")
        arrays[column] = _array(cells)
    more = [f"sheet {name!r} was read; --table names another"] if len(book.sheet_names) > 1 else []
    return pa.table(arrays), more


def _array(cells: list[Any]) -> pa.Array:
    """Return cells of one kind as that, of several as text."""
    whole = all(cell is None or (isinstance(cell, float) and cell.is_integer()) for cell in cells)
    try:
        return pa.array([None if cell is None else int(cell) for cell in cells] if whole else cells)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if cell is None else _shown(cell) for cell in cells], pa.string())


def _shown(cell: Any) -> str:
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)


def _database(url: str, asked: Asked) -> pa.Table:
    import sqlalchemy

    try:
        engine = sqlalchemy.create_engine(url)
        names = sqlalchemy.inspect(engine).get_table_names() + sqlalchemy.inspect(engine).get_view_names()
        wanted = [asked.table] if asked.table else names
        if len(wanted) != 1 or wanted[0] not in names:
            listed = ", ".join(names[:10]) or "none"
            raise InputError(f"{_without_password(asked.source)}: --table has to name one of its tables: {listed}")
        table = sqlalchemy.Table(wanted[0], sqlalchemy.MetaData(), autoload_with=engine)
        with engine.connect() as connection:
            rows = connection.execute(sqlalchemy.select(table)).all()
        arrays = {column.name: _array([row[i] for row in rows]) for i, column in enumerate(table.columns)}
    except ModuleNotFoundError as error:
        raise InputError(f"{_without_password(asked.source)}: needs the package {error.name}, its driver") from None
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise InputError(f"{_without_password(asked.source)}: cannot be read: {_one_line(error)[:200]}") from None
    finally:
        if "engine" in locals():
            engine.dispose()
    return pa.table(arrays)


def _without_password(url: str) -> str:
    return re.sub(r"//([^:/@]*):[^@/]*@", r"//\1:***@", url)


@contextmanager
def _fetched(url: str) -> Iterator[Path]:
    """Yield a local copy of a file or folder that fsspec reaches."""
    import fsspec

    try:
        system, place = fsspec.core.url_to_fs(url)
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder, Path(place.rstrip("/")).name)
            system.get(place, str(local), recursive=bool(system.isdir(place)))
            yield local
    except ImportError:
        raise InputError(f"{url}: needs an optional package: {REMOTES} installs it") from None
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{url}: there is no such file") from None
    except Exception as error:
        # Each kind of store has errors of its own, and each means the same here.
        raise InputError(f"{url}: cannot be fetched: {_one_line(error)[:200] or type(error).__name__}") from None


def _optional(module: str, asked: Asked, what: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(f"{asked.source}: {what} needs an optional package: {READERS} installs it") from None


def _plain(table: pa.Table, notes: list[str]) -> tuple[pa.Table, list[str]]:
    """Return the table in the few types that the rest knows."""
    notes = list(notes)
    arrays: dict[str, pa.ChunkedArray] = {}
    for name, given in zip(table.column_names, table.columns, strict=True):
        values = given
        wanted = _plain_type(values.type)
        if wanted is None:
            notes.append(f"column {name!r} holds {values.type}, which no model here takes: left out")
            continue
        if pa.types.is_timestamp(values.type) and values.type.tz is not None:
            notes.append(f"times of {name!r} are those of UTC, without a zone")
            # A cast between zones keeps the moment, and a zone is dropped by way of the one it is shown in.
            values = values.cast(pa.timestamp("us", "UTC"), safe=False)
        try:
            arrays[name] = values if values.type == wanted else values.cast(wanted, safe=False)
        except pa.ArrowException:
            notes.append(f"column {name!r} holds {values.type} that cannot be read: left out")
            continue
        if pa.types.is_floating(wanted):
            found = pc.is_nan(arrays[name])
            if pc.any(found).as_py():
                arrays[name] = pc.if_else(found, None, arrays[name])
    return pa.table(arrays), notes


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


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())
