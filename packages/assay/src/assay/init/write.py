"""The text of the files of a project for a new problem: contract, parameters, README, data."""

import io
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.init.clean import as_days
from assay.init.infer import Finding, Kind, Plan
from assay.project.freeze import edit_yaml, replace_keys
from assay.project.schemas import first_line

HEAD = (
    first_line(CONTRACT)
    + """\
# What the data is, as `assay init` inferred it: please check it. Data checks, the request model and the Hypothesis
# strategies are generated from this file. `assay manual contract` explains every key; comments give the reasons for
# decisions.
"""
)
WIDTH = 120


def contract_text(plan: Plan) -> str:
    """Return contract.yaml with the reason above each decision."""
    content = as_yaml(plan.contract)
    about = CommentedMap(source="", licence="", intended_use="", limits=CommentedSeq())
    content.insert(2, "about", about)
    content.yaml_set_comment_before_after_key("about", before="Fill this in: the model card quotes it.")
    for key in ("split", "costs"):
        _remark(content, key, plan.reasons.get(key, ""))
    columns = content["columns"]
    for name, column in columns.items():
        column.fa.set_block_style() if len(str(dict(column))) > WIDTH - 20 else column.fa.set_flow_style()
        notes = [f.what for f in plan.findings if f.where == name and f.weight != 1 and f.kind is not Kind.LEFT_OUT]
        _remark(columns, name, "; ".join(filter(None, [plan.reasons.get(name, ""), *notes])), indent=2)
    text = io.StringIO()
    _dumper().dump(content, text)
    return HEAD + text.getvalue()


def _remark(content: CommentedMap, key: str, remark: str, indent: int = 0) -> None:
    if remark:
        # ruamel would write a comment of several lines as several comments.
        line = " ".join(remark.split())
        content.yaml_set_comment_before_after_key(key, before=line, indent=indent)


def as_yaml(value: Any) -> Any:
    """Return plain data for ruamel to write: ambiguous texts in quotes, short lists on one line."""
    if isinstance(value, Mapping):
        made = CommentedMap()
        for key, content in value.items():
            made[_text(key)] = as_yaml(content)
        return made
    if isinstance(value, Sequence) and not isinstance(value, str):
        listed = CommentedSeq([as_yaml(one) for one in value])
        if not any(isinstance(one, Mapping) for one in value):
            listed.fa.set_flow_style()
        return listed
    return _text(value) if isinstance(value, str) else value


def _text(value: str) -> str:
    # Words that YAML 1.1 readers take for booleans, numbers or dates need quotes.
    plain = re.fullmatch(r"[A-Za-z_][\w .<>=/()+-]*", value) and not re.fullmatch(
        r"(?i)y|n|yes|no|true|false|on|off|null|none|nan|inf", value
    )
    return value if plain and not value.endswith(" ") else DoubleQuotedScalarString(value)


def _dumper() -> YAML:
    yaml = YAML()
    yaml.width = WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def params_text(before: str, settings: Mapping[str, Any]) -> str:
    """Return params.yaml with settings, by dotted key; comments stay."""

    def change(content: CommentedMap) -> None:
        for dotted, value in settings.items():
            *path, key = dotted.split(".")
            section = content
            for part in path:
                section = section.setdefault(part, CommentedMap())
            if isinstance(value, Mapping) and isinstance(section.get(key), CommentedMap):
                replace_keys(section[key], dict(value))
            else:
                section[key] = value

    return edit_yaml(before, change)


def readme_text(before: str, title: str, description: str) -> str:
    """Return the README with the project's own title and introduction; all other sections stay."""
    lines = before.splitlines(keepends=True)
    start = next((i for i, line in enumerate(lines) if line.startswith("# ")), None)
    if start is None:
        return f"# {title}\n\n{description}\n\n{before}"
    end = next((i for i in range(start + 1, len(lines)) if lines[i].startswith("## ")), len(lines))
    own = f"# {title}\n\n{description} The model card, `models/card.md`, says how well.\n\n"
    own += "Made from the Assay template: every change is trained, judged and explained before anyone trusts it.\n\n"
    return "".join(lines[:start]) + own + "".join(lines[end:])


def data_bytes(table: pa.Table, suffix: str) -> bytes:
    """Return the table as CSV (missing values as empty cells, times in ISO 8601) or as Parquet."""
    made = io.BytesIO()
    if suffix == ".parquet":
        import pyarrow.parquet as pq

        pq.write_table(table, made, compression="zstd")
        return made.getvalue()
    plain = {name: _shortened(table[name]) for name in table.column_names}
    pacsv.write_csv(pa.table(plain), made, pacsv.WriteOptions(quoting_style="needed"))
    return made.getvalue()


def _shortened(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return times as dates, or in seconds, if that loses nothing."""
    values = as_days(values)
    if pa.types.is_timestamp(values.type):
        with suppress(pa.ArrowInvalid):
            return values.cast(pa.timestamp("s"))
    return values


def review_text(findings: Sequence[Finding], most: int = 40) -> str:
    """Return the findings to look at as lines, in their order; columns with the same finding share a line."""
    marks = {4: "first", 3: "decide", 2: "look", 1: "note"}
    where: dict[tuple[int, str], list[str]] = {}
    for finding in findings:
        if finding.weight > 0:
            where.setdefault((finding.weight, finding.what), []).append(finding.where)
    lines = [f"  {marks[weight]:6} {', '.join(names)}: {what}" for (weight, what), names in where.items()]
    rest = len(lines) - most
    lines = lines[:most]
    return "\n".join([*lines, *([f"  and {rest} more in contract.yaml"] if rest > 0 else [])])


def parse_contract(text: str) -> Contract:
    """Return the contract of a text; raises InputError if it contradicts itself."""
    with TemporaryDirectory() as folder:
        path = Path(folder, CONTRACT.name)
        path.write_text(text, encoding="utf-8")
        return load_contract(path)
