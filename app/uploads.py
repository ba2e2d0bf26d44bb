"""From files that a browser sent to scans in the uploads folder, checked, and without their names."""

from __future__ import annotations

import csv
import fcntl
import gzip
import hashlib
import io
import json
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel as nib
import numpy as np

from core.io.atomic import atomic, write_bytes
from core.io.dicom import load_dicom
from core.io.volume import READ, Volume, VolumeError, load_mask, load_volume, save_volume

SESSION = "ses-01"
DICOM = ".zip"  # of one series
ACCEPTED = (*READ, DICOM)
MASK_WORD = re.compile(r"(?<![a-z])mask(?![a-z])")
AGE_WEEKS = (20.0, 60.0)
INCOMING = ".incoming-"
INCOMING_SECONDS = 3600.0  # a check takes seconds: what is older was left by a killed one
PREVIEW_VOXELS = 256  # at most, on an axis
COLUMNS = ("participant_id", "session_id", "age", "label")
LABEL_CHARACTERS = 60


@dataclass(frozen=True)
class Sent:
    """One file as the browser sent it."""

    name: str
    content: bytes


@dataclass(frozen=True)
class Upload:
    """A scan with its mask, if one came along, both checked; or what is wrong."""

    name: str  # as sent; shown in this session only, never stored
    digest: str  # sha256 over the bytes of scan and mask
    volume: Volume | None
    mask: Volume | None
    mask_name: str
    error: str

    def label(self, age_weeks: float | None) -> str:
        """``sub-…`` from content alone: the same files and age give the same one."""
        return "sub-up" + hashlib.sha256(f"{self.digest}{age_weeks!r}".encode()).hexdigest()[:12]


def is_mask(name: str) -> bool:
    """True where the file's name says that it is a mask."""
    return MASK_WORD.search(name.lower()) is not None


def stem(name: str) -> str:
    """What a scan and its mask have in common: the name without extension, mask words and suffixes."""
    base = name.lower()
    for extension in sorted(ACCEPTED, key=len, reverse=True):
        if base.endswith(extension):
            base = base.removesuffix(extension)
            break
    words = [
        word
        for word in re.split(r"[_\-. ]+", base)
        if word not in ("desc", "brain", "brainmask", "mask", "t2w", "t2")
    ]
    return "_".join(words)


def pair(names: Sequence[str]) -> tuple[list[tuple[str, str]], list[str]]:
    """Scans in order, each with the name of its mask or ""; and one line for each mask without a scan.

    A mask belongs to the scan whose name it shares; where one scan and one mask are sent, they belong
    together whatever their names.
    """
    scans = [name for name in names if not is_mask(name)]
    masks = [name for name in names if is_mask(name)]
    if len(scans) == 1 and len(masks) == 1:
        return [(scans[0], masks[0])], []
    found = dict.fromkeys(scans, "")
    problems = []
    for mask in masks:
        fits = [scan for scan in scans if stem(scan) == stem(mask)]
        if len(fits) == 1 and found[fits[0]] == "":
            found[fits[0]] = mask
            continue
        why = "no scan of this name" if not fits else "more than one scan or mask of this name"
        problems.append(f"{mask}: {why}; expected one scan such as {stem(mask) or 'scan'}_T2w.nii.gz")
    return list(found.items()), problems


def check(scan: Sent, mask: Sent | None, max_mb: int, folder: Path) -> Upload:
    """Read a scan and its mask as ``core`` would; ``error`` says what is wrong, for this file alone.

    The bytes lie in a temporary folder below ``folder`` only for as long as this takes, under names of ours:
    a sent name can be a patient's.
    """
    digest = hashlib.sha256(hashlib.sha256(scan.content).digest())
    digest.update(b"" if mask is None else hashlib.sha256(mask.content).digest())
    refused = partial(Upload, scan.name, digest.hexdigest(), None, None, "" if mask is None else mask.name)
    ours = {f"sent-scan{extension(scan.name)}": scan.name}
    if mask is not None:
        ours[f"sent-mask{extension(mask.name)}"] = mask.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=INCOMING) as place:
            paths = []
            for name, sent in zip(ours, (scan, mask), strict=False):
                assert sent is not None
                if len(sent.content) > max_mb * 2**20:
                    size = len(sent.content) / 2**20
                    raise VolumeError(f"{name}: {size:.0f} MB; expected at most {max_mb} MB")
                paths.append(Path(place) / name)
                paths[-1].write_bytes(sent.content)
            path = paths[0]
            volume = load_dicom(path).volume if path.suffix.lower() == DICOM else load_volume(path)
            brain = None if mask is None else load_mask(paths[1], volume)
    except VolumeError as error:
        return refused(_as_sent(str(error), ours))
    except OSError as error:
        return refused(f"{scan.name}: {error.strerror or error}")
    return Upload(scan.name, digest.hexdigest(), volume, brain, "" if mask is None else mask.name, "")


