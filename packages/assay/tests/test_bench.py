"""What `make bench-models` keeps is used again only for what it was made of."""

import importlib.util
from pathlib import Path

import pytest

from places import PACKAGE

SPEC = importlib.util.spec_from_file_location("models", PACKAGE / "bench/models.py")
assert SPEC is not None
assert SPEC.loader is not None
models = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(models)


def test_a_project_that_is_kept_is_used_again_only_for_the_same_code_data_and_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []
    monkeypatch.setattr(models, "make_project", lambda project, *_: made.append(project) or 7.0)
    monkeypatch.setattr(models, "ROOT", tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "params.yaml").write_text("seed: 1\n")
    table = tmp_path / "a.csv"
    table.write_text("a,b\n")
    project = tmp_path / "kept"
    assert [models.seconds_taken(project, table, "b", 5.0) for _ in range(2)] == [7.0, 7.0]
    with pytest.raises(RuntimeError, match=r"kept: made with other seconds; remove it"):
        models.seconds_taken(project, table, "b", None)
    table.write_text("a,b\n1,2\n")
    (tmp_path / "src/own.py").write_text("")
    (tmp_path / "params.yaml").write_text("seed: 2\n")
    with pytest.raises(RuntimeError, match=r"kept: made with other code, data; remove it"):
        models.seconds_taken(project, table, "b", 5.0)
    assert made == [project]
