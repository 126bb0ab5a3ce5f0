"""The calls of GitHub's API that the trusted workflow needs."""

import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import httpx

from assay.base.errors import InputError
from assay.base.progress import say

T = TypeVar("T")
# The author of everything written with a workflow's token.
BOT = "github-actions[bot]"
PAGE = 100
# A request that GitHub could not answer is repeated after these seconds, or after those that GitHub asks for.
PAUSES = (1, 3, 9, 27)
# The seconds that all repetitions of a command may wait together: a job has some minutes.
MOST_SECONDS = 120
# GitHub asks for a minute where it names no time.
LIMITED = 60


class DeniedError(InputError):
    """GitHub denies the request to this token (403)."""


class UnansweredError(InputError):
    """GitHub may have done what was asked, but did not say so: no answer, or a fault of its own (5xx)."""


class LimitedError(InputError):
    """GitHub takes no requests for some seconds (429, or 403 with a rate limit)."""

    def __init__(self, text: str, seconds: int) -> None:
        """Set the message and the seconds to wait."""
        super().__init__(text)
        self.seconds = seconds


class GitHub:
    """A repository on GitHub; every method raises InputError if GitHub is unreachable or returns an error.

    Requests are repeated, within a bound, if GitHub fails to answer or asks for patience.
    """

    def __init__(self, url: str, repository: str, token: str, sleep: Callable[[float], object] = time.sleep) -> None:
        """Set the URL of the API, the repository as `owner/name`, a token, and what waits between two tries."""
        self.repository = repository
        self._sleep, self._waited = sleep, 0.0
        self._client = httpx.Client(
            base_url=f"{url}/repos/{repository}/",
            headers={"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
            | ({"Authorization": f"Bearer {token}"} if token else {}),
            timeout=30,
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

    def send(self, method: str, path: str, body: Any = None, *, repeat: bool = True) -> Any:
        """Send a request with a body; return the response, None if it is empty.

        Without `repeat`, a request that GitHub may have done raises UnansweredError at once.
        """
        answer = self._ask(method, path, repeat=repeat, json=body)
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

        def fetch() -> bytes:
            with self._client.stream("GET", path, follow_redirects=True) as answer:
                _require_success(answer, path)
                content = b""
                for chunk in answer.iter_bytes():
                    content += chunk
                    if len(content) > most:
                        raise InputError(f"GitHub: {path}: larger than the limit of {most:,} bytes")
                return content

        return self._repeated(path, fetch)

    def _ask(self, method: str, path: str, *, repeat: bool = True, **how: Any) -> httpx.Response:
        def fetch() -> httpx.Response:
            answer = self._client.request(method, path, **how)
            _require_success(answer, path)
            return answer

        return self._repeated(path, fetch, repeat=repeat)

    def _repeated(self, path: str, fetch: Callable[[], T], *, repeat: bool = True) -> T:
        """Return what a request fetches; repeat it while that may help and there is time."""
        for pause in PAUSES:
            try:
                return _answered(path, fetch)
            except LimitedError as error:
                failure: InputError = error
                seconds = error.seconds
            except UnansweredError as error:
                if not repeat:
                    raise
                failure, seconds = error, pause
            if self._waited + seconds > MOST_SECONDS:
                raise failure
            say(f"{failure}; trying again in {seconds} s")
            self._sleep(seconds)
            self._waited += seconds
        return _answered(path, fetch)


def _answered(path: str, fetch: Callable[[], T]) -> T:
    try:
        return fetch()
    except httpx.HTTPError as error:
        raise UnansweredError(f"GitHub: {path}: {type(error).__name__}") from None


def _require_success(answer: httpx.Response, path: str) -> None:
    if answer.is_success:
        return
    answer.read()
    try:
        said = str(json.loads(answer.content)["message"])
    except (ValueError, KeyError, TypeError):
        said = answer.reason_phrase
    text = f"GitHub: {path}: {answer.status_code} {said}"
    if answer.status_code >= 500:
        raise UnansweredError(text)
    if (seconds := _seconds_to_wait(answer, said)) is not None:
        raise LimitedError(f"{text}; wait, then run the failed jobs again", seconds)
    raise DeniedError(text) if answer.status_code == 403 else InputError(text)


def _seconds_to_wait(answer: httpx.Response, said: str) -> int | None:
    """Return the seconds after which GitHub takes requests again; None if the response is not about a rate limit."""
    if answer.status_code not in (403, 429):
        return None
    if (after := answer.headers.get("Retry-After", "")).isdigit():
        return int(after)
    if answer.headers.get("X-RateLimit-Remaining") == "0":
        return max(0, int(answer.headers.get("X-RateLimit-Reset", 0)) - int(time.time())) + 1
    return LIMITED if answer.status_code == 429 or "rate limit" in said else None
