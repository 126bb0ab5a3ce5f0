"""`assay init`: from a file to a project about its data."""

import hashlib
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pyarrow as pa
from ruamel.yaml.comments import CommentedMap

from assay.adoption.adopt import adoption, carry_out, may_adopt
from assay.base.config import parse_yaml
from assay.base.errors import InputError
from assay.base.files import read_json, sha256, write_bytes, write_json, write_text
from assay.base.progress import say
from assay.contract.spec import CONTRACT, Contract, Task, load_contract
from assay.data.check import check
from assay.data.columns import columns, target
from assay.data.reading import typed
from assay.gates.overrides import OVERRIDES
from assay.init.again import is_same_problem, renewed
from assay.init.expected import Case, clear_cases, expectations_text
from assay.init.files import Source, read
from assay.init.infer import Finding, Kind, Plan, checked, infer
from assay.init.limits import limits
from assay.init.noise import GateNumbers, gate_numbers, other_fits
from assay.init.write import (
    contract_text,
    data_bytes,
    params_text,
    parse_contract,
    readme_text,
    review_text,
)
from assay.project.freeze import edit_yaml
from assay.project.history import head, user_name
from assay.project.identity import identity
from assay.project.layout import ANALYSIS, METRICS, read_split
from assay.project.params import Params, load_params
from assay.project.room import Room, load_room
from assay.project.settings import PARAMS

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

README = Path("README.md")
EXPECTATIONS = Path("src/model/expectations.py")
DATA = Path("data")
# While a project is made for a new problem: what it was written with, and whether its model is found.
UNFINISHED = Path(".assay/init.json")
MOST_ROWS_AS_TEXT = 200_000


@dataclass(frozen=True)
class InitOptions:
    """What the user decided on the command line: the task, the columns to keep as features, and to ask no questions."""

    task: Task | None = None
    keep: tuple[str, ...] = ()
    yes: bool = False


def plan_for(source: Source, options: InitOptions) -> tuple[Plan, list[str]]:
    """Read a source and plan the project; at a terminal, ask about risky decisions. Writes nothing."""
    present = load_contract() if CONTRACT.exists() and not is_stopped() else None
    table, notes = read(replace(source, as_text=() if present is None else _texts(present)))
    name = slug(source.name)
    agreed = present if present is not None and _is_about(present, source.target, set(table.column_names)) else None
    if agreed is not None:
        options = InitOptions(options.task or agreed.task, (*options.keep, *agreed.features), options.yes)
    plan = infer(table, source.target, name, keep=options.keep, task=options.task, agreed=agreed)
    decided = InitOptions(options.task, options.keep)
    answers = decided if options.yes or not _at_terminal() else _ask(plan, source.target, options)
    if answers != decided:
        plan = infer(table, source.target, name, keep=answers.keep, task=answers.task, agreed=agreed)
    checked(plan.contract)
    return plan, notes


def _is_about(old: Contract, target: str, names: set[str]) -> bool:
    """Say whether a table has the target and most columns of a contract."""
    return old.target.name == target and 2 * len(old.columns.keys() & names) > len(old.columns)


def _texts(old: Contract) -> tuple[str, ...]:
    """Return the columns whose texts are values: 1E5 and NA may be codes."""
    kinds = ("category", "text", "id")
    return tuple(name for name, column in old.columns.items() if column.kind in kinds)


def slug(source: str) -> str:
    """Return a project name made from the name of its source."""
    stem = re.sub(r"(\.\w{1,7}){1,2}$", "", source.rstrip("/").rpartition("/")[2]) or "data"
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "data"


def _at_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _ask(plan: Plan, target: str, options: InitOptions) -> InitOptions:
    task, keep = options.task, list(options.keep)
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
            f"{finding.where}: {plan.suspects[finding.where]}. Leave it out?", default=True, err=True
        ):
            keep.append(finding.where)
    return InitOptions(task, tuple(keep))


def earlier(plan: Plan) -> Contract | None:
    """Return the present contract, if the plan is for newer data of the same problem."""
    if not CONTRACT.exists() or is_stopped():
        return None
    old = load_contract()
    return old if is_same_problem(old, plan) else None


