"""JSON schemas of contract.yaml and params.yaml, with which an editor completes and checks these files.

`python -m assay.project.schemas` writes them into the project here; the first line of each YAML file names its schema.
"""

from pathlib import Path
from typing import Any

from pydantic import BaseModel

from assay.base.files import write_json
from assay.contract.spec import CONTRACT, Contract
from assay.project.params import Params
from assay.project.settings import PARAMS

FOLDER = Path("schemas")
TYPES: dict[Path, type[BaseModel]] = {CONTRACT: Contract, PARAMS: Params}
# Keywords that editors do not use. A format would refuse a date without a time, which the types take.
UNUSED = ("title", "discriminator", "format")


def schema_path(file: Path) -> Path:
    """Return where the schema of a YAML file is: `schemas/params.json` for `params.yaml`."""
    return FOLDER / f"{file.stem}.json"


def first_line(file: Path) -> str:
    """Return the comment that names the schema of a YAML file to an editor."""
    return f"# yaml-language-server: $schema={schema_path(file).as_posix()}\n"


def schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON schema of a type, in draft 7, with the descriptions of its fields."""
    made = _plain(model.model_json_schema())
    for part in (made, *made.get("$defs", {}).values()):
        # The docstring of the type is for readers of the code.
        part.pop("description", None)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **made}


def _plain(part: Any, *, are_names: bool = False) -> Any:
    """Return part of a schema in words of draft 7; `are_names` says that its keys are names, and no keywords."""
    if isinstance(part, list):
        return [_plain(one) for one in part]
    if not isinstance(part, dict):
        return part
    if are_names:
        return {name: _plain(one) for name, one in part.items()}
    made = {
        key: _plain(value, are_names=key in ("properties", "$defs"))
        for key, value in part.items()
        if key not in UNUSED and not (key == "default" and isinstance(value, dict))
    }
    if "prefixItems" in made:
        # The ends of a range, which are of one type.
        made["items"] = made.pop("prefixItems")[0]
    return made


def main() -> None:
    """Write the schemas."""
    for file, model in TYPES.items():
        write_json(schema_path(file), schema(model))


if __name__ == "__main__":
    main()
