"""How the prediction log is configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Monitoring:
    """Whether predictions go to files or to the user's own monitor, its options, and the number of the worker."""

    is_default: bool = True
    options: Mapping[str, Any] = field(default_factory=lambda: {"log_path": "monitoring"})
    worker: int = 0
