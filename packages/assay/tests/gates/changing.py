"""A champion, and what a person does with a change: make it, run the pipeline, commit, and ask for the verdict."""

import json
import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from scenario.project import SHORT, Project, clone

DATA = Path("data/breast_cancer.csv")
# Rows that the champion has not seen; git ignores the folder, and copies of the project have it.
HELD_BACK = Path(".assay/held_back.csv")
HELD_BACK_SHARE = 0.05
RESTORE = "from assay.project.champion import restore; from assay.project.history import head; restore(head())"
STATUS = {"PROMOTE": 0, "REJECT": 1, "HOLD": 3}
CHAMPIONS: dict[str, dict[str, Any]] = {
    "linear": {},
    "boosting": {
        "model": {
            "family": "gradient_boosting",
            "parameters": {"max_iter": 60, "learning_rate": 0.1, "max_leaf_nodes": 8, "max_features": 0.5},
        },
    },
    "forest": {
        "model": {"family": "random_forest", "parameters": {"n_estimators": 100, "min_samples_leaf": 2}},
    },
    # Of two sites, which the contract calls sensitive; with so few rows groups differ much by chance.
    "sites": {"gates__fairness__difference": 0.3, "gates__fairness__margin": 0.2},
}


class Judged(NamedTuple):
    """What `assay gate` answered, the seconds of the pipeline, and those from each gate's answer to the next one's."""

    status: int
    verdict: dict[str, Any]
    pipeline_seconds: float
    gate_seconds: dict[str, float]

    def stopped_by(self) -> dict[str, str]:
        """Return the reasons of the gates that held or rejected."""
        return {o["gate"]: o["reason"] for o in self.verdict["outcomes"] if o["verdict"] in ("HOLD", "REJECT")}


def make_champion(template: Project, root: Path, kind: str, seed: int, **params: object) -> None:
    """Make a clone of the template in which a champion was trained and committed; `origin` is a clone beside it.

    The seed draws the split, and the twentieth of the rows that the champion does not get to see. `params` are set on
    top of those of the champion's kind.
    """
    origin = clone(template, root.with_name(f"{root.name}-origin"))
    origin.ok("dvc", "pull", "data.dvc")
    origin.set_params(prepare__salt=f"assay {seed}", **SHORT, **CHAMPIONS[kind], **params)
    rows, rng = read_rows(origin), np.random.default_rng([seed, 0])
    held_back = rng.random(len(rows)) < HELD_BACK_SHARE
    if kind == "sites":
        rows["site"] = rng.choice(["north", "south"], len(rows))
        origin.edit("contract.yaml", "\nslices:", "\nsensitive: [site]\n\nslices:")
        origin.append("contract.yaml", "  site:\n    kind: category\n    values: [north, south]\n")
        # An expectation of the default problem takes all of its features for numbers.
        origin.edit(
            "src/model/expectations.py",
            "for name, value in row.items()}",
            'for name, value in row.items() if name != "site"} | {"site": row["site"]}',
        )
    write_rows(origin, rows[~held_back])
    origin.ok("assay", "repro")
    origin.ok("git", "commit", "--quiet", "--all", "--message", "Champion")
    made = copy_of(origin, root)
    rows[held_back].to_csv(made.root / HELD_BACK, index=False)


def copy_of(origin: Project, root: Path) -> Project:
    """Return a copy of a project with a champion, which is its `origin`."""
    made = origin.copy(root)
    made.ok("git", "remote", "set-url", "origin", str(origin.root))
    made.ok("git", "fetch", "--quiet")
    # Restores the champion's files, so that each change need not.
    made.ok("python", "-c", RESTORE)
    return made


def in_yaml(project: Project, path: str, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit a YAML file of a project, which keeps its comments."""
    yaml, file = YAML(), project.root / path
    content = yaml.load(file.read_text(encoding="utf-8"))
    edit(content)
    yaml.dump(content, file)


def in_contract(project: Project, edit: Callable[[dict[str, Any]], object]) -> None:
    """Edit the contract of a project."""
    in_yaml(project, "contract.yaml", edit)


def read_rows(project: Project, path: Path = DATA) -> pd.DataFrame:
    """Return the rows of a project's data as they are written, for what is not changed shall stay the same text."""
    return pd.read_csv(project.root / path, dtype=str)


def write_rows(project: Project, rows: pd.DataFrame) -> None:
    """Write rows as a project's data."""
    rows.to_csv(project.root / DATA, index=False)


def numbers(values: pd.Series) -> pd.Series:
    """Return what a column of text says, as numbers."""
    return values.astype(float)


def committed(project: Project) -> None:
    """Commit all of the change."""
    project.ok("git", "add", "--all")
    project.ok("git", "commit", "--quiet", "--allow-empty", "--message", "Change")


def recorded(project: Project) -> None:
    """Record Assay's code, as `assay repro` does before it runs the pipeline, and commit all of the change."""
    project.ok("python", "-c", "from assay.project.fingerprint import refresh; refresh()")
    committed(project)


def retrained(project: Project) -> None:
    """Run the pipeline, whether it gets through or not, and commit what it left."""
    project.run("assay", "repro")
    committed(project)


def edited_in_the_browser(project: Project) -> None:
    """Commit the change alone; the pull request runs the pipeline."""
    committed(project)
    project.run("assay", "repro")


def judge(
    project: Project, change: Callable[[Project, int], None], seed: int, work: Callable[[Project], None]
) -> Judged:
    """Make a change in a project and return the verdict on it; raises AssertionError where there is none."""
    project.ok("git", "switch", "--quiet", "--create", "change")
    change(project, seed)
    began = time.monotonic()
    work(project)
    asked = time.monotonic()
    with subprocess.Popen(
        ["assay", "gate", "--json"],
        cwd=project.root,
        env=project.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said, at = [], [asked]
        # What it prints in the end is too little to fill the pipe while this one is read.
        for line in process.stderr:
            said.append(line)
            at.append(time.monotonic())
        printed = process.stdout.read()
    assert process.returncode in STATUS.values(), f"assay gate: {process.returncode}: {printed}{''.join(said)}"
    seconds = {
        match[1]: after - before
        for line, before, after in zip(said, at, at[1:], strict=False)
        if (match := re.match(r"  (\w+): [A-Z]+: ", line))
    }
    return Judged(process.returncode, json.loads(printed), asked - began, seconds)
