"""At a terminal `assay init` asks about what could hurt."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from places import ROOT

SOURCE = ROOT


@pytest.fixture(scope="module")
def ratings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whole numbers as a target, and a column that gives it away."""
    rng = np.random.default_rng(1)
    lines = ["age,visits,refund,rating"]
    for _ in range(400):
        age = rng.integers(18, 81)
        rating = max(1, min(5, round(age / 20 + rng.normal(0, 0.7))))
        lines.append(f"{age},{rng.integers(0, 10)},{10 * rating},{rating}")
    path = tmp_path_factory.mktemp("data") / "ratings.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def at_terminal(tmp_path: Path, ratings: Path, answers: str, *options: str) -> tuple[str, str]:
    """Return what `assay init --dry-run` shows, and what it asks at a terminal where somebody answers so."""
    ours, theirs = pty.openpty()
    os.write(ours, answers.encode())
    arguments = ["init", str(ratings), "--target", "rating", "--dry-run", *options]
    with subprocess.Popen(
        [sys.executable, "-c", "from assay.cli.main import main; main()", *arguments],
        cwd=tmp_path,
        stdin=theirs,
        stderr=theirs,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE / "packages/assay/src"), str(SOURCE / "src")])},
    ) as process:
        os.close(theirs)
        shown = process.stdout.read() if process.stdout else ""
    asked = b""
    try:
        while part := os.read(ours, 4096):
            asked += part
    except OSError:
        # A terminal whose other side is closed.
        pass
    os.close(ours)
    assert process.returncode == 0, asked.decode()
    return shown, asked.decode()


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_bytes((SOURCE / "params.yaml").read_bytes())
    return tmp_path


def test_who_only_presses_enter_gets_the_safe_side(empty: Path, ratings: Path) -> None:
    shown, asked = at_terminal(empty, ratings, "\n\n")
    assert "rating: regression: 5 whole numbers" in asked
    assert "refund: explains 100.0% of the target on its own" in asked
    assert "Leave it out? [Y/n]" in asked
    assert "task: regression" in shown
    assert 'refund: {kind: ignored, reason: "suspected leak' in shown


def test_who_knows_better_is_heard(empty: Path, ratings: Path) -> None:
    shown, _ = at_terminal(empty, ratings, "multiclass\nn\n")
    assert "task: multiclass" in shown
    assert "refund: {kind: integer" in shown


def test_an_answer_that_is_none_is_asked_for_again(empty: Path, ratings: Path) -> None:
    shown, asked = at_terminal(empty, ratings, "ordinal\nmulticlass\n\n")
    assert "'ordinal' is not one of" in asked
    assert "task: multiclass" in shown


def test_with_yes_nothing_is_asked(empty: Path, ratings: Path) -> None:
    _, asked = at_terminal(empty, ratings, "", "--yes")
    assert "[Y/n]" not in asked
