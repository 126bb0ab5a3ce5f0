"""What the pages on GitHub tell people to change, changed in fresh workflows."""

import json
import os
import re
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from textwrap import indent
from threading import Thread
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.github.workflows import problems, workflow_files
from scenario.project import SOURCE
from workflows import lint
from workflows.language import Language

MANUAL = SOURCE / "packages/assay/docs"
# Only these have runs of pull requests from forks.
FOR_FORKS = ("ci.yml", "train.yml")
SETUP = "      - uses: ./.github/actions/setup"


def page(name: str) -> str:
    return (MANUAL / name).read_text(encoding="utf-8")


def sign_ins() -> tuple[str, list[str]]:
    """Return the right and the steps, one for each cloud, with which GitHub signs in to a cloud."""
    right, *steps = re.findall(r"^```yaml\n(.*?)^```$", page("how-to/remotes.md"), re.MULTILINE | re.DOTALL)
    return right, steps


def jobs_with_data() -> set[tuple[str, str]]:
    """Return workflow and name of the jobs that the page says need a sign-in."""
    (text,) = re.findall(r"Give the jobs that need the data(.*?)\.\n", page("how-to/remotes.md"), re.DOTALL)
    found = re.findall(r"((?:`\w+`(?:,| and)?\s+)+)of\s+`(\w+\.yml)`", text)
    return {(file, job) for jobs, file in found for job in re.findall(r"`(\w+)`", jobs)}


def signed_in(text: str, job: str, right: str, step: str) -> str:
    """Return a workflow in which a job has one more right and one more step, as a person would write them."""
    before, start, rest = text.partition(f"\n  {job}:\n")
    length = found.start() if (found := re.search(r"^  \w", rest, re.MULTILINE)) else len(rest)
    body, after = rest[:length], rest[length:]
    if right.strip() not in body:
        body = body.replace("    permissions: {", f"    permissions: {{{right.strip()}, ", 1)
    body = re.sub(
        rf"^{SETUP}\n(?: {{8}}.*\n)*", lambda found: found[0] + indent(step, " " * 6), body, flags=re.MULTILINE
    )
    return before + start + body + after


