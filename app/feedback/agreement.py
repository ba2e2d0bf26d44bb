"""Answers as tables for statistics: one row a read, a verdict, a mark; ratings of regions and of scans."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from app.feedback.adjudications import CLASSES, VERDICTS, Key, SavedDecision, final_reads
from app.feedback.blinding import Answers, Scan, sitting
from core.evaluation.ratings import MISSING, Ratings

# Classes in order of severity; "inadequate" has no place in it.
SEVERITY = tuple(one for one in CLASSES if one != "inadequate")
SIGNS = {1: "brighter", -1: "darker"}
REGION = ["case_key", "map", "region_id"]
READ_COLUMNS = [
    "scan",
    "case_id",
    "reader",
    "pass_number",
    "planted",
    "model",
    "map",
    "unaided",
    "first",
    "final",
    "first_seconds",
    "second_seconds",
    "reference",
    "right_first",
    "right_final",
]
VERDICT_COLUMNS = [
    "scan",
    "case_id",
    "reader",
    "pass_number",
    "planted",
    "model",
    "case_key",
    "map",
    "region_id",
    "band",
    "sign",
    "volume_mm3",
    "verdict",
    "finding_type",
]
MARK_COLUMNS = [
    "scan",
    "case_id",
    "reader",
    "pass_number",
    "planted",
    "model",
    "map",
    "phase",
    "finding_type",
]


@dataclass(frozen=True, eq=False)
class Rows:
    """``reads``: one row a finished sitting; ``verdicts``, ``marks``: one an answer. ``scan`` is a number.

    ``reference`` of a read is the class that is known of the scan: as decided, else as given. ``right_*``:
    whether the read fits it, NaN where nothing is known or the phase is missing.
    """

    reads: pd.DataFrame
    verdicts: pd.DataFrame
    marks: pd.DataFrame
    names: dict[int, str]  # of readers, as shown

    @property
    def scans(self) -> int:
        """Number of scans that any row may name."""
        return 1 + max((int(table["scan"].max()) for table in (self.reads,) if len(table)), default=-1)


def fits(read: str, reference: str) -> bool:
    """Whether a class agrees with what is known: a class, or only "abnormal"."""
    if reference == "abnormal":
        return read not in ("normal", "inadequate")
    return read == reference


def rows_of(
    answers: Answers,
    decided: Mapping[Key, SavedDecision],
    known: Mapping[str, str],
    names: Mapping[int, str],
) -> Rows:
    """Tables of all answers that the viewer may know.

    ``known``: class, "normal" or "abnormal" by case id, from outside; a decision or an assignment wins,
    and of a planted scan the assignment over the decision.
    """
    reference: dict[Scan, str] = {
        (row.case_id, row.input_hash): row.decision for row in decided.values() if row.subject == "class"
    }
    numbers: dict[Scan, int] = {}
    final = final_reads(answers.reads)
    locked = {sitting(row): row for row in answers.reads if row.phase == "first"}
    seconds = {sitting(row): row.active_seconds for row in answers.reads if row.phase == "second"}
    reads = []
    for at, read in final.items():
        scan = (read.case_id, read.input_hash)
        first = locked.get(at)
        told = reference.get(scan, answers.known.get(read.case_id, known.get(read.case_id)))
        if answers.kinds.get(at) == "planted":  # it was known before anybody read it
            told = answers.known.get(read.case_id, told)
        if scan in answers.waiting:
            told = None  # the viewer has still to read it again
        unaided = first is not None and first.unaided
        reads.append(
            {
                "scan": numbers.setdefault(scan, len(numbers)),
                "case_id": read.case_id,
                "reader": read.reader_id,
                "pass_number": read.pass_number,
                "planted": answers.kinds.get(at) == "planted",
                "model": read.model,
                "map": read.map,
                "unaided": unaided,
                "first": None if first is None else first.classification,
                "final": read.classification,
                "first_seconds": np.nan if first is None else first.active_seconds,
                "second_seconds": seconds.get(at, np.nan),
                "reference": told,
                "right_first": np.nan if told is None or first is None else fits(first.classification, told),
                "right_final": np.nan if told is None else fits(read.classification, told),
            }
        )
    verdicts = [
        {
            "scan": numbers[row.case_id, row.input_hash],
            "case_id": row.case_id,
            "reader": row.reader_id,
            "pass_number": row.pass_number,
            "planted": answers.kinds.get(sitting(row)) == "planted",
            "model": row.model,
            "case_key": row.case_key,
            "map": row.map,
            "region_id": row.region_id,
            "band": row.region["band"],
            "sign": SIGNS[row.region["sign"]],
            "volume_mm3": row.region["volume_mm3"],
            "verdict": row.verdict,
            "finding_type": row.finding_type,
        }
        for row in answers.verdicts
    ]
    marks = [
        {
            "scan": numbers[row.case_id, row.input_hash],
            "case_id": row.case_id,
            "reader": row.reader_id,
            "pass_number": row.pass_number,
            "planted": answers.kinds.get(sitting(row)) == "planted",
            "model": row.model,
            "map": row.map,
            "phase": row.phase,
            "finding_type": row.finding_type,
        }
        for row in answers.marks
    ]
    return Rows(
        pd.DataFrame(reads, columns=READ_COLUMNS),
        pd.DataFrame(verdicts, columns=VERDICT_COLUMNS),
        pd.DataFrame(marks, columns=MARK_COLUMNS),
        dict(names),
    )


def main(table: pd.DataFrame) -> pd.DataFrame:
    """First passes of scans that were not planted: what acceptance and agreement are counted over."""
    return table[(table["pass_number"] == 1) & ~table["planted"].astype(bool)]


def _ratings(
    table: pd.DataFrame, item: list[str], rater: str, value: str, categories: Sequence[str]
) -> tuple[Ratings, list[Hashable]]:
    """Items by raters, raters in order; values that are no category count as missing."""
    index = {name: code for code, name in enumerate(categories)}
    coded = table.assign(code=table[value].map(index)).dropna(subset=["code"])
    if coded.empty:
        return Ratings(np.empty((0, 0), np.int64), np.empty(0, np.int64), tuple(categories)), []
    wide = coded.pivot_table(index=["scan", *item], columns=rater, values="code", aggfunc="last")
    codes = wide.fillna(MISSING).to_numpy().astype(np.int64)
    scans = wide.index.get_level_values("scan").to_numpy().astype(np.int64)
    return Ratings(codes, scans, tuple(categories)), list(wide.columns)


def region_ratings(rows: Rows) -> tuple[Ratings, list[int]]:
    """Verdicts on regions (items) by readers, first pass; the readers in order."""
    ratings, readers = _ratings(main(rows.verdicts), REGION, "reader", "verdict", VERDICTS)
    return ratings, [int(str(one)) for one in readers]


def class_ratings(rows: Rows, categories: Sequence[str] = CLASSES) -> tuple[Ratings, list[int]]:
    """Final classes of scans (items) by readers, first pass; the readers in order."""
    ratings, readers = _ratings(main(rows.reads), [], "reader", "final", categories)
    return ratings, [int(str(one)) for one in readers]


def repeated(rows: Rows, what: str, reader: int | None = None) -> Ratings:
    """The same reader's first (column 0) and second pass of "regions" or "classes"; of one, or of all.

    Items of two readers are two items, of the same scan.
    """
    table = rows.verdicts if what == "regions" else rows.reads
    item = ["reader", *REGION] if what == "regions" else ["reader"]
    value, categories = ("verdict", VERDICTS) if what == "regions" else ("final", CLASSES)
    both = table[table["pass_number"].isin([1, 2])]
    if reader is not None:
        both = both[both["reader"] == reader]
    if both["pass_number"].nunique() < 2:
        return Ratings(np.empty((0, 2), np.int64), np.empty(0, np.int64), tuple(categories))
    ratings, _ = _ratings(both, item, "pass_number", value, categories)
    paired = ratings.pairable
    return Ratings(ratings.codes[paired], ratings.scans[paired], ratings.categories)
