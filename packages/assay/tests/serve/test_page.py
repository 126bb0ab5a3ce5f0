"""The page for people."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from html.parser import HTMLParser
from typing import Any

from assay.inference.rows import RowReader
from assay.serve.page import page
from assay.serve.serving import Serving
from patients import contract


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def data(text: str) -> Any:
    return json.loads(re.search(r'id="data">(.*?)</script>', text, re.S)[1])  # type: ignore[index]


def test_the_form_knows_every_column_and_what_it_may_hold(servings: Callable[..., Serving]) -> None:
    found = data(page(servings().package))
    assert [column["name"] for column in found["columns"]] == list(contract().features)
    assert all(column["expected"] for column in found["columns"])
    assert set(found["examples"][0]) == set(contract().features)


def test_only_the_script_of_the_page_may_run(servings: Callable[..., Serving]) -> None:
    text = page(servings().package)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert f"script-src 'sha256-{b64encode(sha256(script.encode()).digest()).decode()}'" in text


def test_texts_of_the_contract_and_the_card_do_not_get_out_of_their_place(servings: Callable[..., Serving]) -> None:
    evil = '</script><img src=x onerror="alert(1)">'
    package = servings().package
    made = package.contract.model_copy(update={"name": evil, "description": evil})
    text = page(replace(package, reader=RowReader(made, 1), card=f"# {evil}", examples=[{"age": evil}]))
    tags = Tags()
    tags.feed(text)
    assert not [attributes for tag, attributes in tags.found if tag == "img"]
    assert [tag for tag, _ in tags.found].count("script") == 2
