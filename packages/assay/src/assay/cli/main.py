"""The `assay` command."""

import json
import os
import signal
import sys
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from assay.base.errors import InputError
from assay.project.layout import STAGES

# Threads of scikit-learn that wait by spinning starve each other on busy processors: a fit of half a second has taken
# fifteen. This is read when the library that starts them is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# ONNX Runtime and BentoML would tell their makers that they run.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")

STATUS = {"PROMOTE": 0, "REJECT": 1, "HOLD": 3}


@click.group()
def app() -> None:
    """Machine learning with real CI/CD."""


@app.command()
@click.argument("name", type=click.Choice(STAGES), metavar="STAGE")
def stage(name: str) -> None:
    """Run one stage of dvc.yaml by itself."""
    from assay.project.times import timed

    with timed(name):
        import_module(f"assay.stages.{name}").main()


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results for programs.")
def repro(as_json: bool) -> None:
    """Bring the model up to date: fetch the data if it is not here, run the stages that changed, show the results."""
    from assay.base.progress import stdout_for_results
    from assay.project.dvc import reproduce

    with stdout_for_results() if as_json else nullcontext():
        ran = reproduce()
    _show(as_json)
    if ran:
        from assay.project.tracking import track_if_asked

        track_if_asked()


@app.command()
@click.option("--json", "as_json", is_flag=True, help="Print the results for programs.")
def show(as_json: bool) -> None:
    """Show the results of the last run."""
    _show(as_json)


BASE = click.option(
    "--base", envvar="BASE", help="The commit to compare with; by default the one where this one left the main branch."
)


@app.command()
@BASE
@click.option("--json", "as_json", is_flag=True, help="Print the verdict for programs.")
def gate(base: str | None, as_json: bool) -> int:
    """Judge the model beside the one it started from: exit status 0 PROMOTE, 1 REJECT, 3 HOLD."""
    from assay.base.files import write_json
    from assay.gates.verdict import judge
    from assay.project.layout import VERDICT

    judgement = judge(base)
    write_json(VERDICT, judgement.verdict)
    print(json.dumps(judgement.verdict, indent=2) if as_json else judgement.verdict["verdict"])
    return STATUS[judgement.verdict["verdict"]]


@app.command()
@BASE
@click.option("--json", "as_json", is_flag=True, help="Print the data of the report for programs.")
def report(base: str | None, as_json: bool) -> None:
    """Write the report of the last verdict: reports/report.json, .md and .html."""
    from assay.cli.pull_request import report as write

    _print_report(write(base), as_json=as_json)


@app.command("pr")
@BASE
@click.option(
    "--since-release",
    envvar="SINCE_RELEASE",
    is_flag=True,
    help="Compare with what was released last, where anything was.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the data of the report for programs.")
def pull_request(base: str | None, since_release: bool, as_json: bool) -> int:
    """Run all that a pull request runs: pipeline, gates, report; exit status as of `assay gate`."""
    from assay.base.progress import stdout_for_results
    from assay.cli.pull_request import run
    from assay.project.history import last_release

    with stdout_for_results() if as_json else nullcontext():
        found = run((last_release() if since_release else None) or base)
    _print_report(found, as_json=as_json)
    return STATUS[found["verdict"]["verdict"]]


@app.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("comment.md"), help="Where to write it.")
@click.option("--commit", help="The commit that the run was of.")
@click.option("--refreshed", help="The commit that brought its dvc.lock since.")
@click.option("--run", "url", help="Where the run can be seen.")
def comment(artifact: Path, out: Path, commit: str | None, refreshed: str | None, url: str | None) -> None:
    """Write the comment on a pull request from the data ARTIFACT of a run that is not trusted."""
    from assay.base.files import write_text
    from assay.github.artifact import contents, refusing, report_of
    from assay.github.comment import comment as write
    from assay.github.comment import judged_anew, stopped
    from assay.project.room import load_room

    try:
        with refusing():
            found = judged_anew(report_of(contents(artifact)), commit, refreshed)
    except InputError as error:
        write_text(out, stopped(str(error), url))
        raise
    write_text(out, write(found, load_room().template, url))
    print(f"{found['verdict']['verdict']}: {out}")


@app.command()
@click.argument("url")
@click.option("--seconds", default=120.0, show_default=True, help="How long to wait until it is ready.")
def smoke(url: str, seconds: float) -> None:
    """Ask the service at URL the examples of the model here: does it answer as the model does?"""
    from assay.release.smoke import smoke as ask

    print(ask(url, seconds))


