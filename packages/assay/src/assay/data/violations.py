"""Violations of the contract."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

# Words that files often have for a missing value.
MISSING_WORDS = {"NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "?", "-", "."}


@dataclass(frozen=True)
class Violation:
    """A rule of the contract that some rows break: which column, which rule, how many rows, and some of the values.

    `row` is the first such row, counted from 0, if the rule is about single rows.
    """

    column: str
    rule: str
    count: int
    examples: tuple[str, ...]
    row: int | None = None

    def __str__(self) -> str:
        """Return the violation in one line."""
        where = "" if self.row is None else f" (row {self.row})"
        rows = f"{self.count} row" + ("s" if self.count != 1 else "")
        hint = "; if it means missing, add it to missing_markers" if MISSING_WORDS & {*self.examples} else ""
        return f"column {self.column!r}{where}: {self.rule}: {', '.join(self.examples)}; {rows}{hint}"


def violation(column: str, rule: str, count: int, examples: Sequence[Any], row: int | None = None) -> Violation:
    """Make a violation, with the examples as short text."""
    return Violation(column, rule, count, tuple(_short(str(example)[:60]) for example in examples), row)


def first_twice(names: Sequence[str]) -> str | None:
    """Return the alphabetically first name that occurs more than once, or None."""
    return min((name for name, number in Counter(names).items() if number > 1), default=None)


def _short(text: str) -> str:
    return text if text.isprintable() else repr(text)[1:-1]
