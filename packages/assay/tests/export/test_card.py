from assay.export.card import card
from examples import small
from patients import contract

ESTIMATE = {"value": 0.9, "low": 0.8, "high": 0.95}
METRICS = {
    "test": {"roc_auc": ESTIMATE},
    "validation": {"roc_auc": 0.91},
    "train": {"roc_auc": 0.99},
    "dummy": {"roc_auc": 0.5},
    "rows": {"train": 60, "validation": 15, "test": 25},
}
ANALYSIS = {
    "slices": {
        "declared": [
            {
                "slice": "ward is west",
                "rows": 12,
                "loss": 0.5,
                "loss_elsewhere": 0.1,
                "p": 0.01,
                "q": 0.02,
                "worse": True,
            }
        ],
        "discovered": [],
    },
    "fairness": {"ward": {"groups": {}, "difference": {"accuracy": 0.25}}},
    "importance": {"permutation": {"age": 0.3, "noise": 0.0}, "shap": None},
}
ABOUT = {
    "choice": {"family": "gradient_boosting", "parameters": {"max_iter": 30}},
    "served": "onnx",
    "reason": "",
    "threshold": 0.25,
    "versions": {"scikit-learn": "1.9.1"},
}
CHECKS = [{"gate": "duplicates", "verdict": "HOLD", "reason": "9 of 100 rows repeat another"}]


def test_the_card_has_the_curve_of_each_feature_if_each_acts_alone():
    points = [{"value": "20", "effects": [-0.5, 0.5]}, {"value": "missing", "effects": [0.25, -0.25]}]
    shapes = {"of": "log-odds", "scores": ["sick", "well"], "features": {"noise": points, "age": points}}
    analysis = ANALYSIS | {"importance": ANALYSIS["importance"] | {"shapes": shapes}}
    text = card(contract(), ABOUT, METRICS, analysis, CHECKS)
    assert text.index("- age, sick: 20: -0.5, missing: +0.25") < text.index("- noise, well: 20: +0.5, missing: -0.25")
    assert "What each feature does" not in card(contract(), ABOUT, METRICS, ANALYSIS, CHECKS)
    # A line for each feature and class would be a book.
    many = shapes | {"scores": [f"grade {number}" for number in range(11)]}
    text = card(
        contract(), ABOUT, METRICS, ANALYSIS | {"importance": ANALYSIS["importance"] | {"shapes": many}}, CHECKS
    )
    assert "for 11 classes see `reports/analyse.json`" in text


def test_the_card_says_what_the_run_found():
    made = contract(
        about={"source": "a hospital", "licence": "CC0", "intended_use": "Sorting letters.", "limits": ["Few rows."]},
        costs={"false_positive": 1, "false_negative": 5, "unit": "letter"},
    )
    classes = {"sick": {"rows": 9, "recall": 0.75, "precision": 0.5, "f1": 0.6}}
    text = card(made, ABOUT, METRICS | {"classes": classes}, ANALYSIS, CHECKS)
    for expected in (
        "| sick | 9 | 0.75 | 0.5 | 0.6 |",
        "# Model card: patients",
        "Sorting letters.",
        "- Few rows.",
        "- Source: a hospital",
        "60 to train on, 15 to validate on, 25 to judge on; split by hash",
        "- The model is fitted on 60 train rows, without the 15 validation and 25 test rows.",
        "- Duplicates: 9 of 100 rows repeat another",
        "- Family: gradient boosting (max_iter = 30)",
        "Decides for sick from a probability of 0.25",
        "a false positive costs 1, a false negative 5 (letter)",
        "| roc_auc | higher | 0.9 | 0.8 to 0.95 | 0.91 | 0.99 | 0.5 |",
        "| ward is west | 12 | 0.5 | 0.1 | yes |",
        "- ward: largest difference between groups: accuracy 0.25",
        "| age | 0.3 |",
    ):
        assert expected in text


def test_what_the_owner_did_not_say_is_said_to_be_missing():
    empty = {"slices": {"declared": [], "discovered": []}, "fairness": {}, "importance": ANALYSIS["importance"]}
    text = card(contract(), ABOUT, METRICS, empty, CHECKS)
    for expected in (
        "- Source: not stated",
        "The owner has not said what the model is for.",
        "The owner has named none.",
        "No slice has enough rows.",
        "No sensitive column is declared.",
    ):
        assert expected in text


def test_a_pipeline_served_itself_comes_with_the_reason():
    about = ABOUT | {"served": "skops", "reason": "the export failed"}
    assert "- Served as: skops, because the export failed" in card(contract(), about, METRICS, ANALYSIS, CHECKS)


def test_a_card_of_numbers_names_no_threshold():
    metrics = {
        "rows": METRICS["rows"],
        "test": {"mae": ESTIMATE},
        **{side: {"mae": 1.0} for side in ("validation", "train", "dummy")},
    }
    text = card(contract("regression"), ABOUT | {"threshold": None}, metrics, ANALYSIS, CHECKS)
    assert "Decides for" not in text
    assert "| mae | lower | 0.9 |" in text


def test_the_card_names_the_zone_of_times():
    zoned = {"kind": "time", "zone": "UTC"}
    made = small({"seen": zoned, "bought": {"kind": "time"}, "size": {"kind": "number"}})
    text = card(made, ABOUT, METRICS | {"test": {}}, ANALYSIS, CHECKS)
    assert "- Times in seen are in UTC: a time with an offset is converted, one without is taken to be in it" in text
    assert "Times in bought" not in text


def test_the_card_names_the_members_of_a_mean_and_their_weights_if_these_differ():
    members = [{"family": "linear", "parameters": {"C": 1.0}, "weight": 0.6}, {"family": "own", "parameters": {}}]
    alike = ABOUT | {"choice": {"family": "mean", "parameters": {}, "members": members[1:] * 2}}
    text = card(contract(), alike, METRICS, ANALYSIS, CHECKS)
    assert "- Family: the mean of the predictions of these models\n    - own (default parameters)\n    - own" in text
    assert "weight" not in text
    members[1]["weight"] = 0.2
    about = ABOUT | {"choice": {"family": "mean", "parameters": {}, "members": members}}
    text = card(contract(), about, METRICS, ANALYSIS, CHECKS)
    assert (
        "    - linear (C = 1.0), with 75% of the weight\n    - own (default parameters), with 25% of the weight\n"
        in text
    )
