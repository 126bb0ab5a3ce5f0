"""GitHub's own parser, language service and evaluator of expressions, in a process of Node."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from npm import installed

NODE = Path(__file__).with_name("node")


class Language:
    """A process that answers questions; node/github.js says which there are."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._faults: dict[tuple[str, str], list[str]] = {}

    def ask(self, question: str, **rest: Any) -> Any:
        """Return the answer to a question; raises ValueError where GitHub's code refuses it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"question": question, **rest}) + "\n")
        self._process.stdin.flush()
        found = json.loads(self._process.stdout.readline())
        if "error" in found:
            raise ValueError(found["error"])
        return found["answer"]

    def faults(self, name: str, text: str) -> list[str]:
        """Return what GitHub finds wrong with the text of a workflow; the same text is looked at once."""
        if (name, text) not in self._faults:
            self._faults[name, text] = self.ask("parse", name=name, text=text)
        return self._faults[name, text]


@contextmanager
def language() -> Iterator[Language]:
    """Start the process; raises npm.NotHereError where its packages cannot be had."""
    with subprocess.Popen(
        ["node", "--no-warnings", "github.js"],
        cwd=installed(NODE),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        yield Language(process)
        assert process.stdin is not None
        process.stdin.close()
