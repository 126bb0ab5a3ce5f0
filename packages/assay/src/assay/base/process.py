"""Running other programs, with their errors in one line."""

import re
import subprocess
from pathlib import Path

from assay.base.errors import InputError


def run(*command: str, folder: Path | None = None) -> str:
    """Run a command in a folder and return its output; raises InputError with its last line if it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        # The last line has the error, except docker's hint to its help.
        lines = [
            line for line in done.stderr.splitlines() if line.strip() and not re.match(r"(Run|See) '.*--help'", line)
        ]
        raise InputError(f"{command[0]} {command[1]}: {lines[-1] if lines else f'exit status {done.returncode}'}")
    return done.stdout
