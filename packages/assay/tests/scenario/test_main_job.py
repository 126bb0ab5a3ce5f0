"""One command from a fresh clone to a trained, analysed model; and what is done again after a change."""

import json

from scenario.project import STAGES, Done, Project, stages_run

EXPORTED = {
    *("model.onnx", "model.skops", "model.json", "examples.json", "reference.json", "card.md"),
    *("contract.json", "service.json", "metrics.json"),
}


def test_one_command_takes_a_fresh_clone_to_a_model_and_its_results(first_run: tuple[Project, Done]) -> None:
    project, done = first_run
    assert done.returncode == 0, done.stdout + done.stderr
    assert "data: fetching from the DVC remote" in done.stderr
    assert stages_run(done.stdout) == list(STAGES)
    metrics = json.loads((project.root / "metrics.json").read_text())
    shown = done.stdout[done.stdout.index("tested on") :]
    for name, measured in metrics["test"].items():
        assert f"\n{name}" in shown
        assert f"{measured['value']:.4f}" in shown
    assert {path.name for path in (project.root / "models").iterdir()} == EXPORTED
    assert project.leftovers() == []
    # On another kind of processor the last digits, and with them the hashes, may be others than those committed.
    changed = {line[3:] for line in project.ok("git", "status", "--porcelain").splitlines()}
    assert changed <= {"dvc.lock", "metrics.json"}


def test_a_run_with_nothing_changed_runs_no_stage_and_touches_nothing(finished: Project) -> None:
    before = _files(finished)
    done = finished.run("assay", "repro")
    assert done.returncode == 0
    assert "nothing changed: no stage ran" in done.stderr
    assert "roc_auc" in done.stdout
    assert stages_run(done.stdout) == []
    assert _files(finished) == before


def test_a_changed_parameter_runs_what_depends_on_it_and_shows_what_it_changed(finished: Project) -> None:
    finished.set_params(model={"family": "linear", "parameters": {"C": 0.1}})
    assert stages_run(finished.ok("dvc", "repro")) == [stage for stage in STAGES if stage != "prepare"]
    assert "model.parameters.C" in finished.ok("dvc", "params", "diff")
    assert "test.log_loss.value" in finished.ok("dvc", "metrics", "diff")
    assert "test.log_loss.value" in finished.ok("dvc", "metrics", "show")
    finished.ok("dvc", "plots", "show", "--out", "shown")
    page = (finished.root / "shown/index.html").read_text(encoding="utf-8")
    ids = {f"{plot.parent.name}_{plot.stem}_csv" for plot in finished.root.glob("plots/*.csv")}
    for plot in ids - {"plots_learning_csv"} | {"learning_curve", "trials_csv"}:
        assert f"'#{plot}'" in page


def test_a_run_prints_its_results_for_a_program_and_nothing_else(finished: Project) -> None:
    finished.set_params(remote__embedded_limit_mb=49)
    done = finished.run("assay", "repro", "--json")
    assert stages_run(done.stderr) == ["validate"]
    assert json.loads(done.stdout)["metrics"] == json.loads((finished.root / "metrics.json").read_text())


def test_the_results_can_be_read_by_a_program(finished: Project) -> None:
    shown = json.loads(finished.ok("assay", "show", "--json"))
    assert shown["metrics"] == json.loads((finished.root / "metrics.json").read_text())
    assert {"checks", "model"} < set(shown)


def test_lost_results_come_back_from_the_cache_without_a_run(finished: Project) -> None:
    wanted = finished.locked()
    for path in (*finished.root.glob("models/*"), *finished.root.glob("build/split/*")):
        path.unlink()
    assert stages_run(finished.ok("assay", "repro")) == []
    assert finished.locked() == wanted
    assert {path.name for path in (finished.root / "models").iterdir()} == EXPORTED


def _files(project: Project) -> dict[str, tuple[int, int]]:
    """Return when each file that git or DVC tracks was last changed, and which inode it is."""
    listed = project.ok("git", "ls-files").split() + project.ok("dvc", "list", ".", "--dvc-only", "--recursive").split()
    return {name: ((stat := (project.root / name).stat()).st_mtime_ns, stat.st_ino) for name in listed}
