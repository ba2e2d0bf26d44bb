"""What a teacher takes home of a lesson: results, marks, and what their columns hold."""

from __future__ import annotations

import json
from math import isfinite

import pandas as pd

from app.feedback.database import Store
from app.feedback.export_text import inert
from app.feedback.lesson_rows import SavedMark
from app.feedback.lessons import find_lesson
from app.teach.results import COLUMNS, Results, known, results, table, told

MARK_COLUMNS = [
    "lesson",
    "learner",
    "scan",
    "case_id",
    "mark",
    "x_mm",
    "y_mm",
    "z_mm",
    "finding_type",
    "note",
    "created_utc",
    "outcome",
    "lesion",
    "lesion_type",
    "distance_mm",
    "tolerance_mm",
]
MEANINGS = {
    "lesson": "Title of the lesson",
    "learner": "Name as the learner typed it; nobody checks it",
    "scan": "Number of the scan in the lesson, from 1",
    "case_id": "Subject and session of the scan, sub-…_ses-…",
    "committed_utc": "When the scan was committed, UTC, ISO 8601; empty for who was absent",
    "automatic": "Whether the reveal, the next scan or the end of the time committed, not the learner; empty "
    "for who was absent, and in lessons from before this was kept",
    "answered": "Whether the learner committed or marked something; who did neither is not scored",
    "answer_known": "Whether the lesions of the scan are known, and no reader has still to read it",
    "lesions": "Lesions that are known, each with its number and type; normal where there are none; empty "
    "where nothing is known",
    "marks": "Marks of the learner on the scan",
    "hits": "Lesions found; empty where not scored",
    "misses": "Lesions not found",
    "false_marks": "Marks on no lesion",
    "tolerance_mm": "How near to a lesion's edge a mark counts as on it, mm",
    "mark": "Number of the mark among the learner's on the scan, from 1",
    "x_mm": "Right of the origin, mm, in the scan's RAS+ world",
    "y_mm": "In front of the origin, mm",
    "z_mm": "Above the origin, mm",
    "finding_type": "What the learner called it: name of a finding type; empty where none. Not scored",
    "note": "Note of the learner",
    "created_utc": "When the mark, in its last wording, was saved, UTC, ISO 8601",
    "outcome": "hit, again (a further mark on a lesion that counts already) or false; empty where not known",
    "lesion": "Number of the lesion that the mark is on",
    "lesion_type": "Type of that lesion",
    "distance_mm": "From the mark to the edge of the nearest lesion, mm; 0 inside; empty where there is none",
}


def marks_table(found: Results, upto: int) -> pd.DataFrame:
    """One row a mark, on scans up to number ``upto``, by learner and scan in the order of marking."""
    rows = []
    for learner in found.learners:
        for index in range(upto + 1):
            mine = [one for one in found.marks if (one.learner_id, one.case_index) == (learner.id, index)]
            rows += [_row(found, learner.name, at, one) for at, one in enumerate(mine)]
    return pd.DataFrame(rows, columns=MARK_COLUMNS).astype({"lesion": "Int64", "distance_mm": "Float64"})


def _row(found: Results, name: str, at: int, mark: SavedMark) -> dict[str, object]:
    index = mark.case_index
    score = found.scores.get(index, {}).get(mark.learner_id)
    judged = None if score is None else score.judged[at]
    answer = None if judged is None else known(found.lesson, index)
    types = {} if answer is None else {one.label: one.type for one in answer.lesions}
    return {
        "lesson": found.lesson.title,
        "learner": name,
        "scan": index + 1,
        "case_id": mark.case_id,
        "mark": at + 1,
        "x_mm": round(mark.x_mm, 3),
        "y_mm": round(mark.y_mm, 3),
        "z_mm": round(mark.z_mm, 3),
        "finding_type": mark.finding_type,
        "note": mark.note,
        "created_utc": mark.created_utc,
        "outcome": "" if judged is None else judged.outcome,
        "lesion": None if judged is None else judged.label,
        "lesion_type": "" if judged is None or judged.label is None else types[judged.label],
        "distance_mm": round(judged.distance_mm, 3)
        if judged is not None and isfinite(judged.distance_mm)
        else None,
        "tolerance_mm": mark.radius_mm,
    }


def results_csv(store: Store, lesson_id: str) -> str:
    """Results at the moment of the click: what stands on the page may be some seconds old.

    Title and names are as anybody typed them: none may run in a spreadsheet.
    """
    lesson = find_lesson(store, lesson_id)
    return "" if lesson is None else _csv(table(results(store, lesson), told(lesson)))


def marks_csv(store: Store, lesson_id: str) -> str:
    """Marks at the moment of the click, as ``results_csv``."""
    lesson = find_lesson(store, lesson_id)
    return "" if lesson is None else _csv(marks_table(results(store, lesson), told(lesson)))


def _csv(rows: pd.DataFrame) -> str:
    return str(rows.map(inert).to_csv(index=False))


def dictionary() -> str:
    """Columns of both tables in words, as JSON."""
    parts = {"results": COLUMNS, "marks": MARK_COLUMNS}
    told_of = {part: {name: MEANINGS[name] for name in names} for part, names in parts.items()}
    return json.dumps(told_of, indent=2, ensure_ascii=False) + "\n"
