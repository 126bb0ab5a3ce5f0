"""The folder of a search: another one where a fit on a fold could be another."""

from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from assay.project.params import load_params
from assay.stages.tune import _key
from places import ROOT

PARAMS = (ROOT / "params.yaml").read_text(encoding="utf-8")
FILES = {
    "contract.yaml": "name: ward",
    "build/split/train.parquet": "rows",
    "src/model/features.py": "DERIVED = ()",
    "site/numpy-2.0.dist-info/METADATA": "Name: numpy\nVersion: 2.0\n",
}


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


OTHER = {
    "data": edited("build/split/train.parquet", "rows", "other rows"),
    "contract": edited("contract.yaml", "ward", "clinic"),
    "packages": edited("site/numpy-2.0.dist-info/METADATA", "2.0", "2.1"),
    "code": edited("src/model/features.py", "()", "(1,)"),
    "seed": edited("params.yaml", "seed: 20", "seed: 21"),
    "folds": edited("params.yaml", "folds: 5", "folds: 4"),
    "rows": edited("params.yaml", "max_rows: 20000", "max_rows: 19999"),
    "metric": edited("params.yaml", "metric: roc_auc", "metric: log_loss"),
}
SAME = {
    "trials": edited("params.yaml", "trials: 60", "trials: 30"),
    "limits": edited("params.yaml", "floor: 0.9", "floor: 0.8"),
}


@pytest.mark.parametrize("change", OTHER | SAME)
def test_fits_are_used_again_only_for_the_same_data_settings_and_code(
    change: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("assay.stages.tune.fingerprints", lambda parts: dict.fromkeys(parts, "code"))
    monkeypatch.setattr("assay.stages.tune.distributions", lambda: distributions(path=[str(tmp_path / "site")]))
    for name, text in (FILES | {"params.yaml": PARAMS}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    before = _key(load_params())
    (OTHER | SAME)[change](tmp_path)
    assert (_key(load_params()) == before) == (change in SAME)


def test_code_of_assay_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params = load_params(ROOT / "params.yaml")
    keys = []
    for digest in ("one", "other"):
        monkeypatch.setattr("assay.stages.tune.fingerprints", lambda parts, digest=digest: {"tune": digest})
        keys.append(_key(params))
    assert keys[0] != keys[1]
