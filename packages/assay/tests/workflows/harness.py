"""Runs the workflows of a repository as GitHub's runners do, each job from a fresh clone, without GitHub.

Parser, schema and evaluator of expressions are GitHub's own; the few actions that the workflows use are stood in for,
and any other is an error. What cannot be run, as schedules and concurrency, is asserted on the files.
"""

import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from workflows.github import REPOSITORY, GitHub, archive
from workflows.language import Language

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS = re.compile(r"\b(success|failure|always|cancelled)\s*\(")
# Shells as GitHub starts them: the one that is not named, and `bash`.
SHELLS = {None: ["bash", "-e"], "bash": ["bash", "--noprofile", "--norc", "-eo", "pipefail"]}


@dataclass
class Step:
    """A step that ran or was passed over."""

    name: str
    outcome: str
    conclusion: str
    log: str = ""
    seconds: float = 0.0
    # The seconds of processors that its processes took.
    work: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    """A job: its result, what it hands on, and its steps."""

    result: str
    outputs: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    permissions: dict[str, str] = field(default_factory=dict)

    def step(self, name: str) -> Step:
        """Return the step of a name."""
        return next(one for one in self.steps if one.name == name)

    def log(self) -> str:
        """Return all that the steps printed."""
        return "".join(f"--- {one.name}: {one.outcome}\n{one.log}" for one in self.steps)


@dataclass
class Ran:
    """A workflow that ran."""

    number: int
    jobs: dict[str, Job]

    @property
    def conclusion(self) -> str:
        """The worst of the jobs."""
        results = {job.result for job in self.jobs.values()}
        return next((one for one in ("failure", "cancelled") if one in results), "success")

    def log(self) -> str:
        """Return all that was printed."""
        return "".join(f"=== {name}: {job.result}\n{job.log()}" for name, job in self.jobs.items())


@dataclass
class Trigger:
    """What started a workflow, and from which commit its file is taken."""

    event: str
    payload: dict[str, Any]
    sha: str
    ref: str
    is_fork: bool = False


@dataclass
class Environment:
    """What the owner has set for the jobs of an environment, and whether they wait for somebody to let them run."""

    variables: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    waits: bool = False


