"""Many scans at once: one function over many items, in this process, in local ones, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from core.config import settings
from core.scheduler import ClusterError, connected, elsewhere, quiet, terms

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Item = TypeVar("Item")
Result = TypeVar("Result")
STOP_S = 2.0  # for the scan under way to be written, where a command is stopped
# Each worker computes on one thread; the processes are the parallelism.
ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    )
}


class WorkerDied(RuntimeError):
    """A worker process ended while it had an item."""


_stop: list[threading.Event] = []


def stopping() -> bool:
    """True where the command has been asked to stop; work in this process asks between two steps."""
    return any(flag.is_set() for flag in _stop)


def remote() -> bool:
    """True where a cluster does the work, not this machine's processes."""
    return settings().scheduler != ""


def outcomes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, shared: Path | None = None
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with its finished future, as they finish.

    With ``FONTANELLE_SCHEDULER`` the cluster's workers do the work, as many as it has. Else ``jobs``
    processes of this machine, one thread each; one job, or one item, stays in this process. ``work`` and the
    items travel by pickle, so ``work`` is a function of a module. One item's exception is in its own future.
    Where a worker dies (killed, out of memory), what it had is tried again; an item that kills its worker
    also when nothing else runs gets ``WorkerDied``. Leaving the loop early stops the rest: at once on this
    machine, on a cluster once the scans under way are written.

    Parameters
    ----------
    shared : folder that all workers of a cluster must see, that of the results

    Raises
    ------
    ClusterError
        Where the scheduler does not answer or goes away, or its workers have other versions, more than one
        thread, or do not see ``shared``.
    """
    if not items:
        return
    jobs = min(jobs, len(items))
    if remote():
        with connected(settings().scheduler, shared) as client:
            yield from _on_cluster(client, partial(elsewhere, terms(), work), items)
    elif jobs > 1:
        with _processes(jobs) as client:
            yield from _on_cluster(client, work, items)
    else:
        yield from _here(work, items)


def _here(
    work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """One after the other, in a thread: the command hears Ctrl-C though ITK or torch is deep in a step."""
    flag = threading.Event()
    _stop[:] = [flag]
    executor = ThreadPoolExecutor(1)
    future: Future[Result] | None = None
    try:
        for item in items:
            future = executor.submit(work, item)
            future.exception()  # waits
            yield item, future
    finally:
        flag.set()
        if future is not None and not future.done():
            with suppress(TimeoutError):
                future.exception(STOP_S)
        # A thread can't be ended: the command leaves it behind in its step, where nothing is written yet.
        executor.shutdown(wait=False, cancel_futures=True)


def _on_cluster(
    client: Client, work: Callable[[Item], Result], items: Sequence[Item]
) -> Generator[tuple[Item, Future[Result]], None, None]:
    from distributed import as_completed

    suspects: list[Item] = []
    under_way = {client.submit(work, item, pure=False): item for item in items}
    for done in as_completed(list(under_way)):
        item = under_way.pop(done)
        outcome = _outcome(done)
        if isinstance(outcome.exception(), WorkerDied):
            suspects.append(item)  # or it merely sat beside the one that took the memory
        else:
            yield item, outcome
    for item in suspects:
        yield item, _outcome(client.submit(work, item, pure=False))


def _outcome(done: Any) -> Future[Any]:
    """What a Dask future holds, once it has it.

    Raises
    ------
    ClusterError
        Where the scheduler went away.
    """
    from distributed import KilledWorker
    from distributed.client import FutureCancelledError

    outcome: Future[Any] = Future()
    error = done.exception()
    if isinstance(error, KilledWorker):
        error = WorkerDied("its worker process died, perhaps for want of memory")
    elif isinstance(error, FutureCancelledError) or done.status in ("cancelled", "lost"):
        raise ClusterError("the scheduler went away; start again, what was finished is kept") from None
    if error is None:
        outcome.set_result(done.result())
    else:
        outcome.set_exception(error)
    return outcome


# Processes of this machine.


def dask_setup(worker: Any) -> None:
    """Called by Dask in each local worker process: Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _processes(jobs: int) -> Iterator[Client]:
    """Workers on this machine, killed where the block is left early.

    Their ports on loopback are closed to other users of the machine: TLS with keys made for this run.
    """
    import dask.config
    from distributed import Client, LocalCluster

    quiet()
    before = dict(os.environ)
    os.environ.update(ONE_THREAD)
    # One item a worker, so that a worker's death says which; its retry is ``_on_cluster``'s.
    options = {
        "distributed.scheduler.worker-saturation": 1.0,
        "distributed.scheduler.allowed-failures": 0,
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    finished = False
    try:
        with (
            dask.config.set(options),
            LocalCluster(
                n_workers=jobs,
                threads_per_worker=1,
                memory_limit=0,  # the system's own limit counts
                dashboard_address="127.0.0.1:0",
                worker_dashboard_address="127.0.0.1:0",
                security=True,
                preload=[__name__],
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):
            try:
                yield client
                finished = True
            finally:
                if not finished:
                    _kill(cluster)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _kill(cluster: LocalCluster) -> None:
    for nanny in cluster.workers.values():
        nanny.auto_restart = False
        with suppress(ProcessLookupError):
            if nanny.pid is not None:
                os.kill(nanny.pid, signal.SIGKILL)
