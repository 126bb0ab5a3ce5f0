"""Assay's own code, as hashes: what can change a result changes the hash of what makes it, and nothing else does."""

import shutil
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.fingerprint import SOURCE, STARTS, fingerprints, recorded, refresh
from assay.project.layout import STAGES

WITH_MODEL = {"tune", "train", "evaluate", "analyse", "export"}


@pytest.fixture(scope="module")
def before() -> dict[str, str]:
    return fingerprints()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A copy of Assay's code, to change."""
    return shutil.copytree(SOURCE, tmp_path / "assay", ignore=shutil.ignore_patterns("__pycache__"))


def append(path: Path) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write("\n")


def changed(package: Path, before: dict[str, str]) -> set[str]:
    now = fingerprints(package)
    return {part for part in now if now[part] != before[part]}


def test_the_same_code_elsewhere_has_the_same_hashes(package: Path, before: dict[str, str]) -> None:
    assert changed(package, before) == set()


def test_every_stage_the_judge_and_the_service_have_a_hash_of_their_own(before: dict[str, str]) -> None:
    assert set(before) == {*STAGES, "judge", "service"}
    assert len(set(before.values())) == len(before)


@pytest.mark.parametrize(
    ("module", "parts"),
    [
        ("contract/spec.py", {*STAGES, "judge", "service"}),
        ("modelling/features.py", WITH_MODEL | {"judge", "service"}),
        ("modelling/search.py", {"tune"}),
        ("data/leakage.py", {"validate", "judge"}),
        ("evaluation/curves.py", {"evaluate"}),
        ("evaluation/explain.py", {"analyse"}),
        ("export/onnx.py", {"export"}),
        ("stages/prepare.py", {"prepare"}),
        ("gates/quality.py", {"judge"}),
        ("load/driver.py", {"judge"}),
        ("serve/traffic.py", {"service"}),
        ("serve/page.html", {"service"}),
        ("serve/page.js", {"service"}),
        ("release/smoke.py", {"service"}),
        # The service loads them late.
        ("predictions/monitor.py", {"service"}),
    ],
)
def test_a_change_changes_the_hash_of_what_runs_it_and_no_other(
    package: Path, before: dict[str, str], module: str, parts: set[str]
) -> None:
    append(package / module)
    assert changed(package, before) == parts


def test_rooms_that_make_no_model_change_neither_a_stage_nor_the_service(package: Path, before: dict[str, str]) -> None:
    for room in ("cli", "gates", "github", "init", "load", "release", "report"):
        # With one file of these an image asks its own service.
        files = [path for path in (package / room).iterdir() if path.is_file() and path.name != "smoke.py"]
        assert files, room
        for path in files:
            append(path)
    assert changed(package, before) == {"judge"}


def test_how_the_report_looks_judges_nothing(package: Path, before: dict[str, str]) -> None:
    for page in ("report.md.j2", "report.html.j2"):
        append(package / "report" / page)
    assert changed(package, before) == set()


def test_a_module_counts_from_when_it_is_imported(package: Path, before: dict[str, str]) -> None:
    novel = package / "base/novel.py"
    novel.write_text("LIMIT = 3\n")
    assert changed(package, before) == set()
    for modules in STARTS.values():
        with (package / f"{modules[0]}.py").open("a") as file:
            file.write("from assay.base import novel\n")
    imported = fingerprints(package)
    novel.write_text("LIMIT = 4\n")
    assert changed(package, imported) == set(STARTS)


def test_what_is_recorded_is_read_and_recorded_once(tmp_path: Path, before: dict[str, str]) -> None:
    path = tmp_path / "requirements/process.yaml"
    assert recorded(path) == {}
    assert refresh(path)
    assert recorded(path) == before
    assert not refresh(path)
    path.write_text(path.read_text().replace(before["train"], "0" * 16))
    assert refresh(path)
    assert recorded(path) == before


def test_hashes_that_a_merge_left_in_conflict_are_an_error_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "process.yaml"
    path.write_text("<<<<<<< HEAD\ntrain: a\n=======\ntrain: b\n>>>>>>> main\n")
    with pytest.raises(InputError, match=r"process\.yaml: ") as caught:
        recorded(path)
    assert "\n" not in str(caught.value)
    # It is made, not merged: who runs the pipeline gets it right again.
    assert refresh(path)
