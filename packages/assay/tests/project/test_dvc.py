"""What is shown of DVC's output: the stages it runs, and everything else only when it fails; and a search by DVC."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from dvc.repo import Repo

from assay.base.errors import InputError
from assay.project import dvc
from assay.project.freeze import write_choice
from assay.project.layout import read_choice
from assay.project.params import load_params
from places import ROOT


class Shown(logging.Handler):
    """A handler of DVC's logger that keeps the messages it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())


@pytest.fixture
def shown() -> Iterator[list[str]]:
    """The messages that pass DVC's handlers."""
    handler = Shown()
    logging.getLogger("dvc").addHandler(handler)
    yield handler.messages
    logging.getLogger("dvc").removeHandler(handler)


def runs(status: int) -> Callable[[Sequence[str]], int]:
    """Return a stand-in for DVC that runs a stage, gives hints and ends with a status."""

    def cmd_run() -> None:
        logging.getLogger("dvc.stage.run").info("Running stage '%s':", "train")
        logging.getLogger("dvc.stage.run").warning("a warning")

    def main(arguments: Sequence[str]) -> int:
        cmd_run()
        logging.getLogger("dvc.repo.scm_context").info("To track the changes with git, run: ...")
        print("Use `dvc push` to send your updates to remote storage.")  # noqa: T201
        return status

    return main


def test_hints_are_not_shown_when_all_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shown: list[str]
) -> None:
    monkeypatch.setattr(dvc, "dvc", runs(0))
    assert not dvc._dvc_fails("repro")
    assert shown == ["Running stage 'train':", "a warning"]
    assert capsys.readouterr().out == ""


def test_everything_is_shown_when_it_fails(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(dvc, "dvc", runs(1))
    assert dvc._dvc_fails("repro")
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "To track the changes with git, run: ...",
        "Use `dvc push` to send your updates to remote storage.",
    ]


def test_dvc_logs_its_stages_in_the_functions_that_are_let_through() -> None:
    from dvc.stage.cache import StageCache
    from dvc.stage.run import cmd_run

    functions = {(one.__module__, one.__name__) for one in (cmd_run, StageCache.restore)}
    assert functions == dvc.STAGE_LINES


PIPELINE = """\
stages:
  validate: {cmd: "true", params: [params.yaml: ]}
  tune: {cmd: "true", params: [seed, gates.quality.metric]}
  export: {cmd: "true", params: [requirements/process.yaml: [export], gates.service, outcomes]}
"""


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ("gates: {quality: {metric: r2}, service: {}}", "outcomes: is missing, but stage export of dvc.yaml"),
        ("gates: {quality: {metric: r2}}\noutcomes: {}", "gates.service: is missing, but stage export of dvc.yaml"),
        ("gates: {quality: {}, service: {}}\noutcomes: {}", "gates.quality.metric: is missing, but stage tune"),
        ("outcomes: {}", "gates.quality.metric: is missing, but stage tune"),
        ("gates: {quality: {metric: null}, service: {}}\noutcomes: {}", ""),
    ],
)
def test_a_parameter_without_which_a_stage_cannot_run_is_named_before_any_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(PIPELINE)
    Path("params.yaml").write_text(f"seed: 1\n{params}\n")
    if not said:
        dvc._require_parameters()
        return
    with pytest.raises(InputError) as raised:
        dvc._require_parameters()
    assert str(raised.value).startswith(f"params.yaml: {said}")


STAGES = """\
stages:
  validate: {cmd: cp data checked, deps: [data], params: [params.yaml: ], outs: [checked]}
  train: {cmd: cp checked model, deps: [checked, src], outs: [model]}
"""


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
@pytest.mark.parametrize(
    ("edited", "names", "stale"),
    [
        (None, [], []),
        (None, ["validate"], []),
        ("data", [], ["validate"]),
        ("data", ["validate"], ["validate"]),
        ("src", [], ["validate", "train"]),
        ("src", ["validate"], ["train"]),
        ("params.yaml", ["validate"], ["validate"]),
    ],
)
def test_results_are_kept_only_of_stages_that_were_fresh_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edited: str | None, names: list[str], stale: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    Path("dvc.yaml").write_text(STAGES)
    for file in ("data", "src", "params.yaml"):
        Path(file).write_text("seed: 1\n")
    assert not dvc._dvc_fails("repro")
    if edited:
        Path(edited).write_text("seed: 2\n")
    with dvc.results_kept(*names):
        Path("params.yaml").write_text("seed: 3\n")
    assert dvc.stale_stages() == stale


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
@pytest.mark.parametrize(
    ("edit", "file"),
    [("", ""), ("echo seed = 2 > src/own.py; ", "src/own.py"), ("echo seed: 2 > params.yaml; ", "params.yaml")],
)
def test_files_that_are_edited_while_a_stage_runs_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], edit: str, file: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Repo.init(no_scm=True)
    command = f"cp src/own.py out; {edit}"
    Path("dvc.yaml").write_text(f"stages: {{tune: {{cmd: '{command}', deps: [src], params: [seed], outs: [out]}}}}")
    Path("params.yaml").write_text("seed: 1\n")
    Path("src").mkdir()
    Path("src/own.py").write_text("seed = 1\n")
    assert not dvc._repro_fails()
    said = f"edited while stages ran, whose results may be those of before: {file}; `dvc repro --force`"
    assert (said in capsys.readouterr().err) == bool(edit)
    assert not dvc.changed(), "DVC now tells these apart by itself"


