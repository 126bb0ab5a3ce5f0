"""What is generated in the manual is that of the types and the commands."""

from pathlib import Path

import pytest

from docs.reference import GENERATED, page


@pytest.mark.parametrize("path", list(GENERATED), ids=lambda path: path.stem)
def test_a_generated_part_of_the_manual_is_fresh(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == page(path), "type `make schemas`"
