"""What the workflows do on GitHub."""

import os
from pathlib import Path

import click


@click.group()
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


@github.command("change")
@click.option("--base", envvar="BASE", help="The commit to compare with; by default where this one left main.")
def github_change(base: str | None) -> None:
    """Say whether the commit changes nothing but pages, which need neither lint nor tests."""
    from assay.contract.spec import load_contract
    from assay.gates.scope import is_page
    from assay.github.steps import write_outputs
    from assay.project.change import resolve

    files = resolve(base, load_contract()).files
    write_outputs({"pages": str(bool(files) and all(map(is_page, files))).lower()})


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


COMMANDS = (github,)
