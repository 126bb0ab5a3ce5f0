"""What dvc.lock says of the stages."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from assay.base.config import parse_yaml
from assay.base.conflicts import require_no_conflict
from assay.base.errors import InputError


def locked_stages(text: str) -> Mapping[str, Any]:
    """Return what a dvc.lock says of each stage; raises InputError for one that is not valid YAML or in conflict."""
    require_no_conflict(Path("dvc.lock"), text)
    try:
        return (parse_yaml(text) or {}).get("stages") or {}
    except ValueError as error:
        raise InputError(f"dvc.lock: not valid YAML: {error}") from None
