"""Pictures for the README: the comment on a pull request and the page of the service, of a real run.

`make pictures` changes a clone of this repository as a pull request would, runs all that a pull request runs, and takes
both pictures with Chromium.
"""

import json
import re
import tempfile
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from assay.report.view import MARKS
from browser import Browser, browsing
from npm import installed
from places import PACKAGE, TESTS
from scenario.project import Project, clone, make_environment, make_template
from servers import Server, serving, until

FOLDER = PACKAGE / "docs/pictures"
COMMENT, PAGE = "comment.png", "page.png"
STYLE = Path(__file__).with_name("comment.css")
MERMAID = "node_modules/mermaid/dist/mermaid.min.js"
WIDTH, HEIGHT, SCALE = 960, 1000, 1.5
# Fonts with emoji are not everywhere.
SIGNS = {
    MARKS["PROMOTE"]: ("#1a7f37", "✔"),
    MARKS["HOLD"]: ("#9a6700", "‖"),
    MARKS["REJECT"]: ("#d1242f", "✘"),
    MARKS["SKIP"]: ("#59636e", "○"),
}
# What is changed: a model that is regularised too much, so that the report has something to say.
CHANGE = {"model__parameters__C": 0.003}


def comment_page(markdown: str, mermaid: Path) -> str:
    """Return a comment as a page: Markdown as GitHub takes it, and its Mermaid charts drawn by Mermaid."""
    renderer = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    body = renderer.render(markdown)
    body = re.sub(
        r'<pre><code class="language-mermaid">(.*?)</code>', r'<pre class="mermaid">\1', body, flags=re.DOTALL
    )
    for emoji, (colour, sign) in SIGNS.items():
        body = body.replace(emoji, f'<b style="color: {colour}">{sign}</b>')
    return f"""<!doctype html><meta charset="utf-8"><title>Comment</title><style>{STYLE.read_text()}</style>
<div class="comment"><div class="by"><b>github-actions</b> <span>bot</span> commented now</div>
<div class="body">{body}</div></div>
<script src="{mermaid.as_uri()}"></script>
<script>
mermaid.initialize({{startOnLoad: false}});
mermaid.run().finally(() => {{ document.title = "drawn"; }});
</script>
"""


def take_comment(browser: Browser, markdown: str, folder: Path) -> None:
    """Take a picture of the start of a comment; raises NotHereError where npm cannot install Mermaid."""
    page = folder / "comment.html"
    page.write_text(comment_page(markdown, installed(TESTS / "report/node") / MERMAID), encoding="utf-8")
    browser.show(WIDTH, HEIGHT, scale=SCALE)
    browser.open(page.as_uri())
    until(lambda: browser.js("document.title") == "drawn", "the charts are drawn")
    browser.picture(folder / COMMENT, HEIGHT)
    page.unlink()


def take_page(browser: Browser, server: Server, row: dict[str, Any], folder: Path) -> None:
    """Take a picture of the page of a service: the last fields, and the answer to a row."""
    browser.show(WIDTH, HEIGHT, scale=SCALE)
    browser.open(server.url + "/")
    browser.fill_in({name: str(value) for name, value in row.items()})
    # Enter does not submit a form from a list of choices.
    browser.js("document.querySelector('form').requestSubmit()")
    until(lambda: "What moved the score" in browser.answer(), "a prediction with its explanation")
    top = int(browser.js("document.getElementById('answer').getBoundingClientRect().top + window.scrollY"))
    browser.picture(folder / PAGE, HEIGHT, max(0, top - HEIGHT // 3))


def judged(root: Path) -> Project:
    """Return a clone of this repository with a change, of which all has run that a pull request runs."""
    template = Project(root / "template", root / "home")
    template.home.mkdir()
    make_template(template)
    project = clone(template, root / "project")
    make_environment(project.root / ".venv")
    # The champion: what is in dvc.lock may have been made by an earlier Assay.
    project.ok("assay", "repro")
    project.ok("git", "commit", "--quiet", "--allow-empty", "--all", "--message", "Trained")
    project.ok("git", "update-ref", "refs/remotes/origin/main", "HEAD")
    project.ok("git", "checkout", "--quiet", "-b", "regularise")
    project.set_params(**CHANGE)
    project.ok("assay", "repro")
    project.ok("git", "commit", "--quiet", "--all", "--message", "Regularise more")
    done = project.run("assay", "pr")
    assert done.returncode in (0, 1, 3), done.stdout + done.stderr
    return project


def main() -> None:
    """Take both pictures, and put them where the README has them."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        project = judged(root)
        (root / "browser").mkdir()
        with browsing(root / "browser") as browser, serving(project) as server:
            take_comment(browser, (project.root / "reports/report.md").read_text(encoding="utf-8"), FOLDER)
            example = json.loads((project.root / "models/examples.json").read_text())["rows"][0]
            take_page(browser, server, example, FOLDER)


if __name__ == "__main__":
    main()
