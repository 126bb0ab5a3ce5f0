from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.base.outcomes import Outcome
from assay.gates.overrides import Override, applying, load_overrides

MODEL = "0123456789abcdef0123456789abcdef"
WORD = Override(gate="quality", by="Ada", why="the old rows were wrong", model=MODEL[:8])


def test_a_person_accepts_what_is_held_or_rejected():
    for verdict in ("HOLD", "REJECT"):
        assert applying([WORD], [Outcome("quality", verdict, "")], MODEL) == [WORD]


def test_it_is_for_one_model_and_one_gate_alone():
    assert applying([WORD], [Outcome("quality", "HOLD", "")], "f" * 32) == []
    assert applying([WORD], [Outcome("quality", "HOLD", "")], None) == []
    assert applying([WORD], [Outcome("slices", "HOLD", "")], MODEL) == []


def test_what_passes_needs_no_override():
    assert applying([WORD], [Outcome("quality", "PROMOTE", "")], MODEL) == []


@pytest.mark.parametrize("gate", ["contract", "leakage"])
def test_broken_data_and_leakage_cannot_be_accepted(gate):
    word = WORD.model_copy(update={"gate": gate})
    assert applying([word], [Outcome(gate, "REJECT", "")], MODEL) == []
    assert applying([word], [Outcome(gate, "HOLD", "")], MODEL) == [word]


def test_no_file_is_no_override(tmp_path: Path):
    assert load_overrides(tmp_path / "overrides.yaml") == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("overrides:\n  - gate: quality\n    by: Ada\n    model: 01234567\n", "why"),
        ("overrides:\n  - gate: quality\n    by: ''\n    why: x\n    model: 01234567a\n", "by"),
        ("overrides:\n  - gate: quality\n    by: Ada\n    why: x\n    model: '01'\n", "model"),
        ("override: []\n", "override"),
    ],
)
def test_an_override_that_is_not_whole_is_an_error(tmp_path: Path, text: str, said: str):
    path = tmp_path / "overrides.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        load_overrides(path)
