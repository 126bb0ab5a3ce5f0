import json
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.release.image import make, with_hashes

LOCKED = "".join(
    f"{pin} \\\n    --hash=sha256:{digit * 64}\n" for pin, digit in (("bentoml==1.4.39", "0"), ("numpy==2.3.0", "1"))
)
# Stands in for `python -m bentoml`: what it was asked goes to a file.
BENTOML = """\
import json, os, sys
with open({asked!r}, "a") as file:
    print(json.dumps(sys.argv[1:]), file=file)
print("__tag__:ward:abc")
sys.exit("containerize" in sys.argv and {fails})
"""


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.release.image._requirements", lambda tag: f"{LOCKED}bentoml==1.4.39\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    _bentoml(tmp_path, fails=False)
    return tmp_path / "asked"


def _bentoml(folder: Path, *, fails: bool) -> None:
    (folder / "bentoml.py").write_text(BENTOML.format(asked=str(folder / "asked"), fails=fails))


def test_the_bento_that_was_built_becomes_the_image_with_a_list_of_what_is_in_it(asked: Path):
    assert make("ghcr.io/ada/ward:v1.0.0", "docker") == "ward:abc"
    build, containerize = map(json.loads, asked.read_text().splitlines())
    assert build == ["build", "--output", "tag"]
    assert containerize == ["containerize", "ward:abc", "--backend", "docker", "--image-tag", "ghcr.io/ada/ward:v1.0.0"]
    listed = json.loads(Path("build/sbom.json").read_text())["components"]
    assert {one["name"]: one["version"] for one in listed} == {"bentoml": "1.4.39", "numpy": "2.3.0"}


def test_podman_makes_an_image_in_the_format_of_docker(asked: Path):
    # Of an image that is not built no list is made, which takes long.
    _bentoml(asked.parent, fails=True)
    with pytest.raises(InputError, match="podman could not build the image of ward:abc"):
        make(None, "podman")
    assert json.loads(asked.read_text().splitlines()[1])[-2:] == ["--opt", "format=docker"]


def test_an_image_that_cannot_be_built_is_an_error_and_leaves_no_list(asked: Path):
    _bentoml(asked.parent, fails=True)
    with pytest.raises(InputError, match="docker could not build the image of ward:abc"):
        make(None, "docker")
    assert not Path("build/sbom.json").exists()


def test_only_the_line_without_hashes_is_left_out():
    assert with_hashes(f"{LOCKED}bentoml==1.4.39\n") == LOCKED
