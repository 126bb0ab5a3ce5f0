"""What `assay init` cleans, everything else cleans in the same way: the raw file, newer files and requests."""

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from assay.data import stored
from assay.data.check import check
from assay.data.columns import columns
from assay.data.reading import opened, read_table
from assay.inference.rows import RowReader
from assay.init.again import renewed
from assay.init.command import InitOptions, plan_for, updated
from assay.init.files import Source
from assay.init.infer import Plan
from assay.init.write import contract_text, data_bytes, parse_contract
from blocks import read_in_blocks
from init.plans import said

ROWS = 120
Cells = dict[str, list[str]]


def raw(seed: int = 0, rows: int = ROWS, **changes: list[str]) -> Cells:
    """Return columns as people write them."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(1, 9000, rows)
    days = rng.integers(1, 29, (4, rows))
    swapped = str.maketrans(",.", ".,")
    made = {
        "price": [f"{number:,.2f} €".translate(swapped) for number in size],
        "weight": [f"{n:.0f} g" if n > 1000 else f"{n / 1000:.3f} kg" for n in size[::-1]],
        "people": [f"{n / 10:.1f}{'kM'[i % 2]}" for i, n in enumerate(rng.permutation(size).round())],
        "bought": [f"{day}/{month}/2018" for day, month in zip(days[0], days[1] % 12 + 1, strict=True)],
        "seen": [f"2020-01-{day:02}T10:30:00{'Z' if day % 2 else '+02:00'}" for day in days[2]],
        "logged": [f"{day:02}/Jan/2020:10:30:00 -0500" for day in days[3]],
        "stored_at": [str(1_500_000_000 + int(1e6 * n)) for n in days[0]],
        "opens": [f"{day % 24}:30" for day in days[1]],
        "town": rng.choice(["Bonn", "Bonn", "Bonn", "bonn", " BONN ", "Köln"], rows).tolist(),
        "unit": rng.choice(["m", "M", "k", "K"], rows).tolist(),
        "country": rng.choice(["NA", "DE", "US", "FR"], rows).tolist(),
        "code": rng.choice(["1E5", "0E1", "125", "340"], rows).tolist(),
        "season": rng.choice(["1.0", "2.0", "3.0", ""], rows).tolist(),
        "smokes": rng.choice(["ja", "Nein", "?"], rows).tolist(),
        "rooms": rng.choice(["1", "2", "7", "NA", "-999"], rows).tolist(),
        "answer": np.where(size + rng.normal(0, 3000, rows) > 4500, "Yes", "no").tolist(),
    }
    return made | changes


def written(path: Path, cells: Cells, separator: str = ",") -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(cells)
        writer.writerows(zip(*cells.values(), strict=True))
    return path


def planned(path: Path) -> Plan:
    return plan_for(Source(str(path), "answer"), InitOptions(yes=True))[0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("separator", [",", ";"])
def test_the_raw_file_the_cleaned_file_and_raw_requests_are_read_alike(
    folder: Path, separator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = written(folder / "raw.csv", raw(), separator)
    plan = planned(file)
    made = parse_contract(contract_text(plan))
    cleaned = folder / "cleaned.csv"
    cleaned.write_bytes(data_bytes(plan.table, ".csv"))
    for path in (cleaned, file):
        table, violations = read_table(path, made)
        assert violations + check(table, made) == []
        assert table.equals(plan.table), path.name
    monkeypatch.setattr(stored, "LARGE", 0)
    read_in_blocks(1000, monkeypatch)
    with opened(file, made) as (rows, violations):
        assert not isinstance(rows, pa.Table)
        assert violations + check(rows, made) == []
        assert rows.whole().equals(plan.table)
    reader = RowReader(made, ROWS)
    rows = [dict(zip(raw(), cells, strict=True)) for cells in zip(*raw().values(), strict=True)]
    sent = [{name: row[name] for name in made.features} for row in rows]
    read = reader.columns(reader.read(json.dumps({"rows": sent}).encode()))
    for name, values in columns(plan.table, made).items():
        np.testing.assert_array_equal(read[name], values, name)


def test_what_was_found_is_in_the_contract(folder: Path) -> None:
    made = planned(written(folder / "raw.csv", raw())).contract["columns"]
    assert made["price"]["cleaning"] == {"decimal": ",", "units": {"€": 1.0}}
    assert made["weight"]["cleaning"]["units"] == {"g": 1.0, "kg": 1000.0}
    assert made["people"]["cleaning"]["units"] == {"k": 1e3, "M": 1e6}
    assert made["bought"]["cleaning"] == {"format": "%d/%m/%Y"}
    assert (made["stored_at"]["zone"], made["stored_at"]["cleaning"]) == ("UTC", {"format": "seconds"})
    assert made["town"]["values"] == ["Bonn", "Köln"]
    assert made["unit"]["values"] == ["K", "M", "k", "m"]
    assert made["country"]["values"] == ["DE", "FR", "NA", "US"]
    assert made["code"]["values"] == ["0E1", "125", "1E5", "340"]
    assert made["smokes"] == {"kind": "boolean", "missing": "allow", "cleaning": {"missing": ["?"]}}
    assert sorted(made["rooms"]["cleaning"]["missing"]) == ["-999", "NA"]


def test_the_review_counts_what_became_missing_and_names_the_zone(folder: Path) -> None:
    cells = raw()
    plan = planned(written(folder / "raw.csv", cells))
    assert f"'NA' ({cells['rooms'].count('NA')} rows)" in said(plan, "rooms")
    assert f"'-999' ({cells['rooms'].count('-999')} rows)" in said(plan, "rooms")
    assert "'?'" in said(plan, "smokes")
    for name in ("seen", "logged", "stored_at"):
        assert plan.contract["columns"][name]["zone"] == "UTC"
        assert "times are in UTC" in said(plan, name)


def test_rows_with_a_word_for_missing_in_the_target_are_left_out(folder: Path) -> None:
    cells = raw()
    cells["answer"][3] = "NA"
    plan = planned(written(folder / "raw.csv", cells))
    assert plan.table.num_rows == ROWS - 1
    assert plan.contract["target"]["classes"] == ["Yes", "no"]


NEWER: dict[str, Cells] = {
    "another spelling is the usual one": {"town": ["bonn"] * 100 + ["Köln"] * 20},
    "other spaces": {"town": [" Bonn"] * 60 + ["Köln  "] * 60},
    "no code that is text": {"code": ["125"] * 60 + ["1E5"] * 60},
    "no other country": {"country": ["NA"] * 100 + ["DE"] * 20},
    "no decimals": {"price": [f"{n}.000" for n in range(1, 7)] * 19 + ["12,50 €"] * 6},
    "whole seasons": {"season": ["1", "2", "3"] * 40},
    "days with both digits": {"bought": ["05/06/2018"] * 60 + ["07/08/2018"] * 60},
    "booleans as numbers": {"smokes": ["1", "0"] * 60},
}


@pytest.mark.parametrize("what", NEWER)
def test_a_newer_file_is_read_as_agreed(folder: Path, what: str) -> None:
    text = contract_text(planned(written(folder / "raw.csv", raw())))
    Path("contract.yaml").write_text(text, encoding="utf-8")
    old = parse_contract(text)
    file = written(folder / "newer.csv", raw(1, **NEWER[what]))
    checked, violations = read_table(file, old)
    assert [found for found in violations + check(checked, old) if found.column in NEWER[what]] == []
    made, changes, table = updated(planned(file), old)
    assert [change for change in changes if change.partition(":")[0] in NEWER[what]] == []
    for name in NEWER[what]:
        assert parse_contract(made).columns[name] == old.columns[name]
        assert table[name].equals(checked[name])


def test_what_a_newer_file_adds_is_added_and_told(folder: Path) -> None:
    text = contract_text(planned(written(folder / "raw.csv", raw())))
    Path("contract.yaml").write_text(text, encoding="utf-8")
    newer = raw(1, smokes=["ja", "nein", "n/a"] * 40, town=["Ulm", "ulm", "bonn"] * 40)
    made, changes = renewed(text, planned(written(folder / "newer.csv", newer)))
    assert parse_contract(made).columns["smokes"].cleaning.missing == ("?", "n/a")  # type: ignore[union-attr]
    assert parse_contract(made).columns["town"].values == ("Bonn", "Köln", "Ulm")  # type: ignore[union-attr]
    assert "smokes: values are now read with `missing: ['?', 'n/a']`" in changes


def test_a_newer_file_needs_no_column_that_was_added_to_count_rows(folder: Path) -> None:
    def few(seed: int) -> Cells:
        rng = np.random.default_rng(seed)
        return {"a": rng.choice(["x", "y"], ROWS).tolist(), "answer": rng.choice(["yes", "no"], ROWS).tolist()}

    text = contract_text(planned(written(folder / "raw.csv", few(0))))
    Path("contract.yaml").write_text(text, encoding="utf-8")
    old = parse_contract(text)
    assert old.ids == ["row"]
    newer = written(folder / "newer.csv", few(1))
    table, violations = read_table(newer, old)
    assert violations == []
    assert table["row"].to_pylist() == [str(number) for number in range(1, ROWS + 1)]
    made, changes, _ = updated(planned(newer), old)
    assert (made, changes) == (text, [])
