"""Commands that the workflows run on GitHub."""

import os
from pathlib import Path

import click


@click.group()
def github() -> None:
    """Steps of the GitHub workflows."""


ARCHIVE = click.argument("archive", type=click.Path(path_type=Path))


REFRESHED = click.option("--refreshed", default="", help="The later commit that refreshed its dvc.lock.")


@github.command("fetch")
@ARCHIVE
@REFRESHED
def github_fetch(archive: Path, refreshed: str) -> None:
    """Find the pull request of the completed run, and download its data to ARCHIVE."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import fetch, write_outputs

    write_outputs(fetch(GitHub.here(), current_run(), archive, refreshed))


@github.command("lock")
@ARCHIVE
def github_lock(archive: Path) -> None:
    """Commit the dvc.lock of a run to its branch."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import commit_lock, write_outputs

    write_outputs({"commit": commit_lock(GitHub.here(), current_run(), archive) or ""})


@github.command("post")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--pr", type=int, required=True, help="The number of the pull request.")
def github_post(file: Path, pr: int) -> None:
    """Post FILE as the comment on a pull request, or write it to the job summary if posting is denied."""
    from assay.github.api import GitHub
    from assay.github.steps import post

    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    print(post(GitHub.here(), pr, file.read_text(encoding="utf-8"), Path(summary) if summary else None))


@github.command("change")
@click.option("--base", envvar="BASE", help="The commit to compare with; by default the merge base with main.")
def github_change(base: str | None) -> None:
    """Report whether a change touches only pages, which need neither lint nor tests."""
    from assay.contract.spec import load_contract
    from assay.gates.scope import is_page
    from assay.github.steps import write_outputs
    from assay.project.change import resolve

    files = resolve(base, load_contract()).files
    write_outputs({"pages": str(bool(files) and all(map(is_page, files))).lower()})


@github.command("version")
def github_version() -> None:
    """Output the version to release this commit as, and its image."""
    from assay.github.steps import write_outputs
    from assay.release.version import image, version

    found = version()
    repository = os.environ.get("GITHUB_REPOSITORY", "")
    write_outputs({"version": found or "", "image": image(repository, found) if found else ""})


@github.command("push")
@click.argument("image")
def github_push(image: str) -> None:
    """Push IMAGE, and output its digest."""
    from assay.github.steps import write_outputs
    from assay.release.version import push

    write_outputs({"name": image.rpartition(":")[0], "digest": push(image)})


@github.command("verify")
@click.argument("version")
def github_verify(version: str) -> None:
    """Output the image of the released VERSION, by digest."""
    from assay.github.steps import write_outputs
    from assay.release.version import verified

    write_outputs({"image": verified(os.environ.get("GITHUB_REPOSITORY", ""), version)})


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
def github_status(archive: Path, refreshed: str) -> None:
    """Set the commit status `assay`."""
    from assay.github.api import GitHub
    from assay.github.event import current_run
    from assay.github.steps import set_status

    print(set_status(GitHub.here(), current_run(), archive, refreshed))


COMMANDS = (github,)
