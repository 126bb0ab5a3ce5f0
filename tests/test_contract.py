"""The data satisfies contract.yaml, and contract.yaml allows exactly what it says."""

from assay.testing import load_project
from hypothesis import given

project = load_project()


def test_the_data_keeps_to_the_contract():
    assert [str(found) for found in project.data_violations()] == []


@given(row=project.rows())
def test_a_row_that_the_contract_allows_is_accepted(row):
    assert project.violations(row) == []


@given(broken=project.broken_rows())
def test_a_row_that_breaks_one_rule_is_refused_for_the_right_column(broken):
    row, column = broken
    assert {found.column for found in project.violations(row)} == {column}


# Put here what contract.yaml cannot say about your data: rows that must exist, rows that must not.
