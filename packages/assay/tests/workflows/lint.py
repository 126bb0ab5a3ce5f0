"""What is wrong with the workflows, a line each: by GitHub's language service, zizmor, shellcheck, schemas, own rules.

    python packages/assay/tests/workflows/lint.py [FOLDER]

for the project in a folder, by default this one. Exit status 1 if there is anything.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

HERE = Path(__file__).parents[4]
sys.path.insert(0, str(Path(__file__).parents[1]))

from npm import NotHereError  # noqa: E402
from workflows.language import language  # noqa: E402

RUNNERS = {"ubuntu-24.04"}
# The owner may name another machine, for all but forks.
OWN_RUNNER = (
    "${{ fromJSON((github.event.pull_request.head.repo.full_name || github.repository) == github.repository"
    " && vars.ASSAY_RUNNER || '[\"ubuntu-24.04\"]') }}"
)
# Which version of each action is used, and which inputs it has.
PINS = Path(__file__).with_name("pins.json")
# What the documentation tells of; any other name is a slip.
NAMES = {
    "secrets": ["ASSAY_API_KEY", "DEPLOY_KEY", "GITHUB_TOKEN", "LOG_KEY"],
    "vars": [
        "ASSAY_ATTEST",
        "ASSAY_DEPLOY",
        "ASSAY_MONITOR",
        "ASSAY_NIGHTLY",
        "ASSAY_RELEASE",
        "ASSAY_RUNNER",
        "ASSAY_UPDATES",
        "DEPLOY_HOST",
        "DEPLOY_KNOWN_HOSTS",
        "DEPLOY_LISTEN",
    ],
}
# The language service does not know what a merge queue sends.
UNKNOWN = {"Context access might be invalid: merge_group"}
SCHEMAS = {
    "vendor.dependabot": "dependabot.yml",
    "vendor.github-workflows": "workflows/*.yml",
    "vendor.github-actions": "actions/*/action.yml",
    "vendor.github-issue-forms": "ISSUE_TEMPLATE/*.yml",
}
RETIRED = r"::(set-output|save-state|set-env|add-path)\b"
# No ruleset asks for the checks of these.
UNASKED = {"package-ci"}
# One command that a person can type too: no list of them, and no control flow. Output may go to a file.
SEVERAL = r"\n|;|&&|\|"


def findings(root: Path) -> Iterator[str]:
    """Yield what is wrong in `.github` of a project."""
    github = root / ".github"
    pins = json.loads(PINS.read_text(encoding="utf-8"))
    texts = {
        path.relative_to(root).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted([*github.glob("workflows/*"), *github.glob("actions/*/*")])
    }
    files: dict[str, Any] = {}
    for name, text in texts.items():
        try:
            files[name] = YAML(typ="safe").load(text)
        except YAMLError as error:
            yield f"{name}: {' '.join(str(error).split())}"
    for name, file in files.items():
        if not isinstance(file, dict):
            yield f"{name}: holds no keys"
            continue
        yield from (f"{name}: {said}" for said in _workflow(file) if "/workflows/" in name)
        yield from (f"{name}: {said}" for said in _steps(file, root))
        yield from (f"{name}: {said}" for said in _shell(file))
    for name, text in texts.items():
        yield from (f"{name}: {said}" for said in _pins(text, pins))
        if "/actions/" in name and isinstance(files.get(name), dict):
            known = files[name].get("inputs") or {}
            yield from (
                f"{name}: has no input {one}" for one in re.findall(r"inputs\.([\w-]+)", text) if one not in known
            )
        if found := re.search(RETIRED, text):
            yield f"{name}: {found[0]} is no longer understood"
    yield from _unused(texts, pins)
    yield from _schemas(github)
    yield from _zizmor(root)
    try:
        yield from _language(texts, pins)
    except NotHereError as error:
        # Continuous integration has npm; whoever only edits a page need not.
        if "CI" in os.environ:
            yield str(error)
        sys.stderr.write(f"lint: {error}: GitHub's language service was not asked\n")


def jobs(file: Any) -> dict[str, Any]:
    """Return the jobs of a workflow, none where there are none."""
    found = file.get("jobs")
    return (
        {name: job for name, job in (found or {}).items() if isinstance(job, dict)} if isinstance(found, dict) else {}
    )


def steps(file: Any) -> list[dict[str, Any]]:
    """Return all steps of a workflow or of a composite action."""
    lists = [job.get("steps") for job in jobs(file).values()] + [(file.get("runs") or {}).get("steps")]
    return [step for found in lists if isinstance(found, list) for step in found if isinstance(step, dict)]


def _workflow(file: dict[str, Any]) -> Iterator[str]:
    if file.get("permissions") != {}:
        yield "permissions: {} is missing: rights are given by job"
    if "group" not in (file.get("concurrency") or {}):
        yield "concurrency.group is missing"
    triggers = file.get("on")
    if isinstance(triggers, dict):
        if "pull_request_target" in triggers:
            yield "pull_request_target runs with rights on what a stranger wrote"
        for name, how in triggers.items():
            if file.get("name") not in UNASKED and isinstance(how, dict) and {"paths", "paths-ignore"} & set(how):
                yield f"on.{name}.paths: a check that is asked for would never come"
    for name, job in jobs(file).items():
        if "timeout-minutes" not in job:
            yield f"jobs.{name}: timeout-minutes is missing"
        if "permissions" not in job:
            yield f"jobs.{name}: permissions is missing"
        # Labels of an own runner may be a list.
        if str(job.get("runs-on")) not in RUNNERS | {OWN_RUNNER}:
            yield f"jobs.{name}: runs-on is none of {', '.join(sorted(RUNNERS))}"
        # 3.10 without quotes is 3.1.
        versions = ((job.get("strategy") or {}).get("matrix") or {}).get("python") or []
        if any(not isinstance(version, str) for version in versions):
            yield f"jobs.{name}: versions of Python are not in quotes"


def _steps(file: dict[str, Any], root: Path) -> Iterator[str]:
    for step in steps(file):
        uses, run = step.get("uses", ""), step.get("run", "")
        action = root / uses / "action.yml"
        if uses.startswith("./") and not action.exists():
            yield f"{uses}: there is no such action"
        elif uses.startswith("./"):
            known = YAML(typ="safe").load(action.read_text(encoding="utf-8")).get("inputs") or {}
            yield from (f"{uses}: has no input {one}" for one in step.get("with") or {} if one not in known)
        if uses.startswith("actions/checkout@") and (step.get("with") or {}).get("persist-credentials") is not False:
            yield "actions/checkout leaves the token on disk: persist-credentials is not false"
        if "${{" in run:
            yield f"run: {run.splitlines()[0]}: an expression becomes code there; pass it through env"
        if re.search(SEVERAL, run.strip()):
            yield f"run: {run.splitlines()[0]}: is more than one command"
        if found := re.match(r"make ([a-z-]+)", run):
            makefiles = [root / "Makefile", *root.glob("packages/assay/package.mk")]
            text = "".join(path.read_text(encoding="utf-8") for path in makefiles)
            targets = re.findall(r"^([a-z-]+):", text, re.MULTILINE)
            if found[1] not in targets:
                yield f"run: {run}: there is no target {found[1]}"


def _pins(text: str, pins: dict[str, Any]) -> Iterator[str]:
    for used in re.findall(r"^[^#\n]*\buses: *(\S+) *(#.*)?$", text, re.MULTILINE):
        uses, comment = used
        if uses.startswith("./"):
            continue
        action, _, commit = uses.partition("@")
        pin = pins.get("/".join(action.split("/")[:2]))
        if pin is None:
            yield f"{action}: is not in {PINS.name}"
        elif commit != pin["commit"] or comment != f"# {pin['version']}":
            yield f"{uses} {comment}: {PINS.name} has {pin['commit']} # {pin['version']}"


def _unused(texts: dict[str, str], pins: dict[str, Any]) -> Iterator[str]:
    used = "".join(texts.values())
    yield from (f"{PINS.name}: {name}: is not used" for name in pins if name not in used)


def _shell(file: dict[str, Any]) -> Iterator[str]:
    for run in dict.fromkeys(step["run"] for step in steps(file) if isinstance(step.get("run"), str)):
        done = _run("shellcheck", "--shell=bash", "--format=gcc", "-", given=run)
        yield from (f"run: {run.splitlines()[0]}: {line.partition(': ')[2]}" for line in done.stdout.splitlines())


def _schemas(github: Path) -> Iterator[str]:
    for schema, pattern in SCHEMAS.items():
        found = [str(path) for path in sorted(github.glob(pattern))]
        done = (
            _run("check-jsonschema", "--builtin-schema", schema, "--output-format", "json", *found) if found else None
        )
        if done and done.returncode:
            said = json.loads(done.stdout)
            for one in [*said.get("errors", []), *said.get("parse_errors", [])]:
                yield f"{Path(one['filename']).relative_to(github.parent)}: {one.get('message', 'is no YAML')}"


def _zizmor(root: Path) -> Iterator[str]:
    done = _run("zizmor", "--offline", "--strict-collection", "--quiet", "--format=json", ".github", cwd=root)
    try:
        found = json.loads(done.stdout)
    except ValueError:
        yield f"zizmor: could not read all of it: {' '.join(done.stderr.partition('Stack backtrace')[0].split())}"
        return
    for one in found:
        if not one["ignored"]:
            place = one["locations"][0]
            line = place["concrete"]["location"]["start_point"]["row"] + 1
            file = (place["symbolic"]["key"].get("Local") or {}).get("verbatim_path", ".github")
            yield f"{file}:{line}: {one['desc']} (zizmor {one['ident']})"


def _language(texts: dict[str, str], pins: dict[str, Any]) -> Iterator[str]:
    inputs = {name: {one: {"description": ""} for one in pin["inputs"]} for name, pin in pins.items()}
    # The parts of an action are actions by themselves.
    inputs |= {
        f"actions/cache/{part}": inputs["actions/cache"] for part in ("restore", "save") if "actions/cache" in inputs
    }
    with language() as asked:
        for name, text in texts.items():
            for line, said in asked.ask("validate", name=name, text=text, actions=inputs, names=NAMES):
                if said not in UNKNOWN:
                    yield f"{name}:{line}: {said}"


def _run(*command: str, given: str = "", cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    # The tools lie beside the Python that runs this.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        command, input=given, capture_output=True, text=True, check=False, cwd=cwd, env=os.environ | {"PATH": path}
    )


if __name__ == "__main__":
    said = list(findings(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE))
    print("\n".join(said) or "workflows: nothing is wrong")  # noqa: T201
    sys.exit(bool(said))
