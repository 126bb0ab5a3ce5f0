"""The one kind of error a person is meant to read."""


class InputError(Exception):
    """Something the user gave is wrong: one line that says what, where and what to do."""
