import numpy as np
import pyarrow as pa
import pytest

from assay.data.rows import below_header, data_only, is_note

NUMBERS = [["a", "1.5", "2020-01-01"], ["b", "2.5", "2020-01-02"]] * 5


@pytest.mark.parametrize(
    ("first", "rows"),
    [
        (["", "kg", "day"], 1),
        (["name", "weight", ""], 1),
        (["a", "3", "2020-01-03"], 0),
        (["a", "unknown", "2020-01-03"], 0),
        (["a", "unknown", "n/a"], 0),
        (["a", "", ""], 0),
        (["a", "trace", "2020-01-03"], 0),
    ],
)
def test_a_row_without_numbers_where_all_others_have_them_is_no_data(first, rows):
    assert below_header([first, *NUMBERS]) == rows


def test_a_word_that_occurs_again_among_numbers_is_a_value():
    assert below_header([["a", "trace", "late"], *NUMBERS, *NUMBERS, *NUMBERS, ["b", "trace", "late"]]) == 0


def test_a_table_of_texts_has_no_row_that_can_be_told_from_a_header():
    assert below_header([["white", "tall", "old"]] + [["red", "short", "new"]] * 20) == 0


@pytest.mark.parametrize(
    ("cells", "note"),
    [
        (["Source: a list"], True),
        (["* not final", " or is it"], True),
        (["(1500 rows affected)"], True),
        (["Berl"], False),
        (["12.5", "North"], False),
        (["a", "b", "c"], False),
        ([], False),
    ],
)
def test_a_short_line_is_a_note_or_was_cut_off(cells, note):
    assert is_note(cells, 3) == note


def rows_left(**columns: list) -> int:
    return data_only(pa.table(columns))[0].num_rows


SHOPS = ["North", "South"] * 10
SOLD = [float(number) for number in range(20)]


def test_a_total_is_no_row_whether_its_other_cells_are_empty_or_sums():
    assert rows_left(shop=[*SHOPS, "Total"], day=[*SHOPS, None], staff=[*SOLD, None], sold=[*SOLD, 7.0]) == 20
    assert rows_left(shop=[*SHOPS, "Summe"], staff=[*SOLD, sum(SOLD)], sold=[*SOLD, sum(SOLD)]) == 20
    assert rows_left(shop=[*SHOPS, "Total"], staff=[*SOLD, sum(SOLD)], price=[*SOLD, sum(SOLD) / 20]) == 20


def test_totals_of_parts_and_means_are_no_rows():
    half = [*SHOPS[:10], "Zwischensumme", *SHOPS[10:], "Zwischensumme", "Mittelwert"]
    assert rows_left(shop=half, sold=[*SOLD[:10], sum(SOLD[:10]), *SOLD[10:], sum(SOLD[10:]), sum(SOLD) / 20]) == 20


STATES = np.random.default_rng(1).choice(["poor", "average", "good", "excellent"], 1000, p=[0.2, 0.2, 0.3, 0.3])
ROOMS, BATHS = (np.random.default_rng(seed).integers(1, 5, 1000) for seed in range(2))


@pytest.mark.parametrize(
    "columns",
    [
        {"firm": [*SHOPS, "Total"], "staff": [*SOLD, 3.0], "sold": [*SOLD, 7.0]},
        {"firm": [*SHOPS, "Total"], "staff": [*SOLD, sum(SOLD)], "sold": [*SOLD, 7.0]},
        {"firm": [*SHOPS, "Total"], "staff": [*SOLD, None], "sold": [*SOLD, 7.0]},
        {"firm": [*SHOPS, "Total"], "staff": [*SOLD, 9.0], "sold": [*SOLD, 19.0]},
        {"what": ["sum", "mean"] * 10, "of": SOLD, "sold": [None] * 20},
        {"condition": STATES, "rooms": ROOMS},
        {"condition": STATES, "rooms": ROOMS, "baths": BATHS},
    ],
)
def test_a_row_that_is_only_named_like_a_total_stays(columns):
    assert rows_left(**columns) == len(next(iter(columns.values())))


def test_a_row_that_may_be_a_total_is_told():
    _, (note,) = data_only(pa.table({"shop": [*SHOPS, "Total"], "sold": [*SOLD, 7.0]}))
    assert note == "named as totals, but no sums or means of other rows: kept (rows: 1; 'Total, 7.0')"


def test_notes_in_the_last_rows_are_left_out_and_rows_with_gaps_stay():
    assert rows_left(shop=[*SHOPS, "as of May", "draft"], sold=[*SOLD, None, None]) == 20
    assert rows_left(shop=[*SHOPS, "East", "West"], sold=[*SOLD, None, 4.0]) == 22
