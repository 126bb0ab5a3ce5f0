"""The one kind of error that is written for people, and what other errors say."""

LONGEST_LINE = 300


class InputError(Exception):
    """Wrong input from the user: one line that says what is wrong, where, and what to do."""


def one_line(error: object) -> str:
    r"""Return what an error says in one line, cut where it is too long; its type if it says nothing.

    >>> one_line("near line 2:\n  no such column")
    'near line 2: no such column'
    >>> one_line(TimeoutError())
    'TimeoutError'
    """
    said = " ".join(str(error).split())[:LONGEST_LINE]
    return said or type(error).__name__


def with_type(error: Exception) -> str:
    """Return what an error says in one line, with its type unless it is an InputError.

    >>> with_type(KeyError("age")), with_type(InputError("no age"))
    ("KeyError: 'age'", 'no age')
    """
    name, said = type(error).__name__, one_line(error)
    return said if isinstance(error, InputError) or said == name else f"{name}: {said}"