@pytest.fixture(params=range(3), ids=["S3", "Google", "Azure"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A project whose workflows sign in to a cloud, and the step that does it."""
    right, steps = sign_ins()
    assert len(steps) == 3
    step = steps[request.param]
    shutil.copytree(SOURCE / ".github", tmp_path / ".github")
    shutil.copy(SOURCE / "Makefile", tmp_path)
    (tmp_path / "packages/assay").mkdir(parents=True)
    shutil.copy(SOURCE / "packages/assay/package.mk", tmp_path / "packages/assay")
    for file, job in jobs_with_data():
        path = tmp_path / ".github/workflows" / file
        made = step if file in FOR_FORKS else re.sub(r"^  if: .*\n", "", step, flags=re.MULTILINE)
        path.write_text(signed_in(path.read_text(), job, right, made), encoding="utf-8")
    return tmp_path, step


def test_every_job_that_fetches_data_signs_in_and_the_tests_of_a_copy_let_it(cloud: tuple[Path, str]):
    root, step = cloud
    files = workflow_files(root / ".github")
    signing = set()
    for path in files:
        assert problems(path) == [], path
        content = YAML(typ="safe").load(path.read_text())
        action = re.findall(r"uses: (\S+)", step)[0]
        for name, job in (content.get("jobs") or {}).items():
            if any(one.get("uses") == action for one in job["steps"]):
                assert job["permissions"]["id-token"] == "write"
                signing.add((path.name, name))
    assert signing == jobs_with_data() >= trains(SOURCE / ".github/workflows")


def trains(workflows: Path) -> set[tuple[str, str]]:
    """Return workflow and name of the jobs of a copy that run the pipeline."""
    pipeline = {"make pr", "make test", "make repro", 'make image NAME="$IMAGE"', "make tune"}
    commands = {*pipeline, ".venv/bin/assay github retrain"}
    return {
        (path.name, name)
        for path in workflows.glob("*.yml")
        if not path.name.startswith("package-")
        for name, job in YAML(typ="safe").load(path.read_text())["jobs"].items()
        if commands & {one.get("run") for one in job["steps"]}
    }


def test_what_a_sign_in_leaves_in_the_project_is_not_committed(tmp_path: Path):
    # Google's step writes its credentials to the workspace, and `propose` commits all that git does not ignore.
    shutil.copy(SOURCE / ".gitignore", tmp_path)
    (tmp_path / "gha-creds-0123456789abcdef.json").write_text("{}")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    listed = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert listed.stdout == "?? .gitignore\n"


def test_a_job_with_an_environment_is_trusted_by_its_own_subject():
    # GitHub then names the environment in place of the branch.
    jobs = {
        about["environment"]
        for file, job in jobs_with_data()
        if "environment"
        in (about := YAML(typ="safe").load((SOURCE / ".github/workflows" / file).read_text())["jobs"][job])
    }
    assert jobs == set(re.findall(r"`repo:OWNER/NAME:environment:(\w+)`", page("how-to/remotes.md"))) == {"log"}


@pytest.mark.nightly
def test_a_sign_in_to_a_cloud_has_no_fault(cloud: tuple[Path, str], monkeypatch: pytest.MonkeyPatch):
    root, step = cloud
    pins = json.loads(lint.PINS.read_text(encoding="utf-8"))
    action, commit, version = re.findall(r"uses: (\S+)@(\S+) # (\S+)", step)[0]
    pins[action] = {"version": version, "commit": commit, "inputs": re.findall(r"^    ([\w-]+):", step, re.MULTILINE)}
    (root / "pins.json").write_text(json.dumps(pins), encoding="utf-8")
    monkeypatch.setattr(lint, "PINS", root / "pins.json")
    monkeypatch.setitem(lint.NAMES, "vars", sorted({*lint.NAMES["vars"], *re.findall(r"vars\.(\w+)", step)}))
    assert list(lint.findings(root)) == []


def value(asked: Language, expression: str, event: dict[str, Any], **variables: str) -> Any:
    """Return what GitHub makes of an expression."""
    whole = re.fullmatch(r"\$\{\{(.*)\}\}", expression.strip(), re.DOTALL)
    context = {"github": {"repository": "ada/ward", "event": event}, "vars": variables}
    wanted = (whole[1] if whole else expression).strip()
    return asked.ask("evaluate", expression=wanted, context=context, state="success", hashes={})["value"]


def pulled_from(source: str) -> dict[str, Any]:
    return {"pull_request": {"head": {"repo": {"full_name": source, "fork": source != "ada/ward"}}}}


OWN = '["self-hosted", "gpu"]'


@pytest.mark.parametrize(
    ("variables", "event", "labels"),
    [
        ({}, pulled_from("ada/ward"), ["ubuntu-24.04"]),
        ({"ASSAY_RUNNER": OWN}, pulled_from("ada/ward"), ["self-hosted", "gpu"]),
        ({"ASSAY_RUNNER": OWN}, {}, ["self-hosted", "gpu"]),
        # Whose code is not trusted gets no machine of the owner.
        ({"ASSAY_RUNNER": OWN}, pulled_from("eve/ward"), ["ubuntu-24.04"]),
    ],
)
def test_an_own_runner_trains_main_and_own_branches_and_no_fork(asked, variables, event, labels):
    (command,) = re.findall(r"^gh variable set ASSAY_RUNNER --body '(.*)'$", page("how-to/own-runner.md"), re.MULTILINE)
    assert command == OWN
    job = YAML(typ="safe").load((SOURCE / ".github/workflows/train.yml").read_text())["jobs"]["train"]
    assert value(asked, job["runs-on"], event, **variables) == labels


@pytest.mark.parametrize(
    ("event", "signs"), [(pulled_from("ada/ward"), True), ({}, True), (pulled_from("eve/ward"), False)]
)
def test_a_fork_does_not_try_to_sign_in_to_a_cloud(asked, event, signs):
    for step in sign_ins()[1]:
        assert value(asked, YAML(typ="safe").load(step)[0]["if"], event) is signs


@pytest.mark.parametrize(
    ("private", "variables", "signs"),
    [(False, {}, True), (True, {}, False), (True, {"ASSAY_ATTEST": "true"}, True)],
)
def test_what_is_not_signed_is_deployed_by_the_digest_that_the_release_names(asked, private, variables, signs):
    files = {
        name: YAML(typ="safe").load((SOURCE / f".github/workflows/{name}.yml").read_text())
        for name in ("release", "deploy")
    }
    (sign,) = [one for one in files["release"]["jobs"]["image"]["steps"] if "attest" in one.get("uses", "")]
    (verify,) = [one for one in files["deploy"]["jobs"]["staging"]["steps"] if one.get("id") == "verify"]
    event = {"repository": {"private": private}}
    assert value(asked, sign["if"], event, **variables) is signs
    assert value(asked, verify["env"]["RECORDED"], event, **variables) is not signs


def test_every_variable_of_the_workflows_is_told_of_and_no_other():
    workflows = "".join(path.read_text() for path in (SOURCE / ".github").rglob("*.yml"))
    pages = "".join(path.read_text(encoding="utf-8") for path in MANUAL.rglob("*.md"))
    used = set(re.findall(r"\bvars\.(\w+)", workflows))
    assert used == set(lint.NAMES["vars"])
    assert {name for name in used if f"`{name}`" not in pages and f"variable set {name} " not in pages} == set()


def test_what_the_commands_of_the_pages_name_is_there():
    pages = "".join(path.read_text(encoding="utf-8") for path in (MANUAL / "how-to").glob("*.md"))
    commands = re.findall(r"^```console\n(.*?)^```$", pages, re.MULTILINE | re.DOTALL)
    files = re.findall(r"--input (\S+)|git add (\.github/\S+)", "".join(commands))
    assert not [name for pair in files for name in pair if name not in ("", "-") and not (SOURCE / name).exists()]
    known = {*lint.NAMES["vars"], *(name for step in sign_ins()[1] for name in re.findall(r"vars\.(\w+)", step))}
    assert set(re.findall(r"gh variable set (\w+)", pages)) - {"NAME"} <= known
    workflows = {path.stem for path in (SOURCE / ".github/workflows").glob("*.yml")}
    assert {name.removesuffix(".yml") for name in re.findall(r"gh workflow run ([\w.-]+)", pages)} <= workflows


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("jq")), reason="GitHub's runners have curl and jq")
def test_the_log_comes_from_a_bucket_with_the_identity_that_github_gives_the_job_and_its_secret_stays_there(
    tmp_path: Path,
):
    (command,) = re.findall(r"ASSAY_MONITOR --body '\n(curl.*?)'\n", page("how-to/monitor.md"), re.DOTALL)
    asked: list[tuple[str, str | None]] = []

    class Identity(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"count": 1, "value": "a.signed.token"}')

        def log_message(self, *_: Any) -> None: ...

    # A stand-in of the AWS CLI: tried with the real one, and services on this machine, it signs in and copies.
    tool = tmp_path / "aws"
    tool.write_text('#!/bin/sh\necho "$AWS_ROLE_ARN" "$@"; cat "$AWS_WEB_IDENTITY_TOKEN_FILE"\n')
    tool.chmod(0o755)
    with HTTPServer(("127.0.0.1", 0), Identity) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        given = {
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "bearer of the job",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?api-version=2",
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "RUNNER_TEMP": str(tmp_path),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", command], env=given, capture_output=True, text=True, check=True
        )
        server.shutdown()
    assert asked == [("/token?api-version=2&audience=sts.amazonaws.com", "bearer bearer of the job")]
    assert done.stdout == (
        "arn:aws:iam::123456789012:role/log s3 sync --quiet --exclude secret s3://BUCKET/monitoring monitoring\n"
        "a.signed.token"
    )
