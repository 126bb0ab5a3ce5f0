"""The page for people: a form made from the contract, and the model card."""

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from jinja2 import Environment
from markdown_it import MarkdownIt
from markupsafe import Markup

from assay.contract import rules
from assay.inference.package import Package

TEMPLATE, SCRIPT = (Path(__file__).with_name(name) for name in ("page.html", "page.js"))


def page(package: Package) -> str:
    """Return the page as one document that loads nothing else."""
    contract = package.contract
    columns = [
        {"name": name, "expected": rules.expected(column), **column.model_dump(mode="json")}
        for name, column in contract.features.items()
    ]
    data = {
        "columns": columns,
        "examples": package.examples,
        "classes": contract.classes,
        "target": contract.target.name,
        "unit": contract.target.unit or "",
    }
    card = MarkdownIt("commonmark", {"html": False}).enable("table").render(package.card)
    # A script ends at the first "</script", even inside a string.
    text = json.dumps(data).replace("<", "\\u003c")
    script = SCRIPT.read_text(encoding="utf-8")
    template = Environment(autoescape=True).from_string(TEMPLATE.read_text(encoding="utf-8"))
    return template.render(
        title=contract.name,
        description=contract.description,
        version=package.version,
        card=Markup(card),  # noqa: S704
        data=Markup(text),  # noqa: S704
        script=Markup(script),  # noqa: S704
        script_hash=b64encode(sha256(script.encode()).digest()).decode(),
    )
