"""The workers of a Dask cluster find what this process finds, and what is missing is said in a line."""

import json
import os
import pickle
import re
import signal
import socket
import threading
from collections.abc import Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ruamel.yaml import YAML

from assay.base.errors import InputError
from assay.contract.spec import Contract
from assay.data import cluster as module
from assay.data import stored
from assay.data import workers as on_workers
from assay.data.cluster import at_once, dask_cluster
from assay.data.columns import columns, target
from assay.data.engine import cluster_at, map_reduce
from assay.data.sample import sample
from assay.data.stored import Stored, by_part
from assay.gates import retraining
from assay.modelling import distributed
from assay.modelling.distributed import fit_on_workers
from assay.modelling.fitting import build, fit, scores
from assay.modelling.store import dumped
from assay.project.layout import CHECKS, METRICS, PIPELINE, SPLIT, THRESHOLD
from assay.project.params import ModelChoice
from assay.project.room import Room, load_room
from assay.stages import evaluate, prepare, train, validate
from assay.statistics.losses import row_losses
from clusters import features
from exported import assert_stored_and_exported
from patients import COLUMNS, TARGETS, contract, patients, write_project
from stages.test_train import PARAMS
from stages.test_train import made as trained

LARGE = stored.LARGE
ENGINE = "engine: {{kind: dask, address: '{}'}}"


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
    Path("params.yaml").write_text(f"{text}\n{ENGINE.format(address)}\n", encoding="utf-8")


@pytest.mark.parametrize(
    "split", [{"by": "hash"}, {"by": "group", "column": "street"}, {"by": "time", "column": "admitted"}]
)
def test_the_check_and_the_split_are_the_same_on_a_cluster(
    cluster: str, monkeypatch: pytest.MonkeyPatch, split: dict[str, str]
) -> None:
    monkeypatch.setattr(stored, "CELLS", 1000)
    write_project(70, split)

    def results() -> list[bytes]:
        validate.main()
        prepare.main()
        return [path.read_bytes() for path in (CHECKS, *sorted(SPLIT.iterdir()))]

    here = results()
    use(cluster)
    assert results() == here


def test_what_breaks_the_contract_is_the_same_on_a_cluster(cluster: str) -> None:
    write_project(70, {"by": "hash"})
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


def test_workers_run_the_code_of_this_process_after_an_edit_and_in_another_project(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def derived(room: Room, item: float) -> float:
        return float(room.derived[0].compute({"x": np.array([item])})[0])

    for name, factor in (("one", 2), ("one", 30), ("other", 5)):
        monkeypatch.chdir(features(tmp_path / name, factor))
        # As in a new process.
        on_workers.code_of.cache_clear()
        assert map_reduce(partial(derived, load_room()), [1.0, 2.0], list, cluster) == [factor, 2 * factor]


def test_a_worker_with_other_code_that_comes_in_the_middle_is_started_again(cluster: str, tmp_path: Path) -> None:
    def work(item: int) -> int:
        if item == 1 and not (tmp_path / "other").exists():
            (tmp_path / "other").touch()
            on_workers.LOADED["numpy"] = "1.0"
        return item**2

    assert map_reduce(work, range(8), list, cluster) == [number**2 for number in range(8)]
    assert (tmp_path / "other").exists()


def test_a_worker_with_another_installation_is_named(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_workers, "version", lambda name: "1.0")
    on_workers.code_of.cache_clear()
    with pytest.raises(InputError) as raised:
        map_reduce(str, [1, 2], list, cluster)
    on_workers.code_of.cache_clear()
    assert re.fullmatch(
        r"params\.yaml: engine: the worker tcp://\S+ has numpy \S+ and not 1\.0; install there what this machine has, "
        "and start it again",
        str(raised.value),
    )


def test_what_takes_long_is_said_once(cluster: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)

    def work(item: int) -> int:
        while not (tmp_path / "said").exists():
            pass
        return item

    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        (tmp_path / "said").touch()

    monkeypatch.setattr(module, "say_once", cache(say))
    assert map_reduce(work, [1, 2], list, cluster) == [1, 2]
    assert said == [f"  waiting for the cluster at {cluster}, which may be busy with other work"]


def test_a_file_that_a_worker_does_not_have_is_named(cluster: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pa.table({"x": range(9)}), "x.parquet", row_group_size=3)
    monkeypatch.setattr(stored, "CELLS", 3)
    rows = Stored(Path("x.parquet"), cluster=cluster_at(cluster))
    assert by_part(lambda part: part["x"].to_pylist(), rows) == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    rows.states = [(rows.states[0][0] + 1, 0)]
    with pytest.raises(InputError, match=r"x\.parquet: changed while it was read, or a worker has another file there"):
        by_part(lambda part: part.num_rows, rows)


def test_a_cluster_without_workers_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with dask_cluster(0) as address, pytest.raises(InputError) as raised:
        map_reduce(str, [1, 2], list, address)
    assert str(raised.value) == (
        f"params.yaml: engine: {address}: no worker is left; nothing incomplete was written, run it again"
    )


def test_one_item_needs_no_cluster() -> None:
    assert map_reduce(str, [1], list, "tcp://127.0.0.1:1") == ["1"]


def test_small_data_need_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "LARGE", LARGE)
    pq.write_table(pa.table({"x": range(20), "y": range(20)}), "x.parquet", row_group_size=5)
    rows = Stored(Path("x.parquet"), cluster=cluster_at("tcp://127.0.0.1:1"))
    assert sample(rows, 20, 1) == rows.whole()


