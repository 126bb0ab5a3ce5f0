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
    NUMBERS, TEXTS = json.load(file)


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
                [
                    row[name.removesuffix(":missing")] is None if name.endswith(":missing") else row[name]
                    for name in NUMBERS
                ]
                for row in rows
            ],
            dtype=np.float32,
        ),
        "packed texts": np.array([[row[name] or "missing" for name in TEXTS] for row in rows], dtype=object),
    }
    answer = orjson.dumps(session.run(output, feed)[0].tolist())
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})
