"""The data that comes with the template is what docs/data.md says it is."""

import pandas as pd
import pytest
from sklearn.datasets import load_breast_cancer

from assay.contract.spec import load_contract
from places import ROOT

CONTRACT = load_contract(ROOT / "contract.yaml")


@pytest.mark.skipif(
    CONTRACT.name != "breast-cancer" or not (ROOT / CONTRACT.data).exists(), reason="the data is another, or not here"
)
def test_the_file_is_the_one_inside_scikit_learn_with_other_names() -> None:
    original = load_breast_cancer(as_frame=True)
    ours = pd.read_csv(ROOT / CONTRACT.data)
    assert list(ours.columns[:-1]) == [name.replace(" ", "_") for name in original.data.columns]
    assert (ours.iloc[:, :-1].to_numpy() == original.data.to_numpy()).all()
    assert ours["diagnosis"].tolist() == [original.target_names[label] for label in original.target]
    assert ours["diagnosis"].value_counts().to_dict() == {"benign": 357, "malignant": 212}
