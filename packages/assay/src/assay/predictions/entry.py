"""The format of the prediction log: a line of JSON for the rows that a model answered together.

`prediction_id`, `key`, `ids`, the columns of `inputs`, `prediction`, `decision`, `warnings` and the classes of
`probabilities` are lists with a value per row. Text of many numbers takes long to write: where there are MANY rows, the
columns of numbers and times are in `packed`, and the probabilities in `scores`, as base64 of 8 bytes per value,
little-endian.
"""

from datetime import datetime
from typing import Annotated, Any

import msgspec

# The format of lines, named in the contracts beside them.
FORMAT = 1
# From this number of rows, numbers are packed: small requests that come at the same time are fewer.
MANY = 33
# The arms of the model in use, and of models that answer unseen by clients; others are names of challengers.
CHAMPION, SHADOW = "champion", "shadow"
# The arm of smoke tests. No reader yields it: nobody asked.
CHECK = "check"

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Entry(msgspec.Struct, omit_defaults=True, gc=False):
    """What a model answered: the rows of one request, or of small requests that came at the same time."""

    time: Moment
    version: str
    arm: str
    contract: str
    prediction_id: list[str]
    key: list[str | None]
    inputs: dict[str, list[Any]]
    prediction: list[str | float]
    decision: list[str | float] = []
    probabilities: dict[str, list[float]] = {}
    warnings: list[list[str]] = []
    packed: dict[str, bytes] = {}
    scores: bytes = b""
    ids: list[str | None] = []


class Counted(msgspec.Struct, omit_defaults=True, gc=False):
    """How many requests a process of the service answered, failed to answer, and refused, in a minute or more.

    `slow` counts `timed` predictions that took longer than a limit in milliseconds; `refused` is by reason, and
    `violations` and `unknown` values are by column: "" for one that is not in the contract. `unlogged` counts rows.
    """

    time: Moment
    version: str
    answered: int = 0
    failed: int = 0
    unlogged: int = 0
    timed: int = 0
    slow: dict[str, int] = {}
    refused: dict[str, int] = {}
    violations: dict[str, int] = {}
    unknown: dict[str, int] = {}


class Outcome(msgspec.Struct, omit_defaults=True, gc=False):
    """What came true: the outcome of a prediction, when it was reported, and the hash of the key of who did."""

    time: Moment
    prediction_id: str
    outcome: str | float
    key: str | None = None
