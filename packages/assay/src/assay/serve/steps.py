"""Work in steps: some must run in the event loop, some may run in other threads."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from typing import Any, TypeVar

Result = TypeVar("Result")
# Yields work that may run in another thread, and is sent its result.
Steps = Generator[Callable[[], Any], Any, Result]


def offload(work: Callable[[], Result]) -> Steps[Result]:
    """Run all of the work in another thread."""
    result: Result = yield work
    return result


def run_inline(steps: Steps[Result]) -> Result:
    """Run all steps in this thread."""
    try:
        work = next(steps)
        while True:
            work = _after(work, steps)
    except StopIteration as end:
        result: Result = end.value
        return result


async def run_with_executor(steps: Steps[Result], executor: Executor) -> Result:
    """Run the steps that must run here in this thread, and the rest in the threads of an executor."""
    loop = asyncio.get_running_loop()
    try:
        work = next(steps)
        while True:
            done = loop.run_in_executor(executor, work)
            await asyncio.wait([done])
            work = _after(done.result, steps)
    except StopIteration as end:
        result: Result = end.value
        return result


def _after(work: Callable[[], Any], steps: Steps[Any]) -> Callable[[], Any]:
    """Run some work, pass its result or its exception to the steps, and return the next work."""
    try:
        found = work()
    except Exception as error:
        return steps.throw(error)
    return steps.send(found)
