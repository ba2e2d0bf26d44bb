"""Scans in a BIDS data set, in dHCP's layout, or as a bare file."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

from core.io.tables import POOR_QUALITY, BidsError, Tables
from core.io.volume import file_hash

# Names in dHCP's third release, then in the second; whichever comes first wins.
_MASKS = (
    "_desc-brain_mask.nii.gz",
    "_desc-brain_mask.nii",
    "_brainmask.nii.gz",
    "_brainmask.nii",
    "_brainmask_drawem.nii.gz",
)
_SEGMENTATIONS = ("_desc-drawem9_dseg.nii.gz", "_drawem_tissue_labels.nii.gz", "_dseg.nii.gz", "_dseg.nii")
_OWN = "fontanelle"  # our own derivatives: a mask found by us must not come back as one that was given
_OURS = "sub-*_space-cube*_desc-prepared_T2w.json"  # beside our masks in a folder of any name


@dataclass(frozen=True)
class Scan:
    """One T2-weighted scan and what the data set says of it."""

    subject: str  # with "sub-"
    session: str  # with "ses-"
    path: Path
    mask: Path | None = None
    age: float | None = None  # postmenstrual weeks at scan
    sex: str | None = None
    radiology_score: int | None = None  # dHCP: 1 normal to 5 abnormal
    split: str | None = None
    synthetic: bool = False
    segmentation: Path | None = None  # tissue labels
    family: str | None = None  # as the data set names it; the same for twins
    poor_quality: bool = False  # dHCP: radiology_score Q
    t1w: Path | None = None  # T1-weighted scan of the session


def check_label(label: str, entity: str) -> str:
    """Return ``label`` if it is ``entity-`` and letters or digits, so safe as a folder's name.

    Raises
    ------
    BidsError
        On anything else, such as path separators or dots.
    """
    if re.fullmatch(rf"{entity}-[A-Za-z0-9]+", label, re.ASCII) is None:
        raise BidsError(f"label {label!r}; expected {entity}- followed by letters and digits")
    return label


def anat_path(root: Path, subject: str, session: str, tail: str = "T2w.nii.gz") -> Path:
    """``root/sub-…/ses-…/anat/sub-…_ses-…_tail``, labels checked.

    Raises
    ------
    BidsError
        On a label that is not BIDS, or a ``tail`` with a path in it.
    """
    check_label(subject, "sub")
    check_label(session, "ses")
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", tail, re.ASCII) is None or ".." in tail:
        raise BidsError(f"file name tail {tail!r}; expected one such as T2w.nii.gz")
    return root / subject / session / "anat" / f"{subject}_{session}_{tail}"


def find_scans(bids_root: Path, family_column: str | None = None) -> list[Scan]:
    """All T2w scans below ``bids_root``, one a session, by subject and session.

    Reads ``participants.tsv`` and dHCP's ``sub-*_sessions.tsv`` where they are (columns session_id, age or
    scan_age, sex, radiology_score, split, and ``family_column``). A subject without session folders counts
    as ses-01. Of several T2w files in a session the plainest name is taken, of T1w files the plainest that is
    resampled to the T2w scan (dHCP's space-T2w), else the plainest. Mask and tissue segmentation are looked
    for beside the scan, then at the same place in ``derivatives/*/``, but not where our own results lie.

    Raises
    ------
    BidsError
        Where the folder is missing, a label is not BIDS, a table can't be read or contradicts itself, or no
        table has a ``family_column``.
    """
    root = Path(bids_root)
    if not root.is_dir():
        raise BidsError(f"{root.name}: no such folder; expected a BIDS data set")
    synthetic = is_synthetic(root)
    tables = Tables(root)
    scans = []
    for folder in sorted([*root.glob("sub-*/anat"), *root.glob("sub-*/ses-*/anat")]):
        parts = folder.relative_to(root).parts
        subject = check_label(parts[0], "sub")
        session = check_label(parts[1], "ses") if len(parts) == 3 else "ses-01"
        path = _plainest(folder)
        if path is None:
            continue
        facts = tables.facts(subject, session)
        score = facts.score()
        scans.append(
            Scan(
                subject=subject,
                session=session,
                path=path,
                mask=_beside(root, folder, _MASKS),
                age=facts.number(("scan_age", "age")),
                sex=facts.text("sex"),
                radiology_score=None if score == POOR_QUALITY else score,
                split=facts.text("split"),
                synthetic=synthetic,
                segmentation=_beside(root, folder, _SEGMENTATIONS),
                family=None if family_column is None else facts.text(family_column),
                poor_quality=score == POOR_QUALITY,
                t1w=_t1w(folder),
            )
        )
    if family_column is not None and family_column not in tables.columns:
        raise BidsError(
            f"{root.name}: columns {sorted(tables.columns)} in participants.tsv and sub-*_sessions.tsv; "
            f"expected {family_column} among them"
        )
    return sorted(scans, key=lambda scan: (scan.subject, scan.session))


def labels_in(name: str) -> tuple[str, str] | None:
    """Subject and session, with "sub-" and "ses-", of a file called ``sub-…_ses-…_…``; else None."""
    found = re.match(r"(sub-[A-Za-z0-9]+)_(ses-[A-Za-z0-9]+)_", name, re.ASCII)
    return None if found is None else (found[1], found[2])


def scan_from_file(path: Path, mask: Path | None = None) -> Scan:
    """A ``Scan`` for one file.

    A file inside a BIDS data set, or a link to one, brings what the data set says of it. Of any other file
    only a name ``sub-…_ses-…_…`` is used; else the label is the hash of the content, since file names can
    hold patients' names.

    Raises
    ------
    BidsError
        Where there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise BidsError(f"{path.name}: no such file; expected a scan")
    # As it is named first: DataLad's links point out of the data set, and equal scans share a target.
    for place in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):
        for root in list(place.parents)[1:4]:
            if (root / "participants.tsv").is_file() or (root / "dataset_description.json").is_file():
                for scan in find_scans(root):
                    if scan.path == place:
                        return scan if mask is None else replace(scan, mask=Path(mask))
    named = labels_in(path.name)
    if named is not None:
        beside = [path.with_name(f"{'_'.join(named)}{tail}") for tail in _MASKS]
        found = next((candidate for candidate in beside if candidate.is_file()), None)
        return Scan(*named, path, Path(mask) if mask is not None else found)
    return Scan(f"sub-{file_hash(path)[:12]}", "ses-01", path, Path(mask) if mask is not None else None)


def is_synthetic(bids_root: Path) -> bool:
    """True where ``dataset_description.json`` says so: ``"Synthetic": true``, or "synthetic" in its name.

    Raises
    ------
    BidsError
        Where the file is no JSON object.
    """
    path = Path(bids_root) / "dataset_description.json"
    if not path.is_file():
        return False
    try:
        described = json.loads(path.read_text())
    except ValueError as error:
        raise BidsError(f"{path.name}: {error}; expected JSON") from error
    if not isinstance(described, dict):
        raise BidsError(f"{path.name}: a {type(described).__name__}; expected a JSON object")
    told = json.dumps([described.get("Name", ""), described.get("GeneratedBy", "")]).lower()
    return described.get("Synthetic", False) is True or "synthetic" in told


def _plainest(folder: Path) -> Path | None:
    """The session's T2w with the fewest entities; resampled copies (space-) don't count."""
    found = [*folder.glob("sub-*_T2w.nii.gz"), *folder.glob("sub-*_T2w.nii")]
    own = [path for path in found if _of_the_scan(path)]
    return min(own, key=lambda path: (path.name.count("_"), path.name), default=None)


def _t1w(folder: Path) -> Path | None:
    """The session's T1w: on the T2w's grid where there is one, with the fewest entities."""
    found = [*folder.glob("sub-*_T1w.nii.gz"), *folder.glob("sub-*_T1w.nii")]
    moved = [path for path in found if "_space-T2w_" in path.name]
    own = [path for path in found if "_space-" not in path.name]
    return min(moved or own, key=lambda path: (path.name.count("_"), path.name), default=None)


def _of_the_scan(path: Path) -> bool:
    """False for files on another grid than the T2w scan's: resampled, or of the T1w scan."""
    return "_space-" not in path.name and "_T1w" not in path.name


def _beside(root: Path, folder: Path, tails: tuple[str, ...]) -> Path | None:
    places = [folder]
    derived = root / "derivatives"
    if derived.is_dir():
        names = sorted(path for path in derived.iterdir() if path.is_dir() and path.name != _OWN)
        derived_places = [path / folder.relative_to(root) for path in names]
        places += [place for place in derived_places if not any(place.glob(_OURS))]
    for place in places:
        for tail in tails:
            own = [path for path in place.glob(f"sub-*{tail}") if _of_the_scan(path)]
            if own:
                return min(own, key=lambda path: (path.name.count("_"), path.name))
    return None
