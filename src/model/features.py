"""Your own features, computed from the columns of contract.yaml; Assay encodes those columns itself.

A feature is one function: it takes columns and returns one number per row. Training, service and explanations use it:

    def area_growth(columns):
        return columns["worst_area"] / columns["mean_area"]

    DERIVED = [Derived("area_growth", area_growth, source="worst_area")]
"""

from assay.project.room import Derived

DERIVED: list[Derived] = []
