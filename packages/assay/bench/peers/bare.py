"""A bare ASGI application with the ONNX session of the service, and nothing else: no check, no count, no log."""

import json
from typing import Any

import numpy as np
import onnxruntime
import orjson

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
output = [session.get_outputs()[-1].name]
with open("inputs.json") as file:  # noqa: PTH123
    INPUTS = json.load(file)
GAP = ":missing"
# The column of each input, and what number stands for what value: of a gap, or of a category.
PLAN: list[tuple[str, dict[Any, float] | None]] = [
    (name, dict(zip([*values, None], range(len(values) + 1), strict=True)) if values else None)
    for name, values in INPUTS.items()
    if not name.endswith(GAP)
]
GAPS = [name.removesuffix(GAP) for name in INPUTS if name.endswith(GAP)]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer rows."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message.get("more_body")
    rows = orjson.loads(body)["rows"]
    feed = {
        "packed numbers": np.array(
            [
                [row[name] if codes is None else codes[row[name]] for name, codes in PLAN]
                + [row[name] is None for name in GAPS]
                for row in rows
            ],
            dtype=np.float32,
        ),
    }
    answer = orjson.dumps(session.run(output, feed)[0].tolist())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
