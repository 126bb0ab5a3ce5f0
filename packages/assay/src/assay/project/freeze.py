"""Writing what a search found into params.yaml, so that an ordinary run does not search again."""

import io
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from assay.base.files import write_text
from assay.project.layout import EVIDENCE, TRIALS
from assay.project.params import ModelChoice
from assay.project.settings import PARAMS


def adopt(choice: ModelChoice, params: str) -> None:
    """Write the choice into params.yaml, of which `params` is the text, and the trials that led to it beside it."""
    write_text(PARAMS, frozen(params, choice))
    trials = TRIALS.read_text(encoding="utf-8")
    if trials.count("\n") > 1:
        write_text(EVIDENCE, trials)


def frozen(params: str, choice: ModelChoice) -> str:
    """Return the text of params.yaml with the choice as its model and the search switched off.

    Comments stay, but for those on the parameters that are replaced.
    """

    def change(content: CommentedMap) -> None:
        content["tune"]["search"] = False
        content["model"]["family"] = choice.family
        replace(content["model"]["parameters"], choice.parameters)

    return changed(params, change)


def with_search(params: str) -> str:
    """Return the text of params.yaml with the search switched on."""
    return changed(params, lambda content: content["tune"].update(search=True))


def changed(params: str, change: Callable[[CommentedMap], None]) -> str:
    """Return the text of params.yaml after a change of its content; comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    content = yaml.load(params)
    change(content)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def replace(old: CommentedMap, new: dict[str, Any]) -> None:
    """Put other keys into a section; only the comments around it stay."""
    comments = old.ca.items
    # What stands between a key and the next one, ruamel.yaml keeps with the first: here all up to the next section.
    last = comments.get(next(reversed(old), None))
    comments.clear()
    old.clear()
    old.update(new)
    if last and new:
        last[2].value = last[2].value[last[2].value.index("\n") :]
        comments[next(reversed(new))] = last
