"""The GitHub workflows: pinned actions, time limits, small rights, no secret beside the code of a pull request."""

import pytest
from assay.github.workflows import problems, workflow_files


@pytest.mark.parametrize("path", workflow_files(), ids=str)
def test_a_workflow_is_safe(path):
    assert problems(path) == []
