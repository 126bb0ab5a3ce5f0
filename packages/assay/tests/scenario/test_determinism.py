"""Two runs give the same bytes: in other folders, other processes, with other hash seeds, threads and time zones."""

import hashlib
import sys

import pytest

from scenario.project import STAGES, Done, Project

RESULTS = ("metrics.json", "build", "models", "plots", "reports")
# In one process, for most of what a stage costs is the start of Python and its imports.
RUN = """
import sys
from importlib import import_module
for stage in sys.argv[1:]:
    import_module(f"assay.stages.{stage}").main()
"""
FAMILIES = {
    "gradient_boosting": {"max_iter": 30, "max_features": 0.5},
    "random_forest": {"n_estimators": 20, "max_features": 0.5},
    "linear": {"C": 0.1},
}
# With these seeds the sets of the converter to ONNX, among others, come in different orders.
HERE = {"PYTHONHASHSEED": "1", "TZ": "UTC", "OMP_NUM_THREADS": "1"}
THERE = {"PYTHONHASHSEED": "11", "TZ": "Asia/Tokyo", "OMP_NUM_THREADS": "2"}


def test_a_run_from_nothing_in_another_clone_gives_the_same_bytes(
    first_run: tuple[Project, Done], project: Project
) -> None:
    project.ok("dvc", "pull", "data.dvc")
    (project.root / "metrics.json").unlink()
    run(project, *STAGES, **THERE)
    assert results(project) == results(first_run[0])


@pytest.mark.nightly
@pytest.mark.parametrize(
    "family",
    [family if family == "linear" else pytest.param(family, marks=pytest.mark.nightly) for family in FAMILIES],
)
def test_every_family_is_fitted_measured_and_exported_alike(finished: Project, family: str) -> None:
    finished.set_params(
        model={"family": family, "parameters": FAMILIES[family]},
        train__calibrate=True,
        evaluate__learning_curve_points=2,
    )
    stages = ("tune", "train", "evaluate", "export")
    run(finished, *stages, **HERE)
    here = results(finished)
    run(finished, *stages, **THERE)
    assert results(finished) == here


def run(project: Project, *stages: str, **environment: str) -> None:
    project.ok(sys.executable, "-c", RUN, *stages, **environment)


def results(project: Project) -> dict[str, str]:
    """Return a hash of each file that the pipeline made."""
    files = [path for name in RESULTS for path in [project.root / name, *(project.root / name).rglob("*")]]
    return {
        path.relative_to(project.root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.is_file()
    }
