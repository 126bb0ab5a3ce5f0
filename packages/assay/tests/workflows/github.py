"""A stand-in of GitHub on loopback: what it is told it remembers, and its git is a bare repository.

A token may do what the permissions say that it was made with. Like GitHub it answers 30 entries a page, takes no
comment longer than 65,536 characters, lets whoever may write edit the comments of others, and sends whoever fetches an
artifact to another host. A commit may be the head of several pull requests, and their bases may change. `failing` makes
it answer badly, as GitHub does now and then. What is asked and answered is held to GitHub's own description of its API,
as far as github.json has it; what breaks it is noted in `violations`.
"""

import io
import json
import re
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

BOT = "github-actions[bot]"
MOST = 65_536
REPOSITORY = "ada/ward"
WHEN = "2026-11-02T10:00:00Z"
STATES = ("error", "failure", "pending", "success")


class Answer(Exception):  # noqa: N818
    """What is answered instead of a result."""

    def __init__(self, status: int, message: str = "", **headers: str):
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers


@dataclass
class GitHub:
    """The state of one repository, and of those that were forked from it."""

    git: Path
    url: str = ""
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)
    denied: set[str] = field(default_factory=set)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    artifacts: dict[int, list[tuple[dict[str, Any], bytes]]] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    dispatched: list[tuple[str, str]] = field(default_factory=list)
    runs: list[dict[str, Any]] = field(default_factory=list)
    # What the next calls that begin so are answered with, such as `POST statuses`.
    failing: dict[str, list[Answer]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    attested: list[tuple[str, str, str]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    _last: int = 100

    def next_id(self) -> int:
        self._last += 1
        return self._last

    def token(self, permissions: Mapping[str, str]) -> str:
        """Return a token that may do what permissions as those of a job say."""
        name = f"token-{len(self.tokens)}"
        self.tokens[name] = dict(permissions)
        return name

    def open_pull(self, number: int, branch: str, head: str, source: str = REPOSITORY, base: str = "main") -> None:
        self.pulls.append(
            {
                "number": number,
                "state": "open",
                "head": {"ref": branch, "sha": head, "repo": {"full_name": source}},
                "base": {"ref": base},
            }
        )
        self.comments.setdefault(number, [])

    def note_run(self, workflow: str, head: str, **about: Any) -> int:
        """Remember a run of a workflow; return its number."""
        run = {"id": self.next_id(), "path": f".github/workflows/{workflow}", "head_sha": head, "event": "pull_request"}
        self.runs.append(run | {"status": "completed", "conclusion": "success", "actor": {"login": "ann"}} | about)
        return int(self.runs[-1]["id"])

    def say(self, number: int, body: str, author: str = "ann") -> dict[str, Any]:
        comment = {"id": self.next_id(), "body": body, "user": {"login": author}, "created_at": WHEN}
        self.comments.setdefault(number, []).append(comment)
        return comment

    def upload(self, run: int, name: str, archive: bytes) -> None:
        about = {"id": self.next_id(), "name": name, "expired": False, "size_in_bytes": len(archive)}
        self.artifacts.setdefault(run, []).append((about, archive))

    def state(self, commit: str) -> str | None:
        """Return the state of the status `assay` of a commit: the newest counts."""
        found = [one["state"] for one in self.statuses.get(commit, []) if one["context"] == "assay"]
        return found[-1] if found else None

    def reports(self, number: int) -> list[str]:
        """Return the comments of the bot on a pull request."""
        return [one["body"] for one in self.comments[number] if one["user"]["login"] == BOT]

    def run_git(self, *arguments: str, given: str = "", **environment: str) -> str:
        done = subprocess.run(
            ["git", "--git-dir", str(self.git), *arguments],
            input=given, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin:/bin:/usr/local/bin", "HOME": str(self.git.parent), **environment},
        )  # fmt: skip
        if done.returncode:
            raise Answer(422, done.stderr.strip())
        return done.stdout.strip()


def archive(files: Mapping[str, str | bytes]) -> bytes:
    """Return a zip archive of files."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in files.items():
            file.writestr(name, content)
    return made.getvalue()


def _pulls(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    owner, _, branch = query.get("head", ":").partition(":")
    return [
        one
        for one in hub.pulls
        if one["state"] == query.get("state", "open")
        and (not branch or (one["head"]["ref"] == branch and one["head"]["repo"]["full_name"].startswith(f"{owner}/")))
    ]


def _new_pull(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    head = hub.run_git("rev-parse", f"refs/heads/{body['head']}")
    hub.open_pull(hub.next_id(), body["head"], head, base=body["base"])
    hub.pulls[-1] |= {"title": body["title"], "body": body.get("body")}
    return hub.pulls[-1]


def _renew_pull(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    (pull,) = [one for one in hub.pulls if one["number"] == int(number)]
    pull |= body
    # Somebody may have pushed.
    pull["head"]["sha"] = hub.run_git("rev-parse", f"refs/heads/{pull['head']['ref']}")
    return pull


def _comments(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    return hub.comments[int(number)]


def _comment(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    if len(body["body"]) > MOST:
        raise Answer(422, "Body is too long (maximum is 65536 characters)")
    return hub.say(int(number), body["body"], BOT)


def _recomment(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    found = next((one for all_of in hub.comments.values() for one in all_of if one["id"] == int(number)), None)
    if found is None:
        raise Answer(404, "Not Found")
    if len(body["body"]) > MOST:
        raise Answer(422, "Body is too long (maximum is 65536 characters)")
    found["body"] = body["body"]
    return found


def _artifacts(hub: GitHub, query: dict[str, str], body: Any, run: str) -> Any:
    found = [about for about, _ in hub.artifacts.get(int(run), []) if query.get("name", about["name"]) == about["name"]]
    return {"total_count": len(found), "artifacts": found}


def _artifact(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    raise Answer(302, Location=f"{hub.url.replace('127.0.0.1', 'localhost')}/blob/{number}")


def _status(hub: GitHub, query: dict[str, str], body: Any, commit: str) -> Any:
    if body["state"] not in STATES or len(body["description"]) > 140:
        raise Answer(422, "Validation Failed")
    hub.statuses.setdefault(commit, []).append(body)
    return body


def _statuses(hub: GitHub, query: dict[str, str], body: Any, commit: str) -> Any:
    return hub.statuses.get(commit, [])[::-1]


def _compared(hub: GitHub, query: dict[str, str], body: Any, basehead: str) -> Any:
    base, _, head = unquote(basehead).partition("...")
    try:
        return {"merge_base_commit": {"sha": hub.run_git("merge-base", base, head)}}
    except Answer:
        raise Answer(404, "Not Found") from None


def _runs(hub: GitHub, query: dict[str, str], body: Any, workflow: str = "") -> Any:
    found = [
        one
        for one in hub.runs
        if one["path"].endswith(workflow)
        and one["head_sha"] == query.get("head_sha", one["head_sha"])
        and one["event"] == query.get("event", one["event"])
        and query.get("status", one["status"]) in (one["status"], one["conclusion"])
    ]
    return {"total_count": len(found), "workflow_runs": found}


def _forget_run(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    hub.runs = [one for one in hub.runs if one["id"] != int(number)]


def _commit(hub: GitHub, query: dict[str, str], body: Any, commit: str) -> Any:
    author, tree, *parents = hub.run_git("log", "-1", "--format=%an%n%T%n%P", commit).split("\n")
    parents = parents[0].split() if parents else []
    about = {"author": {"name": author}, "tree": {"sha": tree}, "parents": [{"sha": one} for one in parents]}
    return {"sha": commit, **about}


def _tree(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    index = str(hub.git / f"index-{hub.next_id()}")
    hub.run_git("read-tree", body["base_tree"], GIT_INDEX_FILE=index)
    for entry in body["tree"]:
        blob = hub.run_git("hash-object", "-w", "--stdin", given=entry["content"])
        hub.run_git(
            "update-index", "--add", "--cacheinfo", f"{entry['mode']},{blob},{entry['path']}", GIT_INDEX_FILE=index
        )
    return {"sha": hub.run_git("write-tree", GIT_INDEX_FILE=index)}


def _committed(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    parents = [word for parent in body["parents"] for word in ("-p", parent)]
    names = {f"GIT_{role}_{what}": BOT for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    return {"sha": hub.run_git("commit-tree", body["tree"], *parents, "-m", body["message"], **names)}


def _ref(hub: GitHub, query: dict[str, str], body: Any, ref: str) -> Any:
    ref = f"refs/{unquote(ref)}"
    before = hub.run_git("rev-parse", ref)
    if not body.get("force") and hub.run_git("merge-base", before, body["sha"]) != before:
        raise Answer(422, "Update is not a fast forward")
    hub.run_git("update-ref", ref, body["sha"], before)
    for one in hub.pulls:
        if f"refs/heads/{one['head']['ref']}" == ref and one["head"]["repo"]["full_name"] == REPOSITORY:
            one["head"]["sha"] = body["sha"]
    return {"ref": ref}


def _new_ref(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    # The commit may not exist, and the name may.
    hub.run_git("update-ref", body["ref"], body["sha"], "0" * 40)
    return {"ref": body["ref"]}


def _dispatch(hub: GitHub, query: dict[str, str], body: Any, workflow: str) -> Any:
    hub.dispatched.append((workflow, body["ref"]))


def _issues(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    wanted = set(filter(None, query.get("labels", "").split(",")))
    return [one for one in hub.issues if one["state"] == query.get("state", "open") and wanted <= set(one["labels"])]


def _issue(hub: GitHub, query: dict[str, str], body: Any) -> Any:
    number = hub.next_id()
    hub.issues.append({"number": number, "state": "open", "labels": [], "user": {"login": BOT}, **body})
    hub.comments[number] = []
    return hub.issues[-1]


def _renew_issue(hub: GitHub, query: dict[str, str], body: Any, number: str) -> Any:
    (issue,) = [one for one in hub.issues if one["number"] == int(number)]
    issue |= body
    return issue


# GitHub's description, as describe.py has shortened it.
DESCRIBED: dict[str, Any] = json.loads(Path(__file__).with_name("github.json").read_text(encoding="utf-8"))
Handler = Callable[..., Any]
# Method, path below the repository, the permission it takes, who answers, and with what status.
ROUTES: list[tuple[str, str, str, Handler, int]] = [
    ("GET", r"pulls", "pull-requests: read", _pulls, 200),
    ("POST", r"pulls", "pull-requests: write", _new_pull, 201),
    ("PATCH", r"pulls/(\d+)", "pull-requests: write", _renew_pull, 200),
    ("GET", r"issues/(\d+)/comments", "pull-requests: read", _comments, 200),
    ("POST", r"issues/(\d+)/comments", "pull-requests: write", _comment, 201),
    ("PATCH", r"issues/comments/(\d+)", "pull-requests: write", _recomment, 200),
    ("GET", r"actions/runs/(\d+)/artifacts", "actions: read", _artifacts, 200),
    ("GET", r"actions/artifacts/(\d+)/zip", "actions: read", _artifact, 200),
    ("POST", r"statuses/([0-9a-f]{40})", "statuses: write", _status, 201),
    ("GET", r"commits/([0-9a-f]{40})/statuses", "statuses: read", _statuses, 200),
    ("GET", r"compare/(.+\.\.\..+)", "contents: read", _compared, 200),
    ("GET", r"actions/workflows/([\w.-]+)/runs", "actions: read", _runs, 200),
    ("GET", r"actions/runs", "actions: read", _runs, 200),
    ("DELETE", r"actions/runs/(\d+)", "actions: write", _forget_run, 204),
    ("GET", r"git/commits/([0-9a-f]{40})", "contents: read", _commit, 200),
    ("POST", r"git/trees", "contents: write", _tree, 201),
    ("POST", r"git/commits", "contents: write", _committed, 201),
    ("POST", r"git/refs", "contents: write", _new_ref, 201),
    ("PATCH", r"git/refs/(.+)", "contents: write", _ref, 200),
    ("POST", r"actions/workflows/([\w.-]+)/dispatches", "actions: write", _dispatch, 204),
    ("GET", r"issues", "issues: read", _issues, 200),
    ("POST", r"issues", "issues: write", _issue, 201),
    ("PATCH", r"issues/(\d+)", "issues: write", _renew_issue, 200),
]


def _allowed(hub: GitHub, token: str, wanted: str) -> bool:
    name, _, level = wanted.partition(": ")
    if wanted in hub.denied:
        return False
    given = hub.tokens.get(token, {})
    # On issues either of the two will do.
    names = (name, "issues") if name == "pull-requests" else (name,)
    return any(given.get(one) in ((level, "write") if level == "read" else (level,)) for one in names)


def _typed(query: dict[str, str]) -> dict[str, Any]:
    return {name: int(value) if value.isdigit() else value for name, value in query.items()}


class _Requests(BaseHTTPRequestHandler):
    hub: GitHub

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self) -> None:
        address = urlsplit(self.path)
        path = address.path.removeprefix("/api/v3")
        token = (self.headers.get("Authorization") or "").rpartition(" ")[2]
        self.hub.calls.append(f"{self.command} {path}")
        if blob := re.fullmatch(r"/blob/(\d+)", path):
            if token:
                self.hub.leaked.append(token)
            found = [
                data for all_of in self.hub.artifacts.values() for about, data in all_of if about["id"] == int(blob[1])
            ]
            return self._send(200, found[0])
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else None
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        try:
            self._send(*self._found(path, token, query, body))
        except Answer as answer:
            self._send(answer.status, json.dumps({"message": answer.message}).encode(), **answer.headers)
        return None

    def _found(self, path: str, token: str, query: dict[str, str], body: Any) -> tuple[int, bytes]:
        if path.startswith("/users/"):
            return 200, json.dumps({"login": path.rpartition("/")[2], "name": "Someone", "email": None}).encode()
        below = path.removeprefix(f"/repos/{REPOSITORY}/")
        for call, answers in self.hub.failing.items():
            if answers and f"{self.command} {below}".startswith(call):
                raise answers.pop(0)
        for method, pattern, permission, handle, status in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, below)):
                if not _allowed(self.hub, token, permission):
                    raise Answer(403, "Resource not accessible by integration")
                said = DESCRIBED[f"{method} {pattern}"]
                self._hold(
                    f"{method} {below}?", _typed(query), {"properties": said["query"], "additionalProperties": False}
                )
                self._hold(f"{method} {below}:", body, said["body"])
                result = handle(self.hub, query, body, *match.groups())
                self._hold(f"{method} {below} ->", result, said["answer"])
                if isinstance(result, list):
                    number, size = int(query.get("page", 1)), min(int(query.get("per_page", 30)), 100)
                    result = result[(number - 1) * size : number * size]
                return status, b"" if result is None else json.dumps(result).encode()
        raise Answer(404, "Not Found")

    def _hold(self, what: str, value: Any, schema: Any) -> None:
        if schema is not None:
            # Imported here: it takes seconds to build its grammars.
            from jsonschema import Draft202012Validator

            found = Draft202012Validator(schema).iter_errors(value)
            self.hub.violations += [f"{what} {one.json_path} {one.message}" for one in found]

    def _send(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        # Clients read JSON by its type.
        kind = "application/zip" if content[:2] == b"PK" else "application/json; charset=utf-8"
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def running(hub: GitHub, port: int = 0, tls: tuple[Path, Path] | None = None) -> Iterator[GitHub]:
    """Let the stand-in answer on loopback until the block ends; `tls` is a certificate and its key."""
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Requests", (_Requests,), {"hub": hub}))
    hub.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}"
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*tls)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
