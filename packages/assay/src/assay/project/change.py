"""The change to judge: its base commit, its champion, and the files it touches."""

from dataclasses import dataclass
from enum import Enum

from assay.contract.spec import Contract
from assay.project.champion import has_model, is_other_problem
from assay.project.history import base_commit, changed_lines, dirty_files, head


class NoChampion(Enum):
    """Why a change has no champion to be compared with."""

    NO_COMMIT = "the repository has no commit yet"
    NO_START = "there is no base commit"
    NO_MODEL = "the base commit has no trained model"
    OTHER_PROBLEM = "the base commit is about another problem"


@dataclass(frozen=True)
class Change:
    """The working tree at commit `head`, compared with the merge base `start`.

    `champion` is the commit of the champion: `start`, if it has a model of the same problem. Otherwise `no_champion`
    says why there is none. `files` differ from `start`, committed or not.
    """

    head: str | None
    start: str | None
    champion: str | None
    no_champion: NoChampion | None
    files: tuple[str, ...]

    @property
    def is_new_problem(self) -> bool:
        """Whether the change trains the first model of a new problem."""
        return self.no_champion is NoChampion.OTHER_PROBLEM


def resolve(base: str | None, contract: Contract) -> Change:
    """Return the change that the working tree makes to `base`, by default to the main branch.

    Raises InputError if `base` cannot be found or git fails; such errors never count as "no champion".
    """
    commit = head()
    start = None if commit is None else base_commit(base)
    if start is None:
        reason = NoChampion.NO_COMMIT if commit is None else NoChampion.NO_START
        return Change(commit, None, None, reason, ())
    files = tuple(sorted({path for path, _, _ in changed_lines(start)} | set(dirty_files())))
    if not has_model(start):
        return Change(commit, start, None, NoChampion.NO_MODEL, files)
    if is_other_problem(start, contract):
        return Change(commit, start, None, NoChampion.OTHER_PROBLEM, files)
    return Change(commit, start, start, None, files)
