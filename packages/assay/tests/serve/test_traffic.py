"""Champion and challengers: who answers, and that a bad challenger hurts nobody."""

import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.files import read_json, sha256, write_json
from assay.contract.spec import CONTRACT
from assay.data.columns import Columns, length, take
from assay.inference.package import Package
from assay.serve.metrics import Metrics
from assay.serve.steps import run_inline
from assay.serve.traffic import MOST_FAILURES, MUCH_SLOWER, WARM_UP, Router
from rooms import no_package
from serve.conftest import client, load_project
from served import load
from servers import until

Projects = Callable[..., Path]


@pytest.fixture
def project(projects: Projects, tmp_path: Path) -> Path:
    """A champion, and another model of the same contract in models-b/."""
    root = tmp_path / "project"
    shutil.copytree(projects(), root)
    shutil.copytree(projects(seed=1) / "models", root / "models-b")
    return root


@pytest.fixture
def router(project: Path) -> Router:
    return Router(load(project), project, 1e-5, Metrics(client()))


def say(project: Path, text: str) -> None:
    (project / "traffic.yaml").write_text(text)


SHARE = "challengers:\n  - name: b\n    models: models-b\n    share: {share}\n"


def test_without_a_file_the_champion_answers_all(router: Router) -> None:
    router.refresh()
    assert {router.choose(b"").name for _ in range(100)} == {"champion"}


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_a_challenger_gets_its_share(project: Path, router: Router, share: float) -> None:
    say(project, SHARE.format(share=share))
    router.refresh()
    for keys in ([b""] * 4000, [str(number).encode() for number in range(4000)]):
        answered = sum(router.choose(key).name == "b" for key in keys) / len(keys)
        assert answered == pytest.approx(share, abs=0.05)


def test_a_challenger_of_the_contract_that_is_served_answers_also_when_the_file_has_changed(
    project: Path, router: Router
) -> None:
    with (project / CONTRACT).open("a") as file:
        file.write("# changed\n")
    say(project, SHARE.format(share=1))
    router.refresh()
    assert router.choose(b"").name == "b"


