"""Rounding of results that are written to files."""


def significant(value: float, digits: int = 6) -> float:
    """Round to significant digits: beyond the sixth they differ from machine to machine.

    >>> significant(1234.56789)
    1234.57
    >>> significant(0.000123456789, 3)
    0.000123
    """
    return float(f"{value:.{digits}g}")
