"""Writing the result of a search into params.yaml, so that ordinary runs do not search again."""

import io
from collections.abc import Callable
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from assay.base.files import write_text
from assay.project.layout import EVIDENCE, TRIALS
from assay.project.params import ModelChoice, load_params
from assay.project.settings import PARAMS
from assay.project.trials import Row, read_trials


def write_choice(choice: ModelChoice) -> None:
    """Write the choice into params.yaml as it is now, and the trials of the search to trials.csv.

    Raises InputError if params.yaml cannot be read; nothing is written then.
    """
    write_text(PARAMS, with_choice(_params_now(), choice))
    trials = TRIALS.read_text(encoding="utf-8") if TRIALS.exists() else ""
    if trials.count("\n") > 1:
        write_text(EVIDENCE, trials)


def switch_search(*, on: bool) -> None:
    """Switch the search on or off in params.yaml as it is now; raises InputError if that cannot be read."""
    write_text(PARAMS, edit_yaml(_params_now(), lambda content: content["tune"].update(search=on)))


def _params_now() -> str:
    load_params()
    return PARAMS.read_text(encoding="utf-8")


def last_trials() -> list[Row]:
    """Return the trials of the last search: those of the pipeline if it searched, else those that git keeps."""
    texts = [path.read_text(encoding="utf-8") for path in (TRIALS, EVIDENCE) if path.exists()]
    return next(filter(None, map(read_trials, texts)), [])


def with_choice(params: str, choice: ModelChoice) -> str:
    """Return the text of params.yaml with the choice as its model and the search switched off.

    Comments stay, except those on replaced parameters.
    """

    def change(content: CommentedMap) -> None:
        content["tune"]["search"] = False
        content["model"]["family"] = choice.family
        replace_keys(content["model"]["parameters"], choice.parameters)
        content["model"].pop("members", None)
        if choice.members:
            content["model"]["members"] = [one.model_dump(exclude_defaults=True) for one in choice.members]

    return edit_yaml(params, change)


def edit_yaml(params: str, change: Callable[[CommentedMap], None]) -> str:
    """Return the text of params.yaml after an edit of its content; comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    content = yaml.load(params)
    change(content)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()


def replace_keys(old: CommentedMap, new: dict[str, Any]) -> None:
    """Replace the keys of a section; only the comments around it stay."""
    comments = old.ca.items
    # ruamel.yaml attaches the text after a key to that key: here everything up to the next section.
    last = comments.get(next(reversed(old), None))
    comments.clear()
    old.clear()
    old.update(new)
    if last and new:
        last[2].value = last[2].value[last[2].value.index("\n") :]
        comments[next(reversed(new))] = last
