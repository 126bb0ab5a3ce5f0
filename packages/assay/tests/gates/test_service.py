import numpy as np
import pytest

from assay.base.outcomes import Outcome
from assay.gates.obstacle import Obstacle, ObstacleKind
from assay.gates.service import compare, paired
from judged import params
from loads import loadtest, side, with_errors

LIMITS = params().gates.service


def judged(candidate, champion=None, **changes) -> Outcome:
    return compare(loadtest(candidate, champion, **changes), LIMITS)


def without_answers(made, rounds):
    """Return figures of a service that answered nothing in these rounds, by their place."""
    nothing = {"requests": 0, "errors": 0, "p50": None, "p95": None, "p99": None}
    return made | {"rounds": [one | nothing if i in rounds else one for i, one in enumerate(made["rounds"])]}


def stopped(outcome: Outcome) -> dict[str, str]:
    return {name: c["verdict"] for name, c in outcome.measured.items() if c["verdict"] in ("HOLD", "REJECT")}


@pytest.mark.parametrize("seed", range(20))
def test_the_same_service_passes_in_any_weather(seed: int):
    outcome = judged(side(seed=2 * seed, noise=0.25), side(seed=2 * seed + 1, noise=0.25))
    assert outcome.verdict == "PROMOTE", outcome.reason
    assert "0 of " in outcome.reason
    assert "times the champion's" in outcome.reason


def test_a_slower_service_is_rejected_by_all_that_tells_its_speed():
    outcome = judged(side(slower=1.8), side(seed=1))
    assert outcome.verdict == "REJECT"
    assert {name for name, verdict in stopped(outcome).items() if verdict == "REJECT"} == {
        "throughput",
        "cpu",
        "median",
    }
    assert "throughput is 0.5" in outcome.reason


def test_a_faster_service_passes():
    assert judged(side(slower=0.3), side(seed=1)).verdict == "PROMOTE"


def test_a_service_that_seems_slower_and_may_not_be_is_held():
    outcome = judged(side(slower=1.6, noise=0.5), side(seed=1, noise=0.5))
    assert outcome.verdict == "HOLD"
    assert "throughput is" in outcome.reason


def test_one_answer_in_a_hundred_wrong_is_rejected_with_what_was_said():
    outcome = judged(with_errors(side(), 0.01), side(seed=1))
    assert outcome.verdict == "REJECT"
    assert stopped(outcome) == {"answers": "REJECT"}
    assert "responses were wrong or missing (0.99%, limit 0.20%" in outcome.reason
    assert "status 500" in outcome.reason


def test_a_stray_error_is_told_and_passes():
    made = side()
    made["rounds"][3]["errors"] = 2
    outcome = judged(made | {"errors": {"status 503": 2}}, side(seed=1))
    assert outcome.verdict == "PROMOTE"
    assert "status 503" in outcome.reason


def test_quick_refusals_are_no_throughput():
    made = with_errors(side(slower=0.1), 1.0)
    for one in made["rounds"]:
        one |= {"p50": None, "p95": None, "p99": None}
    outcome = judged(made, side(seed=1))
    assert outcome.verdict == "REJECT"
    assert "responses were wrong or missing (100.00%" in outcome.reason
    assert stopped(outcome)["throughput"] == "REJECT"
    assert "throughput is 0.00 times the champion's" in outcome.reason


def test_no_answer_at_all_is_rejected():
    made = side()
    for one in made["rounds"]:
        one |= {"requests": 0, "p50": None, "p95": None, "p99": None}
    assert "no request was completed under load" in judged(made, side(seed=1)).reason


@pytest.mark.parametrize("silent", [3, 7, 10, 14])
def test_a_service_that_stops_answering_for_several_rounds_is_rejected_and_it_says_for_how_many(silent: int):
    for champion in (side(seed=1), None):
        outcome = judged(without_answers(side(), range(2, 2 + silent)), champion)
        assert outcome.verdict == "REJECT"
        assert f"no correct response in {silent} of 20 rounds" in outcome.reason


def test_a_round_without_an_answer_has_no_throughput():
    outcome = judged(without_answers(side(), range(14)), side(seed=1))
    assert "throughput is 0.00 times the champion's (0.00 to " in outcome.reason
    assert outcome.measured["throughput"]["candidate"] == 0


