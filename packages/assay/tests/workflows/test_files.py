"""What cannot be run, as it stands in the files: when, by whom, with what rights, one after the other or not."""

import json
import re
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.adoption.listing import owner
from assay.github.artifact import KNOWN, NAME
from assay.github.lock import REFRESHED
from scenario.project import SOURCE

GITHUB = SOURCE / ".github"
FILES = {path.stem: YAML(typ="safe").load(path.read_text()) for path in sorted((GITHUB / "workflows").glob("*.yml"))}
READ = {"contents": "read"}
REQUIRED = "required_status_checks"
# Workflow, job and what its token may do.
RIGHTS: dict[tuple[str, str], dict[str, str]] = {
    ("ci", "check"): READ,
    ("ci", "packages"): READ,
    ("ci", "pass"): {},
    ("train", "train"): READ,
    ("report", "lock"): {"actions": "write", "contents": "write", "pull-requests": "read"},
    ("report", "status"): {"actions": "read", "contents": "read", "pull-requests": "read", "statuses": "write"},
    ("report", "lost"): {"statuses": "write"},
    ("report", "report"): {"actions": "read", "contents": "read", "pull-requests": "write"},
    ("report", "tidy"): {"actions": "write", "contents": "read"},
    ("release", "version"): {"actions": "read", "contents": "read"},
    ("release", "tag"): {"contents": "write"},
    ("release", "image"): {"attestations": "write", "contents": "read", "id-token": "write", "packages": "write"},
    ("release", "publish"): {"contents": "write"},
    ("release", "deploy"): {"actions": "write"},
    ("deploy", "staging"): {"attestations": "read", "contents": "read", "packages": "read"},
    ("deploy", "production"): {"contents": "read", "packages": "read"},
    ("nightly", "night"): READ,
    ("nightly", "alarm"): {"contents": "read", "issues": "write"},
    ("propose", "propose"): {"contents": "write", "pull-requests": "write"},
    ("monitor", "monitor"): {"contents": "read", "id-token": "write"},
    ("monitor", "tell"): {"contents": "write", "issues": "write", "pull-requests": "write"},
    ("monitor", "alarm"): {"contents": "read", "issues": "write"},
    ("package-ci", "lint"): READ,
    ("package-ci", "test"): READ,
    ("package-nightly", "properties"): READ,
    ("package-nightly", "gates"): READ,
    ("package-nightly", "load"): READ,
    ("package-nightly", "alarm"): {"contents": "read", "issues": "write"},
}
# What the tests of the package are about.
TESTED = [
    *(
        f"{folder}/**"
        for folder in ("packages", ".ci", ".github", "docs", "loadtests", "requirements", "schemas", "src", "tests")
    ),
    "*",
]
TRIGGERS: dict[str, dict[str, Any]] = {
    "ci": {"pull_request": None, "merge_group": None, "push": {"branches": ["main"]}, "workflow_dispatch": None},
    "train": {
        "pull_request": {"types": ["opened", "synchronize", "reopened", "edited"]},
        "merge_group": None,
        "push": {"branches": ["main"]},
    },
    "report": {"workflow_run": {"workflows": ["train"], "types": ["in_progress", "completed"]}},
    "release": {"workflow_run": {"workflows": ["train"], "types": ["completed"], "branches": ["main"]}},
    "deploy": {
        "workflow_dispatch": {
            "inputs": {
                "version": {
                    "description": "A released version, such as v1.2.0",
                    "required": True,
                    "type": "string",
                }
            }
        }
    },
    "nightly": {"schedule": [{"cron": "17 2 * * *"}], "workflow_dispatch": None},
    "propose": {
        "workflow_dispatch": {
            "inputs": {
                "params": {
                    "description": "Parameters to set, such as model.parameters.C=0.5; spaces between several",
                    "type": "string",
                },
                "search": {"description": "Search for a better model", "type": "boolean"},
                "packages": {"description": "Lock the newest packages", "type": "boolean"},
            }
        },
        "repository_dispatch": {"types": ["new-data"]},
        "schedule": [{"cron": "37 3 1 * *"}],
    },
    "monitor": {
        "schedule": [{"cron": "7 5 * * *"}],
        "workflow_dispatch": {
            "inputs": {
                "retrain": {
                    "description": "Retrain, whatever the monitor says",
                    "default": False,
                    "type": "boolean",
                }
            }
        },
    },
    "package-ci": {"pull_request": {"paths": TESTED}, "push": {"branches": ["main"], "paths": TESTED}},
    "package-nightly": {"schedule": [{"cron": "47 2 * * *"}], "workflow_dispatch": None},
}
# Group, and whether a newer run ends the one before.
CONCURRENCY = {
    "ci": ("ci-${{ github.event.pull_request.number || github.ref }}", "${{ github.event_name == 'pull_request' }}"),
    "train": (
        "train-${{ github.event.pull_request.number || github.ref }}"
        "-${{ github.event.action == 'edited' && !github.event.changes.base }}",
        "${{ github.event_name == 'pull_request' }}",
    ),
    "report": ("report-${{ github.event.workflow_run.id }}", False),
    "release": ("release-${{ github.event.workflow_run.head_sha }}", False),
    "deploy": ("deploy-${{ github.ref_name == github.event.repository.default_branch }}", False),
    "nightly": ("nightly", False),
    "propose": ("propose-${{ github.run_id }}", False),
    "monitor": ("monitor", False),
    "package-ci": (
        "package-ci-${{ github.event.pull_request.number || github.ref }}",
        "${{ github.event_name == 'pull_request' }}",
    ),
    "package-nightly": ("package-nightly", False),
}


