"""From a data set to a cohort: one session a subject, and a split that no family straddles."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from core.io.bids import Scan, find_scans
from core.io.manifest import SPLITS, Entry
from core.io.tables import BidsError, Tables

NORMAL, ABNORMAL = 1, 5
AGE_WEEKS = (20.0, 60.0)  # postmenstrual; outside, the column is in other units
MAX_FAMILY = 10  # subjects; a larger "family" is a flag such as yes and no
# dHCP numbers pregnancies: CC00087AN14 and CC00087BN14 are twins.
_DHCP = re.compile(r"sub-(CC\d{5})[A-Z]{2}\d{2}", re.ASCII)


@dataclass(frozen=True)
class SplitSettings:
    """How many normals learn and calibrate: subjects, or below 1 a fraction (paper: 80 and 9).

    Raises
    ------
    BidsError
        For a score to ``include`` other than 2 to 4.
    """

    train: float = 80
    validation: float = 9
    seed: int = 0
    include: tuple[int, ...] = ()  # scores 2 to 4 that join the test split
    redraw: bool = False  # although the data set has splits of its own

    def __post_init__(self) -> None:
        if bad := [score for score in self.include if score not in (2, 3, 4)]:
            raise BidsError(f"--include {bad[0]}: expected a radiology score of 2, 3 or 4")

    def counts(self, normals: int) -> tuple[int, int]:
        """Subjects to train and validate with, of ``normals``.

        Raises
        ------
        BidsError
            Where a number is neither, or there are too few normals.
        """
        for name, value in (("train", self.train), ("validation", self.validation)):
            if not (0 < value < 1 or (value >= 1 and value == int(value))):
                raise BidsError(f"--{name} {value:g}: expected a whole number, or a fraction between 0 and 1")
        train, validation = (
            int(value) if value >= 1 else round(value * normals) for value in (self.train, self.validation)
        )
        if min(train, validation) < 1 or train + validation > normals:
            raise BidsError(
                f"{normals} normals to draw from (radiology score 1, no sibling with 5); expected "
                f"{train + validation} or more for --train {self.train:g} --validation {self.validation:g} "
                "(fractions such as 0.8 and 0.1 work too)"
            )
        return train, validation


@dataclass(frozen=True)
class Cohort:
    """Entries by subject and session, where their split comes from, and what the reader should know."""

    entries: list[Entry]
    given: bool  # split as the data set has it, not drawn
    notes: list[str]

    def count(self, split: str, score: int | None = None) -> int:
        used = [entry.scan for entry in self.entries if entry.left_out == "" and entry.scan.split == split]
        return sum(score is None or scan.radiology_score == score for scan in used)

    @property
    def left_out(self) -> dict[str, int]:
        """Scans by reason."""
        return dict(Counter(entry.left_out for entry in self.entries if entry.left_out != ""))


def import_cohort(root: Path, options: SplitSettings, family_column: str | None = None) -> Cohort:
    """Read a BIDS folder or a dHCP release and split it by subject.

    Of each subject the latest session counts: the paper does not say how it chose among repeated sessions
    (Raad et al. 2023, Data description, tells of 80, 9 and 8 scans). Radiology score 1: ``train`` and
    ``validation`` are drawn, the others are test normals; score 5: test; 2 to 4 (unless in
    ``options.include``), poor quality and none are left out. Families (``family_column``; dHCP's twins by
    their label) stay together: normals with an abnormal sibling are test normals. A split column in the data
    set is kept unless ``options.redraw``.

    Raises
    ------
    BidsError
        Where a table or column is missing, malformed or contradicts itself, families straddle a given split,
        or there are too few normals.
    """
    root = Path(root)
    scans = find_scans(root, family_column)
    if not scans:
        raise BidsError(f"{root.name}: no T2w scan; expected sub-*/ses-*/anat/*_T2w.nii.gz")
    _check(root, scans)
    family = families(scans)
    scans = [replace(scan, family=family[scan.subject]) for scan in scans]
    reasons = left_out(scans, (NORMAL, ABNORMAL, *options.include))
    used = [scan for scan in scans if (scan.subject, scan.session) not in reasons]
    given = not options.redraw and any(scan.split is not None for scan in used)
    splits = _given(used) if given else draw(used, options)
    entries = [
        Entry(replace(scan, split=None), reasons[scan.subject, scan.session])
        if (scan.subject, scan.session) in reasons
        else Entry(replace(scan, split=splits[scan.subject]))
        for scan in scans
    ]
    cohort = Cohort(entries, given, [])
    return replace(cohort, notes=_notes(root, cohort, options))


def latest(scans: Sequence[Scan]) -> Scan:
    """The session of one subject at the highest age.

    Raises
    ------
    BidsError
        Where there are several and one has no age, or two are of the same.
    """
    if len(scans) == 1:
        return scans[0]
    for scan in scans:
        if scan.age is None:
            raise BidsError(
                f"{scan.subject}_sessions.tsv: {scan.session} has no scan_age (or age); expected one "
                f"for each of {len(scans)} sessions, to take the latest"
            )
    ordered = sorted(scans, key=lambda scan: scan.age or 0.0)
    if ordered[-1].age == ordered[-2].age:
        raise BidsError(
            f"{scans[0].subject}_sessions.tsv: {ordered[-2].session} and {ordered[-1].session} both at "
            f"{ordered[-1].age:g} weeks; expected one latest session"
        )
    return ordered[-1]


def left_out(scans: Sequence[Scan], scores: Sequence[int]) -> dict[tuple[str, str], str]:
    """Reasons by subject and session: all but the latest session, where its score is one of ``scores``."""
    reasons: dict[tuple[str, str], str] = {}
    for subject in dict.fromkeys(scan.subject for scan in scans):
        sessions = [scan for scan in scans if scan.subject == subject]
        kept = latest(sessions)
        for scan in sessions:
            if scan is not kept:
                reasons[subject, scan.session] = f"earlier session than {kept.session}"
            elif scan.poor_quality:
                reasons[subject, scan.session] = "radiology score Q (poor image quality)"
            elif scan.radiology_score is None:
                reasons[subject, scan.session] = "no radiology score"
            elif scan.radiology_score not in scores:
                reasons[subject, scan.session] = f"radiology score {scan.radiology_score}"
    return reasons


def families(scans: Sequence[Scan]) -> dict[str, str]:
    """Family of each subject: its first member's label.

    Joined are subjects with one value in the family column, a subject and the one whose label stands there,
    and dHCP's twins.

    Raises
    ------
    BidsError
        Where a family has more than ``MAX_FAMILY`` members.
    """
    subjects = sorted({scan.subject for scan in scans})
    parent: dict[str, str] = {}

    def top(node: str) -> str:
        while (above := parent.setdefault(node, node)) != node:
            node = above
        return node

    def join(a: str, b: str) -> None:
        low, high = sorted((top(a), top(b)))
        parent[high] = low

    for scan in scans:
        if scan.family is not None:
            told = f"sub-{scan.family.removeprefix('sub-')}"
            join(scan.subject, told if told in subjects else f"family {scan.family}")
        if (twin := _DHCP.fullmatch(scan.subject)) is not None:
            join(scan.subject, f"family {twin[1]}")
    members: dict[str, list[str]] = {}
    for subject in subjects:
        members.setdefault(top(subject), []).append(subject)
    for of in members.values():
        if len(of) > MAX_FAMILY:
            raise BidsError(
                f"family of {len(of)} subjects ({', '.join(of[:3])}, …); expected at most {MAX_FAMILY}: "
                "a column that names families, not one of yes and no"
            )
    return {subject: of[0] for of in members.values() for subject in of}


def draw(scans: Sequence[Scan], options: SplitSettings) -> dict[str, str]:
    """Split of each subject, for one scan a subject; the same for the same seed.

    Raises
    ------
    BidsError
        Where there are too few normals.
    """
    groups: dict[str, list[Scan]] = {}
    for scan in sorted(scans, key=lambda scan: scan.subject):
        groups.setdefault(scan.family or scan.subject, []).append(scan)
    free = [group for group in groups.values() if all(scan.radiology_score == NORMAL for scan in group)]
    wanted = dict(zip(SPLITS, options.counts(sum(map(len, free))), strict=False))
    splits = {scan.subject: "test" for scan in scans}
    for index in np.random.default_rng(options.seed).permutation(len(free)):
        group = free[index]
        # The first that has room for the whole family.
        split = next((name for name, room in wanted.items() if room >= len(group)), "test")
        if split in wanted:
            wanted[split] -= len(group)
        splits |= {scan.subject: split for scan in group}
    return splits


def _given(scans: Sequence[Scan]) -> dict[str, str]:
    """The data set's own splits, checked."""
    splits: dict[str, str] = {}
    by_family: dict[str | None, Scan] = {}
    for scan in scans:
        if scan.split not in SPLITS:
            raise BidsError(
                f"participants.tsv: {scan.subject}: split is {scan.split or 'n/a'}; expected one of "
                f"{', '.join(SPLITS)}, or --redraw"
            )
        if scan.radiology_score == ABNORMAL and scan.split != "test":
            raise BidsError(
                f"participants.tsv: {scan.subject}: split {scan.split} with radiology score 5; expected test"
            )
        other = by_family.setdefault(scan.family, scan)
        if other.split != scan.split:
            raise BidsError(
                f"participants.tsv: {other.subject} in {other.split} and {scan.subject} in {scan.split} "
                "are of one family; expected one split, or --redraw"
            )
        splits[scan.subject] = scan.split
    return splits


