import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from assay.data.sample import sample


@given(rows=st.integers(1, 60), most=st.integers(1, 60), seed=st.integers(0, 1000))
def test_a_sample_has_rows_of_the_table_in_their_order_and_each_once(rows, most, seed):
    table = pa.table({"number": list(range(rows))})
    drawn = sample(table, most, seed)["number"].to_pylist()
    assert len(drawn) == min(rows, most)
    assert drawn == sorted(set(drawn))
    assert drawn == sample(table, most, seed)["number"].to_pylist()


def test_another_seed_draws_other_rows():
    table = pa.table({"number": list(range(1000))})
    assert sample(table, 10, 1) != sample(table, 10, 2)
