"""The script that takes the pictures of the README; what they show depends on fonts, and is for people to see."""

import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from assay.report.markdown import markdown
from browser import Browser, browsing
from docs.pictures import COMMENT, FOLDER, HEIGHT, MERMAID, PAGE, SCALE, WIDTH, comment_page, take_comment, take_page
from machine import lacks
from npm import NotHereError, installed
from places import ROOT, TESTS
from reports import TEMPLATE, report
from scenario.project import Project
from servers import serving


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    try:
        installed(TESTS / "report/node")
        with browsing(tmp_path_factory.mktemp("browser")) as one:
            yield one
    except NotHereError as error:
        lacks(str(error))


def size(path: Path) -> tuple[int, int]:
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", content[16:24])
    return width, height


def test_a_comment_is_taken_as_wide_as_it_should_be(browser: Browser, tmp_path: Path) -> None:
    take_comment(browser, markdown(report(), TEMPLATE), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [COMMENT]
    assert size(tmp_path / COMMENT) == (WIDTH * SCALE, HEIGHT * SCALE)


def test_a_comment_is_drawn_with_its_charts_and_tables(browser: Browser, tmp_path: Path) -> None:
    page = tmp_path / "comment.html"
    page.write_text(comment_page(markdown(report(), TEMPLATE), installed(TESTS / "report/node") / MERMAID))
    browser.open(page.as_uri())
    assert browser.js("document.querySelectorAll('table').length") > 5
    assert browser.js("document.querySelectorAll('pre.mermaid').length") == 5
    assert "&lt;" not in browser.js("document.body.innerText")


def test_the_page_of_a_service_is_taken_with_an_answer(
    browser: Browser, projects: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(projects(), root)
    for name in ("src", "requirements"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "service.py", root)
    row = {"age": 61, "heart-rate": 92.5, "noise": -0.25, "smoker": "t", "ward": "w", "street": "street 7"}
    with serving(Project(root, tmp_path)) as server:
        take_page(browser, server, row, tmp_path)
    width, height = size(tmp_path / PAGE)
    assert width == WIDTH * SCALE
    assert height > 200


def test_the_readme_shows_both_pictures() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for name in (COMMENT, PAGE):
        assert (FOLDER / name).relative_to(ROOT).as_posix() in text
        assert min(size(FOLDER / name)) > WIDTH // 2
