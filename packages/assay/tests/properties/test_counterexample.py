from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assay.properties.counterexample import Failure, counterexample, decisive, draw

NUMBERS = st.integers(0, 10_000)


def beyond(limit):
    return lambda tried: [Failure("too large", str(one)) if one > limit else None for one in tried]


@settings(max_examples=5, suppress_health_check=[HealthCheck.nested_given])
@given(limit=st.integers(0, 9000), seed=st.integers(0, 2**32 - 1))
def test_the_smallest_that_fails_is_found_with_its_failure(limit, seed):
    tried, found = counterexample(NUMBERS, beyond(limit), examples=100, seed=seed)
    assert tried == 100
    assert found == (limit + 1, Failure("too large", str(limit + 1)))


def test_nothing_is_found_where_nothing_fails():
    assert counterexample(NUMBERS, beyond(10_000), examples=30, seed=1) == (30, None)


def test_all_examples_are_judged_at_once_and_only_what_fails_one_by_one():
    sizes = []

    def judged(limit):
        def failures(tried):
            sizes.append(len(tried))
            return beyond(limit)(tried)

        return failures

    counterexample(NUMBERS, judged(10_000), examples=50, seed=1)
    assert sizes == [50]
    counterexample(NUMBERS, judged(70), examples=50, seed=1)
    assert sizes[1] == 50
    assert set(sizes[2:]) == {1}


def test_a_failure_does_not_shrink_into_another_kind_of_failure():
    def failures(tried):
        return [Failure("small" if one < 100 else "large", "") if one else None for one in tried]

    kinds = set()
    for seed in range(8):
        _, found = counterexample(NUMBERS, failures, examples=3, seed=seed)
        assert found[0] == {"small": 1, "large": 100}[found[1].kind]
        kinds.add(found[1].kind)
    assert kinds == {"small", "large"}


def test_the_model_is_asked_a_bounded_number_of_times():
    asked = []

    def failures(tried):
        asked.append(len(tried))
        return beyond(70)(tried)

    _, found = counterexample(NUMBERS, failures, examples=20, seed=0, attempts=3)
    assert len(asked) == 1 + 3
    assert found[0] > 70


def test_a_failure_that_does_not_come_again_is_still_told_of():
    def once(tried):
        return [Failure("in company", "")] * len(tried) if len(tried) > 1 else [None]

    _, found = counterexample(NUMBERS, once, examples=20, seed=0)
    assert found[1].kind == "in company"


def test_a_failure_that_is_never_drawn_again_is_still_told_of():
    times = count()
    never_twice = NUMBERS.map(lambda number: (number, next(times)))

    def in_company(tried):
        return [Failure("in company", "")] * (len(tried) - 1) + [None]

    _, found = counterexample(never_twice, in_company, examples=20, seed=0)
    assert found[1].kind == "in company"


@pytest.mark.parametrize("profile", ["default", "ci"])
def test_the_same_seed_draws_the_same_whatever_the_profile(profile):
    expected = draw(NUMBERS, 50, 7)
    before = settings.get_current_profile_name()
    try:
        settings.load_profile(profile)
        assert draw(NUMBERS, 50, 7) == expected
        assert draw(NUMBERS, 50, 8) != expected
    finally:
        settings.load_profile(before)


def test_where_there_are_fewer_examples_all_of_them_are_drawn():
    assert sorted(draw(st.booleans(), 50, 0)) == [False, True]
    assert draw(NUMBERS.filter(lambda _: False), 50, 0) == []


def test_nothing_is_printed(capsys):
    counterexample(NUMBERS, beyond(70), examples=50, seed=1)
    assert capsys.readouterr() == ("", "")


def test_decisive_values_are_those_that_are_not_the_simplest():
    cells = {"a": NUMBERS.filter(bool), "b": st.sampled_from(["x", "y"]), "c": st.none() | NUMBERS}
    assert decisive({"a": 3, "b": "x", "c": None}, cells) == {"a": 3}
    assert decisive({"a": 1, "b": "y", "c": 0}, cells) == {"b": "y", "c": 0}
