import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from assay.inference.ids import new_ids
from assay.inference.predictor import PredictionBatch, record
from assay.inference.tables import prediction_ids


@given(sizes=st.lists(st.integers(0, 300), min_size=1, max_size=4))
def test_predictions_are_called_in_a_table_as_they_are_in_rows(sizes: list[int]) -> None:
    told = [
        PredictionBatch(new_ids(size), np.zeros(size), {}, np.array([], dtype=object), record(())) for size in sizes
    ]
    names = prediction_ids(told)
    names.validate(full=True)
    assert names.to_pylist() == [answer.prediction_id for one in told for answer in one.rows()]
