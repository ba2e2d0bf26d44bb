"""Prepared scans on disk: made once per scan, mask, reference and settings, then read back."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from core import __version__
from core.config import settings as environment
from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import file_hash, load_mask, load_volume
from core.preprocess.pipeline import (
    Prepared,
    PrepareError,
    PrepareSettings,
    Reference,
    prepare,
    read_prepared,
    write_prepared,
)

SCHEMA = 1
# Step that begins, and the share of the whole that is done (0 to 1).
Progress = Callable[[str, float], None]
Cancel = Callable[[], bool]


class Cancelled(Exception):
    """The caller asked to stop; nothing half done is left."""


def no_progress(step: str, fraction: float) -> None:
    """Tell nobody."""


def never() -> bool:
    """Go on."""
    return False


def content_key(content: Mapping[str, Any]) -> str:
    """SHA-256 of ``content`` as canonical JSON, hexadecimal."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def versions(*packages: str) -> dict[str, str]:
    """Versions of Fontanelle and of installed packages; nothing is imported."""
    found = {"fontanelle": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


@contextmanager
def case_lock(paths: CasePaths, cancel: Cancel = never) -> Iterator[None]:
    """Hold the case's folder alone, over processes and threads; leftovers of a killed run are removed.

    Raises
    ------
    Cancelled
        Where ``cancel`` turns true while another holds the lock.
    """
    paths.folder.mkdir(parents=True, exist_ok=True)
    with (paths.folder / ".lock").open("w") as stream:
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if cancel():
                    raise Cancelled(f"{paths.stem}: cancelled while another analysis of it ran") from None
                time.sleep(0.05)
        for stale in [*paths.folder.glob(".*.part"), *paths.folder.glob("*.part")]:
            if stale.is_dir():
                shutil.rmtree(stale)
            else:
                stale.unlink(missing_ok=True)
        yield


@contextmanager
def staging(paths: CasePaths, name: str, last: Path) -> Iterator[Path]:
    """A folder whose files replace those of the case if the block succeeds, ``last`` after all others.

    ``last`` is the file whose presence says that the rest is whole, so an older one is removed first.
    """
    folder = paths.folder / f".{name}.part"
    folder.mkdir()
    try:
        yield folder
        last.unlink(missing_ok=True)
        written = sorted(folder.iterdir(), key=lambda file: (file.name == last.name, file.name))
        for file in written:
            os.replace(file, paths.folder / file.name)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def whole(folder: Path, files: Mapping[str, str]) -> bool:
    """True where each file is there with the hash that was recorded."""
    return all(
        (folder / name).is_file() and file_hash(folder / name) == digest for name, digest in files.items()
    )


def input_hashes(scan: Scan) -> dict[str, str]:
    """SHA-256 of the scan's file and of its mask's (empty without one)."""
    return {"scan": file_hash(scan.path), "mask": file_hash(scan.mask) if scan.mask is not None else ""}


def prepared_key(inputs: Mapping[str, str], reference: Reference, settings: PrepareSettings) -> str:
    """Content address of a preparation."""
    return content_key(
        {
            "schema": SCHEMA,
            **inputs,
            "reference": reference.hash,
            "settings": asdict(settings),
            "brain_extractor": environment().brain_extractor,
        }
    )


def stored_key(paths: CasePaths, cube: int) -> str:
    """Key of the preparation on disk; empty where there is none that can be read."""
    try:
        sidecar = json.loads(paths.prepared_json(cube).read_text())
    except (OSError, ValueError):
        return ""
    return str(sidecar.get("key", "")) if isinstance(sidecar, dict) else ""


def prepare_locked(
    scan: Scan, inputs: Mapping[str, str], paths: CasePaths, reference: Reference, settings: PrepareSettings
) -> Prepared:
    """As ``prepare_scan``, for a caller that holds the case's lock."""
    key, cube = prepared_key(inputs, reference, settings), settings.cube
    if stored_key(paths, cube) == key:
        try:
            return read_prepared(paths, cube)
        except PrepareError:
            pass  # a file is gone or damaged: all are made anew
    volume = load_volume(scan.path)
    mask = load_mask(scan.mask, volume) if scan.mask is not None else None
    prepared = prepare(volume, mask, reference, settings, "synthetic" if scan.synthetic else "")
    extra = {
        "key": key,
        "inputs": dict(inputs),
        "reference": {"name": reference.name, "hash": reference.hash},
        "settings": asdict(settings),
        "synthetic": scan.synthetic,
    }
    write_prepared(prepared, paths, cube, extra)
    return prepared


def prepare_scan(scan: Scan, reference: Reference, root: Path, settings: PrepareSettings) -> Prepared:
    """Prepare a scan below the derivatives ``root``, or read it back where that was done.

    Raises
    ------
    VolumeError, PrepareError
        Where the scan or its mask can't be used.
    """
    paths = CasePaths(root, scan.subject, scan.session)
    with case_lock(paths):
        return prepare_locked(scan, input_hashes(scan), paths, reference, settings)
