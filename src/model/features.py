"""Features of your own, computed from the columns of contract.yaml; Assay encodes those columns by itself.

A feature is one function: columns in, one number for each row out. Training, service and explanations all use it:

    def area_growth(columns):
        return columns["worst_area"] / columns["mean_area"]

    DERIVED = [Derived("area_growth", area_growth, source="worst_area")]
"""

from assay.project.room import Derived

DERIVED: list[Derived] = []
