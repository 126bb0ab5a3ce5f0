"""What dvc.yaml of the template says of each stage: what it depends on, and what of params.yaml it reads."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pathspec import PathSpec
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.project.fingerprint import PROCESS, SOURCE
from assay.project.layout import STAGES
from assay.project.params import Params
from assay.project.pipeline import locked_stages
from places import ROOT

SECTIONS = {name: field.alias or name for name, field in Params.model_fields.items()}
PIPELINE: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]


def test_the_stages_of_the_pipeline_are_those_of_the_command() -> None:
    assert [(name, described["cmd"]) for name, described in PIPELINE.items()] == [
        (name, f"assay stage {name}") for name in STAGES
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_again_when_the_code_of_assay_that_it_runs_changed(stage: str) -> None:
    listed = [keys for file, keys in _params(stage) if file == PROCESS.as_posix()]
    assert listed == [[stage]]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_runs_again_when_the_packages_or_the_contract_changed(stage: str) -> None:
    assert {"requirements/train.txt", "contract.yaml"} <= set(PIPELINE[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_loads_the_users_room_runs_again_when_anything_in_it_changed(stage: str) -> None:
    code = ast.walk(ast.parse(_module(stage).read_text(encoding="utf-8")))
    loads = any(isinstance(node, ast.Name) and node.id == "load_room" for node in code)
    assert ("src" in PIPELINE[stage]["deps"]) == loads


def test_no_code_of_the_user_is_hidden_from_the_pipeline() -> None:
    """Expectations neither: they may be constraints of the model."""
    ignored = PathSpec.from_lines("gitwildmatch", (ROOT / ".dvcignore").read_text().splitlines())
    room = [path.relative_to(ROOT).as_posix() for path in (ROOT / "src/model").glob("*.py")]
    assert "src/model/expectations.py" in room
    assert [*ignored.match_files([*room, "src/model/report.md.j2"])] == ["src/model/report.md.j2"]


@pytest.mark.parametrize("stage", STAGES)
def test_a_dep_of_a_stage_is_a_file_of_the_user_or_what_an_earlier_stage_made(stage: str) -> None:
    made = {"src", "data", "contract.yaml", "requirements/train.txt"}
    for name in STAGES[: STAGES.index(stage)]:
        made |= {_name(out) for kind in ("outs", "metrics") for out in PIPELINE[name].get(kind, [])}
    assert set(PIPELINE[stage]["deps"]) <= made


def test_every_section_of_params_that_a_stage_reads_is_among_its_params_and_no_other() -> None:
    listed = {
        stage: {key.partition(".")[0] for file, keys in _params(stage) if file == "params.yaml" for key in keys}
        for stage in STAGES
    }
    # Where large data is read changes no result, which tests/stages/test_on_a_cluster.py holds.
    read = {stage: _sections_read(_module(stage)) - {"engine"} for stage in STAGES}
    # It depends on the whole file, so that a misspelt key is met before anything else runs.
    assert ("params.yaml", None) in [(file, keys or None) for file, keys in _params("validate")]
    del read["validate"], listed["validate"]
    missing = {stage: sorted(read[stage] - listed[stage]) for stage in read if read[stage] - listed[stage]}
    assert missing == {}, f"dvc.yaml: add to the params of a stage what it reads: {missing}"
    idle = {stage: sorted(listed[stage] - read[stage]) for stage in read if listed[stage] - read[stage]}
    assert idle == {}, f"dvc.yaml: remove from the params of a stage what it does not read: {idle}"


def test_a_section_that_a_stage_reads_is_found_in_its_code(tmp_path: Path) -> None:
    module = tmp_path / "stage.py"
    module.write_text(
        "params = load_params()\nparams.seed\ndef help_out(params): return params.validate_.leakage_score\n"
    )
    assert _sections_read(module) == {"seed", "validate"}


def test_a_lock_that_a_merge_left_in_conflict_is_an_error_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^dvc\.lock: merge conflict in line 2; "):
        locked_stages("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\nstages:\n>>>>>>> main\n")


def _module(stage: str) -> Path:
    return SOURCE / f"stages/{stage}.py"


def _name(entry: Any) -> str:
    return next(iter(entry)) if isinstance(entry, dict) else entry


def _params(stage: str) -> Iterator[tuple[str, list[str]]]:
    """Yield each file of parameters that a stage depends on, with the keys; with none where it is all of the file."""
    for entry in PIPELINE[stage]["params"]:
        files = entry if isinstance(entry, dict) else {"params.yaml": [entry]}
        yield from ((file, keys or []) for file, keys in files.items())


def _sections_read(module: Path) -> set[str]:
    """Return the first keys of params.yaml that a stage reads, as `params.key`, the one name that stages give it."""
    return {
        SECTIONS[node.attr]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }
