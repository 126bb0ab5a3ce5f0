"""`assay init`: from a file to a project that is about it."""

import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Any

import click
import pyarrow as pa
from ruamel.yaml.comments import CommentedMap

from assay.adoption.adopt import adoption, carry_out, may_adopt
from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.base.files import read_json, write_bytes, write_text
from assay.base.progress import say
from assay.contract.spec import CONTRACT, Contract, Task, load_contract
from assay.data.check import check
from assay.data.columns import columns, target
from assay.data.reading import typed
from assay.gates.overrides import OVERRIDES
from assay.init.again import is_same_problem, renewed
from assay.init.expected import clear_cases, expectations_text
from assay.init.files import Asked, read
from assay.init.infer import Finding, Kind, Plan, checked, infer
from assay.init.limits import limits
from assay.init.write import (
    contract_text,
    data_bytes,
    params_text,
    parse_contract,
    readme_text,
    review_text,
)
from assay.project.freeze import edit_yaml
from assay.project.history import user_name
from assay.project.identity import identity
from assay.project.layout import ANALYSIS, METRICS, PIPELINE, read_split
from assay.project.room import load_room
from assay.project.settings import PARAMS

README = Path("README.md")
EXPECTATIONS = Path("src/model/expectations.py")
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
    wishes = _as_before(asked.target, set(table.column_names), wishes)
    plan = infer(table, asked.target, name, keep=wishes.keep, task=wishes.task)
    answers = Wishes(wishes.task, wishes.keep) if wishes.yes or not _at_terminal() else _ask(plan, asked.target, wishes)
    if answers != Wishes(wishes.task, wishes.keep):
        plan = infer(table, asked.target, name, keep=answers.keep, task=answers.task)
    checked(plan.contract)
    return plan, notes


def _as_before(target: str, names: set[str], wishes: Wishes) -> Wishes:
    """Return the wishes with what the contract here decided, if it is one for the same target and columns."""
    if not CONTRACT.exists():
        return wishes
    old = load_contract()
    if old.target.name != target or 2 * len(old.columns.keys() & names) <= len(old.columns):
        return wishes
    return Wishes(wishes.task or old.task, (*wishes.keep, *old.features), wishes.yes)


def slug(source: str) -> str:
    """Return a name for the project from that of its source."""
    stem = re.sub(r"(\.\w{1,7}){1,2}$", "", source.rstrip("/").rpartition("/")[2]) or "data"
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "data"


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(plan: Plan, target: str, wishes: Wishes) -> Wishes:
    task, keep = wishes.task, list(wishes.keep)
    for finding in plan.findings:
        if finding.where == target and finding.kind is Kind.UNSURE_TASK:
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


def earlier(plan: Plan) -> Contract | None:
    """Return the contract that is here, if the plan is for newer data of the same problem."""
    if not CONTRACT.exists():
        return None
    old = load_contract()
    return old if is_same_problem(old, plan) else None


def apply(plan: Plan) -> None:
    """Write the files of the project for a plan, and put the data under DVC."""
    suffix = ".csv" if plan.table.num_rows <= MOST_ROWS_AS_TEXT else ".parquet"
    path = DATA / f"{plan.contract['name']}{suffix}"
    plan.contract["data"] = path.as_posix()
    contract, params = contract_text(plan), params_text(PARAMS.read_text(encoding="utf-8"), plan.params)
    _put_data(plan.table, path)
    write_text(CONTRACT, contract)
    write_text(PARAMS, params)
    if EXPECTATIONS.exists():
        write_text(EXPECTATIONS, expectations_text([]))
    if README.exists():
        title = plan.contract["name"].replace("-", " ").capitalize()
        write_text(README, readme_text(README.read_text(encoding="utf-8"), title, plan.contract["description"]))


