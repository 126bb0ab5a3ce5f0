"""Data is read batch by batch; a file that changes or vanishes meanwhile is named."""

from pathlib import Path

import pytest

from assay.base.errors import InputError
from assay.data.batches import batches


@pytest.mark.parametrize("when", ["before", "while"])
def test_a_file_that_vanishes_is_named(tmp_path: Path, when: str) -> None:
    files = [tmp_path / f"{name}.csv" for name in "ab"]
    for file in files:
        file.write_text("age\n40\n")
    read = batches(files, ["age"])
    assert next(read).to_pylist() == [{"age": "40"}]
    if when == "while":
        files[0].unlink()
    files[1].unlink()
    with pytest.raises(InputError, match=r"[ab]\.csv: cannot be read: .*No such file"):
        list(read)
