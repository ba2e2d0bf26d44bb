"""Which scans a model has learned from: hashes in its record, and what they tell of other scans."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from core.cli.console import UsageError, say
from core.io.bids import Scan
from core.io.volume import file_hash
from core.networks.zoo import ModelInfo
from core.prepared import content_key

SEEN = "seen"  # in config.json under "training"; models from before it have none
DIGITS = 16  # of a SHA-256 that stands for one subject or file


def splits_hash(train: Sequence[Scan], held_out: Sequence[Scan]) -> str:
    """SHA-256 of the subjects and sessions of both splits, in whatever order they come."""
    groups = {"train": train, "validation": held_out}
    return content_key(
        {name: sorted((one.subject, one.session) for one in group) for name, group in groups.items()}
    )


def seen_record(train: Sequence[Scan], held_out: Sequence[Scan]) -> dict[str, Any]:
    """What a training keeps of its scans: ``splits``, and the sorted ``subjects`` and ``files`` of both.

    Hashes alone, since a label may be a patient's. Who can guess a label can still tell whether it is there.
    """
    scans = [*train, *held_out]
    return {
        "splits": splits_hash(train, held_out),
        "subjects": sorted({label_hash(scan) for scan in scans}),
        "files": sorted({file_hash(scan.path)[:DIGITS] for scan in scans}),
    }


def label_hash(scan: Scan) -> str:
    """Of the subject's label."""
    return hashlib.sha256(scan.subject.encode()).hexdigest()[:DIGITS]


def told_of_tests(infos: Sequence[ModelInfo], tests: Sequence[Scan]) -> list[str]:
    """What each model's record says of test scans: whose labels are those of subjects that it learned from.

    Two data sets may call two children alike, so labels are told and warned of; files leave no doubt.

    Raises
    ------
    UsageError
        Where a test scan's file is one that a model was trained on or calibrated on at the end of training.
    """
    if all(SEEN not in info.training for info in infos):
        return ["not recorded"] * len(infos)
    files = {file_hash(scan.path)[:DIGITS]: scan for scan in tests if scan.path.is_file()}
    found = []
    for info in infos:
        seen = info.training.get(SEEN)
        if seen is None:
            found.append("not recorded")
            continue
        if same := [scan for digest, scan in files.items() if digest in set(seen["files"])]:
            raise UsageError(
                f"{info.name}: {len(same)} of {len(tests)} test scans are among those it was trained or "
                f"calibrated on, first {same[0].subject} {same[0].session}; expected scans it has not seen"
            )
        labels = sorted({scan.subject for scan in tests if label_hash(scan) in set(seen["subjects"])})
        if labels:
            say(
                f"warning: {info.name}: test subjects with labels that it was trained or calibrated on: "
                f"{len(labels)}, first {labels[0]}; if they are the same children, its figures mean nothing"
            )
        found.append(", ".join(labels) or "none")
    return found
