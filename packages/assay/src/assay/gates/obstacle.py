"""Why a candidate is not compared with the champion, as a kind that programs go by and a text for people."""

from enum import StrEnum

from assay.base.config import Frozen
from assay.base.outcomes import Verdict


class Kind(StrEnum):
    """What stands in the way of a comparison."""

    NO_CHAMPION = "no champion"
    NO_SERVICE = "no service"
    NOT_RESTORED = "not restored"
    INCOMPARABLE = "incomparable"


# There is nothing to compare with, and nothing is wrong: absolute limits alone count.
ABSENT = (Kind.NO_CHAMPION, Kind.NO_SERVICE)


class Obstacle(Frozen):
    """What stands in the way of a comparison with the champion."""

    kind: Kind
    text: str

    @property
    def verdict(self) -> Verdict:
        """The verdict on a comparison that is not possible: SKIP where there is nothing to compare with, else HOLD."""
        return "SKIP" if self.kind in ABSENT else "HOLD"


NO_CHAMPION = Obstacle(kind=Kind.NO_CHAMPION, text="no champion yet")
