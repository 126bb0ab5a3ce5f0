"""The page in a real browser, of a service that really runs: Chromium, driven over its DevTools protocol."""

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

import pytest

from scenario.project import Project
from served import SOURCE, served_project
from servers import SECONDS, Server, serving, until

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
        """Press Enter, and return the answer once it holds a text."""
        self.press("Enter")
        until(lambda: wanted in self.answer(), f"an answer with {wanted!r}")
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
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no browser is installed (chromium)")
    command = [
        found,
        "--headless",
        # There is none for root, nor in most containers; and the page is our own.
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("page") / "project"
    served_project(root)
    for name in ("src", "requirements"):
        shutil.copytree(SOURCE / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(SOURCE / "service.py", root)
    with serving(Project(root, root.parent)) as running:
        yield running


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browsing(tmp_path_factory.mktemp("browser")) as one:
        yield one


ROW = {
    "age": "61",
    "heart-rate": "92,5",
    "noise": "-0.25",
    "smoker": "t",
    "ward": "w",
    "street": "street 7",
    "admitted": "2024-02-03T04:05:06",
}
SENT = {
    "age": 61,
    "heart-rate": 92.5,
    "noise": -0.25,
    "smoker": True,
    "ward": "west",
    "street": "street 7",
    "admitted": "2024-02-03T04:05:06",
}


def test_a_row_typed_in_is_answered_with_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    browser.open(server.url + "/")
    browser.fill_in(ROW)
    said = browser.submit("What moved the score")
    told = server.post("/predict", {"rows": [SENT]}).json()["predictions"][0]
    assert said.startswith(told["decision"])
    assert all(f"{name}\t{100 * share:.1f} %" in said for name, share in told["probabilities"].items())
    assert browser.js("document.activeElement.id") == "answer"
    asked = [one["request"] for one in browser.told("Network.requestWillBeSent")]
    assert [one["url"] for one in asked if one["url"] != "data:,"] == [
        f"{server.url}/{path}" for path in ("", "predict", "explain")
    ]
    assert [json.loads(one["postData"]) for one in asked if "postData" in one] == [{"rows": [SENT]}] * 2
    # A policy that is not kept is told of in the log.
    assert browser.told("Runtime.exceptionThrown") + browser.told("Log.entryAdded") == []


def test_the_answer_waits_for_no_explanation(browser: Browser, server: Server) -> None:
    browser.open(server.url + "/")
    browser.do("Fetch.enable", patterns=[{"urlPattern": "*/explain"}])
    browser.fill_in(ROW)
    said = browser.submit("Prediction ")
    assert "No prediction" not in said
    assert "What moved the score" not in said
    # A row more, while the explanation of the first has not come.
    browser.js("byId('f0').focus()")
    again = browser.submit("Prediction ")
    assert again != said
    until(lambda: len(browser.told("Fetch.requestPaused")) == 2, "both explanations are asked for")
    browser.do("Fetch.failRequest", requestId=browser.told("Fetch.requestPaused")[1]["requestId"], errorReason="Failed")
    until(lambda: len(browser.told("Network.loadingFailed")) == 2, "neither explanation comes")
    assert [one.get("canceled", False) for one in browser.told("Network.loadingFailed")] == [True, False]
    assert browser.answer() == again


def test_a_mistake_is_told_at_its_field(browser: Browser, server: Server) -> None:
    browser.open(server.url + "/")
    browser.fill_in(ROW | {"age": "500", "heart-rate": "1,234", "noise": "1.234,5"})
    said = browser.submit("No prediction")
    assert browser.marked() == {
        "age": "expected a whole number between 0 and 120, got 500",
        "heart-rate": "expected a number between 30 and 220 or null, got '1,234': write 1234 or 1.234",
        "noise": "expected a number between -10 and 10, got '1.234,5': "
        "use a point before the decimals and no thousands separator",
    }
    assert all(f"{column}: {problem}" in said for column, problem in browser.marked().items())
    browser.js("['61', '92,5', '-0.25'].forEach((text, number) => { byId('f' + number).value = text; })")
    browser.js("byId('f0').focus()")
    assert "No prediction" not in browser.submit("What moved the score")
    assert browser.marked() == {}


def test_a_comma_is_a_decimal_sign_only_where_it_can_be_nothing_else(browser: Browser, server: Server) -> None:
    browser.open(server.url + "/")
    read: dict[str, float | None] = {
        "1,5": 1.5,
        "-0,123": -0.123,
        ",5": 0.5,
        "1234,567": 1234.567,
        "1,2345": 1.2345,
        "1,5e3": 1500,
        "1.234": 1.234,
        "-.5": -0.5,
        "+7.": 7,
        "1e-3": 0.001,
    }
    read |= dict.fromkeys(["1,234", "-12,345", "1,234,567", "1.234,5", "1,234.5", "1,234e3", "1,", ","])
    read |= dict.fromkeys(["1 234", "Infinity", "1e999", "0x10", "seven"])
    found = browser.js(f"Object.fromEntries({json.dumps(list(read))}.map(text => [text, parsed(text) ?? null]))")
    assert found == read
