"""Defects as people make them, each planted into a workflow of its own: the lint has to see every one."""

import shutil
from pathlib import Path

import pytest

from machine import lacks
from npm import NotHereError
from scenario.project import SOURCE
from workflows import lint
from workflows.language import language

TRAIN, REPORT, CI, NIGHTLY = (f".github/workflows/{name}.yml" for name in ("train", "report", "ci", "nightly"))
ACTION = ".github/actions/setup/action.yml"
CHECKOUT = "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
# File, what stands there, what is planted instead, and what has to be said.
DEFECTS = {
    "no permissions": (TRAIN, "\npermissions: {}\n", "\n", "permissions: {} is missing"),
    "all permissions": (TRAIN, "\npermissions: {}\n", "\npermissions: write-all\n", "permissions: {} is missing"),
    "job without permissions": (CI, "    permissions: {}\n", "", "jobs.pass: permissions is missing"),
    "a right that is none": (TRAIN, "contents: read", "contents: reed", "'reed'"),
    "a scope that is none": (TRAIN, "contents: read", "content: read", "content"),
    "rights for strangers": (TRAIN, "pull_request:", "pull_request_target:", "dangerous-triggers"),
    "workflow_run unexplained": (REPORT, "zizmor: ignore[dangerous-triggers]", "", "dangerous-triggers"),
    "no time-out": (TRAIN, "    timeout-minutes: 60\n", "", "timeout-minutes is missing"),
    "time-out in words": (TRAIN, "timeout-minutes: 60", "timeout-minutes: an hour", "Unexpected value"),
    "no concurrency": (NIGHTLY, "concurrency: {group: nightly, cancel-in-progress: false}\n", "", "concurrency"),
    "tag for a pin": (TRAIN, CHECKOUT, "actions/checkout@v7", "unpinned-uses"),
    "version that is not the pin's": (TRAIN, "# v7.0.1", "# v7.0.0", "pins.json has"),
    "another commit": (TRAIN, "3d3c42e5", "3d3c42e6", "pins.json has"),
    "unknown action": (TRAIN, "actions/checkout@", "actions/chekout@", "is not in pins.json"),
    "input that is none": (TRAIN, "fetch-depth:", "fetch-dept:", "Invalid action input 'fetch-dept'"),
    "input of a part of an action": (TRAIN, "restore-keys:", "restore-key:", "Invalid action input 'restore-key'"),
    "input of our action": (CI, ", use: dev}", ", uze: dev}", "has no input uze"),
    "token left on disk": (TRAIN, "persist-credentials: false", "persist-credentials: true", "token on disk"),
    "token left by default": (TRAIN, "          persist-credentials: false\n", "", "persist-credentials"),
    "retired runner": (CI, "ubuntu-24.04", "ubuntu-20.04", "runs-on is none of"),
    "moving runner": (CI, "ubuntu-24.04", "ubuntu-latest", "runs-on is none of"),
    "own runner for strangers": (TRAIN, "github.repository) == github.repository", "1) == 1", "runs-on is none of"),
    "labels of a runner": (CI, "ubuntu-24.04", "[self-hosted, gpu]", "runs-on is none of"),
    "no such target": (TRAIN, "run: make pr", "run: make prr", "there is no target prr"),
    "failure made good": (TRAIN, "run: make pr", "run: make pr || true", "more than one command"),
    "a script": (TRAIN, "run: make pr", "run: |\n          make repro\n          make pr", "more than one command"),
    "injection": (TRAIN, "make pr", "echo ${{ github.event.pull_request.title }}", "template-injection"),
    "expression in a command": (TRAIN, "make pr", "make pr BASE=${{ github.sha }}", "becomes code"),
    "unknown context": (TRAIN, "github.event.before", "githob.event.before", "githob"),
    "unknown key of a context": (TRAIN, "github.sha", "github.shaa", "shaa"),
    "open bracket": (TRAIN, "hashFiles('reports/report.md')", "hashFiles('reports/report.md'", "xpression"),
    "unknown function": (TRAIN, "!cancelled()", "!canceled()", "canceled"),
    "step that is not there": (REPORT, "steps.install.outcome", "steps.instal.outcome", "instal"),
    "needs nothing known": (REPORT, "needs: lock", "needs: lok", "lok"),
    "output that is not there": (REPORT, "needs.lock.outputs.commit", "needs.lock.outputs.comit", "comit"),
    "circle": (CI, "  check:\n", "  check:\n    needs: pass\n", "creates a cycle"),
    "secret nobody told of": (TRAIN, "github.event.before", "secrets.API_KEY", "API_KEY"),
    "variable nobody told of": (TRAIN, "github.event.before", "vars.SERVER", "SERVER"),
    "local action that is not there": (TRAIN, "./.github/actions/setup", "./.github/actions/set-up", "no such action"),
    "old command": (TRAIN, "run: make pr", 'run: echo "::set-output name=x::1"', "no longer understood"),
    "unquoted variable": (TRAIN, '>> "$GITHUB_STEP_SUMMARY"', ">> $GITHUB_STEP_SUMMARY", "SC2086"),
    "open quote": (TRAIN, "run: make pr", 'run: make "pr', "SC10"),
    "Python 3.1": (CI, '["3.11"]', "[3.10, 3.11]", "not in quotes"),
    "no such minute": (NIGHTLY, "17 2 * * *", "77 2 * * *", "cron"),
    "unknown trigger": (TRAIN, "  push:\n", "  pushed:\n", "pushed"),
    "unknown filter": (TRAIN, "branches: [main]", "branch: [main]", "branch"),
    "never asked": (TRAIN, "  pull_request:\n", '  pull_request:\n    paths: ["src/**"]\n', "would never come"),
    "a key twice": (TRAIN, "    name: train\n", "    name: train\n    name: train\n", "duplicate key"),
    "a tab": (TRAIN, "    name: train\n", "\tname: train\n", "train.yml"),
    "job without steps": (CI, "    steps:\n", "    stepz:\n", "stepz"),
    "two steps of one id": (REPORT, "id: install\n", "id: fetch\n", "fetch"),
    "step of an action without shell": (ACTION, "      shell: bash\n", "", "shell"),
    "unknown input of an action": (ACTION, "inputs.python }}", "inputs.pyton }}", "has no input pyton"),
    "unknown key of an action": (ACTION, "using: composite", "uses: composite", "using"),
}  # fmt: skip


