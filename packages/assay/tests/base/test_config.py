import re
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import loads_yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import Field
from ruamel.yaml import YAML

from assay.base.config import DEEPEST, Frozen, flat, parse_yaml, read_config
from assay.base.errors import InputError


class Limits(Frozen):
    largest_share: float = Field(default=0.5, le=1)
    values: dict[str, bool | int | float | str | None] = Field(default={})


class House(Frozen):
    name: str
    limits: Limits = Limits()
    sizes: tuple[float, ...] = ()
    built: datetime | None = None
    validate_: bool = Field(default=False, alias="validate")


def read(tmp_path: Path, content: str | bytes, model: type[Frozen] = House) -> Frozen:
    path = tmp_path / "house.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_config(path, model)


def refusal(tmp_path: Path, content: str | bytes) -> str:
    """Return the error, which has to be one line that begins with the file."""
    with pytest.raises(InputError) as caught:
        read(tmp_path, content)
    where, _, message = str(caught.value).partition("house.yaml: ")
    assert where
    assert "\n" not in message
    return message


def test_who_changes_what_was_read_changes_it_for_nobody_else() -> None:
    parse_yaml("sizes: [1]")["sizes"].append(2)
    assert parse_yaml("sizes: [1]") == {"sizes": [1]}


def test_a_file_becomes_a_frozen_object(tmp_path: Path) -> None:
    house = read(tmp_path, "name: Möwe\nsizes: [1, 2.5]\nbuilt: 1890-01-02 03:04:05\nvalidate: true")
    assert house == House(name="Möwe", sizes=(1.0, 2.5), built=datetime(1890, 1, 2, 3, 4, 5), validate=True)
    with pytest.raises(ValueError, match="frozen"):
        house.name = "other"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("nmae: a", "unknown key 'nmae'; did you mean 'name'? (and 1 more)"),
        ("name: a\nlimits: {largst_share: 0.1}", "unknown key 'limits.largst_share'; did you mean 'largest_share'?"),
        ("name: a\nvalidat: true", "unknown key 'validat'; did you mean 'validate'?"),
        ("name: a\nqqqqqq: 1", "unknown key 'qqqqqq'"),
    ],
)
def test_an_unknown_key_names_the_nearest_known_one(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(tmp_path, content).startswith(message)


def test_a_key_that_belongs_elsewhere_is_not_offered_in_the_wrong_place(tmp_path: Path) -> None:
    assert refusal(tmp_path, "name: a\nlargest_share: 1") == "unknown key 'largest_share'"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sizes: []", "name is missing"),
        ("name: 5", "name: should be a valid string, found 5; put it in quotes"),
        ("name: a\nsizes: [1, x]", "sizes.1: should be a valid number, found 'x'"),
        ("name: a\nsizes: [true]", "sizes.0: should be a valid number, found True"),
        ("name: a\nlimits: {largest_share: 2}", "limits.largest_share: should be less than or equal to 1, found 2"),
        (
            "name: a\nlimits: {values: {depth: [1]}}",
            "limits.values.depth: should be a valid boolean or a valid integer or a valid number or a valid string, "
            "found [1]",
        ),
        ("5", "expected keys and values, found int"),
        ("", "expected keys and values, found NoneType"),
        ("- a\n- b", "expected keys and values, found list"),
    ],
)
def test_a_wrong_value_is_named_with_its_key(tmp_path: Path, content: str, message: str) -> None:
    assert refusal(tmp_path, content) == message