@dataclass
class Runner:
    """Runs workflows of the repository that a stand-in of GitHub keeps.

    `path` is the PATH of the steps, `environment` what they see besides what GitHub sets, and `prepared` fills the
    folder of a cache whose key starts with a name, as if an earlier run had saved it. `hanging` are the steps, by name,
    that never end: each fails at its time-out, and without one the job is cancelled at its own.
    """

    hub: GitHub
    language: Language
    folder: Path
    path: str
    environment: dict[str, str] = field(default_factory=dict)
    prepared: dict[str, Callable[[Path], object]] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)
    environments: dict[str, Environment] = field(default_factory=dict)
    hanging: set[str] = field(default_factory=set)

    def run(self, workflow: str, trigger: Trigger) -> Ran:
        """Run a workflow as it stands at the commit of the trigger; raises ValueError where GitHub would refuse it."""
        text = self.hub.run_git("show", f"{trigger.sha}:.github/workflows/{workflow}")
        if faults := self.language.faults(workflow, text):
            raise ValueError(f"{workflow}: {'; '.join(faults)}")
        file = YAML(typ="safe").load(text)
        if trigger.event not in file["on"]:
            raise ValueError(f"{workflow} is not started by {trigger.event}")
        ran = Ran(self.hub.next_id(), {})
        waiting = dict(file["jobs"])
        while waiting:
            name = next(name for name, job in waiting.items() if set(_list(job.get("needs"))) <= ran.jobs.keys())
            ran.jobs[name] = self._job(name, waiting.pop(name), file, trigger, ran)
        return ran

    def _job(self, name: str, job: dict[str, Any], file: dict[str, Any], trigger: Trigger, ran: Ran) -> Job:
        needed = {one: ran.jobs[one] for one in _list(job.get("needs"))}
        results = {one.result for one in needed.values()}
        # A job that was passed over passes over those that need it.
        state = next((one for one in ("failure", "cancelled") if one in results), "success")
        if state == "success" and results - {"success"}:
            state = "skipped"
        context = {
            "github": self._github(file, name, trigger, ran, ""),
            "needs": {one: {"result": found.result, "outputs": found.outputs} for one, found in needed.items()},
            "vars": self.variables,
            "inputs": trigger.payload.get("inputs") or {},
        }
        if not self._holds(job.get("if"), context, state, Path()):
            return Job("skipped")
        if self._of(job).waits:
            return Job("waiting")
        matrix = (job.get("strategy") or {}).get("matrix") or {}
        made = [
            self._run_job(name, job, file, trigger, ran, context | {"matrix": dict(zip(matrix, values, strict=True))})
            for values in product(*matrix.values())
        ]
        worst = next((one for one in made if one.result != "success"), made[-1])
        return Job(
            worst.result, worst.outputs, [step for one in made for step in one.steps], worst.summary, worst.permissions
        )

    def _of(self, job: dict[str, Any]) -> Environment:
        return self.environments.get(job.get("environment", ""), Environment())

    def _run_job(
        self, name: str, job: dict[str, Any], file: dict[str, Any], trigger: Trigger, ran: Ran, context: dict[str, Any]
    ) -> Job:
        permissions = job.get("permissions", file.get("permissions")) or {}
        if trigger.is_fork:
            permissions = {one: "read" for one, level in permissions.items() if level != "none"}
        token = self.hub.token(permissions)
        place = self.folder / f"run-{ran.number}-{name}-{len(self.hub.tokens)}"
        inside = _Inside(self, place, trigger, ran, permissions)
        context = context | {
            "github": self._github(file, name, trigger, ran, token) | {"workspace": str(inside.workspace)},
            "runner": {"os": "Linux", "arch": "X64", "temp": str(inside.temp), "name": "stand-in"},
            "secrets": {"GITHUB_TOKEN": token, **self._of(job).secrets},
            "vars": self.variables | self._of(job).variables,
            "env": {},
        }
        inside.environment = self._environment(inside, context["github"]) | {
            one: self._filled(value, context, inside.workspace)
            for one, value in ((file.get("env") or {}) | (job.get("env") or {})).items()
        }
        steps, state, found = inside.steps(job["steps"], context, "success")
        outputs = {
            one: self._filled(value, context | {"steps": found}, inside.workspace)
            for one, value in (job.get("outputs") or {}).items()
        }
        return Job(state, outputs, steps, inside.summary(), permissions)

    def _github(self, file: dict[str, Any], job: str, trigger: Trigger, ran: Ran, token: str) -> dict[str, Any]:
        return {
            "event": trigger.payload,
            "event_name": trigger.event,
            "sha": trigger.sha,
            "ref": trigger.ref,
            "ref_name": trigger.ref.removeprefix("refs/heads/"),
            "repository": REPOSITORY,
            "repository_owner": REPOSITORY.partition("/")[0],
            "run_id": str(ran.number),
            "server_url": self.hub.url,
            "api_url": self.hub.url,
            "workflow": file["name"],
            "job": job,
            "actor": "ann",
            "token": token,
        }

    def _environment(self, inside: "_Inside", github: dict[str, Any]) -> dict[str, str]:
        names = (
            "event_name",
            "sha",
            "ref",
            "repository",
            "repository_owner",
            "run_id",
            "server_url",
            "api_url",
            "actor",
        )
        return {
            "PATH": self.path,
            "HOME": str(inside.home),
            "LANG": "C.UTF-8",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_EVENT_PATH": str(inside.event),
            "GITHUB_WORKSPACE": str(inside.workspace),
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": "X64",
            "RUNNER_TEMP": str(inside.temp),
            **{f"GITHUB_{one.upper()}": str(github[one]) for one in names},
            **{one: value.replace("{workspace}", str(inside.workspace)) for one, value in self.environment.items()},
        }

    def _evaluated(self, expression: str, context: dict[str, Any], state: str, workspace: Path) -> dict[str, Any]:
        hashes = {}
        for call in re.findall(r"hashFiles\(([^)]*)\)", expression):
            patterns = re.findall(r"'([^']*)'", call)
            hashes["\n".join(patterns)] = _hash(workspace, patterns)
        answer: dict[str, Any] = self.language.ask(
            "evaluate", expression=expression.strip(), context=context, state=state, hashes=hashes
        )
        return answer

    def _filled(self, text: Any, context: dict[str, Any], workspace: Path) -> str:
        """Return a text with its expressions evaluated."""
        if not isinstance(text, str):
            return json.dumps(text)
        return EXPRESSION.sub(lambda found: self._evaluated(found[1], context, "success", workspace)["text"], text)

    def _holds(self, condition: Any, context: dict[str, Any], state: str, workspace: Path) -> bool:
        text = (
            "success()" if condition is None else str(condition).lower() if isinstance(condition, bool) else condition
        )
        whole = EXPRESSION.fullmatch(text.strip())
        expression = whole[1] if whole else text
        if not STATUS.search(expression):
            expression = f"success() && ({expression})"
        return not self._evaluated(expression, context, state, workspace)["falsy"]


