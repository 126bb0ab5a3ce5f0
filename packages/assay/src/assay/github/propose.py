"""A change that a workflow proposes: other parameters, or new data, as a pull request."""

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from assay.base.config import parse_yaml
from assay.base.errors import InputError, one_line
from assay.base.files import replacing, write_text
from assay.base.git import git
from assay.base.process import run
from assay.contract.spec import load_contract
from assay.github.api import BOT, GitHub
from assay.project.freeze import edit_yaml
from assay.project.params import load_params
from assay.project.remote import push
from assay.project.settings import PARAMS

MOST_BYTES = 2_000_000_000
APPROVE = "GitHub asks a person with write access to approve the workflows of this pull request; the button is below."


def set_params(assignments: str) -> None:
    """Set parameters in params.yaml, such as `model.parameters.C=0.5`, with spaces between several.

    Raises InputError, and leaves the file as it was, if a parameter is unknown or a value is not allowed.
    """
    before = PARAMS.read_text(encoding="utf-8")
    wanted = [_assignment(one) for one in assignments.split()]

    def change(content: Any) -> None:
        for sections, key, value in wanted:
            place = content
            for section in sections:
                place = place.get(section) if isinstance(place, dict) else None
            if not isinstance(place, dict):
                raise InputError(f"{PARAMS}: there is no section {'.'.join(sections)}")
            place[key] = value

    write_text(PARAMS, edit_yaml(before, change))
    try:
        load_params()
    except InputError:
        write_text(PARAMS, before)
        raise


def _assignment(text: str) -> tuple[list[str], str, Any]:
    """Return sections, key and value of an assignment."""
    name, equals, value = text.partition("=")
    *sections, key = name.split(".")
    try:
        if equals and key:
            return sections, key, parse_yaml(value)
    except ValueError:
        pass
    raise InputError(f"{text!r}: not a parameter with a value; write it like model.parameters.C=0.5")


def replace_data(url: str) -> None:
    """Put the file at a URL in place of the data, and push it to the DVC remote; without a URL, `dvc update` it.

    Raises InputError if the file cannot be fetched.
    """
    if url:
        run("dvc", "pull", "--quiet", "data.dvc")
        download(url, load_contract().data)
        run("dvc", "add", "--quiet", "data")
    else:
        run("dvc", "update", "--quiet", "data.dvc")
    push(load_params().remote.embedded_limit_mb, "data.dvc")


def download(url: str, path: Path) -> None:
    """Download a file over HTTPS; a file that breaks off or is too large leaves what was there."""
    if not url.startswith("https://"):
        raise InputError(f"{url!r}: not an address that begins with https://")
    size = 0
    stream = httpx.stream("GET", url, follow_redirects=True, timeout=60)
    try:
        with replacing(path) as part, stream as answer, part.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_bytes():
                size += len(chunk)
                if size > MOST_BYTES:
                    raise InputError(f"{url}: larger than the limit of {MOST_BYTES:,} bytes")
                file.write(chunk)
    except httpx.HTTPError as error:
        raise InputError(f"{url}: {one_line(error)}") from None


@dataclass(frozen=True)
class Proposal:
    """A pull request: its title and text, the branch to merge into, its own branch, and the files that it changes."""

    title: str
    base: str
    branch: str
    body: str = APPROVE
    files: tuple[str, ...] = (".",)


def propose(github: GitHub, proposal: Proposal, token: str) -> str:
    """Commit the changes of this clone, push them, and open a pull request or update the open one; return a message.

    An open one stays as it is if it has the same files already, or commits of somebody else.
    """
    for name in filter(os.path.exists, proposal.files):
        git("add", "--all", "--", name)
    if not git("diff", "--cached", "--name-only"):
        return "nothing changed: there is nothing to propose"
    named = ("-c", f"user.name={BOT}", "-c", f"user.email={BOT}@users.noreply.github.com")
    # The hooks are for people.
    git("-c", "core.hooksPath=/dev/null", *named, "commit", "--quiet", "--message", proposal.title)
    pull = _open_pull(github, proposal.branch)
    lease = []
    if pull:
        known, number = github.get(f"git/commits/{pull['head']['sha']}"), int(pull["number"])
        if known["author"]["name"] != BOT:
            return f"::warning::pull request #{number} has commits of somebody else: it stays as it is"
        if known["tree"]["sha"] == git("rev-parse", "HEAD^{tree}"):
            return f"pull request #{number} has these changes already"
        lease = [f"--force-with-lease=refs/heads/{proposal.branch}:{pull['head']['sha']}"]
    # The token is in the environment, where no list of processes shows it.
    secret = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    header = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/.extraheader",
        "GIT_CONFIG_VALUE_0": f"AUTHORIZATION: basic {secret}",
    }
    push_to = ("push", "--quiet", *(lease or ["--force"]), "origin", f"HEAD:refs/heads/{proposal.branch}")
    run("git", "-c", "core.hooksPath=/dev/null", *push_to, folder=None, name="git push", **header)
    said = {"title": proposal.title, "body": proposal.body}
    if pull:
        github.send("PATCH", f"pulls/{int(pull['number'])}", said)
        return f"pull request #{pull['number']} was updated"
    made = github.send("POST", "pulls", {**said, "head": proposal.branch, "base": proposal.base})
    return f"pull request #{made['number']} was opened"


def _open_pull(github: GitHub, branch: str) -> dict[str, Any] | None:
    owner = github.repository.partition("/")[0]
    pulls = github.pages("pulls", state="open", head=f"{owner}:{branch}")
    return next((one for one in pulls if (one["head"]["repo"] or {}).get("full_name") == github.repository), None)
