"""How the values of a column are written: numbers with units, dates, booleans, and words for missing.

What is found here goes into the contract; `assay.contract.cleaning` reads the values by it.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.cleaning import CELL, CLOCKS, CURRENCY, hours, or_none, trimmed, without_case, written_number
from assay.contract.dates import PERIODS, dated, period
from assay.contract.spec import (
    CLEANINGS,
    Boolean,
    Category,
    CategoryCleaning,
    Column,
    Number,
    NumberCleaning,
    Time,
    TimeCleaning,
    as_number,
)
from assay.data.dialect import CODES
from assay.data.reading import read_column
from assay.data.rows import MISSING_WORDS

# How many values are sampled before all are read.
LOOK = 2000
# In a category `none` and similar words may be real values.
MISSING_CATEGORIES = MISSING_WORDS - {"none", "nil", "unspecified", "no answer"}
# In a target `unknown` and similar words mean so too, unless only one class is left, or they are many.
MISSING_TARGETS = MISSING_CATEGORIES - {"missing", "nul", "undefined"}
MOST_UNKNOWN = 0.1
WRITTEN_BY_PROGRAMS = frozenset(
    "? - -- . na n/a n.a. nan null #n/a \\n -nan nat <na> #na #value! #div/0! #ref! #num!".split()
)
PAIRS = [{"yes", "no"}, {"y", "n"}, {"true", "false"}, {"t", "f"}, {"ja", "nein"}, {"oui", "non"}, {"on", "off"}]
PAIRS += [{"si", "no"}, {"sí", "no"}, {"j", "n"}]
SCALES = {"k": 1e3, "K": 1e3, "M": 1e6, "Mn": 1e6, "B": 1e9, "bn": 1e9}
# In company of one of the others this is a scale too; alone it may be metres.
SMALL_SCALES = {"m": 1e6, "b": 1e9}
# Units that convert into each other: what each is in the first.
FAMILIES = (
    {"kg": 1.0, "g": 1e-3, "mg": 1e-6, "t": 1e3},
    {"m": 1.0, "mm": 1e-3, "cm": 1e-2, "km": 1e3},
    {"l": 1.0, "ml": 1e-3, "cl": 1e-2},
    {"W": 1.0, "kW": 1e3, "MW": 1e6},
    {"Wh": 1.0, "kWh": 1e3, "MWh": 1e6},
)
FEWEST_WITH_UNIT = 10
FEWEST_CODES = 3
FEW_LEVELS = 10
MOST_SPELLINGS = 1000
DATES = (
    *("%Y-%m-%d", "%Y/%m/%d", "%Y.%m.%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y"),
    *(
        "%d %b %Y",
        "%d-%b-%Y",
        "%d. %b %Y",
        "%d %B %Y",
        "%d. %B %Y",
        "%d de %B de %Y",
        "%b %d, %Y",
        "%B %d, %Y",
        "%b %d %Y",
        "%d.%m.%y",
        "%d/%m/%y",
        "%m/%d/%y",
    ),
    *("%d-%b-%y", "%Y%m%d", "%d%m%Y", "%m%d%Y", "%b-%y", "%b-%Y", "%b %Y", "%B %Y", "%Y-%m", "%m/%Y"),
)
SHORT_YEAR = "%b-%y"
CLOCKS_OF_DATES = (*CLOCKS, "%H.%M")
WHOLE = ("%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S", "%d/%b/%Y:%H:%M:%S")
# The end of a time with its zone.
ZONE = re.compile(r"(?<=[\dMm])( ?)(Z|UTC|GMT|[+-]\d\d:?\d\d)$")
# Codes such as 1E5: a number in this notation would have a sign, a point or a small e.
CODE = re.compile(r"\d+E\d+")
# Numbers below or far above all others that instruments and forms write for a missing value.
LOW_MARKS = (-1, -9, -99, -200, -999, -9999, -99999)
HIGH_MARKS = (99, 999, 9999, 99999, 999999, 9999999)
# Surveys write 97 and 98, or 997 and 998, beside it for other reasons.
BESIDE = 2
# Days that programs write for a missing date, if no other is near.
DATE_MARKS = (
    "0001-01-01",
    "1753-01-01",
    "1899-12-30",
    "1899-12-31",
    "1900-01-01",
    "1970-01-01",
    "2099-12-31",
    "9999-12-31",
)
YEARS_APART = 10


@dataclass(frozen=True)
class Cleaned:
    """Cleaned values, their unit if they had one, notes on how they are written, and doubts about it.

    `cleaning` is the section of the contract that reads the values; `missing` says how many cells each marker has.
    """

    values: pa.ChunkedArray
    unit: str | None = None
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    cleaning: Mapping[str, Any] = field(default_factory=dict)
    missing: Mapping[str, int] = field(default_factory=dict)
    zone: str | None = None


@dataclass
class _Reading:
    """How the texts of a column are read: as a column of the contract."""

    column: Column
    notes: list[str] = field(default_factory=list)
    doubts: list[str] = field(default_factory=list)


def clean(
    values: pa.ChunkedArray,
    *,
    is_target: bool = False,
    decimal: str = ".",
    agreed: Column | None = None,
    are_codes: bool = False,
) -> Cleaned:
    """Return the values of a column in the type that they mean, and how they are read.

    Texts become numbers, dates or booleans if all of them can, except words for missing; otherwise they stay text,
    trimmed and in one spelling. Numbers that mean missing become missing. A target keeps its texts. `decimal` is the
    decimal mark with which numbers were read; `agreed` is the column of the present contract, which is kept to. Texts
    that `are_codes` stay texts.
    """
    kinds = pa.types
    if agreed is not None and not isinstance(agreed, Category):
        raw, made = read_column(values, agreed)
        if made.null_count == raw.null_count:
            return _finished(values, _Reading(agreed), made)
    if kinds.is_string(values.type):
        numbers = _plain_numbers(values) if agreed is None and not are_codes else None
        if numbers is not None:
            return _finished(values, numbers, read_column(values, numbers.column)[1])
        return _texts(values, is_target, agreed if isinstance(agreed, Category) else None, are_codes=are_codes)
    if kinds.is_timestamp(values.type) or kinds.is_date(values.type):
        zoned = kinds.is_timestamp(values.type) and values.type.tz is not None
        moment = Time(kind="time", zone="UTC" if zoned else None)
        return _finished(values, _Reading(moment), read_column(values, moment)[1])
    if kinds.is_time64(values.type):
        clock = Number(kind="number", unit="hours", cleaning=NumberCleaning(clock=True))
        return _finished(values, _Reading(clock, [CLOCK_NOTE]), read_column(values, clock)[1])
    if kinds.is_integer(values.type) or kinds.is_floating(values.type):
        mark: Any = decimal if kinds.is_floating(values.type) else "."
        cleaning = NumberCleaning(decimal=mark)
        return _finished(values, _Reading(Number(kind="number", cleaning=cleaning)), values)
    return Cleaned(values, cleaning={"case": "ignore"} if is_target else {})


CLOCK_NOTE = "a time of day, converted to hours since midnight"


def _finished(values: pa.ChunkedArray, reading: _Reading, made: pa.ChunkedArray) -> Cleaned:
    """Return what a reading makes of values, without the numbers that mean missing."""
    column: Any = reading.column
    doubts = list(reading.doubts)
    if isinstance(column, Number):
        # What the agreed range holds is a value.
        low, high = column.range or (1.0, 0.0)
        marks = {mark: times for mark, times in _marks(made).items() if not low <= float(mark) <= high}
        for mark, times in marks.items():
            doubts.append(f"{mark} occurs {times} times, far from all other values, and became missing")
        if marks:
            numbers = {float(mark) for mark in marks}
            texts = values.filter(pc.is_in(made, pa.array(numbers, made.type))).cast(pa.string()).unique().to_pylist()
            column = _with_missing(column, [*marks, *(trimmed(text) for text in texts if as_number(text) is None)])
            made = read_column(values, column)[1]
    if isinstance(column, Time):
        dates = _date_marks(made)
        for moment, times in dates.items():
            doubts.append(
                f"{moment.date().isoformat()} occurs {times} times, far from all other dates, and became missing"
            )
        if dates:
            there = pc.is_in(made, pa.array(list(dates), made.type))
            column = _with_missing(column, map(trimmed, values.filter(there).cast(pa.string()).unique().to_pylist()))
            made = read_column(values, column)[1]
    if isinstance(column, Number):
        made = _whole(made)
    if isinstance(column, Time):
        made = as_days(made)
    if isinstance(column, Number) and (times := _only_below_zero(made)):
        doubts.append(
            f"-1 occurs {times} times and is the only number below 0; if it means missing, add it to `missing`"
        )
    section = column.cleaning.model_dump(mode="json", exclude_defaults=True) if column.cleaning is not None else {}
    unit = column.unit if isinstance(column, Number) else None
    zone = column.zone if isinstance(column, Time) else None
    missing = _counted(values, section.get("missing", ()))
    return Cleaned(made, unit, tuple(reading.notes), tuple(doubts), section, missing, zone)


def _with_missing(column: Any, words: Iterable[str]) -> Any:
    """Return a column in which more texts mean missing."""
    cleaning = column.cleaning or CLEANINGS[column.kind]
    missing = tuple(dict.fromkeys([*cleaning.missing, *words]))
    return column.model_copy(update={"cleaning": cleaning.model_copy(update={"missing": missing})})


def _counted(values: pa.ChunkedArray, markers: Sequence[str]) -> dict[str, int]:
    """Return how many cells of a column hold each marker."""
    if not markers:
        return {}
    cells = pc.utf8_trim_whitespace(values) if pa.types.is_string(values.type) else values.cast(pa.string())
    cells = cells.filter(pc.is_in(cells, pa.array(markers, pa.string())))
    counts = {one["values"]: one["counts"] for one in pc.value_counts(cells).to_pylist()}
    return {marker: counts[marker] for marker in markers if marker in counts}


def _texts(values: pa.ChunkedArray, is_target: bool, agreed: Category | None, *, are_codes: bool) -> Cleaned:
    # The dictionaries of many chunks take much time and memory to unify.
    unique = values.unique().drop_null()
    encoded = pa.DictionaryArray.from_arrays(pc.index_in(values, unique).combine_chunks(), unique)
    words = [trimmed(word.as_py()) for word in encoded.dictionary]
    is_code = _is_code_of(words)
    absent = [not word or (word.lower() in MISSING_WORDS and not is_code(word)) for word in words]
    present = [word for word, gone in zip(words, absent, strict=True) if not gone]
    is_open = present and agreed is None and not are_codes
    reading = _reading(present, encoded, words, is_target) if is_open else None
    if reading is not None:
        gone = sorted({word for word, is_gone in zip(words, absent, strict=True) if is_gone and word})
        column = _with_missing(reading.column, gone)
        raw, made = read_column(values, column)
        lost = sorted(
            {trimmed(word) for word in raw.filter(pc.and_(made.is_null(), raw.is_valid())).unique().to_pylist()}
        )
        if len(lost) <= max(5, 0.1 * len(present)):
            if lost:
                reading.doubts.append(f"{_listed(lost)} could not be read as values and became missing")
                column = _with_missing(column, lost)
            reading.column = column
            return _finished(values, reading, made)
    return _categories(values, encoded, words, is_target, agreed)


def _plain_numbers(values: pa.ChunkedArray) -> _Reading | None:
    """Return how to read texts that are numbers in plain notation, and words for missing; None for other texts.

    It looks at all cells at once, in a tenth of the time that it takes to look at each.
    """
    cells = pc.utf8_trim_whitespace(values)
    is_gone = pc.is_in(pc.utf8_lower(cells), pa.array(["", *sorted(MISSING_WORDS)]))
    rest = pc.if_else(is_gone, None, cells)
    if rest.null_count == len(rest) or pc.any(pc.match_substring_regex(rest, CODES)).as_py():
        return None
    try:
        rest.cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    gone = sorted(word for word in cells.filter(is_gone).unique().to_pylist() if word)
    return _Reading(Number(kind="number", cleaning=NumberCleaning(missing=tuple(gone))))


def _is_code_of(words: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says whether a word such as NA is a code like the other words: two capital letters."""
    # Mostly the first word shows that they are none: all of them may be different.
    codes: set[str] = set()
    for word in words:
        if word and word.lower() not in MISSING_WORDS:
            if not _has_form_of_code(word):
                return lambda _: False
            codes.add(word)
    return lambda word: len(codes) >= FEWEST_CODES and _has_form_of_code(word)


