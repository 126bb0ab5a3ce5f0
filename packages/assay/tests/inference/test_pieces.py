"""Several machines predict as one does: the same rows in the same order, to the last bit."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import dask
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

from assay.base.errors import InputError
from assay.cli.score import score
from assay.data import engine, stored
from assay.data.batches import Piece, pieces
from assay.data.cluster import at_once
from assay.inference import pieces as module
from assay.project.layout import CHECKS
from assay.stages import validate
from clusters import commands
from patients import patients, write_project


def table(rows: int, seed: int = 1) -> pa.Table:
    data, _ = patients(rows, "binary", seed)
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in data.items()})


@pytest.fixture
def parts(projects, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in a folder with a model, and an input of several files of which one is empty and one has a bad row."""
    (tmp_path / "models").symlink_to(projects() / "models")
    monkeypatch.chdir(tmp_path)
    folder = Path("parts")
    folder.mkdir()
    bad = table(50).set_column(0, "age", pa.array([40] * 20 + [999] + [40] * 29))
    pq.write_table(table(0), folder / "0.parquet")
    pq.write_table(bad, folder / "1.parquet", row_group_size=15)
    pacsv.write_csv(table(30, seed=2), folder / "2.csv")
    pq.write_table(table(40, seed=3), folder / "3.parquet")
    return folder


def in_this_process(work, items, *_: object) -> Iterator[tuple[int, ...]]:
    """Do the work of all items twice, as an engine may, and in another order."""
    done = {item[0]: work(item) for item in [*reversed(items), *items]}
    yield from (done[item[0]] for item in items)


def run(output: str, *options: str) -> pa.Table:
    score.main(["parts", output, *options], standalone_mode=False)
    return pq.read_table(output).drop_columns("prediction_id")


def test_pieces_are_predicted_as_the_whole(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "map_write", in_this_process)
    wanted, made = run("local.parquet"), run("pieces.parquet", "--engine", "dask")
    assert made.equals(wanted)
    assert Path("local.refused.csv").read_text() == Path("pieces.refused.csv").read_text()
    assert sorted(path.name for path in Path().iterdir()) == [
        "local.parquet",
        "local.refused.csv",
        "models",
        "parts",
        "pieces.parquet",
        "pieces.refused.csv",
    ]


def test_runs_write_to_folders_of_their_own(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(module, "map_write", lambda work, *given: (seen.append(work), in_this_process(work, *given))[1])
    for _ in range(2):
        run("pieces.parquet", "--engine", "dask")
    assert len({work.args[0].folder for work in seen}) == 2


def test_a_cluster_of_dask_predicts_as_this_machine_and_ctrl_c_leaves_nothing_of_it(parts: Path) -> None:
    Path("temporary").mkdir()
    command = [Path(sys.executable).with_name("assay"), "cluster", "--port", "0"]
    environment = os.environ | {"TMPDIR": str(Path("temporary").resolve())}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, start_new_session=True, **pipes) as cluster:
        said = cluster.stdout.readline()
        address = said.split()[-1]
        port = address.rpartition(":")[2]
        second = [*command[:-1], port]
        assert run("engine.parquet", "--engine", "dask", "--address", address).equals(run("local.parquet"))
        refused = subprocess.run(second, env=environment, check=False, capture_output=True, text=True)
        os.killpg(cluster.pid, signal.SIGINT)
        # It ends once all its processes have ended, for each holds the pipes.
        assert cluster.communicate(timeout=60) == ("", "")
    assert said.startswith(
        "2 workers; Ctrl-C ends them: assay score INPUT OUTPUT --engine dask --address tcp://127.0.0.1:"
    )
    assert cluster.returncode == 0
    assert not list(Path("temporary").iterdir())
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"assay: {address}: no cluster can start here: [Errno {errno.EADDRINUSE}]")
    assert refused.stderr.count("\n") == 1


