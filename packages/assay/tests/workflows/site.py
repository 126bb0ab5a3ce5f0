"""A project on GitHub, what runs its workflows, and where somebody works on it."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from scenario.project import SOURCE, Project, clone, make_environment
from workflows.github import REPOSITORY, GitHub
from workflows.harness import Ran, Runner, Trigger
from workflows.language import Language

TOOLS = SOURCE / "packages/assay/tests/workflows/tools"
HOME = {"full_name": REPOSITORY, "default_branch": "main", "is_template": False}
PR, BRANCH, FORK = 4, "ann/more-noise", "eve/ward"


@dataclass
class Site:
    """A project on GitHub, what runs its workflows, and where somebody works on it."""

    hub: GitHub
    runner: Runner
    work: Project
    main: str

    def push(self, branch: str = BRANCH, message: str = "A change", *, number: int = PR, fork: bool = False) -> str:
        """Commit what was changed and push it to a branch with a pull request; return the commit."""
        self.work.ok("git", "add", "--all")
        self.work.ok("git", "commit", "--quiet", "--allow-empty", "--message", message)
        head = self.work.ok("git", "rev-parse", "HEAD").strip()
        # GitHub keeps the head of every pull request, of forks too.
        refs = [f"HEAD:refs/pull/{number}/head", *([] if fork else [f"HEAD:refs/heads/{branch}"])]
        self.work.ok("git", "push", "--quiet", "--force", str(self.hub.git), *refs)
        for one in self.hub.pulls:
            if one["number"] == number:
                one["head"]["sha"] = head
                return head
        self.hub.open_pull(number, branch, head, FORK if fork else REPOSITORY)
        return head

    def train(self, head: str, *, number: int = PR, fork: bool = False) -> Ran:
        """Run train.yml for the pull request."""
        return self._of_pull_request("train.yml", head, number, fork=fork)

    def check(self, head: str, *, number: int = PR, fork: bool = False) -> Ran:
        """Run ci.yml for the pull request."""
        return self._of_pull_request("ci.yml", head, number, fork=fork)

    def _of_pull_request(self, workflow: str, head: str, number: int, *, fork: bool) -> Ran:
        source = {"full_name": FORK if fork else REPOSITORY, "fork": fork}
        pull = {"number": number, "head": {"sha": head, "repo": source}, "base": {"sha": self.main, "ref": "main"}}
        event = {"number": number, "pull_request": pull, "repository": HOME}
        # What GitHub starts is of neither the head nor main, but of what a merge of the two would be.
        names = {f"GIT_{role}_{what}": "ann@x" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        parents = ["-p", self.main, "-p", head]
        merge = self.hub.run_git("commit-tree", f"{head}^{{tree}}", *parents, "-m", "Merge", **names)
        ref = f"refs/pull/{number}/merge"
        self.hub.run_git("update-ref", ref, merge)
        return self.runner.run(workflow, Trigger("pull_request", event, merge, ref, fork))

    def push_to_main(self) -> Trigger:
        """Commit what was changed to main; return what that starts."""
        self.work.ok("git", "commit", "--quiet", "--all", "--message", "Merged")
        self.work.ok("git", "push", "--quiet", str(self.hub.git), "HEAD:refs/heads/main")
        head = self.work.ok("git", "rev-parse", "HEAD").strip()
        return Trigger("push", {"before": self.main, "repository": HOME}, head, "refs/heads/main")

    def about(
        self, number: int, head: str, *, fork: bool = False, branch: str = BRANCH, event: str = "pull_request"
    ) -> dict[str, Any]:
        """Return what GitHub says of a run of train.yml."""
        source = FORK if fork else REPOSITORY
        return {
            "id": number,
            "html_url": f"https://github.com/{REPOSITORY}/actions/runs/{number}",
            "event": event,
            "conclusion": "success",
            "workflow_id": 1,
            "actor": {"login": "ann"},
            "head_sha": head,
            "head_branch": branch,
            "head_repository": {"full_name": source, "owner": {"login": source.partition("/")[0]}},
        }

    def tell(self, number: int, head: str, conclusion: str | None = "success", **origin: Any) -> Ran:
        """Run report.yml for a finished run of train.yml, or for a started one if the conclusion is empty."""
        run = self.about(number, head, **origin) | {"conclusion": conclusion}
        action = "completed" if conclusion else "in_progress"
        payload = {"action": action, "workflow_run": run, "repository": HOME}
        main = self.hub.run_git("rev-parse", "refs/heads/main")
        return self.runner.run("report.yml", Trigger("workflow_run", payload, main, "refs/heads/main"))


def make_site(project: Project, folder: Path, language: Language) -> Site:
    """Put a finished project on the main branch of a GitHub in a folder; its caches are those of the last run."""

    def packages(path: Path) -> None:
        make_environment(path, project.commands)

    def results(path: Path) -> None:
        shutil.copytree(project.root / ".dvc/cache", path, dirs_exist_ok=True)

    git = folder / "remote.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", project.root, git], check=True, capture_output=True)
    hub = GitHub(git)
    hub.run_git("config", "uploadpack.allowAnySHA1InWant", "true")
    work = clone(replace(project, root=git), folder / "clone")
    places = [str(TOOLS), str(Path(sys.executable).parent), os.environ["PATH"]]
    seen = {
        # Assay is installed, and compiled, as in a copy.
        "PYTHONPATH": f"{project.root}/packages/assay/src:{{workspace}}/src",
        "OMP_NUM_THREADS": "1",
        "DVC_SITE_CACHE_DIR": str(folder / "dvc"),
        "NO_PROXY": "127.0.0.1,localhost",
        # These runs share the environment of the tests. If the clock is set back, its stamps look older than the
        # checkout, and set-up would install a clone's Assay into it.
        "PIP_DRY_RUN": "1",
    }
    prepared = {"venv-": packages, "dvc-": results}
    runner = Runner(hub, language, folder / "runs", os.pathsep.join(places), seen, prepared)
    return Site(hub, runner, work, hub.run_git("rev-parse", "refs/heads/main"))
