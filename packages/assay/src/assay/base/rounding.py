"""Rounding of what is written down."""


def significant(value: float, digits: int = 6) -> float:
    """Round to so many significant digits: what lies below six differs from machine to machine."""
    return float(f"{value:.{digits}g}")
