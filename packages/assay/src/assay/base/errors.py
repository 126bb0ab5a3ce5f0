"""The one kind of error that is written for people."""


class InputError(Exception):
    """Wrong input from the user: one line that says what is wrong, where, and what to do."""
