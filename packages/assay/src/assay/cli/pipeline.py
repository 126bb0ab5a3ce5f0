"""The pipeline: run it, show its results, search for a model."""

import json
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from assay.base.errors import InputError
from assay.project.layout import STAGES


@click.command()
@click.argument("name", type=click.Choice(STAGES), metavar="STAGE")
def stage(name: str) -> None:
    """Run a single stage of dvc.yaml."""
    from assay.project.times import record_duration

    with record_duration(name):
        import_module(f"assay.stages.{name}").main()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def repro(as_json: bool) -> None:
    """Update the model: fetch missing data, run the stages that changed, show the results."""
    from assay.base.progress import stdout_for_results
    from assay.project.dvc import reproduce

    with stdout_for_results() if as_json else nullcontext():
        ran = reproduce()
    _show(as_json)
    if ran:
        from assay.project.tracking import track_if_asked

        track_if_asked()


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def show(as_json: bool) -> None:
    """Show the results of the last run."""
    _show(as_json)


def _show(as_json: bool) -> None:
    from assay.base.files import read_json
    from assay.project.layout import CHECKS, METRICS, MODELS
    from assay.project.results import summary

    about = MODELS / "model.json"
    for path in (METRICS, CHECKS, about):
        if not path.exists():
            raise InputError(f"{path}: no results yet; run `make repro`")
    results = {"metrics": read_json(METRICS), "checks": read_json(CHECKS), "model": read_json(about)}
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        print(summary(results["metrics"], results["checks"], results["model"]))


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the violations as JSON.")
def check(file: Path | None, as_json: bool) -> int:
    """List all contract violations in FILE, by default in the project's data; exit status 2 if there are any."""
    from dataclasses import asdict

    from assay.contract.spec import load_contract
    from assay.data.check import check as violations_of
    from assay.data.reading import opened

    contract = load_contract()
    path = file or contract.data
    with opened(path, contract) as (rows, unread):
        violations = [*unread, *violations_of(rows, contract)]
    if as_json:
        print(json.dumps([asdict(found) for found in violations], indent=2))
    elif violations:
        print("\n".join(str(found) for found in violations))
    else:
        print(f"{path}: all {rows.num_rows} rows satisfy the contract")
    return 2 if violations else 0


@click.command("init")
@click.argument("source", metavar="FILE")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="The kind of prediction.")
@click.option("--table", help="The table of a database, the sheet of a workbook or the file of an archive.")
@click.option("--encoding", help="The text encoding, if it is not detected correctly.")
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Keep this column as a feature although it seems to leak the target.",
)
@click.option("--yes", is_flag=True, help="Do not ask; choose the safe answers.")
@click.option("--dry-run", is_flag=True, help="Show the result, write nothing.")
@click.option("--no-run", is_flag=True, help="Write the files, but do not run the pipeline.")
@click.option("--no-adopt", is_flag=True, help="Keep the source of Assay in the repository.")
def init(source: str, target: str, **options: Any) -> None:
    """Set up the project for your data: FILE is a file, a folder of Parquet parts, a URL or a database URL."""
    from assay.init.command import InitOptions, run_init
    from assay.init.files import Source

    wanted = InitOptions(options["task"], options["keep"], options["yes"])
    run_init(
        Source(source, target, options["table"], options["encoding"]),
        wanted,
        dry_run=options["dry_run"],
        run=not options["no_run"],
        adopt=not options["no_adopt"],
    )


@click.command()
def track() -> None:
    """Log the last run to MLflow; `assay repro` does this itself if MLFLOW_TRACKING_URI is set."""
    from assay.project.dvc import changed
    from assay.project.tracking import track as log

    if changed():
        raise InputError("the results do not match the code, data and parameters; run `dvc repro` first")
    log()


@click.command()
def tune() -> None:
    """Search for a better model and write it into params.yaml."""
    from assay.project.dvc import tune as search

    choice = search()
    print(f"params.yaml: model is now {choice.words}")


@click.command()
@click.option("--family", help="Take the best model of this family that the last search found.")
def freeze(family: str | None) -> None:
    """Write the model of the last search into params.yaml and switch the search off."""
    from assay.project.freeze import last_trials, write_choice
    from assay.project.layout import CHOICE, read_choice
    from assay.project.settings import PARAMS
    from assay.project.trials import best_of

    if not family and not CHOICE.exists():
        raise InputError(f"{CHOICE}: no model was chosen yet; run `assay tune` first")
    choice = best_of(family, last_trials()) if family else read_choice()
    write_choice(choice)
    print(f"{PARAMS}: model is now {choice.words}")


COMMANDS = (
    stage,
    repro,
    show,
    check,
    init,
    track,
    tune,
    freeze,
)
