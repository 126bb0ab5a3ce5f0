import json
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.gates.loadtest import mismatch, read_loadtest, setting
from assay.project.packed import LOCUSTFILE, service_identity
from judged import params
from loads import loadtest, side

LIMITS = params().gates.service


def test_a_load_test_belongs_to_a_service_a_champion_and_a_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    LOCUSTFILE.parent.mkdir()
    LOCUSTFILE.write_text("B = 1\n")
    made = {"candidate": service_identity(Path()), "commit": "c" * 40, "setting": setting(LIMITS)}
    fitting = loadtest(side(), side(), about=made)
    assert mismatch(fitting, LIMITS, "c" * 40) == ""
    assert mismatch(fitting, LIMITS, "d" * 40) == "was run against another champion"
    assert mismatch(fitting, LIMITS, None) == "was run against another champion"
    assert mismatch(fitting, LIMITS.model_copy(update={"users": 9}), "c" * 40) == "was run with other settings"
    assert mismatch(loadtest(side(), side(), about=made | {"candidate": "x"}), LIMITS, "c" * 40).startswith(
        "belongs to another model"
    )
    # One of ten minutes says more than what is asked for.
    assert mismatch(loadtest(side(), side(), about=made | {"setting": "", "long": True}), LIMITS, "c" * 40) == ""


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
