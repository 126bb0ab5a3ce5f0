"""The workers of a Dask cluster find what this process finds, and what is missing is said in a line."""

import json
import os
import pickle
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.base.errors import InputError
from assay.data import engine, stored
from assay.data.engine import dask_cluster, map_reduce
from assay.data.stored import Stored, by_part
from assay.project.layout import CHECKS, METRICS, PIPELINE, SPLIT, THRESHOLD
from assay.project.room import Room
from assay.stages import evaluate, prepare, train, validate
from patients import COLUMNS, TARGETS, patients
from places import ROOT
from stages.test_train import PARAMS
from stages.test_train import made as trained


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with dask_cluster(2) as address:
        yield address


@pytest.fixture(autouse=True)
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, and read every file in parts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(stored, "LARGE", 0)


def use(address: str) -> None:
    """Let the stages of the current folder use a cluster."""
    text = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(f"{text}\nengine: {{kind: dask, address: '{address}'}}\n", encoding="utf-8")


def project(split: dict[str, str]) -> None:
    """Write a project whose data have several groups of rows."""
    data, target = patients(400)
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})
    labels = pa.array([TARGETS["binary"]["classes"][index] for index in target])
    Path("data").mkdir()
    pq.write_table(table.append_column("outcome", labels), "data/x.parquet", row_group_size=70)
    made = {"name": "patients", "data": "data/x.parquet", "task": "binary", "target": TARGETS["binary"]}
    Path("contract.yaml").write_text(json.dumps({**made, "columns": COLUMNS, "split": split}))
    Path("params.yaml").write_text((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    "split", [{"by": "hash"}, {"by": "group", "column": "street"}, {"by": "time", "column": "admitted"}]
)
def test_the_check_and_the_split_are_the_same_on_a_cluster(
    cluster: str, monkeypatch: pytest.MonkeyPatch, split: dict[str, str]
) -> None:
    monkeypatch.setattr(stored, "CELLS", 1000)
    project(split)

    def results() -> list[bytes]:
        validate.main()
        prepare.main()
        return [path.read_bytes() for path in (CHECKS, *sorted(SPLIT.iterdir()))]

    here = results()
    use(cluster)
    assert results() == here


def test_what_breaks_the_contract_is_the_same_on_a_cluster(cluster: str) -> None:
    project({"by": "hash"})
    table = pq.read_table("data/x.parquet")
    ages = pa.array([*table["age"].to_pylist()[:-2], 999, None])
    pq.write_table(table.set_column(table.column_names.index("age"), "age", ages), "data/x.parquet", row_group_size=70)

    def said() -> tuple[str, bytes]:
        with pytest.raises(InputError) as raised:
            validate.main()
        return str(raised.value), CHECKS.read_bytes()

    here = said()
    use(cluster)
    assert said() == here


def test_the_model_and_its_metrics_are_the_same_on_a_cluster(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tmp_path, monkeypatch, PARAMS)
    for side in ("validation", "test"):
        pq.write_table(pq.read_table(SPLIT / f"{side}.parquet"), SPLIT / f"{side}.parquet", row_group_size=15)
    monkeypatch.setattr(stored, "CELLS", 100)

    def results() -> list[bytes]:
        train.main()
        evaluate.main()
        return [path.read_bytes() for path in (PIPELINE, THRESHOLD, METRICS)]

    here = results()
    use(cluster)
    assert results() == here
    assert {path.name for path in SPLIT.parent.iterdir()} == {"choice.json", "model", "split"}


def test_a_worker_that_is_lost_in_the_middle_changes_nothing(cluster: str, tmp_path: Path) -> None:
    def work(item: int) -> int:
        if item == 3 and not (tmp_path / "lost").exists():
            (tmp_path / "lost").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return item**2

    assert map_reduce(work, range(8), list, cluster) == [number**2 for number in range(8)]
    assert (tmp_path / "lost").exists()


def test_a_file_that_a_worker_does_not_have_is_named(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"x": range(9)}), "x.parquet", row_group_size=3)
    monkeypatch.setattr(stored, "CELLS", 3)
    rows = Stored(Path("x.parquet"), cluster=cluster)
    assert by_part(lambda part: part["x"].to_pylist(), rows) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    meant = stored.state_of
    monkeypatch.setattr(stored, "state_of", lambda path: (meant(path)[0] + 1, 0))
    with pytest.raises(InputError, match=r"x\.parquet: changed while it was read, or a worker has another file there"):
        by_part(lambda part: part.num_rows, rows)


def test_a_cluster_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PATIENCE", 0.05)
    with dask_cluster(0) as address, pytest.raises(InputError) as raised:
        map_reduce(str, [1, 2], list, address)
    assert str(raised.value) == (
        f"params.yaml: engine: {address}: no worker is left; nothing incomplete was written, run it again"
    )


def test_one_item_needs_no_cluster() -> None:
    assert map_reduce(str, [1], list, "tcp://127.0.0.1:1") == ["1"]


def test_a_process_has_one_room_for_a_folder() -> None:
    one, other = (pickle.loads(pickle.dumps(Room(Path()))) for _ in range(2))  # noqa: S301
    assert one is other
    assert one._root == Path().resolve()
