"""What the service answers, apart from HTTP."""

import asyncio
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from assay.contract.request import as_json
from assay.contract.spec import Split
from assay.data.columns import from_rows, length
from assay.inference.ids import new_ids
from assay.inference.package import IS_CHECK
from assay.inference.predictor import Predictor
from assay.inference.rows import RowReader
from assay.modelling.fitting import decide, scores
from assay.modelling.store import load_pipeline
from assay.predictions.read import LogCounts, predictions
from assay.predictions.write import PredictionLog
from assay.project.layout import MODELS
from assay.project.settings import load_settings
from assay.properties.strategies import breaches, feature_rows
from assay.release.smoke import smoke
from assay.serve import shapes
from assay.serve.arrow import ARROW
from assay.serve.metrics import Metrics
from assay.serve.refusal import Refused
from assay.serve.serving import MOST_EXPLAINED, MOST_PROBLEMS, Call, Serving
from assay.serve.traffic import Contender
from patients import contract
from serve.conftest import client, counted, load_project
from served import sent

TASKS = ("binary", "multiclass", "regression")
WARD = contract()

Servings = Callable[..., Serving]


def ask(serving: Serving, rows: Any, endpoint: Any = Serving.predict) -> dict[str, Any]:
    body = rows if isinstance(rows, bytes) else json.dumps({"rows": rows}).encode()
    return json.loads(endpoint(serving, Call(body, {}))[1])


def refusal(serving: Serving, rows: Any, endpoint: Any = Serving.predict) -> Refused:
    with pytest.raises(Refused) as raised:
        ask(serving, rows, endpoint)
    return raised.value


def counted_predictions(serving: Serving) -> float:
    version = serving.package.version
    return sum(counted(serving, "assay_predictions_total", version=version, prediction=one) for one in WARD.classes)


def test_of_many_problems_the_first_are_told_and_all_are_counted(servings: Servings) -> None:
    serving = servings()
    before = counted(serving, "assay_contract_violations_total", column="")
    row = serving.package.examples[0] | {f"unknown {number}": 1 for number in range(MOST_PROBLEMS + 7)}
    refused = refusal(serving, [row])
    assert refused.problems[-1] == "and 7 more"
    assert len(refused.problems) == MOST_PROBLEMS + 1
    assert refused.error == refused.problems[0]
    assert counted(serving, "assay_contract_violations_total", column="") - before == MOST_PROBLEMS + 7


pipeline = cache(load_pipeline)


@pytest.mark.parametrize("task", TASKS)
@given(data=st.data())
def test_every_row_of_the_contract_gets_the_answer_of_the_pipeline(
    projects: Callable[..., Any], servings: Servings, task: str, data: st.DataObject
) -> None:
    made = contract(task)
    rows = data.draw(st.lists(feature_rows(made), min_size=1, max_size=4))
    told = ask(servings(task), [as_json(row, made) for row in rows])["predictions"]
    wanted = scores(pipeline(projects(task) / "models/model.skops"), from_rows(rows, made), made)
    assert len(told) == len(rows)
    if task == "regression":
        assert [one["prediction"] for one in told] == pytest.approx(wanted.tolist(), rel=1e-3, abs=1e-3)
        return
    given_scores = np.array([[one["probabilities"][label] for label in made.classes] for one in told])
    assert given_scores == pytest.approx(wanted, abs=1e-5)
    decided = decide(given_scores, made, 0.3 if task == "binary" else None)
    assert [one["decision"] for one in told] == [made.classes[index] for index in decided]
    assert [one["prediction"] for one in told] == [made.classes[index] for index in given_scores.argmax(axis=1)]


@given(rows=st.lists(feature_rows(WARD), min_size=2, max_size=6))
def test_a_batch_is_answered_as_its_rows_are_alone_in_their_order(servings: Servings, rows: list[Any]) -> None:
    serving = servings()
    sent = [as_json(row, WARD) for row in rows]
    together = ask(serving, sent)["predictions"]
    alone = [ask(serving, [row])["predictions"][0] for row in sent]
    for one, other in zip(together, alone, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)
        assert one.get("warnings") == other.get("warnings")


