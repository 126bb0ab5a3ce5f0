import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

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
