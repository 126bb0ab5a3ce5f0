"""Reading YAML 1.2 nearly as DVC does, but not with ruamel.yaml, which each process would take 0.1 s to load.

PyYAML, which BentoML and DVC need anyway, reads YAML 1.1, where `no` is false, 010 is 8 and 1:30 is 90. Otherwise than
with ruamel.yaml a time is a text, `.5e3` a number, `%YAML 1.1` changes nothing, and no key is a list.
"""

import re
from typing import Any, cast

import yaml

# No configuration is so deep, and PyYAML's C code would end the process at some depth.
DEEPEST = 100

_TAG = "tag:yaml.org,2002:"
# The core schema (YAML 1.2.2, section 10.3.2), with ruamel.yaml's binary numbers and _ between digits, and merge keys.
_CORE = {
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (r"[-+]?(0b[01][01_]*|0o[0-7][0-7_]*|0x[0-9a-fA-F][0-9a-fA-F_]*|[0-9][0-9_]*)", list("-+0123456789")),
    "float": (
        r"[-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?|[0-9][0-9_]*[eE][-+]?[0-9]+|\.[0-9][0-9_]*([eE][-+]?[0-9]+)?"
        r"|\.(inf|Inf|INF))|\.(nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    "merge": (r"<<", ["<"]),
}


class _Loader(yaml.CSafeLoader):
    def __init__(self, stream: str) -> None:
        super().__init__(stream)
        self._checked: set[yaml.Node] = set()

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge into a mapping what it says, once it is clear that none of its keys stands there twice."""
        # Another mapping that this one was merged into may have come first.
        if node not in self._checked:
            self._checked.add(node)
            keys = set()
            for key, _ in node.value:
                if isinstance(key, yaml.ScalarNode):
                    made = key.value if key.tag == f"{_TAG}merge" else self.construct_object(key)
                    if made in keys:
                        raise _problem(f"found duplicate key {key.value!r}", key)
                    keys.add(made)
        super().flatten_mapping(node)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        """Return a whole number; a 0 before it means nothing."""
        text = self.construct_scalar(node).replace("_", "")
        return int(text, 0) if text.lstrip("-+")[1:2].isalpha() else int(text)


_Loader.yaml_implicit_resolvers = {}
for _kind, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(_TAG + _kind, re.compile(f"^(?:{_pattern})$"), _first)
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)


def _problem(what: str, where: yaml.Node | yaml.Event) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=what, problem_mark=cast("yaml.Mark", where.start_mark))


def parse_yaml(text: str) -> Any:
    """Return what a YAML document says, times as texts; raises ValueError, in one line, for one that is none."""
    depth = 0
    try:
        for event in yaml.parse(text, _Loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise _problem(f"nested more than {DEEPEST} deep", event)
        return yaml.load(text, _Loader)  # noqa: S506 - a safe one
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).replace('"<unicode string>", ', "").split())) from None
    # PyYAML looks for what a tag promises, and does not expect another value.
    except (LookupError, AttributeError) as error:
        raise ValueError(f"a value is not what its tag says ({error})") from None