@pytest.mark.nightly
def test_a_cluster_with_certificates_predicts_and_checks_as_this_machine(
    parts: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over TLS, with a certificate authority of its own, which refuses a program without a certificate."""
    certificate = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for made in (
        ["req", "-x509", *certificate, "-subj", "/CN=ca", "-keyout", "ca-key.pem", "-out", "ca.pem"],
        ["req", *certificate, "-subj", "/CN=node", "-keyout", "key.pem", "-out", "asked.pem"],
        ["x509", "-req", "-in", "asked.pem", "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-out", "cert.pem"],
    ):
        subprocess.run(["openssl", *made], check=True, capture_output=True)
    ours = {name: str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")}
    tls = "distributed.comm.tls"
    settings = {f"{tls}.ca-file": ours["ca"], f"{tls}.client.cert": ours["cert"], f"{tls}.client.key": ours["key"]}
    options = ["--tls-ca-file", ours["ca"], "--tls-cert", ours["cert"], "--tls-key", ours["key"]]
    with commands(tmp_path, *options) as (address, _):
        assert address.startswith("tls://")
        with pytest.raises(
            InputError, match=f"--engine dask: {address}: TLS expects .* nothing incomplete was written"
        ):
            run("engine.parquet", "--engine", "dask", "--address", address)
        with dask.config.set(settings):
            assert run("engine.parquet", "--engine", "dask", "--address", address).equals(run("local.parquet"))
            Path("project").mkdir()
            monkeypatch.chdir("project")
            monkeypatch.setattr(stored, "LARGE", 0)
            write_project(70, {"by": "hash"})
            validate.main()
            here = CHECKS.read_bytes()
            with Path("params.yaml").open("a", encoding="utf-8") as params:
                params.write(f"\nengine: {{kind: dask, address: '{address}'}}\n")
            validate.main()
            assert CHECKS.read_bytes() == here
            assert at_once(lambda number, hosts: number, 2, address) == [0, 1]


@pytest.mark.nightly
def test_a_worker_of_dask_that_is_lost_in_the_middle_changes_nothing(
    parts: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, map_write = Path("lost").resolve(), module.map_write

    def once_lost(work: Callable, *given: object) -> Iterator[tuple[int, ...]]:
        def do(item: tuple[int, Piece]) -> tuple[int, ...]:
            if item[0] == 1 and not lost.exists():
                lost.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return work(item)

        return map_write(do, *given)

    monkeypatch.setattr(module, "map_write", once_lost)
    assert run("engine.parquet", "--engine", "dask", "--processes", "2").equals(run("local.parquet"))
    assert Path("engine.refused.csv").read_text() == Path("local.refused.csv").read_text()
    assert lost.exists()


@pytest.mark.nightly
def test_a_full_disk_ends_the_workers_of_dask_and_is_all_that_is_said(parts: Path) -> None:
    Path(".out.unfinished").mkdir()
    Path(".out.unfinished/out.parquet").symlink_to("/dev/full")
    command = [Path(sys.executable).with_name("assay"), "score", "parts", "out.parquet", "--engine", "dask"]
    done = subprocess.run([*command, "--processes", "2"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    (said,) = [line for line in done.stderr.splitlines() if not line.endswith(" a second")]
    assert said.startswith("assay: out.parquet: cannot be written: ")
    assert said.endswith("No space left on device")
    assert not Path(".out.unfinished").exists()


def test_an_address_of_dask_at_which_nobody_listens_is_named(parts: Path) -> None:
    with dask.config.set({"distributed.comm.timeouts.connect": "10ms"}), pytest.raises(InputError) as raised:
        run("out.parquet", "--engine", "dask", "--address", "tcp://127.0.0.1:1")
    assert "--engine dask: tcp://127.0.0.1:1: Timed out trying to connect to tcp://127.0.0.1:1" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert sorted(path.name for path in Path().iterdir()) == ["models", "parts"]


@pytest.mark.nightly
def test_workers_of_dask_that_are_lost_again_and_again_are_said(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    map_write = module.map_write

    def lost(work: Callable, *given: object) -> Iterator[tuple[int, ...]]:
        return map_write(lambda item: os.kill(os.getpid(), signal.SIGKILL), *given)

    monkeypatch.setattr(module, "map_write", lost)
    with pytest.raises(InputError, match="--engine dask: the local cluster: workers were lost several times, perhaps"):
        run("out.parquet", "--engine", "dask", "--processes", "1")
    assert sorted(path.name for path in Path().iterdir()) == ["models", "parts"]


@pytest.mark.parametrize(("name", "package"), [("dask", "distributed"), ("spark", "pyspark.errors")])
def test_an_engine_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, name, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=f"--engine {name}: it is not installed here; `pip install"):
        list(engine.map_write(lambda item: (item,), [1], name, None, 1))


def test_what_a_worker_of_dask_lacks_is_said_in_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    class Client:
        def __init__(self, *_: object, **__: object) -> None:
            raise RuntimeError("Error during deserialization:\nNo module named 'assay'")

    lost = type("KilledWorker", (Exception,), {})
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Client=Client, KilledWorker=lost))
    with pytest.raises(InputError, match="--engine dask: tcp://a:1: Error during deserialization: No module named"):
        list(engine.map_write(lambda item: (item,), [1], "dask", "tcp://a:1", 1))


def test_a_file_that_changes_after_it_was_split_is_refused(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "map_write", in_this_process)

    def change(*_: object) -> bool:
        pq.write_table(table(60), parts / "1.parquet", row_group_size=15)
        return True

    monkeypatch.setattr("assay.data.batches.is_plain", change)
    with pytest.raises(InputError, match=r"1\.parquet: changed while it was read"):
        run("out.parquet", "--engine", "dask")


def test_a_worker_with_another_model_is_named(parts: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "map_write", in_this_process)
    monkeypatch.setattr(module.BatchScorer, "version", "else")
    job = module.Job(Path("models"), Path(), "mine", True, {}, Path())
    with pytest.raises(InputError, match="a worker has the version else of the model there, and not mine"):
        list(module.score_pieces(job, [Piece(Path("x.csv"))], "dask", None, 1))


def test_what_an_engine_cannot_do_is_said_at_once(parts: Path) -> None:
    with pytest.raises(InputError, match="--log: not with --engine dask"):
        run("out.parquet", "--engine", "dask", "--log", "log")
    feather.write_feather(table(5), "in.arrow")
    with pytest.raises(InputError, match=r"in\.arrow: --engine dask predicts CSV files with commas and Parquet"):
        score.main(["in.arrow", "out.parquet", "--engine", "dask"], standalone_mode=False)


def test_pieces_are_groups_of_rows_and_each_row_is_in_one(parts: Path) -> None:
    one, two, csv = (parts / name for name in ("1.parquet", "3.parquet", "2.csv"))
    assert pieces([one, csv, two], rows=20) == [Piece(one, (0, 1)), Piece(one, (2, 3)), Piece(csv), Piece(two, (0,))]
