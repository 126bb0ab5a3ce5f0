"""The open pull requests that a run is about, as GitHub knows them."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from assay.github.api import GitHub
from assay.github.event import Run


@dataclass(frozen=True)
class Pull:
    """An open pull request: its number, its base branch, and its head commit."""

    number: int
    base: str
    head: str


def open_pulls(github: GitHub, run: Run) -> list[Pull]:
    """Return the open pull requests from the branch of a run, those for the main branch first.

    GitHub provides the numbers: a number in untrusted data could point to any pull request.
    """
    found = [
        Pull(int(one["number"]), str(one["base"]["ref"]), str(one["head"]["sha"]))
        for one in github.pages("pulls", state="open", head=f"{run.owner}:{run.branch}")
        if (one["head"]["repo"] or {}).get("full_name") == run.source
    ]
    return sorted(found, key=lambda one: (one.base != run.main, one.number))


def with_head(pulls: Iterable[Pull], *heads: str) -> list[Pull]:
    """Return the pull requests whose newest commit is one of these."""
    return [one for one in pulls if one.head in filter(None, heads)]


def judged_for(github: GitHub, run: Run, pulls: Iterable[Pull], base: str | None) -> list[Pull]:
    """Return the pull requests that a comparison with the commit `base` judges.

    A commit may be the head of several pull requests, and the base of each can be changed at any time: only a
    comparison with the merge base of commit and base is a judgement of the pull request.
    """
    return [one for one in pulls if base is not None and merge_base(github, one.base, run.commit) == base]


def merge_base(github: GitHub, branch: str, commit: str) -> str:
    """Return the merge base of a branch of this repository and a commit."""
    found = github.get(f"compare/{quote(branch, safe='')}...{commit}", per_page=1)
    return str(found["merge_base_commit"]["sha"])
