"""One case's folder of derivatives: one process at a time, one scan, files that appear together."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.io.bids import Scan
from core.io.derivatives import CasePaths
from core.io.volume import file_hash

Cancel = Callable[[], bool]
Keep = Callable[[Mapping[str, Any]], bool]  # told a record: true where it may not be removed


class Cancelled(Exception):
    """The caller asked to stop; nothing half done is left."""


class FolderError(ValueError):
    """A folder that holds the results of another scan."""


class JudgedError(FolderError):
    """Results that stay as they are, since readers have judged them."""


def never() -> bool:
    """Go on."""
    return False


def keep_nothing(_document: Mapping[str, Any]) -> bool:
    """Any record may go."""
    return False


def spare(paths: CasePaths, going: Iterable[Path], keep: Keep) -> None:
    """Refuse to go on where a record of the case among ``going`` may not be removed.

    Raises
    ------
    JudgedError
    """
    if keep == keep_nothing:
        return
    there = documents(paths)
    held = [there[path] for path in going if path in there and keep(there[path])]
    if held:
        raise JudgedError(
            f"readers have judged its analysis by {', '.join(str(one['model']) for one in held)}"
        )


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


def sweep(paths: CasePaths) -> None:
    """Remove what a killed run left of the case, unless somebody works on it."""
    if paths.folder.is_dir():
        with suppress(Cancelled), case_lock(paths, cancel=lambda: True):
            pass


def whole(folder: Path, files: Mapping[str, str]) -> bool:
    """True where each file is there with the hash that was recorded."""
    return all(
        (folder / name).is_file() and file_hash(folder / name) == digest for name, digest in files.items()
    )


def documents(paths: CasePaths) -> dict[Path, dict[str, Any]]:
    """Records and sidecars of the folder, of whatever schema; damaged ones say nothing and are left out."""
    found = {}
    for pattern in ("model-*_case.json", "space-cube*_desc-prepared_T[12]w.json"):
        for path in sorted(paths.folder.glob(f"{paths.stem}_{pattern}")):
            try:
                document = json.loads(path.read_text())
            except (OSError, ValueError):
                continue
            if isinstance(document, dict):
                found[path] = document
    return found


def scan_hash(document: Mapping[str, Any]) -> str:
    """SHA-256 of the scan that a record or sidecar is of; empty where it does not say."""
    inputs = document.get("inputs")
    told = inputs.get("scan") if isinstance(inputs, dict) else document.get("input_hash")
    return told if isinstance(told, str) else ""


def claim(
    paths: CasePaths, scan: Scan, digest: str, replace_scan: bool = False, keep: Keep = keep_nothing
) -> None:
    """Make sure, under the lock, that the folder is of the scan with SHA-256 ``digest`` alone.

    Two data sets may have one label; scan and mask lie in the folder once, so results of two scans would show
    one's flags on the other. With ``replace_scan`` all results of the other scan are removed first.

    Raises
    ------
    FolderError
        Where the folder holds another scan's results, and they are not to be replaced.
    JudgedError
        Where they are, and ``keep`` says of one that it stays.
    """
    others = {scan_hash(document) for document in documents(paths).values()} - {digest, ""}
    if not others:
        return
    if not replace_scan:
        raise FolderError(
            f"{paths.stem}: {paths.root} holds results of another scan with this label (sha256 "
            f"{min(others)[:12]}…), this one is {digest[:12]}…; write to another folder with --out, or "
            "remove the other scan's results with --replace of prepare or analyze"
        )
    spare(paths, documents(paths), keep)
    inputs = {path.resolve() for path in (scan.path, scan.mask) if path is not None}
    patterns = ("model-*_case.json", "space-cube*.json", "model-*", "space-cube*")
    old = [path for pattern in patterns for path in paths.folder.glob(f"{paths.stem}_{pattern}")]
    for path in [*old, paths.acquired, paths.mask]:  # what says that files are whole goes first
        if path.resolve() not in inputs:
            path.unlink(missing_ok=True)


def disowned(paths: CasePaths, files: Mapping[str, str]) -> list[Path]:
    """Records and sidecars that count on another content of ``files`` (name to SHA-256)."""
    found = []
    for path, document in documents(paths).items():
        recorded = document.get("files")
        if not isinstance(recorded, dict) or any(
            name in recorded and recorded[name] != digest for name, digest in files.items()
        ):
            found.append(path)
    return found


@contextmanager
def staging(paths: CasePaths, name: str, last: Path, keep: Keep = keep_nothing) -> Iterator[CasePaths]:
    """The same case in a folder of its own, whose files replace those of ``paths`` if the block succeeds.

    ``last`` is the file whose presence says that the rest is whole: an older one is removed first, the new
    one moved after all others. Records and sidecars that count on a file as it was go too: under another
    brain mask, other models' results are results no more.

    Raises
    ------
    JudgedError
        Where ``keep`` says of one of those that it stays; then nothing is replaced.
    """
    place = paths.folder / f".{name}.part"
    staged = replace(paths, root=place)
    staged.folder.mkdir(parents=True)
    try:
        yield staged
        written = sorted(staged.folder.iterdir(), key=lambda file: (file.name == last.name, file.name))
        going = disowned(paths, {file.name: file_hash(file) for file in written})
        spare(paths, [*going, last], keep)
        for path in [*going, last]:
            path.unlink(missing_ok=True)
        for file in written:
            os.replace(file, paths.folder / file.name)
    finally:
        shutil.rmtree(place, ignore_errors=True)