def is_stopped() -> bool:
    """Say whether an `assay init` for a new problem was stopped, and nobody has changed or committed what it wrote."""
    if not UNFINISHED.exists():
        return False
    left = read_json(UNFINISHED)
    written = left["written"].items()
    return left["commit"] == head() and all(Path(name).exists() and sha256(Path(name)) == own for name, own in written)


def apply(plan: Plan) -> None:
    """Write the project files for a plan, and add the data to DVC."""
    suffix = ".csv" if plan.table.num_rows <= MOST_ROWS_AS_TEXT else ".parquet"
    path = DATA / f"{plan.contract['name']}{suffix}"
    plan.contract["data"] = path.as_posix()
    contract, params = contract_text(plan), params_text(PARAMS.read_text(encoding="utf-8"), plan.params)
    _put_data(plan.table, path)
    data = sha256(path)
    if is_stopped() and CONTRACT.read_text(encoding="utf-8") == contract and read_json(UNFINISHED).get("data") == data:
        # The rest is written, and the parameters may have been changed since.
        return
    write_text(PARAMS, params)
    if README.exists():
        title = plan.contract["name"].replace("-", " ").capitalize()
        write_text(README, readme_text(README.read_text(encoding="utf-8"), title, plan.contract["description"]))
    texts = {EXPECTATIONS: expectations_text([])} if EXPECTATIONS.exists() else {}
    # The contract comes last: with it, the rest is there.
    texts |= {CONTRACT: contract}
    written = {str(file): hashlib.sha256(text.encode()).hexdigest() for file, text in texts.items()}
    write_json(UNFINISHED, {"commit": head(), "data": data, "written": written, "has_model": False})
    for file, text in texts.items():
        write_text(file, text)


def updated(plan: Plan, old: Contract) -> tuple[str, list[str], pa.Table]:
    """Return the text of the contract for newer data, its changes, and the data in its types.

    Raises InputError if the data fits neither the owner's decisions nor new ones.
    """
    before = CONTRACT.read_text(encoding="utf-8")
    replaced: tuple[str, ...] = ()
    for _ in range(3):
        text, changes = renewed(before, plan, replaced=replaced)
        contract = parse_contract(text)
        table, violations = typed(plan.raw, contract)
        violations = violations + check(table, contract)
        if not violations:
            return text, changes, table
        replaced = (*replaced, *{found.column for found in violations})
    raise InputError(f"{CONTRACT}: cannot be updated to fit the new data: {violations[0]}")


def _put_data(table: pa.Table, path: Path) -> None:
    """Write the data, remove the earlier files that DVC has in its cache, and let DVC track the folder."""
    from dvc.cli import main as dvc

    from assay.project.data import remove_broken_lock

    remove_broken_lock()
    old = _tracked()
    write_bytes(path, data_bytes(table, path.suffix))
    for name in old - {path.name}:
        (DATA / name).unlink(missing_ok=True)
    if dvc(["add", "--quiet", DATA.as_posix()]):
        raise InputError(f"{DATA}: DVC could not add the data; run `dvc add {DATA}` to see why")


