"""Why a candidate is not compared with the champion: a kind for programs and a text for people."""

from enum import StrEnum

from assay.base.config import Frozen
from assay.base.outcomes import Verdict


class ObstacleKind(StrEnum):
    """The kinds of obstacles to a comparison."""

    NO_CHAMPION = "no champion"
    NO_SERVICE = "no service"
    NOT_RESTORED = "not restored"
    INCOMPARABLE = "incomparable"


# Nothing is wrong, there is just nothing to compare with: only absolute limits apply.
ABSENT = (ObstacleKind.NO_CHAMPION, ObstacleKind.NO_SERVICE)


class Obstacle(Frozen):
    """The reason why a comparison with the champion is not possible."""

    kind: ObstacleKind
    text: str

    @property
    def verdict(self) -> Verdict:
        """SKIP if there is nothing to compare with, else HOLD."""
        return "SKIP" if self.kind in ABSENT else "HOLD"


NO_CHAMPION = Obstacle(kind=ObstacleKind.NO_CHAMPION, text="no champion yet")
