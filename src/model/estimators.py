"""The model families that are tried. Add one of your own, or leave one out."""

from assay.modelling.estimators import FAMILIES as DEFAULTS
from assay.project.room import Family

FAMILIES: dict[str, Family] = {**DEFAULTS}
# Types of your own, or of another library, that a stored model may consist of: their full names.
TRUSTED: list[str] = []
