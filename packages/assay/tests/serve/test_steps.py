"""Work in steps: what is done here and what offload, and that it comes to the same."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from assay.serve.steps import Steps, offload, run_inline, run_with_executor


def name() -> str:
    return threading.current_thread().name


def where() -> Steps[list[str]]:
    """Tell which threads did what."""
    first = yield name
    second = yield name
    return [name(), first, second]


def divided(by: list[int]) -> Steps[str]:
    """Divide until there is an error that is not borne."""
    said = ""
    for number in by:
        try:
            found = yield lambda number=number: 12 // number
            said += f" {found}"
        except ZeroDivisionError:
            said += " no"
    return said


def asked(steps: Steps[object]) -> object:
    with ThreadPoolExecutor(1, thread_name_prefix="beside") as threads:
        return asyncio.run(run_with_executor(steps, threads))


def test_what_is_yielded_is_done_beside_and_the_rest_here() -> None:
    here = name()
    assert run_inline(where()) == [here] * 3
    assert asked(where()) == [here, "beside_0", "beside_0"]
    assert asked(offload(name)) == "beside_0"


@pytest.mark.parametrize("done", [run_inline, asked])
def test_an_error_beside_is_one_of_the_steps_that_wanted_it(done: Callable[[Steps[object]], object]) -> None:
    assert done(divided([3, 0, 4])) == " 4 no 3"
    with pytest.raises(TypeError):
        done(divided([3, None]))  # type: ignore[list-item]


def test_others_are_answered_while_something_is_done_beside() -> None:
    async def ask() -> list[str]:
        go, order = threading.Event(), []

        async def other() -> None:
            order.append("other")
            go.set()

        with ThreadPoolExecutor(1) as threads:
            steps = asyncio.create_task(run_with_executor(offload(lambda: go.wait(10)), threads))
            await asyncio.sleep(0)
            await other()
            assert await steps
        return order

    assert asyncio.run(ask()) == ["other"]