@given(data=st.data(), row=feature_rows(WARD))
def test_a_row_with_one_violation_is_refused_and_the_violation_named(
    servings: Servings, data: st.DataObject, row: Any
) -> None:
    name, _, values = data.draw(st.sampled_from([one for one in breaches(WARD) if one[0] in WARD.features]))
    sent = as_json(row, WARD)
    wrong = data.draw(values)
    sent[name] = wrong if not hasattr(wrong, "isoformat") else wrong.isoformat()
    refused = refusal(servings(), [as_json(row, WARD), sent])
    assert refused.status == 422
    assert refused.error.startswith(f"row 1: {name}: expected ")


def test_a_row_without_an_answer_is_refused_also_where_a_challenger_has_a_share(
    projects: Callable[..., Any], servings: Servings, tmp_path: Path
) -> None:
    root = tmp_path / "project"
    shutil.copytree(projects("binary"), root)
    shutil.copytree(root / "models", root / "models-b")
    (root / "traffic.yaml").write_text("challengers:\n  - {name: b, models: models-b, share: 0.5}\n")
    serving = load_project(root)

    def nothing(data: Any) -> np.ndarray:
        return np.full((length(data), 2), np.nan)

    for contender in (serving.router.champion, serving.router.shares[0][1]):
        contender.predictor.package = replace(contender.predictor.package, score=nothing)
    refused = refusal(serving, serving.package.examples[:1])
    assert refused.status == 422
    serving.close()


def test_requests_of_several_threads_are_each_answered_and_counted_once(projects: Callable[..., Any]) -> None:
    root = projects()
    serving = load_project(root)
    rows = serving.package.examples[:10] * 30
    before, switch = counted_predictions(serving), sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(ask, serving, rows) for _ in range(60)]
            while not all(one.done() for one in asked):
                serving.metrics.flush()
    finally:
        sys.setswitchinterval(switch)
    told = [one for answer in asked for one in answer.result()["predictions"]]
    assert len({one["prediction_id"] for one in told}) == len(told) == 60 * len(rows)
    assert counted_predictions(serving) - before == len(told)
    serving.close()


def test_every_prediction_has_a_name_of_its_own(servings: Servings) -> None:
    serving = servings()
    rows = serving.package.examples[:3]
    names = [one["prediction_id"] for _ in range(5) for one in ask(serving, rows)["predictions"]]
    assert len(set(names)) == 15


def test_what_no_training_row_had_is_answered_with_a_warning_and_counted(servings: Servings) -> None:
    serving = servings()
    row = serving.package.examples[0]
    assert "warnings" not in ask(serving, [row])["predictions"][0]
    told = ask(serving, [row, {**row, "age": 120, "admitted": "1990-01-01"}])["predictions"]
    assert "warnings" not in told[0]
    assert [text.split(":")[0] for text in told[1]["warnings"]] == ["age", "admitted"]
    assert "120 is outside the training range, 20 to " in told[1]["warnings"][0]
    assert "1990-01-01T00:00:00.000000 is before the training range, which begins with 2" in told[1]["warnings"][1]
    assert counted(serving, "assay_warnings_total", column="age") >= 1


def test_a_time_after_the_training_data_says_nothing_since_all_times_are(servings: Servings) -> None:
    serving = servings()
    row = {**serving.package.examples[0], "admitted": "2055-01-01"}
    assert "warnings" not in ask(serving, [row])["predictions"][0]


def test_numbers_of_a_split_by_time_are_as_times(servings: Servings) -> None:
    package = servings().package
    split = WARD.model_copy(update={"split": Split(by="time", column="age")})
    predictor = Predictor(replace(package, reader=RowReader(split, 10)))
    rows = [{**package.examples[0], "age": age} for age in (5, 40, 120)]
    warnings, columns = predictor.warnings(
        predictor.package.reader.columns(package.reader.read(json.dumps({"rows": rows}).encode()))
    )
    assert (list(warnings), columns) == ([0], ["age"])
    assert warnings[0][0].startswith("age: 5 is before the training range, which begins with 2")


