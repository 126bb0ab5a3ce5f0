"""Writing what a search found into params.yaml, so that an ordinary run does not search again."""

import io
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from assay.params import ModelChoice


def frozen(params: str, choice: ModelChoice) -> str:
    """Return the text of params.yaml with the choice as its model and the search switched off.

    Comments stay, but for those on the parameters that are replaced.
    """
    yaml = YAML()
    yaml.preserve_quotes = True
    content = yaml.load(params)
    content["tune"]["search"] = False
    content["model"]["family"] = choice.family
    _replace(content["model"]["parameters"], choice.parameters)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def _replace(old: CommentedMap, new: dict[str, Any]) -> None:
    comments = old.ca.items
    # What stands between a key and the next one, ruamel.yaml keeps with the first: here all up to the next section.
    last = comments.get(next(reversed(old), None))
    comments.clear()
    old.clear()
    old.update(new)
    if last and new:
        last[2].value = last[2].value[last[2].value.index("\n") :]
        comments[next(reversed(new))] = last
