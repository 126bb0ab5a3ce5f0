"""`assay init`: from a file to a project that is about it."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from ruamel.yaml import YAML

from assay.contract.spec import CONTRACT, Task
from assay.errors import InputError
from assay.files import write_bytes, write_text
from assay.init.files import Asked, read
from assay.init.infer import Finding, Plan, checked, infer
from assay.init.write import contract_text, data_bytes, params_text, readme_text, review_text
from assay.params import PARAMS
from assay.progress import say

README = Path("README.md")
DATA = Path("data")
MOST_ROWS_AS_TEXT = 200_000


@dataclass(frozen=True)
class Wishes:
    """What a person decided beforehand: the task, columns that stay features, and not to be asked."""

    task: Task | None = None
    keep: tuple[str, ...] = ()
    yes: bool = False


def plan_for(asked: Asked, wishes: Wishes) -> tuple[Plan, list[str]]:
    """Read a source and decide on it; ask at a terminal about decisions that could hurt. Writes nothing."""
    table, notes = read(asked)
    name = slug(asked.source)
    plan = infer(table, asked.target, name, keep=wishes.keep, task=wishes.task)
    answers = Wishes(wishes.task, wishes.keep) if wishes.yes or not _at_terminal() else _ask(plan, asked.target, wishes)
    if answers != Wishes(wishes.task, wishes.keep):
        plan = infer(table, asked.target, name, keep=answers.keep, task=answers.task)
    checked(plan.contract)
    return plan, notes


def slug(source: str) -> str:
    """Return a name for the project from that of its source."""
    stem = re.sub(r"(\.\w{1,7}){1,2}$", "", source.rstrip("/").rpartition("/")[2]) or "data"
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "data"


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(plan: Plan, target: str, wishes: Wishes) -> Wishes:
    task, keep = wishes.task, list(wishes.keep)
    for finding in plan.findings:
        if finding.where == target and "--task" in finding.what:
            given: Any = click.prompt(
                f"{target}: {finding.what}",
                default=plan.contract["task"],
                err=True,
                type=click.Choice(["binary", "multiclass", "regression"]),
            )
            task = given
        elif finding.where in plan.suspects and not click.confirm(
            f"{finding.where} {finding.what.removeprefix('left out: ')}. Leave it out?", default=True, err=True
        ):
            keep.append(finding.where)
    return Wishes(task, tuple(keep))


def apply(plan: Plan) -> list[Path]:
    """Write the project's files for a plan, and put the data under DVC; return the files that git sees changed."""
    if not PARAMS.exists() or not Path("dvc.yaml").exists():
        raise InputError(f"{PARAMS}: there is no project here; run this in the folder of the project")
    suffix = ".csv" if plan.table.num_rows <= MOST_ROWS_AS_TEXT else ".parquet"
    path = DATA / f"{plan.contract['name']}{suffix}"
    plan.contract["data"] = path.as_posix()
    _put_data(plan.table, path)
    write_text(CONTRACT, contract_text(plan))
    write_text(PARAMS, params_text(PARAMS.read_text(encoding="utf-8"), plan.params))
    if README.exists():
        title = plan.contract["name"].replace("-", " ").capitalize()
        write_text(README, readme_text(README.read_text(encoding="utf-8"), title, plan.contract["description"]))
    return [CONTRACT, PARAMS, README, Path("data.dvc")]


def _put_data(table: pa.Table, path: Path) -> None:
    """Write the data, remove what DVC kept there before (its cache has it), and let DVC track the folder."""
    from dvc.cli import main as dvc

    old = _tracked()
    write_bytes(path, data_bytes(table, path.suffix))
    for name in old - {path.name}:
        (DATA / name).unlink(missing_ok=True)
    if dvc(["add", "--quiet", DATA.as_posix()]):
        raise InputError(f"{DATA}: DVC could not take the data in; `dvc add {DATA}` says why")


def _tracked() -> set[str]:
    """Return the names of the files in data/ that DVC's cache holds."""
    from dvc.repo import Repo

    if not Path("data.dvc").exists():
        return set()
    with Repo() as repo:
        try:
            return {entry["path"] for entry in repo.ls(".", path="data", recursive=True, dvc_only=True)}
        except Exception:
            # An older version of the data that is nowhere to be had keeps nobody from starting with new data.
            content = YAML(typ="safe").load(Path("data.dvc").read_text(encoding="utf-8"))
            return {DATA.name} - {out["path"] for out in content["outs"]}


def run_init(asked: Asked, wishes: Wishes, *, dry_run: bool, run: bool = True) -> Plan:
    """Read, decide, show; then, unless it is a dry run, write, search for a model, run the pipeline."""
    plan, notes = plan_for(asked, wishes)
    for note in notes:
        say(f"  {note}")
    features = sum(column["kind"] not in ("id", "ignored") for column in plan.contract["columns"].values())
    say(f"{asked.source}: {plan.table.num_rows} rows, {features} features, {plan.contract['task']} of {asked.target!r}")
    if dry_run:
        print(contract_text(plan))
        for key, value in plan.params.items():
            print(f"# params.yaml: {key}: {value}")
        _show_review(plan.findings)
        return plan
    written = apply(plan)
    say(f"written: {', '.join(map(str, written))}; `git restore .` and `dvc checkout data.dvc` undo it")
    if run:
        from assay.repro import reproduce, tune

        tune()
        reproduce()
    _show_review(plan.findings)
    return plan


def _show_review(findings: Sequence[Finding]) -> None:
    text = review_text(findings)
    if text:
        say("to review, in order of importance:")
        say(text)
