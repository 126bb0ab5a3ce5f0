"""What is served has to belong together."""

import json
import shutil
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from assay.base.errors import InputError
from assay.base.files import read_json, write_json
from assay.data.columns import length
from assay.inference import package
from assay.inference.package import load_package
from assay.inference.rows import RowReader
from assay.project.settings import load_packed_contract, load_settings
from served import load

Projects = Callable[..., Path]


@pytest.fixture
def project(projects: Projects, tmp_path: Path) -> Path:
    root = tmp_path / "project"
    shutil.copytree(projects(), root)
    return root


def about(project: Path, **changes: Any) -> None:
    path = project / "models/model.json"
    write_json(path, json.loads(path.read_text()) | changes)


def refusal(project: Path) -> str:
    with pytest.raises(InputError) as raised:
        load(project)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_whole_package_is_loaded_with_a_version_of_its_own(projects: Projects) -> None:
    versions = {load(root).version for root in (projects(), projects(seed=1))}
    assert len(versions) == 2


def test_a_model_that_decides_otherwise_has_another_version(project: Path) -> None:
    version = load(project).version
    about = read_json(project / "models/model.json")
    write_json(project / "models/model.json", about | {"threshold": 0.9})
    assert load(project).version != version


def test_a_package_is_loaded_where_a_request_may_hold_fewer_rows_than_its_examples(projects: Projects) -> None:
    assert len(load(projects(), max_rows=1).examples) > 1


def test_examples_that_do_not_keep_to_the_contract_are_refused(project: Path) -> None:
    path = project / "models/examples.json"
    examples = json.loads(path.read_text())
    del examples["background"][0]["age"]
    write_json(path, examples)
    assert refusal(project) == f"{path}: its rows break the contract; run `dvc repro`"


def test_another_contract_is_refused(project: Path) -> None:
    with (project / "contract.yaml").open("a") as file:
        file.write("description: other patients\n")
    assert "contract.yaml: is not the contract that" in refusal(project)


@pytest.mark.parametrize("name", ["model.onnx", "model.skops"])
def test_another_file_is_refused(project: Path, name: str) -> None:
    (project / "models" / name).write_bytes(b"x")
    assert f"{name}: differs from the file that model.json lists" in refusal(project)


@pytest.mark.parametrize("name", ["model.json", "model.onnx", "examples.json"])
def test_a_file_that_is_not_there_is_named(project: Path, name: str) -> None:
    (project / "models" / name).unlink()
    assert f"{name}: there is no such file" in refusal(project)


def test_libraries_of_another_version_are_named_with_what_to_install(project: Path) -> None:
    about(project, versions={"onnxruntime": "0.9.0"})
    said = refusal(project)
    assert said.startswith("the model was built with onnxruntime 0.9.0, but ")
    assert said.endswith("install requirements/serve.txt")


def test_a_library_that_is_not_there_is_named(projects: Projects, project: Path, monkeypatch: Any) -> None:
    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    from importlib.metadata import PackageNotFoundError

    monkeypatch.setattr("assay.inference.package.version", version)
    assert refusal(project) == "the model needs onnxruntime, which is not installed: install requirements/serve.txt"


def test_a_model_that_answers_otherwise_than_it_did_is_refused(project: Path) -> None:
    path = project / "models/examples.json"
    examples = json.loads(path.read_text())
    examples["scores"][3] = [score + 0.01 for score in examples["scores"][3]]
    write_json(path, examples)
    assert "differ from those of the pipeline by 0.01 (tolerance 1e-05)" in refusal(project)


def test_a_model_that_has_no_answer_to_a_row_alone_is_refused(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = package._score

    def broken(*given: Any) -> Any:
        score = made(*given)
        return lambda data: score(data) * (np.nan if length(data) == 1 else 1.0)

    monkeypatch.setattr(package, "_score", broken)
    assert "differ from those of the pipeline by nan" in refusal(project)


@pytest.mark.parametrize("form", ["onnx", "skops"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_task_is_served_in_both_forms(projects: Projects, task: str, form: str) -> None:
    root = projects(task, "linear", form)
    assert load(root).about["served"] == form


def test_the_package_of_a_release_is_read(tmp_path: Path) -> None:
    models = Path(shutil.copytree(Path(__file__).with_name("release"), tmp_path / "models"))
    made_with = read_json(models / "model.json")
    # Only its files are of that release: the libraries are those that are installed.
    about(tmp_path, versions={**made_with["versions"], "onnxruntime": version("onnxruntime")})
    contract = load_packed_contract(models)
    package = load_package(models, RowReader(contract, load_settings(models).serve.max_rows), None, tolerance=1e-5)
    assert (package.contract.name, package.about["format"]) == ("patients", 1)


@pytest.mark.parametrize("name", ["model.json", "examples.json", "metrics.json"])
def test_a_file_of_a_newer_assay_is_refused_with_what_to_do(project: Path, name: str) -> None:
    path = project / "models" / name
    write_json(path, read_json(path) | {"format": 9})
    assert refusal(project) == f"{path}: written by a newer Assay (format 9); upgrade"