# What zizmor says; of a folder with a file that it cannot read it says nothing else.
AUDITS = {"dangerous-triggers", "unpinned-uses", "template-injection"}


def plant(root: Path, names: list[str]) -> dict[str, list[str]]:
    """Return what the lint says of each defect, and of the files as they are."""
    shutil.copytree(SOURCE / ".github", root / ".github")
    shutil.copy(SOURCE / "Makefile", root)
    (root / "packages/assay").mkdir(parents=True)
    shutil.copy(SOURCE / "packages/assay/package.mk", root / "packages/assay")
    planted = {}
    for name in names:
        file, old, new, _ = DEFECTS[name]
        text = (SOURCE / file).read_text(encoding="utf-8")
        assert old in text, f"{name}: {file} no longer holds {old!r}"
        mark = f"defect-{list(DEFECTS).index(name)}-"
        path = Path(file)
        path = path.with_name(mark + path.name) if file != ACTION else path.parents[1] / mark / path.name
        planted[name] = path.as_posix()
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_text(text.replace(old, new, 1), encoding="utf-8")
    found = list(lint.findings(root))
    return {name: [one for one in found if file in one] for name, file in planted.items()} | {
        "": [one for one in found if "defect-" not in one]
    }


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    try:
        with language() as asked:
            asked.ask("parse", name="x", text="on: push")
    except NotHereError as error:
        lacks(str(error))
    readable = [name for name, defect in DEFECTS.items() if defect[3] in AUDITS]
    others = [name for name in DEFECTS if name not in readable]
    unread = plant(tmp_path_factory.mktemp("unreadable"), others)
    # It names the first of the files that it cannot read.
    assert any(one.startswith("zizmor: could not read all of it") for found in unread.values() for one in found)
    return unread | plant(tmp_path_factory.mktemp("readable"), readable)


def test_each_defect_has_its_place_in_the_workflows():
    gone = {name: old for name, (file, old, _, _) in DEFECTS.items() if old not in (SOURCE / file).read_text("utf-8")}
    assert gone == {}


@pytest.mark.nightly
def test_the_workflows_as_they_are_have_no_fault(said):
    assert said[""] == []


@pytest.mark.nightly
@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_seen(said, name):
    wanted = DEFECTS[name][3]
    assert any(wanted in one for one in said[name]), "\n".join(said[name]) or "nothing was said"