def _has_form_of_code(word: str) -> bool:
    return bool(re.fullmatch("[A-Z]{2}", word))


def _categories(
    values: pa.ChunkedArray, encoded: pa.DictionaryArray, words: list[str], is_target: bool, agreed: Category | None
) -> Cleaned:
    """Return trimmed texts in one spelling, with words for missing as null."""
    counts = np.bincount(encoded.indices.drop_null().to_numpy(), minlength=len(words))
    known = () if agreed is None else agreed.values
    is_code = _is_code_of(words)
    stated = set(agreed.cleaning.missing) if agreed is not None and agreed.cleaning is not None else set()
    usual = MISSING_TARGETS if is_target else MISSING_CATEGORIES
    often: dict[str, int] = {}
    if is_target and len({word.lower() for word in words} - usual - {""}) < 2:
        usual = WRITTEN_BY_PROGRAMS
    elif is_target and agreed is None:
        rows: Counter[str] = Counter()
        for word, times in zip(words, counts.tolist(), strict=True):
            rows[word.lower()] += times
        unsure = usual - WRITTEN_BY_PROGRAMS
        often = {word: times for word, times in rows.items() if word in unsure and times > MOST_UNKNOWN * rows.total()}
        usual -= often.keys()

    def is_gone(word: str) -> bool:
        return not word or word in stated or (word.lower() in usual and word not in known and not is_code(word))

    ordered = chain(known, (words[code] for code in np.argsort(-counts, kind="stable")))
    there = list(dict.fromkeys(word for word in ordered if not is_gone(word)))
    # Among many different words some differ in case by chance, and in names or codes case may matter.
    are_few, ignores_case = len(words) <= MOST_SPELLINGS, _ignores_case(agreed)
    spelling: dict[str, str] = {}
    for word in there if are_few or ignores_case else ():
        spelling.setdefault(without_case(word), word)
    kept = {*spelling.values(), *known}
    other = sorted(word for word in there if word not in kept) if are_few else []
    unify = bool(other)
    case: Any = "ignore" if unify or ignores_case else "keep"
    gone = tuple(sorted({word for word in words if word and is_gone(word)} | stated))
    cleaning = CategoryCleaning(case=case, missing=() if is_target else gone)
    listed = tuple(word for word in there if word in kept) if case == "ignore" else tuple(there)
    notes = [f"{_listed(other)} changed to the most frequent spelling"] if unify and agreed is None else []
    if unify and agreed is not None:
        notes = [f"{_listed(other)} changed to the agreed spelling"]
    apart = _apart(listed)
    doubts = [f"{_listed(apart)} differ only in case and stay apart"] if apart else []
    doubts += [
        f"{word!r} is a class, with {times} rows: if it means that nobody knows, leave them out"
        for word, times in often.items()
    ]
    if agreed is None and case == "keep":
        # What the list below makes of them, without a list of what may be as many texts as rows.
        kept_words = pa.array([None if is_gone(word) else word for word in words], pa.string())
        made = pa.chunked_array([kept_words.take(encoded.indices)])
    else:
        column = Category(kind="category", values=listed or ("",), cleaning=cleaning)
        made = read_column(values, column, ("", *gone))[1]
    section = cleaning.model_dump(mode="json", exclude_defaults=True)
    missing = _counted(values, gone)
    return Cleaned(made, None, tuple(notes), tuple(doubts), section, missing)


