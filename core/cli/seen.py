"""Which scans a model has learned from: hashes in its record, and what they tell of other scans."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from core.io.bids import Scan
from core.io.volume import file_hash
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
