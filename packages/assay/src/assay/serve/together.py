"""Micro-batching: rows that are asked for at the same time are scored at once.

A call of numpy or of ONNX Runtime costs more than its work on one row. While one turn of the event loop handles what
has arrived, rows are gathered, and answered when it ends: nobody waits for a row that is not there yet.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

# With more rows than so many a call costs next to nothing a row, and a turn would be known to be long too late.
MOST = 32

By = TypeVar("By", bound=Hashable)
Given = TypeVar("Given")


class MicroBatcher(Generic[By, Given]):
    """Gathers what is asked for in one turn of the event loop, by who is to answer it."""

    def __init__(self, answer: Callable[[By, list[list[Given]]], list[Any]]) -> None:
        """Take what answers several lists of rows, with an answer for each list."""
        self._answer = answer
        self._waiting: dict[By, list[tuple[list[Given], asyncio.Future[Any]]]] = {}
        self._rows = 0

    async def ask(self, by: By, rows: list[Given]) -> Any:
        """Return the answer to some rows; raises what answering these alone raises."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Runs when all that was ready has run.
            loop.call_soon(self._flush)
        waiting: asyncio.Future[Any] = loop.create_future()
        self._waiting.setdefault(by, []).append((rows, waiting))
        self._rows += len(rows)
        if self._rows >= MOST:
            self._flush()
        return await waiting

    def _flush(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, {}, 0
        for by, asked in waiting.items():
            if wanted := [one for one in asked if not one[1].done()]:
                self._answer_all(by, wanted)

    def _answer_all(self, by: By, asked: list[tuple[list[Given], "asyncio.Future[Any]"]]) -> None:
        try:
            answers = self._answer(by, [rows for rows, _ in asked])
        except Exception as error:
            if len(asked) == 1:
                asked[0][1].set_exception(error)
                return
            # Nobody's request may fail for another's.
            for one in asked:
                self._answer_all(by, [one])
            return
        for (_, waiting), answer in zip(asked, answers, strict=True):
            waiting.set_result(answer)
