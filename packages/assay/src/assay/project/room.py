"""The user's room, `src/model/`: code for this problem, passed to the process as one value.

All of it is optional. The process never imports `model`; this module loads the existing parts by name, once.
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from assay.base.errors import InputError, one_line
from assay.contract.spec import Contract
from assay.project.layout import SOURCE

if TYPE_CHECKING:
    # Only for annotations: ordinary runs do not search.
    from optuna import Trial

PACKAGE = "model"
TEMPLATE = Path("src/model/report.md.j2")

Needs = Literal["nothing", "time first", "imputing", "scaling"]
Parameters = dict[str, bool | int | float | str | None]


@dataclass(frozen=True)
class Derived:
    """A feature that is computed from the columns of a row, one number per row.

    `compute` takes the columns by name, as described in `assay.data.columns` (numbers are float64 with NaN for missing
    values), and returns float64 of shape (rows,). It must treat each row independently. `source` is the column of the
    contract to which explanations attribute the feature's effect.
    """

    name: str
    compute: Callable[[Mapping[str, np.ndarray]], np.ndarray]
    source: str


@dataclass(frozen=True)
class Family:
    """A model family: factories of its classifier and regressor (None if there is none), and its search space.

    `space` takes an Optuna trial and the task and returns parameters. `needs` is the preprocessing of numeric features:
    nothing, the time of a split by time in the first column, imputed missing values, or also scaling. `suits` says for
    which contracts the family is tried; `is_simple` families are preferred to others of about equal quality. In those
    that are `is_additive` each feature acts alone; the search says what choosing one costs.

    `rounds` is the parameter with the number of boosting rounds. If `space` does not set it, the search finds it by the
    losses on the folds; an estimator other than HistGradientBoosting and LightGBM's then needs `warm_start`. `defaults`
    are the parameters of `space` that the search tries first.
    """

    classifier: Callable[[], Any] | None
    regressor: Callable[[], Any] | None
    needs: Needs
    space: "Callable[[Trial, str], Parameters]"
    suits: Callable[[Contract], bool] = lambda contract: True
    is_simple: bool = False
    is_additive: bool = False
    rounds: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)


class Room:
    """The parts of the user's package; each is loaded on first use.

    Without a folder or a module the part is empty, and the process uses its defaults. Each part raises InputError, in
    one line with the file's name, if the code cannot be imported or a value has the wrong type.
    """

    def __init__(self, root: Path | None = None) -> None:
        """Set the folder of the project."""
        self._root = root

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle only the folder, so that another process, in any folder, loads the code itself."""
        # In a copy of the project for retraining, src/ is a link, and another machine does not have the copy.
        source = self._root and (self._root / SOURCE).resolve()
        return _room, (source.parent if source and source.name == SOURCE.name else self._root and self._root.resolve(),)

    @cached_property
    def derived(self) -> tuple[Derived, ...]:
        """`DERIVED` of features.py: features computed from the columns of a row."""
        found = tuple(self._value("features", "DERIVED", (list, tuple), ()))
        self._hold("features", "DERIVED", found, Derived)
        names = [one.name for one in found]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise InputError(f"{self._place('features')}: DERIVED contains {twice!r} twice; rename one")
        return found

    @cached_property
    def families(self) -> Mapping[str, Family] | None:
        """`FAMILIES` of estimators.py: the model families to try; None for Assay's own."""
        found: Mapping[str, Family] | None = self._value("estimators", "FAMILIES", (dict,), None)
        if found is not None:
            self._hold("estimators", "FAMILIES", found.values(), Family)
        return found

    @cached_property
    def trusted(self) -> tuple[str, ...]:
        """`TRUSTED` of estimators.py: full names of types that stored models of this project may contain."""
        found = tuple(self._value("estimators", "TRUSTED", (list, tuple), ()))
        self._hold("estimators", "TRUSTED", found, str)
        return found

    @cached_property
    def expectations(self) -> tuple[Any, ...]:
        """`EXPECTATIONS` of expectations.py: what the trained model must do."""
        return tuple(self._value("expectations", "EXPECTATIONS", (list, tuple), ()))

    @cached_property
    def template(self) -> str | None:
        """The text of report.md.j2, the user's template of the comment; None for Assay's own."""
        if self._root is None or not (self._root / TEMPLATE).exists():
            return None
        try:
            return (self._root / TEMPLATE).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{TEMPLATE}: not valid UTF-8: {error}; save it as UTF-8") from None

    def _place(self, module: str) -> str:
        return f"{SOURCE}/{PACKAGE}/{module}.py"

    def _value(self, module: str, name: str, kinds: tuple[type, ...], default: Any) -> Any:
        loaded = self._module(module)
        value = default if loaded is None else getattr(loaded, name, default)
        if value is not default and not isinstance(value, kinds):
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise InputError(f"{self._place(module)}: {name} should be a {expected}, found {type(value).__name__}")
        return value

    def _hold(self, module: str, name: str, found: Iterable[Any], kind: type) -> None:
        """Raise InputError for an entry of the wrong type."""
        if wrong := next((type(one) for one in found if not isinstance(one, kind)), None):
            expected = f"each entry of {name} should be a {kind.__name__}"
            raise InputError(f"{self._place(module)}: {expected}, found {wrong.__name__}")

    def _module(self, module: str) -> ModuleType | None:
        if self._root is None or not (self._root / SOURCE / PACKAGE / f"{module}.py").exists():
            return None
        source = (self._root / SOURCE).resolve()
        # First of all: PYTHONPATH may name a folder with a package of the same name.
        if sys.path[0] != str(source):
            sys.path.insert(0, str(source))
        if (found := _found_first()) != source / PACKAGE:
            raise InputError(
                f"{self._place(module)}: Python finds another package {PACKAGE!r} first, {found}; "
                "rename it, or remove it from the Python path"
            )
        try:
            return import_module(f"{PACKAGE}.{module}")
        # The user's code may raise anything.
        except Exception as error:
            said = one_line(error)
            raise InputError(f"{self._place(module)}: cannot be imported: {type(error).__name__}: {said}") from error


@cache
def _room(root: Path | None) -> Room:
    """Return the one room that another process has for a folder."""
    return Room(root)


def _found_first() -> Path:
    """Return the folder or file that Python imports the package from."""
    spec = find_spec(PACKAGE)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return Path(folders[0] if folders else str(spec and spec.origin)).resolve()


def load_room() -> Room:
    """Return the room of the project in the current folder."""
    return Room(Path())


# The process without user code.
NO_ROOM = Room()
