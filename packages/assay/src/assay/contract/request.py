"""The request model of the service, made from the contract. Needs only pydantic."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    Field,
    create_model,
)
from pydantic.config import JsonDict
from pydantic_core import ErrorDetails

from assay.base.config import did_you_mean
from assay.base.errors import one_line
from assay.contract import cleaning, rules
from assay.contract.spec import Boolean, Category, Contract, Feature, Integer, Number, Text, Time

_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


def request_model(contract: Contract, max_rows: int, name: str = "Request") -> type[BaseModel]:
    """Return the model of `{"rows": [{...}, ...]}`, with 1 to `max_rows` rows of the contract's features.

    It is strict: no key that is not a column, and no text for a number unless the contract says how to clean it. Values
    of columns that are not features are ignored. A whole number may be written 3 or 3.0, as in JSON Schema, and a
    boolean also 1, 0, "yes" or "no". The model reads both JSON text and plain Python values.
    """
    return request_models(contract, {name: max_rows})[0]


def request_models(contract: Contract, max_rows: Mapping[str, int]) -> list[type[BaseModel]]:
    """Return models as `request_model` does, by name and most rows; they share the model of a row."""
    # A column may have any name, but a field may not: so fields are numbered, and the name is the alias.
    fields: dict[str, Any] = {
        _field(number): (_annotation(column, contract.missing_markers), _described(name, column))
        for number, (name, column) in enumerate(contract.features.items())
    }
    ids = contract.given_ids
    for number, name in enumerate(contract.unused, len(fields)):
        use = "not used by the model; outcomes may name it" if name in ids else "not used"
        fields[_field(number)] = (Any, Field(default=None, alias=name, title=name, description=use))
    row = create_model("Row", __config__=_STRICT, **fields)
    # Stop at the first invalid row: reporting ten thousand would take seconds.
    rows = Annotated[list[row], FailFast()]  # type: ignore[valid-type]
    return [
        create_model(name, __config__=_STRICT, rows=(Annotated[rows, Field(min_length=1, max_length=most)], ...))
        for name, most in max_rows.items()
    ]


def field_names(contract: Contract) -> dict[str, str]:
    """Return, for each feature, the name of its attribute in a row of the request model."""
    return {name: _field(number) for number, name in enumerate(contract.features)}


def row_values(row: BaseModel, contract: Contract) -> dict[str, Any]:
    """Return a row of a request as `assay.data.columns.from_rows` takes it: a value or None for every feature."""
    return {name: getattr(row, _field(number)) for number, name in enumerate(contract.features)}


def as_json(row: Mapping[str, Any], contract: Contract) -> dict[str, Any]:
    """Return the features of a row, Python values or None, as JSON values for a request."""
    return {name: json_value(row[name], column) for name, column in contract.features.items()}


def explain(problems: Iterable[ErrorDetails], contract: Contract) -> list[str]:
    """Return the problems of a request, one line each, with row (from 0), column and what was expected.

    `problems` are the errors of pydantic's ValidationError.
    """
    return [
        _explain(problem["loc"], problem["type"], problem["input"], contract, problem.get("ctx", {}))
        for problem in problems
    ]


def _explain(location: tuple[int | str, ...], kind: str, given: Any, contract: Contract, ctx: Mapping[str, Any]) -> str:
    if len(location) < 3:
        return _explain_shape(location, kind, given, ctx)
    row, name = f"row {location[1]}", str(location[2])
    column = contract.features.get(name)
    if column is None:
        return f"{row}: unknown column {_quoted(name)}{did_you_mean(name, contract.features)}"
    got = "nothing" if kind == "missing" else _shown(given)
    return f"{row}: {_plain(name)}: expected {rules.expected(column)}, got {got}"


def _explain_shape(location: tuple[int | str, ...], kind: str, given: Any, ctx: Mapping[str, Any]) -> str:
    """Describe a problem outside of the rows: the body, its keys, the list, or an item that is not a row."""
    if kind == "json_invalid":
        return f"the body is not JSON: {one_line(ctx['error'])}"
    if kind == "extra_forbidden":
        return f'unknown key {_quoted(str(location[-1]))}; the body is {{"rows": [{{...}}, ...]}}'
    if kind == "too_short":
        return "rows: expected at least 1 row, got none"
    if kind == "too_long":
        return f"rows: expected at most {ctx['max_length']} rows, got {len(given)}"
    if len(location) == 2:
        return f"row {location[1]}: expected an object with a value for each column, got {_shown(given)}"
    if len(location) == 1:
        return f"rows: expected a list of rows, got {'nothing' if kind == 'missing' else _shown(given)}"
    return f'the body: expected {{"rows": [{{...}}, ...]}}, got {_shown(given)}'


def _field(number: int) -> str:
    return f"c{number}"


def _described(name: str, column: Feature) -> Any:
    unit = column.unit if isinstance(column, Number | Integer) else None
    form = rules.expected(column) if isinstance(column, Time) else None
    text = "; ".join(part for part in (column.description, unit and f"in {unit}", form) if part)
    missing = ... if column.missing == "refuse" else None
    return Field(default=missing, alias=name, title=name, description=text or None)


def _annotation(column: Feature, markers: Iterable[str]) -> Any:
    kind = _value(column)
    if column.missing == "allow":
        kind = kind | None
    read = BeforeValidator(cleaning.from_json(column, markers))
    if isinstance(column, Text):
        # Missing markers of the data file mean missing here too.
        missing = sorted(cleaning.markers_of(column, markers))
        schema: JsonDict = {} if column.missing == "allow" else {"not": {"enum": [*missing]}}
        return Annotated[kind, read, Field(json_schema_extra=schema)]
    return Annotated[kind, read]


def _value(column: Feature) -> Any:
    match column:
        case Number():
            low, high = column.range or (-math.inf, math.inf)
            bounds = Field(ge=None if low == -math.inf else low, le=None if high == math.inf else high)
            return Annotated[float, bounds]
        case Integer():
            low, high = column.limits
            return Annotated[int, Field(ge=low, le=high)]
        case Boolean():
            return bool
        case Category():
            return cast(Any, Literal)[column.values]
        case Text():
            return Annotated[str, Field(max_length=column.max_length)]
        case Time():
            return Annotated[str, AfterValidator(moment(column))]


def moment(column: Time) -> Callable[[str], datetime]:
    """Return a function that parses a time of the column; it raises ValueError for an invalid time."""
    low, high = column.range or (datetime.min, datetime.max)
    parse = cleaning.times(column)

    def read(text: str) -> datetime:
        moment = parse(text)
        if not low <= moment <= high:
            raise ValueError("outside the range")
        return moment

    return read


def json_value(value: Any, column: Feature) -> Any:
    """Return a value of a column, or None, as a JSON value for a request."""
    if isinstance(value, datetime) and isinstance(column, Time):
        return value.strftime(column.format) if column.format else value.isoformat()
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if value is True or value is False:
        return str(value).lower()
    text = _quoted(value) if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _quoted(text: str) -> str:
    return repr(text[:100])


def _plain(name: str) -> str:
    return name if name.isprintable() else repr(name)
