"""Micro-batching: rows of requests that arrive at the same time are scored in one batch.

A call of numpy or ONNX Runtime costs more than its work on one row. Rows are collected during one turn of the event
loop and scored when it ends: no request waits for rows that have not arrived.
"""

import asyncio
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

# Beyond this batch size there is little left to gain, and overload would be detected too late.
MOST = 32

By = TypeVar("By", bound=Hashable)
Given = TypeVar("Given")
# Rows, and the key of the client that asks.
Asked = tuple[list[Given], bytes]


class MicroBatcher(Generic[By, Given]):
    """Collects the rows of one turn of the event loop, by the model that answers them."""

    def __init__(self, answer: Callable[[By, list[Asked[Given]]], list[Any]]) -> None:
        """Take a function that answers several lists of rows, each of a client, with one answer per list."""
        self._answer = answer
        self._waiting: dict[By, list[tuple[Asked[Given], asyncio.Future[Any]]]] = {}
        self._rows = 0

    async def ask(self, by: By, rows: list[Given], key: bytes) -> Any:
        """Return the answer to some rows; raises what `answer` raises for these rows alone."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Runs after everything that was ready in this turn.
            loop.call_soon(self._flush)
        waiting: asyncio.Future[Any] = loop.create_future()
        self._waiting.setdefault(by, []).append(((rows, key), waiting))
        self._rows += len(rows)
        if self._rows >= MOST:
            self._flush()
        return await waiting

    def _flush(self) -> None:
        waiting, self._waiting, self._rows = self._waiting, {}, 0
        for by, asked in waiting.items():
            if wanted := [one for one in asked if not one[1].done()]:
                self._answer_all(by, wanted)

    def _answer_all(self, by: By, asked: "list[tuple[Asked[Given], asyncio.Future[Any]]]") -> None:
        try:
            answers = self._answer(by, [given for given, _ in asked])
        except Exception as error:
            if len(asked) == 1:
                asked[0][1].set_exception(error)
                return
            # One request must not fail because of another.
            for one in asked:
                self._answer_all(by, [one])
            return
        for (_, waiting), answer in zip(asked, answers, strict=True):
            waiting.set_result(answer)
