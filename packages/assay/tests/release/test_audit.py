import json
import re

import pytest

from assay.release.audit import NOT_SEEN, described, notes
from places import ROOT

SAFE = {"name": "numpy", "version": "2.3.0", "vulns": []}
FIXED = {"name": "idna", "version": "3.4", "vulns": [{"id": "PYSEC-2024-60", "fix_versions": ["3.7"]}]}
OPEN = {
    "name": "pillow",
    "version": "9",
    "vulns": [{"id": "A-1", "fix_versions": []}, {"id": "B-2", "fix_versions": ["10", "11"]}],
}
UNKNOWN = {"name": "ours", "skip_reason": "not found"}


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        ([SAFE], ["0 of 1 packages have known vulnerabilities."]),
        ([SAFE, FIXED], ["1 of 2 packages have known vulnerabilities.", "idna 3.4: PYSEC-2024-60, fixed in 3.7"]),
        (
            [OPEN],
            [
                "1 of 1 packages have known vulnerabilities.",
                "pillow 9: A-1, not fixed yet",
                "pillow 9: B-2, fixed in 10, 11",
            ],
        ),
        # What was not looked up is no package without a vulnerability.
        ([SAFE, UNKNOWN], ["0 of 1 packages have known vulnerabilities.", "1 packages could not be looked up: ours"]),
        (
            [UNKNOWN] * 7,
            ["7 packages could not be looked up: ours, ours, ours, ours, ours, ..."],
        ),
    ],
)
def test_what_is_known_of_the_packages_is_said(packages: list[dict], said: list[str]):
    assert described(json.dumps({"dependencies": packages, "fixes": []})) == said


@pytest.mark.parametrize(
    ("output", "errors", "said"),
    [
        ("", "INFO: x\nERROR: no connection\n", "The packages could not be looked up: ERROR: no connection"),
        ("", "", "The packages could not be looked up: pip-audit said nothing"),
        (
            '{"dependencies": [], "fixes": []}',
            "No known vulnerabilities found\n",
            "No package was looked up: the list of packages is empty",
        ),
    ],
)
def test_what_could_not_be_looked_up_is_not_taken_for_safe(output: str, errors: str, said: str):
    assert described(output, errors) == [said]


def test_the_notes_are_the_card_the_vulnerabilities_and_what_nobody_looked_at():
    assert notes("# Ward\n\nA model.\n", ["1 of 9", "idna 3.4: A"]) == (
        f"# Ward\n\nA model.\n\n## Known vulnerabilities\n1 of 9\n\n- idna 3.4: A\n- {NOT_SEEN}\n"
    )


def test_make_audit_fails_where_a_package_could_not_be_looked_up():
    # Without this option pip-audit passes over such a package.
    (command,) = re.findall(r"^\t@(pip-audit .*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert "--strict" in command.split()
