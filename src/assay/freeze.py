"""Writing what a search found into params.yaml, so that an ordinary run does not search again."""

import io

from ruamel.yaml import YAML

from assay.params import ModelChoice


def frozen(params: str, choice: ModelChoice) -> str:
    """Return the text of params.yaml with the choice as its model and the search switched off; comments stay."""
    yaml = YAML()
    yaml.preserve_quotes = True
    content = yaml.load(params)
    content["tune"]["search"] = False
    content["model"]["family"] = choice.family
    content["model"]["parameters"] = dict(choice.parameters)
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue()
