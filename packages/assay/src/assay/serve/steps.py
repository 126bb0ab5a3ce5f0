"""Work in steps: some of it has to be done in turn, and some may be done beside that of others."""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import Executor
from typing import Any, TypeVar

Result = TypeVar("Result")
# Yields what may be done beside, and is sent what came of it.
Steps = Generator[Callable[[], Any], Any, Result]


def beside(work: Callable[[], Result]) -> Steps[Result]:
    """Do all of it beside."""
    result: Result = yield work
    return result


def at_once(steps: Steps[Result]) -> Result:
    """Do all of it here."""
    try:
        work = next(steps)
        while True:
            work = _after(work, steps)
    except StopIteration as end:
        result: Result = end.value
        return result


async def with_others(steps: Steps[Result], executor: Executor) -> Result:
    """Do here what has to be done in turn, and the rest in the threads of an executor."""
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
    """Return what is to be done next, after some work has ended in one way or the other."""
    try:
        found = work()
    except Exception as error:
        return steps.throw(error)
    return steps.send(found)
