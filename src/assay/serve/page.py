"""The page for people."""

from assay.serve.package import Package


def page(package: Package) -> str:
    """Return the page."""
    return "<!doctype html><title>Assay</title>"
