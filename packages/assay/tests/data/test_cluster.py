"""Projects share a cluster one after another; what goes wrong on a real one is said in a line."""

import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest
from distributed import Client

from assay.base.errors import InputError
from assay.data import cluster as module
from assay.data import workers
from assay.data.cluster import dask_cluster
from assay.data.engine import map_reduce
from assay.data.workers import turn
from clusters import commands, features, program, workers_of
from servers import until

MADE = {3: "0.0 3.0 6.0 9.0\n", 5: "0.0 5.0 10.0 15.0\n"}


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with dask_cluster(2) as address:
        yield address


@pytest.fixture
def one(tmp_path: Path) -> Path:
    return features(tmp_path / "one", 3)


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return features(tmp_path / "other", 5)


@pytest.mark.parametrize("how", ["map", pytest.param("fit", marks=pytest.mark.nightly)])
def test_a_project_waits_for_another_one_and_says_for_which(cluster: str, one: Path, other: Path, how: str) -> None:
    (other / "go").touch()
    with program(one, cluster, how) as first:
        workers_of(one, 2)
        with program(other, cluster) as second:
            assert second.stderr
            assert second.stderr.readline() == (
                f"  waiting for process {first.pid} of {socket.gethostname()} in {one}, which uses the cluster at "
                f"{cluster}; Ctrl-C ends this\n"
            )
            assert not (other / "began").exists()
            (one / "go").touch()
            assert first.communicate() == ("0.0 3.0\n" if how == "fit" else MADE[3], "")
            assert second.communicate() == (MADE[5], "")
    # No worker was started again in the middle.
    assert len(set(workers_of(one, 2))) == 2


class Process:
    """One of several processes that use a cluster, for all the cluster knows."""

    def __init__(self, address: str) -> None:
        self.client, self.turn = Client(address), ExitStack()

    def waits(self, code: str, *, alone: bool = False) -> bool:
        """Ask for a turn; say whether another process has it."""
        try:
            self.turn.enter_context(turn(self.client, (Path(code), {}), alone=alone))
        except WaitsError:
            return True
        return False


class WaitsError(Exception):
    """A process has to wait."""


@pytest.fixture
def processes(cluster: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Process]]:
    def say(line: str) -> None:
        raise WaitsError(line)

    monkeypatch.setattr(workers, "say_once", say)
    made = [Process(cluster) for _ in range(4)]
    yield made
    for one in made:
        one.client.close()


def test_processes_take_turns_in_the_order_in_which_they_came_and_those_of_one_project_share_theirs(
    processes: list[Process],
) -> None:
    one, same, other, last = processes
    assert [one.waits("a"), same.waits("a"), other.waits("b"), last.waits("a")] == [False, False, True, True]
    one.client.close()
    assert [same.waits("a"), other.waits("b"), last.waits("a")] == [False, True, True]
    same.client.close()
    until(lambda: not other.waits("b"), "the turn of the other project")
    assert last.waits("a")
    other.client.close()
    until(lambda: not last.waits("a"), "the last turn")


def test_a_process_keeps_its_place_between_two_turns_for_some_seconds(
    processes: list[Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other, *_ = processes
    assert [one.waits("a"), other.waits("b")] == [False, True]
    one.turn.close()
    assert [other.waits("b"), one.waits("a")] == [True, False]
    monkeypatch.setattr(workers, "KEEPS", 0)
    one.turn.close()
    assert [other.waits("b"), one.waits("a")] == [False, True]


def test_a_fit_keeps_the_place_of_its_process_and_waits_for_what_shares_the_turn(processes: list[Process]) -> None:
    one, same, other, _ = processes
    assert [one.waits("a"), same.waits("a"), other.waits("b")] == [False, False, True]
    one.turn.close()
    assert one.waits("a", alone=True)
    same.turn.close()
    assert [one.waits("a", alone=True), same.waits("a", alone=True), same.waits("a")] == [False, True, True]
    one.turn.close()
    assert [other.waits("b"), same.waits("a", alone=True), one.waits("a")] == [True, False, True]
    same.turn.close()
    assert [other.waits("b"), one.waits("a"), same.waits("a")] == [True, False, False]


def test_a_fit_that_is_terminated_leaves_no_work_on_the_workers(cluster: str, one: Path) -> None:
    with program(one, cluster, "fit") as started:
        left = workers_of(one, 2)
        started.terminate()
        assert started.communicate() == ("", "")
        assert started.returncode == 128 + signal.SIGTERM
    assert not any(psutil.pid_exists(int(process)) for process in left)


@pytest.mark.parametrize("how", [pytest.param("map", marks=pytest.mark.nightly), "fit"])
def test_a_program_that_is_killed_blocks_nobody(cluster: str, one: Path, how: str) -> None:
    """What it left on the workers goes on there, and would never end; they are started again."""
    with program(one, cluster, how) as first:
        left = workers_of(one, 2)
        first.kill()
        first.communicate()
    with program(one, cluster) as second:
        assert not set(left) & set(workers_of(one, 4)[2:])
        (one / "go").touch()
        assert second.communicate() == (MADE[3], "")


@pytest.mark.nightly
def test_a_program_that_is_killed_leaves_the_cluster_to_the_project_that_waits(
    cluster: str, one: Path, other: Path
) -> None:
    (other / "go").touch()
    with program(one, cluster) as first:
        workers_of(one, 2)
        with program(other, cluster) as second:
            assert second.stderr
            assert second.stderr.readline().startswith(f"  waiting for process {first.pid} of ")
            first.kill()
            assert second.communicate() == (MADE[5], "")


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["map", "fit"])
def test_a_scheduler_that_is_lost_in_the_middle_is_said_in_a_line(tmp_path: Path, one: Path, how: str) -> None:
    with commands(tmp_path) as (address, scheduler), program(one, address, how) as started:
        workers_of(one, 2)
        os.kill(scheduler, signal.SIGKILL)
        assert started.communicate() == (
            "",
            f"params.yaml: engine: {address}: the connection to the scheduler was lost; nothing incomplete was "
            "written, run it again\n",
        )


@pytest.mark.nightly
def test_workers_whose_memory_is_full_end_the_job_and_are_started_again_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 5)
    limit = 600_000_000

    def work(item: int) -> None:
        # From 80% on Dask lets a worker begin nothing, and its nanny kills it at 95%.
        sys.kept = b"x" * (limit * 87 // 100 - psutil.Process().memory_info().rss)  # type: ignore[attr-defined]
        # Dask looks at the memory ten times a second.
        threading.Event().wait(1)

    with commands(tmp_path, memory=str(limit)) as (address, _):
        with pytest.raises(InputError) as raised:
            map_reduce(work, range(6), list, address)
        assert str(raised.value) == (
            f"params.yaml: engine: {address}: the workers have too little memory; nothing incomplete was written, "
            "run it again"
        )
        assert map_reduce(str, [1, 2], list, address) == ["1", "2"]
