"""The kind of each column: number, category, text, time, id or ignored; and which columns are duplicates."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from assay.contract.dates import EPOCHS, SINCE_1970
from assay.contract.spec import MAX_INTEGER, Time, TimeCleaning, as_number
from assay.data.reading import read_column
from assay.init.clean import Cleaned, as_days

IDS = {"id", "ids", "uuid", "guid", "identifier", "rowid", "pk"}
ROW_NUMBERS = {
    "index",
    "instant",
    "rowid",
    "row",
    "nr",
    "no",
    "number",
    "serial",
    "sno",
    "unnamed",
    "obs",
    "observation",
}
UNITS_OF_GROUPS = (
    "patient subject customer user client person member account household family driver passenger student employee "
    "session device machine engine animal player borrower respondent participant donor visitor worker citizen "
    "kunde haushalt maschine gerät benutzer nutzer mitarbeiter schüler proband teilnehmer fahrer "
    "cliente ménage utilisateur élève paciente hogar usuario alumno máquina paziente utente"
).split()
# Names written as one word, and the words they consist of.
JOINED = {f"{unit}id": (unit, "id") for unit in UNITS_OF_GROUPS} | {
    "custid": ("customer", "id"),
    "hid": ("household", "id"),
    "hhid": ("household", "id"),
    "pid": ("person", "id"),
    "uid": ("user", "id"),
}
PERSONAL = {
    "name",
    "surname",
    "firstname",
    "lastname",
    "fullname",
    "email",
    "mail",
    "phone",
    "telephone",
    "ssn",
    "iban",
}
PHONES = set(
    "phone telephone tel mobile fax telefon handy ssn iban téléphone telefono teléfono telefone telefoon celular móvil "
    "rufnummer telefonnummer".split()
)
# Digits that name a place or a thing: a larger one is not more.
POSTAL = set("zip zipcode plz postcode postal postalcode postleitzahl".split())
# As the last word of a name: number_of_rooms is an amount. Of shorter words nr is no ending, as in snr.
NUMBER_OF_THING = re.compile(r"(\w{3,})?nr|\w*(nummer|number|n[uú]mero|numéro)")
FEWEST_DIGITS = 5
ORDERED = (
    "year yr month mnth mon day hour hr minute week quarter grade rank rating level score stage size age number num "
    "count nr no n quantity qty amount total sum years months days hours minutes rooms bedrooms bathrooms floors "
    "children dependents siblings visits times points degree length width height distance education edu"
).split()
WEIGHTS = re.compile(
    r"fnlwgt|final_?weight|sampl\w*_?w(eigh)?t|survey_?w(eigh)?t|person_?w(eigh)?t|household_?w(eigh)?t|pweight|"
    r"weighting|instance_?weight|marsupwt|pwgtp|wtss\w*",
    re.IGNORECASE,
)
PERCENT = set("humidity percent pct percentage prozent pourcentage porcentaje percentuale percentagem".split())
NATURAL: tuple[tuple[set[str], tuple[int, int]], ...] = (
    ({"hour", "hr", "stunde", "heure", "hora"}, (0, 24)),
    ({"hours", "week"}, (0, 168)),
    ({"minute"}, (0, 59)),
    ({"month", "mnth", "mon", "monat", "mois", "mes", "mês", "mese", "maand"}, (1, 12)),
    ({"weekday", "dow", "dayofweek", "wochentag"}, (0, 7)),
    ({"day", "dom", "mday", "jour", "día", "giorno"}, (1, 31)),
    ({"age", "alter", "edad", "âge", "idade", "leeftijd"}, (0, 120)),
    ({"latitude", "lat", "breitengrad", "latitud", "latitudine"}, (-90, 90)),
    ({"longitude", "lon", "lng", "long", "längengrad", "laengengrad", "longitud", "longitudine"}, (-180, 180)),
    (PERCENT, (0, 100)),
    ({"azimuth", "bearing", "winddirection", "windrichtung"}, (0, 360)),
)
SCORES = set("score points punkte grade note rating puntos punti punteggio puntuación".split())
# Names of numbers that have to occur together for a range of `NATURAL`.
TOGETHER = {(0, 168)}
# A range of times ends no earlier: the service of a model of old data gets the times of today. It ends before the times
# that mean "without end", such as 2099-12-31.
LATEST = "2090-01-01"
EVENT_TIMES = {
    "date",
    "datetime",
    "time",
    "timestamp",
    "day",
    "dteday",
    "month",
    "created",
    "ds",
    "dt",
    "period",
    "when",
    *"datum tag zeitpunkt zeitstempel fecha día dia jour data giorno monat mois mes mese quartal trimestre".split(),
}
OTHER_TIMES = {
    "birth",
    "dob",
    "born",
    "birthday",
    *"birthdate geburtsdatum geburtstag naissance nacimiento nascita nasc founded established built".split(),
    *"geb geburt geboren gebdatum gebdat gebtag bday naiss nac nascimento gründung gegründet baujahr".split(),
    *"ablauf fällig fälligkeit gültig échéance expiration vencimiento scadenza".split(),
    "expiry",
    "expires",
    "expiration",
    "due",
    "end",
    "until",
}
# The keys of `cleaning` that each kind has.
KEYS = {
    **dict.fromkeys(["number", "integer"], ("missing", "decimal", "units", "clock")),
    **dict.fromkeys(["boolean", "text"], ("missing",)),
    "category": ("missing", "case"),
    "time": ("missing", "format"),
}
# With one of these a column holds amounts.
WRITTEN = {"decimal", "units", "clock"}
FEW_VALUES = 12
FEWEST_PER_CODE = 5
# With fewer rows that differ from all others, a column tells nothing.
FEWEST_PRESENT = 5
MOST_NEW_CODES = 0.005
# Codes for no answer, and the fewest steps of a scale above which they are such.
NO_ANSWERS = (8, 9, 98, 99)
FEWEST_OF_SCALE = 3
RARE_ANSWER = 0.02
MOST_VALUES = 1000
FIRST_YEAR, LAST_YEAR = 1500, 2200
SAMPLE = 20_000
DATES = {"date", "datum", "fecha"}
MONTHS = set("month monat mois mes mês mese maand period periode période periodo yearmonth ym yyyymm".split())
SPREADSHEET_1970, SPREADSHEET_2070 = 25_569, 62_093
MONTHS_OF_A_YEAR, FIRST_MONTH, LAST_MONTH = 12, 180_001, 220_012
# How many of each are a second.
TICKS = {form: 1_000_000 // ticks for form, (start, ticks) in EPOCHS.items() if start == SINCE_1970}
SECONDS_2000, SECONDS_2040, DAY = 946_684_800, 2_208_988_800, 86_400
MOSTLY_DIFFERENT = 0.2
# Words of a name with which whole numbers may be times.
MOMENTS = {
    *(EVENT_TIMES | OTHER_TIMES | MONTHS),
    *"year ts epoch unix at unixtime ymd ms event evt seen logged recorded updated erfasst".split(),
}
# Italian and German words for dates that mean something else in English: their numbers count nothing since 1970.
NO_TICKS = {"data", "tag"}


@dataclass
class Column:
    """A column and what was decided about it."""

    name: str
    values: pa.ChunkedArray
    unit: str | None
    distinct: int
    decided: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    # Whole numbers that are codes of categories.
    is_code: bool = False
    # What it may be instead, to be looked at.
    doubt: str = ""
    # Ignored as a feature, but its values may name what rows belong to.
    may_group: bool = False
    # How its values are cleaned.
    cleaning: dict[str, Any] = field(default_factory=dict)
    zone: str | None = None

    @property
    def kind(self) -> str:
        """The kind that was decided."""
        return str(self.decided["kind"])

    @property
    def words(self) -> set[str]:
        """The words of its name."""
        return set(words_of(self.name))


def words_of(name: str) -> list[str]:
    """Return the words of a column name, in lower case."""
    neighbours = zip(f" {name}", name, f"{name[1:]} ", strict=False)
    # A capital begins a word after a small letter, and before one: PatientID, HTTPServer.
    apart = "".join(f" {c}" if c.isupper() and (not b.isupper() or a.islower()) else c for b, c, a in neighbours)
    words = (word.lower() for word in re.findall(r"[^\W\d_]+|\d+", apart))
    return [part for word in words for part in JOINED.get(word, (word,))]


def describe(name: str, made: Cleaned, rows: int, most_values: int) -> Column:
    """Return a column with its kind and the reason for it."""
    values, cleaning, zone = made.values, dict(made.cleaning), made.zone
    if pa.types.is_integer(values.type) and not WRITTEN & cleaning.keys():
        form = _format_of_moments(name, values)
        if form is not None:
            cleaning["format"] = form
            zone = "UTC" if form in TICKS else None
            values = as_days(read_column(values, Time(kind="time", zone=zone, cleaning=TimeCleaning(format=form)))[1])
    column = Column(name, values, made.unit, _distinct(values), cleaning=cleaning, zone=zone)
    distinct = column.distinct
    present = len(values) - values.null_count
    if present == 0:
        ignore(column, "empty in every row")
    elif distinct == 1 and not values.null_count:
        ignore(column, f"constant: {values[0].as_py()!r} in every row")
    elif distinct == 1 and min(present, values.null_count) < FEWEST_PRESENT:
        ignore(
            column, f"nearly constant: {values.drop_null()[0].as_py()!r} in {present} rows, and missing in the others"
        )
    elif pa.types.is_boolean(values.type):
        decide(column, "boolean", "two values for true and false")
    elif pa.types.is_date(values.type) or pa.types.is_timestamp(values.type):
        low, high = (_as_datetime(limit) for limit in pc.min_max(values).as_py().values())
        last = max(_iso(_shift(high, 3652)), LATEST)
        decide(column, "time", f"from {_iso(low)} to {_iso(high)}; the range allows later times, until {last}")
        column.decided["range"] = [_iso(_shift(low, -365)), last]
    elif pa.types.is_string(values.type):
        _describe_text(column, present, most_values)
    else:
        _describe_number(column, rows, most_values)
    if column.kind == "id" and values.null_count:
        ignore(column, f"an id with {values.null_count} missing values")
    elif column.kind != "ignored" and values.null_count:
        column.decided["missing"] = "allow"
        column.reason += f"; missing in {100 * values.null_count / len(values):.2g}% of the rows"
    _say_how_to_clean(column)
    return column


def _say_how_to_clean(column: Column) -> None:
    """Put into the contract what its kind needs to read the raw values."""
    section = {key: value for key, value in column.cleaning.items() if key in KEYS.get(column.kind, ())}
    if section:
        column.decided["cleaning"] = section
    if column.kind == "time" and column.zone is not None:
        column.decided["zone"] = column.zone
    if column.kind in ("integer", "number"):
        low, high = column.decided["range"]
        marks = [number for text in section.get("missing", ()) if (number := as_number(text)) is not None]
        # The range leaves a margin, in which no number that means missing may lie.
        inside = [mark for mark in marks if low <= mark <= high]
        if inside:
            known = pc.min_max(column.values).as_py()
            low = max([low, *(int(mark) + 1 for mark in inside if mark < known["min"])])
            high = min([high, *(int(mark) - 1 for mark in inside if mark > known["max"])])
            column.decided["range"] = [low, high]


def _distinct(values: pa.ChunkedArray) -> int:
    """Return the number of different values; for a large column possibly only that of its first rows."""
    if len(values) > 2 * SAMPLE and not pa.types.is_string(values.type):
        found: int = pc.count_distinct(values.slice(0, SAMPLE)).as_py()
        if found > MOST_VALUES and (pa.types.is_floating(values.type) or found < SAMPLE):
            return found
    return int(pc.count_distinct(values).as_py())


def decide(column: Column, kind: str, reason: str) -> None:
    """Decide that a column is of a kind."""
    column.decided = {"kind": kind}
    column.reason = reason


def ignore(column: Column, reason: str) -> None:
    """Decide to ignore a column."""
    column.decided = {"kind": "ignored", "reason": reason}
    column.reason = ""


def _describe_number(column: Column, rows: int, most_values: int) -> None:
    values, words = column.values, column.words
    whole = pa.types.is_integer(values.type)
    low, high = pc.min_max(values).as_py().values()
    if _counts_rows(values) or (whole and words & ROW_NUMBERS and column.distinct == rows):
        return ignore(column, "a row number: only the position in the file")
    if whole and words & IDS:
        return _describe_id(column, rows, most_values)
    if whole and column.distinct == rows and high - low < 1.5 * rows and rows >= 50:
        return decide(column, "id", "whole numbers, all different and nearly consecutive")
    if whole and column.words & PHONES:
        return ignore(column, "a number of a telephone or account: its digits are no amount")
    if whole and _names_a_thing(column, low, high):
        return _describe_codes(column, rows, most_values)
    if WEIGHTS.fullmatch(column.name):
        return ignore(column, "a survey weight: how many people a row represents")
    if whole and max(abs(low), abs(high)) > MAX_INTEGER:
        return decide(column, "id", "numbers too large for exact arithmetic")
    is_amount = bool(WRITTEN & column.cleaning.keys())
    if whole and (low, high) == (0, 1) and not is_amount:
        return decide(column, "boolean", "0 and 1")
    if whole and not is_amount and _is_code(column, low, high):
        return _as_codes(column)
    if whole and not is_amount and (apart := _codes_apart(column)):
        column.doubt = f"apart from all other values: {apart}; if that means no answer, add it to `missing`"
    if whole and not is_amount and (form := _may_be_ticks(values, low, high)):
        column.doubt = f"may be times, as {form} since 1970: then make it a time, with `cleaning: {{format: {form}}}`"
    natural = _natural_range(column, low, high)
    why = "the range is that of its name or unit" if natural else "the range leaves a margin"
    decide(column, "integer" if whole else "number", f"from {low:g} to {high:g}; {why}")
    low, high = natural or with_margin(values)
    if column.unit:
        column.decided["unit"] = column.unit
    column.decided["range"] = [low, high]
    return None


def _names_a_thing(column: Column, low: int, high: int) -> bool:
    """Say whether whole numbers are postal codes, or numbers of accounts and the like: all of equally many digits."""
    if column.words & POSTAL:
        return low >= 0 and high >= 10 ** (FEWEST_DIGITS - 2)
    is_named = NUMBER_OF_THING.fullmatch((words_of(column.name) or [""])[-1])
    return bool(is_named) and len(str(low)) == len(str(high)) >= FEWEST_DIGITS and low > 0


def _describe_codes(column: Column, rows: int, most_values: int) -> None:
    """Decide that whole numbers are a category, if each is in several rows; else ignore them."""
    counts = pc.value_counts(column.values.drop_null()).field("counts")
    # The share of the codes of later rows that are new is about that of codes with one row (Good 1953).
    new = pc.sum(pc.equal(counts, 1)).as_py() / rows
    if column.distinct <= most_values and rows / column.distinct >= FEWEST_PER_CODE and new <= MOST_NEW_CODES:
        return _as_codes(column)
    column.may_group = True
    return ignore(column, f"{column.distinct} different codes in {rows} rows: too few rows per code to learn from")


def _as_codes(column: Column) -> None:
    codes = sorted(column.values.drop_null().unique().to_pylist())
    column.values = column.values.cast(pa.string())
    decide(column, "category", f"{len(codes)} unordered codes")
    column.decided["values"] = [str(code) for code in codes]
    column.is_code = True


def _counts_rows(values: pa.ChunkedArray) -> bool:
    """Say whether whole numbers increase by one from row to row, as row numbers do."""
    if not pa.types.is_integer(values.type) or values.null_count or len(values) < 3:
        return False
    first, last = values[0].as_py(), values[len(values) - 1].as_py()
    if last - first != len(values) - 1:
        return False
    numbers = values.to_numpy()
    return bool((numbers[1:] - numbers[:-1] == 1).all())


def _natural_range(column: Column, low: float, high: float) -> tuple[int, int] | None:
    """Return the range that the name of a column, or a time of day, implies, if the values keep to it."""
    if column.unit == "hours" and low >= 0 and high <= 24:
        return 0, 24
    is_full_score = bool(column.words & SCORES) and high == 100
    if (column.unit == "%" or is_full_score) and low >= 0 and high <= 100:
        return 0, 100
    for words, bounds in NATURAL:
        named = column.words >= words if bounds in TOGETHER else bool(column.words & words)
        if named and bounds[0] <= low and high <= bounds[1]:
            return bounds
    return None


def _is_code(column: Column, low: int, high: int) -> bool:
    """Say whether a few whole numbers are codes, judged by the name of the column and the values."""
    if column.distinct > FEW_VALUES or column.distinct < 2 or low < 0:
        return False
    if column.words & set(ORDERED) or any(word.endswith("num") for word in column.words):
        return False
    if column.words & {"code", "type", "category", "class", "kind", "weekday", "season", "region", "zone", "dow"}:
        return True
    return low >= 1 and column.distinct <= 6 and high == column.distinct and len(column.values) >= 200


def _codes_apart(column: Column) -> str:
    """Return the highest of a few whole numbers, if they are 8 and 9, or 98 and 99, above a scale without them."""
    if not FEWEST_OF_SCALE < column.distinct <= FEW_VALUES or column.words & set(ORDERED):
        return ""
    counts = {one["values"]: one["counts"] for one in pc.value_counts(column.values.drop_null()).to_pylist()}
    scale = [value for value in counts if value not in NO_ANSWERS]
    apart = sorted(value for value in counts if value in NO_ANSWERS)
    is_scale = len(scale) >= FEWEST_OF_SCALE and min(scale) in (0, 1) and max(scale) - min(scale) == len(scale) - 1
    if not is_scale or not {9, 99} & set(apart) or apart[0] == max(scale) + 1:
        return ""
    often = counts[apart[-1]] >= RARE_ANSWER * len(column.values)
    return " and ".join(map(str, apart)) if often else ""


def _describe_id(column: Column, rows: int, most_values: int) -> None:
    share = column.distinct / rows
    if share >= 0.98:
        return decide(column, "id", "an id: a different value in nearly every row")
    if column.words & set(UNITS_OF_GROUPS) and column.distinct > 10:
        return decide(column, "id", f"an id with {column.distinct} values, each in several rows")
    if column.distinct <= most_values and rows / column.distinct >= 5:
        values = sorted({str(value) for value in column.values.drop_null().unique().to_pylist()})
        column.values = column.values.cast(pa.string())
        decide(column, "category", f"an id with {len(values)} values, each in many rows")
        column.decided["values"] = values
        return None
    return decide(column, "id", f"an id: {column.distinct} values in {rows} rows")


def _describe_text(column: Column, present: int, most_values: int) -> None:
    rows = len(column.values)
    values = column.values
    share = column.distinct / present
    some = [value for value in values.slice(0, SAMPLE).to_pylist() if value is not None] or [
        value for value in values.unique().to_pylist()[:SAMPLE] if value is not None
    ]
    words = float(np.mean([len(value.split()) for value in some]))
    length = float(np.mean([len(value) for value in some]))
    if column.words & IDS and share > 0.02 and column.distinct > 50:
        return _describe_id(column, rows, most_values)
    often = column.distinct <= MOST_VALUES and present / column.distinct >= 5
    if (column.distinct <= 50 and (share < 0.5 or column.distinct <= 10)) or (often and column.distinct <= most_values):
        decide(column, "category", f"{column.distinct} different values")
        column.decided["values"] = sorted(value for value in values.unique().to_pylist() if value is not None)
        return None
    if share >= 0.8 and column.words & PERSONAL:
        return decide(column, "id", "a person's name or contact: not a feature")
    if words >= 2.5 or length > 25 or often:
        longest = pc.max(pc.utf8_length(values)).as_py()
        many = f"{column.distinct} different values, too many for one-hot columns: used as text"
        decide(column, "text", many if often else f"free text of {words:.0f} words on average")
        column.decided["max_length"] = int(_rounded(longest * 4, up=True))
        return None
    if share >= 0.98:
        return decide(column, "id", "a different value in nearly every row")
    column.may_group = True
    return ignore(column, f"{column.distinct} different codes in {present} rows: too few rows per code to learn from")


def _format_of_moments(name: str, values: pa.ChunkedArray) -> str | None:
    """Return how whole numbers are times, else None: dates like 20110131 or 910131, years in sequence, or seconds."""
    words = set(words_of(name))
    low, high = pc.min_max(values).as_py().values()
    if low is None:
        return None
    if not words & MOMENTS:
        return None
    if words & MONTHS and low >= FIRST_MONTH and high <= LAST_MONTH and _are_months(values):
        return "%Y%m"
    if words & DATES and low >= SPREADSHEET_1970 and high <= SPREADSHEET_2070:
        return "days"
    if low >= FIRST_YEAR and high <= LAST_YEAR and _counts_rows(values):
        return "%Y"
    if low >= 18_000_101 and high <= 22_001_231 and _days(values, "%Y%m%d") is not None:
        return "%Y%m%d"
    # Of years before 2010 the zero in front would be gone; and 200512 may be a month.
    if low >= 100_101 and high <= 991_231 and (days := _days(values, "%y%m%d")) is not None:
        is_months = low >= FIRST_MONTH and high <= LAST_MONTH and _are_months(values)
        return None if is_months or pc.max(days).as_py() > datetime.now() else "%y%m%d"
    for form, scale in TICKS.items():
        if 3e8 * scale <= low and high <= 4e9 * scale and words & MOMENTS - NO_TICKS:
            return form
    return None


def _may_be_ticks(values: pa.ChunkedArray, low: int, high: int) -> str | None:
    """Return how whole numbers of any name may be times: of the last decades, and most of them different."""
    for form, scale in TICKS.items():
        is_recent = SECONDS_2000 * scale <= low and high <= SECONDS_2040 * scale and high - low >= DAY * scale
        if is_recent and pc.count_distinct(values).as_py() >= MOSTLY_DIFFERENT * len(values):
            return form
    return None


def _days(values: pa.ChunkedArray, form: str) -> pa.ChunkedArray | None:
    """Return whole numbers as days, None if one is none."""
    days = read_column(values, Time(kind="time", cleaning=TimeCleaning(format=form)))[1]
    return days if days.null_count == values.null_count else None


def _are_months(values: pa.ChunkedArray) -> bool:
    """Say whether the last two digits of all whole numbers are those of months."""
    found = pc.min_max(pc.subtract(values, pc.multiply(pc.divide(values, 100), 100))).as_py()
    return bool(found["min"] >= 1 and found["max"] <= MONTHS_OF_A_YEAR)


def ignore_twins(columns: Sequence[Column]) -> None:
    """Ignore columns that duplicate another: equal in every row, or one to one where that is not by chance."""
    seen: dict[int, list[Column]] = {}
    for column in columns:
        if column.kind in ("ignored", "time", "text") or column.distinct < 2:
            continue
        for other in seen.setdefault(column.distinct, []):
            if not _one_to_one(column, other):
                continue
            ordered = {"integer", "number"}
            twin, stays = (other, column) if column.kind in ordered and other.kind not in ordered else (column, other)
            what = "a copy of" if _are_equal(twin, stays) else "maps one to one to"
            twin.may_group = twin.kind == "category" and what != "a copy of"
            ignore(twin, f"{what} {stays.name!r}, which is kept")
            if twin is other:
                seen[column.distinct].remove(other)
                seen[column.distinct].append(column)
            break
        else:
            seen[column.distinct].append(column)


def _one_to_one(one: Column, other: Column) -> bool:
    if {one.kind, other.kind} & {"id"} and one.kind != other.kind:
        return False
    if one.values.null_count != other.values.null_count:
        return False
    there = 1 - one.values.null_count / len(one.values)
    if 2 * one.distinct > there * min(len(one.values), SAMPLE):
        # If hardly any value occurs twice, any two columns are one to one.
        return _are_alike(one, other)
    for some in (500, len(one.values)):
        first, second = (_codes(column.values.slice(0, some)) for column in (one, other))
        pairs = len(np.unique(first.astype(np.int64) * (int(second.max()) + 1) + second))
        if not pairs == len(np.unique(first)) == len(np.unique(second)):
            return False
    return True


def _are_equal(one: Column, other: Column) -> bool:
    return one.values.type == other.values.type and bool(one.values.equals(other.values))


def _are_alike(one: Column, other: Column) -> bool:
    """Say whether two columns are equal, or numbers that differ only in their unit."""
    if _are_equal(one, other):
        return True
    if not {one.kind, other.kind} <= {"integer", "number"}:
        return False
    for some in (500, len(one.values)):
        first, second = (column.values.slice(0, some).cast(pa.float64()).to_numpy() for column in (one, other))
        known = ~np.isnan(first) & ~np.isnan(second)
        with np.errstate(all="ignore"):
            if not abs(np.corrcoef(first[known], second[known])[0, 1]) > 1 - 1e-9:
                return False
    return True


def _codes(values: pa.ChunkedArray) -> np.ndarray:
    encoded = pa.array(values.combine_chunks()).dictionary_encode(null_encoding="encode")
    return np.asarray(encoded.indices)


def with_margin(values: pa.ChunkedArray, *, wide: bool = False) -> tuple[Any, Any]:
    """Return a rounded range with a margin of half the observed span on each side; natural limits such as 0 stay."""
    low, high = pc.min_max(values).as_py().values()
    span = (high - low) or abs(high) or 1
    room = span * (1.0 if wide else 0.5)
    is_share = low >= 0 and high <= 1 and not pa.types.is_integer(values.type) and high > 0.5
    bottom = 0 if low >= 0 else _rounded(low - room, up=False)
    if low > 5 * span:
        bottom = _rounded(low - room, up=False)
    top = 1 if is_share and not wide else 0 if high <= 0 else _rounded(high + room, up=True)
    if pa.types.is_integer(values.type):
        return int(max(bottom, -MAX_INTEGER)), int(min(top, MAX_INTEGER))
    return float(bottom), float(top)


def _rounded(value: float, *, up: bool) -> float:
    """Round up or down to two significant digits."""
    if value == 0 or not math.isfinite(value):
        return value
    step = 10.0 ** (math.floor(math.log10(abs(value))) - 1)
    whole = (math.ceil if up else math.floor)(value / step)
    return whole * step if step >= 1 else whole / round(1 / step) if step > 1e-300 else value


def _as_datetime(value: Any) -> datetime:
    return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)


def _shift(moment: datetime, days: int) -> datetime:
    try:
        return (moment + timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    except OverflowError:
        return moment


def _iso(moment: datetime) -> str:
    return moment.date().isoformat()
