"""Numbers and addresses as people read them."""

import re
from collections.abc import Callable

UNKNOWN = "-"


def number(value: float | None, digits: int = 4) -> str:
    """Return a number rounded to significant digits, without an exponent if readable; a count stays exact."""
    if value is None:
        return UNKNOWN
    if isinstance(value, int):
        return f"{value:,}"
    rounded = float(f"{value:.{digits}g}")
    if 1e3 <= abs(rounded) < 1e15:
        return f"{rounded:,.0f}"
    return f"{rounded:.9f}".rstrip("0") if 1e-6 <= abs(rounded) < 1e-4 else f"{rounded:.4g}"


def decimal(value: float, sign: str = "") -> str:
    """Return a number with four decimals, or rounded with thousands separators where it is large; sign "+" for both."""
    return f"{value:{sign},.0f}" if abs(value) >= 1e3 else f"{value:{sign}.4f}"


def signed(value: float | None) -> str:
    """Return a difference with its sign, in three digits: noise makes further digits meaningless."""
    return ("+" if value is not None and value > 0 else "") + number(value, 3)


def between(low: float | None, high: float | None, write: Callable[[float], str] = number) -> str:
    """Return the ends of an interval, or "" if they are unknown."""
    return "" if low is None or high is None else f"{write(low)} to {write(high)}"


def percent(share: float | None) -> str:
    """Return a share in percent."""
    return UNKNOWN if share is None else f"{number(round(100 * share, 6))}%"


def seconds(time: float) -> str:
    """Return a duration in seconds, or in minutes from 100 seconds on."""
    return f"{time:.1f} s" if abs(time) < 100 else f"{number(time / 60, 2)} min"


def public(address: str) -> str:
    """Return an address without its password, and without its query, which may hold one too.

    Before the host of a web address all is masked: a token is written there as the name of a user.

    >>> public("postgresql://me:secret@host/flats?sslpassword=secret#prices")  # pragma: allowlist secret
    'postgresql://me:***@host/flats?***#prices'
    """
    if "://" not in address:
        return address
    # A password may hold the signs after which it would end.
    shown = re.sub(r"(?<=://)([^:/@]*):.*@", r"\1:***@", address)
    return re.sub(r"\?[^#]*", "?***", re.sub(r"(https?://)[^/?#]*@", r"\1***@", shown))


def public_text(text: str) -> str:
    """Return a text, such as the message of another program, with its addresses as `public` shows them.

    >>> public_text("403, url='https://host/my%20file.csv?sig=secret'")
    "403, url='https://host/my%20file.csv?***"
    """
    # A query may hold the quotes and brackets in which an address is written.
    return re.sub(r"\w+://\S+", lambda found: public(found[0]), text)
