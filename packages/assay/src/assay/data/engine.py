"""Work on several machines: two functions, whatever the engine."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

from assay.data import cluster, spark
from assay.data.stored import Cluster

Engine = Literal["dask", "spark"]
Item = TypeVar("Item")
Made = TypeVar("Made")
Result = TypeVar("Result")


def cluster_at(address: str | None) -> Cluster | None:
    """Return what maps on the Dask cluster at an address; None without one."""
    return (lambda work, items: map_reduce(work, items, list, address)) if address else None


def map_reduce(
    work: Callable[[Item], Made],
    items: Sequence[Item],
    combine: Callable[[Iterator[Made]], Result],
    address: str | None,
) -> Result:
    """Return what `combine` makes of the results of `work` for each item, in their order.

    With the address of a Dask cluster its workers do the work, which goes to them as pickles; without one, and for a
    single item, this process does. A worker may do it again for an item, after another one was lost. Raises InputError
    if the cluster is not there or ends early, and the InputError that `work` raises.
    """
    if address is None or len(items) < 2:
        return combine(map(work, items))
    return combine(cluster.each(work, items, address, 0, cluster.STAGES))


def map_write(
    work: Callable[[Item], tuple[int, ...]], items: Sequence[Item], engine: Engine, address: str | None, workers: int
) -> Iterator[tuple[int, ...]]:
    """Yield what `work` returns for each item, in their order.

    `work` writes its results to a folder that all machines share, and returns numbers. An engine may run it for an item
    again, after a worker was lost. `address` is that of a cluster; without one there are `workers` processes here.
    Raises InputError if the engine is not there or ends early, and the InputError that `work` raises.
    """
    if engine == "spark":
        return spark.each(work, items, address)
    return cluster.each(work, items, address, workers, "--engine dask")
