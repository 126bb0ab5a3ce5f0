"""The page in a real browser, of a service that really runs."""

import json
import shutil
from collections.abc import Iterator

import pytest

from browser import Browser, browsing
from machine import lacks
from npm import NotHereError
from scenario.project import Project
from served import SOURCE, served_project
from servers import Server, serving, until


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
    try:
        with browsing(tmp_path_factory.mktemp("browser")) as one:
            yield one
    except NotHereError as error:
        lacks(str(error))


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


def test_the_page_of_the_api_loads_nothing_from_elsewhere(browser: Browser, server: Server) -> None:
    browser.open(server.url + "/docs")
    until(lambda: "Predict rows." in browser.js("document.body.innerText"), "the endpoints are shown")
    asked = [one["request"]["url"] for one in browser.told("Network.requestWillBeSent")]
    assert [url for url in asked if not url.startswith((server.url, "data:"))] == []
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
