"""The manual, which is part of the package."""

from pathlib import Path

import click

import assay
from assay.base.errors import InputError

HERE = Path(assay.__file__).parent
# In a wheel the pages are inside the package; in the source tree they are next to it.
FOLDERS = (HERE / "manual", HERE.parents[1] / "docs")


@click.command()
@click.argument("page", required=False)
def manual(page: str | None) -> None:
    """Print a PAGE of the manual, or list the pages."""
    pages = {path.stem: path for folder in FOLDERS for path in sorted(folder.rglob("*.md"))}
    if page is None:
        for name, path in pages.items():
            title = path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")
            print(f"{name:16} {title}")
    elif page in pages:
        print(pages[page].read_text(encoding="utf-8"), end="")
    else:
        raise InputError(f"there is no page {page!r}; pages are {', '.join(pages)}")


COMMANDS = (manual,)
