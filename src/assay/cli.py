"""The `assay` command."""

import sys
from importlib import import_module
from typing import NoReturn

import click

from assay.errors import InputError

STAGES = ["validate", "prepare", "tune", "train", "evaluate", "analyse", "export"]


@click.group()
def app() -> None:
    """Machine learning with real CI/CD."""


@app.command()
@click.argument("name", type=click.Choice(STAGES))
def stage(name: str) -> None:
    """Run one stage of dvc.yaml by itself."""
    import_module(f"assay.stages.{name}").main()


def main() -> None:
    """Run the command line; what the user got wrong is one line on stderr and exit status 2."""
    try:
        status = app(standalone_mode=False)
    except click.ClickException as error:
        _fail(error.format_message())
    except InputError as error:
        _fail(str(error))
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _fail(f"{where}{error.strerror or error}")
    sys.exit(status)


def _fail(message: str) -> NoReturn:
    print(f"assay: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)
