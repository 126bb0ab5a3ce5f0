"""Features are numbers and treat each row by itself: your own from src/model/features.py, and those of the columns."""

from copy import deepcopy

import numpy as np
from assay.testing import load_project
from hypothesis import given
from hypothesis import strategies as st

project = load_project()
some_rows = st.lists(project.rows() | st.sampled_from(project.data_rows()), min_size=1, max_size=5)


@given(rows=some_rows)
def test_a_derived_feature_is_one_number_for_each_row_or_unknown(rows):
    inputs = project.inputs(rows)
    for feature in project.room.derived:
        assert inputs[feature.name].shape == (len(rows),)
        assert not np.isinf(inputs[feature.name]).any(), feature.name


@given(rows=some_rows)
def test_a_row_has_the_same_features_alone_and_among_others(rows):
    together = project.inputs(rows)
    for place, row in enumerate(rows):
        for name, value in project.inputs([row]).items():
            np.testing.assert_array_equal(value[0], together[name][place], err_msg=name)


@given(rows=some_rows)
def test_features_do_not_change_the_rows(rows):
    before = deepcopy(rows)
    project.inputs(rows)
    assert rows == before


def test_a_derived_feature_is_known_for_some_row_of_the_data():
    inputs = project.inputs(project.data_rows())
    for feature in project.room.derived:
        assert np.isfinite(inputs[feature.name]).any(), f"{feature.name} is unknown in every row"


# Add tests of your own features on rows that you know:
#
#     def test_growth_is_the_ratio_of_the_two_areas():
#         row = {**project.data_rows(1)[0], "worst_area": 6.0, "mean_area": 3.0}
#         assert project.inputs([row])["area_growth"] == 2