@app.command()
@click.argument("image")
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--listen",
    envvar="DEPLOY_LISTEN",
    default="127.0.0.1:3000",
    show_default=True,
    help="The address that clients ask at.",
)
@click.option("--backend", type=click.Choice(["docker", "podman"]), default="docker", show_default=True)
@click.option("--seconds", default=120.0, show_default=True, help="How long to wait until it is ready.")
@click.option("--nginx", help="The image of the proxy in front; by default nginx's own.")
def deploy(image: str, options: tuple[str, ...], listen: str, backend: str, seconds: float, nginx: str | None) -> None:
    """Let IMAGE answer the clients of this machine, or of that in DOCKER_HOST, once it was seen to answer well.

    The two ports after that of --listen are taken too. OPTIONS after `--` are handed to `docker run` for the service.
    """
    from assay.release.machine import NGINX, Machine
    from assay.release.machine import deploy as switch_to

    print(switch_to(image, Machine(backend, listen, nginx or NGINX, seconds, options)))


@app.group()
def github() -> None:
    """What the workflows do on GitHub with the data of a run."""


ARCHIVE = click.argument("archive", type=click.Path(path_type=Path))
REFRESHED = click.option("--refreshed", default="", help="The commit that brought its dvc.lock since.")


@github.command("fetch")
@ARCHIVE
@REFRESHED
def github_fetch(archive: Path, refreshed: str) -> None:
    """Find the pull request of the run that has ended, and fetch its data into ARCHIVE."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import fetch, write_outputs

    write_outputs(fetch(GitHub.here(), current_run(), archive, refreshed))


@github.command("lock")
@ARCHIVE
def github_lock(archive: Path) -> None:
    """Commit the dvc.lock of a run to its own branch."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import bring_lock, write_outputs

    write_outputs({"commit": bring_lock(GitHub.here(), current_run(), archive) or ""})


@github.command("post")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--pr", type=int, required=True, help="The number of the pull request.")
def github_post(file: Path, pr: int) -> None:
    """Write FILE as the comment on a pull request, or into the summary of the job."""
    from assay.github.api import GitHub
    from assay.github.steps import post

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    print(post(GitHub.here(), pr, file.read_text(encoding="utf-8"), Path(summary) if summary else None))


@github.command("version")
def github_version() -> None:
    """Name the version that this commit is released as, and its image."""
    from assay.github.steps import write_outputs
    from assay.release.version import image, version

    found = version()
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    write_outputs({"version": found or "", "image": image(repository, found) if found else ""})


@github.command("push")
@click.argument("image")
def github_push(image: str) -> None:
    """Push an IMAGE, and tell its digest."""
    from assay.github.steps import write_outputs
    from assay.release.version import push

    write_outputs({"name": image.rpartition(":")[0], "digest": push(image)})


@github.command("verify")
@click.argument("version")
def github_verify(version: str) -> None:
    """Tell the image of a VERSION that was released here, by its digest."""
    from assay.github.steps import write_outputs
    from assay.release.version import verified

    write_outputs({"image": verified(os.environ.get("GITHUB_REPOSITORY", ""), version)})


@github.command("alarm")
@click.argument("title")
@click.option("--run", "url", required=True, help="Where the run that failed can be seen.")
def github_alarm(title: str, url: str) -> None:
    """Open an issue of this TITLE, or say it again in the one that is open."""
    from assay.github.api import GitHub
    from assay.github.steps import raise_alarm

    print(raise_alarm(GitHub.here(), title, f"It failed: {url}"))


@github.command("status")
@ARCHIVE
@REFRESHED
def github_status(archive: Path, refreshed: str) -> None:
    """Set the commit status that main asks for."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import set_status

    print(set_status(GitHub.here(), current_run(), archive, refreshed))


@app.command()
@BASE
@click.option("--long", is_flag=True, help="Ten minutes of load, to see whether memory and latency stay flat.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome for programs.")
def loadtest(base: str | None, long: bool, as_json: bool) -> int:
    """Load the built service beside the champion's: reports/loadtest.json and .html; exit status as of `assay gate`."""
    from assay.load.run import run

    outcome = run(base, long=long)
    print(json.dumps(outcome.as_dict(), indent=2) if as_json else f"{outcome.verdict}: {outcome.reason}")
    return STATUS[outcome.verdict]


@app.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the violations for programs.")
def check(file: Path | None, as_json: bool) -> int:
    """List every violation of the contract in FILE, by default its own data; exit status 2 if there is one."""
    from dataclasses import asdict

    from assay.contract.spec import load_contract
    from assay.data.check import check as violations_of
    from assay.data.reading import read_table

    contract = load_contract()
    path = file or contract.data
    table, violations = read_table(path, contract)
    violations = violations + violations_of(table, contract)
    if as_json:
        print(json.dumps([asdict(found) for found in violations], indent=2))
    elif violations:
        print("\n".join(str(found) for found in violations))
    else:
        print(f"{path}: {table.num_rows} rows keep to the contract")
    return 2 if violations else 0


