"""What must hold for any model of this problem, whatever its family: tests of the trained model, in your words.

Hypothesis looks for a row that proves a line wrong; `assay manual expectations` says how, and explains the functions.
"""

from assay.properties.expectations import Change, Expectation, Row, answers, rises, rises_when, same_when

# The medians of the data, by diagnosis.
BENIGN_AND_MALIGNANT = {
    "mean_radius": (12.2, 17.3),
    "mean_texture": (17.4, 21.5),
    "mean_perimeter": (78.2, 114),
    "mean_area": (458, 932),
    "mean_smoothness": (0.0908, 0.102),
    "mean_compactness": (0.0753, 0.132),
    "mean_concavity": (0.0371, 0.151),
    "mean_concave_points": (0.0234, 0.0863),
    "mean_symmetry": (0.171, 0.19),
    "mean_fractal_dimension": (0.0615, 0.0616),
    "radius_error": (0.258, 0.547),
    "texture_error": (1.11, 1.1),
    "perimeter_error": (1.85, 3.68),
    "area_error": (19.6, 58.5),
    "smoothness_error": (0.0065, 0.0062),
    "compactness_error": (0.0163, 0.0286),
    "concavity_error": (0.0184, 0.0371),
    "concave_points_error": (0.0091, 0.0142),
    "symmetry_error": (0.0191, 0.0177),
    "fractal_dimension_error": (0.0028, 0.0037),
    "worst_radius": (13.4, 20.6),
    "worst_texture": (22.8, 28.9),
    "worst_perimeter": (86.9, 138),
    "worst_area": (547, 1300),
    "worst_smoothness": (0.125, 0.143),
    "worst_compactness": (0.17, 0.356),
    "worst_concavity": (0.141, 0.405),
    "worst_concave_points": (0.0743, 0.182),
    "worst_symmetry": (0.269, 0.31),
    "worst_fractal_dimension": (0.0771, 0.0876),
}
BENIGN = {name: (0.9 * median, 1.1 * median) for name, (median, _) in BENIGN_AND_MALIGNANT.items()}
MALIGNANT = {name: (0.9 * median, 1.1 * median) for name, (_, median) in BENIGN_AND_MALIGNANT.items()}
# From one to the other, for each feature separately.
BETWEEN = {name: (0.9 * min(medians), 1.1 * max(medians)) for name, medians in BENIGN_AND_MALIGNANT.items()}


def twice_as_large(row: Row) -> Row:
    """Return the row with nuclei twice as large and of the same shape."""
    factors = {"radius": 2, "perimeter": 2, "area": 4}
    sizes = {f"{which}_{size}": factor for which in ("mean", "worst") for size, factor in factors.items()}
    return {**row, **{name: row[name] * factor for name, factor in sizes.items()}}


def more_concave(row: Row) -> Row:
    """Return the row with nuclei whose outlines have dents three times as deep and three times as many."""
    names = [f"{which}_{what}" for which in ("mean", "worst") for what in ("concavity", "concave_points")]
    return {**row, **{name: row[name] * 3 for name in names}}


def to_four_digits(row: Row) -> Row:
    """Return the row rounded to four digits, the precision of the measurements."""
    return {name: float(f"{value:.4g}") for name, value in row.items()}


def as_if_benign(name: str) -> Change:
    """Return the change that sets one measurement to that of a typical benign mass."""
    return lambda row: {**row, name: BENIGN_AND_MALIGNANT[name][0]}


EXPECTATIONS: list[Expectation] = [
    answers(BENIGN, "benign", name="a typical benign mass"),
    answers(MALIGNANT, "malignant", name="a typical malignant mass"),
    rises_when("nuclei twice as large", twice_as_large, tolerance=0.1, where=BETWEEN),
    rises_when("outlines more dented", more_concave, tolerance=0.1, where=BENIGN),
    rises("worst_area", tolerance=0.3),
    rises("worst_texture", tolerance=0.3),
    same_when("digits beyond the fourth", to_four_digits, tolerance=0.1),
    # One benign measurement must not clear a mass if all others are malignant.
    *(
        same_when(f"{name} as if benign in a malignant mass", as_if_benign(name), tolerance=0.5, where=MALIGNANT)
        for name in ("worst_radius", "worst_perimeter", "worst_area", "worst_concave_points", "mean_concave_points")
    ),
]
