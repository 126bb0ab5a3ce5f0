"""The name of a project: what says most about it, as packaging tools take it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.adoption.naming import SAMPLE, named, project_name, renamed, slug


@given(st.none() | st.text(), st.text(), st.none() | st.text(), st.text())
def test_a_name_is_always_one_that_packaging_tools_take(given_name, contract, remote, folder):
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", project_name(given_name, contract, remote, folder))


@given(st.text())
def test_a_name_stays_as_it_is(text):
    assert slug(slug(text)) == slug(text)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("My Houses", "houses", None, "folder"), "my-houses"),
        ((None, "houses", "https://host/me/repo.git", "folder"), "houses"),
        ((None, SAMPLE, "https://host/me/My_Repo.git", "folder"), "my-repo"),
        ((None, SAMPLE, "git@host:repo.git/", "folder"), "repo"),
        ((None, SAMPLE, None, "A Folder"), "a-folder"),
        ((None, "", None, "???"), "model"),
    ],
)
def test_the_first_that_says_something_is_taken(names, expected):
    assert project_name(*names) == expected


def test_only_the_name_of_the_project_is_replaced():
    text = '[project]\nname = "old"\nversion = "1"\n\n[[other]]\nname = "stays"\n'
    assert renamed(text, "new") == text.replace('"old"', '"new"')
    assert named(renamed(text, "new")) == "new"
