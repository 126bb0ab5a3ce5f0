"""What of Assay goes into the image; tests/scenario/test_image.py makes one."""

import subprocess
import sys
from pathlib import Path

import pytest

from assay.project.fingerprint import SOURCE, part_files
from assay.serve.image import OPENMP, copy_service, image

# `release` for the one module that asks a service whether it answers rightly, `properties` for constraints of models.
# What the monitor needs besides.
MONITOR = {"export", "production", "report", "statistics"}
ROOMS = {
    "base",
    "contract",
    "data",
    "inference",
    "modelling",
    "predictions",
    "project",
    "properties",
    "release",
    "serve",
    *MONITOR,
}


def test_what_the_service_imports_is_copied_and_nothing_else(tmp_path: Path) -> None:
    copy_service(tmp_path / "assay")
    copied = {path.relative_to(tmp_path / "assay") for path in tmp_path.rglob("*") if path.is_file()}
    assert {path.relative_to(SOURCE) for path in part_files("service") | part_files("monitor")} <= copied
    assert {path.parts[0] for path in copied if len(path.parts) > 1} == ROOMS
    assert {path.name for path in copied if path.suffix != ".py"} == {
        "docs.html",
        "page.html",
        "page.js",
        "monitor.html.j2",
    }


def test_the_copy_can_be_imported_by_itself(tmp_path: Path) -> None:
    copy_service(tmp_path / "assay")
    modules = [
        ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for path in part_files("service") | part_files("monitor")
        if path.suffix == ".py" and path.name != "__init__.py"
    ]
    code = f"import {', '.join(modules)}; print(assay.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False, env={}
    )
    assert run.returncode == 0, run.stderr
    assert Path(run.stdout.strip()).parent == tmp_path / "assay"


@pytest.mark.parametrize(
    ("served", "libraries", "needed"),
    [("skops", ["numpy", "lightgbm"], True), ("skops", ["numpy"], False), ("onnx", ["numpy", "lightgbm"], False)],
)
def test_the_image_has_the_library_for_threads_if_lightgbm_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, served: str, libraries: list[str], needed: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lock.txt").touch()
    about = {"served": served, "versions": dict.fromkeys(libraries, "1.0")}
    assert (OPENMP in image("lock.txt", about).commands) == needed
