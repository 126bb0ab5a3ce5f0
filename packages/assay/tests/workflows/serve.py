"""Serves the stand-in of GitHub over TLS until it is interrupted, for the real CML and for whoever wants to look.

    python tests/workflows/serve.py [PORT]

It prints what to type elsewhere. The pull request 4 is open, and its comments are printed when the stand-in ends.
"""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from workflows.github import REPOSITORY, GitHub, running

HEAD = "c0ffee" + "0" * 34
HOW = """\
export NODE_EXTRA_CA_CERTS={certificate} NO_PROXY=127.0.0.1 ITERATIVE_DO_NOT_TRACK=1 HOME={folder}
export REPO_TOKEN={token} GITHUB_ACTOR=ann GITHUB_REPOSITORY={repository} GITHUB_SERVER_URL={url} GITHUB_SHA={head}
echo '## A report' > "$HOME/comment.md"
cml comment update --driver github --publish=false --target=pr/4 --watermark-title=assay \\
    --repo "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" "$HOME/comment.md"
"""


@contextmanager
def serving(folder: Path, port: int = 0) -> Iterator[tuple[GitHub, Path, str]]:
    """Serve a repository with one pull request; yield the stand-in, its certificate and a token that may comment."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    made = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(["openssl", "req", "-x509", *names, *made], check=True, capture_output=True)
    hub = GitHub(folder / "remote.git")
    subprocess.run(["git", "init", "--quiet", "--bare", str(hub.git)], check=True)
    hub.open_pull(4, "ann/less-noise", HEAD)
    with running(hub, port, (certificate, key)):
        yield hub, certificate, hub.token({"pull-requests": "write"})


def main() -> None:
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder), port) as (hub, certificate, token):
        about = {"folder": folder, "certificate": certificate, "token": token, "repository": REPOSITORY, "head": HEAD}
        sys.stdout.write(HOW.format(url=hub.url, **about))
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
        for comment in hub.comments[4]:
            sys.stdout.write(f"\n--- {comment['user']['login']}\n{comment['body']}\n")
        sys.stdout.write("".join(f"\nviolates GitHub's description: {one}" for one in hub.violations) + "\n")


if __name__ == "__main__":
    main()
