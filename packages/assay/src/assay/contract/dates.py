"""Times as people write them: months in several languages, quarters, weeks, and years that are named by two.

Named formats of `cleaning` stand beside the format codes of Python's strptime.
"""

import re
from datetime import UTC, datetime, timedelta
from unicodedata import normalize

# Formats of numbers: what they count from, and the microseconds of one.
SINCE_1970 = datetime(1970, 1, 1, tzinfo=UTC)
EPOCHS = {
    "seconds": (SINCE_1970, 1_000_000),
    "milliseconds": (SINCE_1970, 1_000),
    "microseconds": (SINCE_1970, 1),
    # As spreadsheets store dates.
    "days": (datetime(1899, 12, 30, tzinfo=UTC), 86_400_000_000),
}
PERIODS = "periods"
NAMED = frozenset({*EPOCHS, PERIODS})

ENGLISH = [
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
]
# German, French, Spanish, Italian, Portuguese and Dutch, and short English ones, in the order of the months.
NAMES = (
    "januar jänner janvier enero gennaio janeiro januari jan jän janv ene gen",
    "februar februari février fevrier febrero febbraio fevereiro feb févr fevr fév fev",
    "märz maerz mars marzo março maart mär mrz mar mrt",
    "april avril abril aprile apr avr abr",
    "may mai mayo maggio maio mei mag",
    "juni juin junio giugno junho jun giu",
    "juli juillet julio luglio julho jul juil lug",
    "august august août aout agosto augustus aug aoû ago",
    "september septembre septiembre setiembre settembre setembro sep sept sett set",
    "oktober octobre octubre ottobre outubro oct okt ott out",
    "november novembre noviembre novembro nov",
    "dezember décembre decembre diciembre dicembre dezembro december dez déc dec dic",
)
MONTHS = {word: month for month, words in zip(ENGLISH, NAMES, strict=True) for word in [month.lower(), *words.split()]}

YEAR = r"(?P<year>(?:19|20)\d\d)"
QUARTER = r"(?:q|t|quarter|quartal|trimestre|trim\.?)"
WEEK = r"(?:w|kw|cw|week|woche|semaine|semana)"
# Each with the months of a part of the year; 0 for weeks.
PARTS = tuple(
    (re.compile(pattern, re.IGNORECASE), months)
    for patterns, months in (
        (
            (
                rf"{YEAR}[ ._/-]?{QUARTER}[ ._]?(?P<part>[1-4])",
                rf"{QUARTER}[ ._]?(?P<part>[1-4])[ ._/-]?{YEAR}",
                rf"(?P<part>[1-4])\.?[ ._/-]?{QUARTER}[ ._/-]?{YEAR}",
            ),
            3,
        ),
        ((rf"{YEAR}[ ._/-]?[hs](?P<part>[12])", rf"[hs](?P<part>[12])[ ._/-]?{YEAR}"), 6),
        (
            (
                rf"{YEAR}[ ._/-]?{WEEK}[ ._-]?(?P<part>\d\d?)",
                rf"{WEEK}[ ._-]?(?P<part>\d\d?)[ ._/-]{YEAR}",
            ),
            0,
        ),
        ((r"(?:fy|gj) ?'?(?P<year>(?:19|20)?\d\d)",), 12),
    )
    for pattern in patterns
)
TWO_YEARS = re.compile(rf"{YEAR} ?[/\u2013-] ?(?:(?:19|20))?(?P<next>\d\d)")


def dated(text: str, form: str) -> datetime:
    """Return a time in a strptime format; the name of its month may be in another language.

    >>> dated("3 févr. 2021", "%d %b %Y")
    datetime.datetime(2021, 2, 3, 0, 0)
    """
    try:
        return datetime.strptime(text, form)
    except ValueError:
        length = 3 if "%b" in form else 9 if "%B" in form else 0
        english = re.sub(r"[^\W\d_]{3,}\.?", lambda word: _english(word[0], length), normalize("NFC", text))
        if not length or english == text:
            raise
        return datetime.strptime(english, form)


def _english(word: str, length: int) -> str:
    found = MONTHS.get(word.rstrip(".").lower())
    return word if found is None else found[:length]


def period(text: str) -> datetime:
    """Return the first day of a quarter, half-year or week, or of a year that is named by two, or as a fiscal year.

    >>> [f"{period(text):%Y-%m-%d}" for text in ("Q3 2024", "2024-W05", "2023/24", "FY24")]
    ['2024-07-01', '2024-01-29', '2023-01-01', '2024-01-01']
    """
    cell = text.strip()
    if (found := TWO_YEARS.fullmatch(cell)) and (int(found["year"]) + 1) % 100 == int(found["next"]):
        return datetime(int(found["year"]), 1, 1)
    for pattern, months in PARTS:
        if found := pattern.fullmatch(cell):
            year = int(found["year"]) + (2000 if len(found["year"]) == 2 else 0)
            if not months:
                return datetime.fromisocalendar(year, int(found["part"]), 1)
            part = int(found["part"]) if months < 12 else 1
            return datetime(year, 1 + months * (part - 1), 1)
    raise ValueError(text)


def counted(number: int, form: str) -> datetime:
    """Return the moment, in UTC, of a number in one of the formats that count; raises OverflowError for none."""
    start, ticks = EPOCHS[form]
    return start + timedelta(microseconds=number * ticks)
