"""Many scans at once: one function over many items, in this process, in local ones, or on a Dask cluster."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from core.config import PREFIX, settings
from core.prepared import PACKAGES, versions

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

Item = TypeVar("Item")
Result = TypeVar("Result")
VARIABLE = f"{PREFIX}SCHEDULER"
CONNECT_S = 15.0  # for the scheduler to answer
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
_FRAMEWORK = ("dask", "distributed")
# Their versions decide voxels, labels or keys.
_COMPUTING = ("numpy", "torch", *PACKAGES)


class ClusterError(ValueError):
    """A scheduler or workers that can't be used; the text says what was found and what was expected."""


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
        with _connected(settings().scheduler, shared) as client:
            yield from _on_cluster(client, _Elsewhere(work), items)
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


def _quiet() -> None:
    """What Dask logs of workers that come and go, the command tells in its own words."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


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

    _quiet()
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


# A cluster.


@cache
def facts() -> dict[str, str]:
    """What must be the same on all machines for the same results: Python and packages, builds aside."""
    found = versions(*_FRAMEWORK, *_COMPUTING)
    python = "{}.{}".format(*sys.version_info)
    return {"python": python, **{name: text.split("+")[0] for name, text in found.items()}}


def _differences(found: Mapping[str, str], where: str) -> str:
    """In words what ``where`` has in another version than this process; empty where all is the same."""
    other = [
        f"{name} {found.get(name, 'unknown')} (expected {expected})"
        for name, expected in facts().items()
        if found.get(name) != expected
    ]
    return f"{where} has {', '.join(other)}" if other else ""


class _Elsewhere:
    """``work`` as a cluster's worker does it: in the command's folder, with its settings and versions."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        here = settings()
        self.work = work
        self.folder = os.getcwd()
        self.expected = facts()
        # What results depend on; the database's address and keys stay at home.
        self.environment = {
            f"{PREFIX}DATA_DIR": str(here.data_dir.resolve()),
            f"{PREFIX}MODELS_DIR": str(here.models_dir.resolve()),
            f"{PREFIX}BRAIN_EXTRACTOR": here.brain_extractor,
            f"{PREFIX}SCHEDULER": "",  # a worker does its work itself
        }

    def __call__(self, item: Any) -> Any:
        if facts() != self.expected:  # a worker that came after the command's own look
            raise ClusterError(f"worker on {socket.gethostname()} has {facts()}; expected {self.expected}")
        os.chdir(self.folder)
        if any(os.environ.get(name) != value for name, value in self.environment.items()):
            os.environ.update(self.environment)
            settings.cache_clear()
        return self.work(item)


@contextmanager
def _connected(address: str, shared: Path | None) -> Iterator[Client]:
    """Client of a scheduler that answers and whose workers fit; queued items are dropped at the end."""
    from distributed import Client

    if re.fullmatch(r"(tcp|tls)://\S+:\d+", address) is None:
        raise ClusterError(f"{VARIABLE} is {address!r}; expected an address such as tcp://10.0.0.1:8786")
    _quiet()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of other versions: looked at below
            client = Client(address, timeout=CONNECT_S)
    except (OSError, TimeoutError, ValueError, ImportError) as error:
        raise ClusterError(
            f"{VARIABLE} {address}: no Dask scheduler of version {facts()['distributed']} answers "
            f"within {CONNECT_S:g} s ({_words(error)}); expected a running one, or unset {VARIABLE}"
        ) from error
    try:
        _check(client, address, shared)
        yield client
    finally:
        client.close(timeout=STOP_S)


def _words(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _check(client: Client, address: str, shared: Path | None) -> None:
    """Refuse a scheduler or workers that would give other results, or put them where nobody sees them."""
    packages = cast(Any, client.get_versions())["scheduler"]["packages"]
    scheduler = {name: str(packages.get(name)) for name in _FRAMEWORK}
    python = ".".join(str(packages.get("python")).split(".")[:2])
    if found := _differences({**facts(), **scheduler, "python": python}, "the scheduler"):
        raise ClusterError(f"{VARIABLE} {address}: {found}; start it in the same environment")
    workers = client.scheduler_info(n_workers=-1)["workers"]
    for worker in workers.values():
        if worker["nthreads"] != 1:
            raise ClusterError(
                f"{VARIABLE} {address}: worker on {worker['host']} has {worker['nthreads']} threads; "
                "expected 1 (dask worker --nthreads 1 --nworkers N)"
            )
    try:
        answers = client.run(facts, on_error="return")
    except (ImportError, AttributeError) as error:
        answers = dict.fromkeys(workers, error)
    for name, answer in answers.items():
        host = workers[name]["host"] if name in workers else name
        if isinstance(answer, BaseException):
            raise ClusterError(
                f"{VARIABLE} {address}: worker on {host} can't use Fontanelle ({_words(answer)}); expected "
                "the same environment, and PYTHONPATH with its folder"
            )
        if found := _differences(answer, f"worker on {host}"):
            raise ClusterError(f"{VARIABLE} {address}: {found}; start it in the same environment")
    folders = [Path.cwd()] if shared is None else [Path.cwd(), shared]
    for folder in folders:
        if blind := _blind(client, folder, written=folder is shared):
            raise ClusterError(
                f"{VARIABLE} {address}: worker {blind[0]} does not see {folder}; expected a file system that "
                "all machines share"
            )


def _blind(client: Client, folder: Path, written: bool) -> list[str]:
    """Workers that do not see the folder or, where it is ``written`` to, what is written here."""
    place = folder.resolve()
    if not written:
        seen = client.run(os.path.isdir, str(place))
    else:
        place.mkdir(parents=True, exist_ok=True)
        probe = place / f".probe-{uuid4().hex}"
        probe.touch()
        try:
            seen = client.run(os.path.exists, str(probe))
        finally:
            probe.unlink()
    return sorted(name for name, there in seen.items() if not there)
