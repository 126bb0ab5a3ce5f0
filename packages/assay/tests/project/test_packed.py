"""What is packed: all of it makes the service what it is, and nothing else does."""

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from assay.project.packed import PACKED, is_same_service, service_identity
from places import ROOT

FILES = {
    "service.py": "from assay.serve.service import service\n",
    "bentofile.yaml": "service: service:Assay\n",
    "contract.yaml": "name: a\n",
    "params.yaml": "seed: 1\n",
    "metrics.json": "{}",
    "models/model.json": "{}",
    "models/model.onnx": "x",
    "models/extra/words.bin": "{}",
    "src/model/features.py": "A = 1\n",
    "src/model/words.txt": "a\n",
    "requirements/serve.txt": "bentoml\n",
    "requirements/serve-sklearn.txt": "scikit-learn\n",
    "loadtests/locustfile.py": "B = 1\n",
    "requirements/process.yaml": "train: aaaa\njudge: bbbb\nservice: cccc\n",
    "requirements/train.txt": "dvc\n",
    "docs/page.md": "# Page\n",
}
UNSERVED = {"contract.yaml", "params.yaml", "metrics.json", "requirements/process.yaml", "requirements/train.txt"}
SERVED = [name for name in FILES if name not in UNSERVED and not name.startswith("docs/")]
# What other programs leave in the folder of the code.
STRAY = ("src/model.egg-info/PKG-INFO", "src/model/__pycache__/features.pyc")
OTHERS = {
    # What the service needs of these is in models/.
    "contract.yaml": "name: b\n",
    "params.yaml": "seed: 2\n",
    "metrics.json": "[]",
    "docs/page.md": "# Another\n",
    "requirements/train.txt": "dvc==4\n",
    # The hashes of what trains and judges.
    "requirements/process.yaml": "train: dddd\njudge: eeee\nservice: cccc\n",
    **dict.fromkeys(STRAY, "C = 1\n"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "project"
    for name, text in FILES.items():
        write(root / name, text)
    monkeypatch.chdir(root)
    return root


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize("name", SERVED)
def test_a_service_is_another_when_a_file_of_it_changes_or_goes(project: Path, tmp_path: Path, name: str) -> None:
    champion, before = shutil.copytree(project, tmp_path / "champion"), service_identity(project)
    assert is_same_service(champion)
    (project / name).write_text(FILES[name] + "# More\n")
    changed = service_identity(project)
    assert not is_same_service(champion)
    (project / name).unlink()
    assert not is_same_service(champion)
    assert len({before, changed, service_identity(project)}) == 3


def test_a_service_is_another_when_the_code_of_assay_that_serves_it_is(project: Path, tmp_path: Path) -> None:
    champion, before = shutil.copytree(project, tmp_path / "champion"), service_identity(project)
    write(project / "requirements/process.yaml", FILES["requirements/process.yaml"].replace("cccc", "dddd"))
    assert service_identity(project) != before
    assert not is_same_service(champion)


@pytest.mark.parametrize("name", OTHERS)
def test_a_service_is_the_same_whatever_else_changes(project: Path, tmp_path: Path, name: str) -> None:
    champion, before = shutil.copytree(project, tmp_path / "champion"), service_identity(project)
    write(project / name, OTHERS[name])
    assert service_identity(project) == service_identity(Path()) == before
    assert is_same_service(champion)


def test_what_the_template_packs_is_what_makes_its_service() -> None:
    packs = {Path(name.strip("/")) for name in YAML(typ="safe").load(ROOT / "bentofile.yaml")["include"]}
    assert packs | {Path("bentofile.yaml")} == {*PACKED, Path("src"), Path("models")}