def test_predictions_are_counted_by_version_and_class(servings: Servings) -> None:
    serving = servings()

    def by_class() -> list[float]:
        kinds = [{"version": serving.package.version, "prediction": label} for label in WARD.classes]
        return [counted(serving, "assay_predictions_total", **labels) for labels in kinds]

    before = by_class()
    told = ask(serving, serving.package.examples)["predictions"]
    wanted = [sum(one["prediction"] == label for one in told) for label in WARD.classes]
    assert [now - then for now, then in zip(by_class(), before, strict=True)] == wanted
    assert counted(serving, "assay_score_count", version=serving.package.version) >= len(told)


def test_a_category_that_is_not_known_is_refused_and_counted(servings: Servings) -> None:
    serving = servings()
    refused = refusal(serving, [{**serving.package.examples[0], "ward": "north-west"}])
    assert refused.error == "row 0: ward: expected one of north, south, west or null, got 'north-west'"
    assert counted(serving, "assay_unknown_categories_total", column="ward") >= 1
    assert counted(serving, "assay_contract_violations_total", column="ward") >= 1


BODIES = {
    "nothing": (b"", 400, "not JSON"),
    "cut off": (b"{", 400, "not JSON"),
    "no UTF-8": (b'{"rows": [\xff]}', 400, "not JSON"),
    "deep": (b"[" * 100_000, 400, "not JSON"),
    "no number": (b'{"rows": [NaN]}', 422, "row 0: expected an object"),
    "a list": (b"[]", 422, "the body: expected"),
    "null": (b"null", 422, "the body: expected"),
    "no rows": (b'{"rows": []}', 422, "at least 1 row"),
    "no list": (b'{"rows": {}}', 422, "rows: expected a list"),
    "a key too many": (b'{"rows": [{}], "more": 1}', 422, "unknown key 'more'"),
    "many empty rows": (b'{"rows": [' + b"{}," * 10_000 + b"{}]}", 422, "row 0: age: expected"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_list_of_rows_is_refused(servings: Servings, name: str) -> None:
    body, status, words = BODIES[name]
    refused = refusal(servings(), body)
    assert refused.status == status
    assert any(words in problem for problem in [refused.error, *refused.problems])


def test_more_rows_than_are_taken_are_too_large(servings: Servings) -> None:
    serving = servings()
    refused = refusal(serving, serving.package.examples[:1] * 10_001)
    assert (refused.status, refused.error) == (413, "rows: expected at most 10000 rows, got 10001")


def test_values_so_extreme_that_the_model_has_no_answer_are_refused(
    servings: Servings, projects: Callable[..., Path]
) -> None:
    package = servings().package
    blind = replace(package, score=lambda rows: package.score(rows) * np.array([[1.0], [np.nan]])[: length(rows)])
    refused = refusal(
        Serving(blind, Path(), load_settings(projects() / MODELS), Metrics(client())), package.examples[:2]
    )
    assert (refused.status, refused.error) == (
        422,
        "row 1: the values are too extreme: the model gives no finite score",
    )


@pytest.mark.parametrize("task", TASKS)
def test_contributions_add_up_to_the_score_less_that_of_the_background(servings: Servings, task: str) -> None:
    serving = servings(task)
    rows = serving.package.examples[:3]
    found = ask(serving, rows, Serving.explain)["explanations"]
    predicted = ask(serving, rows)["predictions"]
    for one, told in zip(found, predicted, strict=True):
        moved = sum(part["contribution"] for part in one["contributions"])
        assert moved == pytest.approx(one["score"] - one["background"], abs=1e-4 * max(1, abs(one["score"])))
        assert {part["column"] for part in one["contributions"]} == set(WARD.features)
        if task == "regression":
            assert (one["explains"], one["score"]) == ("outcome", told["prediction"])
        else:
            assert one["score"] == told["probabilities"][one["explains"]]


def test_a_column_that_the_model_does_not_look_at_contributes_next_to_nothing(servings: Servings) -> None:
    serving = servings("binary", "gradient_boosting")
    (one,) = ask(serving, serving.package.examples[:1], Serving.explain)["explanations"]
    shares = {part["column"]: abs(part["contribution"]) for part in one["contributions"]}
    assert shares["age"] > shares["smoker"]


def test_an_explanation_is_the_same_again(servings: Servings) -> None:
    serving = servings()
    rows = serving.package.examples[:1]
    assert ask(serving, rows, Serving.explain) == ask(serving, rows, Serving.explain)


def test_only_a_few_rows_are_explained(servings: Servings) -> None:
    serving = servings()
    refused = refusal(serving, serving.package.examples[:1] * (MOST_EXPLAINED + 1), Serving.explain)
    assert refused.status == 422
    assert f"at most {MOST_EXPLAINED}" in refused.error


def test_the_model_says_what_it_is(servings: Servings) -> None:
    serving = servings()
    about = ask(serving, b"", Serving.about)
    assert about["model_version"] == serving.package.version
    assert (about["served"], about["reason"], about["threshold"]) == ("onnx", "", 0.3)
    assert list(about["contract"]["columns"]) == list(WARD.columns)
    assert about["row_ms"] > 0
    assert about["card"].startswith("# A model")


def test_a_pipeline_that_was_not_exported_is_served_itself_and_says_so(servings: Servings) -> None:
    exported, pipeline = servings("binary"), servings("binary", "linear", "skops")
    about = ask(pipeline, b"", Serving.about)
    assert (about["served"], about["reason"]) == ("skops", "the export failed")
    assert about["row_ms"] > ask(exported, b"", Serving.about)["row_ms"]
    rows = exported.package.examples
    for one, other in zip(ask(exported, rows)["predictions"], ask(pipeline, rows)["predictions"], strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"outcomes": []}, 422, "at least 1"),
        ({"outcomes": [{"prediction_id": "x"}]}, 422, "outcomes.0.outcome"),
        (
            {"outcomes": [{"prediction_id": "x", "outcome": "ill"}]},
            422,
            "outcomes.0.outcome: Input should be 'well' or 'sick'",
        ),
        ({"outcomes": [{"prediction_id": "x", "outcome": 1}]}, 422, "outcomes.0.outcome: Input should be"),
        ({"results": []}, 422, "outcomes"),
    ],
)
def test_an_outcome_that_cannot_be_is_refused(servings: Servings, body: Any, status: int, words: str) -> None:
    refused = refusal(servings(), json.dumps(body).encode(), Serving.feedback)
    assert refused.status == status
    assert words in refused.error


