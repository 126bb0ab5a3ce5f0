"""The part of params.yaml that the service goes by."""

from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.settings import PARAMS, load_settings
from places import ROOT

OWN = ROOT / PARAMS


def written(tmp_path: Path, before: str, after: str) -> Path:
    """Write the parameters of this project with one text in the place of another."""
    text = OWN.read_text(encoding="utf-8")
    assert before in text
    path = tmp_path / "params.yaml"
    path.write_text(text.replace(before, after), encoding="utf-8")
    return path


def test_what_the_service_does_not_go_by_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    assert load_settings(written(tmp_path, "gates:", "gaits:")) == load_settings(OWN)


def test_a_misspelt_key_of_what_it_goes_by_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"unknown key 'serve\.max_row'; did you mean 'max_rows'\?"):
        load_settings(written(tmp_path, "max_rows: 10000", "max_row: 10000"))
