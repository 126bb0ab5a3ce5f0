import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.base.words import between, number, percent, public, seconds, signed


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.996894, "0.9969"),
        (0.5, "0.5"),
        (0.0, "0"),
        (123456.7, "123,500"),
        (1234.5, "1,234"),
        (0.00001234, "0.00001234"),
        (1.5e-9, "1.5e-09"),
        (2.5e20, "2.5e+20"),
        (123456, "123,456"),
        (None, "-"),
    ],
)
def test_a_number_has_four_digits_and_a_count_all_of_them(value, written):
    assert number(value) == written


@given(st.floats(min_value=-1e300, max_value=1e300))
def test_a_written_number_is_the_number_to_four_digits(value):
    assert math.isclose(float(number(value).replace(",", "")), value, rel_tol=0.00051)


def test_a_difference_has_its_sign_and_an_interval_its_ends():
    assert [signed(value) for value in (0.01234, -0.5, 0.0, None)] == ["+0.0123", "-0.5", "0", "-"]
    assert between(-0.1, 0.2, signed) == "-0.1 to +0.2"
    assert between(0.1, None) == ""


def test_shares_are_in_percent_and_long_times_in_minutes():
    assert [percent(share) for share in (0.0, 0.123456, 1.0, None)] == ["0%", "12.35%", "100%", "-"]
    assert [seconds(time) for time in (0.04, 61.5, 600.0)] == ["0.0 s", "61.5 s", "10 min"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://TOKEN@host/in.csv", "https://***@host/in.csv"),
        ("https://TOKEN:x@host/in.csv?sig=SECRET", "https://***@host/in.csv?***"),  # pragma: allowlist secret
        ("https://host/@me/in.csv", "https://host/@me/in.csv"),
        ("postgresql://me@host/flats", "postgresql://me@host/flats"),
        ("sftp://me@host/in.csv", "sftp://me@host/in.csv"),
    ],
)
def test_an_address_shows_a_user_but_no_token(address, shown):
    assert public(address) == shown
