import datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.contract.dates import dated
from assay.init.clean import DATE_MARKS, clean


def cleaned(*cells: object, **options: bool) -> list:
    return clean(pa.chunked_array([list(cells)]), **options).values.to_pylist()


MARCH, MAY = datetime.date(2022, 3, 1), datetime.date(2023, 5, 1)
FIRST = [datetime.date(1900, 1, 1)] * 2
READINGS = {
    "currency and thousands": (["$1,200.50", "$3", "$1,000,000"], [1200.5, 3.0, 1e6]),
    "currency after": (["1.200,50 €", "3 €"], [1200.5, 3.0]),
    "decimal comma": (["12,5", "3,1", "1000,25"], [12.5, 3.1, 1000.25]),
    "apostrophes": (["1'234.5", "2"], [1234.5, 2.0]),
    "percent": (["10%", "5.5 %"], [10.0, 5.5]),
    "scales": (["10k", "3.5M"], [10_000, 3_500_000]),
    "brackets for minus": (["(500)", "20"], [-500, 20]),
    "words for missing": (["3.5", "n/a", "unknown", "?"], [3.5, None, None, None]),
    "an exponent": (["1e3", "2.5E-1"], [1000.0, 0.25]),
    "whole numbers in words of missing": (["3", "-", "5"], [3, None, 5]),
    "yes and no": (["Yes", "no", "YES", "?"], [True, False, True, None]),
    "day first": (["12/03/2020", "13/03/2020"], [datetime.date(2020, 3, 12), datetime.date(2020, 3, 13)]),
    "month first": (["03/12/2020", "03/13/2020"], [datetime.date(2020, 3, 12), datetime.date(2020, 3, 13)]),
    "months in words": (["3 Mar 2020", "14 Apr 2021"], [datetime.date(2020, 3, 3), datetime.date(2021, 4, 14)]),
    "moments": (
        ["2020-01-01 10:30", "2020-01-02 11:00"],
        [datetime.datetime(2020, 1, 1, 10, 30), datetime.datetime(2020, 1, 2, 11)],
    ),
    "months in German": (["3. März 2020", "14. Dez 2021"], [datetime.date(2020, 3, 3), datetime.date(2021, 12, 14)]),
    "months in French": (["3 févr. 2020", "14 août 2021"], [datetime.date(2020, 2, 3), datetime.date(2021, 8, 14)]),
    "months in Italian": (["3 sett 2020"], [datetime.date(2020, 9, 3)]),
    "months with accents apart": (["14 aou\u0302t 2021"], [datetime.date(2021, 8, 14)]),
    "months in Spanish": (["3 de enero de 2020"], [datetime.date(2020, 1, 3)]),
    "quarters": (["2016Q1", "2016Q4", "?"], [datetime.date(2016, 1, 1), datetime.date(2016, 10, 1), None]),
    "quarters in French": (["T1 2016", "T4 2016"], [datetime.date(2016, 1, 1), datetime.date(2016, 10, 1)]),
    "weeks": (["2024-W05", "2024-W06"], [datetime.date(2024, 1, 29), datetime.date(2024, 2, 5)]),
    "fiscal years": (["FY14", "FY2015"], [datetime.date(2014, 1, 1), datetime.date(2015, 1, 1)]),
    "seasons": (["2009-10", "2010-11"], [datetime.date(2009, 1, 1), datetime.date(2010, 1, 1)]),
    "days in digits": (["01122020", "31012021"], [datetime.date(2020, 12, 1), datetime.date(2021, 1, 31)]),
    "months and short years": (["Nov-20", "Dec-21"], [datetime.date(2020, 11, 1), datetime.date(2021, 12, 1)]),
    "days of months": (["Nov-20", "Dec-31"], ["Nov-20", "Dec-31"]),
    "months after a year": (["2009-10", "2009-11"], [datetime.date(2009, 10, 1), datetime.date(2009, 11, 1)]),
    "clocks": (["12:30", "13:45"], [12.5, 13.75]),
    "clocks with points": (["18.00.00", "19.00.00"], [18, 19]),
    "spellings": (["Male", "male", "Male", "FEMALE", ""], ["Male", "Male", "Male", "FEMALE", None]),
}
TEXTS = [["2WD", "4WD"], ["18-25", "26-35"], ["A1", "B2"], ["1st", "2nd"], ["00123", "00456"], ["1 year", "2 years"]]
TEXTS += [["10 kg", "20 lb"], ["1.2.3", "1.2.4"], ["10.0.0.1", "10.0.0.2"]]


@pytest.mark.parametrize("what", READINGS)
def test_texts_become_what_they_mean(what):
    cells, meant = READINGS[what]
    assert cleaned(*cells) == meant


@pytest.mark.parametrize("cells", TEXTS, ids=" ".join)
def test_texts_that_only_look_like_numbers_stay(cells):
    assert cleaned(*cells) == cells


def test_units_of_one_quantity_become_one():
    made = clean(pa.chunked_array([[f"{i}.5 kg" for i in range(1, 20)] + [f"{i}500 g" for i in range(1, 20)]]))
    assert made.unit == "kg"
    assert made.values.to_pylist() == [i + 0.5 for i in range(1, 20)] * 2


def test_a_unit_is_kept_beside_the_numbers():
    made = clean(pa.chunked_array([[f"{i},5 kg" for i in range(20)]]))
    assert made.unit == "kg"
    assert made.values.to_pylist() == [i + 0.5 for i in range(20)]