def test_one_round_without_an_answer_may_be_bad_luck_and_is_held():
    outcome = judged(without_answers(side(), [7]), side(seed=1))
    assert stopped(outcome) == {"silence": "HOLD"}
    assert outcome.reason == "no correct response in 1 of 20 rounds in which the champion responded"


def test_a_round_in_which_the_champion_did_not_answer_says_nothing():
    champion = without_answers(side(seed=1), range(5))
    assert judged(side(), champion).verdict == "PROMOTE"
    assert judged(without_answers(side(), range(5)), champion).verdict == "PROMOTE"
    assert judged(side(slower=1.8), champion).verdict == "REJECT"
    assert "in 3 of 15 rounds" in judged(without_answers(side(), range(2, 8)), champion).reason


def test_where_the_champion_never_answered_nothing_is_said_of_the_candidate():
    outcome = judged(side(), without_answers(side(seed=1), range(20)))
    assert outcome.verdict == "HOLD"
    assert "throughput cannot be compared: 0 pairs of rounds" in outcome.reason


def with_waiting(made, rounds, callers: int = 1):
    """Return figures of a service that let callers wait in these rounds, by their place."""
    return made | {
        "rounds": [one | {"waiting": callers * (i in rounds)} for i, one in enumerate(made["rounds"])],
    }


def test_callers_who_wait_half_a_round_are_rejected_though_the_others_are_served_the_faster():
    outcome = judged(with_waiting(side(slower=0.8), range(20)), side(seed=1))
    assert stopped(outcome) == {"waiting": "REJECT"}
    assert outcome.reason.startswith(
        "in 20 of 20 rounds more callers than the champion's got no response for half a round"
    )


def test_where_as_many_wait_for_the_champion_the_candidate_passes():
    assert judged(with_waiting(side(), range(12)), with_waiting(side(seed=1), range(8, 20))).verdict == "PROMOTE"
    assert judged(with_waiting(side(), range(20)), with_waiting(side(seed=1), range(20))).verdict == "PROMOTE"
    assert judged(with_waiting(side(), [3, 4]), side(seed=1)).verdict == "PROMOTE"


def test_callers_who_wait_for_a_first_service_need_a_person():
    outcome = judged(with_waiting(side(), range(20)))
    assert stopped(outcome) == {"waiting": "HOLD"}
    assert outcome.reason == "in 20 of 20 rounds callers got no response for half a round"


def test_wrong_answers_while_it_warms_up_count():
    made = side()
    made["warm_up"] = made["rounds"][0] | {"requests": 1000, "errors": 300}
    outcome = judged(made | {"errors": {"status 500": 300}}, side(seed=1))
    assert stopped(outcome) == {"answers": "REJECT"}
    assert "300 of " in outcome.reason


def test_a_leak_of_a_kilobyte_a_request_is_rejected_with_its_size():
    outcome = judged(side(leak=1100), side(seed=1))
    assert stopped(outcome) == {"leak": "REJECT"}
    assert "memory grows by 110" in outcome.reason or "memory grows by 109" in outcome.reason


def test_a_round_without_requests_says_nothing_of_growth():
    made = side()
    for round_ in made["rounds"][10:13]:
        round_["total"] = made["rounds"][9]["total"]
    assert "leak" not in stopped(judged(made, side(seed=1)))


def test_memory_that_grows_once_is_no_leak():
    made = side()
    for number, one in enumerate(made["rounds"]):
        one["memory"] += min(number, 4) * 2_000_000
    assert judged(made, side(seed=1)).verdict == "PROMOTE"


def test_of_few_requests_a_little_growth_says_nothing():
    assert "leak" not in stopped(judged(side(slower=40, leak=1000)))


def test_files_that_stay_open_are_rejected():
    made = side()
    for one in made["rounds"]:
        one["handles"] += one["total"] // 10
    assert stopped(judged(made, side(seed=1))) == {"handles": "REJECT"}


def test_a_process_that_dies_is_rejected_though_all_was_answered():
    outcome = judged(side(deaths=1), side(seed=1))
    assert stopped(outcome) == {"deaths": "REJECT"}
    assert outcome.reason == "1 process of the service died under load"


