from pathlib import Path

import pytest
from click.testing import CliRunner

from assay.base.errors import InputError
from assay.cli.main import app
from places import PACKAGE

PAGES = sorted((PACKAGE / "docs").rglob("*.md"))


def test_every_page_of_the_manual_is_listed_with_its_title():
    shown = CliRunner().invoke(app, ["manual"]).output.splitlines()
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in PAGES]
    assert [line.split()[0] for line in shown] == [path.stem for path in PAGES]
    assert [line.endswith(title) for line, title in zip(shown, titles, strict=True)] == [True] * len(PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_a_page_is_printed_as_it_is(page: Path):
    assert CliRunner().invoke(app, ["manual", page.stem]).output == page.read_text(encoding="utf-8")


def test_a_page_that_does_not_exist_is_an_error_that_names_those_that_do():
    done = CliRunner().invoke(app, ["manual", "gate"])
    assert isinstance(done.exception, InputError)
    assert "there is no page 'gate'; pages are" in str(done.exception)
