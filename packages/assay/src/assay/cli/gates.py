"""The verdict on a change: load test, gates, report."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assay.base.errors import InputError

if TYPE_CHECKING:
    from assay.project.change import Change

STATUS = {"PROMOTE": 0, "REJECT": 1, "HOLD": 3}


def _change(base: str | None) -> "Change":
    """Resolve the change to judge, once per command."""
    from assay.contract.spec import load_contract
    from assay.project.change import resolve

    return resolve(base, load_contract())


BASE = click.option(
    "--base", envvar="BASE", help="The commit to compare with; by default the merge base with the main branch."
)


@click.command()
@BASE
@click.option("--json", "as_json", is_flag=True, help="Print the verdict as JSON.")
def gate(base: str | None, as_json: bool) -> int:
    """Judge the model against the champion; exit status 0 PROMOTE, 1 REJECT, 3 HOLD."""
    from assay.base.files import write_json
    from assay.gates.verdict import judge
    from assay.project.layout import VERDICT

    judgement = judge(_change(base))
    write_json(VERDICT, judgement.verdict)
    print(json.dumps(judgement.verdict, indent=2) if as_json else judgement.verdict["verdict"])
    return STATUS[judgement.verdict["verdict"]]


@click.command()
@BASE
@click.option("--json", "as_json", is_flag=True, help="Print the report's data as JSON.")
def report(base: str | None, as_json: bool) -> None:
    """Write the report of the last verdict: reports/report.json, .md and .html."""
    from assay.cli.pull_request import report as write

    _print_report(write(_change(base)), as_json=as_json)


@click.command("pr")
@BASE
@click.option(
    "--since-release",
    envvar="SINCE_RELEASE",
    is_flag=True,
    help="Compare with the last release, if there is one.",
)
@click.option(
    "--exit-zero",
    envvar="EXIT_ZERO",
    is_flag=True,
    help="Exit with 0 whatever the verdict; a run that fails is an error.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the report's data as JSON.")
def pull_request(base: str | None, since_release: bool, exit_zero: bool, as_json: bool) -> int:
    """Run all steps of a pull request: pipeline, load test, gates, report; exit status as for `assay gate`."""
    from assay.base.progress import stdout_for_results
    from assay.cli.pull_request import run
    from assay.project.history import last_release

    with stdout_for_results() if as_json else nullcontext():
        found = run(_change((last_release() if since_release else None) or base))
    _print_report(found, as_json=as_json)
    return 0 if exit_zero else STATUS[found["verdict"]["verdict"]]


@click.command()
@BASE
@click.option("--long", is_flag=True, help="Load for ten minutes, to check whether memory and latency stay flat.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
def loadtest(base: str | None, long: bool, as_json: bool) -> int:
    """Load-test the built service against the champion's; exit status as for `assay gate`."""
    from assay.load.run import run

    outcome = run(_change(base), long=long)
    print(json.dumps(outcome.as_dict(), indent=2) if as_json else f"{outcome.verdict}: {outcome.reason}")
    return STATUS[outcome.verdict]


@click.command()
@click.argument("artifact", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=Path("comment.md"), help="The file to write.")
@click.option("--commit", help="The commit that was run.")
@click.option("--refreshed", help="The later commit that refreshed its dvc.lock.")
@click.option("--checks", default="", help="What became of the checks of that commit.")
@click.option("--run", "url", help="The URL of the run.")
def comment(
    artifact: Path,
    out: Path,
    commit: str | None,
    refreshed: str | None,
    checks: str,
    url: str | None,
) -> None:
    """Write the comment on a pull request from the data ARTIFACT of an untrusted run."""
    from assay.base.files import write_text
    from assay.github.artifact import contents, refusing, report_of
    from assay.github.comment import UNCHECKED, failure_comment, rederive_verdict
    from assay.github.comment import comment as write
    from assay.github.lock import FAILED
    from assay.project.room import load_room

    try:
        with refusing():
            found = rederive_verdict(report_of(contents(artifact)), commit, refreshed)
    except InputError as error:
        write_text(out, failure_comment(str(error), url))
        raise
    write_text(out, write(found, load_room().template, url, UNCHECKED if checks == FAILED else ""))
    print(f"{found['verdict']['verdict']}: {out}")


def _print_report(found: dict[str, Any], *, as_json: bool) -> None:
    from assay.report.terminal import terminal

    print(json.dumps(found, indent=2) if as_json else terminal(found))


COMMANDS = (
    gate,
    report,
    pull_request,
    loadtest,
    comment,
)
