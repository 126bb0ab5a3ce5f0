"""Faults in the service, as people make them: code that is added to service.py, or another package to serve."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from assay.base.files import sha256

# What is put around the answer to /predict.
AROUND = """

import asyncio
import fcntl
import itertools
import os
import time
from dataclasses import replace

import msgspec
from assay.serve import serving
from assay.serve.refusal import Refused

_real = serving.ENDPOINTS["/predict"]
_number = itertools.count(1)
_kept = []


async def _faulty(self, call):
    number = next(_number)
    answer = lambda: _real.waiting(self, call)
{fault}


serving.ENDPOINTS["/predict"] = replace(_real, waiting=_faulty)
"""


class Fault(NamedTuple):
    """A fault: how to make it in a folder with a service.py and models/, and what the gate has to say of it."""

    plant: Callable[[Path], None]
    check: str
    reason: str


def around(*lines: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with (folder / "service.py").open("a", encoding="utf-8") as file:
            file.write(AROUND.format(fault="\n".join(f"    {line}" for line in lines)))

    return plant


def at_start(code: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        with (folder / "service.py").open("a", encoding="utf-8") as file:
            file.write(f"\nimport time\n\n{code}\n")

    return plant


def larger_model(folder: Path) -> None:
    path = folder / "models/model.onnx"
    model = onnx.load(path)
    padding = np.random.default_rng(0).random(10 * path.stat().st_size // 4, dtype=np.float32)
    model.graph.initializer.append(numpy_helper.from_array(padding, "padding"))
    onnx.save(model, path)
    about = json.loads((folder / "models/model.json").read_text(encoding="utf-8"))
    about["files_sha256"]["model.onnx"] = sha256(path)
    (folder / "models/model.json").write_text(json.dumps(about), encoding="utf-8")


FAULTS = {
    "sleep": Fault(around("time.sleep(0.005)", "return await answer()"), "median", "median latency is"),
    "leak": Fault(around("_kept.append(bytearray(1024))", "return await answer()"), "leak", "memory grows by"),
    "errors": Fault(
        around('if number % 100 == 0: raise OSError("no")', "return await answer()"), "answers", "status 500"
    ),
    "dies": Fault(around("if number == 200: os._exit(1)", "return await answer()"), "deaths", "died under load"),
    "larger model": Fault(larger_model, "model size", "times the champion's"),
    "lock": Fault(
        around(
            'with open("lock", "ab") as file:',
            "    fcntl.flock(file, fcntl.LOCK_EX)",
            '    file.write(b"x"); file.flush(); os.fsync(file.fileno())',
            "    time.sleep(0.001)",
            "    return _real.answer(self, call)",
        ),
        "throughput",
        "throughput is",
    ),
    # Not all that goes wrong is on a list.
    "busy": Fault(
        around("until = time.thread_time() + 0.001", "while time.thread_time() < until: pass", "return await answer()"),
        "cpu",
        "CPU time per request",
    ),
    "wrong answers": Fault(
        around(
            "kind, body = await answer()",
            "if number % 50 == 0:",
            "    told = msgspec.json.decode(body)",
            '    for one in told["predictions"]: one["probabilities"] = dict.fromkeys(one["probabilities"], 0.5)',
            "    body = msgspec.json.encode(told)",
            "return kind, body",
        ),
        "answers",
        "wrong or missing",
    ),
    "refusals": Fault(
        around('if number % 100 == 0: raise Refused(503, "busy", reason="overload")', "return await answer()"),
        "answers",
        "status 503",
    ),
    "lost rows": Fault(
        around(
            "kind, body = await answer()",
            "told = msgspec.json.decode(body)",
            'if len(told["predictions"]) > 5: told["predictions"].pop()',
            "return kind, msgspec.json.encode(told)",
        ),
        "answers",
        "predictions for 10 rows",
    ),
    "slower and slower": Fault(
        around("time.sleep(number * 2e-6)", "return await answer()"), "median", "median latency is"
    ),
    "handles": Fault(around('_kept.append(open("/dev/null"))', "return await answer()"), "handles", "open files"),
    "slow start": Fault(at_start("time.sleep(6)"), "start", "times as long"),
    "hungry": Fault(at_start("_ballast = bytearray(b'x') * 300_000_000"), "memory", "above it"),
    "does not start": Fault(at_start('raise OSError("no licence")'), "answers", "no licence"),
    "all fail": Fault(around('raise OSError("no")'), "answers", "status 500"),
    "forgets": Fault(
        around("if number % 500 == 0: await asyncio.sleep(2)", "return await answer()"), "waiting", "got no response"
    ),
    "falls silent": Fault(
        around("time.sleep(max(0, 4 - time.monotonic() % 16))", "return await answer()"),
        "silence",
        "no correct response",
    ),
    # What takes longer than a round is not among its answers; that there are few is.
    "hangs": Fault(
        around("if number % 500 == 0: time.sleep(1)", "return await answer()"), "throughput", "times the champion's"
    ),
}
