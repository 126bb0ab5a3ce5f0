"""A person's own data: from a file to a project that is about it, again with newer data, and back."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from ruamel.yaml import YAML

from scenario.project import SHORT, Project


def write(path: Path, rows: int = 200, most: int = 200) -> Path:
    rng = np.random.default_rng(rows)
    size = rng.integers(40, most, rows)
    table = pa.table(
        {
            "id": np.arange(rows) + 1000,
            "size": size,
            "town": rng.choice(["Bonn", "Orly"], rows),
            "price": size * 30.5 + 400 + rng.normal(0, 200, rows).round(2),
        }
    )
    pacsv.write_csv(table, path)
    return path


def contents(project: Project) -> dict[str, bytes]:
    listed = project.ok("git", "ls-files").splitlines()
    return {name: (project.root / name).read_bytes() for name in listed if (project.root / name).is_file()}


def test_a_dry_run_shows_the_contract_and_writes_nothing(project: Project, tmp_path: Path) -> None:
    before = contents(project)
    shown = project.ok("assay", "init", str(write(tmp_path / "houses.csv")), "--target", "price", "--dry-run")
    assert YAML(typ="safe").load(shown)["columns"]["size"]["kind"] == "integer"
    assert contents(project) == before
    assert not project.ok("git", "status", "--porcelain")


@pytest.mark.parametrize("content", [b"", b"a,price\n", b"\x89PNG\r\n\x1a\n\0\0"])
def test_bad_input_leaves_the_project_as_it_is(project: Project, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    assert str(path) in project.refused("assay", "init", str(path), "--target", "price", "--yes")
    assert not project.ok("git", "status", "--porcelain")


@pytest.mark.nightly
def test_own_data_becomes_a_model_with_limits_that_it_keeps_to(project: Project, tmp_path: Path) -> None:
    project.set_params(**SHORT, tune__trials=6)
    init = ("assay", "init", str(write(tmp_path / "houses.csv")), "--target", "price", "--yes")
    # Stopped in its search, it goes on with that when it is run again; stopped later, with the model that was found.
    stopped = {}
    for stage in ("tune", "evaluate"):
        module = f"packages/assay/src/assay/stages/{stage}.py"
        code = (project.root / module).read_text()
        project.append(module, "\nimport os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n")
        stopped[stage] = project.run(*init)
        (project.root / module).write_text(code)
    assert "the search failed" in stopped["tune"].stderr
    assert "stage evaluate failed" in stopped["evaluate"].stderr
    said = project.run(*init)
    assert said.returncode == 0, said.stderr
    assert "goes on with the model" in said.stderr
    assert "nothing changed" not in said.stderr
    assert "id: ignored: a row number" in said.stderr
    # Neither the model that the search found, nor expectations and limits that follow from it, make a stage run again.
    once = ("validate", "prepare", "train", "export")
    ran = "".join(one.stdout for one in (*stopped.values(), said))
    assert [ran.count(f"Running stage '{stage}'") for stage in once] == [1] * len(once)
    assert said.stdout.count("Running stage 'evaluate'") == 1
    metrics = json.loads((project.root / "metrics.json").read_text())
    params = YAML(typ="safe").load((project.root / "params.yaml").read_text())
    assert metrics["test"]["r2"]["value"] > 0.5
    assert 0 < params["gates"]["quality"]["floor"] < metrics["test"]["r2"]["low"]
    assert "Predicts price." in (project.root / "README.md").read_text()
    # Clones can fetch the data.
    new = project.ok("git", "ls-files", "--others", "--exclude-standard").split()
    assert new
    assert all(path.startswith(".dvc/embedded/files/") for path in new)
    assert "nothing changed" in project.run("assay", "repro").stderr

    # What came with the template is no champion of another problem; that it is another, a person has to say.
    done = project.run("assay", "pr")
    verdict = json.loads((project.root / "reports/verdict.json").read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    assert (verdict["verdict"], verdict["champion"]) == ("PROMOTE", None)
    assert [one["gate"] for one in verdict["overrides"]] == ["contract"]
    project.ok("git", "restore", "overrides.yaml")
    assert project.run("assay", "pr").returncode == 3
    verdict = json.loads((project.root / "reports/verdict.json").read_text())
    held = {one["gate"]: one["reason"] for one in verdict["outcomes"] if one["verdict"] == "HOLD"}
    assert list(held) == ["contract"]
    assert "describes a new problem" in held["contract"]
    project.append("packages/assay/src/assay/gates/robustness.py", "\nSTRICT = False\n")
    assert project.run("assay", "pr").returncode == 3
    verdict = json.loads((project.root / "reports/verdict.json").read_text())
    assert {one["gate"] for one in verdict["outcomes"] if one["verdict"] == "HOLD"} == {"contract", "limits"}


def test_newer_data_keeps_what_a_person_wrote_and_one_command_goes_back(project: Project, tmp_path: Path) -> None:
    init = ("assay", "init", "--target", "price", "--yes", "--no-run", "--no-adopt")
    project.ok(*init, str(write(tmp_path / "houses.csv")))
    project.edit("contract.yaml", "kind: integer", "description: floor space, kind: integer")
    project.ok("git", "commit", "--quiet", "--all", "--message", "Own data")
    before = contents(project)
    # DVC was killed in writing its lock file.
    (project.root / ".dvc/tmp/rwlock").write_text("")
    said = project.run(*init, str(write(tmp_path / "later.csv", rows=300, most=900)))
    assert "changed: size: range" in said.stderr
    assert "description: floor space" in (project.root / "contract.yaml").read_text()
    assert len((project.root / "data/houses.csv").read_text().splitlines()) == 301
    project.ok("git", "restore", ".")
    assert contents(project) == before
    project.ok("dvc", "checkout", "data.dvc")
    assert len((project.root / "data/houses.csv").read_text().splitlines()) == 201


def test_after_going_back_to_the_data_before_the_pipeline_fetches_it(project: Project, tmp_path: Path) -> None:
    project.ok("dvc", "pull", "--quiet", "data.dvc")
    project.ok(
        "assay", "init", str(write(tmp_path / "houses.csv")), "--target", "price", "--yes", "--no-run", "--no-adopt"
    )
    assert [path.name for path in (project.root / "data").iterdir()] == ["houses.csv"]
    project.ok("git", "restore", ".")
    project.ok("assay", "repro")
    assert [path.name for path in (project.root / "data").iterdir()] == ["breast_cancer.csv"]
