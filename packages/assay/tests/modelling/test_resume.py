"""A search that was killed goes on where it stopped, and finds what it would have found."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.modelling import search as module
from assay.modelling.search import Trial, search
from assay.project.params import ModelChoice, Tune
from patients import contract, patients

GRID = {"linear": {"C": [0.1, 1.0]}}
HOW = Tune(search=True, method="grid", grid=GRID, trials=9, folds=2, batch=1, max_rows=20000)
# Of the dummy and two models on two folds each.
FITS = 6


def searched(kept: Path | None) -> tuple[ModelChoice, list[Trial]]:
    data, target = patients(60)
    return search(data, target, None, contract(), HOW, 1, kept=kept)


def fitted(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Return the list of the fits that will be made from now on."""
    made: list[Any] = []
    curve = module._curve

    def noted(*arguments: Any) -> Any:
        made.append(arguments[0])
        return curve(*arguments)

    monkeypatch.setattr(module, "_curve", noted)
    return made


def test_what_was_fitted_before_is_not_fitted_again_and_the_search_finds_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    made = fitted(monkeypatch)
    whole = searched(None)
    assert searched(tmp_path) == whole
    assert len(made) == 2 * FITS
    made.clear()
    assert searched(tmp_path) == whole
    assert made == []
    assert f"{FITS} fits of a search that was stopped are used again" in capsys.readouterr().err
    # One fit was not finished, and the file of another is not whole.
    first, second, *_ = sorted(tmp_path.iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:100])
    assert searched(tmp_path) == whole
    assert len(made) == 2


def test_a_fit_that_failed_is_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    with monkeypatch.context() as without_memory:
        without_memory.setattr(module, "scores", lambda *_: 1 / 0)
        with pytest.raises(module.InputError, match="found no model"):
            searched(tmp_path)
    assert searched(tmp_path) == searched(None)


# It is killed once the first folds of the second batch are there.
KILLED = """
import os, signal, sys
from pathlib import Path
from assay.modelling import search
batches = []
run = search._Search.run
def killed(self, batch):
    batches.append(batch)
    if len(batches) == 3:
        print("now", flush=True)
        signal.pause()
    run(self, batch)
search._Search.run = killed
from modelling.test_resume import searched
searched(Path(sys.argv[1]))
"""


@pytest.mark.nightly
def test_a_search_killed_by_the_machine_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": paths}) as process:
        assert process.stdout is not None
        assert b"now\n" in iter(process.stdout.readline, b"")
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    monkeypatch.setattr(module, "cpu_count", lambda: 1)
    made = fitted(monkeypatch)
    assert searched(tmp_path) == searched(None)
    # The first of these two searches fitted what the killed one had not.
    assert len(made) == FITS + FITS - 4
