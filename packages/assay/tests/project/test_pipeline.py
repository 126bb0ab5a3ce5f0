"""What the stages of dvc.yaml depend on: DVC follows neither imports nor parameters, so these tests do."""

import ast
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.cli.main import STAGES
from assay.project.params import Params
from assay.project.pipeline import Imports, locked_stages, undeclared
from places import ROOT

SECTIONS = {name: field.alias or name for name, field in Params.model_fields.items()}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of dvc.yaml and of the code, to change; whatever is wrong with the deps of this project is right there."""
    yaml = YAML()
    pipeline = yaml.load(ROOT / "dvc.yaml")
    for stage, missing in undeclared(ROOT / "dvc.yaml", ROOT / "src").items():
        pipeline["stages"][stage]["deps"].extend(missing)
    yaml.dump(pipeline, tmp_path / "dvc.yaml")
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return tmp_path


def test_every_module_that_a_stage_imports_is_among_its_deps() -> None:
    missing = undeclared(ROOT / "dvc.yaml", ROOT / "src")
    assert missing == {}, _advice("deps", missing)


def test_every_dep_of_a_stage_exists_and_every_module_among_them_is_imported() -> None:
    imports = Imports(ROOT / "src")
    for stage, described in _stages().items():
        modules = {Path(dep) for dep in described["deps"] if dep.startswith("src/")}
        imported = imports.of(ROOT / f"packages/assay/src/assay/stages/{stage}.py")
        idle = modules - {path.relative_to(ROOT) for path in imported}
        assert idle == set(), f"dvc.yaml: {stage}: remove from deps: {sorted(map(str, idle))}"


def test_every_section_of_params_that_a_stage_reads_is_among_its_params_and_no_other() -> None:
    listed = {name: set(_names(described["params"])) for name, described in _stages().items()}
    read = {name: _sections_read(ROOT / f"packages/assay/src/assay/stages/{name}.py") for name in STAGES}
    # It depends on the whole file, so that a misspelt key is met before anything else runs.
    assert listed.pop("validate") == {"params.yaml"}
    del read["validate"]
    missing = {name: sorted(read[name] - listed[name]) for name in listed if read[name] - listed[name]}
    assert missing == {}, _advice("params", missing)
    idle = {name: sorted(listed[name] - read[name]) for name in listed if listed[name] - read[name]}
    assert idle == {}, f"dvc.yaml: remove from params what the stage does not read: {idle}"


def test_the_stages_of_the_pipeline_are_those_of_the_command() -> None:
    assert [(name, described["cmd"]) for name, described in _stages().items()] == [
        (name, f"assay stage {name}") for name in STAGES
    ]


@pytest.mark.parametrize("stage", STAGES)
def test_a_dep_that_is_taken_out_is_missed(copy: Path, stage: str) -> None:
    yaml = YAML()
    pipeline = yaml.load(copy / "dvc.yaml")
    pipeline["stages"][stage]["deps"].remove("packages/assay/src/assay/base/errors.py")
    yaml.dump(pipeline, copy / "dvc.yaml")
    assert undeclared(copy / "dvc.yaml", copy / "src") == {stage: ["packages/assay/src/assay/base/errors.py"]}


@pytest.mark.parametrize(
    "statement",
    [
        "from assay.data.helper import help_out",
        "from assay.data import helper",
        "import assay.data.helper",
        "import assay.data.helper as other",
        "from ..data.helper import help_out",
        "from ..data import helper",
        "def lazy():\n    from assay.data import helper as other\n    return other",
        "if True:\n    try:\n        import assay.data.helper\n    except ImportError:\n        pass",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from assay.data.helper import help_out",
    ],
)
def test_a_module_that_a_stage_newly_imports_is_missed_wherever_the_import_stands(copy: Path, statement: str) -> None:
    (copy / "packages/assay/src/assay/data/helper.py").write_text("def help_out(): ...\n")
    _append(copy / "packages/assay/src/assay/stages/tune.py", statement)
    assert undeclared(copy / "dvc.yaml", copy / "src") == {"tune": ["packages/assay/src/assay/data/helper.py"]}


def test_a_module_at_the_end_of_a_chain_of_imports_is_missed_in_every_stage_that_reaches_it(copy: Path) -> None:
    (copy / "src/model/last.py").write_text("from assay.data import middle  # and back again\n")
    (copy / "packages/assay/src/assay/data/middle.py").write_text("import model.last\n")
    _append(copy / "packages/assay/src/assay/export/card.py", "from assay.data import middle")
    chain = ["packages/assay/src/assay/data/middle.py", "src/model/last.py"]
    assert undeclared(copy / "dvc.yaml", copy / "src") == {"export": chain}


def test_a_package_counts_once_it_holds_code(copy: Path) -> None:
    package = copy / "packages/assay/src/assay/training/__init__.py"
    package.write_text('"""Only says what it is."""\n')
    assert undeclared(copy / "dvc.yaml", copy / "src") == {}
    package.write_text("LIMIT = 3\n")
    missing = undeclared(copy / "dvc.yaml", copy / "src")
    assert missing.keys() >= {"train", "evaluate"}
    assert set(map(tuple, missing.values())) == {("packages/assay/src/assay/training/__init__.py",)}


def test_a_section_that_a_stage_reads_is_found_in_its_code(tmp_path: Path) -> None:
    module = tmp_path / "stage.py"
    module.write_text(
        "params = load_params()\nparams.seed\ndef help_out(params): return params.validate_.leakage_score\n"
    )
    assert _sections_read(module) == {"seed", "validate"}


def _stages() -> dict[str, Any]:
    stages: dict[str, Any] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    return stages


def _names(params: list[Any]) -> Iterator[str]:
    for entry in params:
        yield from entry if isinstance(entry, dict) else [entry]


def _sections_read(module: Path) -> set[str]:
    """Return the first keys of params.yaml that a stage reads, as `params.key`, the one name that stages give it."""
    return {
        SECTIONS[node.attr]
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "params"
    }


def _append(path: Path, statement: str) -> None:
    path.write_text(f"{path.read_text(encoding='utf-8')}\n{statement}\n", encoding="utf-8")


def _advice(where: str, missing: dict[str, list[str]]) -> str:
    lines = [
        f"{stage}: {where}: add\n" + "\n".join(f"      - {name}" for name in names) for stage, names in missing.items()
    ]
    return "dvc.yaml: " + "\n".join(lines)


def test_a_lock_that_a_merge_left_in_conflict_is_told_of_in_one_line() -> None:
    with pytest.raises(InputError, match=r"^dvc\.lock: not valid YAML: .* in line 2, column 1"):
        locked_stages("schema: '2.0'\n<<<<<<< HEAD\nstages: {}\n=======\nstages:\n>>>>>>> main\n")
