"""The ids of predictions: they begin with the time, so they sort by it and it can be read from them.

The rest is random: a client that has an id, and may report its outcome, cannot guess another one.
"""

import os
import time
from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Hexadecimal digits of the milliseconds since 1970, as in a UUID of version 7.
DIGITS = 12
RANDOM_BYTES = 10


def new_ids(rows: int) -> str:
    """Return ids for predictions that are made now, all of one length, with commas between them."""
    if not rows:
        return ""
    now = f"{time.time_ns() // 1_000_000:0{DIGITS}x}-"
    # In a third of the time of a loop over the rows.
    return now + os.urandom(RANDOM_BYTES * rows).hex(",", RANDOM_BYTES).replace(",", f",{now}")


def time_of(prediction_id: str) -> datetime | None:
    """Return when a prediction was made; None for another text.

    >>> time_of("019acb6f7e00-5bd1e9950c1d2e3f4a5b")
    datetime.datetime(2025, 11, 28, 17, 7, 52, 960000, tzinfo=datetime.timezone.utc)
    """
    digits, dash, rest = prediction_id.partition("-")
    if len(digits) != DIGITS or not dash or not rest or not set(digits) <= set("0123456789abcdef"):
        return None
    try:
        return EPOCH + timedelta(milliseconds=int(digits, 16))
    except OverflowError:
        return None
