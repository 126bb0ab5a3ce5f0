"""The page and the comment say the same, and show every text literally."""

from datetime import timedelta

import pytest

from assay.production.page import html, markdown, view
from watched import days, missing, said


def test_the_most_important_finding_is_the_headline_and_has_advice():
    result = said(days(5, missing))
    shown = view(result)
    assert shown["verdict"] == "ALARM"
    assert shown["reason"].startswith("values: since 2026-11-26: age is missing in 5% of rows")
    assert shown["outcomes"][0]["check"] == "values"
    assert any("Look at the rows named below" in step for step in shown["next"])
    for text in (markdown(result), html(result)):
        assert "age is missing in 5% of rows" in text
        assert "000000000001-0" in text


def test_if_all_is_well_there_is_nothing_to_do():
    shown = view(said(days(20)))
    assert shown["next"] == []
    assert shown["reason"].startswith("8 of 8 checks are well; ")


def test_where_there_is_not_enough_to_tell_the_advice_claims_no_change():
    assert [step.partition(":")[0] for step in view(said(days(5, outcomes=0.0)))["next"]] == [
        "Send outcomes to /feedback, or use assay feedback"
    ]
    steps = view(said([]))["next"]
    assert len(steps) == 3
    assert steps[0].startswith("Check that the service runs this version")
    assert not any("worse" in step or "unlike" in step or "retrain" in step for step in steps)


def test_nothing_to_show_is_no_error():
    result = said([])
    assert "the log has no prediction of version" in markdown(result)
    assert "<svg" not in html(result)
    for text in (markdown(result), html(result)):
        assert ", looked at from 2026-08-31 until 2026-11-29 00:00 UTC." in text


@pytest.mark.parametrize("write", [markdown, html])
def test_the_period_begins_with_the_first_rows(write):
    assert ", rows from 2026-11-24 until 2026-11-29 00:00 UTC." in write(said(days(5)))


@pytest.mark.parametrize("write", [markdown, html])
def test_changes_have_a_column_of_predictions_only_if_some_are_named(write):
    column, name = "predictions, for example", "000000000001-0"
    result = said(days(5, missing))
    assert (column in write(result), name in write(result)) == (True, True)
    for one in result["outcomes"]:
        for change in one["measured"].get("changes", []):
            change["examples"] = []
    text = write(result)
    assert (column in text, name in text) == (False, False)
    if write is markdown:
        table = [line.count("|") for line in text.splitlines() if "|" in line]
        assert set(table) == {4, 5}


@pytest.mark.parametrize("write", [markdown, html])
def test_names_from_data_are_shown_literally(write):
    result = said(days(5, missing), delay=timedelta(days=1))
    for one in result["outcomes"]:
        one["reason"] = "<script>alert(1)</script> @team [x](http://evil)"
        for change in one["measured"].get("changes", []):
            change |= {"words": "<b>| a |</b>", "examples": ["</code><i>"]}
    text = write(result)
    assert "<script>" not in text
    assert "<b>|" not in text
    assert "<i>" not in text
    assert write is html or "@team" not in text


def test_the_page_has_a_line_for_each_check_and_no_link():
    page = html(said(days(5)))
    assert page.count("<svg") == 7
    # Where a line begins and ends, and what is behind each of its points.
    assert page.count("<figcaption>2026-11-24 to 2026-11-28</figcaption>") == 7
    assert page.count("<title>2026-11-26: ") == 7
    assert page.count(" of the limit, 300 rows</title>") == 7 * 5
    assert "http" not in page.replace("http-equiv", "")
