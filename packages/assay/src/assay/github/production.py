"""What production says, on GitHub: one issue while there is an alarm, and one pull request to retrain."""

import os
from pathlib import Path
from typing import Any

from assay.base.errors import InputError, one_line
from assay.base.files import read_json
from assay.base.git import git
from assay.base.progress import say
from assay.github.api import GitHub
from assay.github.event import may_be_public
from assay.github.propose import APPROVE
from assay.github.steps import open_issue
from assay.production.collect import REPORT, told
from assay.production.finding import SEVERITY
from assay.production.home import bring_home
from assay.production.page import markdown
from assay.production.run import RESULT, watch
from assay.project.champion import restore
from assay.project.dvc import reproduce
from assay.project.history import head, last_release
from assay.project.layout import LOG, MODELS
from assay.project.params import load_params
from assay.project.remote import is_embedded, push
from assay.report.text import escape

TITLE = "The model in production raises an alarm"
UPDATED = "Each run of `monitor` updates this issue, and closes it when all is well."
BRANCH = "assay/retrain"
# The checks of the service, and not of the model.
OPERATIONS = {"refused", "failed", "slow"}
# GitHub takes 65,536 characters.
MOST = 60_000
# What retraining changes, and the file with these changes.
FILES = ("data.dvc", ".dvc/embedded", "dvc.lock", "metrics.json", "requirements/process.yaml")
PATCH = Path("reports/retrained.patch")


def look() -> dict[str, Any]:
    """Return what the monitor says: the result that came instead of a log, or that of the last release and the log."""
    if RESULT.exists():
        result = read_json(RESULT)
        if not isinstance(result, dict) or result.get("verdict") not in SEVERITY[1:]:
            raise InputError(f"{RESULT}: not a result of `assay monitor`")
        return result
    log, release = _log(), last_release()
    commit = git("rev-parse", f"{release}^{{commit}}") if release else head()
    return watch(log, _models(commit, release or "the last commit") if commit else MODELS)


def _models(commit: str, named: str) -> Path:
    try:
        return restore(commit) / MODELS
    except InputError as error:
        raise InputError(f"{named}: its model cannot be restored, so it is not watched ({one_line(error)})") from None


def _log() -> Path:
    if not LOG.is_dir():
        raise InputError(f"{LOG}/: there is no log; the command in the variable ASSAY_MONITOR brings it there")
    return LOG


def calls_for_training(result: dict[str, Any]) -> bool:
    """Say whether a result has an alarm against which training may help."""
    return any(one["verdict"] == "ALARM" and one["check"] not in OPERATIONS for one in result["outcomes"])


def tell(github: GitHub, result: dict[str, Any]) -> str:
    """Open the issue for an alarm, update the open one, or close it when all is well; return a message."""
    verdict, issue = result["verdict"], open_issue(github, TITLE)
    body = f"{markdown(result)[:MOST]}\n{UPDATED}\n"
    if issue is None:
        if verdict != "ALARM":
            return f"{verdict}: no issue"
        return f"issue #{github.send('POST', 'issues', {'title': TITLE, 'body': body})['number']} was opened"
    number = int(issue["number"])
    change = {"body": body} | ({"state": "closed"} if verdict == "WELL" else {})
    github.send("PATCH", f"issues/{number}", change)
    return f"issue #{number} was {'closed' if verdict == 'WELL' else 'updated'}"


def retrain() -> str:
    """Collect the outcomes that are due, push the data to the DVC remote, and train; return what was done.

    The changes are a patch, for a job whose token may write and which neither reads rows nor trains. Raises InputError
    where all could read what clients sent.
    """
    if may_be_public() and is_embedded():
        raise InputError(
            ".dvc/embedded: part of a repository that is not known to be private, so everybody could read the rows "
            "that clients sent; pick another remote with `assay remote use URL`"
        )
    result = bring_home(_log())
    if result["added"] or result["corrected"]:
        push(load_params().remote.embedded_limit_mb, "data.dvc")
        reproduce()
    else:
        say("nothing new to learn from")
    for name in filter(os.path.exists, FILES):
        git("add", "--all", "--", name)
    git("diff", "--cached", "--binary", f"--output={PATCH}")
    return "\n".join(told(result))


def apply(patch: Path = PATCH) -> None:
    """Make the changes of a patch in the files that retraining changes, and in no others."""
    if patch.stat().st_size:
        only = [f"--include={pattern}" for name in FILES for pattern in (name, f"{name}/*")]
        git("apply", "--index", *only, str(patch))


def evidence(github: GitHub, report: Path = REPORT) -> str:
    """Return the text of the pull request: what was collected, and the open issue."""
    issue = open_issue(github, TITLE)
    collected = "\n".join(f"- {escape(line)}" for line in told(read_json(report)))
    why = (
        f"The monitor raised an alarm: #{issue['number']}.\n\n{issue['body'][:MOST]}"
        if issue
        else "There is no open alarm."
    )
    return f"New rows from predictions whose outcome is known:\n\n{collected}\n\n{APPROVE}\n\n{why}"
