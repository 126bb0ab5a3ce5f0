"""Chromium without a window, driven over its DevTools protocol."""

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from npm import NotHereError
from servers import SECONDS, until

NAMES = ("chromium", "google-chrome")
KEYS = {"Tab": 9, "Enter": 13}


class Browser:
    """A tab, and what happened in it."""

    def __init__(self, process: subprocess.Popen[bytes], said: Path) -> None:
        self._process = process
        self._said = said
        self._unread = b""
        self._session: dict[str, str] = {}
        self._sent = 0
        self.events: list[dict[str, Any]] = []
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self.do("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.do(f"{domain}.enable")

    def do(self, method: str, **params: Any) -> dict[str, Any]:
        self._sent += 1
        message = {"id": self._sent, "method": method, "params": params, **self._session}
        os.write(self._process.stdin.fileno(), json.dumps(message).encode() + b"\0")  # type: ignore[union-attr]
        while (said := self._next()).get("id") != self._sent:
            self.events.append(said)
        assert "error" not in said, f"{method}: {said}"
        return dict(said["result"])

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + SECONDS
        pipe = self._process.stdout.fileno()  # type: ignore[union-attr]
        while b"\0" not in self._unread:
            assert select.select([pipe], [], [], max(0, end - time.monotonic()))[0], "the browser does not answer"
            more = os.read(pipe, 1 << 16)
            assert more, f"the browser has ended: {self._said.read_text(errors='replace')}"
            self._unread += more
        said, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(said))

    def js(self, expression: str) -> Any:
        said = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in said, said
        return said["result"].get("value")

    def open(self, url: str) -> None:
        # What a test held up before it failed is not the next one's.
        self.do("Fetch.disable")
        self.events.clear()
        loader = self.do("Page.navigate", url=url)["loaderId"]
        until(lambda: self._loaded(loader), "the page is there")

    def _loaded(self, loader: str) -> bool:
        tree = self.do("Page.getFrameTree")["frameTree"]
        return bool(tree["frame"]["loaderId"] == loader and self.js("document.readyState") == "complete")

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return what the events of a kind were about, since the page was opened."""
        # Events come before the answer to what is asked after them.
        self.js("")
        return [one["params"] for one in self.events if one["method"] == event]

    def show(self, width: int, height: int, *, is_dark: bool = False, scale: float = 1) -> None:
        """Set the size of the window, in CSS pixels, and whether pages are asked for dark colours."""
        self.do("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.do("Emulation.setEmulatedMedia", features=[scheme])

    def picture(self, path: Path, height: int, top: int = 0) -> None:
        """Write part of the page as a PNG: as wide as the window, and from `top` on at most `height` high."""
        size = self.do("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": top, "width": size["width"], "height": min(height, size["height"] - top), "scale": 1}
        shot = self.do("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def press(self, key: str) -> None:
        code = {"key": key, "windowsVirtualKeyCode": KEYS[key], "text": {"Enter": "\r"}.get(key, "")}
        self.do("Input.dispatchKeyEvent", type="keyDown", **code)
        self.do("Input.dispatchKeyEvent", type="keyUp", **code)

    def type(self, text: str) -> None:
        for letter in text:
            self.do("Input.dispatchKeyEvent", type="keyDown", key=letter, text=letter)
            self.do("Input.dispatchKeyEvent", type="keyUp", key=letter)

    def fill_in(self, row: dict[str, str]) -> None:
        """Type a row into a page just opened, and leave the focus in the last field."""
        for _ in range(5):
            self.press("Tab")
            if self.js("document.activeElement.id") == "f0":
                break
        for number, text in enumerate(row.values()):
            if number:
                self.press("Tab")
            # What the field held is selected, so that typing replaces it.
            self.type(text)

    def submit(self, wanted: str) -> str:
        """Press Enter, and return the new answer once it holds a text."""
        before = self.answer()
        self.press("Enter")
        until(lambda: wanted in self.answer() != before, f"a new answer with {wanted!r}")
        return self.answer()

    def answer(self) -> str:
        return str(self.js("document.getElementById('answer').innerText"))

    def marked(self) -> dict[str, str]:
        """Return the message at each field that is marked as wrong."""
        return dict(
            self.js(
                """Object.fromEntries([...document.querySelectorAll("[aria-invalid=true]")].map(field => {
                    const said = field.getAttribute("aria-describedby").split(" ").at(-1);
                    return [field.labels[0].firstChild.data, document.getElementById(said).innerText];
                }))"""
            )
        )


@contextmanager
def browsing(folder: Path) -> Iterator[Browser]:
    """Yield a tab of a browser that keeps its files in `folder`; raises NotHereError where none is installed."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        raise NotHereError("no browser is installed (chromium)")
    command = [
        found,
        "--headless",
        # There is none for root, nor in most containers; and the page is our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--hide-scrollbars",
        "--disable-background-networking",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
        "--no-proxy-server",
        f"--user-data-dir={folder}",
        # It reads from 3 and writes to 4: no port, and no library for WebSockets.
        "--remote-debugging-pipe",
    ]
    said = folder / "said.log"
    with said.open("wb") as file:
        process = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 3<&0 4>&1 </dev/null >&2', "sh", *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=file,
            env=os.environ | {"HOME": str(folder)},
        )
    with process:
        try:
            yield Browser(process, said)
        finally:
            # It ends with the pipe.
            process.stdin.close()  # type: ignore[union-attr]
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
