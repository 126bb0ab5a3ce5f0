from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.base.outcomes import Outcome
from assay.gates.overrides import Override, applying, load_overrides

MODEL = "0123456789abcdef0123456789abcdef"
CONTRACT = "89abcdef" * 8
CANDIDATE = {"commit": None, "data": None, "model": MODEL, "contract": CONTRACT}
WORD = Override(gate="quality", by="Ada", why="the old rows were wrong", model=MODEL[:8])


def test_a_person_accepts_what_is_held_or_rejected():
    for verdict in ("HOLD", "REJECT"):
        assert applying([WORD], [Outcome("quality", verdict, "")], CANDIDATE) == [WORD]


def test_it_is_for_one_model_and_one_gate_alone():
    assert applying([WORD], [Outcome("quality", "HOLD", "")], CANDIDATE | {"model": "f" * 32}) == []
    assert applying([WORD], [Outcome("quality", "HOLD", "")], CANDIDATE | {"model": None}) == []
    assert applying([WORD], [Outcome("slices", "HOLD", "")], CANDIDATE) == []


def test_what_passes_needs_no_override():
    assert applying([WORD], [Outcome("quality", "PROMOTE", "")], CANDIDATE) == []


@pytest.mark.parametrize("gate", ["contract", "leakage"])
def test_broken_data_and_leakage_cannot_be_accepted(gate):
    word = WORD.model_copy(update={"gate": gate, "contract": CONTRACT[:8]})
    assert applying([word], [Outcome(gate, "REJECT", "")], CANDIDATE) == []
    assert applying([word], [Outcome(gate, "HOLD", "")], CANDIDATE) == [word]


def test_it_is_for_one_contract():
    word = WORD.model_copy(update={"contract": CONTRACT[:8]})
    held = [Outcome("quality", "HOLD", "")]
    assert applying([word], held, CANDIDATE) == [word]
    assert applying([word], held, CANDIDATE | {"contract": "f" * 64}) == []


def test_without_a_contract_it_does_not_accept_what_the_contract_gate_holds():
    word = WORD.model_copy(update={"gate": "contract"})
    assert applying([word], [Outcome("contract", "HOLD", "")], CANDIDATE) == []


def test_changed_limits_are_accepted_once_and_not_when_they_change_again():
    word = WORD.model_copy(update={"gate": "limits", "limits": "01234567"})
    first, then = (Outcome("limits", "HOLD", "", {"limits": digest}) for digest in ("0123456789ab", "ba9876543210"))
    assert applying([word], [first], CANDIDATE) == [word]
    assert applying([word], [then], CANDIDATE) == []
    assert applying([word.model_copy(update={"limits": None})], [first], CANDIDATE) == []


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