CHOICE = '{"family": "linear", "parameters": {"C": 2.0}}'
SEARCH = "mkdir -p build; echo '{choice}' > build/choice.json; {then}"


def project_whose_search(then: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a pipeline in a folder whose search finds a linear model and then runs a command."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(dvc, "_prepare", lambda: None)
    Repo.init(no_scm=True)
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text())
    command = SEARCH.format(choice=CHOICE, then=then)
    validate = {"cmd": "cp params.yaml checked", "params": [{"params.yaml": None}], "outs": ["checked"]}
    tune = {"cmd": command, "params": ["seed", "tune", "model"], "deps": ["checked"], "outs": ["build/choice.json"]}
    Path("dvc.yaml").write_text(json.dumps({"stages": {"validate": validate, "tune": tune}}))


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
@pytest.mark.parametrize("then", ["true", "false"])
def test_what_is_edited_during_a_search_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> None:
    project_whose_search(f"sed -i 's/seed: 20/seed: 21  # mine/' params.yaml; {then}", tmp_path, monkeypatch)
    if then == "true":
        assert dvc.tune().words == "linear (C 2.0)"
    else:
        with pytest.raises(InputError, match="the search failed"):
            dvc.tune()
    text = Path("params.yaml").read_text()
    assert "seed: 21  # mine" in text
    assert ("C: 2.0" in text) == (then == "true")
    assert "search: false" in text


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_a_search_that_fails_leaves_a_file_that_nobody_edited_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project_whose_search("false", tmp_path, monkeypatch)
    # To write it again would join the lines.
    own = Path("params.yaml").read_text().replace("learning_curve_points: 3", "learning_curve_points:\n    3")
    Path("params.yaml").write_text(own)
    with pytest.raises(InputError, match="the search failed"):
        dvc.tune()
    assert Path("params.yaml").read_text() == own


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
@pytest.mark.parametrize("broken", ["sede: 20", "seed: [20"])
def test_a_model_that_was_found_is_kept_if_it_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    project_whose_search(f"sed -i 's/seed: 20/{broken}/' params.yaml", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"^params.yaml: .*; mend it, and `assay freeze` writes the model") as raised:
        dvc.tune()
    assert "\n" not in str(raised.value)
    text = Path("params.yaml").read_text()
    assert broken in text
    Path("params.yaml").write_text(text.replace(broken, "seed: 21"))
    write_choice(read_choice())
    written = load_params()
    assert (written.seed, written.tune.search, written.model.words) == (21, False, "linear (C 2.0)")


def two_stages(first: str, second: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a pipeline in a folder of two stages, a third that needs both, and a pipe by which they can meet."""
    monkeypatch.chdir(folder)
    Repo.init(no_scm=True)
    os.mkfifo("meet")
    stages = {
        "first": {"cmd": first, "outs": ["first"]},
        "second": {"cmd": second, "outs": ["second"]},
        "last": {"cmd": "cat first second > last", "deps": ["first", "second"], "outs": ["last"]},
    }
    Path("dvc.yaml").write_text(json.dumps({"stages": stages}))


# Writing to a pipe ends once somebody reads it.
MEETS, IS_MET = "timeout 60 sh -c 'echo met > meet'", "timeout 60 cat meet"


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_two_stages_run_at_the_same_time_and_the_rest_after_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    two_stages(f"touch first; {MEETS}", f"{IS_MET} > second", tmp_path, monkeypatch)
    dvc.finish("first", beside="second")
    assert Path("last").read_text() == "met\n"
    assert not dvc.changed()
    assert capfd.readouterr().out.count("Running stage 'second':") == 1


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_a_stage_that_fails_beside_another_is_named_and_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    two_stages("touch first", "echo broken >&2; false", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"^stage second failed; its message is above"):
        dvc.finish("first", beside="second")
    assert capfd.readouterr().err.splitlines().count("broken") == 1
    assert dvc.stale_stages() == ["second", "last"]


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_a_stage_that_fails_is_named_and_the_one_beside_it_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_stages(f"{IS_MET}; false", f"{MEETS}; sleep 60; touch second", tmp_path, monkeypatch)
    with pytest.raises(InputError, match=r"^stage first failed; its message is above"):
        dvc.finish("first", beside="second")
    assert dvc.stale_stages() == ["first", "second", "last"]


@pytest.mark.filterwarnings("ignore:_NoneStep:DeprecationWarning")  # of DVC
def test_the_stage_beside_another_ends_when_the_run_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    beside = "exec 9> meet; echo began >&9; sleep 60; echo went on >&9"
    two_stages("cat held > first", beside, tmp_path, monkeypatch)
    os.mkfifo("held")
    # DVC leaves the first stage to end by itself: here, when this closes.
    held = os.open("held", os.O_RDWR)
    code = "from assay.project.dvc import finish; finish('first', beside='second')"
    with subprocess.Popen([sys.executable, "-c", code]) as run, Path("meet").open() as meet:
        assert meet.readline() == "began\n"
        run.kill()
        # It ends when no process has the pipe open.
        assert meet.read() == ""
    os.close(held)