def renew(plan: Plan, old: Contract) -> tuple[str, list[str], pa.Table]:
    """Return the contract's text for newer data, what changes, and the data as that contract has it.

    Raises InputError when the data fits neither what the owner decided nor what would be decided now.
    """
    before = CONTRACT.read_text(encoding="utf-8")
    replaced: tuple[str, ...] = ()
    for _ in range(3):
        text, changes = renewed(before, plan, replaced=replaced)
        contract = parse_contract(text)
        table, violations = typed(plan.table, contract)
        violations = violations + check(table, contract)
        if not violations:
            return text, changes, table
        replaced = (*replaced, *{found.column for found in violations})
    raise InputError(f"{CONTRACT}: cannot be made to hold the new data: {violations[0]}")


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
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not Path("data.dvc").exists() or not DATA.exists():
        return set()
    try:
        with Repo() as repo:
            return {Path(entry["path"]).name for entry in repo.ls(".", path="data", recursive=True, dvc_only=True)}
    except DvcException:
        # An older version of the data that is nowhere to be had keeps nobody from starting with new data.
        return set()


def run_init(asked: Asked, wishes: Wishes, *, dry_run: bool, run: bool = True, adopt: bool = True) -> Plan:
    """Read, decide, show; then, unless it is a dry run, write, search for a model, and run the pipeline.

    Newer data of the same problem changes the contract only where it has to, and searches for no other model.
    """
    if not dry_run and not (PARAMS.exists() and Path("dvc.yaml").exists()):
        raise InputError(f"{PARAMS}: there is no project here; run this in the folder of the project")
    plan, notes = plan_for(asked, wishes)
    is_to_adopt = adopt and not dry_run and may_adopt(asked.source)
    for note in notes:
        say(f"  {note}")
    features = sum(column["kind"] not in ("id", "ignored") for column in plan.contract["columns"].values())
    say(f"{asked.source}: {plan.table.num_rows} rows, {features} features, {plan.contract['task']} of {asked.target!r}")
    old = earlier(plan)
    if old is not None:
        text, changes, table = renew(plan, old)
        for change in changes or ["nothing: the data keeps to the contract as it stands"]:
            say(f"  changed: {change}")
        if dry_run:
            print(text)
            return plan
        _put_data(table, old.data)
        write_text(CONTRACT, text)
    elif dry_run:
        print(contract_text(plan))
        for key, value in plan.params.items():
            print(f"# params.yaml: {key}: {value}")
        _show(plan.findings)
        return plan
    else:
        apply(plan)
    say("written; `git restore .` takes it back")
    if run:
        plan.findings.extend(_run(plan, is_new=old is None))
    if is_to_adopt:
        carry_out(adoption())
    _show(plan.findings)
    return plan


def _run(plan: Plan, *, is_new: bool) -> list[Finding]:
    """Run the pipeline; for a new problem search for a model before, and set limits by what it reaches after."""
    from assay.project.dvc import reproduce, tune

    if not is_new:
        reproduce()
        return []
    tune()
    reproduce()
    params = PARAMS.read_text(encoding="utf-8")
    gates = parse_yaml(params)["gates"]
    settings, findings = limits(read_json(METRICS), read_json(ANALYSIS), gates, plan.contract["task"])
    write_text(PARAMS, params_text(params, settings))
    if EXPECTATIONS.exists():
        write_text(EXPECTATIONS, expectations_text(_clear_cases()))
    # Limits are checked first of all; no other stage reads them.
    reproduce()
    _accept()
    return findings


def _accept() -> None:
    """Write into overrides.yaml that whoever runs this has made the project about another problem, for this model."""
    made = identity(None, Path())
    entry = {
        "gate": "contract",
        "by": user_name() or getuser(),
        "why": "`assay init` made the project about other data.",
        "model": str(made["model"])[:12],
        "contract": str(made["contract"])[:12],
    }
    before = OVERRIDES.read_text(encoding="utf-8") if OVERRIDES.exists() else "overrides: []\n"

    def change(content: CommentedMap) -> None:
        content["overrides"] = [entry]

    write_text(OVERRIDES, edit_yaml(before, change))


def _clear_cases() -> list[tuple[str, dict[str, Any], Any]]:
    """Return clear cases among the test rows of the model that is here."""
    from assay.modelling.fitting import scores
    from assay.modelling.store import load_pipeline

    contract, table, room = load_contract(), read_split("test"), load_room()
    data = columns(table, contract)
    return clear_cases(
        data, target(table, contract), scores(load_pipeline(PIPELINE, room), data, contract, room), contract
    )


def _show(findings: Sequence[Finding]) -> None:
    text = review_text(sorted(findings, key=lambda finding: -finding.weight))
    if text:
        say("to review, in order of importance:")
        say(text)
