"""The calls of GitHub's API that the trusted workflow needs."""

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx

from assay.base.errors import InputError

# The author of everything written with a workflow's token.
BOT = "github-actions[bot]"
PAGE = 100


class DeniedError(InputError):
    """GitHub denies the request to this token (403)."""


class GitHub:
    """A repository on GitHub; every method raises InputError if GitHub is unreachable or returns an error."""

    def __init__(self, url: str, repository: str, token: str) -> None:
        """Set the URL of the API, the repository as `owner/name`, and a token."""
        self.repository = repository
        self._client = httpx.Client(
            base_url=f"{url}/repos/{repository}/",
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            transport=httpx.HTTPTransport(retries=3),
            timeout=60,
        )

    @classmethod
    def here(cls) -> "GitHub":
        """Return the repository of the current workflow; raises InputError outside of a workflow."""
        try:
            return cls(
                os.environ["GITHUB_API_URL"], os.environ["GITHUB_REPOSITORY"], os.environ.get("GITHUB_TOKEN", "")
            )
        except KeyError as error:
            raise InputError(f"{error.args[0]} is not set; run this in a GitHub workflow") from None

    def get(self, path: str, **query: Any) -> Any:
        """GET a path of the repository."""
        return self._ask("GET", path, params=query).json()

    def send(self, method: str, path: str, body: Any) -> Any:
        """Send a request with a body; return the response, None if it is empty."""
        answer = self._ask(method, path, json=body)
        return answer.json() if answer.content else None

    def pages(self, path: str, within: str = "", **query: Any) -> Iterator[Any]:
        """Yield the entries of all pages of a list; `within` is the key of the list, if it is nested."""
        number = 1
        while True:
            found = self.get(path, **query, per_page=PAGE, page=number)
            entries = found[within] if within else found
            yield from entries
            if len(entries) < PAGE:
                return
            number += 1

    def download(self, path: str, most: int) -> bytes:
        """Download a file of at most `most` bytes, following redirects; the token is sent only to GitHub."""
        try:
            with self._client.stream("GET", path, follow_redirects=True) as answer:
                _require_success(answer, path)
                content = b""
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > most:
                        raise InputError(f"GitHub: {path}: larger than the limit of {most:,} bytes")
                return content
        except httpx.HTTPError as error:
            raise InputError(f"GitHub: {path}: {type(error).__name__}") from None

    def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            answer = self._client.request(method, path, **how)
        except httpx.HTTPError as error:
            raise InputError(f"GitHub: {path}: {type(error).__name__}") from None
        _require_success(answer, path)
        return answer


def _require_success(answer: httpx.Response, path: str) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        said = str(json.loads(answer.content)["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason_phrase
    kind = DeniedError if answer.status_code == 403 else InputError
    raise kind(f"GitHub: {path}: {answer.status_code} {said}")
