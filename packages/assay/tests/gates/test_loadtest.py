import json
import shutil
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.gates.loadtest import identity, is_same_service, read_loadtest, setting, unfit
from judged import params
from loads import loadtest, side

LIMITS = params().gates.service
FILES = {
    "service.py": "from assay.serve.service import Assay\n",
    "bentofile.yaml": "service: service:Assay\n",
    "contract.yaml": "name: a\n",
    "params.yaml": "seed: 1\n",
    "models/model.json": "{}",
    "models/model.onnx": "x",
    "requirements/serve.txt": "bentoml\n",
    "packages/assay/src/assay/serve/service.py": "from importlib import import_module\n",
    "packages/assay/src/assay/predictions/monitor.py": "A = 1\n",
    "packages/assay/src/assay/serve/page.html": "<html>\n",
    "packages/assay/src/assay/serve/page.js": "let a\n",
    "models/extra/words.bin": "{}",
    "metrics.json": "{}",
    "requirements/serve-sklearn.txt": "scikit-learn\n",
    "loadtests/locustfile.py": "B = 1\n",
    "docs/page.md": "# Page\n",
}
PACKED = [name for name in FILES if name != "docs/page.md"]
# What other programs leave in the folder of the code.
STRAY = ("src/assay.egg-info/PKG-INFO", "packages/assay/src/assay/__pycache__/used.pyc")


@pytest.fixture
def project(tmp_path: Path, monkeypatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", PACKED)
def test_all_that_is_packed_makes_the_identity(project: Path, name: str):
    before = identity(project)
    (project / name).write_text(FILES[name] + "# More\n")
    assert identity(project) != before
    (project / name).unlink()
    assert identity(project) != before


@pytest.mark.parametrize("name", ["docs/page.md", *STRAY])
def test_what_is_not_packed_does_not(project: Path, name: str):
    before = identity(project)
    (project / name).parent.mkdir(parents=True, exist_ok=True)
    (project / name).write_text("C = 1\n")
    assert identity(project) == before
    assert identity(Path()) == before


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("change", ["# More\n", None])
def test_a_service_is_the_same_only_where_all_that_is_packed_is(
    project: Path, tmp_path_factory: pytest.TempPathFactory, name: str, change: str | None
):
    champion = shutil.copytree(project, tmp_path_factory.mktemp("champion") / "folder")
    (project / "docs/page.md").write_text("# Another\n")
    assert is_same_service(champion)
    if change is None:
        (project / name).unlink()
    else:
        (project / name).write_text(change)
    assert not is_same_service(champion)


def test_a_load_test_belongs_to_a_service_a_champion_and_a_setting(project: Path):
    made = {"candidate": identity(Path()), "commit": "c" * 40, "setting": setting(LIMITS)}
    fitting = loadtest(side(), side(), about=made)
    assert unfit(fitting, LIMITS, "c" * 40) == ""
    assert unfit(fitting, LIMITS, "d" * 40) == "is beside another champion"
    assert unfit(fitting, LIMITS, None) == "is beside another champion"
    assert unfit(fitting, LIMITS.model_copy(update={"users": 9}), "c" * 40) == "was made with another setting"
    assert unfit(loadtest(side(), side(), about=made | {"candidate": "x"}), LIMITS, "c" * 40).startswith(
        "is of another model"
    )
    # One of ten minutes says more than what is asked for.
    assert unfit(loadtest(side(), side(), about=made | {"setting": "", "long": True}), LIMITS, "c" * 40) == ""


@pytest.mark.parametrize("text", ["{", "{}", '{"sides": 1}', "[]"])
def test_a_torn_file_is_an_error_in_one_line(tmp_path: Path, text: str):
    path = tmp_path / "loadtest.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_loadtest(path)
    assert "\n" not in str(caught.value)


def test_what_is_written_is_read(tmp_path: Path):
    path = tmp_path / "loadtest.json"
    found = loadtest(side(), side(seed=1))
    path.write_text(json.dumps(found.model_dump(mode="json")))
    assert read_loadtest(path) == found
