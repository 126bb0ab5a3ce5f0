"""Micro-batching: rows of requests that arrive at the same time are scored in one batch.

A call of numpy or ONNX Runtime costs more than its work on one row. Rows are collected until a turn of the event loop
brings no more, and then scored. So a request waits for one more turn, but for no timer.

One turn alone would split clients into groups that never meet: while the answers of one group leave, the requests of
another are read, and so on.
"""

import asyncio
import time
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

# Beyond this batch size there is little left to gain, and overload would be detected too late.
MOST = 32
# How long rows may wait for more. Turns of small requests are shorter by far; one with a large request is longer, and
# then each turn brings more rows.
LONGEST_SECONDS = 0.001

By = TypeVar("By", bound=Hashable)
Given = TypeVar("Given")
# Rows, and the key of the client that asks.
Asked = tuple[list[Given], bytes]


class MicroBatcher(Generic[By, Given]):
    """Collects rows by the model that answers them."""

    def __init__(self, answer: Callable[[By, list[Asked[Given]]], list[Any]]) -> None:
        """Take a function that answers several lists of rows, each of a client, with one answer per list."""
        self._answer = answer
        self._waiting: dict[By, list[tuple[Asked[Given], asyncio.Future[Any]]]] = {}
        self._rows = 0
        # The rows there were when the last turn of the event loop ended.
        self._rows_before = 0
        # When the first of them was asked for.
        self._began = 0.0
        self._will_end_turn = False

    async def ask(self, by: By, rows: list[Given], key: bytes) -> Any:
        """Return the answer to some rows; raises what `answer` raises for these rows alone."""
        loop = asyncio.get_running_loop()
        if not self._will_end_turn:
            self._will_end_turn = True
            # Runs after everything that was ready in this turn.
            loop.call_soon(self._end_turn)
        if not self._rows:
            self._began = time.perf_counter()
        waiting: asyncio.Future[Any] = loop.create_future()
        self._waiting.setdefault(by, []).append(((rows, key), waiting))
        self._rows += len(rows)
        if self._rows >= MOST:
            self._flush()
        return await waiting

    def _end_turn(self) -> None:
        if self._rows > self._rows_before and time.perf_counter() - self._began < LONGEST_SECONDS:
            self._rows_before = self._rows
            asyncio.get_running_loop().call_soon(self._end_turn)
        else:
            self._will_end_turn = False
            self._flush()

    def _flush(self) -> None:
        waiting, self._waiting, self._rows, self._rows_before = self._waiting, {}, 0, 0
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