def test_a_challenger_uses_the_code_that_the_service_has_copied(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = project / "src/model/features.py"
    code.parent.mkdir(parents=True)
    code.write_text("DERIVED = ()\n")
    code.with_name("__init__.py").touch()
    say(project, SHARE.format(share=1))
    served = Path(shutil.copytree(project, tmp_path / "served"))
    with no_package(monkeypatch), closing(load_project(project, served)) as serving:
        assert serving.router.choose(b"").name == "b"


def test_the_champion_is_no_shadow_of_itself(project: Path, router: Router, caplog: pytest.LogCaptureFixture) -> None:
    say(project, "challengers:\n  - {name: same, models: models, shadow: true}\n")
    router.refresh()
    assert router.shadows == []
    assert "challenger 'same' is the champion itself; it cannot be a shadow too" in caplog.text


def test_a_challenger_that_no_library_can_load_changes_nothing(
    project: Path, router: Router, caplog: pytest.LogCaptureFixture
) -> None:
    models = project / "models-b"
    (models / "model.onnx").write_bytes(b"no graph")
    about = read_json(models / "model.json")
    about["files_sha256"]["model.onnx"] = sha256(models / "model.onnx")
    write_json(models / "model.json", about)
    say(project, SHARE.format(share=1))
    router.refresh()
    assert router.choose(b"").name == "champion"
    assert "the traffic is unchanged" in caplog.text


def test_the_same_client_stays_with_the_same_model_also_when_the_share_grows(project: Path, router: Router) -> None:
    keys = [str(number).encode() for number in range(300)]
    say(project, SHARE.format(share=0.2))
    router.refresh()
    before = {key: router.choose(key).name for key in keys}
    assert {key: router.choose(key).name for key in keys} == before
    say(project, SHARE.format(share=0.35))
    router.refresh()
    assert all(router.choose(key).name == "b" for key in keys if before[key] == "b")


def test_a_file_that_is_gone_leaves_the_champion_alone(project: Path, router: Router) -> None:
    say(project, SHARE.format(share=1.0))
    router.refresh()
    assert router.choose(b"x").name == "b"
    (project / "traffic.yaml").unlink()
    router.refresh()
    assert router.choose(b"x").name == "champion"


@pytest.mark.parametrize(
    "text",
    [
        "challengers: [",
        "chalengers: []",
        SHARE.format(share=1.5),
        SHARE.format(share=0),
        SHARE.format(share=0.5).replace("models-b", "models-c"),
        SHARE.format(share=0.6) + SHARE.format(share=0.6).replace("challengers:\n", "").replace("name: b", "name: c"),
        SHARE.format(share=0.1) + "    shadow: true\n",
        *(SHARE.format(share=0.5).replace("name: b", f"name: {name}") for name in ("champion", "shadow", "check")),
    ],
)
def test_a_file_that_is_wrong_changes_nothing_and_is_counted(
    project: Path, router: Router, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    say(project, SHARE.format(share=1.0))
    router.refresh()
    say(project, text)
    router.refresh()
    router.refresh()
    assert router.choose(b"x").name == "b"
    said = [record.message for record in caplog.records if "traffic.yaml" in record.message]
    assert len(said) == 1
    assert said[0].endswith("the traffic is unchanged")


def test_a_challenger_of_another_contract_is_not_taken(project: Path, router: Router, projects: Projects) -> None:
    shutil.copytree(projects("regression") / "models", project / "other")
    say(project, SHARE.format(share=1.0).replace("models-b", "other"))
    router.refresh()
    assert router.choose(b"x").name == "champion"


def ask(router: Router, data: Columns, times: int = 1) -> list[str]:
    return [run_inline(router.scores(router.choose(b"x"), data))[0].name for _ in range(times)]


def spoilt(router: Router, score: Any) -> None:
    contender = router.shares[0][1]
    contender.predictor.package = replace(contender.predictor.package, score=score)


def fails(data: Columns) -> np.ndarray:
    raise RuntimeError("no")


def nothing(data: Columns) -> np.ndarray:
    return np.full((length(data), 2), np.nan)


@pytest.mark.parametrize("score", [fails, nothing])
def test_the_champion_answers_for_a_challenger_that_fails_and_soon_for_good(
    project: Path, router: Router, score: Any
) -> None:
    say(project, SHARE.format(share=1.0))
    router.refresh()
    data = router.champion.predictor.package.background
    assert ask(router, data) == ["b"]
    spoilt(router, score)
    assert ask(router, data, MOST_FAILURES) == ["champion"] * MOST_FAILURES
    assert router.choose(b"x") is router.champion


def with_counters(project: Path) -> tuple[Router, Callable[..., float | None]]:
    """Return a router whose challenger answers all, and a function that returns a counter by its name and labels."""
    registered = client()
    metrics = Metrics(registered)
    router = Router(load(project), project, 1e-5, metrics)
    say(project, SHARE.format(share=1.0))
    router.refresh()

    def counter(name: str, **labels: str) -> float | None:
        metrics.flush()
        found: float | None = registered.registry.get_sample_value(name, labels)
        return found

    return router, counter


def test_failures_are_counted_from_0_so_that_an_alert_sees_the_first(project: Path) -> None:
    router, counter = with_counters(project)
    counted = []
    for _ in range(2):
        counted.append(counter("assay_challenger_failures_total", challenger="b"))
        spoilt(router, fails)
        ask(router, router.champion.predictor.package.background)
    assert counted == [0, 1]


def test_rows_that_are_not_logged_are_counted_from_0_for_each_model(project: Path) -> None:
    router, counter = with_counters(project)
    versions = [one.predictor.version for one in (router.champion, router.shares[0][1])]
    values = [counter("assay_unlogged_predictions_total", version=one) for one in versions]
    assert values == [0, 0]


def test_a_challenger_that_is_much_slower_is_left_out(project: Path, router: Router) -> None:
    say(project, SHARE.format(share=0.5))
    router.refresh()
    data = router.champion.predictor.package.background
    package: Package = router.shares[0][1].predictor.package
    spoilt(router, lambda rows: np.mean([package.score(rows) for _ in range(30)], axis=0))
    for _ in range(2 * WARM_UP):
        run_inline(router.scores(router.champion, data))
        run_inline(router.scores(router.shares[0][1], data))
    assert not router.shares[0][1].healthy


@pytest.mark.parametrize("share", ["share: 1.0", "shadow: true"])
def test_a_challenger_that_becomes_much_slower_is_left_out_also_where_the_champion_answers_nobody_beside_it(
    project: Path, router: Router, share: str
) -> None:
    say(project, SHARE.replace("share: {share}", share))
    router.refresh()
    data = take(router.champion.predictor.package.background, np.array([0]))
    (challenger,) = [contender for _, contender in router.shares] + router.shadows
    package = challenger.predictor.package
    challenger.predictor.package = replace(
        package, score=lambda rows: np.mean([package.score(rows) for _ in range(300)], axis=0)
    )
    for _ in range(WARM_UP):
        if router.shadows:
            router.send_to_shadows(data, lambda *_: None)
        else:
            run_inline(router.scores(challenger, data))
    until(lambda: not challenger.healthy, "it is left out")


def test_a_challenger_that_is_much_slower_from_the_start_is_not_taken(
    project: Path, router: Router, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    seconds = iter([2 * MUCH_SLOWER, 1.0])
    monkeypatch.setattr(Package, "row_seconds", lambda _: next(seconds))
    say(project, SHARE.format(share=1.0))
    router.refresh()
    assert router.choose(b"").name == "champion"
    assert "challenger 'b' takes 10.0 times as long per row as the champion" in caplog.text


def test_a_challenger_that_is_as_fast_stays_though_the_champion_gets_more_rows_at_a_time(
    project: Path, router: Router, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(project, SHARE.format(share=0.1))
    router.refresh()
    challenger = router.shares[0][1]
    now = 0.0

    def takes(rows: Columns) -> np.ndarray:
        nonlocal now
        # As it is with small models: the call takes longer than its rows.
        now += 1e-5 + length(rows) * 1e-7
        return np.full((length(rows), 2), 0.5)

    monkeypatch.setattr("assay.serve.traffic.time.thread_time", lambda: now)
    for contender in (router.champion, challenger):
        contender.predictor.package = replace(contender.predictor.package, score=takes)
    many = router.champion.predictor.package.background
    for _ in range(2 * WARM_UP):
        run_inline(router.scores(router.champion, many))
        run_inline(router.scores(challenger, take(many, np.array([0]))))
    assert length(many) > MUCH_SLOWER
    assert challenger.healthy


@pytest.mark.parametrize("share", ["share: 0.5", "shadow: true"])
def test_a_challenger_that_is_as_fast_stays_though_it_waits_for_the_processor_and_both_are_slower_than_when_loaded(
    project: Path, router: Router, monkeypatch: pytest.MonkeyPatch, share: str
) -> None:
    say(project, SHARE.replace("share: {share}", share))
    router.refresh()
    data = router.champion.predictor.package.background
    (challenger,) = [contender for _, contender in router.shares] + router.shadows
    clock = worked = 0.0

    def takes(rows: Columns, waits: float = 0.0) -> np.ndarray:
        nonlocal clock, worked
        worked += 1.0
        clock += 1.0 + waits
        return np.full((length(rows), 2), 0.5)

    monkeypatch.setattr("assay.serve.traffic.time.perf_counter", lambda: clock)
    monkeypatch.setattr("assay.serve.traffic.time.thread_time", lambda: worked)
    for contender, waits in ((router.champion, 0.0), (challenger, 2 * MUCH_SLOWER)):
        package = replace(contender.predictor.package, score=partial(takes, waits=waits))
        monkeypatch.setattr(contender.predictor, "package", package)
    for _ in range(2 * WARM_UP):
        run_inline(router.scores(router.champion, data))
        challenger.scoring(data)()
        challenger.disable_if_too_slow(router.champion)
    assert challenger.healthy


def test_rows_of_several_requests_that_a_challenger_fails_are_for_whoever_asks_to_part(
    project: Path, router: Router
) -> None:
    say(project, SHARE.format(share=1.0))
    router.refresh()
    spoilt(router, fails)
    challenger = router.shares[0][1]
    for _ in range(2 * MOST_FAILURES):
        with pytest.raises(RuntimeError):
            run_inline(router.scores(challenger, router.champion.predictor.package.background, alone=False))
    assert challenger.healthy


@given(keys=st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=20))
def test_whoever_is_chosen_is_one_of_those_in_the_file(servings: Any, keys: list[bytes]) -> None:
    router = servings().router
    assert {router.choose(key).name for key in keys} == {"champion"}


def test_a_shadow_answers_beside_the_champion_and_may_fail(project: Path, router: Router) -> None:
    say(project, "challengers:\n  - name: b\n    models: models-b\n    shadow: true\n")
    router.refresh()
    data = router.champion.predictor.package.background
    assert ask(router, data) == ["champion"]
    seen: list[Any] = []
    done = Event()
    router.send_to_shadows(data, lambda contender, scores: (seen.append((contender.name, scores.shape)), done.set()))
    assert done.wait(10)
    assert seen == [("b", (length(data), 2))]
    router.shadows[0].predictor.package = replace(router.shadows[0].predictor.package, score=fails)
    router.send_to_shadows(data, lambda contender, scores: None)
    assert ask(router, data) == ["champion"]
