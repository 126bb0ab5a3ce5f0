"""Other programs, whose faults are told in one line."""

import re
import subprocess
from pathlib import Path

from assay.base.errors import InputError


def run(*command: str, folder: Path | None = None) -> str:
    """Run a command, in a folder, and return what it printed; raises InputError with its last line where it fails."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        # The last line says it, but for docker's, which says where to read about docker.
        said = [
            line for line in done.stderr.splitlines() if line.strip() and not re.match(r"(Run|See) '.*--help'", line)
        ]
        raise InputError(f"{command[0]} {command[1]}: {said[-1] if said else f'exit status {done.returncode}'}")
    return done.stdout
