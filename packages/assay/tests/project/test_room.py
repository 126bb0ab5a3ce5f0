"""The user's room: every part of it is optional, and what is wrong with one is said in one line."""

import sys
from collections.abc import Callable, Iterator
from copy import copy
from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.project.room import NO_ROOM, Room, load_room
from rooms import no_package

PARTS = {"derived": (), "families": None, "trusted": (), "expectations": (), "template": None}
DERIVED = """
from assay.project.room import Derived

DERIVED = [Derived("growth", lambda columns: columns["b"] / columns["a"], source="b")]
"""
FAMILIES = """
from sklearn.svm import SVC, SVR

from assay.project.room import Family

FAMILIES = {"svm": Family(SVC, SVR, "scaling", lambda trial, task: {})}
TRUSTED = ["sklearn.svm._classes.SVC"]
"""
WHOLE = {
    "__init__.py": "",
    "features.py": DERIVED,
    "estimators.py": FAMILIES,
    "expectations.py": "EXPECTATIONS = ['a']\n",
    "report.md.j2": "# A report\n",
}
Write = Callable[..., Room]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes files of a user's package into a project, and returns the room of it; no other package is known."""

    def made(**files: str) -> Room:
        for name, text in files.items():
            path = tmp_path / "project/src/model" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return Room(tmp_path / "project")

    with no_package(monkeypatch):
        yield made


def refusal(room: Room, part: str) -> str:
    with pytest.raises(InputError) as caught:
        getattr(room, part)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_whole_room_has_every_part(write: Write) -> None:
    room = write(**WHOLE)
    assert [(one.name, one.source) for one in room.derived] == [("growth", "b")]
    assert list(room.families or {}) == ["svm"]
    assert room.trusted == ("sklearn.svm._classes.SVC",)
    assert room.expectations == ("a",)
    assert room.template == "# A report\n"


@pytest.mark.parametrize("missing", [None, *WHOLE])
def test_whatever_is_not_there_is_empty_and_the_rest_is_as_it_was(write: Write, missing: str | None) -> None:
    kept = {name: text for name, text in WHOLE.items() if missing not in (None, name)}
    whole = {"derived", "families", "trusted", "expectations", "template"} if kept else set()
    gone = {
        "features.py": {"derived"},
        "estimators.py": {"families", "trusted"},
        "expectations.py": {"expectations"},
        "report.md.j2": {"template"},
    }.get(missing or "", set())
    room = write(**kept)
    for part, empty in PARTS.items():
        assert (getattr(room, part) != empty) == (part in whole - gone), part


def test_a_module_that_does_not_name_a_part_leaves_it_empty(write: Write) -> None:
    room = write(**{name: "" for name in WHOLE if name.endswith(".py")})
    assert {part: getattr(room, part) for part in PARTS} == PARTS