def test_each_job_has_the_rights_that_it_needs_and_no_other():
    found = {(name, job): about["permissions"] for name, file in FILES.items() for job, about in file["jobs"].items()}
    assert found == RIGHTS
    assert all(file["permissions"] == {} for file in FILES.values())


def test_each_workflow_is_started_by_what_it_should():
    assert {name: file["on"] for name, file in FILES.items()} == TRIGGERS


def test_runs_wait_for_one_another_and_only_those_of_pull_requests_are_ended():
    found = {name: tuple(file["concurrency"].values()) for name, file in FILES.items()}
    assert found == CONCURRENCY


def test_what_is_deployed_to_and_the_log_belong_to_an_environment_one_after_the_other():
    found = {
        (name, job): (about["environment"], about.get("needs"))
        for name, file in FILES.items()
        for job, about in file["jobs"].items()
        if "environment" in about
    }
    assert found == {
        ("deploy", "staging"): ("staging", None),
        ("deploy", "production"): ("production", "staging"),
        ("monitor", "monitor"): ("log", None),
    }


# Secrets are those of an environment; the token is none of these.
SECRETS = {"deploy": {"ASSAY_API_KEY", "DEPLOY_KEY"}, "monitor": {"LOG_KEY"}}


@pytest.mark.parametrize("name", FILES)
def test_no_secret_is_named_but_those_of_an_environment(name):
    text = (GITHUB / f"workflows/{name}.yml").read_text()
    assert set(re.findall(r"secrets\.(\w+)", text)) == SECRETS.get(name, set())
    assert "secrets[" not in text
    assert "secrets: inherit" not in text


def test_the_code_of_strangers_meets_neither_token_nor_rights():
    steps = FILES["train"]["jobs"]["train"]["steps"]
    assert "github.token" not in json.dumps(steps)
    checkouts = [step for job in FILES["report"]["jobs"].values() for step in job["steps"] if "checkout" in str(step)]
    assert checkouts
    assert all("ref" not in step["with"] for step in checkouts)


def test_the_token_of_the_monitor_that_may_write_meets_neither_rows_nor_training():
    jobs = FILES["monitor"]["jobs"]
    commands = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    assert commands["tell"] == [".venv/bin/assay github tell", ".venv/bin/assay github propose-retrained"]
    assert "github.token" not in json.dumps(jobs["monitor"])
    assert "environment" not in jobs["tell"]


def test_the_status_waits_for_no_comment_and_its_token_meets_no_foreign_code():
    jobs = FILES["report"]["jobs"]
    assert jobs["status"]["needs"] == "lock"
    assert "npm" not in json.dumps(jobs["status"])
    foreign = [name for name, job in jobs.items() if "npm" in json.dumps(job) or "cml " in json.dumps(job)]
    assert foreign == ["report"]
    assert "statuses" not in jobs["report"]["permissions"]


@pytest.mark.parametrize("name", FILES["report"]["jobs"])
def test_a_step_that_hangs_leaves_time_for_those_after_it(name):
    job = FILES["report"]["jobs"][name]
    # One step that has no time-out of its own ends with its job.
    minutes = [step.get("timeout-minutes", 0) for step in job["steps"]]
    assert all(minutes) or len(minutes) == 1
    assert sum(minutes) <= job["timeout-minutes"]


