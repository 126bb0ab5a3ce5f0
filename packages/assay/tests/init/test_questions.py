"""At a terminal `assay init` asks about what could hurt."""

import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from assay.cli.pipeline import init
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


Asked = Callable[..., tuple[str, str]]


@pytest.fixture
def asked(tmp_path: Path, ratings: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Returns what `assay init --dry-run` shows, and what it asks at a terminal where somebody answers so."""
    (tmp_path / "params.yaml").write_bytes((SOURCE / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)

    def ask(answers: str, *options: str) -> tuple[str, str]:
        ours, theirs = pty.openpty()
        os.write(ours, answers.encode())
        with os.fdopen(theirs) as stdin, os.fdopen(os.dup(theirs), "w") as stderr:
            monkeypatch.setattr(sys, "stdin", stdin)
            monkeypatch.setattr(sys, "stderr", stderr)
            init.main([str(ratings), "--target", "rating", "--dry-run", *options], standalone_mode=False)
        said = b""
        try:
            while part := os.read(ours, 4096):
                said += part
        except OSError:
            # A terminal whose other side is closed.
            pass
        os.close(ours)
        return capsys.readouterr().out, said.decode()

    return ask


def test_who_only_presses_enter_gets_the_safe_side(asked: Asked) -> None:
    shown, said = asked("\n\n")
    assert "rating: regression: 5 whole numbers" in said
    assert "refund: explains 100.0% of the target on its own" in said
    assert "Leave it out? [Y/n]" in said
    assert "task: regression" in shown
    assert 'refund: {kind: ignored, reason: "suspected leak' in shown


def test_who_knows_better_is_heard(asked: Asked) -> None:
    shown, _ = asked("multiclass\nn\n")
    assert "task: multiclass" in shown
    assert "refund: {kind: integer" in shown


def test_an_answer_that_is_none_is_asked_for_again(asked: Asked) -> None:
    shown, said = asked("ordinal\nmulticlass\n\n")
    assert "'ordinal' is not one of" in said
    assert "task: multiclass" in shown


def test_with_yes_nothing_is_asked(asked: Asked) -> None:
    _, said = asked("", "--yes")
    assert "[Y/n]" not in said
