"""The `assay` command."""

import os
import signal
import sys
from pathlib import Path
from typing import NoReturn

import click

from assay.base.errors import InputError
from assay.cli import adopt, gates, github, manual, pipeline, production, release, remote, score

# Spinning threads of scikit-learn starve each other on busy processors: a fit of 0.5 s took 15 s. The library that
# starts the threads reads this variable when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Models that are fitted in threads side by side must not each start as many more; `threads` of fitting starts them for
# one alone.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# ONNX Runtime and BentoML would send usage data.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")


@click.group()
def app() -> None:
    """Machine learning with real CI/CD."""


for group in (pipeline, gates, score, release, production, remote, github, adopt, manual):
    for command in group.COMMANDS:
        app.add_command(command)


def main() -> None:
    """Run the command line; a user error is one line on stderr and exit status 2."""
    # The stages of dvc.yaml call `assay`, and others `dvc` and `bentoml`: those of this environment, active or not.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        # Not through click's own main: it would end a broken pipe with status 1, which is REJECT here.
        with app.make_context("assay", sys.argv[1:]) as context:
            status = app.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        status = ended.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        status = 2
    except click.ClickException as error:
        _fail(error.format_message())
    except InputError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader closed the pipe; this is the usual exit status for that.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 128 + signal.SIGPIPE
    except KeyboardInterrupt:
        print("assay: interrupted", file=sys.stderr)
        status = 128 + signal.SIGINT
    except MemoryError as error:
        _fail(f"there is not enough memory here: {str(error) or 'an allocation failed'}")
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    print(f"assay: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
