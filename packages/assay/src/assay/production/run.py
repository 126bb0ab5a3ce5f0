"""The monitor, run on a log and a model: files in, files out.

It needs no more packages than a service has. `python -m assay.production.run LOG` is how an image, which has no `assay`
command and may have a file system that is read-only, prints what the monitor says about its own model.
"""

import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from assay.base.errors import InputError
from assay.base.files import write_json, write_text
from assay.export.reference import load_reference
from assay.predictions.outcomes import joined
from assay.predictions.read import LogCounts
from assay.predictions.requests import counted
from assay.production.monitor import monitor
from assay.production.page import html, markdown
from assay.production.requests import requests_by_day
from assay.production.windows import AHEAD, Watch, look
from assay.project.layout import MODELS, model_version
from assay.project.settings import load_packed_contract, load_settings

RESULT = Path("reports/monitor.json")
DAYS = 90.0


def watch(
    log: Path,
    models: Path = MODELS,
    *,
    days: float = DAYS,
    until: datetime | None = None,
    delay: float | None = None,
) -> dict[str, Any]:
    """Watch the model of a folder through a log, and write what was found to reports/; return the result."""
    found = watched(log, models, days=days, until=until, delay=delay)
    write(found)
    return found


def watched(
    log: Path,
    models: Path = MODELS,
    *,
    days: float = DAYS,
    until: datetime | None = None,
    delay: float | None = None,
) -> dict[str, Any]:
    """Watch the model of a folder through a log; return the result.

    It looks `days` back from `until`, by default now; `delay` is that of settings, unless it is given.
    """
    settings = load_settings(models)
    outcomes = settings.outcomes
    now = datetime.now(UTC)
    end = now if until is None else until.replace(tzinfo=UTC)
    since, due = before(end, days), before(end, outcomes.delay if delay is None else delay)
    about = Watch(
        contract=load_packed_contract(models),
        reference=load_reference(models),
        version=model_version(models),
        since=since,
        until=end,
        now=now,
        delay=end - due,
        limits=settings.limits,
    )
    counts = LogCounts()
    seen = look(joined(log, counts, since=since, due=due, missing=outcomes.missing), about)
    # Later ones have a wrong clock.
    requests = requests_by_day(counted(log, counts, since, min(end, now + AHEAD)), about.version)
    left_out = {
        "predictions for smoke tests": counts.checks,
        "torn lines": counts.torn,
        "doubled entries": counts.doubled,
        "foreign entries": counts.foreign,
        "outcomes of unknown predictions": counts.unknown,
        "ignored outcomes from another client than the one who asked": counts.others,
        "corrected outcomes": counts.corrected,
    }
    return monitor(about, seen, left_out, requests)


def watch_on(host: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Let the monitor run on another machine over SSH, with some arguments, and write what it found to reports/.

    A key that may run only the monitor ignores the arguments. Raises InputError if the answer is not a result.
    """
    if host.startswith("-"):
        raise InputError(f"{host!r}: not a machine; write USER@HOST")
    command = [
        "ssh",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=30",
        host,
        shlex.join(["assay", "monitor", "--json", *arguments]),
    ]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    try:
        found = dict(json.loads(done.stdout))
        write(found)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError):
        last = (done.stderr.strip().splitlines() or ["it answered with something else than a result"])[-1]
        raise InputError(f"{host}: {last}") from None
    return found


def write(found: dict[str, Any]) -> None:
    """Write what the monitor found to reports/."""
    pages = {".md": markdown(found), ".html": html(found)}
    write_json(RESULT, found)
    for suffix, text in pages.items():
        write_text(RESULT.with_suffix(suffix), text)


def before(end: datetime, days: float) -> datetime:
    """Return the time some days before another one; raises InputError if no calendar has it."""
    try:
        return end - timedelta(days=days)
    except (OverflowError, ValueError):
        raise InputError(f"{days:g} days before {end:%Y-%m-%d} is no date; give fewer days") from None


if __name__ == "__main__":
    given = Path(sys.argv[1])
    if not given.is_dir():
        sys.exit(f"assay: {given}: there is no such folder")
    try:
        sys.stdout.write(json.dumps(watched(given)) + "\n")
    except (InputError, OSError) as error:
        sys.exit(f"assay: {error}")
