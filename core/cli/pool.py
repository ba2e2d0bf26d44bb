"""Many scans at once: one function over many items in worker processes, errors kept apart from each other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from typing import Any, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
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


class Flag(Protocol):
    """An event of threads or of processes."""

    def is_set(self) -> bool: ...

    def set(self) -> None: ...


_stop: list[Flag] = []


def stopping() -> bool:
    """True where the command has been asked to stop; workers ask between two steps."""
    return any(flag.is_set() for flag in _stop)


def _start(stop: Flag) -> None:
    """In a new worker process: Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop[:] = [stop]


def _executor(jobs: int) -> tuple[Executor, Flag]:
    if jobs == 1:
        flag: Flag = threading.Event()
        _stop[:] = [flag]
        return ThreadPoolExecutor(1), flag
    context = multiprocessing.get_context("spawn")  # fork is unsafe once torch or ITK has threads
    stop = context.Event()
    return ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(stop,)), stop


def outcomes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with its finished future, as they finish; ``jobs`` 1 stays in this process.

    ``work`` and the items travel by pickle, so ``work`` is a function of a module. One item's exception is in
    its own future. Leaving the loop early stops the rest.
    """
    jobs = max(1, min(jobs, len(items)))
    before = dict(os.environ)
    if jobs > 1:
        os.environ.update(ONE_THREAD)
    executor, stop = _executor(jobs)
    finished = False
    try:
        futures: dict[Future[Any], Item] = {executor.submit(work, item): item for item in items}
        for future in as_completed(futures):
            yield futures[future], future
        finished = True
    finally:
        os.environ.clear()
        os.environ.update(before)
        if not finished:
            stop.set()
            for child in multiprocessing.active_children():
                child.terminate()
        # A thread can't be ended: the command leaves it behind.
        executor.shutdown(wait=finished or jobs > 1, cancel_futures=True)