def test_the_process_by_itself_has_no_room_wherever_it_runs(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write(**WHOLE)
    monkeypatch.chdir(write()._root or "")
    assert {part: getattr(NO_ROOM, part) for part in PARTS} == PARTS
    assert load_room().template == "# A report\n"


@pytest.mark.parametrize(
    ("part", "file", "text", "said"),
    [
        ("derived", "features.py", "DERIVED = 3", "DERIVED should be a list or tuple, found int"),
        ("derived", "features.py", "DERIVED = [print]", "each entry of DERIVED should be a Derived, found builtin"),
        ("derived", "features.py", f"{DERIVED}\nDERIVED *= 2", "DERIVED contains 'growth' twice; rename one"),
        ("families", "estimators.py", "FAMILIES = []", "FAMILIES should be a dict, found list"),
        ("families", "estimators.py", "FAMILIES = {'a': 3}", "each entry of FAMILIES should be a Family, found int"),
        ("trusted", "estimators.py", "TRUSTED = 'a.B'", "TRUSTED should be a list or tuple, found str"),
        ("trusted", "estimators.py", "TRUSTED = [dict]", "each entry of TRUSTED should be a str, found type"),
        ("expectations", "expectations.py", "EXPECTATIONS = {}", "EXPECTATIONS should be a list or tuple, found dict"),
    ],
)
def test_a_part_of_the_wrong_type_is_named_with_its_file(
    write: Write, part: str, file: str, text: str, said: str
) -> None:
    assert refusal(write(**{file: text}), part).startswith(f"src/model/{file}: {said}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("DERIVED = [", "SyntaxError: '[' was never closed (features.py, line 1)"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("raise ValueError('one\\ntwo')", "ValueError: one two"),
        ("DERIVED = 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_code_that_cannot_be_imported_is_one_line_with_its_file(write: Write, text: str, said: str) -> None:
    assert refusal(write(**{"features.py": text}), "derived") == f"src/model/features.py: cannot be imported: {said}"


def test_a_template_of_another_encoding_is_one_line_with_its_file(write: Write) -> None:
    room = write(**{"report.md.j2": ""})
    assert room._root is not None
    (room._root / "src/model/report.md.j2").write_bytes("é".encode("latin-1"))
    assert refusal(room, "template").startswith("src/model/report.md.j2: not valid UTF-8")


def test_each_part_is_loaded_for_itself(write: Write) -> None:
    room = write(**WHOLE | {"expectations.py": "raise ValueError", "estimators.py": "raise ValueError"})
    assert [one.name for one in room.derived] == ["growth"]
    for part in ("families", "expectations"):
        assert "cannot be imported: ValueError" in refusal(room, part)


def test_a_part_is_loaded_once(write: Write) -> None:
    room = write(**WHOLE)
    assert room.derived is room.derived


@pytest.mark.parametrize("other", ["model/__init__.py", "model.py"])
def test_a_package_of_that_name_on_the_python_path_does_not_stand_in_the_way(
    write: Write, tmp_path: Path, other: str
) -> None:
    room = write(**{"__init__.py": "", "features.py": DERIVED})
    (tmp_path / "elsewhere" / other).parent.mkdir(parents=True)
    (tmp_path / "elsewhere" / other).write_text("")
    sys.path[:0] = [str(tmp_path / "elsewhere"), str(tmp_path / "project/src")]
    assert [one.name for one in room.derived] == ["growth"]


def test_another_package_of_that_name_that_python_finds_first_is_named(write: Write, tmp_path: Path) -> None:
    # Of two folders, Python takes the one with an __init__.py.
    room = write(**{"names.py": "", "features.py": DERIVED})
    (tmp_path / "elsewhere/model").mkdir(parents=True)
    (tmp_path / "elsewhere/model/__init__.py").write_text("")
    sys.path.append(str(tmp_path / "elsewhere"))
    said = refusal(room, "derived")
    assert said.startswith("src/model/features.py: Python finds another package 'model' first, ")
    assert str(tmp_path / "elsewhere/model") in said
    assert said.endswith("; rename it, or remove it from the Python path")


def test_a_package_of_that_name_that_is_loaded_already_is_named_too(write: Write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/model.py").write_text("")
    sys.path.insert(0, str(tmp_path / "elsewhere"))
    __import__("model")
    assert "Python finds another package 'model' first" in refusal(write(**WHOLE), "derived")


def test_the_users_package_needs_no_init_and_may_import_itself(write: Write) -> None:
    room = write(**{"names.py": "NAME = 'growth'\n", "features.py": f"from model.names import NAME\n{DERIVED}"})
    assert [one.name for one in room.derived] == ["growth"]


def test_another_process_loads_the_room_for_itself(write: Write) -> None:
    room = write(**WHOLE)
    assert room.derived
    # As pickle does.
    again = copy(room)
    assert not {"derived", "families"} & vars(again).keys()
    assert [one.name for one in again.derived] == ["growth"]
