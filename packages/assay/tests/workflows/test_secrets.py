"""The secret scanner of `make secrets`, as the project sets it: which files it reads, and what it refuses."""

import random
import re
import shlex
import string
from pathlib import Path
from typing import Any

import pytest
from detect_secrets import pre_commit_hook
from ruamel.yaml import YAML

from scenario.project import SOURCE


def hook() -> dict[str, Any]:
    """Return the hook that scans."""
    (repository,) = YAML(typ="safe").load((SOURCE / ".pre-commit-config.yaml").read_text())["repos"]
    (found,) = [one for one in repository["hooks"] if one["id"] == "secrets"]
    return dict(found)


def is_refused(path: Path) -> bool:
    """Return whether the scanner finds a secret in a file."""
    program, *options = shlex.split(hook()["entry"])
    assert program == "detect-secrets-hook"
    return bool(pre_commit_hook.main([*options, str(path)]))


def made(length: int) -> str:
    """Return letters and digits, as in a key: none is written here."""
    return "".join(random.Random(length).choices(string.ascii_letters + string.digits, k=length))  # noqa: S311


# In parts, so that the scanner does not find them here.
BEGIN = "-----BEGIN " + "PRIVATE KEY-----"
PLANTED = {
    "AWS": ("train.py", f'KEY = "AKIA{made(16).upper()}"'),
    "DVC remote on S3": (".dvc/config", f"['remote \"s3\"']\n    secret_access_key = {made(40)}"),
    "Google service account": ("account.json", f'{{"private_key": "{BEGIN}\\nMIIE"}}'),
    "Azure": ("azure.txt", f"AccountName=x;AccountKey={made(86)}=="),
    "key of SSH": ("id_ed25519", f"{BEGIN.replace('PRIVATE', 'OPENSSH PRIVATE')}\nabc"),
    "GitHub": ("page.md", f"Use ghp_{made(36)} for it."),
    "GitHub, fine-grained": ("tool.py", f'TOKEN = "github_pat_{made(22)}_{made(59)}"'),
    "Hugging Face": ("download.py", f'login("hf_{made(34)}")'),
    "Slack": ("notes.md", f"{'xoxb'}-123456789012-123456789012-{made(24)}"),
    "PyPI": (".pypirc", f"password = pypi-AgEIcHlwaS5vcmc{made(70)}"),
    "password in YAML": ("service.yaml", f"password: {made(14)}"),
    "password in the environment": (".env", f"DB_PASSWORD={made(14)}"),
    "password in an address": ("db.cfg", f"postgresql://ann:{made(9)}@db.example.com/x"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_a_planted_secret_is_refused_and_not_repeated(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str):
    name, content = PLANTED[kind]
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"# A file.\n{content}\n")
    assert is_refused(path)
    said = capsys.readouterr().out
    assert f"{name}:" in said
    assert max(re.findall(r"\w+", content), key=len) not in said


@pytest.mark.parametrize(
    "content",
    [
        "key: ${{ secrets.DEPLOY_KEY }}",
        "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1",
        "md5: d41d8cd98f00b204e9800998ecf8427e",
        'password = os.environ["PASSWORD"]',
        f'"image/png": "{made(400)}"',
        f'token = "{made(40)}"  # pragma: allowlist secret',
    ],
)
def test_what_is_no_secret_or_is_let_through_is_not_refused(tmp_path: Path, content: str):
    path = tmp_path / "file.py"
    path.write_text(f"{content}\n")
    assert not is_refused(path)


@pytest.mark.parametrize(
    ("path", "is_read"),
    [
        (".dvc/embedded/files/md5/03/b5e1", False),
        ("dvc.lock", False),
        ("data.dvc", False),
        ("requirements/train.txt", False),
        ("packages/assay/requirements/dev.txt", False),
        (".dvc/config", True),
        ("requirements/train.in", True),
        ("notes.txt", True),
        ("src/model/features.py", True),
        (".github/workflows/ci.yml", True),
        ("README.md", True),
    ],
)
def test_generated_files_are_left_out_and_no_others(path: str, is_read: bool):
    assert bool(re.search(hook()["exclude"], path)) is not is_read


def test_the_scanner_asks_nobody():
    assert "--no-verify" in hook()["entry"].split()
