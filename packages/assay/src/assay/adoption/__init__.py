"""Adopt, upgrade and eject: Assay as a wheel locked by hash, a newer wheel, or its source."""
