"""The one kind of error that is written for people, and what other errors say."""

LONGEST_LINE = 300


class InputError(Exception):
    """Wrong input from the user: one line that says what is wrong, where, and what to do."""


def one_line(error: object) -> str:
    r"""Return what an error says in one line, cut where it is too long.

    >>> one_line("near line 2:\n  no such column")
    'near line 2: no such column'
    """
    return " ".join(str(error).split())[:LONGEST_LINE]


def with_type(error: Exception) -> str:
    """Return what an error says in one line, with its type unless it is an InputError.

    >>> with_type(KeyError("age")), with_type(InputError("no age"))
    ("KeyError: 'age'", 'no age')
    """
    return one_line(error) if isinstance(error, InputError) else f"{type(error).__name__}: {one_line(error)}"
