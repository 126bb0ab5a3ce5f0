import json
import re
from pathlib import Path
from typing import Any

import pytest

from assay.base.errors import InputError
from assay.base.formats import check_format, read_format

PATH = Path("models/model.json")


def test_a_file_that_names_no_format_has_the_first() -> None:
    assert check_format({}, 1, PATH) == 1
    assert check_format({}, 2, PATH) == 1


@pytest.mark.parametrize("found", [6, 7])
def test_the_newest_format_and_the_one_before_are_read(found: int) -> None:
    assert check_format({"format": found}, 7, PATH) == found


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (9, "models/model.json: written by a newer Assay (format 9); upgrade"),
        (5, "models/model.json: written by an Assay that is too old (format 5)"),
        (0, "models/model.json: its format should be a whole number of at least 1, found 0"),
        ("7", "models/model.json: its format should be a whole number of at least 1, found '7'"),
        (True, "models/model.json: its format should be a whole number of at least 1, found True"),
    ],
)
def test_any_other_format_is_refused_with_what_to_do(found: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        check_format({"format": found}, 7, PATH)


def test_a_file_that_holds_no_object_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text("[]")
    with pytest.raises(InputError, match="expected an object, found list"):
        read_format(tmp_path / "list.json", 1)
    (tmp_path / "object.json").write_text(json.dumps({"format": 1, "a": 2}))
    assert read_format(tmp_path / "object.json", 1)["a"] == 2
