"""The parts of the manual that are generated: keys of contract.yaml and params.yaml, and the commands.

`make schemas` writes them between the marks of their pages.
"""

from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import annotated_types as at
import click
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from assay.cli.main import app
from assay.contract.spec import Contract
from assay.project.params import Params

FOLDER = Path(__file__).parents[2] / "docs/reference"
BOUNDS = {at.Ge: ("at least", "ge"), at.Gt: ("above", "gt"), at.Le: ("at most", "le"), at.Lt: ("below", "lt")}
PLAIN = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def keys(model: type[BaseModel], above: str = "") -> list[tuple[str, FieldInfo]]:
    """Return the dotted keys below a type that hold values, and their fields."""
    found = []
    for name, field in model.model_fields.items():
        key = f"{above}{field.alias or name}"
        inner = field.annotation
        if _is_model(inner):
            found += keys(inner, f"{key}.")  # type: ignore[arg-type]
        else:
            found.append((key, field))
    return found


def values(field: FieldInfo) -> str:
    """Return what a parameter may be: `number, above 0, at most 1`."""
    if get_origin(field.annotation) is dict:
        return "names and values"
    if get_origin(field.annotation) is Literal:
        return " or ".join(f"`{one}`" for one in get_args(field.annotation))
    parts = [kind for kind in get_args(field.annotation) if _is_model(kind)]
    if parts:
        return f"a list of {' and '.join(f'`{name}`' for name in parts[0].model_fields)}"
    kinds = [PLAIN[kind] for kind in (field.annotation, *get_args(field.annotation)) if kind in PLAIN]
    bounds = [
        f"{word} {getattr(one, attribute):,}"
        for one in field.metadata
        for kind, (word, attribute) in BOUNDS.items()
        if isinstance(one, kind)
    ]
    return ", ".join([kinds[0], *bounds])


def params() -> str:
    """Return a table of parameters for each section of params.yaml."""
    lines: list[str] = []
    for name, field in Params.model_fields.items():
        section, inner = field.alias or name, field.annotation
        is_section = _is_model(inner)
        lines += ["", f"## {section}", *[str(field.description), ""] * is_section]
        lines += ["| key | meaning | value |", "|---|---|---|"]
        rows = keys(inner, f"{section}.") if is_section else [(section, field)]  # type: ignore[arg-type]
        lines += [f"| `{key}` | {one.description} | {values(one)} |" for key, one in rows]
    return "\n".join([*lines[1:], ""])


def contract() -> str:
    """Return a table of the keys of contract.yaml, one for each key that has keys of its own, and one of the kinds."""
    lines = ["| key | meaning |", "|---|---|"]
    lines += [f"| `{name}` | {field.description} |" for name, field in Contract.model_fields.items()]
    for name, field in Contract.model_fields.items():
        inner = next((one for one in (field.annotation, *get_args(field.annotation)) if _is_model(one)), None)
        if inner is not None:
            lines += ["", f"Keys of `{name}`:", "", *_named(inner)]
    return "\n".join([*lines, ""])


def kinds() -> str:
    """Return a table of the kinds of columns, and what each takes besides `description` and `missing`."""
    lines = ["| kind | meaning | further keys |", "|---|---|---|"]
    members = get_args(get_args(get_args(Contract.model_fields["columns"].annotation)[1])[0])
    shared = set.intersection(*(set(member.model_fields) for member in members))
    for member in members:
        fields = member.model_fields
        further = [f"`{name}`: {field.description}" for name, field in fields.items() if name not in shared]
        (kind,) = get_args(fields["kind"].annotation)
        lines.append(f"| `{kind}` | {fields['kind'].description} | {' '.join(further)} |")
    first = members[0].model_fields
    common = [f"- `{name}`: {first[name].description}" for name in first if name in shared - {"kind"}]
    return "\n".join([*common, "", *lines, ""])


def cleanings() -> str:
    """Return a table of the keys of `cleaning`, and the kinds that have each."""
    found: dict[str, tuple[str, list[str]]] = {}
    for member in get_args(get_args(get_args(Contract.model_fields["columns"].annotation)[1])[0]):
        field = member.model_fields.get("cleaning")
        inner = next(iter(filter(_is_model, get_args(field.annotation)))) if field else BaseModel
        (kind,) = get_args(member.model_fields["kind"].annotation)
        for name, one in inner.model_fields.items():
            found.setdefault(name, (str(one.description), []))[1].append(f"`{kind}`")
    lines = [f"| `{name}` | {', '.join(kinds)} | {told} |" for name, (told, kinds) in found.items()]
    return "\n".join(["| key | kinds | meaning |", "|---|---|---|", *lines, ""])


def _named(model: type[BaseModel]) -> list[str]:
    return [f"- `{name}`: {field.description}" for name, field in model.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def commands(group: click.Group = app, above: str = "assay") -> str:
    """Return each command with its help, arguments and options."""
    parts = []
    for name, command in sorted(group.commands.items()):
        full = f"{above} {name}"
        if isinstance(command, click.Group):
            parts.append(commands(command, full))
            continue
        context = click.Context(command, info_name=full)
        usage = " ".join([full, *command.collect_usage_pieces(context)])
        told = " ".join((command.help or "").replace("\b", "").split())
        options = [one.get_help_record(context) for one in command.get_params(context)]
        said = [(name, " ".join(text.split())) for name, text in filter(None, options) if name != "--help"]
        cells = [(name.replace("|", r"\|"), text.replace("|", r"\|")) for name, text in said if text]
        rows = [f"| `{name}` | {text} |" for name, text in cells]
        table = ["", "| option | meaning |", "|---|---|", *rows] if rows else []
        parts.append("\n".join([f"## {full}", "```text", usage, "```", told, *table, ""]))
    return "\n".join(parts)


GENERATED = {
    FOLDER / "params.md": {"params": params},
    FOLDER / "contract.md": {"contract": contract, "kinds": kinds, "cleaning": cleanings},
    FOLDER / "cli.md": {"commands": commands},
}


def page(path: Path) -> str:
    """Return a page with what is generated in it as it should be."""
    text = path.read_text(encoding="utf-8")
    for name, make in GENERATED[path].items():
        start, mark, rest = text.partition(f"<!-- generated: {name} -->\n")
        assert mark, f"{path.name}: has no mark for {name}"
        text = start + mark + make() + rest[rest.index("<!-- end -->") :]
    return text


def main() -> None:
    """Write what is generated into its pages."""
    for path in GENERATED:
        path.write_text(page(path), encoding="utf-8")


if __name__ == "__main__":
    main()
