import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.serve.service import service
from assay.serve.snapshot import SNAPSHOT
from places import ROOT

# BentoML's supervisor imports the service too, and answers nobody: what takes long is for the worker to load.
LONG = {"assay.project.params", "assay.serve.serving", "numpy", "onnxruntime", "pyarrow", "ruamel.yaml", "sklearn"}


def test_to_import_the_service_loads_nothing_that_takes_long(projects: Callable[..., Path], tmp_path: Path) -> None:
    project = Path(shutil.copytree(projects(), tmp_path / "project"))
    shutil.copy(ROOT / "service.py", project)
    code = "import json, sys, service; print(json.dumps(list(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], cwd=project, capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert "assay.serve.service" in loaded
    assert loaded & LONG == set()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.onnx", b"damaged", "differs from the file that model.json lists; run `dvc repro`"),
        ("model.onnx", None, "there is no such file, but model.json lists it; run `dvc repro`"),
        ("contract.json", b"{", "not a complete JSON file"),
        ("card.md", None, "[Errno 2] No such file or directory"),
    ],
)
def test_a_worker_that_cannot_load_the_model_ends_with_a_line_that_names_the_file_of_the_project(
    projects: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    content: bytes | None,
    said: str,
) -> None:
    project, copy = (Path(shutil.copytree(projects(), tmp_path / one)) for one in ("project", "copy"))
    path = copy / "models" / name
    path.unlink() if content is None else path.write_bytes(content)
    monkeypatch.setenv(SNAPSHOT, json.dumps([os.getpid() + 1, str(project), str(copy)]))
    with pytest.raises(SystemExit) as ended:
        service(project)()
    line = str(ended.value)
    assert line.startswith("assay: ")
    assert "\n" not in line
    assert re.findall(r"/[^:' ]*", line)[0] == str(project / "models" / name)
    assert said in line