def _check(root: Path, scans: Sequence[Scan]) -> None:
    if all(scan.radiology_score is None and not scan.poor_quality for scan in scans):
        tables = Tables(root)
        for scan in scans:
            tables.facts(scan.subject, scan.session)
        raise BidsError(
            f"{root.name}: columns {sorted(tables.columns)} in participants.tsv and sub-*_sessions.tsv, and "
            "no scan with a radiology_score; expected that column, 1 (normal) to 5 (abnormal)"
        )
    for scan in scans:
        if scan.age is not None and not AGE_WEEKS[0] <= scan.age <= AGE_WEEKS[1]:
            raise BidsError(
                f"{root.name}: {scan.subject} {scan.session}: age {scan.age:g}; expected postmenstrual "
                f"weeks, {AGE_WEEKS[0]:g} to {AGE_WEEKS[1]:g}"
            )


def _notes(root: Path, cohort: Cohort, options: SplitSettings) -> list[str]:
    notes = []
    there = {entry.scan.subject for entry in cohort.entries}
    if missing := [subject for subject in Tables(root).participants if subject not in there]:
        notes.append(
            f"participants.tsv: {len(missing)} subjects without a T2w scan, such as {missing[0]}; not listed"
        )
    test = cohort.count("test", NORMAL), cohort.count("test", ABNORMAL)
    if cohort.given:
        notes.append("splits are the data set's own; --redraw draws new ones")
    else:
        notes.append(f"the {test[0]} normals that are in neither train nor validation are test normals")
        for split, value in (("train", options.train), ("validation", options.validation)):
            if value >= 1 and (found := cohort.count(split)) < value:
                notes.append(f"{found} in {split} instead of {value:g}: families are kept whole")
    if test[1] == 0:
        notes.append("no scan with radiology score 5: nothing to tell normals from in the test split")
    return notes
