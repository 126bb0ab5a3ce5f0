"""Other programs, whose faults are told in one line."""

import subprocess

from assay.errors import InputError


def run(*command: str) -> str:
    """Run a command and return what it printed; raises InputError with its last line where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise InputError(f"{command[0]} {command[1]}: {said}")
    return done.stdout
