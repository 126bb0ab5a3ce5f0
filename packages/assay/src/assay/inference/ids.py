"""The ids of predictions: they begin with the time, so they sort by it and it can be read from them."""

import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Hexadecimal digits of the milliseconds since 1970, as in a UUID of version 7.
DIGITS = 12


def batch_name(process: str, number: int) -> str:
    """Return a name for predictions that are made now, by a process that uses each number once."""
    return f"{time.time_ns() // 1_000_000:0{DIGITS}x}-{process}-{number}"


def time_of(prediction_id: str) -> datetime | None:
    """Return when a prediction was made; None for another text.

    >>> time_of("019acb6f7e00-5bd1e995-0-2")
    datetime.datetime(2025, 11, 28, 17, 7, 52, 960000, tzinfo=datetime.timezone.utc)
    """
    digits, dash, rest = prediction_id.partition("-")
    if len(digits) != DIGITS or not dash or not rest or not set(digits) <= set("0123456789abcdef"):
        return None
    try:
        return EPOCH + timedelta(milliseconds=int(digits, 16))
    except OverflowError:
        return None
