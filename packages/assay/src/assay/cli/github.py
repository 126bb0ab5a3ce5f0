"""Commands that the workflows run on GitHub."""

import os
from pathlib import Path

import click

from assay.base.errors import InputError


@click.group()
def github() -> None:
    """Steps of the GitHub workflows."""


ARCHIVE = click.argument("archive", type=click.Path(path_type=Path))


REFRESHED = click.option("--refreshed", default="", help="The later commit that refreshed its dvc.lock.")


CHECKS = click.option("--checks", default="", help="What became of the checks of that commit, as `lock` outputs it.")


@github.command("fetch")
@ARCHIVE
@REFRESHED
def github_fetch(archive: Path, refreshed: str) -> None:
    """Find the pull requests of the completed run, and download its data to ARCHIVE."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import fetch, write_outputs

    write_outputs(fetch(GitHub.here(), current_run(), archive, refreshed))


@github.command("unfinished")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The file to write.")
def github_unfinished(out: Path) -> None:
    """Write the comment on a run that did not come to its end, and left no report."""
    from assay.base.files import write_text
    from assay.github.comment import failure_comment
    from assay.github.event import current_run

    run = current_run()
    if run.unfinished is None:
        raise InputError(f"the run ended with {run.conclusion}: it has a report, or says why not")
    write_text(out, failure_comment(run.unfinished[1], run.url))


@github.command("lock")
@ARCHIVE
def github_lock(archive: Path) -> None:
    """Download the data of the completed run to ARCHIVE, and commit its dvc.lock to its branch."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.lock import commit_lock
    from assay.github.steps import write_outputs

    write_outputs(commit_lock(GitHub.here(), current_run(), archive))


@github.command("tidy")
def github_tidy() -> None:
    """Delete the runs that wait for approval of a commit that `lock` made."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.lock import forget_waiting_runs

    forget_waiting_runs(GitHub.here(), current_run())


@github.command("post")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("numbers", nargs=-1, type=int)
def github_post(file: Path, numbers: tuple[int, ...]) -> None:
    """Post FILE as the comment on pull requests, or write it to the job summary if posting is denied."""
    from assay.github.api import GitHub
    from assay.github.steps import post

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    print(post(GitHub.here(), numbers, file.read_text(encoding="utf-8"), Path(summary) if summary else None))


@github.command("change")
@click.option("--base", envvar="BASE", help="The commit to compare with; by default the merge base with main.")
@click.option("--default-branch", envvar="DEFAULT_BRANCH", help="The branch that the workflows have to run on.")
def github_change(base: str | None, default_branch: str | None) -> None:
    """Report whether a change touches only pages, which need neither lint nor tests."""
    from assay.contract.spec import load_contract
    from assay.gates.scope import is_page
    from assay.github.steps import require_runs_on, write_outputs
    from assay.project.change import resolve

    if default_branch:
        require_runs_on(default_branch, Path(".github/workflows"))
    files = resolve(base, load_contract()).files
    write_outputs({"pages": str(bool(files) and all(map(is_page, files))).lower()})


@github.command("version")
@ARCHIVE
def github_version(archive: Path) -> None:
    """Output the version to release the commit of the completed run as, and its image; its data goes to ARCHIVE."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import is_to_release, write_outputs
    from assay.release.version import image, is_tagged, version

    newest = os.environ.get("GITHUB_SHA", "")
    found = version() if is_to_release(GitHub.here(), current_run(), archive, newest) else None
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    outputs = {"version": found or "", "tagged": "", "image": ""}
    if found:
        outputs |= {"tagged": str(is_tagged(found)).lower(), "image": image(repository, found)}
    write_outputs(outputs)


@github.command("notes")
@click.argument("out", type=click.Path(path_type=Path))
def github_notes(out: Path) -> None:
    """Write the notes of a release to OUT: the model card, and known vulnerabilities of the packages in the image."""
    from assay.base.files import write_text
    from assay.project.layout import MODELS
    from assay.release.audit import audit, notes
    from assay.release.image import REQUIREMENTS

    lines = audit(REQUIREMENTS)
    print("\n".join(f"::warning::{line}" if number else line for number, line in enumerate(lines)))
    write_text(out, notes((MODELS / "card.md").read_text(encoding="utf-8"), lines))


