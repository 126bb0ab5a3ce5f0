"""The work between a push and what may be merged, step by step, as the harness of the tests runs the workflows.

That is all that the ruleset of main asks for: the checks of ci.yml, and the status that train.yml and report.yml give.

    python packages/assay/bench/pushes.py [pages] [nothing] [params]

by default for all three changes of the default project: of a page, of nothing, of a parameter. Caches are warm, and
what GitHub itself takes (starting machines, fetching caches) is not in it.
"""

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from scenario.project import Project, clone, make_template
from workflows.github import running
from workflows.harness import Trigger
from workflows.language import Language, language
from workflows.site import HOME, Site, make_site

# The seconds that each may take.
CHANGES = {"pages": 60, "nothing": 180, "params": 240}


def change(site: Site, kind: str) -> None:
    """Change something in the clone."""
    match kind:
        case "pages":
            site.work.append("docs/data.md", "\nOne more line.\n")
        case "params":
            site.work.set_params(model__parameters__C=0.5)


def measure(project: Project, folder: Path, kind: str, asked: Language) -> float:
    """Print what each step took; return the sum."""
    site = make_site(project, folder, asked)
    with running(site.hub):
        change(site, kind)
        head = site.push()
        train = site.train(head)
        told = site.tell(train.number, head)
        checked = site.check(head)
    if not site.hub.reports(4):
        raise SystemExit(train.log() + told.log())
    if checked.conclusion != "success":
        raise SystemExit(checked.log())
    ran_workflows = [("train", train), ("report", told), ("ci", checked)]
    # The commit that brings the refreshed dvc.lock is another head, and has to be checked too.
    for workflow, branch in site.hub.dispatched:
        refreshed = site.hub.run_git("rev-parse", f"refs/heads/{branch}")
        event = Trigger("workflow_dispatch", {"repository": HOME}, refreshed, f"refs/heads/{branch}")
        again = site.runner.run(workflow, event)
        if again.conclusion != "success":
            raise SystemExit(again.log())
        ran_workflows.append((f"{workflow.removesuffix('.yml')} 2", again))
    total = 0.0
    for workflow, ran in ran_workflows:
        for job, about in ran.jobs.items():
            for step in about.steps:
                # Actions are stood in for; what takes time is what is run.
                if step.seconds >= 0.05:
                    print(f"  {workflow:7} {job:7} {step.seconds:7.1f} s  {step.name}")
                total += step.seconds
    print(f"{kind}: {total:.1f} s of {CHANGES[kind]} s; status {site.hub.state(head)}\n", flush=True)
    return total


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
            project.ok("assay", "repro")
        for kind in kinds:
            (root / kind).mkdir()
            measure(project, root / kind, kind, asked)


if __name__ == "__main__":
    main()