def _ignores_case(agreed: Category | None) -> bool:
    return agreed is not None and agreed.cleaning is not None and agreed.cleaning.case == "ignore"


def _apart(words: Sequence[str]) -> list[str]:
    """Return the words that differ only in case from another, where case may mean something."""
    # Without case, a letter becomes three at most.
    counts = Counter(word.casefold() for word in words if len(word) <= 6)
    return sorted(w for w in words if len(w) < 3 and counts[w.casefold()] > 1)


def _reading(present: list[str], encoded: pa.DictionaryArray, words: list[str], is_target: bool) -> _Reading | None:
    """Return how to read texts that are numbers, dates or booleans; None for other texts."""
    some = present[:: max(1, len(present) // LOOK)]
    if not is_target and {word.lower() for word in some} in PAIRS:
        return _Reading(Boolean(kind="boolean"), [f"{_listed(sorted(present))} became true and false"])
    if any(word[0] == "0" and word.isdigit() and len(word) > 1 for word in some):
        # Digits of a code, or of days such as 01022024.
        return _time_reading(some, encoded, words) if not is_target and _dates(some, []) else None
    if any(CODE.fullmatch(word) for word in present) and not any(re.search(r"[.,]|[eE][+-]", word) for word in some):
        return None
    return _number_reading(some) or (None if is_target else _time_reading(some, encoded, words))


def _number_reading(some: list[str]) -> _Reading | None:
    found = [CELL.fullmatch(word) for word in some]
    cells = [cell for cell in found if cell]
    if len(cells) < 0.9 * len(some) or (len(some) - len(cells)) > 5 or not cells:
        return None
    beside = Counter(part.strip() for cell in cells for part in (cell["before"], cell["after"]) if part)
    units = _units(beside)
    if units is None:
        return None
    unit = next((name for name, factor in units.items() if factor == 1), None)
    is_known = unit is None or unit == "%" or re.fullmatch(CURRENCY, unit)
    if not is_known and len(set(some)) < FEWEST_WITH_UNIT:
        return None
    digits = [cell["digits"].strip() for cell in cells]
    decimal: Any = _decimal(digits)
    if decimal is None:
        return None
    notes: list[str] = []
    doubts: list[str] = []
    if unit is not None:
        notes.append(f"{unit!r} next to the numbers became the unit")
    if scaled := sorted(name for name, factor in units.items() if factor != 1):
        notes.append(f"{_listed(scaled)} after a number is applied as a multiplier")
    if any(mark in text for text in digits for mark in ",.'\u2019 \u00a0\u202f") and (decimal == "," or len(units) > 0):
        if {mark for text in digits for mark in text if not mark.isdigit() and mark != decimal}:
            notes.append("thousands separators were removed")
        if decimal == ",":
            notes.append("the comma is read as the decimal mark")
        one = [text for text in digits if re.fullmatch(r"\d{1,3}[.,]\d{3}", text)]
        if one and len(one) == sum(not text.isdigit() for text in digits):
            doubts.append(f"{one[0]!r} was read as {written_number(one[0], decimal, {}):g}")
    bad = [word for word in some if or_none(lambda text: written_number(text, decimal, units), word) is None]
    if len(bad) > 5 or len(bad) > 0.1 * len(some):
        return None
    cleaning = NumberCleaning(decimal=decimal, units=units)
    return _Reading(Number(kind="number", unit=unit, cleaning=cleaning), notes, doubts)


def _units(beside: Counter[str]) -> dict[str, float] | None:
    """Return the texts next to numbers with their factors; None if they do not belong together."""
    scales = {name: factor for name, factor in SCALES.items() if name in beside}
    if scales and beside.keys() & {"M", "m"} != {"M", "m"}:
        scales |= {name: factor for name, factor in SMALL_SCALES.items() if name in beside}
    rest = [name for name, _ in beside.most_common() if name not in scales]
    if len(rest) <= 1:
        return {**dict.fromkeys(rest, 1.0), **scales}
    family = next((family for family in FAMILIES if not scales and family.keys() >= {*rest}), None)
    if family is None:
        return None
    return {name: float(f"{family[name] / family[rest[0]]:.15g}") for name in rest}


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


def _time_reading(some: list[str], encoded: pa.DictionaryArray, words: list[str]) -> _Reading | None:
    if all(re.match(r"\d{1,2}[:.]\d\d", word) and or_none(hours, word) is not None for word in some):
        return _Reading(Number(kind="number", unit="hours", cleaning=NumberCleaning(clock=True)), [CLOCK_NOTE])
    iso = [or_none(datetime.fromisoformat, word) if "-" in word[:5] else None for word in some]
    if all(moment is not None for moment in iso):
        zoned = sum(moment is not None and moment.tzinfo is not None for moment in iso)
        doubts = ["some times have no zone; they were taken as UTC"] if 0 < zoned < len(iso) else []
        return _Reading(Time(kind="time", zone="UTC" if zoned else None), ["times in ISO 8601"], doubts)
    other = [word for word in some if or_none(period, word) is None]
    if len(other) <= min(3, len(some) // 20):
        note = "quarters, weeks or years of two calendar years, each read as its first day"
        return _Reading(Time(kind="time", cleaning=TimeCleaning(format=PERIODS)), [note])
    zones = [ZONE.search(word) if ":" in word else None for word in some]
    if all(zones):
        some = [ZONE.sub("", word) for word in some]
        words = [ZONE.sub("", word) for word in words]
    doubts = []
    form = _dates(some, doubts, encoded, words)
    if form is None:
        return None
    if found := [zone for zone in zones if zone] if all(zones) else []:
        ends = {zone[2] for zone in found}
        form += found[0][1] + (ends.pop() if ends <= {"UTC"} or ends <= {"GMT"} else "%z")
    shown = "day first" if form.find("%d") < form.find("%m") and "%d" in form else form
    column = Time(kind="time", zone="UTC" if found else None, cleaning=TimeCleaning(format=form))
    return _Reading(column, [f"dates written as {form} ({shown})"], doubts)


def _moment(form: str) -> Callable[[str], datetime]:
    return lambda word: dated(word, form)


def _dates(
    some: Sequence[str], doubts: list[str], encoded: pa.DictionaryArray | None = None, words: Iterable[str] = ()
) -> str | None:
    """Return the date format of all texts; if day and month can be swapped, the more probable format."""
    if not some or not re.search(r"\d", some[0]) or max(map(len, some)) > 40 or min(map(len, some)) < 5:
        return None
    forms = [
        date + joint + clock
        for date in DATES
        for joint, clock in [("", ""), *((j, c) for j in " T" for c in CLOCKS_OF_DATES)]
    ]
    first = [form for form in [*forms, *WHOLE] if or_none(_moment(form), some[0])]
    fits = [form for form in first if all(or_none(_moment(form), word) for word in some)]
    if not fits:
        # A few words among dates mean missing.
        fits = [f for f in first if sum(or_none(_moment(f), word) is None for word in some) <= min(3, len(some) // 20)]
    if fits and fits[0] == SHORT_YEAR:
        # Jan-23 may be a day of January, too.
        years = [moment.year for word in some if (moment := or_none(_moment(SHORT_YEAR), word)) is not None]
        fits = fits if max(years) <= datetime.now().year else []
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
    moments = [or_none(_moment(form), word) for word in words]
    rows = [moments[code] for code in encoded.indices.slice(0, 5000).drop_null().to_pylist()]
    known = [moment for moment in rows if moment is not None]
    return float(np.mean([b >= a for a, b in pairwise(known)])) if len(known) > 1 else 0.0


def as_days(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return timestamps as dates if all are at midnight; anything else unchanged."""
    if not pa.types.is_timestamp(values.type):
        return values
    days = values.cast(pa.date32(), safe=False)
    return days if days.cast(values.type).equals(values) else values


def _marks(values: pa.ChunkedArray) -> dict[str, int]:
    """Return the numbers that mean missing, and how often each occurs."""
    found: dict[str, int] = {}
    if pa.types.is_floating(values.type):
        for infinite in (float("inf"), float("-inf")):
            if times := pc.sum(pc.equal(values, infinite)).as_py():
                found[str(infinite)] = times
        values = values.filter(pc.is_finite(values))
    usual = pa.array([*LOW_MARKS, *(mark - less for mark in HIGH_MARKS for less in range(BESIDE + 1))])
    there = pc.is_in(values, usual.cast(values.type))
    counts = {one["values"]: one["counts"] for one in pc.value_counts(values.filter(there)).to_pylist()}
    marks = {mark for mark, times in counts.items() if times > 1}
    # Marks do not make each other look near: what is one of them is judged beside the numbers that are none.
    while marks:
        others = pc.min_max(values.filter(pc.invert(pc.is_in(values, pa.array(marks, values.type))))).as_py()
        far = {mark for mark in marks if _is_far(mark, marks, others["min"], others["max"])}
        if far == marks:
            break
        marks = far
    return found | {f"{mark:.0f}": counts[mark] for mark in sorted(marks)}


def _only_below_zero(values: pa.ChunkedArray) -> int:
    """Return how often -1 occurs, if many numbers have no other below 0; else 0."""
    below = values.filter(pc.less(values, 0)).unique().to_pylist()
    times = pc.sum(pc.equal(values, -1)).as_py() if below == [-1] else 0
    return times if times > 1 and pc.count_distinct(values).as_py() > FEW_LEVELS else 0


def _is_far(mark: float, marks: Collection[float], low: float | None, high: float | None) -> bool:
    """Say whether a usual mark for missing lies far from all numbers that are none.

    -1 may be a value on a scale below zero, but -200 below only positive numbers is not a value; 98 is a mark only
    beside 99.
    """
    if low is None or high is None or low == high:
        return False
    if mark < low:
        return mark <= -9 and (low >= 0 or low - mark > high - low)
    is_usual = mark in HIGH_MARKS or any(mark < other <= mark + BESIDE for other in marks if other in HIGH_MARKS)
    return is_usual and mark - high > 3 * max(high - low, 1)


def _date_marks(values: pa.ChunkedArray) -> dict[datetime, int]:
    """Return the days that mean missing, and how often each occurs: outside of the other dates, and far from them."""
    moments = values.cast(pa.timestamp("us"))
    given = pc.value_counts(moments.drop_null())
    counts = {
        one["values"]: one["counts"]
        for one in given.filter(pc.greater(given.field("counts"), 1)).to_pylist()
        if one["values"] is not None and one["values"].date().isoformat() in DATE_MARKS
    }
    others = pc.min_max(moments.filter(pc.invert(pc.is_in(moments, pa.array(counts, moments.type))))).as_py()
    low, high = others["min"], others["max"]
    if not counts or low is None:
        return {}
    apart = max(high - low, timedelta(days=365 * YEARS_APART))
    return {mark: times for mark, times in counts.items() if low - mark > apart or mark - high > apart}


def _whole(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as integers if all are whole."""
    if pa.types.is_floating(values.type) and pc.all(pc.equal(pc.floor(values), values)).as_py():
        limit = pc.max(pc.abs(values)).as_py()
        if limit is not None and limit < 2**53:
            return values.cast(pa.int64())
    return values


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(repr(word) for word in words[:4])
    return shown + (f" and {len(words) - 4} more" if len(words) > 4 else "")
