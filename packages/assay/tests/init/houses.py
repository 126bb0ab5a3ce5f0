"""A small table as people have it, and that table in other kinds of files."""

import datetime
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa

ROWS = 60


def houses(rows: int = ROWS, seed: int = 0) -> pa.Table:
    """Return houses with a size, a town, a day of sale, a note and a price."""
    rng = np.random.default_rng(seed)
    size = rng.integers(40, 200, rows)
    town = rng.choice(["Köln", "Zürich", "Orly"], rows)
    day = [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in np.sort(rng.integers(0, 700, rows))]
    price = (size * 3000.5 + 50_000 * (town == "Zürich") + rng.normal(0, 1e4, rows)).round(2)
    return pa.table({"size": size, "town": town, "sold": day, "garden": rng.random(rows) < 0.5, "price": price})


def as_text(table: pa.Table, separator: str = ",", decimal: str = ".") -> str:
    """Return a table as delimited text."""
    lines = [separator.join(table.column_names)]
    for row in table.to_pylist():
        cells = [str(cell) if not isinstance(cell, float) else str(cell).replace(".", decimal) for cell in row.values()]
        lines.append(separator.join(cells))
    return "\n".join(lines) + "\n"


def write_workbook(path: Path, table: pa.Table, before: str = "") -> None:
    """Write a table as a minimal Excel workbook, perhaps with a sheet of one cell before it."""
    rows = [
        table.column_names,
        *([str(v) if isinstance(v, datetime.date) else v for v in r.values()] for r in table.to_pylist()),
    ]
    sheets = {**({"About": [[before]]} if before else {}), "Sales": rows}
    space = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    link = '<Relationship Id="r{}" Type="{}" Target="{}"/>'
    book = link.format(1, f"{relation}/officeDocument", "xl/workbook.xml")
    numbers = range(1, len(sheets) + 1)
    links = "".join(link.format(i, f"{relation}/worksheet", f"worksheets/sheet{i}.xml") for i in numbers)
    listed = "".join(f'<sheet name="{name}" sheetId="{i}" r:id="r{i}"/>' for i, name in enumerate(sheets, 1))
    files = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>',
        "_rels/.rels": f'<Relationships xmlns="{package}">{book}</Relationships>',
        "xl/workbook.xml": f'<workbook {space} xmlns:r="{relation}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}">{links}</Relationships>',
    }
    for i, cells in enumerate(sheets.values(), 1):
        content = "".join(f"<row>{''.join(map(_cell, row))}</row>" for row in cells)
        files[f"xl/worksheets/sheet{i}.xml"] = f"<worksheet {space}><sheetData>{content}</sheetData></worksheet>"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return f'<c t="b"><v>{int(value)}</v></c>'
    if isinstance(value, int | float):
        return f"<c><v>{value}</v></c>"
    return f'<c t="inlineStr"><is><t>{escape(str(value))}</t></is></c>'
