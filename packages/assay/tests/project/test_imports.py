"""Which files a module imports: DVC does not follow imports, so the hashes of the stages do."""

from pathlib import Path

import pytest

from assay.project.imports import Imports


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A tree of one package with two packages in it; no module imports another yet."""
    for name in ("house/__init__.py", "house/stages/__init__.py", "house/data/__init__.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text('"""Only says what it is."""\n')
    for name in ("house/stages/train.py", "house/data/helper.py", "house/data/other.py"):
        (tmp_path / name).write_text("def help_out(): ...\n")
    return tmp_path


def closure(source: Path, *modules: str) -> set[str]:
    found = Imports(source).closure(*(source / module for module in modules))
    return {path.relative_to(source).as_posix() for path in found}


def test_a_module_that_imports_nothing_is_alone(source: Path) -> None:
    assert closure(source, "house/stages/train.py") == {"house/stages/train.py"}


@pytest.mark.parametrize(
    "statement",
    [
        "from house.data.helper import help_out",
        "from house.data import helper",
        "import house.data.helper",
        "import house.data.helper as other",
        "from ..data.helper import help_out",
        "from ..data import helper",
        "def lazy():\n    from house.data import helper as other\n    return other",
        "if True:\n    try:\n        import house.data.helper\n    except ImportError:\n        pass",
        "async def lazy():\n    async with lock:\n        import house.data.helper",
        "class Lazy:\n    def do(self):\n        for _ in range(3):\n            from house.data import helper",
        "if True:\n    pass\nelse:\n    from house.data import helper",
        "try:\n    pass\nexcept OSError:\n    from house.data import helper",
        "try:\n    pass\nexcept OSError:\n    raise\nelse:\n    from house.data import helper",
        "try:\n    pass\nfinally:\n    from house.data import helper",
        "match 1:\n    case 1:\n        from house.data import helper",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from house.data.helper import help_out",
    ],
)
def test_an_import_counts_in_every_form_and_wherever_it_stands(source: Path, statement: str) -> None:
    (source / "house/stages/train.py").write_text(f"{statement}\n")
    assert closure(source, "house/stages/train.py") == {"house/stages/train.py", "house/data/helper.py"}


def test_imports_are_followed_to_the_end_of_a_chain_and_around_a_circle(source: Path) -> None:
    (source / "house/stages/train.py").write_text("from house.data import helper\n")
    (source / "house/data/helper.py").write_text("from . import other\n")
    (source / "house/data/other.py").write_text("import house.data.helper  # and back again\n")
    chain = {"house/stages/train.py", "house/data/helper.py", "house/data/other.py"}
    assert closure(source, "house/stages/train.py") == chain


def test_of_several_modules_all_imports_count(source: Path) -> None:
    assert closure(source, "house/stages/train.py", "house/data/other.py") == {
        "house/stages/train.py",
        "house/data/other.py",
    }


def test_a_package_counts_once_it_holds_code(source: Path) -> None:
    (source / "house/stages/train.py").write_text("from house.data import helper\n")
    (source / "house/data/__init__.py").write_text("LIMIT = 3\n")
    assert "house/data/__init__.py" in closure(source, "house/stages/train.py")


def test_packages_from_elsewhere_do_not_count(source: Path) -> None:
    (source / "house/stages/train.py").write_text("import json\nfrom numpy.linalg import norm\n")
    assert closure(source, "house/stages/train.py") == {"house/stages/train.py"}


def test_what_a_module_imports_itself_is_told_from_what_that_imports(source: Path) -> None:
    (source / "house/stages/train.py").write_text("from house.data.helper import help_out\n")
    (source / "house/data/helper.py").write_text("from house.data import other\n")
    direct = Imports(source).direct(source / "house/stages/train.py")
    assert source / "house/data/helper.py" in direct
    assert source / "house/data/other.py" not in direct
