import math
import re
from datetime import date, datetime
from io import StringIO
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from assay.base.yaml12 import DEEPEST, parse_yaml

# What numbers, truths and nothings are written with.
PLAIN = st.text("0123456789+-._eEoxbn~taf", min_size=1, max_size=7)
WORDS = st.sampled_from(
    ["null", "Null", "true", "FALSE", "no", "yes", "y", "on", ".inf", "-.INF", ".NaN", "0b1", "0o17", "0x1F", "1:30"]
)
# All but floats that ruamel.yaml takes for texts.
SCALARS = (PLAIN | WORDS).filter(lambda text: not re.fullmatch(r"[-+]?\.[0-9_]+[eE][0-9]+", text))


def by_ruamel(text: str) -> Any:
    """Return what DVC reads, with times as texts."""
    return _times_as_texts(YAML(typ="safe", pure=True).load(text))


def _times_as_texts(value: Any) -> Any:
    match value:
        case dict():
            return {_times_as_texts(key): _times_as_texts(one) for key, one in value.items()}
        case list():
            return [_times_as_texts(one) for one in value]
        case date() | datetime():
            return str(value)
    return value


def outcome(read: Any, text: str) -> str:
    """Return what is read, with its types; or that nothing is."""
    try:
        return repr(read(text))
    except ValueError:
        return "refused"
    except Exception:
        # ruamel.yaml has errors of many kinds.
        if read is by_ruamel:
            return "refused"
        raise


@given(SCALARS)
@example("08")
@example("1e3")
@example("1__0")
def test_a_value_is_what_dvc_reads(text: str) -> None:
    assert outcome(parse_yaml, f"a: {text}\n") == outcome(by_ruamel, f"a: {text}\n")


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
    assert outcome(parse_yaml, written.getvalue()) == outcome(by_ruamel, written.getvalue())


def test_anchors_and_merge_keys_are_followed() -> None:
    text = "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\ne: *x"
    assert parse_yaml(text) == by_ruamel(text) == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": {"b": 1, "c": 2}}


def test_what_is_merged_into_two_mappings_has_no_key_twice() -> None:
    text = "a: &a {c: 1}\nb:\n  d: &d {<<: *a, c: 3}\ne: {<<: *d}"
    assert parse_yaml(text) == by_ruamel(text) == {"a": {"c": 1}, "b": {"d": {"c": 3}}, "e": {"c": 3}}


def test_what_looks_like_a_time_is_a_text() -> None:
    assert parse_yaml("[2020-01-01, 2020-01-01T02:03:04Z]") == ["2020-01-01", "2020-01-01T02:03:04Z"]


def test_a_point_before_a_number_with_an_exponent_is_a_number() -> None:
    assert parse_yaml(".5e3") == 500
    assert math.isnan(parse_yaml(".nan"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "found duplicate key 'a' in line 3, column 1"),
        ("a: {b: 1, 'b': 2}", "found duplicate key 'b' in line 1, column 11"),
        ("{1: a, 0x1: b}", "found duplicate key '0x1'"),
        ("{~: a, null: b}", "found duplicate key 'null'"),
        ("a: !!bool maybe", "a value is not what its tag says"),
        ("a: !!timestamp now", "a value is not what its tag says"),
        ("a: !!float ''", "a value is not what its tag says"),
        ("a: !!int x", "invalid literal for int()"),
        ("a: [1", "while parsing a flow sequence in line 1, column 4 did not find expected"),
        ("a: !!python/object/apply:os.getcwd []", "could not determine a constructor for the tag"),
        ("a: 1\n---\na: 2", "expected a single document"),
        ("? [1]\n: 2", "while constructing a mapping in line 1, column 1 found unhashable key"),
        ("[" * (DEEPEST + 1), f"nested more than {DEEPEST} deep in line 1, column {DEEPEST + 1}"),
        ("{a: " * 1_000_000, f"nested more than {DEEPEST} deep"),
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