def test_nothing_is_pushed_under_a_version_that_could_not_be_taken_and_nothing_is_published_without_its_image():
    jobs = FILES["release"]["jobs"]
    assert "tag" in jobs["image"]["needs"]
    assert "image" in jobs["publish"]["needs"]
    assert "if" not in jobs["image"]
    assert "if" not in jobs["publish"]


def test_train_is_green_when_it_ran():
    (step,) = [one for one in FILES["train"]["jobs"]["train"]["steps"] if one.get("run") == "make pr"]
    assert step["env"]["EXIT_ZERO"] == "true"


# The number of GitHub Actions: what anyone else says of a commit does not count.
ACTIONS = 15368


def ruleset(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((GITHUB / f"rulesets/{name}.json").read_text())
    return found | {"rules": {rule["type"]: rule.get("parameters") for rule in found["rules"]}}


def test_the_ruleset_asks_for_what_the_workflows_give_and_nobody_passes_it_by():
    made = ruleset("main")
    wanted = {(one["context"], one["integration_id"]) for one in made["rules"]["required_status_checks"][REQUIRED]}
    assert wanted == {("assay", ACTIONS), (FILES["ci"]["jobs"]["pass"]["name"], ACTIONS)}
    assert "bypass_actors" not in made


def test_owners_review_and_an_administrator_without_a_second_owner_can_merge():
    made = ruleset("review")
    assert made["rules"]["pull_request"]["require_code_owner_review"] is True
    # 5 is the role of administrators.
    assert made["bypass_actors"] == [{"actor_id": 5, "actor_type": "RepositoryRole", "bypass_mode": "pull_request"}]
    assert set(made["rules"]) == {"pull_request"}


def test_a_night_is_at_most_a_quarter_of_an_hour_of_work():
    jobs = {name: job for name, job in FILES["nightly"]["jobs"].items() if name != "alarm"}
    assert sum(job["timeout-minutes"] for job in jobs.values()) <= 15
    assert all("vars.ASSAY_NIGHTLY == 'true'" in job["if"] for job in jobs.values())


@pytest.mark.parametrize("name", ["nightly", "monitor", "package-nightly"])
def test_a_night_that_reaches_its_limit_is_told_of_too(name):
    # GitHub cancels the job then, and failure() does not hold.
    jobs = FILES[name]["jobs"]
    assert set(jobs["alarm"]["needs"] if isinstance(jobs["alarm"]["needs"], list) else [jobs["alarm"]["needs"]]) == {
        other for other in jobs if other != "alarm"
    }
    assert "always()" in jobs["alarm"]["if"]
    assert "contains(needs.*.result, 'cancelled')" in jobs["alarm"]["if"]


def test_a_cache_of_packages_belongs_to_the_place_where_it_was_made():
    action = YAML(typ="safe").load((GITHUB / "actions/setup/action.yml").read_text())
    keys = [step["with"]["key"] for step in action["runs"]["steps"] if "actions/cache" in step.get("uses", "")]
    assert "${{ github.workspace }}" in keys[0]
    assert keys[1:] == ["${{ steps.packages.outputs.cache-primary-key }}"]


def test_no_cache_is_saved_after_the_code_of_others_ran():
    # `actions/cache` itself saves when its job has ended.
    texts = [path.read_text() for path in [*GITHUB.glob("workflows/*.yml"), *GITHUB.glob("actions/*/action.yml")]]
    assert not [text for text in texts if "actions/cache@" in text]


def test_the_jobs_of_the_package_run_in_the_template_alone():
    jobs = [job for name, file in FILES.items() if name.startswith("package-") for job in file["jobs"].values()]
    assert all(job["if"] == "github.event.repository.is_template" for job in jobs if "needs" not in job)
    assert [owner(f".github/workflows/{name}.yml") for name in FILES if name.startswith("package-")] == ["package"] * 2


def test_a_run_leaves_the_data_that_is_taken_and_nothing_else():
    steps = FILES["train"]["jobs"]["train"]["steps"]
    data = next(step["with"] for step in steps if step.get("with", {}).get("name") == NAME)
    assert set(data["path"].split()) == set(KNOWN)
    assert set(REFRESHED) < set(KNOWN)
