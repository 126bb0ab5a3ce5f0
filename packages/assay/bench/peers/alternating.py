"""The service of Assay, which logs predictions and does not, alternately, and notes what its rows take in each case."""

import asyncio
import os
import time
from typing import Any

from service import Assay

# Short: the speed of a shared machine changes from one second to the next.
SLICE_SECONDS = 0.1
begin = Assay.inner.__init__


def alternate(self: Any) -> None:
    """Load the model, and begin."""
    begin(self)
    serving, loop = self.serving, asyncio.get_running_loop()
    log, predicted = serving._log, serving.metrics.predicted
    rows, began = 0, time.process_time_ns()

    def count(version: str, batch: Any) -> None:
        nonlocal rows
        rows += len(batch.scores)
        predicted(version, batch)

    def change() -> None:
        nonlocal rows, began
        with open(os.environ["COSTS"], "a") as file:  # noqa: PTH123
            file.write(f"{'on' if serving._log else 'off'} {time.process_time_ns() - began} {rows}\n")
        if serving._log and (written := log._segments._file):
            # The next slice then writes to memory that was used before, as on a machine that has run for a while. In a
            # virtual machine each new page may cost a fault in its host, which takes several times as long as a write.
            os.fdatasync(written)
            os.posix_fadvise(written, 0, 0, os.POSIX_FADV_DONTNEED)
        serving._log = None if serving._log else log
        rows, began = 0, time.process_time_ns()
        loop.call_later(SLICE_SECONDS, change)

    serving.metrics.predicted = count
    loop.call_later(SLICE_SECONDS, change)


Assay.inner.__init__ = alternate
