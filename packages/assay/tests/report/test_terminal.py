from hypothesis import given

from assay.report.terminal import terminal
from nasty import TEXTS
from reports import NOTHING, report


def test_it_says_the_verdict_what_is_not_a_pass_the_metrics_that_matter_and_what_to_do():
    assert terminal(report()) == (
        "REJECT: slices: ward is west is worse\n"
        "\n"
        "What to do next\n"
        "- collect more rows\n"
        "\n"
        "Checks\n"
        "HOLD lock: the lock is old\n"
        "\n"
        "Metrics\n"
        "roc_auc: candidate 0.9123 (0.88 to 0.94), champion 0.9, difference +0.0123 (-0.002 to +0.03): "
        "no clear difference; dummy 0.5\n"
        "\n"
        "Full report: reports/report.html\n"
    )


def test_a_difference_that_is_not_known_is_left_out():
    made = report(metrics=[report()["metrics"][0] | {"champion": None, "difference": None, "direction": None}])
    assert "roc_auc: candidate 0.9123 (0.88 to 0.94); dummy 0.5\n" in terminal(made)


def test_what_is_not_known_is_left_out():
    assert terminal(NOTHING) == "HOLD: no gate gave a reason\n\nFull report: reports/report.html\n"


@given(TEXTS)
def test_it_is_short_and_commands_no_terminal(text):
    made = report(text=text)
    made["verdict"]["outcomes"] *= 10
    made["metrics"] *= 10
    made["next"] *= 10
    lines = terminal(made).splitlines()
    assert len(lines) <= 25
    assert all(line.isprintable() and len(line) <= 160 for line in lines)