def test_a_date_that_can_be_read_two_ways_is_read_in_the_order_of_rows_and_doubted():
    made = clean(pa.chunked_array([["01/02/2020", "02/02/2020", "03/02/2020", "01/03/2020"]]))
    assert [day.month for day in made.values.to_pylist()] == [2, 2, 2, 3]
    assert "day or month first" in made.doubts[0]


@pytest.mark.parametrize(
    ("cells", "meant"),
    [
        ([0.5, 2.5, -200.0, -200.0], [0.5, 2.5, None, None]),
        ([1, 2, 27, 999, 999], [1, 2, 27, None, None]),
        ([-5, -1, 3, -1], [-5, -1, 3, -1]),
        ([0, 50, 98, 99, 99], [0, 50, 98, 99, 99]),
        ([-1, 0, 1, -1], [-1, 0, 1, -1]),
        ([-20.5, 0.0, 30.0, -200.0, -200.0], [-20.5, 0.0, 30.0, None, None]),
        ([-20.5, 0.0, 30.0, 9999.0, 9999.0], [-20.5, 0.0, 30.0, None, None]),
        ([-20.5, 3.5, -99.0, -99.0, -999.0, -999.0], [-20.5, 3.5, None, None, None, None]),
        ([18, 25, 60, 998, 998, 999, 999], [18, 25, 60, None, None, None, None]),
        ([0, 5, 10, 98, 98], [0, 5, 10, 98, 98]),
        ([-40.5, 3.5, 30.0, -999.0, -999.0, 999.0, 999.0], [-40.5, 3.5, 30.0, None, None, None, None]),
        (["2022-03-01", "2023-05-01", *["1900-01-01"] * 2], [MARCH, MAY, None, None]),
        ([MARCH, MAY, *[datetime.date(9999, 12, 31)] * 2], [MARCH, MAY, None, None]),
        (
            ["1905-03-01", "1923-05-01", *["1900-01-01"] * 2],
            [datetime.date(1905, 3, 1), datetime.date(1923, 5, 1), *FIRST],
        ),
        ([-150.0, 120.5, -200.0, -200.0], [-150.0, 120.5, -200.0, -200.0]),
        (["1,050.5", "3.5", "-999", "-999"], [1050.5, 3.5, None, None]),
    ],
)
def test_a_number_far_from_all_others_stands_for_missing(cells, meant):
    assert cleaned(*cells) == meant


def test_one_below_nothing_is_doubted_alone():
    made = clean(pa.chunked_array([[*map(float, range(20)), -1.0, -1.0]]))
    assert made.values.null_count == 0
    assert "-1 occurs 2 times and is the only number below 0" in made.doubts[0]
    assert not clean(pa.chunked_array([[0, 1, -1, -1, 0]])).doubts


@pytest.mark.parametrize("mark", DATE_MARKS)
def test_a_day_that_programs_write_stands_for_missing(mark):
    made = clean(pa.chunked_array([["2022-03-01", "2023-05-01", mark, mark]]))
    assert made.values.to_pylist() == [MARCH, MAY, None, None]
    assert made.doubts == (f"{mark} occurs 2 times, far from all other dates, and became missing",)


@pytest.mark.parametrize("month", ["January", "March", "May", "October", "November", "December"])
def test_a_month_that_comes_later_is_read_like_those_before(month):
    form = clean(pa.chunked_array([["3 November 2020", "4 December 2020"]])).cleaning["format"]
    assert dated(f"3 {month} 2021", form).strftime("%B") == month


def test_a_target_that_nobody_knows_is_none_unless_that_is_what_is_asked():
    many = ["gut", "schlecht"] * 10
    assert cleaned(*many, "unbekannt", "k.A.", is_target=True) == [*many, None, None]
    assert cleaned("known", "unknown", "?", is_target=True) == ["known", "unknown", None]
    assert cleaned("missing", "found", "none", is_target=True) == ["missing", "found", "none"]


def test_a_word_for_unknown_in_many_rows_of_a_target_is_a_class_and_is_told():
    trees = ["oak", "pine", "unknown"] * 20
    made = clean(pa.chunked_array([trees]), is_target=True)
    assert made.values.to_pylist() == trees
    assert made.doubts == ("'unknown' is a class, with 20 rows: if it means that nobody knows, leave them out",)


@given(st.lists(st.floats(-1e9, 1e9).map(lambda x: round(x, 2)), min_size=2, max_size=20), st.sampled_from([".", ","]))
def test_numbers_written_with_grouped_thousands_are_read_back(numbers, decimal):
    texts = [f"{number:,.2f}" for number in numbers]
    if decimal == ",":
        texts = [text.translate(str.maketrans(",.", ".,")) for text in texts]
    assert cleaned(*texts) == pytest.approx(numbers)


@given(
    st.lists(st.dates(datetime.date(1950, 1, 1), datetime.date(2049, 12, 31)), min_size=15, max_size=40),
    st.sampled_from(["%Y-%m-%d", "%d.%m.%Y", "%Y/%m/%d", "%d %b %Y", "%B %d, %Y"]),
)
def test_dates_in_any_common_form_are_read_back(days, form):
    assert cleaned(*[day.strftime(form) for day in days]) == days


@given(st.lists(st.sampled_from(["red", "Green", "deep blue", "x1"]), min_size=1, max_size=20))
def test_plain_words_stay_as_they_are(words):
    assert cleaned(*words) == words