@github.command("push")
@click.argument("image")
@click.option("--record", type=click.Path(path_type=Path), required=True, help="The file to write its digest to.")
def github_push(image: str, record: Path) -> None:
    """Push IMAGE if the registry does not have it, and output its digest."""
    from assay.base.files import write_text
    from assay.github.steps import write_outputs
    from assay.release.version import push

    name, digest = image.rpartition(":")[0], push(image)
    write_text(record, f"{name}@{digest}\n")
    write_outputs({"name": name, "digest": digest})


@github.command("verify")
@click.argument("version")
@click.option("--branch", envvar="BRANCH", default="main", help="The branch that releases come from.")
@click.option(
    "--recorded", envvar="RECORDED", is_flag=True, help="Trust the digest in the release, which is not signed."
)
def github_verify(version: str, branch: str, recorded: bool) -> None:
    """Output the image of the released VERSION, by digest."""
    from assay.github.steps import write_outputs
    from assay.release import version as releases

    repository = os.environ.get("GITHUB_REPOSITORY", "")
    found = releases.recorded(repository, version) if recorded else releases.verified(repository, version, branch)
    write_outputs({"image": found})


@github.command("params")
@click.argument("assignments")
def github_params(assignments: str) -> None:
    """Set parameters in params.yaml, such as `model.parameters.C=0.5`, with spaces between several."""
    from assay.github.propose import set_params

    set_params(assignments)


@github.command("data")
@click.argument("url", default="")
def github_data(url: str) -> None:
    """Put the file at URL in place of the data; without URL, bring data of `dvc import` up to date."""
    from assay.github.propose import replace_data

    replace_data(url)


@github.command("propose")
@click.argument("title")
@click.option("--branch", envvar="BRANCH", default="main", help="The branch to merge into.")
def github_propose(title: str, branch: str) -> None:
    """Open a pull request with the changes of this clone."""
    from assay.github.api import GitHub
    from assay.github.propose import Proposal, propose

    number, token = (os.environ.get(name, "") for name in ("GITHUB_RUN_ID", "GITHUB_TOKEN"))
    print(propose(GitHub.here(), Proposal(title, branch, f"assay/proposed-{number}"), token))


@github.command("monitor")
def github_monitor() -> None:
    """Run the monitor on the log in monitoring/; output the verdict, and whether to retrain.

    A result in reports/monitor.json, which the monitor wrote where the log is, is taken as it is. Without the log there
    is nothing to retrain with, and no training helps against requests that fail, are slow or are refused.
    """
    from assay.github.production import calls_for_training, look
    from assay.github.steps import write_outputs
    from assay.project.layout import LOG

    result = look()
    retrain = calls_for_training(result) and LOG.is_dir()
    write_outputs({"verdict": result["verdict"], "retrain": str(retrain).lower()})


@github.command("tell")
def github_tell() -> None:
    """Open, update or close the issue by the result in reports/monitor.json."""
    from assay.github.api import GitHub
    from assay.github.production import look, tell

    print(tell(GitHub.here(), look()))


@github.command("retrain")
def github_retrain() -> None:
    """Collect the outcomes that are due from the log in monitoring/, train, and write reports/retrained.patch."""
    from assay.github.production import retrain

    print(retrain())


@github.command("propose-retrained")
@click.option("--branch", envvar="BRANCH", default="main", help="The branch to merge into.")
def github_propose_retrained(branch: str) -> None:
    """Open or update the one pull request with reports/retrained.patch, with the evidence of the open issue."""
    from assay.github.api import GitHub
    from assay.github.production import BRANCH, FILES, apply, evidence
    from assay.github.propose import Proposal, propose

    here, token = GitHub.here(), os.environ.get("GITHUB_TOKEN", "")
    apply()
    print(propose(here, Proposal("Retrain with what came true", branch, BRANCH, evidence(here), FILES), token))


@github.command("alarm")
@click.argument("title")
@click.option("--run", "url", required=True, help="The URL of the failed run.")
def github_alarm(title: str, url: str) -> None:
    """Open an issue with this TITLE, or comment on the open one."""
    from assay.github.api import GitHub
    from assay.github.steps import raise_alarm

    print(raise_alarm(GitHub.here(), title, f"The run failed: {url}"))


@github.command("status")
@ARCHIVE
@REFRESHED
@CHECKS
def github_status(archive: Path, refreshed: str, checks: str) -> None:
    """Download the data of the completed run to ARCHIVE, and set the commit status `assay`."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import set_status

    print(set_status(GitHub.here(), current_run(), archive, refreshed, checks))


COMMANDS = (github,)
