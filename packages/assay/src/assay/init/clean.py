"""From text as people write it to values: numbers with units, dates, booleans, and words for missing."""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# How many values are sampled before all are read.
LOOK = 2000
MISSING_WORDS = frozenset(
    [
        *"? - -- . na n/a n.a. nan null none nil nul missing unknown unk undefined unspecified #n/a \\n".split(),
        *("not available", "not known", "no data", "no answer", "not recorded", "keine angabe", "k.a.", "inconnu"),
    ]
)
# In a category `none` and similar words may be real values.
MISSING_CATEGORIES = MISSING_WORDS - {"none", "nil", "unspecified", "no answer"}
YES = frozenset(["yes", "y", "true", "t", "ja", "oui", "si", "sí", "on"])
NO = frozenset(["no", "n", "false", "f", "nein", "non", "off"])
PAIRS = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"ja", "nein"}, {"oui", "non"}, {"on", "off"}]
PAIRS += [{"si", "no"}, {"sí", "no"}]
CURRENCY = r"(?:[$€£¥₹₽]|US\$|USD|EUR|GBP|CHF|JPY|INR|Rs\.?)"
CELL = re.compile(
    rf"(?P<sign>[-+(]?)\s*(?P<before>{CURRENCY})?\s*(?P<inner>[-+]?)(?P<digits>\d[\d.,'\u2019 \u00a0\u202f]*|[.,]\d+)"
    rf"(?P<power>[eE][-+]?\d+)?\s*(?P<after>{CURRENCY}|%|[^\d\s.,()+-][^\d()]{{0,14}})?\)?"
)
SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "m": 1e6, "B": 1e9, "bn": 1e9, "Mn": 1e6}
FEWEST_WITH_UNIT = 10
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *("%d %b %Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%d.%m.%y", "%d/%m/%y", "%m/%d/%y"),
    *("%d-%b-%y", "%Y%m%d", "%b %Y", "%B %Y", "%Y-%m", "%m/%Y"),
)
CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H.%M.%S", "%H.%M", "%I:%M %p", "%I:%M:%S %p")
WHOLE = ("%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S")
# Numbers below or far above all others that instruments and forms write for a missing value.
LOW_MARKS = (-1, -9, -99, -200, -999, -9999, -99999)
HIGH_MARKS = (99, 999, 9999, 99999, 999999, 9999999)


@dataclass(frozen=True)
class Cleaned:
    """Cleaned values, their unit if they had one, notes on what was done, and doubts about it."""

    values: pa.ChunkedArray
    unit: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    markers: tuple[str, ...] = ()


@dataclass
class _Reading:
    """How the texts of a column are read as values of one type."""

    read: Callable[[str], Any]
    kind: pa.DataType
    unit: str | None = None
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def clean(values: pa.ChunkedArray, *, is_target: bool = False) -> Cleaned:
    """Return the values of a column in the type that they mean.

    Texts become numbers, dates or booleans if all of them can, except words for missing; otherwise they stay text,
    trimmed and in one spelling. Numbers that mean missing become missing. A target keeps its texts.
    """
    if pa.types.is_string(values.type):
        made = _texts(values, is_target)
        if pa.types.is_integer(made.values.type) or pa.types.is_floating(made.values.type):
            found = _numbers(made.values)
            return replace(made, values=found.values, doubts=(*made.doubts, *found.doubts))
        return replace(made, values=_days(made.values))
    if pa.types.is_timestamp(values.type):
        return Cleaned(_days(values))
    if pa.types.is_time64(values.type):
        hours = pc.divide(values.cast(pa.int64()).cast(pa.float64()), 3.6e9)
        return Cleaned(hours, "hours", ("a time of day, converted to hours since midnight",))
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return _numbers(values)
    return Cleaned(values)


