"""Import of a folder of scans that lies on the server: below one configured root, and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from core.config import settings
from core.io.bids import Scan, find_scans
from core.io.manifest import read_manifest
from core.io.tables import BidsError

OFF = (
    "Importing a folder is off here. Set `FONTANELLE_IMPORT_ROOT` to the folder that holds the data sets, or "
    "run `python -m core analyze FOLDER --model NAME` on the server; the scans appear in the list when done."
)


class ImportRefused(ValueError):
    """A folder that can't be imported; the text is meant for the reader."""


@dataclass(frozen=True)
class Found:
    """A data set that may be imported."""

    path: Path
    scans: list[Scan]


def root() -> Path | None:
    """Folder below which imports are allowed; None where the feature is off."""
    configured = settings().import_root.strip()
    return None if configured == "" else Path(configured).resolve()


def inside(asked: str) -> Path:
    """The folder or manifest that was asked for, as a path below the import root, links followed.

    Raises
    ------
    ImportRefused
        Where imports are off, it is not there, or it lies elsewhere; the server's own folders are not told.
    """
    base = root()
    if base is None:
        raise ImportRefused(OFF)
    if asked.strip() == "":
        raise ImportRefused("Name a folder or a manifest (.tsv) below the import folder.")
    path = (base / asked.strip()).resolve()
    if not path.is_relative_to(base):
        raise ImportRefused(f"{asked.strip()}: lies outside the import folder; expected a path below it.")
    if not path.exists():
        raise ImportRefused(f"{asked.strip()}: not found below the import folder.")
    return path


def found(asked: str) -> Found:
    """The scans of the folder or manifest that was asked for; each lies below the import root too.

    Raises
    ------
    ImportRefused
        As ``inside``, or where it holds no scan, or names one that lies elsewhere.
    """
    path = inside(asked)
    try:
        if path.is_dir():
            scans = find_scans(path)
        else:
            scans = [entry.scan for entry in read_manifest(path) if entry.left_out == ""]
    except (BidsError, OSError) as error:
        raise ImportRefused(str(error).replace(f"{root()}/", "")) from error
    if not scans:
        raise ImportRefused(f"{asked.strip()}: no T2w scan found; expected a BIDS folder or a manifest.")
    for scan in scans:
        files = (scan.path, scan.mask, scan.segmentation)
        if not all(file is None or file.resolve().is_relative_to(root() or path) for file in files):
            raise ImportRefused(
                f"{scan.subject}_{scan.session}: its file lies outside the import folder; expected all "
                "scans below it."
            )
    return Found(path, scans)


def offered() -> list[str]:
    """Data sets right below the import root: folders and manifests, by name."""
    base = root()
    if base is None or not base.is_dir():
        return []
    return sorted(
        path.name
        for path in base.iterdir()
        if not path.name.startswith(".") and (path.is_dir() or path.suffix == ".tsv")
    )