def _tracked() -> set[str]:
    """Return the names of the files in data/ that DVC tracks."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    if not Path("data.dvc").exists() or not DATA.exists():
        return set()
    try:
        with Repo() as repo:
            return {Path(entry["path"]).name for entry in repo.ls(".", path="data", recursive=True, dvc_only=True)}
    except DvcException:
        # New data may replace old data that is no longer available.
        return set()


def run_init(source: Source, options: InitOptions, *, dry_run: bool, run: bool = True, adopt: bool = True) -> Plan:
    """Read, plan and show; unless it is a dry run, also write the files, search for a model, and run the pipeline.

    Newer data of the same problem changes the contract only where necessary, and starts no search. A run that was
    stopped while it made a project for a new problem goes on with its search, or with the model that this found.
    """
    if not dry_run and not (PARAMS.exists() and Path("dvc.yaml").exists()):
        raise InputError(f"{PARAMS}: no project here; run this in the project folder")
    plan, notes = plan_for(source, options)
    is_to_adopt = adopt and not dry_run and may_adopt(source.location)
    for note in notes:
        say(f"  {note}")
    features = sum(column["kind"] not in ("id", "ignored") for column in plan.contract["columns"].values())
    size = f"{plan.table.num_rows} rows, {features} features"
    say(f"{source.name}: {size}, {plan.contract['task']} target {source.target!r}")
    old = earlier(plan)
    if old is not None:
        text, changes, table = updated(plan, old)
        for change in changes:
            say(f"  changed: {change}")
        if not changes:
            say(f"  {CONTRACT} is unchanged: the new data keeps to it")
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
    say("files written; `git restore .` undoes it")
    if run:
        plan.findings.extend(_run(plan, is_new=old is None))
        plan.findings.extend(_share())
    UNFINISHED.unlink(missing_ok=True)
    if is_to_adopt:
        carry_out(adoption())
    _show(plan.findings)
    return plan


def _run(plan: Plan, *, is_new: bool) -> list[Finding]:
    """Run the pipeline; for a new problem, first search for a model, and then set gate limits from its results."""
    from assay.project.dvc import changed, finish, reproduce, results_kept, tune

    if not is_new:
        reproduce()
        return []
    left = read_json(UNFINISHED)
    if left["has_model"]:
        say("goes on with the model that the stopped run found")
        # What was stopped may have removed results, which the fit beside the stages reads.
        reproduce("train")
    else:
        tune()
        write_json(UNFINISHED, {**left, "has_model": True})
    room = load_room()
    about = load_params(), load_contract(), room
    # Beside the stages, each of which leaves a processor idle.
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(other_fits, *about)
        if not left["has_model"]:
            reproduce("train")
        found = pool.submit(lambda: _found_of_model(made.result(), *about))
        finish("evaluate", beside="analyse")
        numbers, cases = found.result()
    gates = parse_yaml(PARAMS.read_text(encoding="utf-8"))["gates"]
    settings, findings = limits(read_json(METRICS), read_json(ANALYSIS), gates, plan.contract["task"], numbers)
    # No stage reads the cases or the limits.
    with results_kept():
        write_text(PARAMS, params_text(PARAMS.read_text(encoding="utf-8"), settings))
        # Limits that the schema refuses must not be recorded.
        load_params()
        _accept()
        if EXPECTATIONS.exists():
            write_text(EXPECTATIONS, expectations_text(cases))
    if changed():
        say("data, code or parameters were changed meanwhile: their stages run again")
        reproduce()
    return findings


def _share() -> list[Finding]:
    """Put data and models into the remote inside the repository, if that is the default; return why it did not."""
    from assay.project.remote import EMBEDDED, is_embedded, push

    if not is_embedded():
        return []
    try:
        push(load_params().remote.embedded_limit_mb)
    except InputError as error:
        return [Finding(9, "data", f"no clone can fetch it yet: {error}")]
    say(f"data and models are in {EMBEDDED}, for clones of this repository")
    return []


def _accept() -> None:
    """Record in overrides.yaml that the user switched the project to another problem, for this model."""
    made = identity(None, Path())
    entry = {
        "gate": "contract",
        "by": user_name() or getuser(),
        "why": "`assay init` switched the project to other data.",
        "model": str(made["model"])[:12],
        "contract": str(made["contract"])[:12],
    }
    before = OVERRIDES.read_text(encoding="utf-8") if OVERRIDES.exists() else "overrides: []\n"

    def change(content: CommentedMap) -> None:
        content["overrides"] = [entry]

    write_text(OVERRIDES, edit_yaml(before, change))


def _found_of_model(
    others: "list[Pipeline]", params: Params, contract: Contract, room: Room
) -> tuple[GateNumbers, list[Case]]:
    """Return what gates will find of the model that stage train left, and clear cases among its test rows."""
    from assay.modelling.store import load_trained

    trained = load_trained(room)
    cases = _clear_cases(trained.pipeline, contract, room) if EXPECTATIONS.exists() else []
    return gate_numbers(others, trained, params, contract, room), cases


def _clear_cases(pipeline: "Pipeline", contract: Contract, room: Room) -> list[Case]:
    """Return clear cases among the test rows of the present model."""
    from assay.modelling.fitting import scores

    table = read_split("test")
    data = columns(table, contract)
    return clear_cases(data, target(table, contract), scores(pipeline, data, contract, room), contract)


def _show(findings: Sequence[Finding]) -> None:
    text = review_text(sorted(findings, key=lambda finding: -finding.weight))
    if text:
        say("to review, most important first:")
        say(text)
