"""The stages in dvc.lock."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.config import parse_yaml
from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError


def locked_stages(text: str) -> Mapping[str, Any]:
    """Return the stages in the text of a dvc.lock; raises InputError for invalid YAML and merge conflicts."""
    require_no_conflict(Path("dvc.lock"), text)
    try:
        return (parse_yaml(text) or {}).get("stages") or {}
    except ValueError as error:
        raise InputError(f"dvc.lock: not valid YAML: {error}") from None
