"""Plans for made-up tables."""

import datetime
from typing import Any

import numpy as np
import pyarrow as pa

from assay.init.infer import Plan, infer

ROWS = 400
RNG = np.random.default_rng(1)
X = RNG.normal(size=ROWS).round(3)
LABEL = np.where(X + RNG.normal(size=ROWS) > 0.5, "yes", "no")
# By what is told of it: the name and the values of a column, and what it is.
KINDS: dict[str, tuple[str, Any, str]] = {
    "row numbers": ("n", np.arange(ROWS), "ignored"),
    "ids": ("customer_id", RNG.permutation(ROWS) + 10_000, "id"),
    "ids in words": ("ref", [f"A{i:05}" for i in RNG.permutation(ROWS)], "id"),
    "names of people": ("Name", [f"Ann B{i} Smith" for i in range(ROWS)], "id"),
    "a constant": ("country", ["DE"] * ROWS, "ignored"),
    "hardly any value": ("note", [None] * (ROWS - 1) + ["a"], "ignored"),
    "no value at all": ("empty", pa.nulls(ROWS, pa.string()), "ignored"),
    "a survey weight": ("fnlwgt", RNG.integers(1, 9999, ROWS), "ignored"),
    "many codes with few rows each": ("cabin", [f"C{i}" for i in RNG.integers(0, 300, ROWS)], "ignored"),
    "0 and 1": ("flag", RNG.integers(0, 2, ROWS), "boolean"),
    "yes and no": ("flag", RNG.choice(["yes", "no"], ROWS), "boolean"),
    "codes": ("season", RNG.integers(1, 5, ROWS), "category"),
    "counts": ("num_rooms", RNG.integers(1, 5, ROWS), "integer"),
    "words": ("colour", RNG.choice(["red", "green"], ROWS), "category"),
    "days": (
        "sold",
        [datetime.date(2020, 1, 1) + datetime.timedelta(days=int(d)) for d in RNG.integers(0, 900, ROWS)],
        "time",
    ),
    "days as numbers": ("date", [20200100 + int(d) for d in RNG.integers(1, 29, ROWS)], "time"),
    "days as numbers in Italian": ("data", [20200100 + int(d) for d in RNG.integers(1, 29, ROWS)], "time"),
    "days with two digits for the year": ("date", [910100 + int(d) for d in RNG.integers(1, 29, ROWS)], "time"),
    "months as numbers": ("date", [200501 + 100 * (i % 8) + i % 12 for i in range(ROWS)], "integer"),
    "days of birth with two digits for the year": (
        "birth_date",
        [450100 + int(d) for d in RNG.integers(1, 29, ROWS)],
        "integer",
    ),
    "seconds since 1970": ("timestamp", RNG.integers(1_500_000_000, 1_600_000_000, ROWS), "time"),
    "milliseconds since 1970": ("last_seen", RNG.integers(15 * 10**11, 16 * 10**11, ROWS), "time"),
    "numbers of orders, as large as seconds": ("order", RNG.integers(14 * 10**8, 15 * 10**8, ROWS), "integer"),
    "bytes, as many as seconds": ("data_bytes", RNG.integers(4 * 10**8, 39 * 10**8, ROWS), "integer"),
    "marks, as large as seconds": ("tag", RNG.integers(4 * 10**8, 39 * 10**8, ROWS), "integer"),
    "long numbers of customers": ("Kundennummer", RNG.integers(10**9, 10**9 + 900_000, ROWS), "ignored"),
    "microseconds since 1970": ("logged", RNG.integers(15 * 10**14, 16 * 10**14, ROWS), "time"),
    "months in digits": ("Monat", [202001 + 100 * (i % 3) + i % 12 for i in range(ROWS)], "time"),
    "amounts as large as seconds": ("people", 10**9 * RNG.integers(1, 3, ROWS), "integer"),
    "days of a spreadsheet": ("Datum", RNG.integers(44_000, 44_900, ROWS), "time"),
    "postal codes": ("PLZ", RNG.choice([10115, 80331, 50667, 1067], ROWS), "category"),
    "too many postal codes": ("zip", RNG.integers(10_000, 99_999, ROWS), "ignored"),
    "numbers of accounts": ("Kontonr", RNG.integers(1_000_000, 9_999_999, ROWS), "ignored"),
    "numbers of articles": ("artikelnr", RNG.choice(np.arange(100_007, 900_000, 30_011), ROWS), "category"),
    "a number of things": ("number_of_people", RNG.integers(10_000, 99_999, ROWS), "integer"),
    "numbers of views": ("number_views", RNG.integers(10_000, 99_999, ROWS), "integer"),
    "a number of things in Spanish": ("número de habitantes", RNG.integers(10_000, 99_999, ROWS), "integer"),
    "a ratio of signal to noise": ("snr", RNG.integers(10_000, 99_999, ROWS), "integer"),
    "postal codes with a long tail": ("zip", 10_000 + RNG.zipf(1.7, ROWS) % 60, "ignored"),
    "answers with codes for none": ("q1", RNG.choice([1, 2, 3, 4, 5, 8, 9], ROWS), "integer"),
    "a scale on which one was left out": ("overallcond", RNG.choice([1, 2, 3, 4, 5, 6, 7, 9], ROWS), "integer"),
    "counts with a tail": (
        "siblings",
        RNG.choice([0, 1, 2, 3, 4, 5, 9], ROWS, p=[0.3, 0.3, 0.2, 0.1, 0.05, 0.04, 0.01]),
        "integer",
    ),
    "whole numbers with gaps": (
        "age_of_house",
        [None if i % 9 == 0 else float(i % 40) for i in range(ROWS)],
        "integer",
    ),
    "fractions": ("size", RNG.normal(size=ROWS), "number"),
    "sentences": ("review", [" ".join(RNG.choice(["good", "bad", "very", "not"], 6)) for _ in range(ROWS)], "text"),
}


def plan(columns: dict[str, Any], target: Any = LABEL, **options: Any) -> Plan:
    """Return the plan for some columns beside a number and a target that depends on it."""
    return infer(pa.table({"x": X, **columns, "answer": target}), "answer", "mine", **options)


def column(name: str, values: Any, target: Any = LABEL) -> dict[str, Any]:
    """Return what was decided about a column."""
    return plan({name: values}, target).contract["columns"][name]


def said(made: Plan, where: str) -> str:
    """Return what a plan finds to look at in a place."""
    return "; ".join(finding.what for finding in made.findings if finding.where == where)
