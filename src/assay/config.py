"""Reading a YAML file into a frozen, typed object, with errors that name the key."""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from assay.errors import InputError


class Frozen(BaseModel):
    """A typed value that cannot be changed and knows no keys but its own."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


Model = TypeVar("Model", bound=BaseModel)


def read_config(path: Path, model: type[Model]) -> Model:
    """Read a YAML file into `model`.

    Raises InputError, in one line, for a file that is missing or no YAML, an unknown key (with the nearest
    known one), a wrong type or a value that `model` refuses.
    """
    try:
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such file") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text (byte {error.start})") from None
    except YAMLError as error:
        raise InputError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: expected keys and values, found {type(content).__name__}")
    try:
        # Through JSON, so that strict typing still takes a YAML list for a tuple and a YAML date for a time.
        return model.model_validate_json(json.dumps(content, default=str))
    except ValidationError as error:
        raise InputError(f"{path}: {_describe(error, model)}") from None


def _describe(error: ValidationError, model: type[BaseModel]) -> str:
    problems = error.errors(include_url=False)
    first = problems[0]
    where = ".".join(str(part) for part in first["loc"]) or "the file"
    if first["type"] == "extra_forbidden":
        key = str(first["loc"][-1])
        near = difflib.get_close_matches(key, sorted(set(_field_names(model, set()))), n=1, cutoff=0.5)
        message = f"unknown key {where!r}" + (f"; did you mean {near[0]!r}?" if near else "")
    elif first["type"] == "value_error":
        message = f"{where}: {first['ctx']['error']}"
    elif first["type"] == "missing":
        message = f"{where} is missing"
    else:
        message = f"{where}: {first['msg']}, found {first['input']!r}"
    return message + (f" (and {len(problems) - 1} more)" if len(problems) > 1 else "")


def _field_names(annotation: Any, seen: set[Any]) -> Iterator[str]:
    """Yield the names of all fields below a type."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        if annotation in seen:
            return
        seen.add(annotation)
        for name, field in annotation.model_fields.items():
            yield name
            yield from _field_names(field.annotation, seen)
    for argument in get_args(annotation):
        yield from _field_names(argument, seen)
