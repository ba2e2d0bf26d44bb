"""Splits that no subject and no family straddles."""

from __future__ import annotations

from collections.abc import Iterable

from core.io.bids import Scan
from core.io.tables import BidsError


def check_splits(scans: Iterable[Scan], where: str) -> None:
    """Refuse splits by which a network is judged on those it learned from, or on their siblings.

    ``where``: the file or folder that has the scans. Those without a split are in none.

    Raises
    ------
    BidsError
        Naming the subjects and both splits.
    """
    subjects: dict[str, Scan] = {}
    families: dict[str, Scan] = {}
    for scan in scans:
        if scan.split is None:
            continue
        other = subjects.setdefault(scan.subject, scan)
        if other.split != scan.split:
            raise BidsError(
                f"{where}: {scan.subject} is in {other.split} ({other.session}) and in {scan.split} "
                f"({scan.session}); expected one split a subject"
            )
        if scan.family is None:
            continue
        other = families.setdefault(scan.family, scan)
        if other.split != scan.split:
            raise BidsError(
                f"{where}: {other.subject} in {other.split} and {scan.subject} in {scan.split} are of one "
                "family; expected one split a family"
            )
