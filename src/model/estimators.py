"""The model families of the search. Add your own, or remove some."""

from assay.modelling.estimators import FAMILIES as DEFAULTS
from assay.project.room import Family

FAMILIES: dict[str, Family] = {**DEFAULTS}
# Full names of the types, your own or of other libraries, that a stored model may contain.
TRUSTED: list[str] = []