@app.command("init")
@click.argument("source", metavar="FILE")
@click.option("--target", required=True, help="The column to predict.")
@click.option("--task", type=click.Choice(["binary", "multiclass", "regression"]), help="What kind of prediction.")
@click.option("--table", help="The table of a database, the sheet of a workbook or the file of an archive.")
@click.option("--encoding", help="The encoding of a text, where it is not found out rightly.")
@click.option("--keep", multiple=True, metavar="COLUMN", help="Stays a feature, though it seems to leak the target.")
@click.option("--yes", is_flag=True, help="Ask nothing, and take the safe side.")
@click.option("--dry-run", is_flag=True, help="Show all, write nothing.")
@click.option("--no-run", is_flag=True, help="Write the files and run nothing.")
def init(source: str, target: str, **options: Any) -> None:
    """Bring your own data: FILE may be a file, a folder of Parquet parts, an address or the URL of a database."""
    from assay.init.command import Wishes, run_init
    from assay.init.files import Asked

    asked = Asked(source, target, options["table"], options["encoding"])
    wishes = Wishes(options["task"], options["keep"], options["yes"])
    run_init(asked, wishes, dry_run=options["dry_run"], run=not options["no_run"])


@app.command()
def track() -> None:
    """Log the last run to MLflow, as `assay repro` does by itself when MLFLOW_TRACKING_URI is set."""
    from assay.project.dvc import changed
    from assay.project.tracking import track as log

    if changed():
        raise InputError("the results here are not those of this code, data and parameters; run `dvc repro` first")
    log()


@app.command()
def tune() -> None:
    """Search for a better model, and write what was found into params.yaml."""
    from assay.project.dvc import tune as search

    choice = search()
    print(f"params.yaml: model is now {choice.family} {choice.parameters}")


@app.command()
def freeze() -> None:
    """Write the model that the last search found into params.yaml, and switch the search off."""
    from assay.project.freeze import adopt
    from assay.project.layout import CHOICE, read_choice
    from assay.project.settings import PARAMS

    if not CHOICE.exists():
        raise InputError(f"{CHOICE}: nothing was chosen yet; run `assay tune` first")
    choice = read_choice()
    adopt(choice, PARAMS.read_text(encoding="utf-8"))
    print(f"{PARAMS}: model is now {choice.family} {choice.parameters}")


@app.group()
def remote() -> None:
    """Where DVC keeps data and models."""


@remote.command("push")
def remote_push() -> None:
    """Push data and models to the default remote, if the embedded one has room."""
    from assay.project.params import load_params
    from assay.project.remote import push

    push(load_params().remote.embedded_limit_mb)


@remote.command("check")
def remote_check() -> None:
    """Fail when the embedded remote is larger than params.yaml allows."""
    from assay.project.params import load_params
    from assay.project.remote import EMBEDDED, require_room, size_mb

    limit = load_params().remote.embedded_limit_mb
    require_room(limit)
    print(f"{EMBEDDED}: {size_mb():.1f} MB of {limit:g} MB")


@remote.command("use")
@click.argument("url")
def remote_use(url: str) -> None:
    """Make URL (s3://, gs://, azure://, ssh:// or a folder) the default remote."""
    from assay.project.remote import use

    print(use(url))


def _print_report(found: dict[str, Any], *, as_json: bool) -> None:
    from assay.report.terminal import terminal

    print(json.dumps(found, indent=2) if as_json else terminal(found))


def _show(as_json: bool) -> None:
    from assay.base.files import read_json
    from assay.project.layout import CHECKS, METRICS, MODELS
    from assay.project.results import summary

    about = MODELS / "model.json"
    for path in (METRICS, CHECKS, about):
        if not path.exists():
            raise InputError(f"{path}: there are no results yet; run `make repro`")
    results = {"metrics": read_json(METRICS), "checks": read_json(CHECKS), "model": read_json(about)}
    if as_json:
        print(json.dumps(results, indent=2))
    else:
        print(summary(results["metrics"], results["checks"], results["model"]))


def main() -> None:
    """Run the command line; what the user got wrong is one line on stderr and exit status 2."""
    try:
        # Not through click's own main: it would end a broken pipe with status 1, which is REJECT here.
        with app.make_context("assay", sys.argv[1:]) as context:
            status = app.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        status = ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = 2
    except click.ClickException as error:
        _fail(error.format_message())
    except InputError as error:
        _fail(str(error))
    except BrokenPipeError:
        # Whoever read the output has seen enough; the status is that of any command that is ended so.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("assay: interrupted", file=sys.stderr)
        status = 128 + signal.SIGINT
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    print(f"assay: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
