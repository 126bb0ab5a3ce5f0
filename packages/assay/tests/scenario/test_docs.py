"""What the pages and the manual say is so: every command is run, every name and link is looked up."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import click
import pytest
from pydantic import BaseModel

from assay.cli.main import app
from assay.contract.spec import CategoryCleaning, Contract, NumberCleaning, TimeCleaning
from assay.project.params import Params
from scenario.project import SOURCE, Project, make_environment

MANUAL = "packages/assay/docs"
PAGES = [
    *("README.md", "AGENTS.md", *(f"packages/assay/{name}.md" for name in ("README", "CONTRIBUTING", "AGENTS"))),
    *sorted(
        path.relative_to(SOURCE).as_posix() for folder in ("docs", MANUAL) for path in (SOURCE / folder).rglob("*.md")
    ),
]


def text(page: str) -> str:
    return (SOURCE / page).read_text(encoding="utf-8")


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```", text(page), flags=re.MULTILINE | re.DOTALL)


# Their commands take the longest, or are those of the README, and are tried at night.
AT_NIGHT = ("experiments.md", "loadtest.md", "tutorial.md")


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=[pytest.mark.nightly] if page.endswith(AT_NIGHT) else [])
        for page in PAGES
        if blocks(page)
    ],
)
def test_the_commands_of_a_page_work_in_their_order(
    page: str, short_run: Project, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    # A load test measures processes: those of warm commands are others than it starts.
    is_loaded = "make loadtest" in "".join(blocks(page))
    project = (request.getfixturevalue("brief").cold if is_loaded else short_run).copy(tmp_path / "project")
    make_environment(project.root / ".venv", project.commands)
    script = project.root.parent / "commands.sh"
    script.write_text("set -eux\n" + "\n".join(blocks(page)), encoding="utf-8")
    done = project.run("bash", str(script))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_somewhere(page: str) -> None:
    for target, anchor in re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", text(page)):
        if target.startswith("https://"):
            continue
        file = (SOURCE / page).parent.joinpath(target) if target else SOURCE / page
        assert file.exists(), f"{page}: {target}"
        titles = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), flags=re.MULTILINE) if anchor else []
        assert not anchor or anchor in map(slug, titles), f"{page}: {target}#{anchor}"


def slug(title: str) -> str:
    """Return what GitHub calls a title in a link."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def test_the_site_has_every_page_of_the_manual() -> None:
    pages = {path.relative_to(SOURCE / MANUAL).as_posix() for path in (SOURCE / MANUAL).rglob("*.md")}
    assert set(re.findall(r"^ +- ([\w/-]+\.md)$", text("packages/assay/mkdocs.yml"), flags=re.MULTILINE)) == pages


@pytest.mark.parametrize("page", PAGES)
def test_every_command_that_is_named_exists(page: str) -> None:
    rules = text("Makefile") + text("packages/assay/package.mk")
    targets = set(re.findall(r"^([a-z-]+):", rules, flags=re.MULTILINE))
    for name in re.findall(r"`(?:\.venv/bin/)?make ([a-z-]+)`", text(page)):
        assert name in targets, f"{page}: make {name}"
    for words in re.findall(r"`(?:\.venv/bin/)?assay ([a-z]+(?: [a-z]+)?)[^`]*`", text(page)):
        group: Any = app
        for word in words.split():
            if isinstance(group, click.Group):
                assert word in group.commands, f"{page}: assay {words}"
                group = group.commands[word]


def keys(model: Any, above: str = "") -> list[str]:
    """Return the dotted keys below a model that hold values."""
    found = []
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        kind = field.annotation
        found += keys(kind, f"{key}.") if isinstance(kind, type) and issubclass(kind, BaseModel) else [key]
    return found


def named_in_tables(page: str) -> set[str]:
    cells = [line.split("|")[1] for line in text(page).splitlines() if line.startswith("| `")]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_every_parameter_is_explained_and_no_other() -> None:
    assert named_in_tables(f"{MANUAL}/reference/params.md") == set(keys(Params))


def test_every_key_of_the_contract_is_explained_and_no_other() -> None:
    kinds = {get_args(member.model_fields["kind"].annotation)[0] for member in get_args(column_type())}
    cleaning = {key for one in (NumberCleaning, TimeCleaning, CategoryCleaning) for key in one.model_fields}
    assert named_in_tables(f"{MANUAL}/reference/contract.md") == set(Contract.model_fields) | kinds | cleaning


def column_type() -> Any:
    return get_args(get_args(Contract.model_fields["columns"].annotation)[1])[0]


def test_every_key_of_a_column_is_named() -> None:
    page = text(f"{MANUAL}/reference/contract.md")
    for member in get_args(column_type()):
        for name in member.model_fields:
            assert f"`{name}" in page, name


def test_the_front_door_is_short() -> None:
    assert len(text("README.md").splitlines()) <= 200


@pytest.mark.parametrize("page", ["README.md", f"{MANUAL}/tutorial.md"])
def test_the_results_on_the_first_pages_are_those_of_this_model(page: str) -> None:
    shown = re.search(r"^roc_auc +[\d. to]+$", text(page), flags=re.MULTILINE)
    assert shown
    metrics = json.loads(text("metrics.json"))
    test, others = metrics["test"]["roc_auc"], [metrics[side]["roc_auc"] for side in ("train", "dummy")]
    numbers = [test["value"], test["low"], test["high"], *others]
    assert re.findall(r"\d\.\d+", shown[0]) == [f"{number:.4f}" for number in numbers]
    rows = metrics["rows"]
    assert f"tested on {rows['test']} unseen rows (trained on {rows['fitted']})" in text(page)
