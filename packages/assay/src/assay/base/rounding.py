"""Rounding of results that are written to files."""


def significant(value: float, digits: int = 6) -> float:
    """Round to significant digits: beyond the sixth they differ from machine to machine."""
    return float(f"{value:.{digits}g}")
