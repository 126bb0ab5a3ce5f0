"""From values as files and clients write them to values of the contract: the only place where values are cleaned.

A value that the contract allows is never changed. A file holds texts: in a column whose numbers have a decimal comma
they decide together, and if all are numbers in plain notation, the file was cleaned before.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from assay.contract.dates import EPOCHS, PERIODS, counted, dated, period
from assay.contract.spec import (
    Boolean,
    Category,
    Column,
    Id,
    Ignored,
    Integer,
    Number,
    Text,
    Time,
    as_number,
    parse_time,
    zone_of,
)

TRUE = frozenset(["true", "t", "yes", "y", "1", "1.0", "on", "ja", "j", "oui", "si", "sí"])
FALSE = frozenset(["false", "f", "no", "n", "0", "0.0", "off", "nein", "non"])
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H.%M.%S", "%I:%M %p", "%I:%M:%S %p")
CURRENCY = r"(?:US\$|USD|EUR|GBP|CHF|JPY|INR|Rs\.?|[$€£¥₹₽])"
GROUPING = ".,'\u2019 \u00a0\u202f"
CELL = re.compile(
    rf"(?P<open>\()?\s*(?P<sign>[-+]?)\s*(?P<before>{CURRENCY})?\s*(?P<inner>[-+]?)"
    rf"(?P<digits>\d(?:[\d{GROUPING}]*\d)?|[.,]\d+)"
    rf"(?P<power>[eE][-+]?\d+)?\s*(?P<after>{CURRENCY}|%|[^\d\s.,()+-][^\d()]{{0,14}}?)?\s*(?P<close>\))?"
)


def markers_of(column: Column, everywhere: Iterable[str]) -> frozenset[str]:
    """Return the texts that mean missing in a column."""
    cleaning = None if isinstance(column, Id | Ignored) else column.cleaning
    return frozenset(everywhere) | frozenset(cleaning.missing if cleaning else ())


def missing_numbers(column: Column) -> frozenset[float]:
    """Return the numbers that mean missing in a column."""
    if isinstance(column, Text | Id | Ignored) or column.cleaning is None:
        return frozenset()
    return frozenset(number for text in column.cleaning.missing if (number := as_number(text)) is not None)


def missing_moments(column: Column) -> frozenset[datetime]:
    """Return the times that mean missing in a column."""
    if not isinstance(column, Time) or column.cleaning is None:
        return frozenset()
    read = times(column)
    return frozenset(moment for text in column.cleaning.missing if (moment := or_none(read, text)) is not None)


def written_as(texts: Iterable[str], column: Column) -> Column:
    """Return a column as the different texts of a file show it: without cleaning if all are plain numbers.

    Only numbers with a decimal comma could be read in two ways.
    """
    has_comma = isinstance(column, Number | Integer) and column.cleaning and column.cleaning.decimal == ","
    if has_comma and all(as_number(text.strip()) is not None for text in texts):
        return column.model_copy(update={"cleaning": None})
    return column


def from_texts(texts: Iterable[str], read: Callable[[str], Any]) -> list[Any]:
    """Return what a `reader` makes of texts; None for a text that it cannot read."""
    return [or_none(read, text) for text in texts]


def reader(column: Column) -> Callable[[str], Any]:
    """Return a function that returns the value of a text.

    It raises ValueError for a text that has none; an unknown category comes back as it is.

    >>> reader(Number(kind="number", cleaning={"decimal": ",", "units": {"€": 1.0}}))("1.234,50 €")
    1234.5
    """
    match column:
        case Number():
            return lambda text: _number(text, column)
        case Integer():
            return lambda text: _whole(text, column)
        case Boolean():
            return _boolean
        case Time():
            return times(column)
        case Category():
            return _agreed(column)
        case _:
            return lambda text: text


def from_json(column: Column, everywhere: Iterable[str]) -> Callable[[Any], Any]:
    """Return a function that cleans values of requests: a value that cannot be cleaned comes back as it is."""
    markers, numbers, exact = markers_of(column, everywhere), missing_numbers(column), isinstance(column, Text)
    read = reader(column)
    is_cleaned = not isinstance(column, Id | Ignored) and column.cleaning is not None
    # A text that means missing is refused by its type if the contract allows no missing value, but not in a text.
    may_be_missing = isinstance(column, Text) or (
        column.missing == "allow" and (is_cleaned or isinstance(column, Category))
    )

    def clean(given: Any) -> Any:
        if isinstance(given, str):
            if may_be_missing and (given in markers or (not exact and means_missing(given, markers, numbers))):
                return None
            # The text of a time is read later.
            reads = is_cleaned or isinstance(column, Boolean)
            return _or_given(read, given) if reads and not isinstance(column, Time) else given
        if isinstance(given, bool):
            return _or_given(read, str(given).lower()) if is_cleaned and isinstance(column, Category) else given
        if not isinstance(given, int | float) or (isinstance(given, float) and not math.isfinite(given)):
            return given
        if given in numbers and column.missing == "allow":
            return None
        match column:
            case Integer() if given == int(given):
                return int(given)
            case Boolean() if given in (0, 1):
                return bool(given)
            case Category() | Time() if is_cleaned:
                text = str(int(given) if given == int(given) else given)
                return text if isinstance(column, Time) else read(text)
            case _:
                return given

    return clean


def _or_given(read: Callable[[str], Any], text: str) -> Any:
    found = or_none(read, text)
    return text if found is None else found


def means_missing(text: str, markers: Collection[str], numbers: Collection[float]) -> bool:
    """Say whether a text, without the spaces around it, is one of some texts or numbers that mean missing."""
    cell = text.strip()
    return cell in markers or (bool(numbers) and as_number(cell) in numbers)


def or_none(read: Callable[[str], Any], text: str) -> Any:
    """Return what is read from a text, or None if it cannot be read."""
    try:
        return read(text)
    except (ValueError, OverflowError):
        return None


def trimmed(text: str) -> str:
    """Return a text without spaces around it, and with single spaces in it."""
    return " ".join(text.split())


def _number(text: str, column: Number | Integer) -> float:
    cleaning, cell = column.cleaning, trimmed(text)
    if cleaning is None or cleaning.decimal == ".":
        number = as_number(cell)
        if number is not None:
            return number
    if cleaning is None:
        raise ValueError(text)
    if cleaning.clock:
        return hours(cell)
    return written_number(cell, cleaning.decimal, cleaning.units)


def written_number(cell: str, decimal: str, units: Mapping[str, float]) -> float:
    """Return the number of a text with grouped thousands, a decimal mark, and units with their factors.

    >>> written_number("(1,250.5k)", ".", {"k": 1000.0})
    -1250500.0
    """
    found = CELL.fullmatch(cell)
    if found is None or bool(found["open"]) != bool(found["close"]):
        raise ValueError(cell)
    number = _ungrouped(found["digits"], decimal)
    beside = [part.strip() for part in (found["before"], found["after"]) if part]
    if any(unit not in units for unit in beside):
        raise ValueError(cell)
    value = float(number + (found["power"] or ""))
    factor = math.prod(units[unit] for unit in beside)
    signs = [bool(found["open"]), found["sign"] == "-", found["inner"] == "-"]
    if sum(signs) > 1:
        raise ValueError(cell)
    # Most factors are 1, and a product is not always exact.
    value = value if factor == 1 else float(f"{value * factor:.15g}")
    return -value if any(signs) else value


def _ungrouped(digits: str, decimal: str) -> str:
    """Return digits in plain notation; raises ValueError unless thousands are in groups of three with one mark."""
    whole, mark, fraction = digits.partition(decimal)
    if mark and not fraction.isdigit():
        raise ValueError(digits)
    groups = re.split(r"\D", whole)
    marks = set(re.findall(r"\D", whole))
    if len(groups) > 1 and (len(marks) > 1 or not 1 <= len(groups[0]) <= 3 or any(len(one) != 3 for one in groups[1:])):
        raise ValueError(digits)
    return f"{''.join(groups) or '0'}.{fraction or '0'}"


def hours(cell: str) -> float:
    """Return a time of day in hours since midnight.

    >>> hours("6:30 PM")
    18.5
    """
    for form in CLOCKS:
        with suppress(ValueError):
            found = datetime.strptime(cell, form)
            return float(round(found.hour + found.minute / 60 + (found.second + found.microsecond / 1e6) / 3600, 6))
    raise ValueError(cell)


def _whole(text: str, column: Integer) -> int:
    number = _number(text, column)
    # Digits alone are exact where a float is not; the range decides later.
    plain = text.strip()
    whole = int(plain) if plain.lstrip("+-").isdigit() and plain.isascii() else int(number)
    if number != int(number) or not -(2**63) <= whole < 2**63:
        raise ValueError(text)
    return whole


def _boolean(text: str) -> bool:
    word = trimmed(text).lower()
    if word not in TRUE and word not in FALSE:
        raise ValueError(text)
    return word in TRUE


def times(column: Time) -> Callable[[str], datetime]:
    """Return a function that reads the text of a time, in the zone of the column.

    It raises ValueError for an invalid time, and for one with an offset if the column has no zone.

    >>> times(Time(kind="time", zone="UTC"))("2018-11-30T01:00:00+02:00")
    datetime.datetime(2018, 11, 29, 23, 0)
    """
    form = column.cleaning.format if column.cleaning else None
    if column.zone is None and form is None:
        return lambda text: parse_time(text.strip(), column.format)
    zone = zone_of(column.zone or "UTC")
    forms = [column.format] if form is None or form in EPOCHS else [column.format, form]

    def moment(cell: str) -> datetime:
        if form in EPOCHS and re.fullmatch(r"-?\d+", cell):
            found = counted(int(cell), form)
        else:
            found = _parsed(cell, forms)
            if found.tzinfo is not None and column.zone is None:
                raise ValueError(f"{cell!r} has a time zone; times must not have one")
        return found if found.tzinfo is None else found.astimezone(zone).replace(tzinfo=None)

    def read(text: str) -> datetime:
        try:
            return moment(text.strip())
        except OverflowError:
            raise ValueError(f"{text!r} is in no year of the calendar") from None

    return read


def _parsed(cell: str, forms: Sequence[str | None]) -> datetime:
    for form in forms[:-1]:
        with suppress(ValueError):
            return _strptime(cell, form)
    return _strptime(cell, forms[-1])


def _strptime(cell: str, form: str | None) -> datetime:
    if form is None:
        return datetime.fromisoformat(cell)
    return period(cell) if form == PERIODS else dated(cell, form)


def _agreed(column: Category) -> Callable[[str], str]:
    """Return a function that returns the value of the list that a text means, or the text if it means none."""
    if column.cleaning is None:
        return lambda text: text
    values, ignores_case = column.values, column.cleaning.case == "ignore"
    exact = {value: value for value in values}
    for value in values:
        exact.setdefault(trimmed(value), value)
    words = Counter(without_case(trimmed(value)) for value in values if ignores_case)
    # A text in lower case that means only one value.
    folded = {word: value for value in values if ignores_case and words[word := without_case(trimmed(value))] == 1}

    def agreed(text: str) -> str:
        cell = trimmed(text)
        number = re.fullmatch(r"([-+]?\d+)\.0+", cell)
        found = next((exact[key] for key in (text, cell, number[1] if number else cell) if key in exact), None)
        if found is None and ignores_case:
            found = folded.get(without_case(cell))
        return text if found is None else found

    return agreed


def without_case(word: str) -> str:
    """Return a word in lower case; unchanged if case may mean something, as in m and M, mW and MW.

    >>> [without_case(word) for word in ("NO", "Bonn", "M", "mW")]
    ['no', 'bonn', 'M', 'mW']
    """
    return word if len(word) == 1 or re.fullmatch("[a-z][A-Z]", word) else word.casefold()