def test_a_larger_model_needs_a_person():
    outcome = judged(side(model_size=500_000), side(seed=1))
    assert stopped(outcome) == {"model size": "HOLD"}
    assert "the model is 0.5 MB, 10.0 times the champion's 0.05 MB" in outcome.reason


def test_a_service_that_gets_slower_in_the_course_of_the_run_is_rejected():
    made = side()
    for number, one in enumerate(made["rounds"]):
        one["p50"] *= 1.08**number
    assert stopped(judged(made, side(seed=1)))["steady"] == "REJECT"


def test_a_long_tail_is_rejected():
    made = side()
    for one in made["rounds"]:
        one["p99"] *= 4
    assert stopped(judged(made, side(seed=1))) == {"p99": "REJECT"}


@pytest.mark.parametrize(
    ("changes", "check", "verdict"),
    [
        ({"start_seconds": 9.0}, "start", "HOLD"),
        ({"start_seconds": 100.0}, "start", "REJECT"),
        ({"start_seconds": 4.9}, "", ""),
        ({"bento_size": 900_000_000}, "size", "REJECT"),
        ({"bento_size": 14_000_000}, "size", "HOLD"),
        ({"slower": 300.0, "noise": 0.0}, "latency", "REJECT"),
    ],
)
def test_start_size_and_latency_have_limits(changes, check: str, verdict: str):
    found = stopped(judged(side(**changes), side(seed=1)))
    assert found.get(check, "") == verdict
    assert check or not found


def test_memory_beyond_the_champions_needs_a_person():
    made = side()
    for one in made["rounds"]:
        one["memory"] += 100_000_000
    assert stopped(judged(made, side(seed=1))) == {"memory": "HOLD"}


def test_without_a_champion_absolute_limits_alone_count_and_it_says_so():
    outcome = judged(side(), obstacle=Obstacle(kind=ObstacleKind.NO_SERVICE, text="the champion has no service"))
    assert outcome.verdict == "PROMOTE"
    assert "the champion has no service: the service is judged only against absolute limits" in outcome.reason
    assert outcome.measured["champion"]["verdict"] == "SKIP"
    assert outcome.measured["champion"]["throughput"] > 0
    assert judged(side(slower=300.0)).verdict == "REJECT"


def test_a_champion_that_cannot_be_restored_or_served_is_held():
    assert judged(side(), obstacle=Obstacle(kind=ObstacleKind.NOT_RESTORED, text="it is torn")).verdict == "HOLD"
    outcome = judged(side(), side(failed="the built Bento does not start: no licence", rounds=0))
    assert outcome.verdict == "HOLD"
    assert "cannot be compared with the champion's service: the built Bento does not start" in outcome.reason


@pytest.mark.parametrize("text", ["no champion yet", "the champion could not be restored", ""])
@pytest.mark.parametrize(("kind", "verdict"), [(ObstacleKind.NO_CHAMPION, "SKIP"), (ObstacleKind.NOT_RESTORED, "HOLD")])
def test_the_kind_of_an_obstacle_decides_whatever_its_text_says(text: str, kind: ObstacleKind, verdict: str):
    outcome = judged(side(), obstacle=Obstacle(kind=kind, text=text))
    assert outcome.measured["champion"]["verdict"] == verdict


def test_a_service_that_does_not_start_is_rejected_with_what_it_said():
    outcome = judged(side(failed="the built Bento does not start: OSError: no licence", rounds=0), side(seed=1))
    assert (outcome.verdict, outcome.reason) == ("REJECT", "the built Bento does not start: OSError: no licence")


def test_too_few_requests_are_held():
    outcome = judged(side(slower=30), side(seed=1, slower=30))
    assert outcome.verdict == "HOLD"
    assert "too few requests" in outcome.reason


def test_too_few_rounds_are_held():
    outcome = judged(side(rounds=5), side(seed=1, rounds=5))
    assert outcome.verdict == "HOLD"
    assert "5 pairs of rounds have responses, 6 are required" in outcome.reason


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        _, low, high = paired(0.3 + rng.laplace(0, 1, 20), 0.95)
        covered += low <= 0.3 <= high
    assert 0.92 < covered / 400 < 0.98