def _texts(values: pa.ChunkedArray, is_target: bool) -> Cleaned:
    encoded = values.dictionary_encode().unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], pa.dictionary(pa.int32(), pa.string()))
    words: list[str] = [" ".join(word.split()) for word in encoded.dictionary.to_pylist()]
    absent = [not word or word.lower() in MISSING_WORDS for word in words]
    present = [word for word, gone in zip(words, absent, strict=True) if not gone]
    markers = tuple(sorted({w for w, gone in zip(words, absent, strict=True) if gone and w}))
    reading = _reading(present, encoded, words, is_target) if present else None
    if reading is not None:
        made = [None if gone else _or_none(reading.read, word) for word, gone in zip(words, absent, strict=True)]
        lost = sorted(
            {word for word, value, gone in zip(words, made, absent, strict=True) if value is None and not gone}
        )
        if lost:
            reading.doubts.append(f"{_listed(lost)} could not be read as values and became missing")
        if markers:
            reading.notes.append(f"{_listed(markers)} became missing")
        column = _take(pa.array(made, reading.kind), encoded)
        if pa.types.is_float64(reading.kind) and all(value is None or float(value).is_integer() for value in made):
            column = column.cast(pa.int64())
        return Cleaned(column, reading.unit, tuple(reading.notes), tuple(reading.doubts), ())
    return _categories(encoded, words, is_target)


def _categories(encoded: pa.DictionaryArray, words: list[str], is_target: bool) -> Cleaned:
    """Return trimmed texts in one spelling, with words for missing as null."""
    counts = Counter(
        dict(enumerate(np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(words)).tolist()))
    )
    gone = {word for word in words if not word or (word.lower() in MISSING_CATEGORIES and not is_target)}
    spelling: dict[str, str] = {}
    for code, _ in counts.most_common():
        spelling.setdefault(words[code].lower(), words[code])
    other = sorted({word for word in words if word not in gone and spelling[word.lower()] != word})
    # Among many different words some differ in case by chance, and in names or codes case may matter.
    unify = bool(other) and len(words) <= 1000
    made = [None if word in gone else spelling[word.lower()] if unify else word for word in words]
    notes = [f"{_listed(other)} changed to the most frequent spelling"] if unify else []
    markers = tuple(sorted(filter(None, gone)))
    if markers:
        notes.append(f"{_listed(markers)} became missing")
    return Cleaned(_take(pa.array(made, pa.string()), encoded), None, tuple(notes), (), markers)


