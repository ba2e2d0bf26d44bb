"""Many scans at once: one function over many items in worker processes, errors kept apart from each other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    Executor,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
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


class WorkerDied(RuntimeError):
    """A worker process ended while it had an item."""


_stop: list[Flag] = []


def stopping() -> bool:
    """True where the command has been asked to stop; workers ask between two steps."""
    return any(flag.is_set() for flag in _stop)


def _start(stop: Flag) -> None:
    """In a new worker process: Ctrl-C is the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _stop[:] = [stop]


def _executor(jobs: int, processes: bool) -> tuple[Executor, Flag]:
    if not processes:
        flag: Flag = threading.Event()
        _stop[:] = [flag]
        return ThreadPoolExecutor(jobs), flag
    context = multiprocessing.get_context("spawn")  # fork is unsafe once torch or ITK has threads
    stop = context.Event()
    return ProcessPoolExecutor(jobs, context, initializer=_start, initargs=(stop,)), stop


def _work_off(
    executor: Executor, work: Callable[[Item], Result], waiting: deque[Item], jobs: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with its finished future; no more are taken off ``waiting`` than are under way.

    Where a worker died, the pool gives ``BrokenProcessPool`` to all that were under way, and this ends.
    """
    under_way: dict[Future[Result], Item] = {}
    broken = False
    while under_way or (waiting and not broken):
        while waiting and len(under_way) < jobs and not broken:
            try:
                under_way[executor.submit(work, waiting[0])] = waiting[0]
            except BrokenProcessPool:
                broken = True
            else:
                waiting.popleft()
        finished, _ = wait(under_way, return_when=FIRST_COMPLETED)
        broken = broken or any(isinstance(future.exception(), BrokenProcessPool) for future in finished)
        for future in finished:
            yield under_way.pop(future), future


@contextmanager
def _pool(jobs: int, processes: bool) -> Iterator[Executor]:
    """An executor that is stopped at once where the block is left early."""
    executor, stop = _executor(jobs, processes)
    finished = False
    try:
        yield executor
        finished = True
    finally:
        if not finished:
            stop.set()
            for child in multiprocessing.active_children():
                child.terminate()
        # A thread can't be ended: the command leaves it behind.
        executor.shutdown(wait=finished or processes, cancel_futures=True)


def _dead() -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(WorkerDied("its worker process died, perhaps for want of memory"))
    return future


def outcomes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int
) -> Generator[tuple[Item, Future[Result]], None, None]:
    """Each item with its finished future, as they finish; ``jobs`` 1 stays in this process.

    ``work`` and the items travel by pickle, so ``work`` is a function of a module. One item's exception is in
    its own future. A worker that dies (killed, out of memory) takes the pool with it: what was under way is
    tried again, one at a time, and only that which kills its worker again gets ``WorkerDied``; the rest goes
    on in a new pool. Leaving the loop early stops the rest.
    """
    jobs = max(1, min(jobs, len(items)))
    before = dict(os.environ)
    if jobs > 1:
        os.environ.update(ONE_THREAD)
    waiting = deque(items)
    try:
        while waiting:
            suspects: deque[Item] = deque()
            with _pool(jobs, jobs > 1) as executor:
                for item, future in _work_off(executor, work, waiting, jobs):
                    if isinstance(future.exception(), BrokenProcessPool):
                        suspects.append(item)
                    else:
                        yield item, future
            while suspects:
                with _pool(1, processes=True) as executor:
                    for item, future in _work_off(executor, work, suspects, 1):
                        died = isinstance(future.exception(), BrokenProcessPool)
                        yield item, _dead() if died else future
    finally:
        os.environ.clear()
        os.environ.update(before)
