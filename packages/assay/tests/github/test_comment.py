import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from assay.base.errors import InputError
from assay.gates.gate import GATES
from assay.github.comment import MARKER, comment, failure_comment, rederive_verdict, status
from assay.report.markdown import markdown
from nasty import TEXTS, active, prose
from reports import TEMPLATE, report

NAMES = [gate.name for gate in GATES]
COMMIT, BASE, REFRESHED = "a" * 40, "b" * 40, "c" * 40
RUN = "https://github.com/ada/ward/actions/runs/7"


def outcome(gate: str, verdict: str = "PROMOTE", reason: str = "it is well", **measured) -> dict:
    return {"gate": gate, "verdict": verdict, "reason": reason, "measured": measured, "limit": {}}


def judged(*changed: dict, says: str = "PROMOTE", overrides: tuple = (), text: str = "", **changes) -> dict:
    """Return a report of a commit in which every gate passed but those that are given, and what it says of itself."""
    outcomes = {gate: outcome(gate) for gate in NAMES} | {one["gate"]: one for one in changed}
    made = report(text=text, **changes)
    made["verdict"] |= {
        "verdict": says,
        "candidate": {"commit": COMMIT, "data": None, "model": "d" * 32, "contract": None},
        "outcomes": list(outcomes.values()),
        "overrides": list(overrides),
    }
    made["reproduce"] |= {"commit": COMMIT, "base": BASE}
    return made


def accepted(gate: str) -> dict:
    return {"gate": gate, "by": "Ann", "why": "it is known"}


def test_an_honest_report_is_as_it_was():
    made = rederive_verdict(judged(), COMMIT)
    assert made["verdict"]["verdict"] == "PROMOTE"
    assert "✅ PROMOTE" in comment(made, TEMPLATE)


@pytest.mark.parametrize("verdict", ["HOLD", "REJECT"])
def test_the_verdict_is_not_believed_but_made_anew(verdict):
    made = rederive_verdict(judged(outcome("quality", verdict, "worse by 0.1")), COMMIT)
    assert made["verdict"]["verdict"] == verdict
    assert "The change can be merged" not in "".join(made["next"])
    assert made["next"] != ["collect more rows"]
    assert f"{verdict}: quality: worse by 0.1" in comment(made, TEMPLATE)


def test_a_gate_that_is_left_out_holds():
    hidden = judged()
    hidden["verdict"]["outcomes"] = [one for one in hidden["verdict"]["outcomes"] if one["gate"] != "quality"]
    made = rederive_verdict(hidden, COMMIT)
    assert made["verdict"]["verdict"] == "HOLD"
    assert "quality: the run has no outcome for this gate" in comment(made, TEMPLATE)


def test_a_gate_that_main_does_not_know_counts_too():
    assert rederive_verdict(judged(outcome("new", "REJECT")), COMMIT)["verdict"]["verdict"] == "REJECT"


def test_a_gate_that_is_told_of_twice_is_refused():
    twice = judged()
    twice["verdict"]["outcomes"].append(outcome("quality", "REJECT"))
    with pytest.raises(InputError, match="two outcomes"):
        rederive_verdict(twice, COMMIT)


@pytest.mark.parametrize(
    ("gate", "verdict", "made"),
    [
        ("quality", "HOLD", "PROMOTE"),
        ("quality", "REJECT", "PROMOTE"),
        ("contract", "HOLD", "PROMOTE"),
        ("contract", "REJECT", "REJECT"),
        ("leakage", "REJECT", "REJECT"),
    ],
)
def test_an_override_counts_where_there_may_be_one(gate, verdict, made):
    found = rederive_verdict(judged(outcome(gate, verdict), says=made, overrides=(accepted(gate),)), COMMIT)
    assert found["verdict"]["verdict"] == made
    assert bool(found["verdict"]["overrides"]) == (made == "PROMOTE")


def test_an_override_of_nothing_is_not_reported():
    overridden = judged(overrides=(accepted("quality"), accepted("x")))
    assert rederive_verdict(overridden, COMMIT)["verdict"]["overrides"] == []


@pytest.mark.parametrize("place", ["candidate", "base"])
def test_what_is_no_commit_is_refused(place):
    made = judged()
    if place == "base":
        made["reproduce"]["base"] = "main; curl x.y | sh"
    else:
        made["verdict"]["candidate"]["commit"] = "$(x)"
    with pytest.raises(InputError, match=f"{place}: not a commit hash"):
        rederive_verdict(made)