def test_a_process_has_one_room_for_a_folder() -> None:
    one, other = (pickle.loads(pickle.dumps(Room(Path()))) for _ in range(2))  # noqa: S301
    assert one is other
    assert one._root == Path().resolve()


def test_the_room_of_a_copy_is_that_of_the_project_its_code_links_to() -> None:
    Path("project/src").mkdir(parents=True)
    Path("copy").mkdir()
    Path("copy/src").symlink_to(Path("project/src").resolve())
    assert pickle.loads(pickle.dumps(Room(Path("copy"))))._root == Path("project").resolve()  # noqa: S301


LIGHT = ModelChoice(family="lightgbm", parameters={"n_estimators": 30, "num_leaves": 8, "min_child_samples": 10})
# Of a column with as many categories, the means of the target are fitted on all rows.
FEW = {name: column for name, column in COLUMNS.items() if name != "street"}


def written(task: str, made: Contract, rows: int = 800) -> Path:
    """Write rows for a task as a side of a split, in four groups."""
    data, truth = patients(rows, task)
    table = pa.table({name: pa.array(data[name], from_pandas=True) for name in made.features})
    labels = pa.array([made.classes[one] for one in truth] if made.classes else truth)
    SPLIT.mkdir(parents=True)
    pq.write_table(table.append_column("outcome", labels), SPLIT / "train.parquet", row_group_size=rows // 4)
    return SPLIT / "train.parquet"


@pytest.mark.parametrize("task", TARGETS)
def test_workers_make_the_trees_of_lightgbm_together(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    made = contract(task, columns=FEW)
    rows = Stored(written(task, made))
    monkeypatch.setattr(stored, "CELLS", 1)

    def by(workers: int) -> Any:
        return fit_on_workers(build(LIGHT, made, 1), rows, made, cluster=cluster, workers=workers)

    asked, truth = patients(400, task, seed=5)
    asked = {name: asked[name] for name in made.features}

    def loss(model: Any) -> float:
        return float(row_losses(truth, scores(model, asked, made)).mean())

    here = fit(build(LIGHT, made, 1), columns(rows, made), target(rows, made), made)
    np.testing.assert_array_equal(scores(by(1), asked, made), scores(here, asked, made))
    two = by(2)
    assert loss(two) == pytest.approx(loss(here), rel=0.15)
    assert two[-1].booster_.num_trees() == here[-1].booster_.num_trees()
    # Nothing in it depends on the run, such as the ports of the workers.
    assert dumped(by(2)) == dumped(two)
    assert_stored_and_exported(two, asked, made, tmp_path)


def test_retraining_on_as_many_workers_gives_the_same_model(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in a folder of its own, which the workers do not see."""

    def run(folder: Path, *_: str) -> None:
        with monkeypatch.context() as there:
            there.chdir(folder)
            retraining.main(0)

    monkeypatch.setattr(retraining, "run_with_own_code", run)
    monkeypatch.setattr("stages.test_train.COLUMNS", FEW)
    monkeypatch.setattr("stages.test_train.CHOICE_MADE", LIGHT)
    settings = YAML(typ="safe").load(PARAMS)
    settings |= {"model": LIGHT.model_dump(), "engine": {"kind": "dask", "address": cluster}}
    settings["train"]["workers"] = 1
    made = trained(tmp_path, monkeypatch, json.dumps(settings))
    again = retraining.retrain(0)
    assert again.failure == ""
    assert dumped(again.models[0][0]) == dumped(made.trained.pipeline)


def test_what_cannot_be_fitted_by_workers_is_refused_with_the_reason(
    cluster: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = contract()
    rows = Stored(written("binary", made))
    forest = ModelChoice(family="random_forest", parameters={})
    weighted = ModelChoice(family="lightgbm", parameters={"class_weight": "balanced"})
    for pipeline, spec, workers, reason in (
        (build(forest, made, 1), made, 2, "only the family lightgbm is fitted on a cluster"),
        (
            build(LIGHT, made, 1, calibrate=True),
            made,
            2,
            "only the family lightgbm is fitted on a cluster, without calib",
        ),
        (build(weighted, made, 1), made, 2, "class_weight is not used on a cluster"),
        (build(LIGHT, made, 1), made, 2, "column 'street' becomes means of the target"),
        (
            build(LIGHT, contract(columns=FEW), 1),
            contract(columns=FEW),
            2,
            "2 workers cannot share 800 rows, which are stored in 1 parts",
        ),
    ):
        with pytest.raises(InputError, match=f"params.yaml: train.workers: {reason}"):
            fit_on_workers(pipeline, rows, spec, cluster=cluster, workers=workers)
    monkeypatch.setattr(module, "PATIENCE", 0.05)
    with pytest.raises(InputError, match=r"train.workers: 3 are asked for, and the cluster at tcp:.* has 2"):
        at_once(lambda number, hosts: number, 3, cluster)


def test_rows_that_are_few_are_fitted_here_whatever_the_workers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stored, "LARGE", LARGE)
    settings = YAML(typ="safe").load(PARAMS)
    settings |= {"engine": {"kind": "dask", "address": "tcp://127.0.0.1:1"}}
    settings["train"]["workers"] = 2
    trained(tmp_path, monkeypatch, json.dumps(settings))
    assert "the rows take less than 256 MB, so they are fitted here and not by train.workers" in capsys.readouterr().err


def test_workers_on_other_machines_come_first() -> None:
    workers = ["tcp://10.0.0.1:1", "tcp://10.0.0.1:2", "tcp://10.0.0.2:1", "tcp://10.0.0.2:2"]
    assert module.spread(workers) == [workers[0], workers[2], workers[1], workers[3]]


def test_workers_share_the_processors_of_their_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "cpu_count", lambda: 4)
    machines = ["10.0.0.1:80", "10.0.0.1:81", "10.0.0.2:80"]
    assert [distributed.threads(number, machines) for number in range(3)] == [2, 2, 4]


def test_work_at_the_same_time_is_done_again_after_a_worker_was_lost(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.05)

    def work(number: int, hosts: list[str]) -> int:
        if number == 1 and not (tmp_path / "lost").exists():
            (tmp_path / "lost").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return len(set(hosts))

    assert at_once(work, 2, cluster) == [2, 2]
    assert (tmp_path / "lost").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["fails", "is interrupted"])
def test_after_a_fit_that_stops_no_worker_waits_for_another(cluster: str, how: str) -> None:
    client = os.getpid()

    def work(number: int, hosts: list[str]) -> None:
        if number == 0:
            # Until the other one connects, as LightGBM does.
            with socket.create_server(("127.0.0.1", 0)) as server:
                server.accept()
        if how == "fails":
            raise InputError("broken rows")
        os.kill(client, signal.SIGINT)
        threading.Event().wait()

    with pytest.raises(InputError if how == "fails" else KeyboardInterrupt, match=r"broken rows|^$"):
        at_once(work, 2, cluster)
    with module._client(cluster, 0, "") as client_of_cluster:
        # Each of the workers answers.
        asked = [
            client_of_cluster.submit(str, 1, workers=[worker], pure=False) for worker in client_of_cluster.nthreads()
        ]
        assert client_of_cluster.gather(asked) == ["1", "1"]
