"""Helpers for the tests of a project: its contract, data and model, example rows, and its service.

    from assay.testing import load_project

    project = load_project()

    @given(row=project.rows())
    def test_every_row_gets_a_finite_score(row):
        assert np.isfinite(project.scores([row])).all()

A row is a mapping from column to Python value, None if missing, with all columns of the contract and the target.
Everything that needs the trained model reads the results of `assay repro`.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
from hypothesis.strategies import SearchStrategy

from assay.base.files import sha256
from assay.contract.request import as_json
from assay.contract.spec import CONTRACT, Contract, load_contract
from assay.data.check import check
from assay.data.columns import from_rows
from assay.data.reading import read_table, typed
from assay.data.violations import Violation
from assay.gates import expectations, parity
from assay.gates.answers import JudgedModel
from assay.gates.findings import Expected
from assay.inference.package import Package, load_package
from assay.inference.rows import RowReader
from assay.load.bento import HOST, build, served
from assay.modelling.features import encode
from assay.project.layout import MODELS
from assay.project.packed import LOCUSTFILE
from assay.project.params import Params, load_params
from assay.project.room import Room, load_room
from assay.properties import strategies
from assay.properties.expectations import Expectation

Row = Mapping[str, Any]
# A row is checked together with rows of the data: in a single row a column may look completely empty.
CONTEXT_ROWS = 5


@dataclass(frozen=True)
class Project:
    """A project: its configuration and the results of its pipeline. Each part is loaded when it is first used."""

    contract: Contract
    params: Params
    room: Room

    def rows(self) -> SearchStrategy[dict[str, Any]]:
        """Return a strategy of valid rows, for `hypothesis.given`."""
        return strategies.rows(parity.closed(self.contract, {}))

    def broken_rows(self) -> SearchStrategy[tuple[dict[str, Any], str]]:
        """Return a strategy of rows that break one rule of the contract, each with the column that breaks it."""
        return strategies.broken_rows(self.contract).map(lambda drawn: drawn[:2])

    def broken_requests(self) -> SearchStrategy[tuple[dict[str, Any], str]]:
        """Return a strategy of JSON rows that break one rule of the contract, each with the column that breaks it."""
        # JSON has no infinity.
        broken = strategies.broken_rows(self.contract).filter(
            lambda drawn: drawn[1] in self.contract.features and not _is_infinite(drawn[0][drawn[1]])
        )
        return broken.map(lambda drawn: (as_json(drawn[0], self.contract), drawn[1]))

    @cached_property
    def data(self) -> pa.Table:
        """The data, in the types of the contract."""
        return self._read[0]

    @cached_property
    def _read(self) -> tuple[pa.Table, list[Violation]]:
        return read_table(self.contract.data, self.contract)

    def data_rows(self, most: int = 200) -> list[dict[str, Any]]:
        """Return rows of the data, evenly from its first to its last."""
        places = np.linspace(0, self.data.num_rows - 1, min(most, self.data.num_rows)).astype(int)
        found: list[dict[str, Any]] = self.data.take(pa.array(places)).to_pylist()
        return found

    def data_violations(self) -> list[Violation]:
        """Return all violations of the contract in the data."""
        return [*self._read[1], *check(self.data, self.contract)]

    def violations(self, row: Row) -> list[Violation]:
        """Return the violations of the contract in a row."""
        others = self.data_rows(CONTEXT_ROWS)
        table, found = typed(strategies.as_table([*others, row], self.contract), self.contract)
        return [one for one in [*found, *check(table, self.contract)] if one.row == len(others)]

    def inputs(self, rows: Sequence[Row]) -> dict[str, np.ndarray]:
        """Return the inputs of the model for rows: an array per input, derived features included."""
        return encode(from_rows(rows, self.contract), self.contract, self.room)

    def scores(self, rows: Sequence[Row]) -> np.ndarray:
        """Return the scores of the trained pipeline: probabilities (rows, classes), or numbers (rows,)."""
        return self._model.scores(from_rows(rows, self.contract))

    def served_scores(self, rows: Sequence[Row]) -> np.ndarray:
        """Return the scores of the served model in models/, in the shape of `scores`."""
        return self._package.score(from_rows(rows, self.contract))

    @cached_property
    def tolerance(self) -> float:
        """The largest allowed difference between served and pipeline scores; for regression in units of the target."""
        scale = 1.0 if self.contract.classes else float(np.std(self.scores(self.data_rows()))) or 1.0
        return parity.SLACK * self.params.export.tolerance * scale

    def check_expectation(self, expectation: Expectation, examples: int = 10) -> Expected:
        """Check an expectation of src/model/expectations.py on rows; `held` says whether it holds, `reason` why not."""
        model = self._model
        [result] = expectations.check(
            [expectation], self.contract, model.scores, model.decide, examples, self.params.seed
        )
        return result

    def request(self, rows: Sequence[Row]) -> dict[str, Any]:
        """Return rows as the body of a request to `/predict`."""
        return {"rows": [as_json(row, self.contract) for row in rows]}

    @cached_property
    def _model(self) -> JudgedModel:
        return JudgedModel(self.contract)

    @cached_property
    def _package(self) -> Package:
        reader = RowReader(self.contract, self.params.serve.max_rows)
        return load_package(MODELS, reader, sha256(CONTRACT), self.params.export.tolerance, self.room)


@cache
def load_project() -> Project:
    """Return the project in the current folder; raises InputError, in one line, for a file that is missing or wrong."""
    return Project(load_contract(), load_params(), load_room())


@contextmanager
def service() -> Iterator[httpx.Client]:
    """Build and serve the Bento of the project on this machine; yield a client with its address as base URL."""
    with (
        TemporaryDirectory() as folder,
        served(build(Path(), Path(folder, "bentoml"))) as server,
        httpx.Client(base_url=f"http://{HOST}:{server.port}", timeout=60) as client,
    ):
        yield client


def load(client: httpx.Client, users: int = 2, seconds: float = 1.0) -> tuple[int, list[str]]:
    """Send the requests of loadtests/locustfile.py to a service; return their number and the error messages."""
    side = {"name": "service", "host": str(client.base_url), "project": str(Path.cwd()), "pid": os.getpid()}
    plan = {"locustfile": str(LOCUSTFILE), "sides": [side], "users": users, "rounds": 0, "warm_up": seconds}
    # Errors of the script itself go to stderr.
    done = subprocess.run(
        [sys.executable, "-m", "assay.load.driver"],
        input=json.dumps(plan),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    made, last = map(json.loads, done.stdout.splitlines())
    return made["total"], list(last["messages"]["service"])


def _is_infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)