def extension(name: str) -> str:
    """The extension that says how to read a file, as sent; of any other file its last, made harmless."""
    for known in sorted(ACCEPTED, key=len, reverse=True):
        if name.lower().endswith(known):
            return name[-len(known) :]
    return re.sub(r"[^\w.]", "_", Path(name).suffix)[:8]


def _as_sent(text: str, ours: dict[str, str]) -> str:
    """An error's text with the names that the reader knows."""
    pattern = "|".join(rf"\b{re.escape(name)}" for name in ours)
    return re.sub(pattern, lambda found: Path(ours[found[0]]).name, text)


def sweep(folder: Path) -> None:
    """Remove what checks that were killed left below ``folder``."""
    for place in folder.glob(f"{INCOMING}*"):
        with suppress(FileNotFoundError):
            if time.time() - place.stat().st_mtime > INCOMING_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


def keep(upload: Upload, age_weeks: float | None, root: Path, given: str = "") -> Path:
    """Write a checked upload into the BIDS folder ``root`` and return the scan's path.

    Voxels and grid are kept; header texts and the file's name, which may identify someone, are not. ``given``
    is a label that the uploader typed, kept in participants.tsv and shown in place of the hash; no path,
    address or log holds it.

    Raises
    ------
    VolumeError
        Where the upload was refused, or the age is not in weeks.
    OSError
        Where the folder can't be written.
    """
    if upload.volume is None:
        raise VolumeError(upload.error)
    if age_weeks is not None and not AGE_WEEKS[0] <= age_weeks <= AGE_WEEKS[1]:
        raise VolumeError(
            f"age {age_weeks:g}; expected {AGE_WEEKS[0]:.0f} to {AGE_WEEKS[1]:.0f} postmenstrual weeks"
        )
    label = upload.label(age_weeks)
    folder = root / label / SESSION / "anat"
    path = folder / f"{label}_{SESSION}_T2w.nii.gz"
    mask = folder / f"{label}_{SESSION}_desc-brain_mask.nii.gz"
    description = root / "dataset_description.json"
    if not description.exists():
        about = {"Name": "Scans uploaded to Fontanelle", "BIDSVersion": "1.10.0", "DatasetType": "raw"}
        write_bytes(description, (json.dumps(about, indent=1) + "\n").encode())
    _add_participant(root, label, age_weeks, " ".join(given.split())[:LABEL_CHARACTERS])
    if upload.mask is not None:
        save_volume(upload.mask, mask, np.uint8)
    save_volume(upload.volume, path)
    return path


def _add_participant(root: Path, label: str, age_weeks: float | None, given: str) -> None:
    """Add or replace a line of participants.tsv; writers wait for each other.

    Where no label is given, the former one stays.
    """
    table = root / "participants.tsv"
    with (root / ".participants.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        rows: dict[str, dict[str, str]] = {}
        if table.exists():
            with table.open(newline="") as stream:
                rows = {row["participant_id"]: row for row in csv.DictReader(stream, delimiter="\t")}
        age = "n/a" if age_weeks is None else f"{age_weeks:g}"
        given = given or (rows.get(label, {}).get("label") or "n/a")
        rows[label] = dict(zip(COLUMNS, (label, SESSION, age, given), strict=True))
        with atomic(table) as temporary, temporary.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS, restval="n/a", delimiter="\t", lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows.values())


def preview(volume: Volume) -> bytes:
    """A small gzipped NIfTI for the browser: uint8 between the 1st and 99.5th percentile, thinned out."""
    step = [max(1, -(-n // PREVIEW_VOXELS)) for n in volume.shape]
    data = volume.data[:: step[0], :: step[1], :: step[2]]
    low, high = np.percentile(data, (1, 99.5))
    if high <= low:
        low, high = float(data.min()), float(data.max())
    small = np.clip((data - low) * (255 / max(high - low, 1e-6)), 0, 255).astype(np.uint8)
    image = nib.Nifti1Image(small, volume.affine @ np.diag([*step, 1]))
    image.header["cal_max"] = 255
    stream = io.BytesIO()
    with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=1, mtime=0) as packed:
        packed.write(image.to_bytes())
    return stream.getvalue()
