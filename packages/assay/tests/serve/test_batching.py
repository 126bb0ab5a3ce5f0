"""Rows of several requests are answered at once, each as if it were alone."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.serve import batching
from assay.serve.batching import MOST, MicroBatcher

ASKED = st.lists(st.tuples(st.sampled_from("ab"), st.lists(st.integers(), min_size=1, max_size=5)), max_size=60)


def squares(asked: list[tuple[str, list[int]]], calls: list[tuple[str, list[list[int]]]], *, broken: int = 0) -> Any:
    """Return what each of several requests at once is answered; the answering of a list with a `broken` row fails."""

    def answer(by: str, asked: list[tuple[list[int], bytes]]) -> list[list[int]]:
        lists = [rows for rows, _ in asked]
        calls.append((by, lists))
        return [[1 // (row - broken) if row == broken else row * row for row in rows] for rows in lists]

    async def all_at_once() -> Any:
        together = MicroBatcher(answer)
        return await asyncio.gather(*(together.ask(by, rows, b"") for by, rows in asked), return_exceptions=True)

    return asyncio.run(all_at_once())


@given(asked=ASKED)
def test_everybody_gets_the_answer_to_their_own_rows_or_the_error_that_these_make(asked: Any) -> None:
    for (_, rows), told in zip(asked, squares(asked, [], broken=0), strict=True):
        if 0 in rows:
            assert isinstance(told, ZeroDivisionError)
        else:
            assert told == [row * row for row in rows]


@pytest.mark.parametrize(
    ("late", "longest", "together"), [(0, 60, True), (1, 60, True), (2, 60, False), (0, 0, True), (1, 0, False)]
)
def test_requests_of_turns_that_follow_each_other_are_one_call_unless_a_turn_brings_nothing_or_the_turns_are_long(
    monkeypatch: pytest.MonkeyPatch, late: int, longest: float, together: bool
) -> None:
    monkeypatch.setattr(batching, "LONGEST_SECONDS", longest)
    calls: list[Any] = []

    async def one_after_another() -> None:
        batcher = MicroBatcher(
            lambda by, asked: [calls.append([rows for rows, _ in asked]) or rows for rows, _ in asked]
        )
        first = asyncio.create_task(batcher.ask("a", [1], b""))
        for _ in range(1 + late):
            await asyncio.sleep(0)
        assert await batcher.ask("a", [2], b"") == [2]
        assert await first == [1]

    asyncio.run(one_after_another())
    assert calls[0] == ([[1], [2]] if together else [[1]])


def test_what_comes_in_one_turn_is_one_call_for_each_who_answers() -> None:
    calls: list[Any] = []
    squares([("a", [1]), ("b", [2, 3]), ("a", [4])], calls)
    assert calls == [("a", [[1], [4]]), ("b", [[2, 3]])]


@given(asked=ASKED)
def test_no_call_waits_for_more_than_enough_rows(asked: Any) -> None:
    calls: list[Any] = []
    squares([(by, [abs(row) + 1 for row in rows]) for by, rows in asked], calls)
    assert all(sum(map(len, lists[:-1])) < MOST for _, lists in calls)


def test_a_request_that_nobody_waits_for_any_more_is_not_answered() -> None:
    calls: list[Any] = []

    async def one_leaves() -> list[int]:
        together = MicroBatcher(lambda by, asked: [calls.append(rows) or rows for rows, _ in asked])
        gone, stays = (asyncio.create_task(together.ask("a", [row], b"")) for row in (1, 2))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        return await stays

    assert asyncio.run(one_leaves()) == [2]
    assert calls == [[2]]