def _reading(present: list[str], encoded: pa.DictionaryArray, words: list[str], is_target: bool) -> _Reading | None:
    """Return how to read texts that are numbers, dates or booleans; None for other texts."""
    some = present[:: max(1, len(present) // LOOK)]
    if not is_target and {word.lower() for word in some} in PAIRS:
        shown = sorted(present)
        return _Reading(lambda word: word.lower() in YES, pa.bool_(), None, [f"{_listed(shown)} became true and false"])
    if any(word[0] == "0" and word.isdigit() and len(word) > 1 for word in some) and not _dates(some, []):
        return None
    return _number_reading(some, present) or (None if is_target else _time_reading(some, encoded, words))


def _number_reading(some: list[str], present: list[str]) -> _Reading | None:
    found = [CELL.fullmatch(word) for word in some]
    cells = [cell for cell in found if cell]
    if len(cells) < 0.9 * len(some) or (len(some) - len(cells)) > 5 or not cells:
        return None
    units = {(cell["after"] or cell["before"] or "").strip() for cell in cells}
    notes: list[str] = []
    doubts: list[str] = []
    unit: str | None = None
    scaled = bool(units & SCALES.keys()) and units <= SCALES.keys() | {""}
    if scaled:
        notes.append(f"{_listed(sorted(units - {''}))} after a number is applied as a multiplier")
    elif len(units - {""}) > 1:
        return None
    elif units - {""}:
        unit = min(units - {""})
        is_known = unit == "%" or re.fullmatch(CURRENCY, unit)
        if not is_known and len(set(some)) < FEWEST_WITH_UNIT:
            return None
        notes.append(f"{unit!r} next to the numbers became the unit")
    digits = [cell["digits"].strip() for cell in cells]
    decimal = _decimal(digits)
    if decimal is None:
        return None
    if any(mark in text for text in digits for mark in ",.'\u2019 \u00a0") and (decimal == "," or len(units) > 0):
        groups = {mark for text in digits for mark in text if not mark.isdigit() and mark != decimal}
        if groups:
            notes.append("thousands separators were removed")
        if decimal == ",":
            notes.append("the comma is read as the decimal mark")
        one = [text for text in digits if re.fullmatch(r"\d{1,3}[.,]\d{3}", text)]
        if one and len(one) == sum(not text.isdigit() for text in digits):
            doubts.append(f"{one[0]!r} was read as {_value(one[0], decimal):g}")

    def read(word: str) -> float:
        cell = CELL.fullmatch(word)
        if cell is None or (not scaled and (cell["after"] or cell["before"] or "").strip() not in {"", unit}):
            raise ValueError(word)
        number = _value(cell["digits"], decimal) * float("1" + (cell["power"] or ""))
        if cell["sign"] in ("-", "(") or cell["inner"] == "-":
            number = -number
        return number * SCALES.get((cell["after"] or "").strip(), 1.0) if scaled else number

    bad = [word for word in some if _or_none(read, word) is None]
    if len(bad) > 5 or len(bad) > 0.1 * len(some):
        return None
    return _Reading(read, pa.float64(), unit, notes, doubts)


def _decimal(digits: list[str]) -> str | None:
    """Return the decimal mark of texts of digits and separators, or None if they disagree."""
    votes: set[str] = set()
    undecided: set[str] = set()
    for text in digits:
        marks = [mark for mark in text if mark in ".,"]
        if not marks:
            continue
        last = marks[-1]
        if len(set(marks)) == 2 and marks.count(last) == 1:
            votes.add(last)
        elif len(marks) > 1:
            if not re.fullmatch(r"\d{1,3}([.,]\d{3})+", text):
                return None
            votes.add("," if last == "." else ".")
        elif re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", text):
            undecided.add(last)
        else:
            votes.add(last)
    if len(votes) == 2:
        return None
    if votes:
        return votes.pop()
    # 1,234 is a thousand and 1.234 is not, unless other cells show the opposite.
    return "."


def _value(digits: str, decimal: str) -> float:
    plain = "".join(mark for mark in digits if mark.isdigit() or mark == decimal)
    return float(plain.replace(decimal, "."))


def _time_reading(some: list[str], encoded: pa.DictionaryArray, words: list[str]) -> _Reading | None:
    is_clock = all(re.match(r"\d{1,2}[:.]\d\d", word) for word in some)
    clock = next((form for form in CLOCKS if is_clock and all(_or_none(_moment(form), word) for word in some)), None)
    if clock is not None:

        def hours(word: str) -> float:
            moment = datetime.strptime(word, clock)
            return round(moment.hour + moment.minute / 60 + moment.second / 3600, 6)

        return _Reading(hours, pa.float64(), "hours", ["a time of day, converted to hours since midnight"])
    doubts: list[str] = []
    form = _dates(some, doubts, encoded, words)
    if form is None:
        return None
    shown = "day first" if form.find("%d") < form.find("%m") and "%d" in form else form
    return _Reading(_moment(form), pa.timestamp("us"), None, [f"dates written as {form} ({shown})"], doubts)


def _moment(form: str) -> Callable[[str], datetime]:
    return lambda word: datetime.strptime(word, form)


def _dates(
    some: Sequence[str], doubts: list[str], encoded: pa.DictionaryArray | None = None, words: Iterable[str] = ()
) -> str | None:
    """Return the date format of all texts; if day and month can be swapped, the more probable format."""
    if not some or not re.search(r"\d", some[0]) or max(map(len, some)) > 40 or min(map(len, some)) < 5:
        return None
    forms = [
        date + joint + clock for date in DATES for joint, clock in [("", ""), *((j, c) for j in " T" for c in CLOCKS)]
    ]
    first = [form for form in [*forms, *WHOLE] if _or_none(_moment(form), some[0])]
    fits = [form for form in first if all(_or_none(_moment(form), word) for word in some)]
    if not fits:
        # A few words among dates mean missing.
        fits = [f for f in first if sum(_or_none(_moment(f), word) is None for word in some) <= min(3, len(some) // 20)]
    if not fits:
        return None
    swapped = [form for form in fits if form != fits[0] and sorted(form) == sorted(fits[0])]
    if not swapped:
        return fits[0]
    pair = [fits[0], swapped[0]]
    best = max(pair, key=lambda form: _orderly(form, encoded, words))
    doubts.append(f"dates such as {some[0]!r} are ambiguous (day or month first); read as {best}")
    return best


def _orderly(form: str, encoded: pa.DictionaryArray | None, words: Iterable[str]) -> float:
    """Return how often dates in this format do not decrease from row to row: files are often in order of time."""
    if encoded is None:
        return 0.0
    moments = [_or_none(_moment(form), word) for word in words]
    rows = [moments[code] for code in encoded.indices.slice(0, 5000).drop_null().to_pylist()]
    known = [moment for moment in rows if moment is not None]
    return float(np.mean([b >= a for a, b in pairwise(known)])) if len(known) > 1 else 0.0


def _days(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return timestamps as dates if all are at midnight; anything else unchanged."""
    if not pa.types.is_timestamp(values.type):
        return values
    days = values.cast(pa.date32(), safe=False)
    return days if days.cast(values.type).equals(values) else values


def _numbers(values: pa.ChunkedArray) -> Cleaned:
    """Return numbers with those that mean missing as null, and as integers if all are whole."""
    doubts: list[str] = []
    while (mark := _mark(values)) is not None:
        times = pc.sum(pc.equal(values, mark).cast(pa.int64())).as_py()
        values = pc.if_else(pc.equal(values, mark), None, values)
        doubts.append(f"{mark:g} occurs {times} times, far from all other values, and became missing")
    if pa.types.is_floating(values.type) and pc.all(pc.equal(pc.floor(values), values)).as_py():
        limit = pc.max(pc.abs(values)).as_py()
        if limit is not None and limit < 2**53:
            values = values.cast(pa.int64())
    return Cleaned(values, None, (), tuple(doubts))


def _mark(values: pa.ChunkedArray) -> float | None:
    """Return the lowest or highest number if it stands for a missing value: it is a usual mark, and far from the rest.

    -1 may be a value on a scale below zero, but -200 below only positive numbers is not a value.
    """
    low, high = pc.min_max(values).as_py().values()
    if low is None or low == high:
        return None
    for mark, marks in ((low, LOW_MARKS), (high, HIGH_MARKS)):
        others = values.filter(pc.not_equal(values, mark))
        if mark not in marks or len(values) - values.null_count - len(others) < 2:
            continue
        within = pc.min_max(others).as_py()
        span = within["max"] - within["min"]
        if not span:
            continue
        if mark == low and mark <= -9 and (within["min"] >= 0 or within["min"] - mark > span):
            return float(mark)
        if mark == high and mark - within["max"] > 3 * max(span, 1):
            return float(mark)
    return None


def _take(made: pa.Array, encoded: pa.DictionaryArray) -> pa.ChunkedArray:
    return pa.chunked_array([made.take(encoded.indices)])


def _or_none(read: Callable[[str], Any], word: str) -> Any:
    try:
        return read(word)
    except (ValueError, OverflowError):
        return None


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(repr(word) for word in words[:4])
    return shown + (f" and {len(words) - 4} more" if len(words) > 4 else "")
