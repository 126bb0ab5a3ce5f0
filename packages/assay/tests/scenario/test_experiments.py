"""DVC experiments: in the working tree, and queued."""

import json
from typing import Any

import pytest

from scenario.project import Project, stages_run


# The page on experiments is run with every change.
@pytest.mark.nightly
def test_an_experiment_runs_in_the_working_tree_and_one_waits_in_the_queue(finished: Project) -> None:
    # The code that the queued experiment is to run, and that the working tree no longer has when it does.
    module = "src/model/features.py"
    code = (finished.root / module).read_text()
    finished.append(module, '\nprint("the code of the experiment")\n')
    finished.ok("dvc", "exp", "run", "--queue", "--name", "queued", "--set-param", "export.parity_rows=20")
    (finished.root / module).write_text(code)

    here = finished.ok("dvc", "exp", "run", "--name", "here", "--set-param", "evaluate.confidence=0.9")
    assert stages_run(here) == ["validate", "evaluate", "export"]

    queued = finished.ok("dvc", "exp", "run", "--run-all")
    assert "the code of the experiment" in queued + finished.ok("dvc", "queue", "logs", "queued")
    params = {name: found["params.yaml"]["data"] for name, found in experiments(finished).items()}
    assert params["here"]["evaluate"]["confidence"] == 0.9
    assert params["queued"]["export"]["parity_rows"] == 20


def experiments(project: Project) -> dict[str, Any]:
    """Return the parameters of each experiment by its name, from `dvc exp show`."""
    shown = json.loads(project.ok("dvc", "exp", "show", "--json"))
    runs = [run for commit in shown for family in commit["experiments"] or [] for run in family["revs"]]
    assert all(run["error"] is None for run in runs)
    return {run["name"]: run["data"]["params"] for run in runs}