def test_several_problems_are_counted(tmp_path: Path) -> None:
    assert refusal(tmp_path, "name: 5\nsizes: 6\nbuilt: 7").endswith("(and 2 more)")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [1", "not valid YAML: "),
        ("a: 1\na: 2", 'not valid YAML: .*found duplicate key "a" .* in line 2, column 1$'),
        ("a: \x00", "not valid YAML: "),
        ("a: !!python/object/apply:os.getcwd []", "not valid YAML: "),
        ("a: &x [*x]", "an anchor refers to itself"),
        ("a: !!binary aGk=", ".* a tag makes something other than text"),
        ("!!binary aGk=: 1", ".* a tag makes something other than text"),
        ("name: a".encode("utf-16"), r"not UTF-8 text \(byte 0\)"),
        ("name: Möwe".encode("latin-1"), r"not UTF-8 text \(byte 7\)"),
    ],
)
def test_what_is_no_yaml_is_refused_in_one_line(tmp_path: Path, content: str | bytes, message: str) -> None:
    assert re.match(message, refusal(tmp_path, content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml: there is no such file"):
        read_config(tmp_path / "nothing.yaml", House)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_config(tmp_path, House)


# What numbers, truths and nothings are written with.
PLAIN = st.text("0123456789+-._eEoxbn~taf", min_size=1, max_size=7)
WORDS = st.sampled_from(
    ["null", "Null", "true", "FALSE", "no", "yes", "y", "on", ".inf", "-.INF", ".NaN", "0b1", "0o17", "0x1F", "1:30"]
)
SCALARS = (PLAIN | WORDS).filter(lambda text: not re.match("[0-9]{4}-", text))


def outcome(read: Any, text: str) -> str:
    """Return what is read, with its types; or that nothing is."""
    try:
        return repr(read(text))
    except ValueError:
        return "refused"
    # ruamel.yaml raises errors of many kinds.
    except Exception:
        if read is loads_yaml:
            return "refused"
        raise


@given(SCALARS)
@example("08")
@example("1e3")
@example("1__0")
def test_a_value_is_what_dvc_reads(text: str) -> None:
    assert outcome(parse_yaml, f"a: {text}\n") == outcome(loads_yaml, f"a: {text}\n")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec="utf-8"), max_size=9),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc:#- ", max_size=4), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_is_written_with_any_values_is_what_dvc_reads(value: Any) -> None:
    written = StringIO()
    YAML(typ="safe", pure=True).dump(value, written)
    assert outcome(parse_yaml, written.getvalue()) == outcome(loads_yaml, written.getvalue())


def test_anchors_and_merge_keys_are_followed() -> None:
    text = "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x"
    assert parse_yaml(text) == loads_yaml(text) == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}}


def test_what_is_merged_into_two_mappings_has_no_key_twice() -> None:
    text = "a: &a {c: 1}\nb:\n  d: &d {<<: *a, c: 3}\ne: {<<: *d}"
    assert parse_yaml(text) == loads_yaml(text) == {"a": {"c": 1}, "b": {"d": {"c": 3}}, "e": {"c": 3}}


def test_what_looks_like_a_time_is_a_text() -> None:
    assert parse_yaml("[2020-01-01, 2020-01-01T02:03:04Z]") == ["2020-01-01", "2020-01-01T02:03:04Z"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", 'found duplicate key "a" with value "3" (original value: "1") in line 3, column 1'),
        ("a: {b: 1, 'b': 2}", 'found duplicate key "b" with value "2" (original value: "1") in line 1, column 11'),
        ("{1: a, 0x1: b}", 'found duplicate key "1"'),
        ("{~: a, null: b}", 'found duplicate key "None"'),
        ("a: !!bool maybe", "maybe"),
        ("a: !!float ''", "string index out of range"),
        ("a: !!int x", "invalid literal for int()"),
        ("a: [1", "while parsing a flow sequence in line 1, column 4 expected ',' or ']', but got '<stream end>'"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("? {a: 1}\n: 2", "while constructing a mapping in line 1, column 1 found unhashable key"),
        ("[" * (DEEPEST + 1), f"maximum depth of data structure exceeded ({DEEPEST + 1})"),
        ("{a: " * 1_000_000, f"maximum depth of data structure exceeded ({DEEPEST + 1})"),
    ],
)
def test_what_is_no_yaml_is_refused_with_its_place_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        parse_yaml(text)
    assert "\n" not in str(caught.value)


def test_what_is_deep_but_not_too_deep_is_read() -> None:
    value = parse_yaml("[" * DEEPEST + "]" * DEEPEST)
    for _ in range(DEEPEST - 1):
        (value,) = value
    assert value == []


def test_nested_keys_become_dotted_ones() -> None:
    assert flat({"a": 1, "b": {"c": {"d": None}, "e": []}, "f": {}}) == {"a": 1, "b.c.d": None, "b.e": []}
