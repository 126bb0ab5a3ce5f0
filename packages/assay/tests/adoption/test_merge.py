"""Three versions of a file: nobody's edit is lost, and what one side did alone is done."""

from hypothesis import given
from hypothesis import strategies as st

from assay.adoption.merge import Merged, merge, merge_all

LINES = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=6)
TEXTS = LINES.map(lambda lines: "".join(f"{line}\n" for line in lines).encode())
FILES = st.none() | TEXTS


@given(base=FILES, ours=FILES)
def test_what_the_new_version_leaves_alone_stays_as_it_is_here(base, ours):
    assert merge(base, ours, base) == Merged("none", ours)


@given(base=FILES, theirs=FILES)
def test_what_was_not_edited_here_becomes_as_the_new_version_has_it(base, theirs):
    assert merge(base, base, theirs).content == theirs


@given(base=FILES, ours=FILES)
def test_the_same_edit_on_both_sides_is_no_conflict(base, ours):
    assert merge(base, ours, ours) == Merged("none", ours)


@given(base=TEXTS, theirs=FILES)
def test_what_was_deleted_here_stays_deleted(base, theirs):
    assert merge(base, None, theirs) == Merged("none", None)


@given(base=FILES, ours=FILES, theirs=FILES)
def test_a_conflict_leaves_the_file_as_it_is(base, ours, theirs):
    found = merge(base, ours, theirs)
    if found.result == "conflict":
        assert found.content == ours


@given(base=TEXTS, ours=TEXTS, theirs=TEXTS)
def test_a_line_that_one_side_added_is_in_what_is_merged(base, ours, theirs):
    ours, theirs = b"ours\n" + ours, theirs + b"theirs\n"
    found = merge(base, ours, theirs)
    assert found.result in ("conflict", "merged", "taken")
    if found.result == "merged":
        assert {b"ours", b"theirs"} <= set(found.content.splitlines())


def test_edits_of_different_places_are_merged():
    base = b"".join(b"%d\n" % number for number in range(9))
    ours, theirs = base.replace(b"0\n", b"ours\n"), base.replace(b"8\n", b"theirs\n")
    assert merge(base, ours, theirs) == Merged("merged", ours.replace(b"8\n", b"theirs\n"))


def test_edits_of_the_same_line_and_of_what_is_no_text_are_conflicts():
    assert merge(b"a\n", b"b\n", b"c\n").result == "conflict"
    assert merge(b"a\0", b"b\0", b"c\0").result == "conflict"


def test_a_file_that_the_new_version_drops_goes_unless_it_was_edited():
    assert merge(b"a\n", b"a\n", None) == Merged("removed", None)
    assert merge(b"a\n", b"b\n", None) == Merged("conflict", b"b\n")


def test_a_file_of_ones_own_with_the_name_of_a_new_one_is_kept():
    assert merge(None, b"mine\n", b"new\n") == Merged("conflict", b"mine\n")


def test_only_files_of_which_something_becomes_are_listed():
    found = merge_all({"a": b"1", "b": b"1"}, {"a": b"1", "b": b"1", "mine": b"2"}, {"a": b"1", "b": b"2", "c": b"3"})
    assert found == {"b": Merged("taken", b"2"), "c": Merged("added", b"3")}
