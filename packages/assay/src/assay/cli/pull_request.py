"""All that a pull request runs: the pipeline, the gates, the report."""

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
# What a verdict depends on besides what is packed.
READ = (LOCK, Path("dvc.yaml"), PROCESS, OVERRIDES, LOADTEST)


def run(change: Change) -> dict[str, Any]:
    """Bring the model up to date, load its service, judge both, write the report; return the report.

    A pipeline that stops is judged too: the verdict says what stopped it. If nothing has changed since the last
    verdict it stands. A change of pages and the like is not judged, for nothing could differ.
    """
    began = time.time()
    if changes_no_model(change):
        say(f"no gate looks at what was changed: {', '.join(change.files[:5])}")
        return _pass_by(change, began)
    is_whole = _tried(reproduce)
    key = _key(change)
    if KEY.exists() and KEY.read_text(encoding="utf-8") == key and VERDICT.exists() and REPORT.exists():
        say("nothing changed since the last verdict: it stands")
        return dict(read_json(REPORT))
    KEY.unlink(missing_ok=True)
    is_loaded = not is_whole or _tried(lambda: _load_test(change))
    # Imported here, for a verdict that stands need not wait for it.
    from assay.gates.verdict import judge

    judgement = judge(change)
    write_json(VERDICT, judgement.verdict)
    champion = judgement.champion.folder if judgement.champion else None
    found = _write(judgement.verdict, champion, change, judgement.seconds, began)
    if is_loaded and not judgement.failed:
        write_text(KEY, _key(change))
    return found


def _pass_by(change: Change, began: float) -> dict[str, Any]:
    """Write verdict and report of a change that no gate looks at, without pipeline and model."""
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


def _tried(step: Callable[[], object]) -> bool:
    """Say whether a step got through; one that did not has to be judged too, and says why."""
    try:
        step()
    except InputError as error:
        say(f"assay: {error}")
        return False
    return True


def _load_test(change: Change) -> None:
    """Load the service, unless it is the champion's, or the last load test is of it against this champion."""
    limits = load_params().gates.service
    if not limits.enabled:
        return
    try:
        if change.champion and is_same_service(restore(change.champion)):
            say("the service is the champion's: it is not loaded")
            return
        if not mismatch(read_loadtest(), limits, change.champion):
            return
    except InputError:
        # The load test is missing or torn, or the champion cannot be restored: a new load test reports that.
        pass
    from assay.load.run import run as load

    load(change)


def report(change: Change) -> dict[str, Any]:
    """Write the report of the verdict that is there; return its data. Raises InputError if there is none."""
    from assay.report.data import read_verdict

    verdict = read_verdict(VERDICT)
    champion = verdict["champion"]
    return _write(verdict, restore(champion["commit"]) if champion else None, change, {}, time.time())


def _write(
    verdict: dict[str, Any], champion: Path | None, change: Change, seconds: dict[str, float], began: float
) -> dict[str, Any]:
    """Write the report as data, as Markdown and as a page; return the data."""
    from assay.report.content import content
    from assay.report.html import html
    from assay.report.markdown import markdown

    found = content(verdict, champion, change.start, seconds=seconds, began=began)
    write_json(REPORT, found)
    write_text(REPORT.with_suffix(".md"), markdown(found, load_room().template))
    write_text(REPORT.with_suffix(".html"), html(found))
    return found


def _key(change: Change) -> str:
    """Return what a verdict depends on, as a hash: commits, configuration, code, and by dvc.lock data and model."""
    made = hashlib.sha256(f"{change.head} {change.start} {service_identity(Path())}".encode())
    for path in READ:
        made.update(f"\0{path}\0".encode())
        made.update(path.read_bytes() if path.exists() else b"")
    return made.hexdigest()
