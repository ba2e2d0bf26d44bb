"""Built wire volumes on disk, so that a restart builds none again; those read longest ago go first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from core.io.atomic import write_bytes

MAX_BYTES = 2 * 2**30
# Changes with what is built: a new one leaves what older code kept to be forgotten.
FORMAT = "wire-1"


def kept(folder: Path, kind: str, sources: Sequence[str], build: Callable[[], bytes]) -> bytes:
    """What ``build`` makes of files with the hashes ``sources``; from ``folder`` where it was made before.

    A file on disk begins with the SHA-256 of the rest: a damaged one is built anew.
    """
    name = hashlib.sha256("\n".join((FORMAT, kind, *sources)).encode()).hexdigest()[:40]
    path = folder / name
    found = _read(path)
    if found is not None:
        return found
    made = build()
    with suppress(OSError):  # a full or read-only disk: it is built again next time
        write_bytes(path, hashlib.sha256(made).digest() + made)
        _prune(folder, path)
    return made


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
        os.utime(path)
    except OSError:
        return None
    body = content[32:]
    return body if hashlib.sha256(body).digest() == content[:32] else None


def _prune(folder: Path, spared: Path) -> None:
    """Remove what was read longest ago until the rest fits."""
    files = sorted((file.stat().st_mtime_ns, file.stat().st_size, file) for file in folder.iterdir())
    total = sum(size for _, size, _ in files)
    for _, size, file in files:
        if total <= MAX_BYTES:
            return
        if file != spared:
            file.unlink(missing_ok=True)
            total -= size
