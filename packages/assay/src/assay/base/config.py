"""Reading YAML and JSON into frozen, typed objects, with errors that name the key."""

import difflib
import json
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError

from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError, one_line


class Frozen(BaseModel):
    """A typed, immutable value that accepts no unknown keys."""

    # Built when first needed: a service never needs many of them. Only some values of a contract may be infinite.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, defer_build=True, allow_inf_nan=False, ser_json_inf_nan="strings"
    )


Model = TypeVar("Model", bound=BaseModel)


# The deepest nesting of a configuration file.
DEEPEST = 100


def parse_yaml(text: str) -> Any:
    """Return the content of a YAML document as DVC reads it, but with times as text.

    Raises ValueError, in one line, for a document that is not YAML, repeats a key, or is nested too deeply.
    """
    return deepcopy(_parsed(text))


# A command reads some files several times, and to parse a lock takes a tenth of a second.
@cache
def _parsed(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _constructor()
    yaml.max_depth = DEEPEST
    try:
        return yaml.load(text)
    except MarkedYAMLError as error:
        parts = ((error.context, error.context_mark), (error.problem, error.problem_mark))
        message = [
            f"{what} in line {at.line + 1}, column {at.column + 1}" if at else what for what, at in parts if what
        ]
        raise ValueError(" ".join(" ".join(message).split())) from None
    # ruamel.yaml raises errors of many kinds for a value that does not fit its tag.
    except Exception as error:
        raise ValueError(one_line(error)) from None


@cache
def _constructor() -> type[Any]:
    """Return a YAML constructor that leaves times as text."""
    # Imported here, because the service reads no YAML and should start quickly.
    from ruamel.yaml.constructor import SafeConstructor

    class Constructor(SafeConstructor):
        pass

    Constructor.add_constructor("tag:yaml.org,2002:timestamp", lambda self, node: self.construct_scalar(node))
    return Constructor


def read_yaml(path: Path) -> Any:
    """Return the content of a YAML file; raises InputError, in one line, if it is missing or not YAML."""
    try:
        text = path.read_text(encoding="utf-8")
        require_no_conflict(path, text)
        return parse_yaml(text)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise InputError(f"{path}: not valid YAML: {error}") from None


def read_config(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into `model`; raises InputError as `read_yaml` and `typed` do."""
    return typed(read_yaml(path), model, path)


def typed(content: Any, model: type[Model], path: Path) -> Model:
    """Return the content of a file as `model`.

    Raises InputError, in one line, for an unknown key (with the closest known one), a wrong type or a value that
    `model` refuses.
    """
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    try:
        # Through JSON, so that strict typing still accepts a list for a tuple and a text for a time.
        text = json.dumps(content)
    except (TypeError, ValueError):
        raise InputError(
            f"{path}: an anchor refers to itself, or a tag makes something other than text, a number or a list"
        ) from None
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        raise InputError(f"{path}: {_describe(error, model)}") from None


def _describe(error: ValidationError, model: type[BaseModel]) -> str:
    problems = error.errors(include_url=False)
    # A misspelt key is also a missing key; the misspelling tells the user what to do.
    first = next((problem for problem in problems if problem["type"] == "extra_forbidden"), problems[0])
    keys, known = _place(model, first["loc"], first["type"])
    # Each member of a union reports the same value: that is one problem.
    same = [one for one in problems if one["loc"] == first["loc"] or _place(model, one["loc"], one["type"])[0] == keys]
    where = ".".join(keys)
    match first["type"]:
        case "extra_forbidden":
            message = f"unknown key {where!r}{did_you_mean(keys[-1], known)}"
        case "missing":
            message = f"{where} is missing"
        case "union_tag_not_found":
            message = f"{where}.kind is missing"
        case "union_tag_invalid":
            tag, tags = first["ctx"]["tag"], first["ctx"]["expected_tags"].replace("'", "")
            message = f"{where}.kind: {tag!r} is not one of {tags}{did_you_mean(tag, tags.split(', '))}"
        case "value_error":
            message = f"{where}: " * bool(where) + str(first["ctx"]["error"])
        case _:
            wanted = " or ".join(dict.fromkeys(one["msg"].removeprefix("Input should be ") for one in same))
            message = f"{where}: should be {wanted}, found {repr(first['input'])[:80]}"
            if wanted == "a valid string" and isinstance(first["input"], int | float):
                message += "; put it in quotes"
    others = len(problems) - len(same)
    return message + (f" (and {others} more)" if others else "")


def flat(content: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested keys as keys of one level.

    >>> flat({"model": {"family": "linear"}, "seed": 1})
    {'model.family': 'linear', 'seed': 1}
    """
    found: dict[str, Any] = {}
    for name, value in content.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the end of a message that suggests the closest known name; empty if none is close.

    >>> did_you_mean("trails", ["trials", "folds"])
    "; did you mean 'trials'?"
    """
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


def _place(model: type[BaseModel], loc: tuple[int | str, ...], problem: str) -> tuple[list[str], set[str]]:
    """Return the keys of a location, without pydantic's names for union members, and the keys known there."""
    kind: Any = model
    keys: list[str] = []
    known: set[str] = set()
    for number, part in enumerate(loc):
        known = set(_fields(kind))
        kind, is_key = _below(kind, part)
        if is_key or (number == len(loc) - 1 and problem == "extra_forbidden"):
            keys.append(str(part))
    return keys, known


def _below(kind: Any, part: int | str) -> tuple[Any, bool]:
    """Return the type under `part` of a type, and whether `part` is a key rather than a member of a union."""
    if part in _fields(kind):
        return _fields(kind)[str(part)], True
    if get_origin(kind) in (dict, tuple, list):
        return next(one for one in reversed(get_args(kind)) if one is not ...), True
    for member in get_args(kind):
        tag = _fields(member).get("kind")
        if tag is not None and part in get_args(tag):
            return member, False
        found, is_key = _below(member, part)
        if found is not None:
            return found, is_key
    return None, False


def _fields(kind: Any) -> dict[str, Any]:
    """Return the keys of a model and their types; no key for any other type."""
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return {}
    return {field.alias or name: field.annotation for name, field in kind.model_fields.items()}
