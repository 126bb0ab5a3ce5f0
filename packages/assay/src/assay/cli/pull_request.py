"""All steps of a pull request: pipeline, load test, gates, report."""

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.base.files import read_json, write_json, write_text
from assay.base.progress import say
from assay.gates.loadtest import LOADTEST, mismatch, read_loadtest
from assay.gates.overrides import OVERRIDES
from assay.gates.scope import changes_no_model, outcomes
from assay.project.champion import restore
from assay.project.change import Change
from assay.project.dvc import reproduce
from assay.project.fingerprint import PROCESS
from assay.project.identity import LOCK, identity
from assay.project.layout import REPORT, VERDICT, VERDICT_FORMAT
from assay.project.packed import is_same_service, service_identity
from assay.project.params import load_params
from assay.project.room import load_room

KEY = Path(".assay/verdict_of.txt")
# The files that a verdict depends on, in addition to the packed files.
VERDICT_INPUTS = (LOCK, Path("dvc.yaml"), PROCESS, OVERRIDES, LOADTEST)


def run(change: Change) -> dict[str, Any]:
    """Update the model, load-test its service, judge both and write the report; return the report's data.

    A failed pipeline is judged too: the verdict gives the reason. If nothing changed since the last verdict, it is
    reused. A change that cannot affect the model, for example of docs, skips pipeline and gates.
    """
    began = time.time()
    if changes_no_model(change):
        say(f"no gate depends on the changed files: {', '.join(change.files[:5])}")
        return _promote_untouched(change, began)
    is_whole = _succeeded(reproduce)
    key = _key(change)
    if KEY.exists() and KEY.read_text(encoding="utf-8") == key and VERDICT.exists() and REPORT.exists():
        say("nothing changed since the last verdict: it still applies")
        return dict(read_json(REPORT))
    KEY.unlink(missing_ok=True)
    is_loaded = not is_whole or _succeeded(lambda: _load_test(change))
    # Imported here because it is slow and a reused verdict does not need it.
    from assay.gates.verdict import judge

    judgement = judge(change)
    write_json(VERDICT, judgement.verdict)
    champion = judgement.champion.folder if judgement.champion else None
    found = _write(judgement.verdict, champion, change, judgement.seconds, began)
    if is_loaded and not judgement.failed:
        write_text(KEY, _key(change))
    return found


def _promote_untouched(change: Change, began: float) -> dict[str, Any]:
    """Write verdict and report of a change that cannot affect the model, without running anything."""
    KEY.unlink(missing_ok=True)
    candidate = identity(change.head, Path())
    verdict = {
        "format": VERDICT_FORMAT,
        "verdict": "PROMOTE",
        "candidate": candidate,
        "champion": {**candidate, "commit": change.champion},
        "outcomes": [outcome.as_dict() for outcome in outcomes(change.files)],
        "overrides": [],
    }
    write_json(VERDICT, verdict)
    return _write(verdict, None, change, {}, began)


def _succeeded(step: Callable[[], object]) -> bool:
    """Run a step and return whether it succeeded; print the error if not, because a failure is judged too."""
    try:
        step()
    except InputError as error:
        say(f"assay: {error}")
        return False
    return True


def _load_test(change: Change) -> None:
    """Load-test the service, unless it is identical to the champion's or was already tested against this champion."""
    limits = load_params().gates.service
    if not limits.enabled:
        return
    try:
        if change.champion and is_same_service(restore(change.champion)):
            say("the service is identical to the champion's: no load test")
            return
        if not mismatch(read_loadtest(), limits, change.champion):
            return
    except InputError:
        # The load test is missing or broken, or the champion cannot be restored: a new load test reports that.
        pass
    from assay.load.run import run as load

    load(change)


def report(change: Change) -> dict[str, Any]:
    """Write the report of the last verdict; return its data. Raises InputError if there is no verdict."""
    from assay.report.data import read_verdict

    verdict = read_verdict(VERDICT)
    champion = verdict["champion"]
    return _write(verdict, restore(champion["commit"]) if champion else None, change, {}, time.time())


def _write(
    verdict: dict[str, Any], champion: Path | None, change: Change, seconds: dict[str, float], began: float
) -> dict[str, Any]:
    """Write the report as JSON, Markdown and HTML; return the data."""
    from assay.report.content import content
    from assay.report.html import html
    from assay.report.markdown import markdown

    found = content(verdict, champion, change.start, seconds=seconds, began=began)
    write_json(REPORT, found)
    write_text(REPORT.with_suffix(".md"), markdown(found, load_room().template))
    write_text(REPORT.with_suffix(".html"), html(found))
    return found


def _key(change: Change) -> str:
    """Return a hash of everything a verdict depends on: commits, configuration, code, data and model."""
    made = hashlib.sha256(f"{change.head} {change.start} {service_identity(Path())}".encode())
    for path in VERDICT_INPUTS:
        made.update(f"\0{path}\0".encode())
        made.update(path.read_bytes() if path.exists() else b"")
    return made.hexdigest()