class _Inside:
    """The machine of one job."""

    def __init__(self, runner: Runner, place: Path, trigger: Trigger, ran: Ran, permissions: dict[str, str]) -> None:
        self.runner, self.trigger, self.ran = runner, trigger, ran
        self.workspace, self.temp, self.home = place / "work", place / "temp", place / "home"
        for folder in (self.workspace, self.temp, self.home):
            folder.mkdir(parents=True)
        self.event = place / "event.json"
        self.event.write_text(json.dumps(trigger.payload), encoding="utf-8")
        self.environment: dict[str, str] = {}
        self.summaries: list[Path] = []
        self.permissions = permissions

    def steps(
        self, listed: list[dict[str, Any]], context: dict[str, Any], state: str
    ) -> tuple[list[Step], str, dict[str, Any]]:
        """Run steps one after the other; return them, what they came to, and the context of their outputs."""
        made: list[Step] = []
        found: dict[str, Any] = {}
        for step in listed:
            name = step.get("name") or step.get("uses") or step["run"]
            if name in self.runner.hanging and "timeout-minutes" not in step:
                # Its steps that run whatever happened have no time left.
                return [*made, Step(name, "cancelled", "cancelled")], "cancelled", found
            here = context | {"steps": found, "env": self.environment}
            if not self.runner._holds(step.get("if"), here, state, self.workspace):
                made.append(Step(name, "skipped", "skipped"))
            else:
                made.append(self._step(name, step, here))
                if made[-1].conclusion == "failure":
                    state = "failure"
            if "id" in step:
                one = made[-1]
                found[step["id"]] = {"outputs": one.outputs, "outcome": one.outcome, "conclusion": one.conclusion}
        return made, state, found

    def _step(self, name: str, step: dict[str, Any], context: dict[str, Any]) -> Step:
        def fill(values: Mapping[str, Any] | None) -> dict[str, str]:
            return {one: self.runner._filled(value, context, self.workspace) for one, value in (values or {}).items()}

        environment = self.environment | fill(step.get("env"))
        began, worked = time.monotonic(), processor_seconds()
        if name in self.runner.hanging:
            succeeded, log, outputs = False, f"timed out after {step['timeout-minutes']} minutes\n", {}
        elif "run" in step:
            command = self.runner._filled(step["run"], context, self.workspace)
            succeeded, log, outputs = self._shell(command, step.get("shell"), environment)
        else:
            succeeded, log, outputs = self._action(step["uses"], fill(step.get("with")), context)
        outcome = "success" if succeeded else "failure"
        conclusion = "success" if step.get("continue-on-error") is True else outcome
        return Step(name, outcome, conclusion, log, time.monotonic() - began, processor_seconds() - worked, outputs)

    def _shell(self, command: str, shell: str | None, environment: dict[str, str]) -> tuple[bool, str, dict[str, str]]:
        files = {one: self.temp / f"_{one}_{len(self.summaries)}" for one in ("OUTPUT", "ENV", "PATH", "STEP_SUMMARY")}
        for file in files.values():
            file.touch()
        self.summaries.append(files["STEP_SUMMARY"])
        script = self.temp / f"_script_{len(self.summaries)}.sh"
        script.write_text(command, encoding="utf-8")
        done = subprocess.run(
            [*SHELLS[shell], str(script)],
            cwd=self.workspace,
            env=environment | {f"GITHUB_{one}": str(file) for one, file in files.items()},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        self.environment |= _pairs(files["ENV"])
        for line in files["PATH"].read_text(encoding="utf-8").split():
            self.environment["PATH"] = f"{line}{os.pathsep}{self.environment['PATH']}"
        return done.returncode == 0, done.stdout, _pairs(files["OUTPUT"])

    def _action(self, uses: str, given: dict[str, str], context: dict[str, Any]) -> tuple[bool, str, dict[str, str]]:
        if uses.startswith("./"):
            return self._composite(uses, given, context)
        outputs = ACTIONS[uses.partition("@")[0]](self, given)
        return True, "", outputs

    def _composite(self, uses: str, given: dict[str, str], context: dict[str, Any]) -> tuple[bool, str, dict[str, str]]:
        file = YAML(typ="safe").load((self.workspace / uses / "action.yml").read_text(encoding="utf-8"))
        unknown = given.keys() - file["inputs"].keys()
        assert not unknown, f"{uses} has no input {unknown}"
        inputs = {one: str(about.get("default") or "") for one, about in file["inputs"].items()} | given
        made, state, _ = self.steps(file["runs"]["steps"], context | {"inputs": inputs}, "success")
        return state == "success", "".join(f"- {one.name}: {one.outcome}\n{one.log}" for one in made), {}

    def summary(self) -> str:
        """Return what the steps wrote for the page of the run."""
        return "".join(file.read_text(encoding="utf-8") for file in self.summaries)

    # A cache of a pull request is seen by no other, and that of main by all.
    def _caches(self) -> list[Path]:
        root = self.runner.folder / "caches"
        return [root / re.sub(r"\W", "_", ref) for ref in dict.fromkeys((self.trigger.ref, "refs/heads/main"))]

    def save(self, key: str, path: Path) -> None:
        kept = self._caches()[0] / key
        if path.exists() and not kept.exists():
            shutil.copytree(path, kept, symlinks=True)

    def restore(self, key: str, others: list[str], path: Path) -> str | None:
        for prefix, fill in self.runner.prepared.items():
            if key.startswith(prefix):
                fill(path)
                return key
        for wanted in (key, *others):
            for scope in self._caches():
                listed = sorted(scope.glob("*"), key=lambda one: one.stat().st_mtime_ns) if scope.exists() else []
                kept = [one for one in listed if (one.name == key if wanted == key else one.name.startswith(wanted))]
                if kept:
                    shutil.copytree(kept[-1], path, symlinks=True, dirs_exist_ok=True)
                    return kept[-1].name
        return None


def _checkout(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    assert given["persist-credentials"] == "false"
    ref, whole = given.get("ref") or inside.trigger.sha, given.get("fetch-depth") == "0"

    def git(*arguments: str) -> None:
        environment = {"PATH": os.environ["PATH"], "HOME": str(inside.home)}
        subprocess.run(["git", *arguments], cwd=inside.workspace, env=environment, check=True, capture_output=True)

    git("init", "--quiet", ".")
    # Git reads objects from the hub's folder instead of receiving a pack. `fetch-depth` still decides how much history
    # it sees.
    (inside.workspace / ".git/objects/info/alternates").write_text(f"{inside.runner.hub.git}/objects\n")
    git("remote", "add", "origin", inside.runner.hub.git.as_uri())
    if whole:
        git("fetch", "--quiet", "origin", "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*", ref)
    else:
        git("fetch", "--quiet", "--depth=1", "origin", ref)
    git("checkout", "--quiet", "--detach", ref)
    return {}


def _setup_python(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    return {"python-version": given["python-version"]}


def _restore(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    found = inside.restore(given["key"], given.get("restore-keys", "").split(), inside.workspace / given["path"])
    return {
        "cache-hit": str(found == given["key"]).lower(),
        "cache-matched-key": found or "",
        "cache-primary-key": given["key"],
    }


def _save(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    inside.save(given["key"], inside.workspace / given["path"])
    return {}


def _upload(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    patterns = given["path"].split()
    files = sorted({path for one in patterns for path in inside.workspace.glob(one) if path.is_file()})
    if not files:
        assert given["if-no-files-found"] == "ignore", f"{given['name']}: no files"
        return {}
    # Names begin where the searched folders part.
    searched = [PurePosixPath(one).parent if "*" in one else PurePosixPath(one) for one in patterns]
    root = inside.workspace / (os.path.commonpath(searched) if len(searched) > 1 else searched[0].parent)
    content = {path.relative_to(root).as_posix(): path.read_bytes() for path in files}
    inside.runner.hub.upload(inside.ran.number, given["name"], archive(content))
    return {}


def _download(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    found = [data for about, data in inside.runner.hub.artifacts[inside.ran.number] if about["name"] == given["name"]]
    with zipfile.ZipFile(io.BytesIO(found[-1])) as file:
        file.extractall(inside.workspace / given.get("path", ""))
    return {}


def _attest(inside: _Inside, given: dict[str, str]) -> dict[str, str]:
    for right in ("attestations", "id-token", "packages"):
        assert inside.permissions.get(right) == "write", f"nothing can be signed without {right}"
    # It names the commit on which the workflow runs, whatever was checked out.
    inside.runner.hub.attested.append((given["subject-name"], given["subject-digest"], inside.trigger.sha))
    return {}


ACTIONS: dict[str, Callable[[_Inside, dict[str, str]], dict[str, str]]] = {
    "actions/attest-build-provenance": _attest,
    "actions/checkout": _checkout,
    "actions/dependency-review-action": lambda inside, given: {},
    "actions/download-artifact": _download,
    "actions/setup-python": _setup_python,
    "actions/cache/restore": _restore,
    "actions/cache/save": _save,
    "actions/upload-artifact": _upload,
}


def processor_seconds() -> float:
    """Return the seconds of processors that all processes took that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def _list(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)


def _hash(workspace: Path, patterns: list[str]) -> str:
    files = sorted({path for one in patterns for path in workspace.glob(one) if path.is_file()})
    digests = b"".join(hashlib.sha256(path.read_bytes()).digest() for path in files)
    return hashlib.sha256(digests).hexdigest() if files else ""


def _pairs(file: Path) -> dict[str, str]:
    """Read a file of GITHUB_OUTPUT or GITHUB_ENV: `name=value`, or `name<<END` with lines until END."""
    found: dict[str, str] = {}
    lines = iter(file.read_text(encoding="utf-8").splitlines())
    for line in lines:
        if (split := re.match(r"(\w+)<<(.+)", line)) is not None:
            rest: list[str] = []
            for one in lines:
                if one == split[2]:
                    break
                rest.append(one)
            found[split[1]] = "\n".join(rest)
        else:
            name, _, value = line.partition("=")
            found[name] = value
    return found
