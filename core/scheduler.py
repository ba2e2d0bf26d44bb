"""A Dask scheduler of somebody's own: reached, looked over, and worked with on the command's terms."""

from __future__ import annotations

import logging
import os
import re
import socket
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import uuid4

from core.config import PREFIX, settings
from core.prepared import PACKAGES, versions

if TYPE_CHECKING:
    from distributed import Client

Item = TypeVar("Item")
Result = TypeVar("Result")
VARIABLE = f"{PREFIX}SCHEDULER"
CONNECT_S = 15.0  # for the scheduler to answer
CLOSE_S = 2.0
_FRAMEWORK = ("dask", "distributed")
# Their versions decide voxels, labels or keys.
_COMPUTING = ("numpy", "torch", *PACKAGES)


class ClusterError(ValueError):
    """A scheduler or workers that can't be used; the text says what was found and what was expected."""


def quiet() -> None:
    """What Dask logs of workers that come and go, the command tells in its own words."""
    logging.getLogger("distributed").setLevel(logging.CRITICAL)


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


@dataclass(frozen=True)
class Terms:
    """How a cluster's worker does a command's work."""

    folder: str  # the command's
    expected: dict[str, str]  # ``facts``
    environment: dict[str, str]


def terms() -> Terms:
    """Those of this process: what results depend on; the database's address and keys stay at home."""
    here = settings()
    return Terms(
        folder=os.getcwd(),
        expected=facts(),
        environment={
            f"{PREFIX}DATA_DIR": str(here.data_dir.resolve()),
            f"{PREFIX}MODELS_DIR": str(here.models_dir.resolve()),
            f"{PREFIX}BRAIN_EXTRACTOR": here.brain_extractor,
            VARIABLE: "",  # a worker does its work itself
        },
    )


def elsewhere(here: Terms, work: Callable[[Item], Result], item: Item) -> Result:
    """Do ``work`` on a cluster's worker, in the command's folder and with its settings.

    Raises
    ------
    ClusterError
        Where the worker, which may have come after the command's own look, has other versions.
    """
    if facts() != here.expected:
        raise ClusterError(f"worker on {socket.gethostname()} has {facts()}; expected {here.expected}")
    os.chdir(here.folder)
    if any(os.environ.get(name) != value for name, value in here.environment.items()):
        os.environ.update(here.environment)
        settings.cache_clear()
    return work(item)


@contextmanager
def connected(address: str, shared: Path | None) -> Iterator[Client]:
    """Client of a scheduler that answers and whose workers fit; queued items are dropped at the end."""
    from distributed import Client

    if re.fullmatch(r"(tcp|tls)://\S+:\d+", address) is None:
        raise ClusterError(f"{VARIABLE} is {address!r}; expected an address such as tcp://10.0.0.1:8786")
    quiet()
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
        client.close(timeout=CLOSE_S)


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
