"""Scores of a whole lesson: by scan, by learner, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from app.feedback.database import Store
from app.feedback.learners import commits, learners, marks
from app.feedback.lesson_rows import SavedCommit, SavedLearner, SavedLesson, SavedMark
from app.feedback.owed import held_back
from app.teach.score import Score, Tally, score, tally
from app.teach.truth import Truth, truth
from core.config import settings


@dataclass(frozen=True)
class Results:
    """Everything that was said in a lesson, judged where the answer is known.

    ``scores``: learner id to score, by scan number; a scan without known answer, or held back, is absent, and
    so is a learner who did not answer it.
    ``held``: scans by number that readers have still to read, with why they are held back.
    """

    lesson: SavedLesson
    learners: list[SavedLearner]
    commits: list[SavedCommit]
    marks: list[SavedMark]
    scores: dict[int, dict[str, Score]]
    held: dict[int, str]

    def committed(self, index: int) -> frozenset[str]:
        """Learners who have committed scan ``index``."""
        return frozenset(one.learner_id for one in self.commits if one.case_index == index)

    def unanswered(self, index: int) -> frozenset[str]:
        """Learners with nothing marked on scan ``index`` who did not commit it themselves."""
        return _silent(self.commits, self.marks, index)

    def automatic(self, learner_id: str, index: int) -> bool | None:
        """Whether the commit of scan ``index`` was the learner's own; None where it lacks or nobody knows."""
        place = (learner_id, index)
        return next(
            (one.automatic for one in self.commits if (one.learner_id, one.case_index) == place), None
        )

    def total(self, learner_id: str, upto: int | None = None) -> Tally:
        """A learner's sum over scans with known answer, those up to number ``upto`` where it is given."""
        return tally(
            [
                by[learner_id]
                for index, by in self.scores.items()
                if learner_id in by and (upto is None or index <= upto)
            ]
        )


def known(lesson: SavedLesson, index: int) -> Truth | None:
    """What is known of scan ``index``."""
    case = lesson.cases[index]
    return truth(settings().demo_dir, case.case_id, case.input_hash)


def results(store: Store, lesson: SavedLesson) -> Results:
    """Judge a lesson as it stands.

    Raises
    ------
    EvaluationError, BidsError, VolumeMissing, StoreError
        Where the answers or the store can't be read.
    """
    everyone, done, made = learners(store, lesson.id), commits(store, lesson.id), marks(store, lesson.id)
    judged: dict[int, dict[str, Score]] = {}
    held = held_back(store, lesson)  # how many lesions were missed would tell of a scan as its truth does
    for index in sorted({one.case_index for one in done} - held.keys()):
        answer = known(lesson, index)
        if answer is not None:
            silent = _silent(done, made, index)
            judged[index] = {
                one.learner_id: _score(answer, _points(made, one), lesson.tolerance_mm)
                for one in done
                if one.case_index == index and one.learner_id not in silent
            }
    return Results(lesson, everyone, done, made, judged, held)


def _silent(done: list[SavedCommit], made: list[SavedMark], index: int) -> frozenset[str]:
    marked = {one.learner_id for one in made if one.case_index == index}
    automatic = {one.learner_id for one in done if one.case_index == index and one.automatic}
    return frozenset(automatic - marked)


def _points(made: list[SavedMark], by: SavedCommit) -> tuple[tuple[float, float, float], ...]:
    """What a commit holds."""
    place = (by.learner_id, by.case_index)
    return tuple(one.mm for one in made if (one.learner_id, one.case_index) == place)


# Committed marks never change, and a class asks for its scores each time that something happens.
@lru_cache(maxsize=8192)
def _score(answer: Truth, points: tuple[tuple[float, float, float], ...], tolerance_mm: float) -> Score:
    return score(answer.targets, points, tolerance_mm)


def table(found: Results, upto: int) -> pd.DataFrame:
    """One row a learner and scan, those up to number ``upto``, for the teacher's download."""
    rows = []
    for learner in found.learners:
        for index in range(upto + 1):
            case = found.lesson.cases[index]
            mine = [one for one in found.marks if (one.learner_id, one.case_index) == (learner.id, index)]
            commit = next(
                (one for one in found.commits if (one.learner_id, one.case_index) == (learner.id, index)),
                None,
            )
            score = found.scores.get(index, {}).get(learner.id)
            rows.append(
                {
                    "lesson": found.lesson.title,
                    "learner": learner.name,
                    "scan": index + 1,
                    "case_id": case.case_id,
                    "committed_utc": "" if commit is None else commit.created_utc,
                    "automatic": None if commit is None else commit.automatic,
                    "answered": commit is not None and learner.id not in found.unanswered(index),
                    "answer_known": index in found.scores
                    or (index not in found.held and known(found.lesson, index) is not None),
                    "lesions": _lesions(found, index),
                    "marks": len(mine),
                    "hits": None if score is None else score.hits,
                    "misses": None if score is None else score.misses,
                    "false_marks": None if score is None else score.false_marks,
                    "tolerance_mm": found.lesson.tolerance_mm,
                }
            )
    types = {name: "Int64" for name in ("marks", "hits", "misses", "false_marks")} | {"automatic": "boolean"}
    return pd.DataFrame(rows, columns=COLUMNS).astype(types)


COLUMNS = [
    "lesson",
    "learner",
    "scan",
    "case_id",
    "committed_utc",
    "automatic",
    "answered",
    "answer_known",
    "lesions",
    "marks",
    "hits",
    "misses",
    "false_marks",
    "tolerance_mm",
]


def _lesions(found: Results, index: int) -> str:
    answer = None if index in found.held else known(found.lesson, index)
    if answer is None:
        return ""
    return "; ".join(f"L{one.label} {one.type}" for one in answer.lesions) or "normal"


def overview(found: Results, upto: int) -> pd.DataFrame:
    """One row a learner: lesions found and false marks by scan up to number ``upto``, then in total."""
    rows = []
    for learner in found.learners:
        row: dict[str, str | int] = {"Learner": learner.name}
        for index in range(upto + 1):
            row[f"Scan {index + 1}"] = _cell(found, learner.id, index)
        total = found.total(learner.id, upto)
        row |= {"Hits": total.hits, "Misses": total.misses, "False marks": total.false_marks}
        rows.append(row)
    return pd.DataFrame(rows)


def _cell(found: Results, learner_id: str, index: int) -> str:
    if learner_id not in found.committed(index):
        return "absent"
    if index in found.held:
        return "held back"
    if learner_id in found.unanswered(index):
        return "no answer"
    by = " (automatic)" if found.automatic(learner_id, index) else ""
    score = found.scores.get(index, {}).get(learner_id)
    if score is None:
        return f"no known answer{by}"
    if score.hits + score.misses == 0:
        return f"normal, {score.false_marks} false{by}"
    return f"{score.hits} of {score.hits + score.misses} found, {score.false_marks} false{by}"


def told(lesson: SavedLesson) -> int:
    """Number of the last scan whose scores may be seen."""
    return lesson.case_index if lesson.revealed or lesson.state == "closed" else lesson.case_index - 1