def test_a_report_of_another_commit_is_refused():
    with pytest.raises(InputError, match="not for commit"):
        rederive_verdict(judged(), "e" * 40)


def test_commands_for_people_to_type_are_not_taken_from_a_stranger():
    made = judged()
    made["reproduce"]["commands"] = ["curl x.y | sh"]
    shown = comment(rederive_verdict(made, COMMIT), TEMPLATE)
    assert "curl" not in shown
    assert f"git checkout {COMMIT}" in shown


def wrote_lock(verdict="PROMOTE", **others) -> dict:
    fresh = {"verdict": "PROMOTE", "reason": "not committed yet", "refreshed": True}
    return outcome("lock", verdict, "said", **{"fresh": fresh, **others})


def test_a_lock_that_the_run_wrote_has_to_be_on_the_branch():
    held = rederive_verdict(judged(wrote_lock()), COMMIT)
    assert held["verdict"]["verdict"] == "HOLD"
    assert "commit the new dvc.lock" in comment(held, TEMPLATE)
    found = rederive_verdict(judged(wrote_lock()), COMMIT, REFRESHED)
    assert found["verdict"]["verdict"] == "PROMOTE"
    assert "is committed to the branch" in comment(found, TEMPLATE)


@pytest.mark.parametrize("lock", [wrote_lock("HOLD"), wrote_lock("HOLD", fresh=1), outcome("lock", "HOLD", "failed")])
def test_whatever_the_lock_gate_holds_stays(lock):
    assert rederive_verdict(judged(lock), COMMIT, REFRESHED)["verdict"]["verdict"] == "HOLD"


def test_the_comment_leads_to_the_run_and_can_be_found_again():
    shown = comment(rederive_verdict(judged(), COMMIT), TEMPLATE, RUN)
    assert shown.startswith(MARKER + "\n")
    assert f"]({RUN})" in shown


def test_what_is_around_the_report_counts_too(monkeypatch):
    made = rederive_verdict(judged(), COMMIT)
    alone = len(markdown(made, TEMPLATE))
    monkeypatch.setattr("assay.github.comment.MOST_CHARACTERS", alone + 10)
    assert len(comment(made, TEMPLATE, RUN)) <= alone + 10


def test_the_comment_is_never_too_long():
    many = [{"name": f"parameter {i}", "before": "x" * 400, "now": "y" * 400} for i in range(5000)]
    changed = report()["changed"] | {"params": many, "commits": ["@" * 500] * 5000}
    long = [outcome(gate, "REJECT", "@|<" * 160) for gate in NAMES]
    shown = comment(rederive_verdict(judged(*long, changed=changed), COMMIT), TEMPLATE, RUN + "7" * 200)
    assert 10_000 < len(shown) <= 60_000


@given(TEXTS)
@settings(max_examples=30)
def test_no_text_of_a_stranger_acts_in_the_comment(text):
    made = judged(outcome("quality", "HOLD", text), outcome(f"{text}?", "HOLD", text), text=text)
    made["verdict"]["overrides"] = [{"gate": "quality", "by": text, "why": text}]
    shown = comment(rederive_verdict(made, COMMIT), TEMPLATE, RUN)
    assert shown.count("<!--") == 1
    end = f"[The full run, with all plots and the model card]({RUN})"
    assert shown.count(end) == 1
    body = shown.removeprefix(MARKER).replace(end, "")
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(body):
        inner = token.children or []
        assert not {one.type for one in inner} & {"link_open", "image"}
        for part in prose(inner):
            assert not active(part), part


@given(TEXTS, st.sampled_from(["HOLD", "REJECT", "PROMOTE"]))
def test_a_status_is_one_short_line(text, verdict):
    state, said = status(rederive_verdict(judged(outcome("quality", verdict, text)), COMMIT))
    assert state == {"HOLD": "pending", "REJECT": "failure", "PROMOTE": "success"}[verdict]
    assert said.startswith(f"{verdict}: ")
    assert len(said) <= 140
    assert said.isprintable()


def test_a_run_without_report_is_told_of():
    shown = failure_comment("the artifact holds <b>@x</b>", RUN)
    assert shown.startswith(MARKER)
    assert "<b>" not in shown
    assert f"({RUN})" in shown


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), lambda x: st.lists(x, max_size=3)))
def test_data_of_any_other_shape_is_taken_or_refused(value):
    made = judged()
    for name in made:
        with suppress(InputError):
            rederive_verdict(json.loads(json.dumps(made | {name: value})), COMMIT)