@pytest.mark.parametrize(
    ("outcome", "words"), [(-5, "greater than or equal to 0"), (99_999, "less than or equal to 977")]
)
def test_an_outcome_outside_the_range_of_the_target_is_refused(outcome: int, words: str) -> None:
    model = shapes.outcomes_model(contract("regression", target={"name": "rentals", "range": [0, 977]}))
    assert model.model_validate_json('{"outcomes": [{"prediction_id": "x", "outcome": 977}]}')
    with pytest.raises(ValidationError, match=words):
        model.model_validate({"outcomes": [{"prediction_id": "x", "outcome": outcome}]})


OUTCOME = json.dumps({"outcomes": [{"prediction_id": new_ids(1), "outcome": "sick"}]}).encode()


@pytest.fixture
def logged(servings: Servings, where: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    """A service whose log is on."""
    serving = servings()
    kept = PredictionLog(where, WARD, serving.package.about["contract_sha256"])
    monkeypatch.setattr(serving, "_log", kept)
    yield serving
    kept.close()


def test_outcomes_are_written_when_they_are_said_to_be_received(logged: Serving, where: Path) -> None:
    assert ask(logged, OUTCOME, Serving.feedback) == {"received": 1, "unknown": 0}
    (path,) = (where / "outcomes").iterdir()
    assert json.loads(path.read_bytes())["outcome"] == "sick"


def test_an_outcome_of_what_cannot_have_been_predicted_is_counted_as_unknown(logged: Serving, where: Path) -> None:
    future = f"{int(4e12):012x}-a-0-0"
    outcomes = [{"prediction_id": name, "outcome": "sick"} for name in ("x", future, "-".join("abc"))]
    answer = ask(logged, json.dumps({"outcomes": outcomes}).encode(), Serving.feedback)
    assert answer == {"received": 0, "unknown": 3}
    assert not (where / "outcomes").exists()


def test_an_answer_is_in_the_log_before_it_is_given(logged: Serving, where: Path) -> None:
    headers = {b"x-client-id": b"somebody"}
    rows = logged.package.examples[:2]
    answer = json.loads(logged.predict(Call(json.dumps({"rows": rows}).encode(), headers))[1])
    (batch,) = predictions(where, LogCounts())
    assert batch["prediction_id"].to_pylist() == [one["prediction_id"] for one in answer["predictions"]]
    assert batch["key"][0].as_py()


def test_requests_that_are_answered_together_are_one_line(logged: Serving, where: Path) -> None:
    async def asked() -> list[tuple[bytes, bytes]]:
        calls = [
            Call(json.dumps({"rows": [row]}).encode(), {b"x-client-id": b"%d" % (number % 2)})
            for number, row in enumerate(logged.package.examples[:4])
        ]
        return await asyncio.gather(*map(logged.predict_batched, calls))

    answers = [json.loads(body)["predictions"][0] for _, body in asyncio.run(asked())]
    (path,) = (where / "predictions").iterdir()
    assert path.read_bytes().count(b"\n") == 1
    (batch,) = predictions(where, LogCounts())
    assert batch["prediction_id"].to_pylist() == [one["prediction_id"] for one in answers]
    keys = batch["key"].to_pylist()
    assert (keys[0] == keys[2], keys[0] == keys[1]) == (True, False)


SMOKE = {IS_CHECK: b"1", b"x-client-id": b"ann"}


def test_a_smoke_test_is_in_the_log_and_no_reader_takes_it_for_a_prediction(
    logged: Serving, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    challenger = Contender("b", logged.package)
    monkeypatch.setattr(logged.router, "shares", [(1.0, challenger)])
    call = Call(json.dumps({"rows": logged.package.examples}).encode(), SMOKE)
    before = counted_predictions(logged)
    answers = [logged.predict(call), asyncio.run(logged.predict_batched(call))]
    assert {len(json.loads(body)["predictions"]) for _, body in answers} == {len(logged.package.examples)}
    counts = LogCounts()
    assert list(predictions(where, counts)) == []
    assert (counts.entries, counts.checks) == (0, 2 * len(logged.package.examples))
    assert counted_predictions(logged) == before
    assert challenger._requests == 0


def test_nobody_hides_other_rows_as_a_smoke_test(logged: Serving, where: Path) -> None:
    rows = logged.package.examples
    older = {**rows[-1], "age": rows[-1]["age"] + 1}
    asked = [(rows[:-1], SMOKE), ([*rows[:-1], older], SMOKE), ([*rows, older], SMOKE), (rows, {})]
    for given_rows, headers in asked:
        logged.predict(Call(json.dumps({"rows": given_rows}).encode(), headers))
    assert sum(map(len, predictions(where, LogCounts()))) == sum(len(given_rows) for given_rows, _ in asked)


def test_the_smoke_test_of_a_service_does_not_count_as_predictions_whatever_a_request_may_hold(
    projects: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shutil.copytree(projects(), tmp_path / "project")
    packed = json.loads((root / "models/service.json").read_text())
    packed["serve"] |= {"log": "safe", "max_rows": 5}
    (root / "models/service.json").write_text(json.dumps(packed))
    monkeypatch.setenv("ASSAY_LOG", str(tmp_path / "log"))
    serving = load_project(root)

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/readyz":
            return httpx.Response(200)
        headers = {name.lower(): value for name, value in request.headers.raw}
        return httpx.Response(200, content=serving.predict(Call(request.content, headers))[1])

    monkeypatch.setattr(httpx, "Client", partial(httpx.Client, transport=httpx.MockTransport(answer)))
    assert "its answers to 5 examples are those recorded" in smoke("http://service", 0, root / MODELS)
    serving.close()
    counts = LogCounts()
    assert (list(predictions(tmp_path / "log", counts)), counts.checks) == ([], 5)


@pytest.mark.parametrize("refuses", [True, False])
def test_what_cannot_be_logged_is_answered_or_refused_as_the_project_says(
    logged: Serving, where: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refuses: bool
) -> None:
    where.write_text("where a folder should be")
    monkeypatch.setattr(logged, "_refuses_unlogged", refuses)
    monkeypatch.setattr(logged, "_unlogged_reason", "")
    unlogged = partial(counted, logged, "assay_unlogged_predictions_total", version=logged.package.version)
    before = unlogged()
    for _ in range(2):
        if refuses:
            refused = refusal(logged, logged.package.examples[:3])
            assert (refused.status, refused.error) == (503, "the prediction cannot be logged; try again")
        else:
            assert ask(logged, logged.package.examples[:3])["predictions"]
    assert unlogged() - before == 6
    assert len([one for one in caplog.records if "cannot be logged" in one.message]) == 1


@pytest.mark.parametrize("refuses", [True, False])
def test_a_row_that_cannot_be_logged_counts_once_also_if_its_request_is_answered_together_with_others(
    logged: Serving, where: Path, monkeypatch: pytest.MonkeyPatch, refuses: bool
) -> None:
    async def asked() -> list[Any]:
        calls = [Call(json.dumps({"rows": [row]}).encode(), {}) for row in logged.package.examples[:3]]
        return await asyncio.gather(*map(logged.predict_batched, calls), return_exceptions=True)

    where.write_text("where a folder should be")
    monkeypatch.setattr(logged, "_refuses_unlogged", refuses)
    unlogged = partial(counted, logged, "assay_unlogged_predictions_total", version=logged.package.version)
    before = unlogged()
    assert [isinstance(one, Refused) for one in asyncio.run(asked())] == [refuses] * 3
    assert unlogged() - before == 3


def test_outcomes_that_cannot_be_written_are_not_said_to_be_received(
    servings: Servings, logged: Serving, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    where.write_text("where a folder should be")
    refused = refusal(logged, OUTCOME, Serving.feedback)
    assert (refused.status, str(where) in refused.error) == (503, False)
    monkeypatch.setattr(logged, "_log", None)
    assert refusal(servings(), OUTCOME, Serving.feedback).status == 501


@pytest.mark.parametrize("endpoint", [Serving.predict, Serving.explain, Serving.feedback, Serving.about])
def test_pickles_are_refused_by_every_endpoint(servings: Servings, endpoint: Any) -> None:
    headers = {b"content-type": b"application/vnd.bentoml+pickle"}
    with pytest.raises(Refused) as refused:
        endpoint(servings(), Call(b"{}", headers))
    assert refused.value.status == 415


def test_what_a_table_breaks_is_counted_by_the_columns_of_the_contract(servings: Servings) -> None:
    serving = servings()
    rows = [row | {"ward": "attic"} for row in serving.package.examples[:3]]
    body = sent(pa.Table.from_pylist([row | {"made up": 1} for row in rows]))
    call = Call(body, {b"content-type": ARROW})

    def found() -> list[float]:
        violations, unknown = "assay_contract_violations_total", "assay_unknown_categories_total"
        told = [counted(serving, violations, column=column) for column in ("", "ward", "made up")]
        return [*told, counted(serving, unknown, column="ward")]

    before = found()
    with pytest.raises(Refused):
        serving.predict(call)
    assert np.subtract(found(), before).tolist() == [3, 3, 0, 3]


def test_a_service_is_ready_while_it_answers_an_example_rightly_and_is_not_ending(
    servings: Servings, monkeypatch: pytest.MonkeyPatch
) -> None:
    serving = servings()
    assert serving.is_ready()
    with monkeypatch.context() as ending:
        ending.setattr(serving, "is_ending", True)
        assert not serving.is_ready()
    score = serving.package.score
    for wrong in (lambda data: score(data) + 0.01, lambda data: score(data) * np.nan):
        monkeypatch.setattr(serving, "package", replace(serving.package, score=wrong))
        assert not serving.is_ready()
