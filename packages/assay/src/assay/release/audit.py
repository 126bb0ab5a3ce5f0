"""Known vulnerabilities of the packages in an image."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

TITLE = "## Known vulnerabilities"
NOT_SEEN = "The base image was not looked up: its Python, and its packages of Debian."
MOST_NAMES = 5


def audit(requirements: Path) -> list[str]:
    """Look up the packages of a lock with pip-audit; return what is known, a line each, the sum first."""
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "--format", "json")
    command = [sys.executable, "-m", "pip_audit", *options, "--requirement", str(requirements)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return described(done.stdout, done.stderr)


def described(output: str, errors: str = "") -> list[str]:
    """Return what the output of pip-audit says, a line each, the sum first. It names what could not be looked up."""
    try:
        packages: list[dict[str, Any]] = json.loads(output)["dependencies"]
    except ValueError:
        why = errors.strip().splitlines() or ["pip-audit said nothing"]
        return [f"The packages could not be looked up: {why[-1]}"]
    if not packages:
        return ["No package was looked up: the list of packages is empty"]
    known = [one for one in packages if "skip_reason" not in one]
    skipped = [one["name"] for one in packages if "skip_reason" in one]
    affected = [one for one in known if one["vulns"]]
    lines = [f"{one['name']} {one['version']}: {_named(flaw)}" for one in affected for flaw in one["vulns"]]
    if skipped:
        names = [*skipped[:MOST_NAMES], *(["..."] if len(skipped) > MOST_NAMES else [])]
        lines.insert(0, f"{len(skipped)} packages could not be looked up: {', '.join(names)}")
    if not known:
        return lines
    return [f"{len(affected)} of {len(known)} packages have known vulnerabilities.", *lines]


def notes(card: str, lines: list[str]) -> str:
    """Return the notes of a release: the model card, and what is known of the packages of its image."""
    first, *rest = [*lines, NOT_SEEN]
    return f"{card.rstrip()}\n\n{TITLE}\n{first}\n\n" + "".join(f"- {line}\n" for line in rest)


def _named(flaw: dict[str, Any]) -> str:
    fixed = flaw["fix_versions"]
    return f"{flaw['id']}, " + (f"fixed in {', '.join(fixed)}" if fixed else "not fixed yet")
