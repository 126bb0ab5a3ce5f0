"""The work between a push and what may be merged, and of a night, as the harness of the tests runs the workflows.

That is all that the ruleset of main asks for: the checks of ci.yml, and the status that train.yml and report.yml give.

    python packages/assay/bench/pushes.py [pages] [nothing] [params]

by default for all three changes of the default project: of a page, of nothing, of a parameter. Caches are warm. What
GitHub itself takes (starting machines, fetching and saving caches) is not in it.

It prints seconds that passed, and seconds of processors: those hardly depend on what else the machine does. At the end
are the minutes that GitHub bills if one processor does the work: each job in whole minutes.
"""

import math
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from scenario.project import Project, clone, make_template
from workflows.github import running
from workflows.harness import Ran, Trigger, processor_seconds
from workflows.language import Language, language
from workflows.site import HOME, Site, make_site

# The seconds that each may take.
CHANGES = {"pages": 60, "nothing": 60, "params": 240}


def change(site: Site, kind: str) -> None:
    """Change something in the clone."""
    match kind:
        case "pages":
            site.work.append("docs/data.md", "\nOne more line.\n")
        case "params":
            site.work.set_params(model__parameters__C=0.5)


# Says that train runs: nobody waits for it.
BEGUN = "report of the start"


def runs(site: Site, head: str) -> list[tuple[str, Ran]]:
    """Run what a pushed change starts, until it may be merged; return the runs by the names of their workflows."""
    train = site.train(head)
    made = [("train", train), (BEGUN, site.tell(train.number, head, None)), ("report", site.tell(train.number, head))]
    made.append(("ci", site.check(head)))
    if not site.hub.reports(4):
        raise SystemExit("".join(ran.log() for _, ran in made))
    # The commit that brings the refreshed dvc.lock is another head, and has to be checked too.
    for workflow, branch in site.hub.dispatched:
        refreshed = site.hub.run_git("rev-parse", f"refs/heads/{branch}")
        event = Trigger("workflow_dispatch", {"repository": HOME}, refreshed, f"refs/heads/{branch}")
        made.append((f"{workflow.removesuffix('.yml')} 2", site.runner.run(workflow, event)))
    for name, ran in made:
        if name.startswith("ci") and ran.conclusion != "success":
            raise SystemExit(ran.log())
    return made


def measure(project: Project, folder: Path, kind: str, asked: Language) -> None:
    """Print what each step took, and the sums."""
    site = make_site(project, folder, asked)
    with running(site.hub):
        change(site, kind)
        head = site.push()
        made = runs(site, head)
    total = work = 0.0
    billed: dict[str, int] = {}
    for workflow, ran in made:
        for job, about in ran.jobs.items():
            # GitHub bills for private repositories, where it does not know vulnerabilities of packages.
            if about.result == "skipped" or job == "packages":
                continue
            for step in about.steps:
                # Actions are stood in for; what takes time is what is run.
                if step.seconds >= 0.05:
                    print(f"  {workflow:8} {job:7} {step.seconds:7.1f} s {step.work:7.1f} s  {step.name}")
            seconds = sum(step.work for step in about.steps)
            name = workflow.partition(" ")[0]
            billed[name] = billed.get(name, 0) + max(1, math.ceil(seconds / 60))
            if workflow != BEGUN:
                total, work = total + sum(step.seconds for step in about.steps), work + seconds
    listed = ", ".join(f"{minutes} of {name}" for name, minutes in billed.items())
    print(
        f"{kind}: {total:.1f} s of {CHANGES[kind]} s passed, {work:.1f} s of processors; status {site.hub.state(head)}"
    )
    print(f"{kind}: {sum(billed.values())} minutes: {listed}\n", flush=True)


def main() -> None:
    """Measure the changes that are named."""
    kinds = sys.argv[1:] or list(CHANGES)
    with tempfile.TemporaryDirectory() as folder, language() as asked:
        root = Path(folder)
        (root / "home").mkdir()
        template = Project(root / "template", root / "home")
        make_template(template)
        project = clone(template, root / "project")
        if kinds == ["pages"]:
            (project.root / ".dvc/cache").mkdir()
        else:
            began, worked = time.monotonic(), processor_seconds()
            project.ok("assay", "repro")
            # Another processor may round in another way, and then each change would bring a refreshed dvc.lock too.
            project.ok("git", "commit", "--quiet", "--all", "--allow-empty", "--message", "Results of this machine")
            passed, work = time.monotonic() - began, processor_seconds() - worked
            print(
                f"night: {passed:.1f} s passed, {work:.1f} s of processors, after the set-up without a cache\n",
                flush=True,
            )
        for kind in kinds:
            (root / kind).mkdir()
            measure(project, root / kind, kind, asked)


if __name__ == "__main__":
    main()
